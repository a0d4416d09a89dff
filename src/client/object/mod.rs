//! One object in a store, for code that blocks: its version, its bytes by range, and its replacement in one
//! conditional step.
//!
//! A new object is made in a temporary file first: its length chooses the parts in which it goes up, it can be read
//! back before anything is visible, and nothing is left in the store if the work fails.

mod content;
mod early;
mod sink;

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tempfile::NamedTempFile;

use crate::client::io::Io;
use crate::client::session::Session;
use crate::client::store::{Body, Expected, ObjectVersion, Put, Store};
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

pub(crate) use content::ObjectContent;
pub(crate) use sink::{CopiedRange, Sink};

/// An object that may or may not exist yet.
#[derive(Clone)]
pub(crate) struct ObjectFile {
    location: Location,
    key: Arc<str>,
    store: Arc<dyn Store>,
    io: Arc<Io>,
    session: Session,
}

impl fmt::Debug for ObjectFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFile").field("location", &self.location).finish_non_exhaustive()
    }
}

impl ObjectFile {
    pub(crate) fn new(
        session: &Session,
        io: Arc<Io>,
        location: &Location,
        store: Arc<dyn Store>,
        key: &str,
    ) -> Self {
        Self { location: location.clone(), key: key.into(), store, io, session: session.clone() }
    }

    /// The name it was opened by.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// The version that is there now; `None` if there is no object.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`, `NotFound` for a missing bucket.
    pub(crate) fn version(&self) -> Result<Option<ObjectVersion>> {
        self.wait(|store, key| async move { store.head(&key).await })
    }

    /// The bytes of the version that is there now.
    ///
    /// # Errors
    ///
    /// `NotFound`, and as [`ObjectFile::version`].
    pub(crate) fn read(&self) -> Result<ObjectContent> {
        let version = self.version()?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such object")
                .with("file", &self.location)
                .hint("check the name; it is case-sensitive")
        })?;
        Ok(self.content(version))
    }

    /// The bytes of a version.
    pub(crate) fn content(&self, version: ObjectVersion) -> ObjectContent {
        ObjectContent::new(self.clone(), version)
    }

    /// Starts a new object in a temporary file.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the store cannot write, or cannot do so under a condition; `Io` for the temporary file.
    pub(crate) fn stage(&self) -> Result<ObjectStage> {
        if !self.store.abilities().write {
            return Err(Error::new(ErrorKind::Unsupported, "this store can only be read")
                .with("file", &self.location)
                .hint("write to a local path or a bucket"));
        }
        self.session.check()?;
        // A store that is asked what it can do is asked to the end, cancelled or not: what it is asked by goes last.
        let (store, key) = (Arc::clone(&self.store), Arc::clone(&self.key));
        let asked = self.io.wait(|| Ok(()), async move { store.check_conditions(&key).await });
        asked.map_err(|error| error.with_missing("file", &self.location))?;
        let file = tempfile::Builder::new().prefix("keyfold-").tempfile().map_err(|cause| {
            Error::io("cannot make a temporary file", cause)
                .with("folder", std::env::temp_dir().display())
                .hint("set TMPDIR to a folder that can be written")
        })?;
        Ok(ObjectStage { target: self.clone(), file, copies: Vec::new() })
    }

    /// Between ranges that its store copies from `other` lie so many bytes at least; `None` if it cannot.
    pub(crate) fn copies_from(&self, other: &ObjectContent) -> Option<u64> {
        self.store.abilities().copies.filter(|_| Arc::ptr_eq(&self.store, other.store()))
    }

    /// Waits for a request, unless the session is cancelled.
    fn wait<T, F>(&self, work: impl FnOnce(Arc<dyn Store>, Arc<str>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let session = &self.session;
        let waited = self.io.wait(|| session.check(), work(Arc::clone(&self.store), Arc::clone(&self.key)));
        waited.map_err(|error| error.with_missing("file", &self.location))
    }
}

/// A new object that is not in the store yet.
#[derive(Debug)]
pub(crate) struct ObjectStage {
    target: ObjectFile,
    /// Removed when it is dropped.
    file: NamedTempFile,
    copies: Vec<CopiedRange>,
}

impl ObjectStage {
    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// What to write to, where ranges can be left to the store.
    pub(crate) fn sink(&mut self) -> Sink<'_> {
        Sink::of_object(self.file.as_file_mut(), &self.target, &mut self.copies)
    }

    /// Writes the object, if that is there which was `expected` (`None`: nothing).
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`; nothing has changed then, unless the text says that this is not known.
    pub(crate) fn commit(self, expected: Option<ObjectVersion>) -> Result<Put> {
        self.put(expected.map_or(Expected::Absent, Expected::Version))
    }

    /// Writes the object in the place of whatever is there. Whoever folds rows into it at the same time sees that it
    /// has changed.
    ///
    /// # Errors
    ///
    /// As [`ObjectStage::commit`].
    pub(crate) fn replace(self) -> Result<Put> {
        self.put(Expected::Anything)
    }

    fn put(mut self, expected: Expected) -> Result<Put> {
        let failed = |cause| Error::io("cannot read a temporary file", cause);
        self.file.flush().map_err(failed)?;
        // Opened anew: an engine may have written the file by its name.
        let file = self.file.reopen().map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let body = Body { file, len, copies: self.copies.iter().map(CopiedRange::for_store).collect() };
        let (store, key) = (Arc::clone(&self.target.store), Arc::clone(&self.target.key));
        // What has begun is seen to its end, cancelled or not: half-way, nobody would know.
        let work = async move { store.put(&key, body, &expected).await };
        let put = self.target.io.wait(|| Ok(()), work);
        put.map_err(|error| error.with_missing("file", &self.target.location))
    }
}
