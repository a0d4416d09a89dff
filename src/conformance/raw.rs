//! The bytes behind a location, whatever its store: for tests that lay out files and look at them.

use std::io::{Read, Seek, Write};

use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, Result};

/// All bytes at `location`; `None` if there is nothing. Blocks.
///
/// # Errors
///
/// What the store fails with.
pub fn bytes_at(session: &Session, location: &Location) -> Result<Option<Vec<u8>>> {
    let file = session.open(location)?;
    if file.version()?.is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let mut content = file.read()?.into_file()?;
    let read = content.rewind().and_then(|()| content.read_to_end(&mut bytes));
    read.map_err(|cause| Error::io("cannot read the bytes", cause))?;
    Ok(Some(bytes))
}

/// Puts `bytes` at `location`, in the place of whatever is there. Blocks.
///
/// # Errors
///
/// What the store fails with.
pub fn put_bytes_at(session: &Session, location: &Location, bytes: &[u8]) -> Result<()> {
    let file = session.open(location)?;
    let before = file.version()?;
    let mut stage = file.stage()?;
    stage.file().write_all(bytes).map_err(|cause| Error::io("cannot write the bytes", cause))?;
    let _ = stage.commit(before.as_ref())?;
    Ok(())
}

/// The names of all that stands directly in a folder, or that has keys below it, in order. Blocks.
///
/// # Errors
///
/// What the store fails with.
pub fn names_at(session: &Session, folder: &Location) -> Result<Vec<String>> {
    let mut names: Vec<String> = match folder.as_path() {
        Some(path) => {
            let entries =
                std::fs::read_dir(path).map_err(|cause| Error::io("cannot list a folder", cause))?;
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        }
        None => session.list(&folder.join("")?)?.iter().map(Location::name).collect(),
    };
    names.sort();
    Ok(names)
}
