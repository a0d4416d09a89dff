//! New files on their way into a folder: written beside it, before the record names them.

use std::fs::File;

use super::control::Control;
use super::record::{self, Change, Operation, Recorded, Step, Written};
use crate::client::file::{Commit, Stage, Version};
use crate::client::session::Session;
use crate::error::{Error, ErrorKind, Result};

/// How many files are kept at hand that are to be written again.
const COPIES: usize = 64;

/// New content on its way.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) step: Step,
    /// The same bytes at hand, where putting them in place means to write them again.
    pub(super) copy: Option<File>,
    size: u64,
}

/// The changes of one writer before they are recorded. What is staged goes if they never are.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    session: &'a Session,
    control: &'a Control,
    operation: Operation,
    sequence: u64,
    /// The last change in which rows went from one file to another.
    moved: u64,
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

/// Whether a change has begun.
#[derive(Debug)]
#[must_use]
pub(super) enum Begun {
    /// It has, and with what is staged it can be ended.
    Yes(Box<Recorded>, Vec<Staged>),
    /// Somebody else was first.
    No,
    /// It cannot be known, for the record has gone on; if it has, it was ended.
    Unknown,
}

impl<'a> Draft<'a> {
    /// Starts the change after `last`.
    pub(super) fn new(
        session: &'a Session,
        control: &'a Control,
        operation: Operation,
        last: Option<&Recorded>,
    ) -> Self {
        Self {
            session,
            control,
            operation,
            sequence: last.map_or(0, Recorded::sequence) + 1,
            moved: last.map_or(0, |last| last.change.moved),
            writer: uuid::Uuid::now_v7().simple().to_string(),
            started: 0,
            staged: Vec::new(),
            is_recorded: false,
        }
    }

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
            // A process may not have that many files open; what is not at hand is read again.
            Stage::Object(_) if self.staged.len() >= COPIES => None,
            Stage::Object(stage) => Some(
                stage.file().try_clone().map_err(|cause| Error::io("cannot open a temporary file", cause))?,
            ),
        };
        let Commit::Committed { version, .. } = stage.commit(None)? else {
            // It was cleaned away: somebody else has made the change of this number.
            return Err(Error::new(ErrorKind::Conflict, "someone else changed the folder meanwhile")
                .hint("nothing of this run was written; run it again"));
        };
        let step = Step { path, replaces: replaces.map(ToString::to_string), staged: name };
        self.staged.push(Staged { step, copy, size: version.size() });
        Ok(())
    }

    /// Whether a file is staged to go to `path`.
    pub(super) fn replaces(&self, path: &str) -> bool {
        self.staged.iter().any(|staged| staged.step.path == path)
    }

    /// Says that rows go from one file to another: who lists files then may miss them, or see them twice.
    pub(super) fn moves_rows(&mut self) {
        self.moved = self.sequence;
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.staged.iter().map(|staged| staged.size).sum()
    }

    /// Records the change, if `last` is still the last one.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn begin(mut self, last: Option<&Recorded>) -> Result<Begun> {
        self.staged.sort_by_key(|staged| staged.step.replaces.is_some());
        let steps = self.staged.iter().map(|staged| staged.step.clone()).collect();
        let change =
            Change::new(self.session, self.operation, self.sequence, &self.writer, self.moved, steps);
        // If this fails, it may have been recorded all the same: what is staged stays.
        self.is_recorded = true;
        let written = record::write(self.session, &self.control.record(self.session)?, change, last)?;
        self.is_recorded = matches!(written, Written::Made(_));
        Ok(match written {
            Written::Made(recorded) => Begun::Yes(Box::new(recorded), std::mem::take(&mut self.staged)),
            Written::Lost => Begun::No,
            Written::Unknown => Begun::Unknown,
        })
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
