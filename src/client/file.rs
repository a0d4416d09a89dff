//! A file on a local disk or an object in a store, for the code above that does not care which.

mod pinned;
mod stage;

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::client::local::{self, LocalFile};
pub(crate) use crate::client::object::Sink;
use crate::client::object::{ObjectContent, ObjectFile};
use crate::client::session::Session;
use crate::client::store::ObjectVersion;
use crate::core::location::Location;
use crate::error::{Error, Result};

pub(crate) use pinned::{Pinned, most_open};
pub(crate) use stage::{Commit, Stage};

/// A file or an object that may or may not exist yet.
#[derive(Debug, Clone)]
pub(crate) enum DataFile {
    Local(LocalFile),
    Object(ObjectFile),
    /// One version of it, which is read whatever takes its place.
    Pinned(Arc<Pinned>),
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

impl DataFile {
    /// The name it was opened by.
    pub(crate) fn location(&self) -> &Location {
        match self {
            Self::Local(file) => file.location(),
            Self::Object(object) => object.location(),
            Self::Pinned(pinned) => pinned.file.location(),
        }
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

fn for_reading() -> Error {
    Error::internal("a version that is being read cannot be written")
}
