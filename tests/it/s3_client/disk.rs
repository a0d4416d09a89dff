//! Between objects and files: whole or not at all, in parts and by ranges.

use std::path::Path;

use keyfold::ErrorKind;

use super::{BUCKET, MIB, bytes, client, lake, plain, read};
use crate::s3_server::{Effect, Fault, Operation};

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_file_goes_up_and_comes_down_as_it_is() {
    let server = lake();
    let client = client(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let large = 17 * MIB + 1;
    for len in [0, 1, large] {
        std::fs::write(path("up.csv"), bytes(len)).expect("written");
        server.reset_counts();
        let put = client.put_file("a.csv", path("up.csv"), plain()).await.expect("put");
        assert_eq!((put.size, put.content_type.as_deref()), (len as u64, Some("text/csv")));
        assert_eq!(server.get_raw(BUCKET, "a.csv").expect("an object"), bytes(len));
        let parts = if len == large { 3 } else { 0 };
        assert_eq!(server.counts().of(Operation::UploadPart), parts);
        let got = client.get_file("a.csv", path("down.csv")).await.expect("got");
        assert_eq!((got.size, got.e_tag), (len as u64, put.e_tag));
        assert_eq!(std::fs::read(path("down.csv")).expect("a file"), bytes(len));
        let ranges = server.log().into_iter().filter_map(|entry| entry.range);
        let mut ranges: Vec<_> = ranges.collect();
        ranges.sort_unstable();
        let expected: &[&str] = match len {
            0 => &[],
            1 => &["bytes=0-0"],
            _ => &["bytes=0-8388607", "bytes=16777216-17825792", "bytes=8388608-16777215"],
        };
        assert_eq!(ranges, expected);
    }
    assert_eq!(names(folder.path()).len(), 2, "{:?}", names(folder.path()));
}

#[tokio::test]
async fn a_download_that_fails_leaves_what_was_there() {
    let server = lake();
    let client = client(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    std::fs::write(&old, "old").expect("written");
    server.put_raw(BUCKET, "a", bytes(9 * MIB));
    for path in [&old, &new] {
        server.fail(Fault::new(Effect::CutAfter(0)).on(Operation::GetObject).skip(1).always());
        let failed = client.get_file("a", path).await.expect_err("broken");
        assert_eq!(failed.kind(), ErrorKind::Io);
        assert_eq!(failed.message(), "the connection broke off again and again");
        server.heal();
    }
    let missing = client.get_file("missing", &new).await.expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(names(folder.path()), ["old"]);
    assert_eq!(std::fs::read_to_string(&old).expect("a file"), "old");
    let nowhere = client.get_file("a", folder.path().join("no/folder")).await.expect_err("no folder");
    assert_eq!(nowhere.kind(), ErrorKind::NotFound, "{nowhere}");
}

#[tokio::test]
async fn a_download_is_of_one_version() {
    let server = lake();
    let client = client(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    let (old, new) = (bytes(9 * MIB), bytes(9 * MIB - 1));
    server.put_raw(BUCKET, "a", old);
    // The object is replaced before any range is answered.
    let slow = Effect::Latency(std::time::Duration::from_millis(500));
    server.fail(Fault::new(slow).on(Operation::GetObject).always());
    let (failed, ()) = tokio::join!(client.get_file("a", &path), async {
        super::eventually("a range is asked for", || server.counts().of(Operation::GetObject) > 0).await;
        server.put_raw(BUCKET, "a", new);
    });
    let failed = failed.expect_err("replaced");
    assert_eq!((failed.kind(), failed.message()), (ErrorKind::Conflict, "the object has changed meanwhile"));
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told() {
    let server = lake();
    let refused = client(&server).put_file("a", "/no/such/file", plain()).await.expect_err("missing");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.to_string().contains("/no/such/file"), "{refused}");
    assert_eq!(server.counts().total(), 0);
}

#[tokio::test]
async fn a_body_in_memory_goes_up_in_parts_when_it_is_large() {
    let server = lake();
    let client = client(&server);
    let len = 32 * MIB + 1;
    client.put("a", bytes(len), plain()).await.expect("put");
    assert_eq!(server.counts().of(Operation::UploadPart), 5);
    assert_eq!(read(&client, "a").await, bytes(len));
}
