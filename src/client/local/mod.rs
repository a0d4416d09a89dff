//! One file on a local disk: versions, a lock between keyfold's own writers, and an atomic,
//! conditional replacement that survives a crash.
//!
//! The lock is taken on the file itself, not on a file beside it, so that no control file ever stands
//! where foreign readers look. A writer that waited looks again whether the path still leads to the
//! file it locked; if not, it starts over with the new one.

mod stage;

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
        let folder = self.folder();
        let path =
            folder.join(format!("{}{}{STAGE_SUFFIX}", self.stage_prefix(), uuid::Uuid::now_v7().simple()));
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(|cause| {
                if cause.kind() == io::ErrorKind::NotFound {
                    let named = self.location.as_path().and_then(Path::parent).unwrap_or(folder);
                    return Error::new(ErrorKind::NotFound, "the folder does not exist")
                        .with("folder", named.display())
                        .hint("make the folder first");
                }
                self.failed("cannot create a file in the folder", cause).hint("the folder must be writable")
            })?;
        let path =
            TempPath::try_from_path(&path).map_err(|cause| self.failed("cannot name the new file", cause))?;
        let stage = Stage { target: self.clone(), path, file };
        stage.file.lock().map_err(|cause| self.failed("cannot lock the new file", cause))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn at(path: &Path) -> LocalFile {
        LocalFile::open(&Location::from(path), path).expect("opened")
    }

    fn staged(file: &LocalFile, text: &str) -> Stage {
        let mut stage = file.stage().expect("staged");
        stage.file().write_all(text.as_bytes()).expect("written");
        stage
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("listed").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn of_two_creators_one_wins_and_nothing_is_left_behind() {
        let folder = folder();
        let file = at(&folder.path().join("a.csv"));
        let (first, second) = (staged(&file, "1"), staged(&file, "2"));
        assert!(matches!(first.commit(None).expect("commits"), Commit::Committed(_)));
        assert_eq!(second.commit(None).expect("commits"), Commit::Conflict);
        assert_eq!(fs::read_to_string(file.path()).expect("read"), "1");
        assert_eq!(names(folder.path()), ["a.csv"]);
    }

    #[test]
    fn a_file_that_changed_since_it_was_read_is_not_replaced() {
        let folder = folder();
        let path = folder.path().join("a.csv");
        fs::write(&path, "old").expect("written");
        let file = at(&path);
        let locked = file.lock(&Session::default()).expect("locks").expect("exists");
        let stage = staged(&file, "new");
        fs::write(&path, "foreign").expect("written");
        assert_eq!(stage.commit(Some(locked.version())).expect("commits"), Commit::Conflict);
        assert_eq!(fs::read_to_string(&path).expect("read"), "foreign");
    }

    #[test]
    fn mode_is_kept_and_a_link_stays_a_link() {
        let folder = folder();
        let (real, link) = (folder.path().join("real.csv"), folder.path().join("link.csv"));
        fs::write(&real, "old").expect("written");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("mode");
        symlink("real.csv", &link).expect("linked");
        let file = at(&link);
        let locked = file.lock(&Session::default()).expect("locks").expect("exists");
        let stage = staged(&file, "new");
        assert!(matches!(stage.commit(Some(locked.version())).expect("commits"), Commit::Committed(_)));
        assert_eq!(fs::read_to_string(&real).expect("read"), "new");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::metadata(&real).expect("there").permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_a_crash_left_is_removed_and_what_is_in_use_is_not() {
        let folder = folder();
        let file = at(&folder.path().join("a.csv"));
        fs::write(file.path(), "x").expect("written");
        let orphan = folder.path().join(format!(".a.csv.{}{STAGE_SUFFIX}", uuid::Uuid::now_v7().simple()));
        fs::write(&orphan, "half").expect("written");
        let in_use = staged(&file, "half");
        drop(file.lock(&Session::default()).expect("locks"));
        assert!(!orphan.exists());
        assert!(in_use.path().exists());
    }

    #[test]
    fn a_writer_that_waited_sees_the_file_that_took_the_place() {
        let folder = folder();
        let path = folder.path().join("a.csv");
        fs::write(&path, "old").expect("written");
        let file = at(&path);
        let locked = file.lock(&Session::default()).expect("locks").expect("exists");
        std::thread::scope(|scope| {
            let waiter = scope
                .spawn(|| file.lock(&Session::default()).expect("locks").expect("exists").version().clone());
            let stage = staged(&file, "newer");
            let committed = stage.commit(Some(locked.version())).expect("commits");
            drop(locked);
            assert_eq!(Commit::Committed(waiter.join().expect("joins")), committed);
        });
    }

    #[test]
    fn a_cancelled_session_stops_waiting_for_a_lock() {
        let folder = folder();
        let path = folder.path().join("a.csv");
        fs::write(&path, "old").expect("written");
        let file = at(&path);
        let _held = file.lock(&Session::default()).expect("locks");
        let session = Session::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| file.lock(&session).map(|_| ()));
            session.cancel();
            let refused = waiter.join().expect("joins");
            assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
        });
    }

    #[test]
    fn a_name_as_long_as_names_may_be_can_be_staged() {
        let folder = folder();
        let file = at(&folder.path().join("ä".repeat(125) + ".csv"));
        assert!(matches!(staged(&file, "1").commit(None).expect("commits"), Commit::Committed(_)));
    }

    #[test]
    fn devices_and_pipes_are_not_files() {
        let refused = LocalFile::open(&Location::from_path("/dev/null"), Path::new("/dev/null"));
        assert_eq!(refused.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }
}
