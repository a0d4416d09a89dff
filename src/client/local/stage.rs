//! A new file beside the one it is to replace, and the one step that makes it visible.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use tempfile::TempPath;

use super::{LocalFile, Version};
use crate::error::Result;

/// How a commit ended.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Commit {
    /// The new file is in place, and on disk.
    Committed(Version),
    /// Someone else changed the target since it was read; nothing was done.
    Conflict,
}

/// A new file that is not visible yet.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(super) target: LocalFile,
    /// Removes the file when it is dropped before it was committed.
    pub(super) path: TempPath,
    pub(super) file: File,
}

impl Stage {
    /// The file to write to.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The file, for several writers that each have their own place in it.
    pub(crate) fn file_ref(&self) -> &File {
        &self.file
    }

    /// Its path, for engines that write files themselves (into the file that is there).
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the new file in the place of the target, if that still has the version `expected` (`None`:
    /// does not exist). File and folder are on disk when this returns.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`; nothing has changed then, unless the text says that the file is in place.
    pub(crate) fn commit(mut self, expected: Option<&Version>) -> Result<Commit> {
        let target = self.target.clone();
        let failed = |message: &'static str| {
            let target = target.clone();
            move |cause| target.failed(message, cause)
        };
        self.file
            .flush()
            .and_then(|()| self.file.sync_all())
            .map_err(failed("cannot flush the new file to disk"))?;
        // Opened before the rename: what fails now has changed nothing yet.
        let folder = File::open(target.folder()).map_err(failed("cannot open the folder"))?;
        if expected.is_some() {
            if target.version()?.as_ref() != expected {
                return Ok(Commit::Conflict);
            }
            match self.path.persist(&target.path) {
                Ok(()) => {}
                // Someone else has put it in place.
                Err(e) if e.error.kind() == io::ErrorKind::NotFound => return Ok(Commit::Conflict),
                Err(e) => return Err(target.failed("cannot replace the file", e.error)),
            }
        } else {
            // Fails where a plain rename would silently replace what someone else just created.
            match self.path.persist_noclobber(&target.path) {
                Ok(()) => {}
                Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => return Ok(Commit::Conflict),
                // Someone else has put it in place.
                Err(e) if e.error.kind() == io::ErrorKind::NotFound => return Ok(Commit::Conflict),
                Err(e) => return Err(target.failed("cannot create the file", e.error)),
            }
        }
        let metadata = self.file.metadata().map_err(failed("cannot look at the new file"))?;
        folder
            .sync_all()
            .map_err(failed("the file is in place, but its folder cannot be flushed to disk"))?;
        Ok(Commit::Committed(Version::of(&metadata)))
    }

    /// Whether its name still leads to it.
    pub(super) fn is_there(&self) -> Result<bool> {
        let failed = |cause| self.target.failed("cannot look at the new file", cause);
        let own = self.file.metadata().map_err(failed)?;
        match std::fs::metadata(&self.path) {
            Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(failed(cause)),
        }
    }

    pub(super) fn take_after(&self, like: &Metadata) -> Result<()> {
        let own =
            self.file.metadata().map_err(|cause| self.target.failed("cannot look at the new file", cause))?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid())
            && fchown(&self.file, Some(like.uid()), Some(like.gid())).is_err()
            && fchown(&self.file, None, Some(like.gid())).is_err()
        {
            tracing::warn!(file = %self.target.location, "the new file has another owner than the old one");
        }
        // After the owner: changing that clears the set-id bits.
        self.file
            .set_permissions(like.permissions())
            .map_err(|cause| self.target.failed("cannot keep the mode of the file", cause))
    }
}
