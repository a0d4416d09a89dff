//! Who may ask: keys, lent keys, signed URLs, regions.

use std::time::Duration;

use futures::StreamExt as _;
use http::Method;
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{Error, ObjectStore as _, ObjectStoreExt as _};

use super::client::{Ask, BUCKET, builder, credential, lake, store};
use crate::s3_server::{TestServer, WrongRegion};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_wrong_secret_an_unknown_key_and_no_signature_are_told_apart() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    server.add_key("second", "its secret");
    let get = |access, secret| Ask::get(&server, "/lake/a").by(credential(access, secret, None)).send();
    assert_eq!(get("second", "its secret").await.text(), "text");
    assert_eq!(get("second", "other").await.refusal(), (403, "SignatureDoesNotMatch".to_owned()));
    assert_eq!(get("third", "any").await.refusal(), (403, "InvalidAccessKeyId".to_owned()));
    let nobody = Ask::get(&server, "/lake/a").unsigned().send().await;
    assert_eq!(nobody.refusal(), (403, "AccessDenied".to_owned()));
    let by_client = builder(&server).with_secret_access_key("other").build().expect("a store");
    let refused = by_client.get(&Path::from("a")).await.expect_err("a refusal");
    assert!(matches!(refused, Error::PermissionDenied { .. }), "{refused}");
}

#[tokio::test]
async fn a_lent_key_opens_until_it_expires_and_only_with_its_token() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    server.lend_key("lent", "secret", "token", HOUR);
    let get = |token| Ask::get(&server, "/lake/a").by(credential("lent", "secret", token)).send();
    assert_eq!(get(Some("token")).await.text(), "text");
    assert_eq!(get(Some("other")).await.refusal(), (403, "InvalidToken".to_owned()));
    assert_eq!(get(None).await.refusal(), (403, "InvalidAccessKeyId".to_owned()));
    server.expire_key("lent");
    assert_eq!(get(Some("token")).await.refusal(), (403, "ExpiredToken".to_owned()));
    server.lend_key("lent", "secret", "token 2", HOUR);
    assert_eq!(get(Some("token 2")).await.text(), "text");
    server.revoke_key("lent");
    assert_eq!(get(Some("token 2")).await.refusal(), (403, "InvalidAccessKeyId".to_owned()));
}

#[tokio::test]
async fn a_key_lent_for_no_time_has_expired_with_the_status_that_aws_gives() {
    let server = TestServer::builder().bucket(BUCKET).tokens_as_aws().start();
    server.lend_key("lent", "secret", "token", Duration::ZERO);
    let get = Ask::get(&server, "/lake/a").by(credential("lent", "secret", Some("token"))).send().await;
    assert_eq!(get.refusal(), (400, "ExpiredToken".to_owned()));
}

#[tokio::test]
async fn a_signed_url_gets_and_puts_without_a_key_at_hand() {
    let server = lake();
    let key = Path::from("folder/x y+z");
    let url = |method| {
        let (store, key) = (store(&server), key.clone());
        async move { store.signed_url(method, &key, HOUR).await.expect("a URL").to_string() }
    };
    let ask = |url: String, ask: Ask| Ask { url, ..ask }.unsigned().send();
    let put = ask(url(Method::PUT).await, Ask::put(&server, "", "text")).await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(server.keys(BUCKET), ["folder/x y+z"]);
    assert_eq!(ask(url(Method::GET).await, Ask::get(&server, "")).await.text(), "text");
}

#[tokio::test]
async fn a_signed_url_that_was_changed_or_has_expired_is_refused() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    server.put_raw(BUCKET, "b", "text");
    let url = |life| {
        let store = store(&server);
        async move { store.signed_url(Method::GET, &Path::from("a"), life).await.expect("a URL").to_string() }
    };
    let get = |url: String| Ask { url, ..Ask::get(&server, "") }.unsigned().send();
    let signed = url(HOUR).await;
    assert_eq!(get(signed.clone()).await.text(), "text");
    let tampered = get(signed.replace("/lake/a", "/lake/b")).await;
    assert_eq!(tampered.refusal(), (403, "SignatureDoesNotMatch".to_owned()));
    let longer = get(signed.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")).await;
    assert_eq!(longer.refusal(), (403, "SignatureDoesNotMatch".to_owned()));
    // Signatures tell the time in seconds, so that this one was over before it was made.
    let expired = url(Duration::ZERO).await;
    assert_eq!(get(expired).await.refusal(), (403, "AccessDenied".to_owned()));
}

#[tokio::test]
async fn a_signed_url_of_a_lent_key_ends_with_the_key() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    server.lend_key("lent", "secret", "to/k+en==", HOUR);
    let lent = builder(&server).with_access_key_id("lent").with_secret_access_key("secret");
    let lent = lent.with_token("to/k+en==").build().expect("a store");
    let url = lent.signed_url(Method::GET, &Path::from("a"), HOUR).await.expect("a URL").to_string();
    let get = || Ask { url: url.clone(), ..Ask::get(&server, "") }.unsigned().send();
    assert_eq!(get().await.text(), "text");
    server.expire_key("lent");
    assert_eq!(get().await.refusal(), (403, "ExpiredToken".to_owned()));
}

#[tokio::test]
async fn a_request_signed_for_the_wrong_region_is_told_the_right_one() {
    for (how, refusal) in [
        (WrongRegion::Malformed, (400, "AuthorizationHeaderMalformed".to_owned())),
        (WrongRegion::Redirect, (301, "PermanentRedirect".to_owned())),
    ] {
        let server = TestServer::builder().bucket_in("far", "eu-west-1").wrong_region(how).start();
        server.put_raw("far", "a", "text");
        let wrong = Ask::get(&server, "/far/a").send().await;
        assert_eq!(wrong.refusal(), refusal);
        assert_eq!(wrong.header("x-amz-bucket-region"), Some("eu-west-1"));
        let head = Ask::new(&server, Method::HEAD, "/far").send().await;
        assert_eq!(head.header("x-amz-bucket-region"), Some("eu-west-1"));
        let right = Ask::get(&server, "/far/a").region("eu-west-1").send().await;
        assert_eq!(right.text(), "text");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_was_signed_is_refused() {
    let server = lake();
    let put = Ask::put(&server, "/lake/a", "text");
    // The signature says that it covers the body, and names the hash of another one.
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let url = put.url.clone();
    let store = store(&server);
    let signed = store.signed_url(Method::PUT, &Path::from("a"), HOUR).await.expect("a URL").to_string();
    assert!(signed.starts_with(&url), "{signed}");
    let put = Ask { url: signed, ..put }.unsigned().header("x-amz-content-sha256", hash).send().await;
    assert_eq!(put.status.as_u16() / 100, 4, "{}", put.text());
    assert_eq!(server.keys(BUCKET), Vec::<String>::new());
    assert!(store.list(None).next().await.is_none());
}
