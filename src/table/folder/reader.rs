//! A folder as those see it who only read: each file in one version, and a change that has begun as if it were done, so that a
//! whole upsert is seen or nothing of it, and no row twice that goes from one file to another.

use std::collections::BTreeMap;
use std::time::Duration;

use super::control::Control;
use super::files::Folder;
use super::names::{check_not_in_table, list};
use super::record::{Recorded, is_same, is_unmoved};
use crate::client::file::{DataFile, MAX_OPEN};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::pause;

/// How often a folder is looked at for a state that nobody changed meanwhile; after half of it one is taken in which no row went
/// from file to file.
const LOOKS: u32 = 20;

/// Finds the files as [`Folder::load`] does, to read them.
///
/// # Errors
///
/// As [`Folder::load`], and `Conflict` if rows go from file to file all the time.
pub(crate) fn view(session: &Session, location: &Location) -> Result<Option<Folder>> {
    // What has no name beside which changes could be recorded has none recorded.
    let Ok(control) = Control::of(location) else { return Folder::load(session, location) };
    check_not_in_table(session, location)?;
    for look in 0..LOOKS {
        let before = recorded(session, &control)?;
        let seen = look_through(session, &control, before.as_ref());
        let after = recorded(session, &control)?;
        let is_quiet = is_same(before.as_ref(), after.as_ref());
        match seen {
            Ok(seen) if is_quiet => return Ok(seen),
            Ok(seen) if look >= LOOKS / 2 && is_unmoved(before.as_ref(), after.as_ref()) => return Ok(seen),
            Err(error) if is_quiet && error.kind() != ErrorKind::Conflict => return Err(error),
            _ => tracing::debug!(look, folder = %location, "the folder was changed while it was looked at"),
        }
        pause(session, Duration::from_millis(2), look)?;
    }
    Err(Error::new(ErrorKind::Conflict, "someone else changes the folder all the time")
        .with("folder", location)
        .hint("run it again"))
}

/// The last change. Who may read the folder need not be allowed to see what stands beside it.
fn recorded(session: &Session, control: &Control) -> Result<Option<Recorded>> {
    match control.last(session) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            tracing::debug!(%error, "whether a change is under way cannot be seen");
            Ok(None)
        }
        last => last,
    }
}

/// Opens the files that are there, or that will be once `last` is done.
fn look_through(session: &Session, control: &Control, last: Option<&Recorded>) -> Result<Option<Folder>> {
    let location = control.table();
    let mut files: BTreeMap<String, Option<DataFile>> =
        list(session, location)?.into_iter().map(|path| (path, None)).collect();
    let begun = last.filter(|last| !last.is_done());
    for step in begun.map_or(Ok(None), |begun| control.to_do(session, begun))?.unwrap_or_default() {
        files.insert(step.path.clone(), Some(control.staged(session, &step.staged)?));
    }
    // A process may not have more files open.
    let is_pinned = location.as_path().is_none() || files.len() <= MAX_OPEN;
    let mut kept = 0;
    for (path, file) in files.iter_mut().filter(|_| is_pinned) {
        session.check()?;
        *file = Some(match file.take() {
            None => session.open(&location.join(path)?)?.pinned()?,
            Some(staged) => {
                kept += 1;
                // It goes once it was put in its place.
                let pinned = if kept > MAX_OPEN { staged.pinned() } else { staged.kept() };
                pinned.map_err(|error| match error.kind() {
                    ErrorKind::NotFound => Error::new(ErrorKind::Conflict, "a new file was put in its place"),
                    _ => error,
                })?
            }
        });
    }
    Folder::of(session, location, files)
}
