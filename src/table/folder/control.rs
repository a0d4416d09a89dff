//! How a folder of files is changed: what stands beside it, and in which order it gets into its place.
//!
//! A change is made in this order. All new content is written beside the folder. Then the record is replaced, if it is
//! still the one that was read: from here on the change will happen. Each file is put in its place, if that still holds
//! what was read. Then the record says that the change is done. Whoever finds a change that is not done ends it first:
//! all he needs is there. Two may do so at the same time, and the first writer may wake up meanwhile: each step happens
//! once, for it has a condition, and no content is ever the same as what stood there before, for each file has a mark of
//! its own.

use std::fs::File;

use super::draft::{Draft, Staged};
use super::record::{self, End, NAME, Operation, Recorded, Step, Written};
use crate::client::file::{Commit, DataFile};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::pause;
use crate::table::parquet::mark_of;

/// How often a file is looked at again that someone else is about to put in its place.
const LOOKS: u32 = 20;

/// What became of one.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It is in its place.
    InPlace,
    /// Somebody else has changed the file.
    Foreign,
    /// Its new content is no longer there.
    Gone,
}

/// The folder beside a folder of files in which the record lies, and new files on their way.
#[derive(Debug, Clone)]
pub(super) struct Control {
    /// The folder of files.
    table: Location,
    folder: Location,
}

impl Control {
    /// That of the folder at `table`. Nothing is made yet.
    ///
    /// # Errors
    ///
    /// `Usage` for a place that has no name, such as a whole bucket.
    pub(super) fn of(table: &Location) -> Result<Self> {
        Ok(Self { table: table.clone(), folder: beside(table)? })
    }

    /// The folder of files.
    pub(super) fn table(&self) -> &Location {
        &self.table
    }

