//! A file on a local disk or an object in a store, for the code above that does not care which.

use std::fmt;
use std::fs::File;
use std::io::Seek;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::client::local::{self, LocalFile};
use crate::client::object::{ObjectContent, ObjectFile, ObjectStage};
use crate::client::session::Session;
use crate::client::store::{ObjectVersion, Put};
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

/// A file or an object that may or may not exist yet.
#[derive(Debug, Clone)]
pub(crate) enum DataFile {
    Local(LocalFile),
    Object(ObjectFile),
    /// One version of it, which is read whatever takes its place.
    Pinned(Arc<Pinned>),
}

/// A file that was opened, or an object of which one version is read: there is no other way to read a file of a local disk
/// that may be replaced, and read it again.
#[derive(Debug)]
pub(crate) struct Pinned {
    file: DataFile,
    content: Content,
    version: Version,
}

/// Which content there is: any replacement or change gives another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    Local(local::Version),
    Object(ObjectVersion),
}

impl Version {
    /// The size in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Local(version) => version.size(),
            Self::Object(version) => version.size,
        }
    }
}

impl Version {
    /// Whether this is the version that is written so, or a copy of it: a folder that was restored from a backup has other
    /// files, of the same times and sizes.
    pub(crate) fn is_like(&self, written: &str) -> bool {
        match self {
            Self::Local(version) => version.is_like(written),
            Self::Object(version) => version.to_string() == written,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(version) => write!(f, "{version}"),
            Self::Object(version) => write!(f, "{version}"),
        }
    }
}

/// The bytes of one version.
#[derive(Debug)]
pub(crate) enum Content {
    Local(File),
    Object(ObjectContent),
}

impl Content {
    /// At most `len` bytes at the start.
    ///
    /// # Errors
    ///
    /// As [`Content::into_file`].
    pub(crate) fn head(&self, len: usize) -> Result<Bytes> {
        match self {
            Self::Local(file) => {
                let unreadable = |cause| Error::io("cannot read the file", cause);
                let size = file.metadata().map_err(unreadable)?.len();
                let mut head = vec![0; len.min(usize::try_from(size).unwrap_or(len))];
                file.read_exact_at(&mut head, 0).map_err(unreadable)?;
                Ok(head.into())
            }
            Self::Object(content) => {
                content.range(0, len.min(usize::try_from(content.len()).unwrap_or(usize::MAX)))
            }
        }
    }

    /// The same bytes, to be read once more; of a local file by place, for there is one position in it.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn again(&self) -> Result<Self> {
        Ok(match self {
            Self::Local(file) => Self::Local(
                file.try_clone().map_err(|cause| Error::io("cannot open the file once more", cause))?,
            ),
            Self::Object(content) => Self::Object(content.clone()),
        })
    }

    /// All bytes, on disk.
    ///
    /// # Errors
    ///
    /// `Io`, or `Conflict` if the object is no longer this version.
    pub(crate) fn into_file(self) -> Result<File> {
        match self {
            Self::Local(file) => Ok(file),
            Self::Object(content) => content.to_file(),
        }
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

/// What was there when work on it began. A local file stays locked until this is dropped; an object cannot be locked,
/// its version is compared when it is replaced.
#[derive(Debug)]
pub(crate) enum Locked {
    Local(local::Locked, Version),
    Object(ObjectFile, Version),
}

impl Locked {
    /// The version that was there.
    pub(crate) fn version(&self) -> &Version {
        match self {
            Self::Local(_, version) | Self::Object(_, version) => version,
        }
    }

    /// The bytes of that version.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn content(&self) -> Result<Content> {
        match self {
            Self::Local(locked, _) => locked.file().map(Content::Local),
            Self::Object(object, Version::Object(version)) => {
                Ok(Content::Object(object.content(version.clone())))
            }
            Self::Object(..) => Err(Error::internal("an object has the version of a file")),
        }
    }
}

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
    Committed(Version),
    /// Someone else changed the target since it was read; nothing was done.
    Conflict,
    /// Someone else changed the target, and whether this content was there in between cannot be known.
    Unknown,
}

