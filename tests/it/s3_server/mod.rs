//! A small S3 server for tests: in this process, in memory, on a port of its own, with real signature checks and
//! conditions that hold under any number of writers, and with faults on order.
//!
//! ```ignore
//! let server = TestServer::builder().bucket("lake").start();
//! server.fail(Fault::new(Effect::SlowDown).on(Operation::PutObject).times(2));
//! // ... use server.endpoint(), server.access_key(), server.secret_key()
//! assert_eq!(server.counts().of(Operation::PutObject), 3);
//! ```
#![allow(dead_code, unused_imports, reason = "each program that takes it in uses a part of it")]
#![allow(clippy::expect_used, reason = "this is how a test fails")]

mod buckets;
mod conditions;
mod door;
mod faults;
mod keys;
mod listing;
mod log;
mod objects;
mod operation;
mod reply;
mod service;
mod shared;
mod store;
mod sums;
#[cfg(test)]
mod tests;
mod upload_lists;
mod uploads;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::dto::Checksum;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::runtime::Runtime;

pub(crate) use self::faults::{Effect, Fault};
use self::keys::{Gate, Keys};
pub(crate) use self::log::{Counts, Entry};
pub(crate) use self::operation::Operation;
use self::service::Service;
use self::shared::Shared;
pub(crate) use self::shared::WrongRegion;
use self::store::{Attributes, Bucket, Object};

/// The region of buckets of which nothing else is said.
pub(crate) const REGION: &str = "us-east-1";

/// What AWS demands of every part but the last.
const MIN_PART_SIZE: usize = 5 * 1024 * 1024;

/// What a server begins with.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    access_key: String,
    secret_key: String,
    port: u16,
    buckets: Vec<(String, String)>,
    min_part_size: usize,
    wrong_region: WrongRegion,
    tokens_as_aws: bool,
}

impl Builder {
    /// The first access key and its secret.
    pub(crate) fn key(mut self, access: &str, secret: &str) -> Self {
        (self.access_key, self.secret_key) = (access.to_owned(), secret.to_owned());
        self
    }

    /// A port; by default any that is free.
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// A bucket in the usual region.
    pub(crate) fn bucket(self, name: &str) -> Self {
        self.bucket_in(name, REGION)
    }

    /// A bucket in a region.
    pub(crate) fn bucket_in(mut self, name: &str, region: &str) -> Self {
        self.buckets.push((name.to_owned(), region.to_owned()));
        self
    }

    /// The least size of every part but the last, in bytes; by default 5 MiB, as everywhere.
    pub(crate) fn min_part_size(mut self, bytes: usize) -> Self {
        self.min_part_size = bytes;
        self
    }

    /// How a request signed for the wrong region is answered.
    pub(crate) fn wrong_region(mut self, answer: WrongRegion) -> Self {
        self.wrong_region = answer;
        self
    }

    /// Refuses session tokens with status 400, as AWS does, and not with 403, as most others do.
    pub(crate) fn tokens_as_aws(mut self) -> Self {
        self.tokens_as_aws = true;
        self
    }

    /// Starts to serve on 127.0.0.1; a test that cannot listen there fails here.
    pub(crate) fn start(self) -> TestServer {
        self.try_start().expect("a port to listen on")
    }

    /// Starts to serve on 127.0.0.1.
    pub(crate) fn try_start(self) -> std::io::Result<TestServer> {
        let keys = Keys::new(self.tokens_as_aws);
        keys.add(&self.access_key, &self.secret_key);
        let shared = Arc::new(Shared::new(keys, self.wrong_region, self.min_part_size));
        for (name, region) in self.buckets {
            shared.store().buckets.insert(name, Bucket::new(&region));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3-test-server")
            .enable_all()
            .build()?;
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        let (access_key, secret_key) = (self.access_key, self.secret_key);
        Ok(TestServer { shared, address, access_key, secret_key, runtime: Some(runtime) })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = service(&shared);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (shared, service) = (Arc::clone(&shared), service.clone());
        let answer = service_fn(move |request| door::answer(Arc::clone(&shared), service.clone(), request));
        // An error here is a connection that went away, or one that a fault closed.
        tokio::spawn(
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer),
        );
    }
}

fn service(shared: &Arc<Shared>) -> S3Service {
    let gate = Gate(Arc::clone(&shared.keys));
    let mut builder = S3ServiceBuilder::new(Service(Arc::clone(shared)));
    builder.set_auth(gate.clone());
    builder.set_access(gate);
    builder.build()
}

/// A server that runs until it is dropped.
///
/// It has threads of its own, so that tests may block, await or start other programs as they like.
pub(crate) struct TestServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    access_key: String,
    secret_key: String,
    /// Taken only when the server stops.
    runtime: Option<Runtime>,
}

