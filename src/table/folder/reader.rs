//! A folder as those see it who only read: each file in one version, and a change that has begun as if it were done, so that a
//! whole upsert is seen or nothing of it, and no row twice that goes from one file to another.

use std::collections::BTreeMap;
use std::time::Duration;

use super::control::Control;
use super::files::Folder;
use super::names::{check_not_in_table, list};
use super::record::{Recorded, Step, is_same, is_unmoved};
use crate::client::file::{DataFile, most_open};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::pause;

/// How often a folder is looked at for a state in which no row went from one file to another meanwhile.
const LOOKS: u32 = 20;

/// How often for one that nobody changed at all.
const QUIET_LOOKS: u32 = 3;

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
        let before = if look == 0 { recorded(session, &control)? } else { seen(session, &control)?.0 };
        // First what is to be done, then what is there: a file that is put in its place in between is on the list.
        let begun = before.as_ref().filter(|before| !before.is_done());
        let to_do = begun.map_or(Ok(None), |begun| control.to_do(session, begun));
        let found = to_do.and_then(|to_do| look_through(session, &control, &to_do.unwrap_or_default()));
        let (after, _) = seen(session, &control)?;
        let is_quiet = is_same(before.as_ref(), after.as_ref());
        match found {
            Ok(found) if is_quiet => return Ok(found),
            Ok(found) if look >= QUIET_LOOKS && is_unmoved(before.as_ref(), after.as_ref()) => {
                return Ok(found);
            }
            Err(error) if is_quiet && error.kind() != ErrorKind::Conflict => return Err(error),
            _ => tracing::debug!(look, folder = %location, "the folder was changed while it was looked at"),
        }
        pause(session, Duration::from_millis(2), look)?;
    }
    Err(Error::new(ErrorKind::Conflict, "someone else changes the folder all the time")
        .with("folder", location)
        .hint("run it again"))
}

/// The last change, for those who only look. Who may read the folder need not be allowed to see what stands beside it, and
/// a record that cannot be read does not make the files worse: he is warned.
///
/// # Errors
///
/// `Io` or `Cancelled`.
pub(super) fn recorded(session: &Session, control: &Control) -> Result<Option<Recorded>> {
    let (last, unseen) = seen(session, control)?;
    if let Some(error) = unseen {
        tracing::warn!(
            folder = %control.table(),
            %error,
            "whether a change is under way cannot be seen: rows that it moves may be read twice or not at all"
        );
    }
    Ok(last)
}

/// The last change, or why it cannot be seen.
fn seen(session: &Session, control: &Control) -> Result<(Option<Recorded>, Option<Error>)> {
    use ErrorKind as K;
    match control.last(session) {
        Err(error) if matches!(error.kind(), K::PermissionDenied | K::InvalidData | K::Unsupported) => {
            Ok((None, Some(error)))
        }
        last => Ok((last?, None)),
    }
}

/// Whether a run has begun to put files there.
///
/// # Errors
///
/// `Io` or `Cancelled`.
pub(super) fn is_begun(session: &Session, location: &Location) -> Result<bool> {
    let Ok(control) = Control::of(location) else { return Ok(false) };
    Ok(seen(session, &control)?.0.is_some_and(|last| !last.is_done()))
}

/// Opens the files that are there, or that will be once the steps are done that were `to_do` a moment before.
pub(super) fn look_through(session: &Session, control: &Control, to_do: &[&Step]) -> Result<Option<Folder>> {
    let location = control.table();
    let mut files: BTreeMap<String, Option<DataFile>> =
        list(session, location)?.into_iter().map(|path| (path, None)).collect();
    let most = most_open();
    let is_pinned = location.as_path().is_none() || files.len() <= most;
    for (number, step) in to_do.iter().enumerate() {
        let staged = control.staged(session, &step.staged)?;
        // It goes once it was put in its place.
        let pinned = if number < most { staged.kept() } else { staged.pinned() };
        let pinned = pinned.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::Conflict, "a new file was put in its place"),
            _ => error,
        })?;
        files.insert(step.path.clone(), Some(pinned));
    }
    for (path, file) in files.iter_mut().filter(|(_, file)| is_pinned && file.is_none()) {
        session.check()?;
        *file = Some(session.open(&location.join(path)?)?.pinned()?);
    }
    Folder::of(session, location, files)
}