    /// Makes the folder, where folders are made.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn make(&self) -> Result<()> {
        let Some(path) = self.folder.as_path() else { return Ok(()) };
        std::fs::create_dir_all(path).map_err(|cause| {
            Error::io("cannot make the folder in which changes are recorded", cause)
                .with("folder", path.display())
                .hint("the folder that holds the table must be writable")
        })
    }

    /// Asks a store what it can do, which leaves traces for a moment: here, and not where readers look.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the store cannot write under conditions, `PermissionDenied` or `Io`.
    pub(super) fn ask(&self, session: &Session) -> Result<()> {
        session.open(&self.folder.join(NAME)?)?.stage().map(drop)
    }

    pub(super) fn staged(&self, session: &Session, name: &str) -> Result<DataFile> {
        session.open(&self.folder.join(name)?)
    }

    pub(super) fn discard(&self, session: &Session, name: &str) {
        let deleted = self.folder.join(name).and_then(|file| session.delete(&file));
        if let Err(error) = deleted {
            tracing::debug!(name, %error, "a file that is no longer needed is left behind");
        }
    }

    /// Starts the change after `last`.
    pub(super) fn draft<'a>(
        &'a self,
        session: &'a Session,
        operation: Operation,
        last: Option<&Recorded>,
    ) -> Draft<'a> {
        Draft::new(session, self, operation, last)
    }

    /// The last change; `None` before the first.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a record that is damaged, `Unsupported` for one of a later version.
    pub(super) fn last(&self, session: &Session) -> Result<Option<Recorded>> {
        record::read(session, &self.record(session)?)
    }

    pub(super) fn record(&self, session: &Session) -> Result<DataFile> {
        session.open(&self.folder.join(NAME)?)
    }

    /// Ends a change that has begun: puts every file in its place, and records that it is done.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Io` or `Cancelled`; the next writer goes on where this one stopped.
    pub(super) fn end(&self, session: &Session, begun: &Recorded, mut staged: Vec<Staged>) -> Result<End> {
        if begun.is_done() {
            return Ok(begun.end());
        }
        let mut steps = &begun.change.steps[..];
        let mut skipped = Vec::new();
        // What this run has not begun itself may have begun long ago. If nothing of it is done and a file has changed
        // since, or the folder is a copy, it is given up: to do a part of it could double rows.
        if staged.is_empty() && self.to_do(session, begun).map_err(unfinished)?.is_none() {
            skipped.extend(steps.iter().map(|step| step.path.clone()));
            steps = &[];
        }
        for step in steps {
            let own =
                staged.iter().position(|staged| staged.step == *step).map(|place| staged.swap_remove(place));
            let copy = own.and_then(|staged| staged.copy);
            let put = self.put(session, step, copy).map_err(unfinished)?;
            if put == Ended::InPlace {
                continue;
            }
            match self.last(session).map_err(unfinished)? {
                Some(now) if now.change == begun.change && put == Ended::Gone => return Err(self.gone(step)?),
                Some(now) if now.change == begun.change => skipped.push(step.path.clone()),
                // Someone else has ended the change, and may have begun the next one.
                Some(now) if now.sequence() == begun.sequence() => return Ok(now.end()),
                _ => return Ok(End::Whole),
            }
        }
        // Nobody needs them any more; what is not recorded as done is seen to be in its place.
        for step in &begun.change.steps {
            self.discard(session, &step.staged);
        }
        for path in &skipped {
            tracing::warn!(folder = %self.table, file = path, "somebody else has changed a file meanwhile");
        }
        let done = begun.change.done(skipped);
        let end = done.end();
        let record = self.record(session)?;
        if let Written::Made(_) = record::write(session, &record, done, Some(begun)).map_err(unfinished)? {
            self.clean(session, begun.sequence());
        }
        Ok(end)
    }

    fn gone(&self, step: &Step) -> Result<Error> {
        let error = Error::new(ErrorKind::InvalidData, "a file that a change to the folder needs is missing")
            .with("file", self.folder.join(&step.staged)?);
        Ok(error.hint("somebody has deleted it; to give up that change, move the folder it stood in away"))
    }

    /// The steps of a change that are not done yet; `None` if none is done, and a file that it would replace is no longer
    /// what was read.
    pub(super) fn to_do<'a>(&self, session: &Session, begun: &'a Recorded) -> Result<Option<Vec<&'a Step>>> {
        let mut to_do = Vec::new();
        let (mut is_changed, mut is_started) = (false, false);
        for step in &begun.change.steps {
            let file = session.open(&self.table.join(&step.path)?)?;
            if step.replaces_now(file.version()?.as_ref()) {
                to_do.push(step);
            } else if is_there(&file, &step.staged)? {
                is_started = true;
            } else {
                is_changed = true;
            }
        }
        Ok((is_started || !is_changed).then_some(to_do))
    }

    /// Puts one file in its place, unless it is there.
    fn put(&self, session: &Session, step: &Step, copy: Option<File>) -> Result<Ended> {
        let file = session.open(&self.table.join(&step.path)?)?;
        let staged = self.staged(session, &step.staged)?;
        // Where nothing stands, bytes at hand could put back what others have long made something else of.
        if copy.is_some() && step.replaces.is_none() && staged.version()?.is_none() {
            return Ok(if is_there(&file, &step.staged)? { Ended::InPlace } else { Ended::Gone });
        }
        let mut copy = copy;
        for look in 0..LOOKS {
            let now = file.version()?;
            if !step.replaces_now(now.as_ref()) {
                return Ok(if is_there(&file, &step.staged)? { Ended::InPlace } else { Ended::Foreign });
            }
            if now.is_none() {
                make_parent(&file)?;
            }
            if let Commit::Committed { .. } = file.put(session, &staged, copy.take(), now.as_ref())? {
                return Ok(Ended::InPlace);
            }
            pause(session, std::time::Duration::from_millis(10), look)?;
        }
        Ok(Ended::Gone)
    }

    /// Removes what writers left who died before they began a change up to `sequence`, which is done: nobody can begin
    /// one of these any more.
    fn clean(&self, session: &Session, sequence: u64) {
        let is_old = |name: &String| {
            let number = name
                .trim_start_matches('.')
                .split_once('-')
                .and_then(|(number, _)| number.parse::<u64>().ok());
            number.is_some_and(|number| number <= sequence)
        };
        match session.files_below(&self.folder) {
            Ok(names) => {
                for name in names.iter().filter(|name| is_old(name)) {
                    self.discard(session, name);
                }
            }
            Err(error) => tracing::debug!(%error, "what earlier changes left is not cleaned up"),
        }
    }
}

