//! Uploads in parts.

use http::Method;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, WriteMultipart};

use super::client::{Answer, Ask, BUCKET, lake, store};
use crate::s3_server::{Operation, TestServer};

async fn begin(server: &TestServer, key: &str) -> String {
    let begun = Ask::new(server, Method::POST, &format!("/lake/{key}?uploads")).send().await;
    begun.element("UploadId").expect("an id")
}

async fn part(server: &TestServer, key: &str, id: &str, number: usize, body: &'static str) -> String {
    let path = format!("/lake/{key}?partNumber={number}&uploadId={id}");
    let answer = Ask::put(server, &path, body).send().await;
    answer.header("etag").expect("an etag").to_owned()
}

fn complete(server: &TestServer, key: &str, id: &str, parts: &[(usize, String)]) -> Ask {
    let listed = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    let body = format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}</CompleteMultipartUpload>",
        listed.collect::<String>()
    );
    let path = format!("/lake/{key}?uploadId={id}");
    Ask { body: body.into(), ..Ask::new(server, Method::POST, &path) }
}

/// An upload of two small parts, ready to be completed.
async fn two_parts(server: &TestServer, key: &str) -> (String, Vec<(usize, String)>) {
    let id = begin(server, key).await;
    let one = part(server, key, &id, 1, "one,").await;
    let two = part(server, key, &id, 2, "two").await;
    (id, vec![(1, one), (2, two)])
}

#[tokio::test]
async fn an_upload_is_seen_only_when_it_is_complete() {
    let server = lake();
    let store = store(&server);
    let upload = store.put_multipart(&Path::from("big")).await.expect("an upload");
    let mut upload = WriteMultipart::new_with_chunk_size(upload, 5 * 1024 * 1024);
    upload.write(&vec![7; 12 * 1024 * 1024]);
    upload.wait_for_capacity(0).await.expect("parts");
    assert_eq!(server.keys(BUCKET), Vec::<String>::new());
    assert_eq!(server.uploads().len(), 1);
    upload.finish().await.expect("the end");
    assert_eq!(server.get_raw(BUCKET, "big").expect("an object").len(), 12 * 1024 * 1024);
    assert!(server.etag(BUCKET, "big").expect("an etag").ends_with("-3"));
    assert_eq!(server.uploads(), []);
    assert_eq!(server.counts().of(Operation::UploadPart), 3);
}

#[tokio::test]
async fn the_etag_of_an_upload_is_the_hash_of_the_hashes_of_its_parts() {
    let server = lake();
    server.set_min_part_size(1);
    let (id, parts) = two_parts(&server, "a").await;
    assert_eq!(complete(&server, "a", &id, &parts).send().await.status, 200);
    assert_eq!(server.get_raw(BUCKET, "a").expect("an object"), "one,two");
    // md5(md5("one,") + md5("two")), by another program.
    assert_eq!(server.etag(BUCKET, "a").expect("an etag"), "147b21b10c6235452dc1186689d9284e-2");
}

#[tokio::test]
async fn small_parts_are_refused_except_the_last() {
    let server = lake();
    let (id, parts) = two_parts(&server, "a").await;
    let small = complete(&server, "a", &id, &parts).send().await;
    assert_eq!(small.refusal(), (400, "EntityTooSmall".to_owned()));
    assert_eq!(complete(&server, "a", &id, &parts[1..]).send().await.status, 200);
}

