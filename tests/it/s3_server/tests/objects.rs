//! Objects: keys as they are, ranges, attributes, lists, deletes; and what is counted of all that.

use http::Method;
use object_store::path::Path;
use object_store::{Attribute, Attributes, GetRange, ObjectStore as _, ObjectStoreExt as _, PutOptions};

use super::client::{Answer, Ask, BUCKET, lake, store};
use crate::s3_server::{Operation, TestServer};

/// Keys that other servers alter, and how they are written in a URL.
const ODD: [(&str, &str); 6] = [
    ("a//b", "a//b"),
    ("x y+z", "x%20y%2Bz"),
    ("100%", "100%25"),
    ("ключ/日本", "%D0%BA%D0%BB%D1%8E%D1%87/%E6%97%A5%E6%9C%AC"),
    ("a&b=c?d#e", "a%26b%3Dc%3Fd%23e"),
    ("dir/", "dir/"),
];

async fn list(server: &TestServer, query: &str) -> Answer {
    let answer = Ask::get(server, &format!("/lake?list-type=2{query}")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The texts of all elements of a name.
fn all(answer: &Answer, name: &str) -> Vec<String> {
    let (text, open) = (answer.text(), format!("<{name}>"));
    let pieces = text.split(&open).skip(1);
    pieces.map(|piece| piece.split('<').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn odd_keys_are_kept_as_they_are() {
    let server = lake();
    for (key, path) in ODD {
        let put = Ask::put(&server, &format!("/lake/{path}"), key).send().await;
        assert_eq!(put.status, 200, "{key}: {}", put.text());
        let get = Ask::get(&server, &format!("/lake/{path}")).send().await;
        assert_eq!(get.text(), key);
        let copy = Ask::put(&server, "/lake/copy", "").header("x-amz-copy-source", format!("lake/{path}"));
        assert_eq!(copy.send().await.status, 200, "{key}");
        assert_eq!(server.get_raw(BUCKET, "copy").expect("a copy"), key);
        assert_eq!(Ask::new(&server, Method::DELETE, "/lake/copy").send().await.status, 204);
    }
    let mut keys: Vec<&str> = ODD.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    assert_eq!(server.keys(BUCKET), keys);
    let plain: Vec<String> =
        all(&list(&server, "").await, "Key").iter().map(|key| key.replace("&amp;", "&")).collect();
    assert_eq!(plain, keys);
    let encoded = all(&list(&server, "&encoding-type=url").await, "Key");
    assert!(encoded.contains(&"x+y%2Bz".to_owned()) && encoded.contains(&"a//b".to_owned()), "{encoded:?}");
    assert!(server.log().iter().any(|entry| entry.key == "x y+z"));
}

#[tokio::test]
async fn a_list_comes_in_pages_and_in_order() {
    let server = lake();
    for n in 0..25 {
        server.put_raw(BUCKET, &format!("p/{n:02}"), "text");
    }
    for neighbour in ["o", "q"] {
        server.put_raw(BUCKET, neighbour, "text");
    }
    let (mut keys, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = list(&server, &format!("&prefix=p/&max-keys=10{token}")).await;
        keys.extend(all(&page, "Key"));
        pages += 1;
        let Some(next) = page.element("NextContinuationToken") else { break };
        token = format!("&continuation-token={next}");
    }
    let expected: Vec<String> = (0..25).map(|n| format!("p/{n:02}")).collect();
    assert_eq!((pages, keys), (3, expected));
    let rest = list(&server, "&start-after=p/23").await;
    assert_eq!(all(&rest, "Key"), ["p/24", "q"]);
}

#[tokio::test]
async fn a_delimiter_folds_keys_into_common_prefixes() {
    let server = lake();
    for key in ["a/1", "a/2", "b", "c/1/x", "c/2"] {
        server.put_raw(BUCKET, key, "text");
    }
    let top = list(&server, "&delimiter=/").await;
    assert_eq!(all(&top, "Prefix"), ["", "a/", "c/"]);
    assert_eq!(all(&top, "Key"), ["b"]);
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&server, &format!("&delimiter=/&max-keys=1{token}")).await;
        seen.extend(all(&page, "Key"));
        seen.extend(all(&page, "Prefix").into_iter().skip(1));
        let Some(next) = page.element("NextContinuationToken") else { break };
        token = format!("&continuation-token={next}");
    }
    assert_eq!(seen, ["a/", "b", "c/"]);
    let old = Ask::get(&server, "/lake?delimiter=/&max-keys=1&marker=a/").send().await;
    assert_eq!((all(&old, "Key"), old.element("NextMarker")), (vec!["b".to_owned()], Some("b".to_owned())));
}

#[tokio::test]
async fn ranges_are_answered_as_asked_and_logged() {
    let server = lake();
    server.put_raw(BUCKET, "a", "0123456789");
    let store = store(&server);
    let path = Path::from("a");
    assert_eq!(store.get_range(&path, 2..5).await.expect("a range"), "234");
    let options = object_store::GetOptions::new().with_range(Some(GetRange::Suffix(3)));
    let last = store.get_opts(&path, options).await.expect("a range");
    assert_eq!(last.range, 7..10);
    assert_eq!(last.bytes().await.expect("bytes"), "789");
    let beyond = Ask::get(&server, "/lake/a").header("range", "bytes=10-").send().await;
    assert_eq!(beyond.refusal(), (416, "InvalidRange".to_owned()));
    let ranges: Vec<Option<String>> = server.log().into_iter().map(|entry| entry.range).collect();
    assert_eq!(ranges, [Some("bytes=2-4".into()), Some("bytes=-3".into()), Some("bytes=10-".into())]);
    assert_eq!(server.log()[0].bytes_out, 3);
}

#[tokio::test]
async fn requests_and_bytes_are_counted_until_they_are_reset() {
    let server = lake();
    let store = store(&server);
    let path = Path::from("a");
    store.put(&path, vec![7; 100_000].into()).await.expect("a put");
    assert_eq!(store.get(&path).await.expect("a get").bytes().await.expect("bytes").len(), 100_000);
    store.head(&path).await.expect("a head");
    let counts = server.counts();
    assert_eq!(
        [Operation::PutObject, Operation::GetObject, Operation::HeadObject].map(|it| counts.of(it)),
        [1; 3]
    );
    assert_eq!((counts.total(), counts.bytes_in, counts.bytes_out), (3, 100_000, 100_000));
    server.reset_counts();
    assert_eq!(server.counts(), crate::s3_server::Counts::default());
}

#[tokio::test]
async fn what_is_said_of_an_object_is_told_again() {
    let server = lake();
    let store = store(&server);
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, "text/csv".into());
    attributes.insert(Attribute::CacheControl, "no-store".into());
    attributes.insert(Attribute::Metadata("writer".into()), "one".into());
    let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
    let put = store.put_opts(&Path::from("a"), "text".into(), options).await.expect("a put");
    assert_eq!(put.e_tag.as_deref(), Some("\"1cb251ec0d568de6a929b520c4aed8d1\""));
    let got = store.get(&Path::from("a")).await.expect("a get");
    assert_eq!(got.attributes, attributes);
    assert_eq!(got.meta.e_tag, put.e_tag);
    let age = got.meta.last_modified.timestamp() - i64::try_from(now()).expect("a time");
    assert!(age.abs() <= 2, "{age}");
    let plain = Ask::put(&server, "/lake/plain", "x").send().await;
    assert_eq!(plain.status, 200);
    let plain = Ask::new(&server, Method::HEAD, "/lake/plain").send().await;
    assert_eq!(plain.header("content-type"), Some("binary/octet-stream"));
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_secs()
}

#[tokio::test]
async fn a_copy_takes_the_attributes_along_or_new_ones() {
    let server = lake();
    let put = Ask::put(&server, "/lake/a", "text").header("x-amz-meta-writer", "one").send().await;
    assert_eq!(put.status, 200);
    let copy =
        |to: &str| Ask::put(&server, &format!("/lake/{to}"), "").header("x-amz-copy-source", "/lake/a");
    assert_eq!(copy("b").send().await.status, 200);
    let replaced = copy("c").header("x-amz-metadata-directive", "REPLACE").header("x-amz-meta-writer", "two");
    assert_eq!(replaced.send().await.status, 200);
    for (key, writer) in [("b", "one"), ("c", "two")] {
        let head = Ask::new(&server, Method::HEAD, &format!("/lake/{key}")).send().await;
        assert_eq!(head.header("x-amz-meta-writer"), Some(writer));
    }
    assert_eq!(copy("a").send().await.refusal(), (400, "InvalidRequest".to_owned()));
    assert_eq!(store(&server).head(&Path::from("c")).await.expect("a head").size, 4);
}

#[tokio::test]
async fn many_objects_are_deleted_at_once_also_those_that_are_not_there() {
    let server = lake();
    for key in ["a", "b", "c"] {
        server.put_raw(BUCKET, key, "text");
    }
    let paths = ["a", "c", "d"].map(|key| Ok(Path::from(key)));
    let deleted = store(&server).delete_stream(Box::pin(futures::stream::iter(paths)));
    let deleted: Vec<_> = futures::StreamExt::collect(deleted).await;
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    assert_eq!(server.keys(BUCKET), ["b"]);
    assert_eq!(server.counts().of(Operation::DeleteObjects), 1);
    let missing = Ask::get(&server, "/lake/a").send().await;
    assert_eq!(missing.refusal(), (404, "NoSuchKey".to_owned()));
}
