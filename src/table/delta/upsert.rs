//! A Delta table as the target of an upsert: only files that could hold an incoming id are looked into, only those with
//! a changed row are written anew, and one version of the log makes all of it visible.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use deltalake_core::kernel::Action;
use deltalake_core::protocol::{DeltaOperation, SaveMode};

use super::commit::{NewVersion, checkpoint};
use super::log::{At, Snapshot};
use super::new_file::Layout;
use super::prune::FileIndex;
use super::written::{FileWriter, Touched, Written};
use super::{types, write};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Matcher, Outcome, rows_within};
use crate::core::options::UpsertOptions;
use crate::core::report::{WorkCounts, millis};
use crate::error::Result;
use crate::table::fit::{Fit, fit_batches};
use crate::table::parquet::{FileLayout, Folded};
use crate::table::partition;
use crate::table::reach::Reach;
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

    fn stored(&self, layout: Layout, snapshot: Option<Snapshot>) -> Stored {
        let files = FileLayout::of_upsert(&self.options);
        Stored { layout, files, snapshot, metadata: None, index: None, opened: Vec::new() }
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
            FileLayout::of_upsert(&self.options),
        )?;
        let snapshot = Some(snapshot);
        Ok(Found::Table(Box::new(self.stored(layout, snapshot))))
    }

    fn create(&mut self, session: &Session, schema: &SchemaRef) -> Result<Box<dyn StoredTable>> {
        write::check_new(session, &self.location)?;
        let schema = types::table_schema(schema)?;
        let columns = self.options.partition_by.clone().unwrap_or_default();
        let layout = Layout::new(
            &self.location,
            &schema,
            &columns,
            &write::no_demands(),
            FileLayout::of_upsert(&self.options),
        )?
        .with_deletion_vectors(self.options.deletion_vectors);
        Ok(Box::new(self.stored(layout, None)))
    }

    fn has_a_line(&self) -> bool {
        false
    }
}

/// One version of a table, or a table that is to be made.
struct Stored {
    layout: Layout,
    files: FileLayout,
    snapshot: Option<Snapshot>,
    /// What is said of the table from now on, if it gets more columns.
    metadata: Option<Action>,
    /// What the log says of the files, once it was asked.
    index: Option<FileIndex>,
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

    fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()> {
        // A table that is to be made has all columns.
        let Some(snapshot) = &mut self.snapshot else { return Ok(()) };
        self.metadata = Some(snapshot.add_columns(columns)?);
        let (location, demands) = (&self.layout.location, &snapshot.demands);
        let columns = &self.layout.partition_columns;
        self.layout = Layout::new(location, &snapshot.schema, columns, demands, self.files.clone())?;
        Ok(())
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        _: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        fit_batches(&self.layout.schema, schema, &incoming)
    }

    fn fit_each(&self, schema: &Schema) -> Result<Option<Fit>> {
        Fit::new(&self.layout.schema, schema).map(Some)
    }

    fn find(
        &mut self,
        session: &Session,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<Option<u64>> {
        let Some(snapshot) = &self.snapshot else { return Ok(Some(0)) };
        let parts = &snapshot.parts;
        let index = match &mut self.index {
            Some(index) => index,
            none => none.insert(FileIndex::new(
                parts,
                &snapshot.schema,
                &snapshot.partition_columns,
                matcher.ids(),
            )?),
        };
        let mut possible = match matcher.pruning_ids() {
            Some(ids) => index.candidates(matcher.incoming(), ids),
            None => index.all(),
        };
        let mut reach = Reach::new(matcher, &snapshot.partition_columns)?;
        possible.retain(|place| reach.holds(&parts[*place].values));
        work.files_skipped += (parts.len() - possible.len()) as u64;
        session.progress().start(possible.iter().map(|place| parts[*place].size).sum());
        let known: HashMap<usize, u64> =
            self.opened.iter().map(|(place, rows)| (*place, rows.start)).collect();
        let mut next = self.opened.last().map_or(0, |(_, rows)| rows.end);
        for place in possible {
            session.check()?;
            let first = known.get(&place).copied();
            let deleted = snapshot.deleted(session, &parts[place])?;
            let file = snapshot.open_part(session, &parts[place], first.unwrap_or(next), &deleted)?;
            file.find_rows(session, matcher, work)
                .map_err(|error| error.with_missing("file", &parts[place].path))?;
            if first.is_none() {
                self.opened.push((place, next..next + file.rows()));
                next += file.rows();
            }
        }
        Ok(index.rows())
    }

    fn rows_at(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        let Some(snapshot) = &self.snapshot else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (place, range) in &self.opened {
            let (part, own) = (&snapshot.parts[*place], rows_within(rows, range));
            if !own.is_empty() {
                let file = snapshot.open_part(session, part, range.start, &[])?;
                found.extend(file.rows_at(own).map_err(|error| error.with_missing("file", &part.path))?);
            }
        }
        Ok(found)
    }

    fn is_current(&self, _: &Session) -> Result<bool> {
        Ok(true)
    }

    fn is_outrun(&self, session: &Session) -> Result<bool> {
        let next = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.version + 1);
        let next = super::version_file(&self.layout.location, next)?;
        Ok(session.open(&next)?.version()?.is_some())
    }

    fn plan(&mut self, change: &Change<'_>, work: &mut WorkCounts) -> Result<()> {
        let columns = &self.layout.partition_columns;
        let mut new = Folded::new(&self.layout.schema, change)?.partitions(columns)?;
        let touched = self.touched(change.outcome);
        let Some(snapshot) = self.snapshot.as_ref().filter(|_| !touched.is_empty()) else {
            work.files_added = new.len() as u64;
            return Ok(());
        };
        snapshot.demands.check_removable()?;
        let marks = snapshot.demands.wants_vectors();
        let mut stay = 0;
        for Touched { part, rows, fates } in &touched {
            let (pairs, deleted) = (fates.replaced, part.deleted() + fates.deleted.len() as u64);
            let own = partition::normal(&self.layout.schema, columns, &part.values)?;
            let leaving = partition::leaving(columns, &own, change, pairs)?;
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
        let mut new = Written::default();
        let writer = FileWriter { session, layout: &self.layout, change };
        let staged = writer.write(self.snapshot.as_ref(), &self.touched(change.outcome), done.work, &mut new);
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

impl Stored {
    /// The files with a changed row.
    fn touched<'a>(&'a self, outcome: &'a Outcome) -> Vec<Touched<'a>> {
        let Some(snapshot) = &self.snapshot else { return Vec::new() };
        let own = |(place, rows): &(usize, Range<u64>)| {
            let (part, fates) = (&snapshot.parts[*place], outcome.fates(rows));
            (!fates.is_empty()).then(|| Touched { part, rows: rows.clone(), fates })
        };
        self.opened.iter().filter_map(own).collect()
    }

    fn version(&self, change: &Change<'_>, written: &Written, work: &WorkCounts) -> NewVersion<'_> {
        NewVersion {
            location: &self.layout.location,
            read: self.snapshot.as_ref().map(|snapshot| snapshot.version),
            operation: self.operation(),
            parameters: BTreeMap::new(),
            metrics: written.metrics(change, work),
            is_blind: false,
        }
    }

    fn actions(&self, written: &Written) -> Result<Vec<Action>> {
        let mut actions =
            if self.snapshot.is_none() { write::table_actions(&self.layout)? } else { Vec::new() };
        actions.extend(self.metadata.clone());
        actions.extend(written.actions());
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
