//! What was asked of the server: one record per request, from which counts are told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use uuid::Uuid;

use super::operation::{Operation, Target};
use super::store::locked;

/// One request, as it was answered so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// The `Range` header, as it was sent.
    pub(crate) range: Option<String>,
    /// Bytes of the request's body.
    pub(crate) bytes_in: u64,
    /// Bytes of the reply's body that went out.
    pub(crate) bytes_out: u64,
    /// The status of the reply; 0 where none was given.
    pub(crate) status: u16,
}

/// Requests and bytes since the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests by operation; an operation that was not asked is not in it.
    pub(crate) requests: BTreeMap<Operation, usize>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Counts {
    /// How often `operation` was asked.
    pub(crate) fn of(&self, operation: Operation) -> usize {
        self.requests.get(&operation).copied().unwrap_or_default()
    }

    /// All requests.
    pub(crate) fn total(&self) -> usize {
        self.requests.values().sum()
    }
}

/// A request under way, written to by whoever answers it.
#[derive(Debug)]
pub(crate) struct Record {
    id: String,
    target: Target,
    method: Method,
    range: Option<String>,
    bytes_in: u64,
    bytes_out: AtomicU64,
    status: AtomicU16,
}

impl Record {
    pub(crate) fn new(target: Target, method: Method, range: Option<String>, bytes_in: u64) -> Self {
        let id = Uuid::now_v7().simple().to_string();
        Self { id, target, method, range, bytes_in, bytes_out: AtomicU64::new(0), status: AtomicU16::new(0) }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What the request is called in its answer, and by whoever reports on it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn answered(&self, status: http::StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    fn entry(&self) -> Entry {
        Entry {
            operation: self.target.operation,
            method: self.method.clone(),
            bucket: self.target.bucket.clone(),
            key: self.target.key.clone(),
            range: self.range.clone(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            status: self.status.load(Ordering::Relaxed),
        }
    }
}

/// All requests in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Arc<Record>>>);

impl Log {
    pub(crate) fn push(&self, record: Record) -> Arc<Record> {
        let record = Arc::new(record);
        locked(&self.0).push(Arc::clone(&record));
        record
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        locked(&self.0).iter().map(|record| record.entry()).collect()
    }

    pub(crate) fn clear(&self) {
        locked(&self.0).clear();
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.entries() {
            *counts.requests.entry(entry.operation).or_default() += 1;
            counts.bytes_in += entry.bytes_in;
            counts.bytes_out += entry.bytes_out;
        }
        counts
    }
}
