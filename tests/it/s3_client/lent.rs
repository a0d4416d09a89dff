//! Keys that are lent: renewed while work goes on, for the bucket they were lent for, and told about when they end.

use std::time::Duration;

use keyfold::{ErrorKind, S3Settings};

use super::other::Canned;
use super::{BUCKET, bytes, lake, open, plain, read, settings};
use crate::s3_server::{Effect, Fault, Operation, TestServer};

const HOUR: Duration = Duration::from_hours(1);

/// Lends `key-0`, `key-1` and so on, each with its token.
fn numbered(number: usize) -> (String, String, i64) {
    (format!("key-{number}"), format!("token-{number}"), 3600)
}

fn server_with_keys(keys: usize) -> TestServer {
    let server = lake();
    for number in 0..keys {
        server.lend_key(&format!("key-{number}"), "secret", &format!("token-{number}"), HOUR);
    }
    server
}

#[tokio::test]
async fn keys_that_end_while_an_upload_runs_are_renewed_once() {
    let server = server_with_keys(2);
    server.set_min_part_size(1);
    let lender = Canned::lending(numbered);
    let client = open(lender.settings(&server));
    let mut upload = client.start_upload("a", plain()).await.expect("an upload");
    for number in 0..20 {
        if number == 8 {
            server.expire_key("key-0");
        }
        upload.queue(bytes(10)).await.expect("queued");
    }
    upload.complete().await.expect("complete");
    assert_eq!(read(&client, "a").await.len(), 200);
    assert_eq!(lender.seen(), 2, "once at first, once for all parts together");
    let refused = server.log().into_iter().filter(|entry| entry.status == 403).count();
    assert!(refused >= 1, "no part met the end of the key");
}

#[tokio::test]
async fn a_question_without_an_answer_in_words_gets_new_keys_as_well() {
    let server = server_with_keys(6);
    let lender = Canned::lending(numbered);
    let client = open(lender.settings(&server));
    for (number, body) in ["", "text"].into_iter().enumerate() {
        server.put_raw(BUCKET, "a", body);
        client.list_buckets().await.expect("keys are at hand");
        server.expire_key(&format!("key-{}", number * 2));
        let info = client.head("a").await.expect("looks").expect("an object");
        assert_eq!((info.size, info.key.as_str()), (body.len() as u64, "a"));
        server.expire_key(&format!("key-{}", number * 2 + 1));
        assert!(client.bucket_exists(BUCKET).await.expect("looks"));
    }
    server.expire_key("key-4");
    assert_eq!(client.head("missing").await.expect("looks"), None);
}

#[tokio::test]
async fn keys_that_have_expired_for_good_are_told() {
    let server = server_with_keys(1);
    server.expire_key("key-0");
    let fixed = settings(&server).with_access_key_id("key-0").with_secret_access_key("secret");
    let fixed = open(fixed.with_session_token("token-0"));
    let lender = Canned::lending(|_| numbered(0));
    let lent = open(lender.settings(&server));
    for client in [fixed, lent] {
        for failed in [client.get("a").await.map(|_| ()), client.head("a").await.map(|_| ())] {
            let failed = failed.expect_err("expired");
            assert_eq!(failed.kind(), ErrorKind::PermissionDenied);
            assert_eq!(failed.message(), "these keys have expired, and no newer ones are lent");
            assert!(failed.hint_text().is_some());
        }
    }
    let lender = Canned::lending(numbered);
    let server = server_with_keys(9);
    server.fail(Fault::new(Effect::ExpiredToken).always());
    let failed = open(lender.settings(&server)).get("a").await.expect_err("expired");
    assert_eq!(
        (failed.kind(), failed.message()),
        (ErrorKind::PermissionDenied, "the temporary keys have expired")
    );
    assert_eq!(lender.seen(), 2, "asked once by force, not again and again");
}

#[tokio::test]
async fn keys_for_one_bucket_are_not_tried_on_another() {
    let server = server_with_keys(1);
    server.create_bucket("other");
    let lender = Canned::lending_with(r#""bucket":"lake","#, |_| numbered(0));
    let client = open(lender.settings(&server));
    client.put("a", "text", plain()).await.expect("its own bucket");
    client.list_buckets().await.expect("no bucket");
    server.reset_counts();
    let other = client.with_bucket("other");
    let refused = [
        other.put("a", "text", plain()).await.map(|_| ()),
        other.head("a").await.map(|_| ()),
        other.presign_get("a", HOUR).await.map(|_| ()),
        client.create_bucket("third").await,
    ];
    for refused in refused {
        let error = refused.expect_err("another bucket");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.message(), "the keys were lent for another bucket");
        assert!(error.context().any(|fact| fact == ("lent for", "lake")), "{error}");
    }
    assert_eq!(server.counts().total(), 0);
}

#[tokio::test]
async fn a_lender_says_where_the_bucket_is() {
    let server = TestServer::builder().bucket_in(BUCKET, "eu-west-1").start();
    server.lend_key("key-0", "secret", "token-0", HOUR);
    let place = format!(r#""endpoint":"{}","region":"eu-west-1","#, server.endpoint());
    let lender = Canned::lending_with(place, |_| numbered(0));
    let mut open_settings = S3Settings::default();
    open_settings.set("credentials_url", lender.endpoint()).expect("a setting");
    let client = open(open_settings);
    client.put("a", "text", plain()).await.expect("put");
    assert_eq!(read(&client, "a").await, "text");
    let url = client.presign_get("a", HOUR).await.expect("a url");
    let answer = reqwest::get(url.expose()).await.expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "text");
    assert_eq!(server.counts().of(Operation::PutObject), 1);
}

#[tokio::test]
async fn a_lender_that_refuses_is_told_and_nothing_is_sent() {
    let server = lake();
    for (status, kind) in [("403 No", ErrorKind::PermissionDenied), ("404 No", ErrorKind::NotFound)] {
        let lender = Canned::start(move |_| super::other::page(status, "text/plain", "no"));
        let failed = open(lender.settings(&server)).get("a").await.expect_err("no keys");
        assert_eq!(failed.kind(), kind, "{failed:?}");
    }
    assert_eq!(server.counts().total(), 0);
}
