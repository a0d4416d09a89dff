//! Objects: put, read, looked at, copied, listed and deleted.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use keyfold::{Error, ErrorKind, ListEntry, PutOptions};

use super::{BUCKET, MIB, bytes, client, lake, listed, plain, read};
use crate::s3_server::Operation;

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let server = lake();
    let client = client(&server);
    for len in [0, 1, MIB + 1] {
        let put = client.put("a.bin", bytes(len), plain()).await.expect("put");
        assert_eq!(read(&client, "a.bin").await, bytes(len));
        let info = client.head("a.bin").await.expect("looks").expect("an object");
        assert_eq!((info.size, info.size), (len as u64, put.size));
        assert_eq!(info.e_tag, put.e_tag);
        assert_eq!(info.e_tag, server.etag(BUCKET, "a.bin").map(|tag| format!("\"{tag}\"")));
        assert!(info.last_modified.is_some());
        let download = client.get("a.bin").await.expect("an object");
        assert_eq!(download.info(), &info);
    }
    assert!(client.exists("a.bin").await.expect("looks"));
    for _ in 0..2 {
        client.delete("a.bin").await.expect("deleted, or gone already");
    }
    assert!(!client.exists("a.bin").await.expect("looks"));
    assert_eq!(client.head("a.bin").await.expect("looks"), None);
    let missing = client.get("a.bin").await.expect_err("missing");
    assert_eq!((missing.kind(), missing.message()), (ErrorKind::NotFound, "there is no such object"));
}

#[tokio::test]
async fn a_range_is_read_of_the_version_that_was_asked_for() {
    let server = lake();
    let client = client(&server);
    let put = client.put("a", "0123456789", plain()).await.expect("put");
    let e_tag = put.e_tag.as_deref();
    for (range, text) in [(0..10, "0123456789"), (3..4, "3"), (8..10, "89"), (5..5, "")] {
        assert_eq!(client.get_range("a", range, e_tag).await.expect("bytes"), text);
    }
    let behind = client.get_range("a", 10..11, None).await.expect_err("behind the end");
    assert_eq!(behind.kind(), ErrorKind::InvalidInput, "{behind}");
    let short = client.get_range("a", 8..12, None).await.expect_err("not so many");
    assert_eq!(short.kind(), ErrorKind::Io, "{short}");
    server.put_raw(BUCKET, "a", "other bytes");
    let changed = client.get_range("a", 0..2, e_tag).await.expect_err("another version");
    assert_eq!(
        (changed.kind(), changed.message()),
        (ErrorKind::Conflict, "the object has changed meanwhile")
    );
}

#[tokio::test]
async fn a_stream_is_put_whole_or_in_parts_and_read_as_it_comes() {
    let server = lake();
    let client = client(&server);
    let pieces = |len: usize, by: usize| {
        let all = bytes(len);
        let cut = (0..len).step_by(by).map(move |at| Ok(all.slice(at..(at + by).min(len))));
        stream::iter(cut.collect::<Vec<Result<_, Error>>>())
    };
    let options = plain().with_part_size(5 * MIB as u64);
    client.put_stream("none", stream::empty(), options.clone()).await.expect("put");
    assert_eq!(read(&client, "none").await, "");
    client.put_stream("small", pieces(1000, 7), options.clone()).await.expect("put");
    assert_eq!(read(&client, "small").await, bytes(1000));
    assert_eq!(server.counts().of(Operation::CreateMultipartUpload), 0);
    let len = 10 * MIB + 3;
    // One piece with several parts in it, and many that make up one part.
    for by in [len, 100_003] {
        server.reset_counts();
        let put = client.put_stream("large", pieces(len, by), options.clone()).await.expect("put");
        assert_eq!(put.size, len as u64);
        let parts = server.log().into_iter().filter(|entry| entry.operation == Operation::UploadPart);
        let mut parts: Vec<_> = parts.map(|entry| entry.bytes_in).collect();
        parts.sort_unstable();
        assert_eq!(parts, [3, 5 * MIB as u64, 5 * MIB as u64]);
        let stream = client.get("large").await.expect("an object").into_stream();
        let read: Vec<_> = stream.try_collect().await.expect("its bytes");
        assert!(read.len() > 1, "it came in one piece");
        assert_eq!(read.concat(), bytes(len));
    }
}

#[tokio::test]
async fn a_stream_that_fails_leaves_nothing() {
    let server = lake();
    let client = client(&server);
    for pieces in [1, 2] {
        let fine = stream::repeat_with(|| Ok(bytes(5 * MIB))).take(pieces);
        let failed = stream::iter([Err(Error::new(ErrorKind::InvalidData, "broken"))]);
        let options = plain().with_part_size(5 * MIB as u64);
        let put = client.put_stream("a", fine.chain(failed), options).await.expect_err("broken");
        assert_eq!((put.kind(), put.message()), (ErrorKind::InvalidData, "broken"));
        assert_eq!((server.keys(BUCKET).len(), server.uploads().len()), (0, 0));
    }
}