/// A change that has begun is never tried again from the start, as one is that met a conflict: the next writer ends it.
fn unfinished(error: Error) -> Error {
    let error = match error.kind() {
        ErrorKind::Conflict => {
            Error::new(ErrorKind::Io, "a change to the folder has begun and could not be ended")
                .because(error)
        }
        _ => error,
    };
    error.hint("the change has begun: the next upsert into the folder ends it first")
}

/// Whether the content with this mark is in its place.
fn is_there(file: &DataFile, mark: &str) -> Result<bool> {
    match file.read().and_then(mark_of) {
        Ok(found) => Ok(found.as_deref() == Some(mark)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error.with_missing("file", file.location())),
    }
}

/// Makes the folder that a new file is to stand in.
fn make_parent(file: &DataFile) -> Result<()> {
    let Some(folder) = file.path().and_then(std::path::Path::parent) else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|cause| {
        Error::io("cannot make a folder of the table", cause).with("folder", folder.display())
    })
}

/// Where the record of a folder is: on the same disk or in the same bucket, hidden, and not in the folder itself, whose
/// readers would take it for a part of it.
fn beside(table: &Location) -> Result<Location> {
    let nameless = || {
        Error::new(ErrorKind::Usage, "the folder has no name beside which changes could be recorded")
            .with("folder", table)
            .hint("name a folder below it")
    };
    if let Some(path) = table.as_path() {
        // By whatever name or link it is reached, it has one record.
        let path = std::fs::canonicalize(path)
            .or_else(|_| std::path::absolute(path))
            .map_err(|cause| Error::io("cannot find the folder", cause).with("folder", table))?;
        let name = path.file_name().ok_or_else(nameless)?.to_string_lossy().into_owned();
        return Ok(Location::from_path(path.with_file_name(format!(".{name}.keyfold"))));
    }
    let (_, key) = table.as_object().ok_or_else(nameless)?;
    let key = key.trim_end_matches('/');
    let (parent, name) = match key.rfind('/') {
        Some(slash) => key.split_at(slash + 1),
        None => ("", key),
    };
    if name.is_empty() {
        return Err(nameless());
    }
    Ok(table.with_key(&format!("{parent}.{name}.keyfold")))
}

#[cfg(test)]
impl Control {
    /// Where everything of the record lies.
    pub(super) fn folder(&self) -> &Location {
        &self.folder
    }

    /// Does only the first `steps` steps of a change, as a run does that dies.
    pub(super) fn die_after(&self, session: &Session, begun: &Recorded, steps: usize) -> Result<()> {
        begun.change.steps.iter().take(steps).try_for_each(|step| self.put(session, step, None).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_beside_the_folder_by_whatever_name_it_is_reached() {
        let of = |table: &str| beside(&table.parse().expect("a location")).map(|folder| folder.to_string());
        assert_eq!(of("s3://lake/a/orders/").expect("named"), "s3://lake/a/.orders.keyfold");
        assert_eq!(of("s3://lake/orders").expect("named"), "s3://lake/.orders.keyfold");
        assert_eq!(of("/").map_err(|error| error.kind()), Err(ErrorKind::Usage));
        assert_eq!(of("s3://lake/").map_err(|error| error.kind()), Err(ErrorKind::Usage));
        let folder = tempfile::tempdir().expect("a folder");
        let (table, link) = (folder.path().join("orders"), folder.path().join("link"));
        std::fs::create_dir(&table).expect("made");
        std::os::unix::fs::symlink(&table, &link).expect("linked");
        let by_name = beside(&Location::from_path(&table)).expect("named");
        assert_eq!(by_name, beside(&Location::from_path(link)).expect("named"));
        assert_eq!(by_name, beside(&Location::from_path(table.join("../orders/"))).expect("named"));
    }
}
