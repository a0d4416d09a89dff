//! Uploads in parts.

use keyfold::{ErrorKind, PutCondition};

use super::{BUCKET, MIB, bytes, client, eventually, lake, plain, read};
use crate::s3_server::{Effect, Fault, Operation};

#[tokio::test]
async fn nothing_is_seen_before_the_last_part() {
    let server = lake();
    server.set_min_part_size(10);
    let client = client(&server);
    let options = plain().with_content_type("text/x-own").with_metadata("owner", "ada");
    let mut upload = client.start_upload("a", options).await.expect("an upload");
    for part in 0..9 {
        upload.queue(bytes(90).slice(part * 10..(part + 1) * 10)).await.expect("queued");
    }
    assert_eq!(client.head("a").await.expect("looks"), None);
    upload.queue("end".into()).await.expect("queued");
    let put = upload.complete().await.expect("complete");
    assert_eq!(put.size, 93);
    assert_eq!(read(&client, "a").await, [&bytes(90)[..], b"end"].concat());
    let info = client.head("a").await.expect("looks").expect("an object");
    assert_eq!((info.content_type.as_deref(), &info.e_tag), (Some("text/x-own"), &put.e_tag));
    assert_eq!(info.metadata.get("owner").map(String::as_str), Some("ada"));
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn an_upload_that_is_dropped_or_aborted_leaves_no_parts() {
    let server = lake();
    let client = client(&server);
    let mut upload = client.start_upload("a", plain()).await.expect("an upload");
    upload.queue(bytes(10)).await.expect("queued");
    upload.abort().await.expect("aborted");
    assert!(server.uploads().is_empty(), "whoever aborts waits for it");
    let mut upload = client.start_upload("a", plain()).await.expect("an upload");
    upload.queue(bytes(10)).await.expect("queued");
    assert_eq!(server.uploads().len(), 1);
    drop(upload);
    eventually("the parts are gone", || server.uploads().is_empty()).await;
    assert!(server.keys(BUCKET).is_empty());
}

#[tokio::test]
async fn an_upload_that_fails_has_no_parts_when_the_error_is_told() {
    let server = lake();
    let client = client(&server);
    server.put_raw(BUCKET, "a", "there");
    let options = plain().with_condition(PutCondition::IfAbsent);
    let mut upload = client.start_upload("a", options).await.expect("an upload");
    upload.queue(bytes(10)).await.expect("queued");
    let refused = upload.complete().await.expect_err("there is one");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert!(server.uploads().is_empty(), "a program that ends now leaves nothing behind");
    // Parts that are too small are refused only at the end.
    let mut upload = client.start_upload("a", plain()).await.expect("an upload");
    for part in ["1", "2"] {
        upload.queue(part.into()).await.expect("queued");
    }
    let refused = upload.complete().await.expect_err("too small");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused:?}");
    assert!(server.uploads().is_empty());
    assert_eq!(read(&client, "a").await, "there");
}

#[tokio::test]
async fn uploads_that_nobody_completed_are_found_and_aborted() {
    let server = lake();
    let client = client(&server);
    for number in 0..1001 {
        let upload = client.start_upload(&format!("a b+c/{number}"), plain()).await.expect("an upload");
        std::mem::forget(upload);
    }
    std::mem::forget(client.start_upload("other", plain()).await.expect("an upload"));
    let pending = client.pending_uploads("a b+c/").await.expect("a list");
    assert_eq!(pending.len(), 1001);
    assert_eq!(server.counts().of(Operation::ListMultipartUploads), 2);
    assert!(pending.iter().all(|upload| upload.started.is_some()));
    for upload in pending.iter().take(3).chain(pending.first()) {
        client.abort_upload(upload).await.expect("aborted, or gone already");
    }
    assert_eq!(client.pending_uploads("a b+c/").await.expect("a list").len(), 998);
    assert_eq!(client.pending_uploads("").await.expect("a list").len(), 999);
}

#[tokio::test]
async fn a_part_that_fails_for_good_fails_the_upload() {
    let server = lake();
    let client = client(&server);
    let mut upload = client.start_upload("a", plain()).await.expect("an upload");
    client.abort_upload(&client.pending_uploads("a").await.expect("a list")[0]).await.expect("aborted");
    upload.queue(bytes(10)).await.expect("on its way");
    let failed = upload.complete().await.expect_err("nothing to complete");
    assert_eq!(failed.kind(), ErrorKind::NotFound);
    assert_eq!(failed.message(), "there is no such multipart upload");
    server.fail(Fault::new(Effect::SlowDown).on(Operation::UploadPart).times(3));
    let mut upload = client.start_upload("a", plain()).await.expect("an upload");
    upload.queue(bytes(10)).await.expect("queued");
    upload.complete().await.expect("the part was sent again");
}

#[tokio::test]
async fn sizes_of_parts_that_no_service_takes_are_refused() {
    let server = lake();
    let client = client(&server);
    for size in [0, 1, (5 * MIB - 1) as u64, (5 << 30) + 1] {
        let refused = client.start_upload("a", plain().with_part_size(size)).await.expect_err("refused");
        assert_eq!((refused.kind(), refused.message()), (ErrorKind::Usage, "a part has 5 MiB to 5 GiB"));
    }
    assert_eq!(server.counts().total(), 0);
}

#[tokio::test]
async fn an_upload_that_met_another_writer_at_its_end_is_sent_again_with_all_parts() {
    let server = lake();
    let client = client(&server);
    server.fail(Fault::new(Effect::Conflict).on(Operation::CompleteMultipartUpload).times(2));
    let large = bytes(33 * MIB);
    let options = plain().with_condition(PutCondition::IfAbsent);
    client.put("a", large.clone(), options.clone()).await.expect("put");
    assert_eq!(read(&client, "a").await, large);
    assert_eq!(server.counts().of(Operation::CreateMultipartUpload), 3);
    assert_eq!(server.counts().of(Operation::CompleteMultipartUpload), 3, "none is asked for twice");
    assert!(server.uploads().is_empty());
    server.fail(Fault::new(Effect::Conflict).on(Operation::CompleteMultipartUpload).always());
    let refused = client.put("b", large, options).await.expect_err("always another writer");
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused:?}");
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn whoever_wants_to_know_is_told_how_far_a_transfer_has_come() {
    let server = lake();
    let session = keyfold::Session::default();
    let client = client(&server).with_progress(session.progress().clone());
    let folder = tempfile::tempdir().expect("a folder");
    let (path, large) = (folder.path().join("a"), bytes(17 * MIB));
    std::fs::write(&path, &large).expect("written");
    let all = (large.len() as u64, large.len() as u64);
    client.put_file("a", &path, plain()).await.expect("put");
    assert_eq!(session.progress().get(), all);
    session.progress().start(0);
    client.get_file("a", &path).await.expect("got");
    assert_eq!(session.progress().get(), all);
}
