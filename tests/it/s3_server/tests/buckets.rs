//! Buckets: made, found, deleted.

use http::Method;

use super::client::{Ask, BUCKET, lake};
use crate::s3_server::TestServer;

fn constraint(region: &str) -> String {
    format!(
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    )
}

#[tokio::test]
async fn a_bucket_is_made_where_its_constraint_says() {
    let server = TestServer::start();
    assert_eq!(Ask::put(&server, "/near", "").send().await.status, 200);
    let far = Ask::put(&server, "/far", constraint("eu-west-1")).region("eu-west-1").send().await;
    assert_eq!(far.status, 200, "{}", far.text());
    let head = Ask::new(&server, Method::HEAD, "/far").region("eu-west-1").send().await;
    assert_eq!(head.header("x-amz-bucket-region"), Some("eu-west-1"));
    let location = Ask::get(&server, "/far?location").send().await;
    assert!(location.text().contains(">eu-west-1</LocationConstraint>"), "{}", location.text());
    let location = Ask::get(&server, "/near?location").send().await;
    assert!(!location.text().contains("us-east-1"), "{}", location.text());
}

#[tokio::test]
async fn a_constraint_that_the_endpoint_does_not_take_is_refused() {
    let server = TestServer::start();
    let first = Ask::put(&server, "/a-bucket", constraint("us-east-1")).send().await;
    assert_eq!(first.refusal(), (400, "InvalidLocationConstraint".to_owned()));
    for body in [constraint("us-west-2"), String::new()] {
        let other = Ask::put(&server, "/a-bucket", body).region("eu-west-1").send().await;
        assert_eq!(other.refusal(), (400, "IllegalLocationConstraintException".to_owned()));
    }
}

#[tokio::test]
async fn a_bucket_is_made_once_and_listed() {
    let server = lake();
    let again = Ask::put(&server, "/lake", "").send().await;
    assert_eq!(again.refusal(), (409, "BucketAlreadyOwnedByYou".to_owned()));
    let list = Ask::get(&server, "/").send().await;
    assert_eq!(list.element("Name").as_deref(), Some(BUCKET));
    let wrong = Ask::put(&server, "/Not_A_Bucket", "").send().await;
    assert_eq!(wrong.refusal(), (400, "InvalidBucketName".to_owned()));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_to_be_missing() {
    let server = TestServer::start();
    assert_eq!(Ask::new(&server, Method::HEAD, "/nowhere").send().await.status, 404);
    for method in [Method::GET, Method::DELETE] {
        let asked = Ask::new(&server, method, "/nowhere").send().await;
        assert_eq!(asked.refusal(), (404, "NoSuchBucket".to_owned()));
    }
    let put = Ask::put(&server, "/nowhere/a", "text").send().await;
    assert_eq!(put.refusal(), (404, "NoSuchBucket".to_owned()));
}

#[tokio::test]
async fn a_bucket_is_deleted_only_when_it_is_empty() {
    let server = lake();
    server.put_raw(BUCKET, "a", "text");
    let delete = |path: &str| Ask::new(&server, Method::DELETE, path).send();
    assert_eq!(delete("/lake").await.refusal(), (409, "BucketNotEmpty".to_owned()));
    assert_eq!(delete("/lake/a").await.status, 204);
    assert_eq!(delete("/lake").await.status, 204);
    assert_eq!(delete("/lake").await.status, 404);
}
