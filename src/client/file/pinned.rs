//! One version of a file, which is read whatever takes its place.

use std::sync::Arc;

use super::{Content, DataFile, Version};
use crate::error::Result;

/// A file that was opened, or an object of which one version is read: there is no other way to read a file of a local disk
/// that may be replaced, and read it again.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(super) file: DataFile,
    pub(super) content: Content,
    pub(super) version: Version,
}

impl DataFile {
    /// This version of it, to be read as often as one likes.
    ///
    /// # Errors
    ///
    /// As [`DataFile::read`].
    pub(crate) fn pinned(self) -> Result<Self> {
        let (content, version) = self.read_version()?;
        Ok(Self::Pinned(Arc::new(Pinned { file: self, content, version })))
    }

    /// The same, of a file that may be deleted meanwhile: the bytes of an object are fetched now.
    ///
    /// # Errors
    ///
    /// As [`DataFile::read`], and `Conflict`.
    pub(crate) fn kept(self) -> Result<Self> {
        let (content, version) = self.read_version()?;
        let content = Content::Local(content.into_file()?);
        Ok(Self::Pinned(Arc::new(Pinned { file: self, content, version })))
    }
}

/// How many files on disk may be kept open to read one version of each, whatever takes their places; more are opened as
/// they are read, for a process may not have that many. An engine opens each once more.
pub(crate) fn most_open() -> usize {
    let may = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    may.map_or(MAX_OPEN, |may| usize::try_from(may / 4).unwrap_or(MAX_OPEN).min(MAX_OPEN))
}

/// As many at most.
const MAX_OPEN: usize = 256;
