//! A Delta table as the target of an upsert: only files that could hold an incoming id are looked into, only those with
//! a changed row are written anew, and one version of the log makes all of it visible.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use chrono::Utc;
use deltalake_core::kernel::{Action, Add, Remove};
use deltalake_core::protocol::{DeltaOperation, SaveMode};

use super::commit::{NewVersion, checkpoint};
use super::log::{At, Snapshot};
use super::new_file::{Layout, NewFile, delete};
use super::rewrite::Rewriter;
use super::vectors::{Marker, Marks};
use super::{prune, types, write};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher, Outcome, Pair};
use crate::core::options::UpsertOptions;
use crate::core::report::{WorkCounts, millis};
use crate::error::{Error, Result};
use crate::table::fit::fit_batches;
use crate::table::parquet::Folded;
use crate::table::partition::{self, Values};
use crate::table::{Applied, Change, Done, Found, StoredTable, UpsertTarget};

/// A table that may or may not exist yet.
#[derive(Debug)]
pub(crate) struct DeltaTarget {
    location: Location,
    options: UpsertOptions,
}

impl DeltaTarget {
    pub(crate) fn new(location: &Location, options: &UpsertOptions) -> Self {
        Self { location: location.clone(), options: options.clone() }
    }
}

impl UpsertTarget for DeltaTarget {
    fn location(&self) -> &Location {
        &self.location
    }

    fn open(&mut self, session: &Session, _: bool) -> Result<Found> {
        if !super::is_table(session, &self.location)? {
            return Ok(Found::Nothing);
        }
        let Some(snapshot) = Snapshot::load(session, &self.location, At::Latest)? else {
            return Ok(Found::Nothing);
        };
        snapshot.demands.check_writable()?;
        write::check_partitions(self.options.partition_by.as_deref(), &snapshot)?;
        write::check_vectors(self.options.deletion_vectors, &snapshot)?;
        let layout = Layout::new(
            &self.location,
            &snapshot.schema,
            &snapshot.partition_columns,
            &snapshot.demands,
            self.options.compression,
        )?;
        let snapshot = Some(snapshot);
        Ok(Found::Table(Box::new(Stored { layout, snapshot, opened: Vec::new() })))
    }

    fn create(&mut self, session: &Session, schema: &SchemaRef) -> Result<Box<dyn StoredTable>> {
        write::check_new(session, &self.location)?;
        let schema = types::table_schema(schema)?;
        let columns = self.options.partition_by.clone().unwrap_or_default();
        let layout =
            Layout::new(&self.location, &schema, &columns, &write::no_demands(), self.options.compression)?
                .with_deletion_vectors(self.options.deletion_vectors);
        Ok(Box::new(Stored { layout, snapshot: None, opened: Vec::new() }))
    }

    fn has_a_line(&self) -> bool {
        false
    }
}

/// One version of a table, or a table that is to be made.
struct Stored {
    layout: Layout,
    snapshot: Option<Snapshot>,
    /// The files that were looked into, and the numbers of their rows.
    opened: Vec<(usize, Range<u64>)>,
}

impl StoredTable for Stored {
    fn format(&self) -> Format {
        Format::Delta
    }

