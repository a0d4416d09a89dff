//! Stores that `object_store` knows: memory, and what is not S3.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    UpdateVersion,
};

use super::{Abilities, Body, Expected, Listed, ObjectVersion, Put, Store};
use crate::client::io::blocking;
use crate::error::{Error, ErrorKind, Result};

/// The metadata that names the writer of an object.
const WRITER: &str = "keyfold_writer";

/// Bytes that are asked for at a time.
const RANGE: u64 = 8 << 20;

/// A store of `object_store`.
#[derive(Debug)]
pub(crate) struct Adapter {
    store: Arc<dyn ObjectStore>,
    abilities: Abilities,
    puts: Puts,
}

/// How a store takes an object: always in one request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Puts {
    /// It keeps the bytes as they are handed over.
    Memory,
    /// It sends them, up to so many.
    #[cfg(any(feature = "gcs", feature = "azure"))]
    Sent(u64),
}

impl Puts {
    /// The first `len` bytes of a temporary file.
    fn body(self, file: &File, len: u64) -> Result<Bytes> {
        match self {
            Self::Memory => {
                let size =
                    usize::try_from(len).map_err(|_| Error::internal("an object is too large for memory"))?;
                let mut body = vec![0; size];
                file.read_exact_at(&mut body, 0)
                    .map_err(|cause| Error::io("cannot read a temporary file", cause))?;
                Ok(body.into())
            }
            #[cfg(any(feature = "gcs", feature = "azure"))]
            Self::Sent(most) if len > most => Err(Error::new(
                ErrorKind::Unsupported,
                "the object is too large for one request to this store",
            )
            .with("bytes", len)
            .with("at most", most)
            .hint("write several smaller ones")),
            #[cfg(any(feature = "gcs", feature = "azure"))]
            Self::Sent(_) => super::mapped::bytes(file, len),
        }
    }
}

impl Adapter {
    /// Memory that lives as long as this.
    pub(crate) fn memory() -> Self {
        let abilities = Abilities { write: true, list: true, copies: None };
        Self::new(Arc::new(object_store::memory::InMemory::new()), abilities, Puts::Memory)
    }

    /// `store`, which can do what `abilities` say.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, abilities: Abilities, puts: Puts) -> Self {
        Self { store, abilities, puts }
    }

    /// What became of a write that was refused, or not answered: the object itself tells who wrote it.
    async fn settle(&self, path: &Path, writer: &str, otherwise: Put) -> Result<Put> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get_opts(path, options).await {
            Ok(found) => {
                let named = found.attributes.get(&Attribute::Metadata(WRITER.into()));
                let ours = named.is_some_and(|named| named.as_ref() == writer);
                Ok(if ours { Put::Done { version: version(&found.meta), copied: 0 } } else { otherwise })
            }
            Err(object_store::Error::NotFound { .. }) => Ok(otherwise),
            Err(cause) => {
                Err(failed(cause).hint("whether the object was written is not known; look at it first"))
            }
        }
    }
}

fn version(meta: &ObjectMeta) -> ObjectVersion {
    ObjectVersion { size: meta.size, e_tag: meta.e_tag.clone(), generation: meta.version.clone() }
}

fn path(key: &str) -> Result<Path> {
    let refused = || {
        Error::new(ErrorKind::Unsupported, "this store cannot hold an object of this name")
            .with("key", key)
            .hint("leave out empty parts, . and .. between slashes")
    };
    // A slash at the start would be taken off, and the key be that of another object.
    Path::parse(key).ok().filter(|path| path.as_ref() == key).ok_or_else(refused)
}

fn failed(cause: object_store::Error) -> Error {
    use object_store::Error as E;
    let told = |kind, message: &'static str, hint: &'static str| Error::new(kind, message).hint(hint);
    let error = match &cause {
        E::NotFound { .. } => {
            told(ErrorKind::NotFound, "there is no such object", "check the name; it is case-sensitive")
        }
        E::AlreadyExists { .. } => {
            told(ErrorKind::AlreadyExists, "the object exists already", "choose another name")
        }
        E::Precondition { .. } | E::NotModified { .. } => {
            told(ErrorKind::Conflict, "the object has changed meanwhile", "run it again")
        }
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => told(
            ErrorKind::PermissionDenied,
            "the store refused access",
            "check the credentials and what they allow",
        ),
        E::NotSupported { .. } | E::NotImplemented { .. } => told(
            ErrorKind::Unsupported,
            "the store cannot do this",
            "see the table of stores in the documentation",
        ),
        _ => told(ErrorKind::Io, "the store failed", "check the name of the store and the network"),
    };
    error.because(cause)
}

