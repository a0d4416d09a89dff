//! Writes under a condition, one and many at once.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use keyfold::{Error, ErrorKind, ObjectInfo, PutCondition, S3Client};
use tokio::sync::Barrier;

use super::{BUCKET, client, lake, plain, read};

/// Puts whole, or in parts.
async fn put(
    client: &S3Client,
    in_parts: bool,
    text: impl Into<Bytes> + Send,
    condition: PutCondition,
) -> Result<ObjectInfo, Error> {
    let options = plain().with_condition(condition);
    if !in_parts {
        return client.put("a", text, options).await;
    }
    let mut upload = client.start_upload("a", options).await?;
    upload.queue(text.into()).await?;
    upload.complete().await
}

#[tokio::test]
async fn a_put_replaces_what_it_expects_or_nothing() {
    for in_parts in [false, true] {
        let server = lake();
        let client = client(&server);
        let first = put(&client, in_parts, "first", PutCondition::IfAbsent).await.expect("put");
        let taken = put(&client, in_parts, "second", PutCondition::IfAbsent).await.expect_err("taken");
        assert_eq!((taken.kind(), taken.message()), (ErrorKind::AlreadyExists, "the object exists already"));
        let expected = PutCondition::IfMatch(first.e_tag.expect("an etag"));
        let second = put(&client, in_parts, "second", expected.clone()).await.expect("put");
        assert_eq!(second.e_tag, client.head("a").await.expect("looks").expect("an object").e_tag);
        let stale = put(&client, in_parts, "third", expected.clone()).await.expect_err("stale");
        assert_eq!(stale.kind(), ErrorKind::Conflict);
        assert_eq!(stale.message(), "the object has changed meanwhile");
        assert_eq!(stale.hint_text(), Some("nothing was written; read it again"));
        assert_eq!(read(&client, "a").await, "second");
        client.delete("a").await.expect("deleted");
        let gone = put(&client, in_parts, "third", expected).await.expect_err("gone");
        assert_eq!(gone.kind(), ErrorKind::Conflict);
        assert!(server.keys(BUCKET).is_empty() && server.uploads().is_empty());
        put(&client, in_parts, "fourth", PutCondition::Overwrite).await.expect("put");
        put(&client, in_parts, "fifth", PutCondition::Overwrite).await.expect("put");
        assert_eq!(read(&client, "a").await, "fifth");
    }
}

/// What each of 32 writers gives that begin in the same moment.
async fn at_once<T, F>(client: &S3Client, work: impl Fn(u32, S3Client) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(32));
    let writers = (0..32).map(|number| {
        let (start, work) = (Arc::clone(&start), work(number, client.clone()));
        tokio::spawn(async move {
            start.wait().await;
            work.await
        })
    });
    join_all(writers).await.into_iter().map(|done| done.expect("done")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thirty_two_writers_exactly_one_creates() {
    for in_parts in [false, true] {
        let server = lake();
        let client = client(&server);
        let results = at_once(&client, |number, client| async move {
            let text = number.to_string();
            put(&client, in_parts, text.clone(), PutCondition::IfAbsent).await.map(|_| text)
        })
        .await;
        let winners: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(server.get_raw(BUCKET, "a").expect("an object"), winners[0].as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_loses_no_update() {
    let server = lake();
    let client = client(&server);
    client.put("n", "0", plain()).await.expect("put");
    at_once(&client, |_, client| async move {
        for _ in 0..3 {
            while !count_up(&client).await {}
        }
    })
    .await;
    assert_eq!(read(&client, "n").await, "96");
    assert!(server.log().iter().any(|entry| entry.status == 412), "nobody met anybody");
}

/// Whether nobody else was faster.
async fn count_up(client: &S3Client) -> bool {
    let download = client.get("n").await.expect("an object");
    let e_tag = download.info().e_tag.clone().expect("an etag");
    let text = String::from_utf8(download.bytes().await.expect("bytes").into()).expect("text");
    let next = text.parse::<u32>().expect("a number") + 1;
    let options = plain().with_condition(PutCondition::IfMatch(e_tag));
    match client.put("n", next.to_string(), options).await {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::Conflict => false,
        Err(error) => panic!("{error:?}"),
    }
}