    fn version(&self) -> Option<String> {
        self.snapshot.as_ref().map(|snapshot| snapshot.version.to_string())
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.layout.schema)
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        _: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        fit_batches(&self.layout.schema, schema, &incoming)
    }

    fn find(
        &mut self,
        session: &Session,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<Option<u64>> {
        let Some(snapshot) = &self.snapshot else { return Ok(Some(0)) };
        let parts = &snapshot.parts;
        let possible = prune::candidates(
            parts,
            &snapshot.schema,
            &snapshot.partition_columns,
            matcher.incoming(),
            matcher.ids(),
        );
        work.files_skipped += (parts.len() - possible.len()) as u64;
        session.progress().start(possible.iter().map(|place| parts[*place].size).sum());
        let mut next = 0;
        for place in possible {
            session.check()?;
            let deleted = snapshot.deleted(session, &parts[place])?;
            let file = snapshot.open_part(session, &parts[place], next, &deleted)?;
            file.find_rows(session, matcher, work)
                .map_err(|error| error.with_missing("file", &parts[place].path))?;
            self.opened.push((place, next..next + file.rows()));
            next += file.rows();
        }
        Ok(snapshot.rows())
    }

    fn is_current(&self, _: &Session) -> Result<bool> {
        Ok(true)
    }

    fn is_outrun(&self, session: &Session) -> Result<bool> {
        let next = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.version + 1);
        let next = super::version_file(&self.layout.location, next)?;
        Ok(session.open(&next)?.version()?.is_some())
    }

    fn plan(&mut self, incoming: &Incoming, outcome: &Outcome, work: &mut WorkCounts) -> Result<()> {
        let columns = &self.layout.partition_columns;
        let inserts = Folded::new(&self.layout.schema, incoming, outcome)?.inserts(incoming, outcome)?;
        let mut new: HashSet<Values> = HashSet::new();
        for part in partition::split(&inserts, columns)? {
            if part.rows.num_rows() > 0 {
                new.insert(part.values);
            }
        }
        let touched = self.touched(outcome);
        let Some(snapshot) = self.snapshot.as_ref().filter(|_| !touched.is_empty()) else {
            work.files_added = new.len() as u64;
            return Ok(());
        };
        snapshot.demands.check_removable()?;
        let marks = snapshot.demands.wants_vectors();
        let mut stay = 0;
        for (place, rows, pairs) in touched.iter().cloned() {
            let part = &snapshot.parts[place];
            let deleted = part.deletion_vector.as_ref().map_or(0, |vector| vector.cardinality.unsigned_abs());
            let own = partition::normal(&self.layout.schema, columns, &part.values)?;
            let leaving = partition::leaving(columns, &own, incoming.batch(), pairs)?;
            let gone = if marks { pairs.len() } else { leaving.len() };
            stay += u64::from(rows.end - rows.start > gone as u64 + deleted);
            if marks && leaving.len() < pairs.len() {
                new.insert(own);
            }
            new.extend(leaving.into_iter().map(|(_, values)| values));
        }
        let touched = touched.len() as u64;
        (work.files_removed, work.deletion_vectors, work.files_added) = if marks {
            (touched - stay, stay, new.len() as u64)
        } else {
            (touched, 0, stay + new.len() as u64)
        };
        Ok(())
    }

    fn apply(&mut self, session: &Session, change: &Change<'_>, done: &mut Done<'_>) -> Result<Applied> {
        let start = Instant::now();
        let mut new = NewFiles::default();
        let staged = self.write(session, change, done.work, &mut new);
        done.times.apply += millis(start.elapsed());
        let start = Instant::now();
        staged.inspect_err(|_| new.discard(session, &self.layout.location))?;
        let actions = self.actions(&new);
        let version = actions.and_then(|all| self.version(change, &new, done.work).stage(session, &all));
        let version = version.inspect_err(|_| new.discard(session, &self.layout.location))?;
        let number = version.number;
        // If this fails, a version may name the files all the same: they stay.
        let is_committed = version.commit(session)?;
        done.times.commit += millis(start.elapsed());
        if !is_committed {
            new.discard(session, &self.layout.location);
            return Ok(Applied::Conflict);
        }
        let demands = self.snapshot.as_ref().map(|snapshot| &snapshot.demands);
        checkpoint(session, &self.layout.location, number, demands);
        Ok(Applied::Committed(number.to_string()))
    }
}

/// What an attempt has written so far.
#[derive(Debug, Default)]
struct NewFiles {
    adds: Vec<Add>,
    removes: Vec<Remove>,
    marks: Marks,
    copied: u64,
}

impl NewFiles {
    /// Deletes what no version names. Files of which rows are marked were there before.
    fn discard(&self, session: &Session, location: &Location) {
        delete(session, location, self.adds.iter().map(|add| &add.path).chain(&self.marks.file));
    }
}

