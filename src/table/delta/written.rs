//! The files that an upsert writes into a Delta table, before a version of the log names them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;
use chrono::Utc;
use deltalake_core::kernel::{Action, Add, Remove};

use super::log::Snapshot;
use super::new_file::{Layout, delete};
use super::new_files::Files;
use super::part::StoredPart;
use super::rewrite::{Rewriter, Rewritten};
use super::vectors::{Marker, Marks};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::merge::kernel::Fates;
use crate::core::report::WorkCounts;
use crate::error::Result;
use crate::table::Change;
use crate::table::cores::{Rounds, in_rounds};
use crate::table::new_rows::Pending;
use crate::table::parquet::Folded;

/// A file with a changed row.
#[derive(Debug, Clone)]
pub(super) struct Touched<'a> {
    pub(super) part: &'a StoredPart,
    /// The numbers of its rows.
    pub(super) rows: Range<u64>,
    /// What becomes of them.
    pub(super) fates: Fates<'a>,
}

/// What an attempt has written so far.
#[derive(Debug, Default)]
pub(super) struct Written {
    adds: Vec<Add>,
    removes: Vec<Remove>,
    marks: Marks,
    /// Rows that are written as they were.
    copied: u64,
}

impl Written {
    /// Deletes what no version names. Files of which rows are marked were there before.
    pub(super) fn discard(&self, session: &Session, location: &Location) {
        delete(session, location, self.adds.iter().map(|add| &add.path).chain(&self.marks.file));
    }

    /// What a version says of the files.
    pub(super) fn actions(&self) -> impl Iterator<Item = Action> {
        let removes = self.removes.iter().chain(&self.marks.removes).cloned().map(Action::Remove);
        removes.chain(self.adds.iter().chain(&self.marks.adds).cloned().map(Action::Add))
    }

    /// The metrics of a merge, as Spark names them.
    pub(super) fn metrics(&self, change: &Change<'_>, work: &WorkCounts) -> BTreeMap<&'static str, u64> {
        let rows = &change.outcome.rows;
        // One incoming row may replace several stored ones.
        let updated = change.outcome.replaced.len() as u64;
        let removed = self.removes.iter().filter_map(|file| file.size).map(i64::unsigned_abs).sum();
        BTreeMap::from([
            ("numSourceRows", rows.incoming),
            ("numTargetRowsInserted", rows.inserted),
            ("numTargetRowsUpdated", updated),
            ("numTargetRowsDeleted", rows.deleted + rows.repaired),
            ("numTargetRowsCopied", self.copied),
            ("numOutputRows", rows.inserted + updated + self.copied),
            ("numTargetFilesAdded", self.adds.len() as u64),
            ("numTargetFilesRemoved", work.files_removed),
            ("numTargetDeletionVectorsAdded", self.marks.added),
            ("numTargetDeletionVectorsUpdated", self.marks.updated),
            ("numTargetDeletionVectorsRemoved", self.marks.removed),
            ("numTargetBytesAdded", work.bytes_written.unwrap_or(0)),
            ("numTargetBytesRemoved", removed),
        ])
    }

    fn count(&self, work: &mut WorkCounts) {
        work.files_added = self.adds.len() as u64;
        work.files_removed = (self.removes.len() + self.marks.removes.len() - self.marks.adds.len()) as u64;
        work.deletion_vectors = self.marks.adds.len() as u64;
        let bytes: u64 = self.adds.iter().map(|add| add.size.unsigned_abs()).sum();
        work.bytes_written = Some(bytes + self.marks.bytes);
    }
}

/// Writes the files of one change.
pub(super) struct FileWriter<'a> {
    pub(super) session: &'a Session,
    pub(super) layout: &'a Layout,
    pub(super) change: &'a Change<'a>,
}

