//! What is told within seconds when the service, its name or the keys are wrong.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use keyfold::{Error, ErrorKind, S3Client};

use super::other::{Canned, page};
use super::{BUCKET, client, lake, open, plain, set, settings};
use crate::s3_server::{TestServer, WrongRegion};

/// Everything that is asked most; each must fail.
async fn all(client: &S3Client) -> Vec<Error> {
    let results = [
        client.get("a").await.map(|_| ()),
        client.head("a").await.map(|_| ()),
        client.put("a", "text", plain()).await.map(|_| ()),
        client.start_upload("a", plain()).await.map(|_| ()),
        client.list("").try_collect::<Vec<_>>().await.map(|_| ()),
        client.delete("a").await,
        client.delete_many(&["a".to_owned()]).await,
    ];
    results.into_iter().map(|result| result.expect_err("an error")).collect()
}

async fn told(client: &S3Client, kind: ErrorKind, message: &str, hint: &str) {
    let begun = Instant::now();
    for error in all(client).await {
        assert_eq!((error.kind(), error.message()), (kind, message), "{error:?}");
        let said = error.hint_text().unwrap_or_default();
        assert!(said.contains(hint), "{said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_bucket_that_is_not_there() {
    let server = lake();
    let missing = client(&server).with_bucket("missing");
    told(&missing, ErrorKind::NotFound, "the bucket does not exist", "check its name and the endpoint").await;
    for error in all(&missing).await {
        assert!(error.to_string().contains("missing"), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_is_wrong_or_unknown() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    let wrong = open(settings(&server).with_secret_access_key("wrong"));
    let message = "the secret access key is wrong";
    told(&wrong, ErrorKind::PermissionDenied, message, "AWS_SECRET_ACCESS_KEY").await;
    let unknown = open(settings(&server).with_access_key_id("nobody"));
    let message = "the service does not know the access key";
    told(&unknown, ErrorKind::PermissionDenied, message, "AWS_ACCESS_KEY_ID").await;
    let token = open(settings(&server).with_session_token("stale"));
    told(&token, ErrorKind::PermissionDenied, "the session token is wrong", "AWS_SESSION_TOKEN").await;
    let unsigned = open(set(&server, "no_sign_request", "true"));
    told(&unsigned, ErrorKind::PermissionDenied, "the service refused access", "check the keys").await;
    let refused = wrong.bucket_exists(BUCKET).await.expect_err("refused");
    assert_eq!(refused.message(), "the secret access key is wrong");
}

#[tokio::test]
async fn a_key_that_has_expired() {
    for server in [TestServer::builder().bucket(BUCKET), TestServer::builder().bucket(BUCKET).tokens_as_aws()]
    {
        let server = server.start();
        server.lend_key("lent", "secret", "token", Duration::ZERO);
        let lent = settings(&server).with_access_key_id("lent").with_secret_access_key("secret");
        let client = open(lent.with_session_token("token"));
        let message = "these keys have expired, and no newer ones are lent";
        told(&client, ErrorKind::PermissionDenied, message, "log in again").await;
    }
}

#[tokio::test]
async fn a_region_that_is_wrong() {
    for how in [WrongRegion::Malformed, WrongRegion::Redirect] {
        let server = TestServer::builder().bucket_in(BUCKET, "eu-west-1").wrong_region(how).start();
        server.put_raw(BUCKET, "a", "text");
        let message = "the bucket is in another region";
        told(&client(&server), ErrorKind::InvalidInput, message, "say --region eu-west-1").await;
        let right = open(settings(&server).with_region("eu-west-1"));
        assert!(right.exists("a").await.expect("looks"));
    }
}

#[tokio::test]
async fn a_service_that_is_not_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let server = lake();
    let message = "the service cannot be reached";
    for endpoint in [format!("http://{free}"), "http://nowhere.invalid".to_owned()] {
        let nobody = open(settings(&server).with_endpoint_url(&endpoint).with_allow_http(true));
        told(&nobody, ErrorKind::Io, message, "check the endpoint URL, the region and the network").await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_one_of_s3() {
    let server = lake();
    let html = "<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>";
    let at = |status: &'static str| {
        let web = Canned::start(move |_| page(status, "text/html", html));
        (open(settings(&server).with_endpoint_url(web.endpoint())), web)
    };
    let (client, _web) = at("200 OK");
    let answers = [
        client.list("").try_collect::<Vec<_>>().await.map(|_| ()),
        client.list_buckets().await.map(|_| ()),
        client.start_upload("a", plain()).await.map(|_| ()),
        client.put("a", "text", plain()).await.map(|_| ()),
        client.delete_many(&["a".to_owned()]).await,
        client.bucket_location(BUCKET).await.map(|_| ()),
    ];
    for answer in answers {
        let error = answer.expect_err("no S3");
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error:?}");
        assert_eq!(error.message(), "the service gave an answer that S3 does not give");
        assert_eq!(error.hint_text(), Some("check the endpoint URL"));
    }
    for (status, kind) in [
        ("404 Not Found", ErrorKind::NotFound),
        ("403 Forbidden", ErrorKind::PermissionDenied),
        ("405 Method Not Allowed", ErrorKind::InvalidInput),
    ] {
        let (client, _web) = at(status);
        for error in all(&client).await {
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(error.hint_text().is_some(), "{error:?}");
        }
    }
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_at_once() {
    let server = lake();
    for endpoint in ["", "127.0.0.1:9000", "ftp://host", "https://key:canary@host", "https://host/?canary"] {
        let refused = S3Client::new(settings(&server).with_endpoint_url(endpoint)).expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::Usage, "{endpoint}");
        assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
    }
    let plain_http =
        S3Client::new(settings(&server).with_endpoint_url("http://s3.example")).expect_err("plain");
    assert!(plain_http.hint_text().is_some_and(|hint| hint.contains("--allow-http")), "{plain_http:?}");
    let mut half = settings(&server);
    half.secret_access_key = None;
    assert_eq!(S3Client::new(half).expect_err("half").kind(), ErrorKind::Usage);
}