impl TestServer {
    /// A server with one key and no bucket.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder {
            access_key: "tester".to_owned(),
            secret_key: "tester-secret".to_owned(),
            port: 0,
            buckets: Vec::new(),
            min_part_size: MIN_PART_SIZE,
            wrong_region: WrongRegion::default(),
            tokens_as_aws: false,
        }
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn access_key(&self) -> &str {
        &self.access_key
    }

    pub(crate) fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The variables that lead S3 clients here.
    pub(crate) fn env(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", self.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// One more key that lasts.
    pub(crate) fn add_key(&self, access: &str, secret: &str) {
        self.shared.keys.add(access, secret);
    }

    /// A key for some time, which needs its session token in every request.
    pub(crate) fn lend_key(&self, access: &str, secret: &str, token: &str, life: Duration) {
        self.shared.keys.lend(access, secret, token, life);
    }

    /// Ends the life of a lent key now: requests get `ExpiredToken`.
    pub(crate) fn expire_key(&self, access: &str) {
        self.shared.keys.expire(access);
    }

    /// Forgets a key: requests get `InvalidAccessKeyId`.
    pub(crate) fn revoke_key(&self, access: &str) {
        self.shared.keys.revoke(access);
    }

    /// Orders something to go wrong. Of several orders that match a request the oldest decides.
    pub(crate) fn fail(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Takes back all orders.
    pub(crate) fn heal(&self) {
        self.shared.faults.clear();
    }

    /// Orders that have not been carried out to the end; those for `always` never are.
    pub(crate) fn open_faults(&self) -> usize {
        self.shared.faults.open()
    }

    /// Whether to take every write as if it came without conditions, as some servers do.
    pub(crate) fn ignore_conditions(&self, ignore: bool) {
        self.shared.ignore_conditions(ignore);
    }

    /// Whether to copy whole objects where a range of one is asked for, as some servers did.
    pub(crate) fn ignore_ranges(&self, ignore: bool) {
        self.shared.ignore_ranges(ignore);
    }

    /// Delays every request.
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.shared.set_latency(latency);
    }

    /// The least size of every part but the last, from now on.
    pub(crate) fn set_min_part_size(&self, bytes: usize) {
        self.shared.set_min_part_size(bytes);
    }

    /// Requests and bytes since the last reset.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.log.counts()
    }

    /// Requests since the last reset, in the order in which they came.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.shared.log.entries()
    }

    /// Forgets the requests so far.
    pub(crate) fn reset_counts(&self) {
        self.shared.log.clear();
    }

    /// Makes a bucket in the usual region; nothing is lost if it is there already.
    pub(crate) fn create_bucket(&self, name: &str) {
        self.shared.store().buckets.entry(name.to_owned()).or_insert_with(|| Bucket::new(REGION));
    }

    /// Stores an object without a request; the bucket is made if need be.
    pub(crate) fn put_raw(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        let object = Object::new(bytes.into(), Attributes::default(), Checksum::default());
        let mut store = self.shared.store();
        let bucket = store.buckets.entry(bucket.to_owned()).or_insert_with(|| Bucket::new(REGION));
        bucket.objects.insert(key.to_owned(), Arc::new(object));
    }

    fn object(&self, bucket: &str, key: &str) -> Option<Arc<Object>> {
        self.shared.store().buckets.get(bucket)?.objects.get(key).cloned()
    }

    /// The bytes of an object.
    pub(crate) fn get_raw(&self, bucket: &str, key: &str) -> Option<Bytes> {
        Some(self.object(bucket, key)?.bytes.clone())
    }

    /// The etag of an object, without quotes.
    pub(crate) fn etag(&self, bucket: &str, key: &str) -> Option<String> {
        Some(self.object(bucket, key)?.etag.clone())
    }

    /// All keys of a bucket, in order; none if it does not exist.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        let store = self.shared.store();
        store.buckets.get(bucket).map(|bucket| bucket.objects.keys().cloned().collect()).unwrap_or_default()
    }

    /// The uploads that are neither complete nor aborted.
    pub(crate) fn uploads(&self) -> Vec<PendingUpload> {
        let store = self.shared.store();
        let pending = store.buckets.iter().flat_map(|(name, bucket)| {
            bucket.uploads.iter().map(|(id, upload)| PendingUpload {
                bucket: name.clone(),
                key: upload.key.clone(),
                upload_id: id.clone(),
                parts: upload.parts.len(),
            })
        });
        pending.collect()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // A runtime may not be waited for in an async test, except by another thread.
        if let Some(runtime) = self.runtime.take() {
            let stopped = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(1)));
            drop(stopped.join());
        }
    }
}

/// An upload that somebody began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingUpload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) parts: usize,
}
