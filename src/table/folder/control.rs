//! The record of the last change to a folder of files, beside it, and the new files on their way into it.
//!
//! A change is made in this order. All new content is written beside the folder. Then the record is replaced, if it is
//! still the one that was read: from here on the change will happen. Each file is put in its place, if that still holds
//! what was read. Then the record says that the change is done. Whoever finds a change that is not done ends it first:
//! all he needs is there. Two may do so at the same time, and the first writer may wake up meanwhile: each step happens
//! once, for it has a condition, and no content is ever the same as what stood there before, for each file has a mark of
//! its own.

use serde::{Deserialize, Serialize};
use std::fs::File;

use crate::client::file::{Commit, DataFile, Stage, Version};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::pause;
use crate::table::parquet::mark_of;

const RECORD: &str = "head.json";

/// The layout of the record; another one is not ours to read.
const FORMAT: u32 = 1;

/// How often a file is looked at again that someone else is about to put in its place.
const LOOKS: u32 = 20;

/// A change to a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    keyfold: u32,
    /// Counts changes, from 1.
    pub(super) sequence: u64,
    state: State,
    /// The run that began it.
    run_id: String,
    /// Names this attempt among all others.
    writer: String,
    /// New files first: a row that moves is there twice for a moment, rather than not at all.
    steps: Vec<Step>,
    /// Files that somebody who does not read this record has changed meanwhile; they are as he left them.
    #[serde(default)]
    skipped: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Whoever finds it so ends it.
    Begun,
    Done,
}

/// A file that is put in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// Below the folder.
    path: String,
    /// The version whose place it takes; none for a new file.
    replaces: Option<String>,
    /// The name of the new content beside the folder, which is its mark as well.
    staged: String,
}

/// What became of one.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It is in its place.
    InPlace,
    /// Somebody else has changed the file.
    Foreign,
}

/// A record, and the version of the file that holds it.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    change: Change,
    version: Version,
}

impl Recorded {
    pub(super) fn sequence(&self) -> u64 {
        self.change.sequence
    }

    pub(super) fn is_done(&self) -> bool {
        self.change.state == State::Done
    }
}

/// New content on its way.
#[derive(Debug)]
pub(super) struct Staged {
    step: Step,
    /// The same bytes at hand, where putting them in place means to write them again.
    copy: Option<File>,
    size: u64,
}

/// The changes of one writer before they are recorded. What is staged goes if they never are.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    session: &'a Session,
    control: &'a Control,
    sequence: u64,
    writer: String,
    /// Files that were started.
    started: usize,
    staged: Vec<Staged>,
    is_recorded: bool,
}

/// A file that is being written beside the folder.
#[derive(Debug)]
pub(super) struct Fresh {
    name: String,
    stage: Stage,
}

impl Fresh {
    /// Tells its content from all other.
    pub(super) fn mark(&self) -> &str {
        &self.name
    }

    pub(super) fn file(&mut self) -> &mut File {
        self.stage.file()
    }
}

