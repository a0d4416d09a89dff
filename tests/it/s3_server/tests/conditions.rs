//! Conditions of single requests.

use http::Method;

use super::client::{Ask, BUCKET, lake};
use crate::s3_server::TestServer;

fn quoted(server: &TestServer, key: &str) -> String {
    format!("\"{}\"", server.etag(BUCKET, key).expect("an object"))
}

#[tokio::test]
async fn a_put_that_creates_fails_where_something_is() {
    let server = lake();
    let put = || Ask::put(&server, "/lake/a", "new").header("if-none-match", "*");
    assert_eq!(put().send().await.status, 200);
    assert_eq!(put().send().await.refusal(), (412, "PreconditionFailed".to_owned()));
}

#[tokio::test]
async fn a_put_that_replaces_fails_on_another_version_and_on_none() {
    let server = lake();
    let put =
        |key: &str, etag: &str| Ask::put(&server, &format!("/lake/{key}"), "new").header("if-match", etag);
    server.put_raw(BUCKET, "a", "old");
    let read = quoted(&server, "a");
    assert_eq!(put("b", &read).send().await.refusal(), (404, "NoSuchKey".to_owned()));
    assert_eq!(put("a", &read).send().await.status, 200);
    assert_eq!(put("a", &read).send().await.refusal(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(server.get_raw(BUCKET, "a").expect("an object"), "new");
}

#[tokio::test]
async fn a_get_can_ask_for_one_version_or_for_any_other() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    let get = |name, value: String| Ask::get(&server, "/lake/a").header(name, value).send();
    let etag = quoted(&server, "a");
    assert_eq!(get("if-match", etag.clone()).await.text(), "text");
    assert_eq!(get("if-match", "\"other\"".into()).await.status, 412);
    assert_eq!(get("if-none-match", etag).await.status, 304);
    assert_eq!(get("if-none-match", "\"other\"".into()).await.text(), "text");
}

#[tokio::test]
async fn a_delete_can_ask_for_one_version() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    let delete = |etag: String| Ask::new(&server, Method::DELETE, "/lake/a").header("if-match", etag).send();
    let etag = quoted(&server, "a");
    assert_eq!(delete("\"other\"".into()).await.status, 412);
    assert_eq!(server.keys(BUCKET), ["a"]);
    assert_eq!(delete(etag.clone()).await.status, 204);
    assert_eq!(delete(etag).await.status, 404);
}

#[tokio::test]
async fn a_copy_heeds_the_version_of_its_source_and_what_is_at_its_target() {
    let server = lake();
    server.put_raw(BUCKET, "from", "text");
    let etag = quoted(&server, "from");
    let copy = || Ask::put(&server, "/lake/to", "").header("x-amz-copy-source", "lake/from");
    let stale = copy().header("x-amz-copy-source-if-match", "\"other\"").send().await;
    assert_eq!(stale.status, 412);
    assert_eq!(copy().header("x-amz-copy-source-if-match", etag).send().await.status, 200);
    assert_eq!(server.get_raw(BUCKET, "to").expect("a copy"), "text");
    let taken = copy().header("if-none-match", "*").send().await;
    assert_eq!(taken.refusal(), (412, "PreconditionFailed".to_owned()));
}

#[tokio::test]
async fn a_server_told_to_ignore_conditions_writes_whatever_is_there() {
    let server = lake();
    server.put_raw(BUCKET, "a", "old");
    server.ignore_conditions(true);
    let put = Ask::put(&server, "/lake/a", "new").header("if-none-match", "*").send().await;
    assert_eq!(put.status, 200);
    assert_eq!(server.get_raw(BUCKET, "a").expect("an object"), "new");
    let get = Ask::get(&server, "/lake/a").header("if-match", "\"other\"").send().await;
    assert_eq!(get.status, 200);
}
