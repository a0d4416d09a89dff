//! Buckets.

use keyfold::{ErrorKind, S3Client};

use super::{client, plain, settings};
use crate::s3_server::{Effect, Fault, Operation, TestServer};

#[tokio::test]
async fn a_bucket_is_made_in_the_region_of_the_client() {
    let server = TestServer::start();
    for (name, region) in [("first", "us-east-1"), ("second", "eu-west-1")] {
        let client = S3Client::new(settings(&server).with_region(region)).expect("a client");
        assert!(!client.bucket_exists(name).await.expect("looks"));
        client.create_bucket(name).await.expect("made");
        assert!(client.bucket_exists(name).await.expect("looks"));
        assert_eq!(client.bucket_location(name).await.expect("a region"), region);
        assert_eq!(client.region(), region);
        client.with_bucket(name).put("a", "text", plain()).await.expect("put");
    }
    let names: Vec<_> = client(&server).list_buckets().await.expect("a list");
    assert!(names.iter().all(|bucket| bucket.created.is_some()));
    let names: Vec<_> = names.into_iter().map(|bucket| bucket.name).collect();
    assert_eq!(names, ["first", "second"]);
}

#[tokio::test]
async fn a_name_that_is_taken_and_one_that_is_none_are_refused() {
    let server = TestServer::builder().bucket("taken").start();
    let client = client(&server);
    let taken = client.create_bucket("taken").await.expect_err("taken");
    assert_eq!((taken.kind(), taken.message()), (ErrorKind::AlreadyExists, "the bucket is yours already"));
    let none = client.create_bucket("a/b").await.expect_err("no name");
    assert_eq!((none.kind(), none.message()), (ErrorKind::Usage, "this is not the name of a bucket"));
    let missing = client.bucket_location("missing").await.expect_err("missing");
    assert_eq!((missing.kind(), missing.message()), (ErrorKind::NotFound, "the bucket does not exist"));
}

#[tokio::test]
async fn a_bucket_that_is_not_empty_goes_only_by_force() {
    let server = TestServer::builder().bucket("full").start();
    let client = client(&server).with_bucket("full");
    for key in ["a", "b//c"] {
        client.put(key, "text", plain()).await.expect("put");
    }
    std::mem::forget(client.start_upload("pending", plain()).await.expect("an upload"));
    let refused = client.delete_bucket("full").await.expect_err("not empty");
    assert_eq!((refused.kind(), refused.message()), (ErrorKind::Conflict, "the bucket is not empty"));
    assert_eq!(refused.hint_text(), Some("empty it first, or force it"));
    assert_eq!(server.keys("full").len(), 2);
    assert_eq!(client.delete_bucket_and_objects("full").await.expect("deleted"), 2);
    assert!(!client.bucket_exists("full").await.expect("looks"));
    assert!(server.uploads().is_empty());
    let gone = client.delete_bucket("full").await.expect_err("gone");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_bucket_is_made_and_deleted_although_the_answer_was_lost() {
    let server = TestServer::start();
    let client = client(&server);
    server.fail(Fault::new(Effect::ErrorAfter).on(Operation::CreateBucket));
    client.create_bucket("new").await.expect("made");
    server.fail(Fault::new(Effect::CloseAfter).on(Operation::DeleteBucket));
    client.delete_bucket("new").await.expect("deleted");
    assert_eq!(server.counts().of(Operation::DeleteBucket), 2);
}