#[tokio::test]
async fn parts_out_of_order_unknown_or_changed_are_refused() {
    let server = lake();
    server.set_min_part_size(1);
    let (id, parts) = two_parts(&server, "a").await;
    let [one, two] = [parts[0].clone(), parts[1].clone()];
    let refused = |parts: Vec<(usize, String)>| {
        let ask = complete(&server, "a", &id, &parts);
        async move { ask.send().await.refusal() }
    };
    assert_eq!(refused(vec![two.clone(), one.clone()]).await, (400, "InvalidPartOrder".to_owned()));
    assert_eq!(refused(vec![one.clone(), (3, two.1)]).await, (400, "InvalidPart".to_owned()));
    assert_eq!(refused(vec![one.clone(), (2, one.1)]).await, (400, "InvalidPart".to_owned()));
    assert_eq!(refused(Vec::new()).await, (400, "MalformedXML".to_owned()));
    let unknown = complete(&server, "b", &id, &parts).send().await;
    assert_eq!(unknown.refusal(), (404, "NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn an_upload_can_end_on_conditions_and_stays_pending_where_they_fail() {
    let server = lake();
    server.set_min_part_size(1);
    server.put_raw(BUCKET, "a", "old");
    let etag = format!("\"{}\"", server.etag(BUCKET, "a").expect("an etag"));
    let (id, parts) = two_parts(&server, "a").await;
    let end = |name, value: &str| complete(&server, "a", &id, &parts).header(name, value).send();
    assert_eq!(end("if-none-match", "*").await.refusal(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(end("if-match", "\"other\"").await.refusal(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(server.uploads().len(), 1);
    assert_eq!(end("if-match", &etag).await.status, 200);
    assert_eq!(server.get_raw(BUCKET, "a").expect("an object"), "one,two");
    let (id, parts) = two_parts(&server, "new").await;
    let created = complete(&server, "new", &id, &parts).header("if-none-match", "*").send().await;
    assert_eq!(created.status, 200);
}

#[tokio::test]
async fn uploads_and_parts_are_listed_until_they_are_aborted() {
    let server = lake();
    let store = store(&server);
    let path = Path::from("x y+z");
    let id = store.create_multipart(&path).await.expect("an upload");
    store.put_part(&path, &id, 0, "part".into()).await.expect("a part");
    begin(&server, "other").await;
    let list = |query: &str| Ask::get(&server, &format!("/lake?uploads{query}")).send();
    let listed = list("&prefix=x").await;
    assert_eq!(
        (listed.element("Key"), listed.element("UploadId")),
        (Some("x y+z".to_owned()), Some(id.clone()))
    );
    let first = list("&max-uploads=1").await;
    assert_eq!(first.element("NextKeyMarker").as_deref(), Some("other"));
    assert_eq!(list("&key-marker=other").await.element("UploadId"), Some(id.clone()));
    let parts: Answer = Ask::get(&server, &format!("/lake/x%20y%2Bz?uploadId={id}")).send().await;
    assert_eq!(
        (parts.element("PartNumber"), parts.element("Size")),
        (Some("1".to_owned()), Some("4".to_owned()))
    );
    store.abort_multipart(&path, &id).await.expect("an abort");
    assert_eq!(server.uploads().len(), 1);
    let again = Ask::new(&server, Method::DELETE, &format!("/lake/x%20y%2Bz?uploadId={id}")).send().await;
    assert_eq!(again.refusal(), (404, "NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn a_part_can_be_a_copy_of_a_range() {
    let server = lake();
    server.put_raw(BUCKET, "from", "0123456789");
    let id = begin(&server, "to").await;
    let copy = |range: &str| {
        let path = format!("/lake/to?partNumber=1&uploadId={id}");
        let ask = Ask::put(&server, &path, "").header("x-amz-copy-source", "lake/from");
        ask.header("x-amz-copy-source-range", range).send()
    };
    assert_eq!(copy("bytes=5-10").await.status, 416);
    let copied = copy("bytes=2-4").await;
    let etag = copied.element("ETag").expect("an etag").replace("&quot;", "\"");
    let end = complete(&server, "to", &id, &[(1, etag)]).send().await;
    assert_eq!(end.status, 200, "{}", end.text());
    assert_eq!(server.get_raw(BUCKET, "to").expect("an object"), "234");
    assert_eq!(server.counts().of(Operation::UploadPartCopy), 2);
}