impl Draft<'_> {
    /// Starts a file.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn fresh(&mut self) -> Result<Fresh> {
        let name = format!("{:020}-{}-{}.parquet", self.sequence, self.writer, self.started);
        self.started += 1;
        let stage = self.control.staged(self.session, &name)?.stage()?;
        Ok(Fresh { name, stage })
    }

    /// Takes a file that is written, to go to `path` in place of `replaces`.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn add(&mut self, path: String, replaces: Option<&Version>, fresh: Fresh) -> Result<()> {
        let Fresh { name, mut stage } = fresh;
        let copy = match &mut stage {
            Stage::Local(_) => None,
            Stage::Object(stage) => Some(
                stage.file().try_clone().map_err(|cause| Error::io("cannot open a temporary file", cause))?,
            ),
        };
        let Commit::Committed(version) = stage.commit(None)? else {
            // It was cleaned away: somebody else has made the change of this number.
            return Err(Error::new(ErrorKind::Conflict, "someone else changed the folder meanwhile")
                .hint("nothing of this run was written; run it again"));
        };
        let step = Step { path, replaces: replaces.map(ToString::to_string), staged: name };
        self.staged.push(Staged { step, copy, size: version.size() });
        Ok(())
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.staged.iter().map(|staged| staged.size).sum()
    }

    /// Records the change, if `last` is still the last one; `None` if it is not.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn begin(mut self, last: Option<&Recorded>) -> Result<Option<(Recorded, Vec<Staged>)>> {
        self.staged.sort_by_key(|staged| staged.step.replaces.is_some());
        let change = Change {
            keyfold: FORMAT,
            sequence: self.sequence,
            state: State::Begun,
            run_id: self.session.run_id().to_owned(),
            writer: self.writer.clone(),
            steps: self.staged.iter().map(|staged| staged.step.clone()).collect(),
            skipped: Vec::new(),
        };
        // If this fails, it may have been recorded all the same: what is staged stays.
        self.is_recorded = true;
        let recorded = self.control.record(self.session, change, last)?;
        self.is_recorded = recorded.is_some();
        let staged = std::mem::take(&mut self.staged);
        if recorded.is_none() {
            self.staged = staged;
            return Ok(None);
        }
        Ok(recorded.map(|recorded| (recorded, staged)))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.is_recorded {
            return;
        }
        for staged in &self.staged {
            self.control.discard(self.session, &staged.step.staged);
        }
    }
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
        session.open(&self.folder.join(RECORD)?)?.stage().map(drop)
    }

    fn staged(&self, session: &Session, name: &str) -> Result<DataFile> {
        session.open(&self.folder.join(name)?)
    }

    fn discard(&self, session: &Session, name: &str) {
        let deleted = self.folder.join(name).and_then(|file| session.delete(&file));
        if let Err(error) = deleted {
            tracing::debug!(name, %error, "a file that is no longer needed is left behind");
        }
    }

    /// Starts the change after `last`.
    pub(super) fn draft<'a>(&'a self, session: &'a Session, last: Option<&Recorded>) -> Draft<'a> {
        Draft {
            session,
            control: self,
            sequence: last.map_or(0, Recorded::sequence) + 1,
            writer: uuid::Uuid::now_v7().simple().to_string(),
            started: 0,
            staged: Vec::new(),
            is_recorded: false,
        }
    }

    /// The last change; `None` before the first.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a record that is damaged, `Unsupported` for one of a later version.
    pub(super) fn last(&self, session: &Session) -> Result<Option<Recorded>> {
        let file = session.open(&self.folder.join(RECORD)?)?;
        let seen = file.read_version().and_then(|(content, version)| {
            let size = usize::try_from(version.size()).unwrap_or(usize::MAX);
            Ok((content.head(size)?, version))
        });
        let (text, version) = match seen {
            Ok(seen) => seen,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = |cause: serde_json::Error| {
            Error::new(ErrorKind::InvalidData, "the record of the last change to the folder is damaged")
                .with("file", file.location())
                .hint("nothing was changed; if nobody is writing to the folder, move the record away")
                .because(cause)
        };
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
        if value["keyfold"] != FORMAT {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a later version of keyfold writes to this folder",
            )
            .with("file", file.location())
            .hint("use that version"));
        }
        let change: Change = serde_json::from_value(value).map_err(damaged)?;
        Ok(Some(Recorded { change, version }))
    }

    /// Records `change` if `last` is still the last one; `None` if it is not.
    fn record(&self, session: &Session, change: Change, last: Option<&Recorded>) -> Result<Option<Recorded>> {
        let file = session.open(&self.folder.join(RECORD)?)?;
        let mut stage = file.stage()?;
        let text = serde_json::to_vec_pretty(&change)
            .map_err(|cause| Error::internal("a change cannot be recorded").because(cause))?;
        std::io::Write::write_all(stage.file(), &text)
            .map_err(|cause| Error::io("cannot write a temporary file", cause))?;
        match stage.swap(session, &file, last.map(|last| &last.version))? {
            Commit::Committed(version) => Ok(Some(Recorded { change, version })),
            Commit::Conflict => Ok(None),
            // Whether it was there in between does not matter if it no longer is: then someone has ended it.
            Commit::Unknown => Ok(self.last(session)?.filter(|now| now.change == change)),
        }
    }

    /// Ends a change that has begun: puts every file in its place, and records that it is done. Whether all of it was,
    /// and nothing was left to somebody who has changed a file meanwhile.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Io` or `Cancelled`; the next writer goes on where this one stopped.
    pub(super) fn end(&self, session: &Session, begun: &Recorded, mut staged: Vec<Staged>) -> Result<bool> {
        let unfinished =
            |error: Error| error.hint("the change has begun: the next upsert into the folder ends it first");
        let mut skipped = Vec::new();
        for step in &begun.change.steps {
            let own =
                staged.iter().position(|staged| staged.step == *step).map(|place| staged.swap_remove(place));
            let copy = own.and_then(|staged| staged.copy);
            if self.put(session, step, copy).map_err(unfinished)? == Ended::Foreign {
                match self.last(session).map_err(unfinished)? {
                    Some(now) if now.change == begun.change => skipped.push(step.path.clone()),
                    // Someone else has ended the change, and may have begun the next one.
                    now => return Ok(now.is_none_or(|now| now.is_whole(begun))),
                }
            }
        }
        // Nobody needs them any more; what is not recorded as done is seen to be in its place.
        for step in &begun.change.steps {
            self.discard(session, &step.staged);
        }
        let is_whole = skipped.is_empty();
        for path in &skipped {
            tracing::warn!(folder = %self.table, file = path, "somebody else has changed a file meanwhile");
        }
        let done = Change { state: State::Done, skipped, ..begun.change.clone() };
        if self.record(session, done, Some(begun)).map_err(unfinished)?.is_some() {
            self.clean(session, begun.sequence());
        }
        Ok(is_whole)
    }

    /// Puts one file in its place, unless it is there.
    fn put(&self, session: &Session, step: &Step, copy: Option<File>) -> Result<Ended> {
        let file = session.open(&self.table.join(&step.path)?)?;
        let staged = self.staged(session, &step.staged)?;
        let mut copy = copy;
        for look in 0..LOOKS {
            let now = file.version()?;
            let is_expected = now.as_ref().map(ToString::to_string) == step.replaces;
            if !is_expected {
                return Ok(if is_there(&file, &step.staged)? { Ended::InPlace } else { Ended::Foreign });
            }
            if now.is_none() {
                make_parent(&file)?;
            }
            if let Commit::Committed(_) = file.put(session, &staged, copy.take(), now.as_ref())? {
                return Ok(Ended::InPlace);
            }
            pause(session, std::time::Duration::from_millis(10), look)?;
        }
        Err(Error::new(ErrorKind::InvalidData, "a file that a change to the folder needs is missing")
            .with("file", staged.location())
            .hint("somebody has deleted it; to give up that change, move the folder it stood in away"))
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

impl Recorded {
    /// Whether, as far as can still be told, all of `begun` was done.
    fn is_whole(&self, begun: &Self) -> bool {
        self.change.sequence != begun.change.sequence || self.change.skipped.is_empty()
    }
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
    /// Does only the first `steps` steps of a change, as a run does that dies.
    pub(super) fn die_after(&self, session: &Session, begun: &Recorded, steps: usize) -> Result<()> {
        begun.change.steps.iter().take(steps).try_for_each(|step| self.put(session, step, None).map(drop))
    }

    /// Where everything of the record lies.
    pub(super) fn folder(&self) -> &Location {
        &self.folder
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