#[async_trait]
impl Store for Adapter {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectVersion>> {
        match self.store.head(&path(key)?).await {
            Ok(meta) => Ok(Some(version(&meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(cause) => Err(failed(cause)),
        }
    }

    async fn range(&self, key: &str, expected: &ObjectVersion, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let options = GetOptions {
            if_match: expected.e_tag.clone(),
            range: Some(range.into()),
            ..GetOptions::default()
        };
        let found = self.store.get_opts(&path(key)?, options).await.map_err(failed)?;
        if expected.e_tag.is_none() && version(&found.meta) != *expected {
            return Err(
                Error::new(ErrorKind::Conflict, "the object has changed meanwhile").hint("run it again")
            );
        }
        found.bytes().await.map_err(failed)
    }

    async fn fill(&self, key: &str, version: &ObjectVersion, file: File) -> Result<()> {
        let mut start = 0;
        while start < version.size {
            let end = (start + RANGE).min(version.size);
            let bytes = self.range(key, version, start..end).await?;
            file.write_all_at(&bytes, start).map_err(|cause| {
                Error::io("cannot write a temporary file", cause).hint("is the disk full?")
            })?;
            start = end;
        }
        Ok(())
    }

    async fn check_conditions(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn put(&self, key: &str, body: Body, expected: &Expected) -> Result<Put> {
        let (puts, Body { file, len, copies }) = (self.puts, body);
        if !copies.is_empty() {
            return Err(Error::internal("this store copies no ranges of objects"));
        }
        let body = blocking(move || puts.body(&file, len)).await?;
        let mode = match expected {
            Expected::Anything => PutMode::Overwrite,
            Expected::Absent => PutMode::Create,
            Expected::Version(version) => PutMode::Update(UpdateVersion {
                e_tag: version.e_tag.clone(),
                version: version.generation.clone(),
            }),
        };
        let writer = uuid::Uuid::now_v7().simple().to_string();
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::Metadata(WRITER.into()), writer.clone().into());
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        let path = path(key)?;
        match self.store.put_opts(&path, body.into(), options).await {
            Ok(done) => {
                let version = ObjectVersion { size: len, e_tag: done.e_tag, generation: done.version };
                Ok(Put::Done { version, copied: 0 })
            }
            // A request that was sent again after an answer was lost finds what it wrote itself.
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                self.settle(&path, &writer, Put::Conflict).await
            }
            // An object that has gone is not the one that was read; where none was, it is the bucket that is missing.
            Err(object_store::Error::NotFound { .. }) if matches!(expected, Expected::Version(_)) => {
                Ok(Put::Conflict)
            }
            Err(cause @ object_store::Error::Generic { .. }) => {
                match self.settle(&path, &writer, Put::Unknown).await {
                    Ok(done @ Put::Done { .. }) => Ok(done),
                    _ => {
                        Err(failed(cause)
                            .hint("whether the object was written is not known; look at it first"))
                    }
                }
            }
            Err(cause) => Err(failed(cause)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        // Prefixes are whole parts there: what is after the last slash is compared here.
        let folder = prefix.rfind('/').map(|slash| &prefix[..slash]).filter(|folder| !folder.is_empty());
        let folder = folder.map(path).transpose()?;
        let all = self.store.list(folder.as_ref()).map(|found| found.map_err(failed));
        let listed = |meta: ObjectMeta| Listed {
            name: meta.location.to_string(),
            size: meta.size,
            modified: Some(meta.last_modified),
        };
        let mut found: Vec<Listed> = all.map_ok(listed).try_collect().await?;
        found.retain(|object| object.name.starts_with(prefix));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn has_any(&self, folder: &str) -> Result<bool> {
        let folder = path(folder.trim_end_matches('/'))?;
        let first = self.store.list(Some(&folder)).try_next().await.map_err(failed)?;
        Ok(first.is_some())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.store.delete(&path(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(failed(cause)),
        }
    }

    #[cfg(feature = "delta")]
    fn objects(self: Arc<Self>, folder: &str) -> Result<Arc<dyn ObjectStore>> {
        let store = Arc::clone(&self.store);
        Ok(Arc::new(object_store::prefix::PrefixStore::new(store, path(folder)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    async fn put(store: &Adapter, text: &str, expected: &Expected) -> Put {
        let body = Body { file: file(text), len: text.len() as u64, copies: Vec::new() };
        store.put("a/b.csv", body, expected).await.expect("puts")
    }

    #[tokio::test]
    async fn a_put_replaces_what_was_expected_or_nothing() {
        let store = Adapter::memory();
        assert_eq!(store.head("a/b.csv").await.expect("looks"), None);
        let Put::Done { version: first, .. } = put(&store, "one", &Expected::Absent).await else {
            panic!("conflict")
        };
        assert_eq!(put(&store, "two", &Expected::Absent).await, Put::Conflict);
        let Put::Done { version: second, .. } = put(&store, "two", &Expected::Version(first.clone())).await
        else {
            panic!("conflict")
        };
        assert_eq!(put(&store, "three", &Expected::Version(first.clone())).await, Put::Conflict);
        assert_eq!(store.range("a/b.csv", &second, 1..3).await.expect("reads"), "wo");
        let changed = store.range("a/b.csv", &first, 1..3).await;
        assert_eq!(changed.map_err(|e| e.kind()), Err(ErrorKind::Conflict));
        let found = store.list("a/").await.expect("lists");
        assert_eq!(found.iter().map(|object| &object.name).collect::<Vec<_>>(), ["a/b.csv"]);
        assert!(found[0].size == 3 && found[0].modified.is_some());
        assert!(store.list("a/c").await.expect("lists").is_empty());
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_kept_is_refused() {
        for key in ["a//b", "/a", "a/../b"] {
            let refused = Adapter::memory().head(key).await;
            assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Unsupported), "{key}");
        }
    }
}
