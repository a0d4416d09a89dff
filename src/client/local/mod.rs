//! One file on a local disk: versions, a lock between keyfold's own writers, and an atomic,
//! conditional replacement that survives a crash.
//!
//! The lock is taken on the file itself, not on a file beside it, so that no control file ever stands
//! where foreign readers look. A writer that waited looks again whether the path still leads to the
//! file it locked; if not, it starts over with the new one.

mod parents;
mod stage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempPath;

use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

pub(crate) use parents::{NewFolders, check_parent};
pub(crate) use stage::{Commit, Stage};

const STAGE_SUFFIX: &str = ".keyfold-stage";

/// As much of the target's name as stands in a staged file's: names may have 255 bytes in all.
const STAGE_NAME: usize = 180;

/// The longest time between two looks at a lock that someone else holds.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// A file that may or may not exist yet; symbolic links in its name are resolved.
#[derive(Debug, Clone)]
pub(crate) struct LocalFile {
    location: Location,
    path: PathBuf,
}

/// Which content a file has: any replacement or change gives another version.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i128,
}

impl Version {
    /// Whether this is the version that is written so, or a copy of it.
    pub(crate) fn is_like(&self, written: &str) -> bool {
        let without_inode = |text: &str| text.split_once('-').map(|(_, rest)| rest.to_owned());
        without_inode(written).is_some_and(|rest| without_inode(&self.to_string()) == Some(rest))
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        }
    }

    /// The size of the file in bytes.
    #[must_use]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.inode, self.modified_ns, self.size)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

