//! The S3 client against a real service: what it promises when all goes well, and what it says when it does not.

mod buckets;
mod canary;
mod conditions;
mod disk;
mod errors;
mod faults;
mod keys;
mod lent;
mod multipart;
mod objects;
mod other;
mod presign;
mod probe;

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use keyfold::{ObjectInfo, PutOptions, S3Client, S3Settings};

use crate::s3_server::{REGION, TestServer};

const BUCKET: &str = "lake";
const MIB: usize = 1 << 20;

fn lake() -> TestServer {
    TestServer::builder().bucket(BUCKET).start()
}

fn settings(server: &TestServer) -> S3Settings {
    S3Settings::default()
        .with_endpoint_url(server.endpoint())
        .with_region(REGION)
        .with_access_key_id(server.access_key())
        .with_secret_access_key(server.secret_key())
}

/// The same with one more.
fn set(server: &TestServer, name: &str, value: &str) -> S3Settings {
    let mut settings = settings(server);
    settings.set(name, value).expect("a setting");
    settings
}

/// A client for the one bucket.
fn client(server: &TestServer) -> S3Client {
    open(settings(server))
}

fn open(settings: S3Settings) -> S3Client {
    S3Client::new(settings).expect("a client").with_bucket(BUCKET)
}

fn plain() -> PutOptions {
    PutOptions::default()
}

/// Bytes of which no two megabytes are alike.
fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| u8::try_from((at + at / MIB * 7) % 251).expect("fits")).collect()
}

async fn read(client: &S3Client, key: &str) -> Bytes {
    client.get(key).await.expect("an object").bytes().await.expect("its bytes")
}

async fn listed(client: &S3Client, prefix: &str) -> Vec<String> {
    let all: Vec<ObjectInfo> = client.list(prefix).try_collect().await.expect("a list");
    all.into_iter().map(|object| object.key).collect()
}

/// Waits for what happens behind the client's back.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within five seconds: {what}");
}
