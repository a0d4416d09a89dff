//! A folder of Parquet files as the target of an upsert: each file with a changed row is written anew and put in its
//! place, new rows go into new files, and a record beside the folder holds it together.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};

use super::control::Control;
use super::draft::{Begun, Draft};
use super::files::Folder;
use super::new_parts::NewParts;
use super::optimize::not_whole;
use super::reader::{recorded, view};
use super::record::{self, End, Operation, Recorded};
use crate::client::file::Version;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Fates, Matcher, rows_within};
use crate::core::options::UpsertOptions;
use crate::core::report::{WorkCounts, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::table::fit::{Fit, fit_batches};
use crate::table::new_rows::Pending;
use crate::table::parquet::{FileLayout, Folded, PartChange, rewrite_part};
use crate::table::partition::{self, Values};
use crate::table::reach::Reach;
use crate::table::source::check_new_name;
use crate::table::{Applied, Change, Done, Found, ParquetTable, StoredTable, UpsertTarget};

/// A folder that may or may not have files yet.
#[derive(Debug)]
pub(crate) struct FolderTarget {
    location: Location,
    options: UpsertOptions,
    /// The last change before it was looked whether there are files.
    last: Option<Recorded>,
    /// Whether the first file is known to lack columns of others.
    is_short: Arc<AtomicBool>,
}

impl FolderTarget {
    pub(crate) fn new(location: &Location, options: &UpsertOptions) -> Self {
        Self { location: location.clone(), options: options.clone(), last: None, is_short: Arc::default() }
    }

    fn stored(&self, control: Control, folder: Folder, is_new: bool) -> Box<dyn StoredTable> {
        let (last, layout) = (self.last.clone(), FileLayout::of_upsert(&self.options));
        let is_short = Arc::clone(&self.is_short);
        let is_wider = is_short.load(Ordering::Relaxed);
        Box::new(Stored { control, last, folder, is_new, is_wider, is_short, layout, opened: Vec::new() })
    }
}

/// The last change to a folder, which is done: one that is not is ended first, but for a dry run.
pub(super) fn settled(session: &Session, control: &Control, dry_run: bool) -> Result<Option<Recorded>> {
    if dry_run {
        return recorded(session, control);
    }
    loop {
        match control.last(session)? {
            Some(begun) if !begun.is_done() => {
                tracing::info!(change = begun.sequence(), "ending what another run began");
                control.ask(session)?;
                let end = control.end(session, &begun, Vec::new())?;
                if end == End::Partly && begun.change.operation == Operation::Optimize {
                    return Err(not_whole(control.table()));
                }
            }
            last => return Ok(last),
        }
    }
}

impl UpsertTarget for FolderTarget {
    fn location(&self) -> &Location {
        &self.location
    }

    fn open(&mut self, session: &Session, dry_run: bool) -> Result<Found> {
        let control = Control::of(&self.location)?;
        self.last = settled(session, &control, dry_run)?;
        // A change that has begun is not ended for a dry run, but looked through.
        let load = if dry_run { view } else { Folder::load };
        let Some(mut folder) = load(session, &self.location)? else { return Ok(Found::Nothing) };
        if self.is_short.load(Ordering::Relaxed) {
            folder.learn_columns(session)?;
        }
        folder.check_partitions(self.options.partition_by.as_deref())?;
        Ok(Found::Table(self.stored(control, folder, false)))
    }

    fn create(&mut self, _: &Session, schema: &SchemaRef) -> Result<Box<dyn StoredTable>> {
        check_new_name(&self.location)?;
        let control = Control::of(&self.location)?;
        let columns = self.options.partition_by.clone().unwrap_or_default();
        let folder = Folder::empty(&self.location, schema, columns)?;
        Ok(self.stored(control, folder, true))
    }

    fn has_a_line(&self) -> bool {
        false
    }
}

/// A file that was looked into.
#[derive(Debug, Clone)]
struct Seen {
    place: usize,
    rows: Range<u64>,
    version: Version,
}

/// One state of a folder.
struct Stored {
    control: Control,
    last: Option<Recorded>,
    folder: Folder,
    is_new: bool,
    /// Whether it gets more columns than its first file has.
    is_wider: bool,
    is_short: Arc<AtomicBool>,
    layout: FileLayout,
    opened: Vec<Seen>,
}

/// A file with a changed row.
struct Touched<'a> {
    seen: &'a Seen,
    fates: Fates<'a>,
    /// The rows that go to another partition, and which.
    leaving: Vec<(u64, Values)>,
}

impl Stored {
    fn touched<'a>(&'a self, change: &Change<'a>) -> Result<Vec<Touched<'a>>> {
        let outcome = change.outcome;
        let mut touched = Vec::new();
        for seen in &self.opened {
            let fates = outcome.fates(&seen.rows);
            if !fates.is_empty() {
                let own = &self.folder.parts[seen.place].values;
                let columns = &self.folder.partition_columns;
                let leaving = partition::leaving(columns, own, change, fates.replaced)?;
                touched.push(Touched { seen, fates, leaving });
            }
        }
        Ok(touched)
    }

