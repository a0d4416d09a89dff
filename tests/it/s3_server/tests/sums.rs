//! Checksums and hashes that come with a body.

use http::Method;
use object_store::aws::Checksum;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use super::client::{Ask, BUCKET, builder, lake};

/// Of `text`, by another program.
const SUMS: [(&str, &str); 3] = [
    ("x-amz-checksum-crc32", "O4unxw=="),
    ("x-amz-checksum-crc32c", "L1MZ4Q=="),
    ("x-amz-checksum-sha256", "mC2ePrmW9VnmM/TRlN7zdh2Qn1o7ZH0ahR/q1nwyydE="),
];
const MD5: &str = "HLJR7A1WjeapKbUgxK7Y0Q==";

#[tokio::test]
async fn a_checksum_is_checked_kept_and_told_to_who_asks() {
    let server = lake();
    for (name, sum) in SUMS {
        let put = |body: &'static str| Ask::put(&server, "/lake/a", body).header(name, sum).send();
        assert_eq!(put("text").await.header(name), Some(sum));
        assert_eq!(put("test").await.refusal(), (400, "BadDigest".to_owned()));
        assert_eq!(server.get_raw(BUCKET, "a").expect("an object"), "text");
        let head = || Ask::new(&server, Method::HEAD, "/lake/a");
        assert_eq!(head().send().await.header(name), None);
        let asked = head().header("x-amz-checksum-mode", "ENABLED").send().await;
        assert_eq!(asked.header(name), Some(sum));
    }
}

#[tokio::test]
async fn a_content_md5_is_checked() {
    let server = lake();
    let put =
        |body: &'static str, md5: &str| Ask::put(&server, "/lake/a", body).header("content-md5", md5).send();
    assert_eq!(put("text", MD5).await.status, 200);
    assert_eq!(put("test", MD5).await.refusal(), (400, "BadDigest".to_owned()));
    for wrong in ["c2hvcnQ=", "not base64"] {
        assert_eq!(put("text", wrong).await.refusal(), (400, "InvalidDigest".to_owned()));
    }
}

#[tokio::test]
async fn a_client_that_sends_checksums_is_served_in_one_piece_and_in_parts() {
    let server = lake();
    server.set_min_part_size(1);
    let store = builder(&server).with_checksum_algorithm(Checksum::SHA256).build().expect("a store");
    store.put(&Path::from("a"), "text".into()).await.expect("a put");
    let path = Path::from("b");
    let id = store.create_multipart(&path).await.expect("an upload");
    let mut parts = Vec::new();
    for (number, part) in ["one,", "two"].into_iter().enumerate() {
        parts.push(store.put_part(&path, &id, number, part.into()).await.expect("a part"));
    }
    store.complete_multipart(&path, &id, parts).await.expect("the end");
    assert_eq!(server.get_raw(BUCKET, "b").expect("an object"), "one,two");
    let head = Ask::new(&server, Method::HEAD, "/lake/b").header("x-amz-checksum-mode", "ENABLED");
    // sha256(sha256("one,") + sha256("two")), by another program.
    let composite = "sUI1T72crosOe10KcaU8ieE4ZUEBzGzfkrKFmwt/Gs0=-2";
    assert_eq!(head.send().await.header("x-amz-checksum-sha256"), Some(composite));
    assert!(store.get_opts(&path, object_store::GetOptions::new()).await.is_ok());
}
