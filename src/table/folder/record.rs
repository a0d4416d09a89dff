//! The record of the last change to a folder: one small file beside it, which is compared and swapped. What it says is
//! what has to be known to end a change that another run began.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::client::file::{Commit, DataFile, Version};
use crate::client::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::look_again;

/// Its name.
pub(super) const NAME: &str = "head.json";

/// The layout of the record; another one is not ours to read.
const FORMAT: u32 = 1;

/// A change to a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    keyfold: u32,
    /// Counts changes, from 1.
    pub(super) sequence: u64,
    state: State,
    pub(super) operation: Operation,
    /// The run that began it.
    run_id: String,
    /// Names this attempt among all others.
    writer: String,
    /// New files first: a row that moves is there twice for a moment, rather than not at all.
    pub(super) steps: Vec<Step>,
    /// The last change, up to this one, in which rows went from one file to another; 0 if none did.
    #[serde(default)]
    pub(super) moved: u64,
    /// Files that somebody who does not read this record has changed meanwhile; they are as he left them.
    #[serde(default)]
    skipped: Vec<String>,
}

impl Change {
    /// One that is to begin.
    pub(super) fn new(
        session: &Session,
        operation: Operation,
        sequence: u64,
        writer: &str,
        moved: u64,
        steps: Vec<Step>,
    ) -> Self {
        Self {
            keyfold: FORMAT,
            sequence,
            state: State::Begun,
            operation,
            run_id: session.run_id().to_owned(),
            writer: writer.to_owned(),
            steps,
            moved,
            skipped: Vec::new(),
        }
    }

    /// The same, of which all is done but what was `skipped`.
    pub(super) fn done(&self, skipped: Vec<String>) -> Self {
        Self { state: State::Done, skipped, ..self.clone() }
    }

    /// How it ended, if it is done.
    pub(super) fn end(&self) -> End {
        match self.skipped.len() {
            0 => End::Whole,
            all if all == self.steps.len() => End::GivenUp,
            _ => End::Partly,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Whoever finds it so ends it.
    Begun,
    Done,
}

/// What a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    Upsert,
    Append,
    /// Rows go from files that are there into new ones.
    Optimize,
}

/// A file that is put in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    /// Below the folder.
    pub(super) path: String,
    /// The version whose place it takes; none for a new file.
    pub(super) replaces: Option<String>,
    /// The name of the new content beside the folder, which is its mark as well.
    pub(super) staged: String,
}

impl Step {
    /// Whether what it replaces is what is there `now`.
    pub(super) fn replaces_now(&self, now: Option<&Version>) -> bool {
        match (now, &self.replaces) {
            (Some(now), Some(replaced)) => now.is_like(replaced),
            (None, None) => true,
            _ => false,
        }
    }
}

/// A record, and the version of the file that holds it.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) change: Change,
    version: Version,
}

impl Recorded {
    pub(super) fn sequence(&self) -> u64 {
        self.change.sequence
    }

    pub(super) fn is_done(&self) -> bool {
        self.change.state == State::Done
    }

    /// How it ended, if it is done.
    pub(super) fn end(&self) -> End {
        self.change.end()
    }
}

/// Whether nothing has happened between two looks at the record, but that a change was ended that had begun.
pub(super) fn is_same(before: Option<&Recorded>, after: Option<&Recorded>) -> bool {
    match (before, after) {
        (None, None) => true,
        (Some(before), Some(after)) => {
            before.sequence() == after.sequence()
                && (before.is_done() == after.is_done() || after.end() == End::Whole)
        }
        _ => false,
    }
}

/// Whether no row has gone from one file to another between two looks at the record, except in a change that had begun.
pub(super) fn is_unmoved(before: Option<&Recorded>, after: Option<&Recorded>) -> bool {
    after.map_or(0, |after| after.change.moved) <= before.map_or(0, Recorded::sequence)
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum End {
    /// Every file is in its place.
    Whole,
    /// Some are; others have been changed by somebody who does not read the record.
    Partly,
    /// None is.
    GivenUp,
}

/// What became of a change that was to be recorded.
#[derive(Debug)]
#[must_use]
pub(super) enum Written {
    /// It stands in the record. Somebody else may have ended it already.
    Made(Recorded),
    /// Somebody else was first; it will not happen.
    Lost,
    /// The answer was lost, and the record has gone on: if it stood there, it has been ended.
    Unknown,
}

/// The last change; `None` before the first.
///
/// # Errors
///
/// `InvalidData` for a record that is damaged, `Unsupported` for one of a later version.
pub(super) fn read(session: &Session, file: &DataFile) -> Result<Option<Recorded>> {
    let look = || {
        let (content, version) = file.read_version()?;
        let size = usize::try_from(version.size()).unwrap_or(usize::MAX);
        Ok((content.head(size)?, version))
    };
    let (text, version) = match look_again(session, look) {
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
        return Err(Error::new(ErrorKind::Unsupported, "a later version of keyfold writes to this folder")
            .with("file", file.location())
            .hint("use that version"));
    }
    let change: Change = serde_json::from_value(value).map_err(damaged)?;
    Ok(Some(Recorded { change, version }))
}

/// Records `change` if `last` is still what stands there.
///
/// # Errors
///
/// `PermissionDenied` or `Io`; then it is not recorded, unless the text says that this is not known.
pub(super) fn write(
    session: &Session,
    file: &DataFile,
    change: Change,
    last: Option<&Recorded>,
) -> Result<Written> {
    let mut stage = file.stage()?;
    let text = serde_json::to_vec_pretty(&change)
        .map_err(|cause| Error::internal("a change cannot be recorded").because(cause))?;
    stage.file().write_all(&text).map_err(|cause| Error::io("cannot write a temporary file", cause))?;
    match stage.swap(session, file, last.map(|last| &last.version))? {
        Commit::Committed { version, .. } => Ok(Written::Made(Recorded { change, version })),
        Commit::Conflict => Ok(Written::Lost),
        Commit::Unknown => Ok(became(&change, read(session, file)?)),
    }
}

/// What became of `change`, as far as the record tells that stands there `now`.
pub(super) fn became(change: &Change, now: Option<Recorded>) -> Written {
    match now {
        Some(now) if now.change.writer == change.writer => Written::Made(now),
        Some(now) if now.sequence() == change.sequence => Written::Lost,
        _ => Written::Unknown,
    }
}