impl Stored {
    /// The files with a changed row, the numbers of their rows, and their changed rows.
    fn touched<'a>(&self, outcome: &'a Outcome) -> Vec<(usize, Range<u64>, &'a [Pair])> {
        let own = |rows: &Range<u64>| {
            let from = outcome.replaced.partition_point(|pair| pair.stored_row < rows.start);
            let to = outcome.replaced.partition_point(|pair| pair.stored_row < rows.end);
            &outcome.replaced[from..to]
        };
        let all = self.opened.iter().map(|(place, rows)| (*place, rows.clone(), own(rows)));
        all.filter(|(_, _, pairs)| !pairs.is_empty()).collect()
    }

    /// Writes the new files; what is written stands in `new` even if it fails.
    fn write(
        &self,
        session: &Session,
        change: &Change<'_>,
        work: &mut WorkCounts,
        new: &mut NewFiles,
    ) -> Result<()> {
        let folded = Folded::new(&self.layout.schema, change.incoming, change.outcome)?;
        let mut rows = match &self.snapshot {
            Some(snapshot) if snapshot.demands.wants_vectors() => {
                self.mark(session, snapshot, change, &folded, work, new)?
            }
            Some(snapshot) => self.rewrite(session, snapshot, change, &folded, work, new)?,
            None => Vec::new(),
        };
        rows.push(folded.inserts(change.incoming, change.outcome)?);
        let rows = concat_batches(&self.layout.schema, &rows)
            .map_err(|cause| Error::internal("new rows could not be gathered").because(cause))?;
        for part in partition::split(&rows, &self.layout.partition_columns)? {
            session.check()?;

            if part.rows.num_rows() > 0 {
                let mut file = NewFile::start(session, &self.layout, part.values, None)?;
                file.write(&part.rows)?;
                new.adds.push(file.finish()?);
            }
        }
        work.files_added = new.adds.len() as u64;
        work.files_removed = (new.removes.len() + new.marks.removes.len() - new.marks.adds.len()) as u64;
        work.deletion_vectors = new.marks.adds.len() as u64;
        let bytes: u64 = new.adds.iter().map(|add| add.size.unsigned_abs()).sum();
        work.bytes_written = Some(bytes + new.marks.bytes);
        Ok(())
    }

    /// Writes the files with a changed row anew; gives the rows that go to other partitions.
    fn rewrite(
        &self,
        session: &Session,
        snapshot: &Snapshot,
        change: &Change<'_>,
        folded: &Folded,
        work: &mut WorkCounts,
        new: &mut NewFiles,
    ) -> Result<Vec<RecordBatch>> {
        let rewriter =
            Rewriter { session, snapshot, layout: &self.layout, incoming: change.incoming, folded };
        let now = Utc::now().timestamp_millis();
        let mut moved = Vec::new();
        for (place, rows, pairs) in self.touched(change.outcome) {
            let part = &snapshot.parts[place];
            let rewritten = rewriter
                .rewrite(part, rows.start, pairs, work)
                .map_err(|error| error.with_missing("file", &part.path))?;
            new.adds.extend(rewritten.add);
            new.removes.push(part.remove(&snapshot.partition_columns, now));
            new.copied += rewritten.copied;
            moved.extend(rewritten.moved);
        }
        Ok(moved)
    }

    /// Marks the rows that are replaced, and leaves their files as they are; gives what takes their place.
    fn mark(
        &self,
        session: &Session,
        snapshot: &Snapshot,
        change: &Change<'_>,
        folded: &Folded,
        work: &mut WorkCounts,
        new: &mut NewFiles,
    ) -> Result<Vec<RecordBatch>> {
        let mut marker = Marker::new(session, snapshot, folded);
        let mut replaced = Vec::new();
        for (place, rows, pairs) in self.touched(change.outcome) {
            session.check()?;
            let part = &snapshot.parts[place];
            let rows = marker.mark(part, rows, pairs, work);
            replaced.extend(rows.map_err(|error| error.with_missing("file", &part.path))?);
        }
        new.marks = marker.finish()?;
        Ok(replaced)
    }

    fn version(&self, change: &Change<'_>, new: &NewFiles, work: &WorkCounts) -> NewVersion<'_> {
        NewVersion {
            location: &self.layout.location,
            read: self.snapshot.as_ref().map(|snapshot| snapshot.version),
            operation: self.operation(),
            parameters: BTreeMap::new(),
            metrics: metrics(change, new, work),
            is_blind: false,
        }
    }

    fn actions(&self, new: &NewFiles) -> Result<Vec<Action>> {
        let mut actions =
            if self.snapshot.is_none() { write::table_actions(&self.layout)? } else { Vec::new() };
        let removes = new.removes.iter().chain(&new.marks.removes);
        actions.extend(removes.cloned().map(Action::Remove));
        actions.extend(new.adds.iter().chain(&new.marks.adds).cloned().map(Action::Add));
        Ok(actions)
    }

    fn operation(&self) -> DeltaOperation {
        if self.snapshot.is_none() {
            let columns = &self.layout.partition_columns;
            return DeltaOperation::Write {
                mode: SaveMode::ErrorIfExists,
                partition_by: (!columns.is_empty()).then(|| columns.clone()),
                predicate: None,
            };
        }
        // Without a predicate it says that it has looked at the whole table.
        DeltaOperation::Merge {
            predicate: None,
            merge_predicate: None,
            matched_predicates: Vec::new(),
            not_matched_predicates: Vec::new(),
            not_matched_by_source_predicates: Vec::new(),
        }
    }
}

fn metrics(change: &Change<'_>, new: &NewFiles, work: &WorkCounts) -> BTreeMap<&'static str, u64> {
    let rows = &change.outcome.rows;
    BTreeMap::from([
        ("numSourceRows", rows.incoming),
        ("numTargetRowsInserted", rows.inserted),
        ("numTargetRowsUpdated", rows.updated),
        ("numTargetRowsDeleted", 0),
        ("numTargetRowsCopied", new.copied),
        ("numOutputRows", rows.inserted + rows.updated + new.copied),
        ("numTargetFilesAdded", new.adds.len() as u64),
        ("numTargetFilesRemoved", work.files_removed),
        ("numTargetDeletionVectorsAdded", new.marks.added),
        ("numTargetDeletionVectorsUpdated", new.marks.updated),
        ("numTargetDeletionVectorsRemoved", new.marks.removed),
        ("numTargetBytesAdded", work.bytes_written.unwrap_or(0)),
        (
            "numTargetBytesRemoved",
            new.removes.iter().filter_map(|file| file.size).map(i64::unsigned_abs).sum(),
        ),
    ])
}