    /// Writes all new content beside the folder.
    fn stage<'a>(
        &'a self,
        session: &'a Session,
        change: &Change<'_>,
        work: &mut WorkCounts,
    ) -> Result<Draft<'a>> {
        self.control.make()?;
        let mut draft = self.control.draft(session, Operation::Upsert, self.last.as_ref());
        let folded = Folded::new(&self.folder.stored_schema, change)?;
        let touched = self.touched(change)?;
        if touched.iter().any(|touched| !touched.leaving.is_empty()) {
            draft.moves_rows();
        }
        let pending = Pending::new(change.rows);
        let mut new = NewParts::new(session, &self.folder, self.layout.clone(), self.empty(), pending);
        for touched in &touched {
            let path = &self.folder.parts[touched.seen.place].path;
            let moved = self.moved(session, touched, &folded);
            for rows in moved.map_err(|error| error.with_missing("file", path))? {
                new.add(rows, &mut draft, work)?;
            }
        }
        for rows in folded.inserts() {
            new.add(rows?, &mut draft, work)?;
        }
        new.finish(self.is_new, &mut draft, work)?;
        for touched in &touched {
            let path = &self.folder.parts[touched.seen.place].path;
            self.stage_changed(session, touched, change, &mut draft, work)
                .map_err(|error| error.with_missing("file", path))?;
        }
        if let Some(first) = self.first_to_widen(session, |path| draft.replaces(path))? {
            let touched = Touched { seen: &first, fates: Fates::default(), leaving: Vec::new() };
            self.stage_changed(session, &touched, change, &mut draft, work)?;
        }
        work.bytes_written = Some(draft.bytes());
        Ok(draft)
    }

    /// The first file, which says the columns of all, if there are more of them and it is not written anyway.
    fn first_to_widen(
        &self,
        session: &Session,
        is_written: impl FnOnce(&str) -> bool,
    ) -> Result<Option<Seen>> {
        let Some(part) = self.folder.parts.first().filter(|_| self.is_wider) else { return Ok(None) };
        if is_written(&part.path) {
            return Ok(None);
        }
        if let Some(seen) = self.opened.iter().find(|seen| seen.place == 0) {
            return Ok(Some(seen.clone()));
        }
        let (file, version) = self.folder.open_part(session, 0, 0)?;
        Ok(Some(Seen { place: 0, rows: 0..file.rows(), version }))
    }

    /// The first file of each partition in which there are no rows.
    fn empty(&self) -> HashMap<&Values, (&str, &Version)> {
        let empty = self.opened.iter().rev().filter(|seen| seen.rows.is_empty());
        empty
            .map(|seen| {
                let part = &self.folder.parts[seen.place];
                (&part.values, (part.path.as_str(), &seen.version))
            })
            .collect()
    }

    /// Writes a file with a changed row anew.
    fn stage_changed(
        &self,
        session: &Session,
        touched: &Touched<'_>,
        change: &Change<'_>,
        draft: &mut Draft<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let part = &self.folder.parts[touched.seen.place];
        let (content, version) = self.folder.file(session, part)?.read_version()?;
        if version != touched.seen.version {
            return Err(changed());
        }
        let moved = touched.leaving.iter().map(|(row, _)| *row);
        let mut leaving: Vec<u64> = moved.chain(touched.fates.deleted.iter().copied()).collect();
        leaving.sort_unstable();
        let mut fresh = draft.fresh()?;
        let mark = fresh.mark().to_owned();
        let part_change = PartChange {
            change,
            first: touched.seen.rows.start,
            pairs: touched.fates.replaced,
            leaving: &leaving,
            mark: &mark,
        };
        rewrite_part(session, content, &self.folder.file_schema, &part_change, fresh.file(), work)?;
        draft.add(part.path.clone(), Some(&version), fresh)?;
        work.files_removed += 1;
        work.files_added += 1;
        Ok(())
    }

    /// The rows that an update takes from a file to another partition, with all columns.
    fn moved(
        &self,
        session: &Session,
        touched: &Touched<'_>,
        folded: &Folded<'_>,
    ) -> Result<Vec<RecordBatch>> {
        if touched.leaving.is_empty() {
            return Ok(Vec::new());
        }
        let (file, version) = self.folder.open_part(session, touched.seen.place, touched.seen.rows.start)?;
        if version != touched.seen.version {
            return Err(changed());
        }
        let columns: Vec<String> =
            self.folder.stored_schema.fields().iter().map(|field| field.name().clone()).collect();
        let leaving: HashSet<u64> = touched.leaving.iter().map(|(row, _)| *row).collect();
        let mut moved = Vec::new();
        for group in 0..file.groups() {
            for rows in file.group_rows(group, &columns)? {
                session.check()?;
                let (first, rows) = rows?;
                let numbered = (0_u32..).zip(first..first + rows.num_rows() as u64);
                let places: Vec<u32> =
                    numbered.filter(|(_, row)| leaving.contains(row)).map(|(place, _)| place).collect();
                if !places.is_empty() {
                    let rows = folded.update(&rows, first, touched.fates.replaced)?;
                    moved.push(take_record_batch(&rows, &UInt32Array::from(places)).map_err(|cause| {
                        Error::internal("moved rows could not be gathered").because(cause)
                    })?);
                }
            }
        }
        Ok(moved)
    }
}

fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "someone else changed the folder meanwhile")
        .hint("nothing of this run was written; run it again")
}

impl StoredTable for Stored {
    fn format(&self) -> Format {
        Format::Parquet
    }

    fn version(&self) -> Option<String> {
        (!self.is_new).then(|| self.last.as_ref().map_or(0, Recorded::sequence).to_string())
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.folder.stored_schema)
    }

    fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()> {
        self.is_wider |= !self.is_new;
        self.folder.add_columns(columns)
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        _: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        fit_batches(&self.folder.stored_schema, schema, &incoming)
    }

    fn fit_each(&self, schema: &Schema) -> Result<Option<Fit>> {
        Fit::new(&self.folder.stored_schema, schema).map(Some)
    }

    fn find(
        &mut self,
        session: &Session,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<Option<u64>> {
        let mut reach = Reach::new(matcher, &self.folder.partition_columns)?;
        let known: HashMap<usize, (u64, Version)> =
            self.opened.iter().map(|seen| (seen.place, (seen.rows.start, seen.version.clone()))).collect();
        let mut next = self.opened.last().map_or(0, |seen| seen.rows.end);
        for (place, part) in self.folder.parts.iter().enumerate() {
            session.check()?;
            if !reach.holds(&part.values) {
                work.files_skipped += 1;
                continue;
            }
            let before = known.get(&place);
            let first = before.map_or(next, |(first, _)| *first);
            let (file, version) = match self.folder.open_part(session, place, first) {
                Err(_) if self.folder.has_met_more() => {
                    tracing::warn!(
                        file = part.path,
                        "the first file of the folder lacks columns of this one"
                    );
                    // The next attempt knows all columns.
                    self.is_short.store(true, Ordering::Relaxed);
                    return Err(changed());
                }
                opened => opened?,
            };
            file.find_rows(session, matcher, work).map_err(|error| error.with_missing("file", &part.path))?;
            match before {
                Some((_, before)) if *before != version => return Err(changed()),
                Some(_) => {}
                None => {
                    next += file.rows();
                    self.opened.push(Seen { place, rows: first..next, version });
                }
            }
        }
        // Of files that were left out it is not known how many rows they have.
        Ok((self.opened.len() == self.folder.files()).then_some(next))
    }

    fn rows_at(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        let mut found = Vec::new();
        for seen in &self.opened {
            let own = rows_within(rows, &seen.rows);
            if !own.is_empty() {
                let (file, version) = self.folder.open_part(session, seen.place, seen.rows.start)?;
                if version != seen.version {
                    return Err(changed());
                }
                found.extend(file.rows_at(own)?);
            }
        }
        Ok(found)
    }

    fn is_current(&self, session: &Session) -> Result<bool> {
        Ok(record::is_same(self.last.as_ref(), self.control.last(session)?.as_ref()))
    }

    fn is_outrun(&self, session: &Session) -> Result<bool> {
        self.is_current(session).map(|is_current| !is_current)
    }

    fn plan(&mut self, change: &Change<'_>, work: &mut WorkCounts) -> Result<()> {
        let folded = Folded::new(&self.folder.stored_schema, change)?;
        let mut new = folded.partitions(&self.folder.partition_columns)?;
        let touched = self.touched(change)?;
        new.extend(
            touched.iter().flat_map(|touched| touched.leaving.iter().map(|(_, values)| values.clone())),
        );
        let empty = self.empty();
        let refilled = new.iter().filter(|values| empty.contains_key(values));
        let is_first = |path: &str| self.folder.parts.first().is_some_and(|first| first.path == path);
        let mut written = touched.iter().map(|touched| touched.seen.place);
        let widens = self.is_wider
            && !written.any(|place| place == 0)
            && !refilled.clone().any(|values| is_first(empty[values].0));
        let rewritten = touched.len() + usize::from(widens);
        work.files_removed = (rewritten + refilled.count()) as u64;
        work.files_added = (rewritten + new.len()) as u64;
        Ok(())
    }

    fn apply(&mut self, session: &Session, change: &Change<'_>, done: &mut Done<'_>) -> Result<Applied> {
        let start = Instant::now();
        (done.work.files_added, done.work.files_removed) = (0, 0);
        let draft = self.stage(session, change, done.work)?;
        done.times.apply += millis(start.elapsed());
        let start = Instant::now();
        session.check()?;
        let Begun::Yes(begun, staged) = draft.begin(self.last.as_ref())? else {
            // It may have begun, if that is not known. Folding in the same rows again changes nothing then.
            return Ok(Applied::Conflict);
        };
        let sequence = begun.sequence();
        let end = self.control.end(session, &begun, staged)?;
        done.times.commit += millis(start.elapsed());
        // Folding in the same rows again changes nothing where they are.
        Ok(if end == End::Whole { Applied::Committed(sequence.to_string()) } else { Applied::Conflict })
    }
}