impl DataFile {
    /// The name it was opened by.
    pub(crate) fn location(&self) -> &Location {
        match self {
            Self::Local(file) => file.location(),
            Self::Object(object) => object.location(),
            Self::Pinned(pinned) => pinned.file.location(),
        }
    }

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

    /// The path without symbolic links, if it is on a local disk: for engines that open files themselves.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Local(file) => Some(file.path()),
            Self::Object(_) => None,
            Self::Pinned(pinned) => pinned.file.path(),
        }
    }

    /// The version that is there now; `None` if there is none.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(crate) fn version(&self) -> Result<Option<Version>> {
        Ok(match self {
            Self::Local(file) => file.version()?.map(Version::Local),
            Self::Object(object) => object.version()?.map(Version::Object),
            Self::Pinned(pinned) => Some(pinned.version.clone()),
        })
    }

    /// Opens what is there now for reading.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` or `Io`.
    pub(crate) fn read(&self) -> Result<Content> {
        match self {
            Self::Local(file) => file.read().map(Content::Local),
            Self::Object(object) => object.read().map(Content::Object),
            Self::Pinned(pinned) => pinned.content.again(),
        }
    }

    /// The same, with the version that it is.
    ///
    /// # Errors
    ///
    /// As [`DataFile::read`].
    pub(crate) fn read_version(&self) -> Result<(Content, Version)> {
        Ok(match self {
            Self::Local(file) => {
                let (file, version) = file.read_version()?;
                (Content::Local(file), Version::Local(version))
            }
            Self::Object(object) => {
                let content = object.read()?;
                let version = content.version().clone();
                (Content::Object(content), Version::Object(version))
            }
            Self::Pinned(pinned) => (pinned.content.again()?, pinned.version.clone()),
        })
    }

    /// Waits until no other keyfold writer is at work on a local file, and looks at what is there; `None` if there is
    /// nothing.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Cancelled` or `Io`.
    pub(crate) fn lock(&self, session: &Session) -> Result<Option<Locked>> {
        Ok(match self {
            Self::Local(file) => file.lock(session)?.map(|locked| {
                let version = Version::Local(locked.version().clone());
                Locked::Local(locked, version)
            }),
            Self::Object(object) => {
                object.version()?.map(|version| Locked::Object(object.clone(), Version::Object(version)))
            }
            Self::Pinned(_) => return Err(for_reading()),
        })
    }

    /// Starts new content; it is invisible until it is committed, and goes if it never is.
    ///
    /// # Errors
    ///
    /// `NotFound` if the folder is missing, `Unsupported` if the store cannot write, `PermissionDenied` or `Io`.
    pub(crate) fn stage(&self) -> Result<Stage> {
        match self {
            Self::Local(file) => file.stage().map(Stage::Local),
            Self::Object(object) => object.stage().map(Stage::Object),
            Self::Pinned(_) => Err(for_reading()),
        }
    }
}

impl Stage {
    /// The file to write to.
    pub(crate) fn file(&mut self) -> &mut File {
        match self {
            Self::Local(stage) => stage.file(),
            Self::Object(stage) => stage.file(),
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

fn for_reading() -> Error {
    Error::internal("a version that is being read cannot be written")
}

impl From<local::Commit> for Commit {
    fn from(commit: local::Commit) -> Self {
        match commit {
            local::Commit::Committed(version) => Self::Committed(Version::Local(version)),
            local::Commit::Conflict => Self::Conflict,
        }
    }
}

impl From<Put> for Commit {
    fn from(put: Put) -> Self {
        match put {
            Put::Done(version) => Self::Committed(Version::Object(version)),
            Put::Conflict => Self::Conflict,
            Put::Unknown => Self::Unknown,
        }
    }
}
