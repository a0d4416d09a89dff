//! The folders above a new file or table on a local disk: missing ones are an error, or are made, and go again with what
//! was to stand in them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::resolve;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

/// Refuses a place whose folder is missing. What is in its way otherwise shows when it is opened.
///
/// # Errors
///
/// `NotFound`.
pub(crate) fn check_parent(location: &Location) -> Result<()> {
    match parent(location).filter(|parent| is_missing(parent)) {
        None => Ok(()),
        Some(parent) => Err(missing(&parent)),
    }
}

pub(super) fn missing(folder: &Path) -> Error {
    Error::new(ErrorKind::NotFound, "the folder does not exist")
        .with("folder", folder.display())
        .hint("make the folder first, or let it be made with --mkdir")
}

/// The folder in which a file, or the folder of a table, stands or will; none for what is not on a disk.
fn parent(location: &Location) -> Option<PathBuf> {
    let path = location.as_path().filter(|_| !location.is_pattern())?;
    let path = resolve(path).ok()?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_path_buf)
}

fn is_missing(folder: &Path) -> bool {
    fs::metadata(folder).is_err_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}

/// Folders that were made. They go when this is dropped, if there is nothing in them.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    /// Makes the folders above a place that are missing.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`; none of them is there then.
    pub(crate) fn above(location: &Location) -> Result<Self> {
        let mut made = Self::default();
        let Some(parent) = parent(location) else { return Ok(made) };
        let missing: Vec<&Path> = parent.ancestors().take_while(|folder| is_missing(folder)).collect();
        for folder in missing.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
            made.make(folder).map_err(|cause| {
                Error::io("cannot make the folder", cause).with("folder", folder.display())
            })?;
        }
        Ok(made)
    }

    fn make(&mut self, folder: &Path) -> io::Result<()> {
        match fs::create_dir(folder) {
            Ok(()) => self.0.push(folder.to_path_buf()),
            // Someone else was first, and it is theirs.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(cause) => return Err(cause),
        }
        // What will stand in it is only safe if its own name is on disk.
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Lets them stay.
    pub(crate) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // One in which something stands is not removed.
            drop(fs::remove_dir(folder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_again_unless_they_are_kept_or_hold_something() {
        let place = tempfile::tempdir().expect("a folder");
        let new = place.path().join("a/b/c.csv");
        let location = Location::from_path(&new);
        assert_eq!(check_parent(&location).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
        let made = NewFolders::above(&location).expect("made");
        check_parent(&location).expect("there");
        drop(made);
        assert!(!place.path().join("a").exists());
        let made = NewFolders::above(&location).expect("made");
        fs::write(place.path().join("a/other"), "").expect("written");
        drop(made);
        assert!(place.path().join("a").exists() && !place.path().join("a/b").exists());
        NewFolders::above(&location).expect("made").keep();
        assert!(place.path().join("a/b").is_dir());
    }

    #[test]
    fn the_folder_is_that_to_which_a_link_leads() {
        let place = tempfile::tempdir().expect("a folder");
        let link = place.path().join("link.csv");
        std::os::unix::fs::symlink("far/away.csv", &link).expect("linked");
        NewFolders::above(&Location::from_path(&link)).expect("made").keep();
        assert!(place.path().join("far").is_dir());
    }

    #[test]
    fn what_is_on_no_disk_has_no_folders() {
        for name in ["s3://lake/a/b.csv", "b.csv", "no/such/*.csv"] {
            let location: Location = name.parse().expect("a location");
            check_parent(&location).expect("nothing to look for");
            NewFolders::above(&location).expect("nothing to make").keep();
        }
    }
}