#[tokio::test]
async fn names_tell_their_type_and_what_users_say_stays() {
    let server = lake();
    let client = client(&server);
    for (key, expected) in [
        ("a/b.csv", "text/csv"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.json", "application/json"),
        ("a", "application/octet-stream"),
    ] {
        client.put(key, "x", plain()).await.expect("put");
        let info = client.head(key).await.expect("looks").expect("an object");
        assert_eq!(info.content_type.as_deref(), Some(expected), "{key}");
    }
    let options = PutOptions::default()
        .with_content_type("text/x-own; charset=utf-8")
        .with_metadata("Owner", "ada & co")
        .with_metadata("empty", "");
    client.put("own.csv", "x", options).await.expect("put");
    let info = client.head("own.csv").await.expect("looks").expect("an object");
    assert_eq!(info.content_type.as_deref(), Some("text/x-own; charset=utf-8"));
    assert_eq!(info.metadata.get("owner").map(String::as_str), Some("ada & co"));
    for (name, value) in [("name", "ä"), ("a b", "x"), ("name", "a\nb")] {
        let refused = client.put("odd", "x", plain().with_metadata(name, value)).await.expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::Usage, "{name} {value}");
    }
}

#[tokio::test]
async fn a_copy_keeps_type_and_metadata_across_buckets() {
    let server = lake();
    server.create_bucket("other");
    let client = client(&server);
    let other = client.with_bucket("other");
    let options = plain().with_content_type("text/x-own").with_metadata("owner", "ada");
    client.put("a b+c", "text", options).await.expect("put");
    server.reset_counts();
    for to in [&client, &other] {
        let copy = to.copy_from(&client, "a b+c", "copy/ä").await.expect("copied");
        assert_eq!((copy.key.as_str(), copy.size), ("copy/ä", 4));
        let info = to.head("copy/ä").await.expect("looks").expect("an object");
        assert_eq!((info.content_type, info.e_tag), (Some("text/x-own".to_owned()), copy.e_tag));
        assert_eq!(info.metadata.get("owner").map(String::as_str), Some("ada"));
        assert_eq!(read(to, "copy/ä").await, "text");
    }
    assert_eq!(server.counts().of(Operation::PutObject), 0, "the service copies by itself");
    let missing = other.copy_from(&client, "missing", "x").await.expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
}

#[tokio::test]
async fn a_list_has_all_keys_in_the_order_of_their_bytes() {
    let server = lake();
    let mut expected: Vec<_> = (0..2300).map(|number| format!("p/{number}")).collect();
    for key in &expected {
        server.put_raw(BUCKET, key, "x");
    }
    server.put_raw(BUCKET, "p", "x");
    server.put_raw(BUCKET, "q", "x");
    expected.sort_unstable();
    let client = client(&server);
    assert_eq!(listed(&client, "p/").await, expected);
    assert_eq!(server.counts().of(Operation::ListObjectsV2), 3);
    assert_eq!(listed(&client, "p/22").await.len(), 111, "a prefix is a string, not a folder");
    assert!(listed(&client, "none").await.is_empty());
    let first = client.list("").next().await.expect("one").expect("an object");
    assert_eq!((first.key.as_str(), first.size), ("p", 1));
    assert!(first.e_tag.is_some() && first.last_modified.is_some());
}

#[tokio::test]
async fn a_folder_has_objects_and_prefixes() {
    let server = lake();
    for key in ["a/1", "a/b c/2", "a/b c/3", "a//4", "ab"] {
        server.put_raw(BUCKET, key, "x");
    }
    let found: Vec<_> = client(&server).list_folder("a/").try_collect().await.expect("a list");
    let names: Vec<_> = found
        .into_iter()
        .map(|entry| match entry {
            ListEntry::Object(object) => object.key,
            ListEntry::Prefix(prefix) => format!("{prefix}*"),
            _ => panic!("neither an object nor a prefix"),
        })
        .collect();
    assert_eq!(names, ["a//*", "a/b c/*", "a/1"]);
}

#[tokio::test]
async fn many_objects_are_deleted_a_thousand_at_a_time() {
    let server = lake();
    let keys: Vec<_> = (0..2300).map(|number| format!("{number}")).collect();
    for key in &keys {
        server.put_raw(BUCKET, key, "x");
    }
    server.put_raw(BUCKET, "stays", "x");
    let client = client(&server);
    client.delete_many(&keys).await.expect("deleted");
    assert_eq!(server.keys(BUCKET), ["stays"]);
    assert_eq!(server.counts().of(Operation::DeleteObjects), 3);
    client.delete_many(&keys).await.expect("gone already");
    client.delete_many(&[]).await.expect("nothing to do");
    let refused = client.with_bucket("missing").delete_many(&keys).await.expect_err("no bucket");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
}