impl FileWriter<'_> {
    /// Writes the new files; `snapshot` is what is stored. What is written stands in `written` even if this fails.
    ///
    /// # Errors
    ///
    /// `InvalidData` if a stored file cannot be read, `PermissionDenied`, `Io` or `Cancelled`.
    pub(super) fn write(
        &self,
        snapshot: Option<&Snapshot>,
        touched: &[Touched<'_>],
        work: &mut WorkCounts,
        written: &mut Written,
    ) -> Result<()> {
        let folded = Folded::new(&self.layout.schema, self.change)?;
        let mut rows =
            Rows { files: Files::new(self.session, self.layout), pending: Pending::new(self.change.rows) };
        let filled = self.fill(snapshot, touched, &folded, &mut rows, work, written);
        let filled = filled.and_then(|()| rows.finish());
        written.adds.append(&mut rows.files.adds);
        filled?;
        written.count(work);
        Ok(())
    }

    fn fill(
        &self,
        snapshot: Option<&Snapshot>,
        touched: &[Touched<'_>],
        folded: &Folded<'_>,
        rows: &mut Rows<'_>,
        work: &mut WorkCounts,
        written: &mut Written,
    ) -> Result<()> {
        match snapshot {
            Some(snapshot) if snapshot.demands.wants_vectors() => {
                written.marks = self.mark(snapshot, touched, folded, rows, work)?;
            }
            Some(snapshot) => self.rewrite(snapshot, touched, folded, rows, work, written)?,
            None => {}
        }
        folded.inserts().try_for_each(|inserts| rows.add(inserts?))
    }

    /// Writes the files with a changed row anew; rows that go to other partitions are among the new ones.
    fn rewrite(
        &self,
        snapshot: &Snapshot,
        touched: &[Touched<'_>],
        folded: &Folded<'_>,
        rows: &mut Rows<'_>,
        work: &mut WorkCounts,
        written: &mut Written,
    ) -> Result<()> {
        let (session, layout) = (self.session, self.layout);
        let rewriter = Rewriter { session, snapshot, layout, change: self.change, folded };
        session.progress().start(touched.iter().map(|touched| touched.part.size).sum());
        let in_place = Mutex::new(BTreeMap::new());
        let is_local = layout.location.as_path().is_some();
        let now = Utc::now().timestamp_millis();
        let mut rewriting = Rewriting { snapshot, touched, next: 0, is_local, now, rows, work, written };
        let done = in_rounds(&mut rewriting, OPEN_FILES, |number: usize| {
            let Touched { part, rows: own, fates } = &touched[number];
            let rewritten = rewriter.rewrite(part, own.start, *fates);
            let mut rewritten = rewritten.map_err(|error| error.with_missing("file", &part.path))?;
            if let Some(add) = rewritten.add.take() {
                in_place.lock().unwrap_or_else(PoisonError::into_inner).insert(number, add);
            }
            Ok((number, rewritten))
        });
        // Also those that were done when another failed.
        written.adds.extend(in_place.into_inner().unwrap_or_else(PoisonError::into_inner).into_values());
        done
    }

    /// Marks the rows that are replaced, and leaves their files as they are; what takes their place is among the new rows.
    fn mark(
        &self,
        snapshot: &Snapshot,
        touched: &[Touched<'_>],
        folded: &Folded<'_>,
        rows: &mut Rows<'_>,
        work: &mut WorkCounts,
    ) -> Result<Marks> {
        let mut marker = Marker::new(self.session, snapshot, folded);
        for Touched { part, rows: own, fates } in touched {
            self.session.check()?;
            let shown = marker.mark(part, own.clone(), *fates, work, |replaced| rows.add(replaced));
            shown.map_err(|error| error.with_missing("file", &part.path))?;
        }
        marker.finish()
    }
}

/// Files on disk that are rewritten at the same time: the next is decoded while the end of one is written.
const OPEN_FILES: usize = 2;

/// Files that are being rewritten; each is a round of its own.
struct Rewriting<'a, 'r> {
    snapshot: &'a Snapshot,
    touched: &'a [Touched<'a>],
    next: usize,
    is_local: bool,
    /// When they are removed.
    now: i64,
    rows: &'a mut Rows<'r>,
    work: &'a mut WorkCounts,
    written: &'a mut Written,
}

impl Rounds for Rewriting<'_, '_> {
    type Piece = usize;
    type Made = (usize, Rewritten);

    fn may_begin(&self, open: usize) -> bool {
        // In a store a file is fetched, and sent, by several requests at once.
        open < OPEN_FILES && self.is_local
    }

    fn begin(&mut self) -> Result<Option<Vec<usize>>> {
        let number = self.next;
        self.next += 1;
        Ok((number < self.touched.len()).then(|| vec![number]))
    }

    fn end(&mut self, made: Vec<(usize, Rewritten)>) -> Result<()> {
        for (number, rewritten) in made {
            let part = self.touched[number].part;
            self.written.removes.push(part.remove(&self.snapshot.partition_columns, self.now));
            self.written.copied += rewritten.copied;
            self.work.add(&rewritten.work);
            rewritten.moved.into_iter().try_for_each(|moved| self.rows.add(moved))?;
        }
        Ok(())
    }
}

/// Rows on their way into new files.
struct Rows<'a> {
    files: Files<'a>,
    pending: Pending,
}

impl Rows<'_> {
    fn add(&mut self, rows: RecordBatch) -> Result<()> {
        if let Some(rows) = self.pending.add(rows)? { self.files.add(&rows) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(rows) = self.pending.take()? {
            self.files.add(&rows)?;
        }
        self.files.finish()
    }
}
