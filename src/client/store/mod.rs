//! What keyfold needs of a place that keeps objects, and what each such place can do.

mod adapter;
#[cfg(any(feature = "gcs", feature = "azure"))]
pub(crate) mod cloud;
#[cfg(feature = "delta")]
mod local_objects;
#[cfg(any(feature = "gcs", feature = "azure"))]
mod mapped;
#[cfg(feature = "s3")]
mod probe;
#[cfg(feature = "s3")]
mod s3;
#[cfg(all(feature = "delta", feature = "s3"))]
mod s3_objects;

#[cfg(feature = "http")]
pub(crate) mod web;

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::error::Result;

pub(crate) use adapter::Adapter;
#[cfg(feature = "delta")]
pub(crate) use local_objects::LocalObjects;
#[cfg(feature = "s3")]
pub(crate) use s3::S3Store;

/// Which content an object has: any replacement gives another version. Which of the two marks counts, the store
/// knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectVersion {
    pub(crate) size: u64,
    pub(crate) e_tag: Option<String>,
    /// The generation, where a store counts them.
    pub(crate) generation: Option<String>,
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = self.e_tag.as_deref().or(self.generation.as_deref()).unwrap_or("unknown");
        f.write_str(mark.trim_matches('"'))
    }
}

/// What must hold for an object to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// There is no object.
    Absent,
    /// The object is still this one.
    Version(ObjectVersion),
    /// Nothing: whatever is there is replaced.
    Anything,
}

/// New content of an object: the bytes of a file, and in its gaps ranges of other objects, which the store copies.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) file: File,
    /// In bytes, gaps counted.
    pub(crate) len: u64,
    /// In their order, as [`Abilities::copies`] allows.
    pub(crate) copies: Vec<Copied>,
}

/// A range of an object's version that another object is to have.
#[derive(Debug, Clone)]
pub(crate) struct Copied {
    /// Where it comes to stand.
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) key: Arc<str>,
    pub(crate) version: ObjectVersion,
    /// Where it stands.
    pub(crate) start: u64,
}

/// How a write ended.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Put {
    /// The object is there, whole; so many of its bytes were copied by the store.
    Done { version: ObjectVersion, copied: u64 },
    /// What was expected does not hold; nothing was written.
    Conflict,
    /// An answer was lost, and someone else has written since: whether this write was there in between cannot be known.
    Unknown,
}

/// An object or a file, as a list tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The key, or the name below the folder that was listed.
    pub(crate) name: String,
    /// In bytes.
    pub(crate) size: u64,
    /// When it was written, if that is told.
    pub(crate) modified: Option<DateTime<Utc>>,
}

/// What a store can do; asked before any work starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Objects can be written under a condition.
    pub(crate) write: bool,
    /// Objects can be listed.
    pub(crate) list: bool,
    /// Ranges of objects can be copied into another one, with so many bytes at least between two of them, and before the
    /// first, or none.
    pub(crate) copies: Option<u64>,
}

/// A place that keeps objects by key.
///
/// # Contract
///
/// * An object is seen whole or not at all, and `put` replaces what was expected or nothing.
/// * `range` gives bytes of the version that was asked for, or fails with `Conflict`.
/// * A key is kept as it is, or refused.
#[async_trait]
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// What it can do.
    fn abilities(&self) -> Abilities;

    /// The version that is there now; `None` if there is no object.
    async fn head(&self, key: &str) -> Result<Option<ObjectVersion>>;

    /// Some bytes of a version; the range lies within it.
    async fn range(&self, key: &str, version: &ObjectVersion, range: Range<u64>) -> Result<Bytes>;

    /// Writes all bytes of a version into `file`.
    async fn fill(&self, key: &str, version: &ObjectVersion, file: File) -> Result<()>;

    /// Fails if the store does not keep the conditions of `put`; asks it once, by objects beside `key`.
    async fn check_conditions(&self, key: &str) -> Result<()>;

    /// Writes an object, if what is expected holds.
    async fn put(&self, key: &str, body: Body, expected: &Expected) -> Result<Put>;

    /// The objects whose keys begin with `prefix`, in order.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>>;

    /// Whether there is an object whose key begins with `folder`, which ends with a slash.
    async fn has_any(&self, folder: &str) -> Result<bool>;

    /// Deletes an object; one that is not there counts as deleted.
    async fn delete(&self, key: &str) -> Result<()>;

    /// The objects below `folder`, a key without a slash at its end, for code that wants a store of `object_store`.
    #[cfg(feature = "delta")]
    fn objects(self: Arc<Self>, folder: &str) -> Result<Arc<dyn object_store::ObjectStore>>;
}
