//! New content on its way into the place of a file, under the condition that nobody has changed it meanwhile.

use std::fs::File;
use std::io::Seek;
use std::path::Path;

use super::{DataFile, Locked, Version};
use crate::client::local;
use crate::client::object::{ObjectStage, Sink};
use crate::client::session::Session;
use crate::client::store::Put;
use crate::error::{Error, ErrorKind, Result};

/// New content that is not visible yet.
#[derive(Debug)]
pub(crate) enum Stage {
    Local(local::Stage),
    Object(ObjectStage),
}

/// How a commit ended.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Commit {
    /// The new content is in place, and safe.
    Committed {
        version: Version,
        /// Bytes of it that the store copied from stored objects.
        copied: u64,
    },
    /// Someone else changed the target since it was read; nothing was done.
    Conflict,
    /// Someone else changed the target, and whether this content was there in between cannot be known.
    Unknown,
}

impl Stage {
    /// The file to write to.
    pub(crate) fn file(&mut self) -> &mut File {
        match self {
            Self::Local(stage) => stage.file(),
            Self::Object(stage) => stage.file(),
        }
    }

    /// What to write to, where ranges of objects can be left to the store.
    pub(crate) fn sink(&mut self) -> Sink<'_> {
        match self {
            Self::Local(stage) => Sink::durable(stage.file()),
            Self::Object(stage) => stage.sink(),
        }
    }

    /// Its path, for engines that write files themselves (into the file that is there).
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Local(stage) => stage.path(),
            Self::Object(stage) => stage.path(),
        }
    }

    /// Puts the new content in place, if that is there which was `expected` (`None`: nothing).
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`; nothing has changed then, unless the text says otherwise.
    pub(crate) fn commit(self, expected: Option<&Version>) -> Result<Commit> {
        let foreign = || Error::internal("what was read is of another kind than what is written");
        match (self, expected) {
            (Self::Local(stage), None) => Ok(stage.commit(None)?.into()),
            (Self::Local(stage), Some(Version::Local(version))) => Ok(stage.commit(Some(version))?.into()),
            (Self::Object(stage), None) => Ok(stage.commit(None)?.into()),
            (Self::Object(stage), Some(Version::Object(version))) => {
                Ok(stage.commit(Some(version.clone()))?.into())
            }
            (Self::Local(_), Some(Version::Object(_))) | (Self::Object(_), Some(Version::Local(_))) => {
                Err(foreign())
            }
        }
    }
}

impl DataFile {
    /// Puts the content of `staged`, a file on the same disk or in the same store, in the place of this one, if that is
    /// still what was `expected` (`None`: nothing). On a disk it goes there as it is; `Conflict` as well if it has gone
    /// already. In a store it is written again, from `copy` if that has the same bytes.
    ///
    /// # Errors
    ///
    /// As [`Stage::commit`], and `Cancelled` while another writer has the lock of a local file.
    pub(crate) fn put(
        &self,
        session: &Session,
        staged: &Self,
        copy: Option<File>,
        expected: Option<&Version>,
    ) -> Result<Commit> {
        match (self, staged) {
            (Self::Local(file), Self::Local(staged)) => {
                let locked = if expected.is_some() { self.lock(session)? } else { None };
                if locked.as_ref().map(Locked::version) != expected {
                    return Ok(Commit::Conflict);
                }
                match file.stage_from(staged.path()) {
                    Ok(stage) => Stage::Local(stage).commit(expected),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(Commit::Conflict),
                    Err(error) => Err(error),
                }
            }
            (Self::Object(object), Self::Object(staged)) => {
                let mut stage = object.stage()?;
                let mut content = match copy.map_or_else(|| staged.read()?.to_file(), Ok) {
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
                        return Ok(Commit::Conflict);
                    }
                    content => content?,
                };
                content
                    .rewind()
                    .and_then(|()| std::io::copy(&mut content, stage.file()))
                    .map_err(|cause| Error::io("cannot copy a temporary file", cause))?;
                Stage::Object(stage).commit(expected)
            }
            _ => Err(Error::internal("what is written is of another kind than its place")),
        }
    }
}

impl Stage {
    /// Puts the new content in place of `target`, if that is still what was `expected` (`None`: nothing), which nobody
    /// has locked since.
    ///
    /// # Errors
    ///
    /// As [`Stage::commit`], and `Cancelled` while another writer has the lock of a local file.
    pub(crate) fn swap(
        self,
        session: &Session,
        target: &DataFile,
        expected: Option<&Version>,
    ) -> Result<Commit> {
        if expected.is_none() || target.path().is_none() {
            return self.commit(expected);
        }
        match target.lock(session)? {
            Some(locked) if Some(locked.version()) == expected => self.commit(expected),
            _ => Ok(Commit::Conflict),
        }
    }

    /// Puts the new content in the place of whatever is there.
    ///
    /// # Errors
    ///
    /// As [`Stage::commit`], and `Cancelled` while another writer has the lock of a local file.
    pub(crate) fn replace(self, session: &Session, target: &DataFile) -> Result<Commit> {
        match self {
            Self::Object(stage) => Ok(stage.replace()?.into()),
            Self::Local(_) => {
                let locked = target.lock(session)?;
                self.commit(locked.as_ref().map(Locked::version))
            }
        }
    }
}

impl From<local::Commit> for Commit {
    fn from(commit: local::Commit) -> Self {
        match commit {
            local::Commit::Committed(version) => {
                Self::Committed { version: Version::Local(version), copied: 0 }
            }
            local::Commit::Conflict => Self::Conflict,
        }
    }
}

impl From<Put> for Commit {
    fn from(put: Put) -> Self {
        match put {
            Put::Done { version, copied } => Self::Committed { version: Version::Object(version), copied },
            Put::Conflict => Self::Conflict,
            Put::Unknown => Self::Unknown,
        }
    }
}
