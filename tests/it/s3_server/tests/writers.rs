//! Many writers at once: conditions are one step with the write.

use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error, ObjectStore as _, ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion};

use super::client::{BUCKET, lake, store};

const WRITERS: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_who_create_a_key_exactly_one_does() {
    let server = lake();
    let store = store(&server);
    for round in 0..5 {
        let key = Path::from(format!("round-{round}"));
        let writers = (0..WRITERS).map(|writer| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let payload = PutPayload::from(writer.to_string());
                match store.put_opts(&key, payload, PutMode::Create.into()).await {
                    Ok(_) => Some(writer),
                    Err(Error::AlreadyExists { .. }) => None,
                    Err(error) => panic!("{error}"),
                }
            })
        });
        let winners: Vec<usize> =
            join_all(writers).await.into_iter().filter_map(|it| it.expect("a writer")).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let stored = server.get_raw(BUCKET, key.as_ref()).expect("an object");
        assert_eq!(stored, winners[0].to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_many_writers_swap_loses_no_update() {
    let server = lake();
    server.put_raw(BUCKET, "counter", "0");
    let store = store(&server);
    let writers = (0..WRITERS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                while !increment(&store).await {}
            }
        })
    });
    for writer in join_all(writers).await {
        writer.expect("a writer");
    }
    let stored = server.get_raw(BUCKET, "counter").expect("a counter");
    assert_eq!(stored, (WRITERS * 5).to_string());
}

/// Adds one, unless somebody else was first.
async fn increment(store: &object_store::aws::AmazonS3) -> bool {
    let key = Path::from("counter");
    let read = store.get(&key).await.expect("the counter");
    let version = UpdateVersion { e_tag: read.meta.e_tag.clone(), version: None };
    let bytes = read.bytes().await.expect("its bytes");
    let value: usize = std::str::from_utf8(&bytes).expect("text").parse().expect("a number");
    match store.put_opts(&key, (value + 1).to_string().into(), PutMode::Update(version).into()).await {
        Ok(_) => true,
        Err(Error::Precondition { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}
