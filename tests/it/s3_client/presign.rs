//! URLs that carry their own signature, used without keys.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use keyfold::{ErrorKind, S3Client};
use reqwest::StatusCode;

use super::other::Canned;
use super::{BUCKET, client, lake, open, set, settings};

const HOUR: Duration = Duration::from_hours(1);

async fn get(url: &str) -> (StatusCode, String) {
    let answer = reqwest::get(url).await.expect("an answer");
    (answer.status(), answer.text().await.expect("text"))
}

#[tokio::test]
async fn whoever_has_the_url_reads_or_writes_and_nothing_else() {
    let server = lake();
    let client = client(&server);
    let put = client.presign_put("a b.csv", HOUR).await.expect("a url");
    let answer = reqwest::Client::new().put(put.expose()).body("text").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(server.get_raw(BUCKET, "a b.csv").expect("an object"), "text");
    let url = client.presign_get("a b.csv", HOUR).await.expect("a url");
    assert_eq!(get(url.expose()).await, (StatusCode::OK, "text".to_owned()));
    assert_eq!(get(put.expose()).await.0, StatusCode::FORBIDDEN, "a put is no get");
    let head = reqwest::Client::new().head(url.expose()).send().await.expect("an answer");
    assert_eq!(head.status(), StatusCode::FORBIDDEN);
    let life = url.expires() - Utc::now();
    assert!(!url.is_clamped() && (TimeDelta::minutes(59)..=TimeDelta::hours(1)).contains(&life), "{life}");
}

#[tokio::test]
async fn a_url_that_was_changed_or_has_expired_is_refused() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    server.put_raw(BUCKET, "b", "text");
    let client = client(&server);
    let url = client.presign_get("a", HOUR).await.expect("a url");
    for changed in [
        url.expose().replace("/lake/a", "/lake/b"),
        url.expose().replace("X-Amz-Expires=3600", "X-Amz-Expires=7200"),
        url.expose().replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
    ] {
        assert_ne!(changed, url.expose());
        assert!(get(&changed).await.0.is_client_error(), "{changed}");
    }
    let short = client.presign_get("a", Duration::from_secs(1)).await.expect("a url");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(get(short.expose()).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_url_lives_for_one_second_to_seven_days() {
    let server = lake();
    let client = client(&server);
    let week = Duration::from_hours(7 * 24);
    for life in [Duration::from_secs(1), week] {
        client.presign_put("a", life).await.expect("a url");
    }
    for life in [Duration::ZERO, Duration::from_millis(999), week + Duration::from_millis(1), Duration::MAX] {
        let refused = client.presign_get("a", life).await.expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::Usage);
        assert_eq!(refused.message(), "a presigned URL lives for 1 second to 7 days");
    }
    let unsigned = set(&server, "no_sign_request", "true");
    let refused = open(unsigned).presign_get("a", HOUR).await.expect_err("refused");
    assert_eq!(
        (refused.kind(), refused.message()),
        (ErrorKind::Usage, "an unsigned client cannot sign a URL")
    );
    let refused = S3Client::new(settings(&server)).expect("a client").presign_get("a", HOUR).await;
    assert_eq!(refused.expect_err("no bucket").message(), "no bucket is named");
    assert_eq!(server.counts().total(), 0);
}

#[tokio::test]
async fn a_url_ends_with_the_key_that_signs_it() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    server.lend_key("lent", "secret", "to/k+en==", Duration::from_mins(10));
    let lender = Canned::lending(|_| ("lent".to_owned(), "to/k+en==".to_owned(), 600));
    let lent = open(lender.settings(&server));
    let url = lent.presign_get("a", HOUR).await.expect("a url");
    assert!(url.is_clamped());
    let life = url.expires() - Utc::now();
    assert!((TimeDelta::minutes(9)..=TimeDelta::minutes(10)).contains(&life), "{life}");
    assert_eq!(get(url.expose()).await, (StatusCode::OK, "text".to_owned()));
    let short = lent.presign_get("a", Duration::from_mins(1)).await.expect("a url");
    assert!(!short.is_clamped());
    server.expire_key("lent");
    assert_eq!(get(url.expose()).await.0, StatusCode::FORBIDDEN);
}
