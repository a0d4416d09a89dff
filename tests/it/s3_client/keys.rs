//! Keys that other tools break: each goes through everything and comes back as it is.

use std::time::Duration;

use keyfold::ErrorKind;

use super::{BUCKET, bytes, client, lake, listed, plain, read};
use crate::s3_server::Operation;

const KEYS: &[&str] = &[
    "a//b",
    "/lead",
    "//",
    "trail/",
    "x y+z",
    "a+b",
    " spaces ",
    "100%",
    "a%2Fb",
    "ä/日本/🙂",
    "quo\"te's",
    "&<>&amp;",
    "a?b=c#d",
    "~k=v;c,d:e@f$g!h*i(j)_-.",
    "[x]{y}|z^`\\",
    ".../..hidden",
];

fn keys() -> Vec<String> {
    let mut keys: Vec<_> = KEYS.iter().map(|key| (*key).to_owned()).collect();
    keys.push("ü".repeat(512));
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_key_is_put_found_listed_copied_and_deleted_as_it_is() {
    let server = lake();
    let client = client(&server);
    for key in &keys() {
        client.put(key, key.clone(), plain()).await.expect(key);
        assert_eq!(read(&client, key).await, key.as_bytes());
        let info = client.head(key).await.expect(key).expect(key);
        assert_eq!((&info.key, info.size), (key, key.len() as u64));
        assert!(listed(&client, key).await.contains(key), "{key}");
    }
    assert_eq!(server.keys(BUCKET), keys());
    assert_eq!(listed(&client, "").await, keys());
    server.create_bucket("other");
    let other = client.with_bucket("other");
    for key in &keys() {
        other.copy_from(&client, key, key).await.expect(key);
        client.delete(key).await.expect(key);
    }
    assert_eq!((server.keys(BUCKET).len(), server.keys("other")), (0, keys()));
    other.delete_many(&keys()).await.expect("deleted");
    assert!(server.keys("other").is_empty());
}

#[tokio::test]
async fn a_key_with_control_characters_is_deleted_among_many() {
    let server = lake();
    let keys: Vec<_> = ["a\nb", "a\rb", "a\tb", "\u{1}", "plain"].map(str::to_owned).into();
    let client = client(&server);
    for key in &keys {
        client.put(key, "x", plain()).await.expect("put");
        assert_eq!(read(&client, key).await, "x");
    }
    client.delete_many(&keys).await.expect("deleted");
    assert!(server.keys(BUCKET).is_empty(), "{:?}", server.keys(BUCKET));
    // Other services read XML more strictly than this one.
    assert_eq!(server.counts().of(Operation::DeleteObject), 4, "one by one, because XML cannot hold them");
}

#[tokio::test]
async fn a_key_is_uploaded_in_parts_as_it_is() {
    let server = lake();
    server.set_min_part_size(1);
    let client = client(&server);
    for key in &keys() {
        let mut upload = client.start_upload(key, plain()).await.expect(key);
        for part in ["1", "2"] {
            upload.queue(part.into()).await.expect(key);
        }
        let pending = client.pending_uploads(key).await.expect(key);
        assert!(pending.iter().any(|upload| upload.key == *key), "{key}: {pending:?}");
        upload.complete().await.expect(key);
        assert_eq!(server.get_raw(BUCKET, key).expect(key), "12");
    }
    assert_eq!(server.keys(BUCKET), keys());
}

#[tokio::test]
async fn a_key_is_signed_for_as_it_is() {
    let server = lake();
    let client = client(&server);
    let http = reqwest::Client::new();
    let hour = Duration::from_hours(1);
    for key in &keys() {
        let url = client.presign_put(key, hour).await.expect(key);
        let put = http.put(url.expose()).body(bytes(3)).send().await.expect(key);
        assert_eq!(put.status(), 200, "{key}");
        let url = client.presign_get(key, hour).await.expect(key);
        let got = http.get(url.expose()).send().await.expect(key);
        assert_eq!(
            (got.status(), got.bytes().await.expect(key)),
            (reqwest::StatusCode::OK, bytes(3)),
            "{key}"
        );
    }
    assert_eq!(server.keys(BUCKET), keys());
}

#[tokio::test]
async fn a_key_that_no_url_can_carry_is_refused_before_anything_is_sent() {
    let server = lake();
    let client = client(&server);
    for key in ["", ".", "..", "a/../b", "./a", &"x".repeat(1025)] {
        let refused = [
            client.put(key, "x", plain()).await.map(|_| ()),
            client.get(key).await.map(|_| ()),
            client.head(key).await.map(|_| ()),
            client.delete(key).await,
            client.start_upload(key, plain()).await.map(|_| ()),
            client.presign_get(key, Duration::from_secs(9)).await.map(|_| ()),
        ];
        for refused in refused {
            assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Usage), "{key}");
        }
    }
    assert_eq!(server.counts().total(), 0);
}