impl LocalFile {
    pub(crate) fn open(location: &Location, path: &Path) -> Result<Self> {
        // A pipe or a device cannot be read twice, and must not be replaced by a file.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Err(Error::new(ErrorKind::InvalidInput, "this is not a regular file")
                .with("file", location)
                .hint("the command line reads standard input as -"));
        }
        let path = std::path::absolute(path)
            .and_then(|path| resolve(&path))
            .map_err(|cause| Error::io("cannot open the file", cause).with("file", location))?;
        if path.is_dir() {
            return Err(Error::new(ErrorKind::InvalidInput, "this is a folder, not a file")
                .with("file", location)
                .hint("name a file in it; to read several files, use a pattern such as folder/*.parquet"));
        }
        Ok(Self { location: location.clone(), path })
    }

    /// The name it was opened by.
    #[must_use]
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// The path without symbolic links, for engines that open files themselves.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The version that is there now; `None` if there is no file.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io` if the system does not tell.
    pub(crate) fn version(&self) -> Result<Option<Version>> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some(Version::of(&metadata))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(self.failed("cannot look at the file", cause)),
        }
    }

    /// Opens the file for reading.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` or `Io`.
    pub(crate) fn read(&self) -> Result<File> {
        File::open(&self.path).map_err(|cause| self.failed("cannot open the file", cause))
    }

    /// The same, with the version that was opened.
    ///
    /// # Errors
    ///
    /// As [`LocalFile::read`].
    pub(crate) fn read_version(&self) -> Result<(File, Version)> {
        let file = self.read()?;
        let metadata = file.metadata().map_err(|cause| self.failed("cannot look at the file", cause))?;
        Ok((file, Version::of(&metadata)))
    }

    /// Waits until no other keyfold writer is at work on the file; `None` if there is no file.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` if the file may not be written, `Cancelled` if the session was while waiting, or
    /// `Io`.
    pub(crate) fn lock(&self, session: &Session) -> Result<Option<Locked>> {
        loop {
            let Some(file) = self.writable()? else { return Ok(None) };
            self.wait_for(&file, session)?;
            let metadata = file.metadata().map_err(|cause| self.failed("cannot look at the file", cause))?;
            let version = Version::of(&metadata);
            if self.version()?.as_ref() == Some(&version) {
                self.remove_orphans();
                return Ok(Some(Locked { file, version }));
            }
        }
    }

    /// Asks for the lock again and again, so that a cancelled session stops waiting.
    fn wait_for(&self, file: &File, session: &Session) -> Result<()> {
        let mut pause = Duration::from_millis(1);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(cause)) => return Err(self.failed("cannot lock the file", cause)),
                Err(TryLockError::WouldBlock) => session.check()?,
            }
            if pause < LONGEST_PAUSE {
                pause *= 2;
            } else {
                tracing::debug!(file = %self.location, "waiting for another writer");
            }
            thread::sleep(pause);
        }
    }

    /// Starts a new file beside this one; it is invisible until it is committed, and is removed if it
    /// never is. It gets mode and owner of the file that is there.
    ///
    /// # Errors
    ///
    /// `NotFound` if the folder is missing, `PermissionDenied` or `Io`.
    pub(crate) fn stage(&self) -> Result<Stage> {
        let replaced = self.writable()?;
        let stage = loop {
            let stage = self.new_stage()?;
            stage.file.lock().map_err(|cause| self.failed("cannot lock the new file", cause))?;
            // Between its creation and its lock another writer may have taken it for an orphan.
            if stage.is_there()? {
                break stage;
            }
        };
        if let Some(replaced) = replaced {
            let like = replaced.metadata().map_err(|cause| self.failed("cannot look at the file", cause))?;
            stage.take_after(&like)?;
        }
        Ok(stage)
    }

    /// A new file beside this one that nobody has a lock on yet.
    fn new_stage(&self) -> Result<Stage> {
        let folder = self.folder();
        let path =
            folder.join(format!("{}{}{STAGE_SUFFIX}", self.stage_prefix(), uuid::Uuid::now_v7().simple()));
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(|cause| {
                if cause.kind() == io::ErrorKind::NotFound {
                    let named = self.location.as_path().and_then(Path::parent).unwrap_or(folder);
                    return parents::missing(named);
                }
                self.failed("cannot create a file in the folder", cause).hint("the folder must be writable")
            })?;
        let path =
            TempPath::try_from_path(&path).map_err(|cause| self.failed("cannot name the new file", cause))?;
        Ok(Stage { target: self.clone(), path, file })
    }

    /// New content that stands at `path` on the same disk already. It stays there if it is never committed: others may
    /// be about to put it in place as well.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is no longer there, `PermissionDenied` or `Io`.
    pub(crate) fn stage_from(&self, path: &Path) -> Result<Stage> {
        let replaced = self.writable()?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|cause| self.failed("cannot open the new file", cause))?;
        let mut path =
            TempPath::try_from_path(path).map_err(|cause| self.failed("cannot name the new file", cause))?;
        path.disable_cleanup(true);
        let stage = Stage { target: self.clone(), path, file };
        if let Some(replaced) = replaced {
            let like = replaced.metadata().map_err(|cause| self.failed("cannot look at the file", cause))?;
            stage.take_after(&like)?;
        }
        Ok(stage)
    }

    /// The file, opened for writing as well: one that is read-only for us is not ours to replace. `None` if there
    /// is no file.
    fn writable(&self) -> Result<Option<File>> {
        match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(self
                .failed("cannot open the file for writing", cause)
                .hint("the file and its folder must be writable")),
        }
    }

    /// Removes new files that a crashed run left behind: those that nobody holds a lock on.
    fn remove_orphans(&self) {
        let prefix = self.stage_prefix();
        for entry in fs::read_dir(self.folder()).into_iter().flatten().flatten() {
            let found = entry.file_name();
            let found = found.to_string_lossy();
            let orphan = found.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(STAGE_SUFFIX));
            if orphan.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok())
                && let Ok(file) = File::open(entry.path())
                && file.try_lock().is_ok()
            {
                tracing::info!(file = %entry.path().display(), "removing what a crashed run left");
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    /// How names of staged files for this target begin.
    fn stage_prefix(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!(".{}.", &name[..name.floor_char_boundary(STAGE_NAME)])
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    fn failed(&self, message: &'static str, cause: io::Error) -> Error {
        Error::io(message, cause).with("file", &self.location)
    }
}

/// Follows symbolic links to the file, or to the place where one would be created.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    // As many links as Linux follows.
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The file as it was when the lock was taken. The lock ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    file: File,
    version: Version,
}

impl Locked {
    /// The version that was locked.
    #[must_use]
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// Another handle on the content that was locked. Both share one position: read by place.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|cause| Error::io("cannot open the file again", cause))
    }
}
