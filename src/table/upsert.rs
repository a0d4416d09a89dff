//! The life of an upsert: prepare, plan, match, apply, commit, and again if someone else came first.

mod carry;
mod fold;
mod marks;
mod parts;
mod quarantine;
mod repair;

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use futures::StreamExt;

use crate::client::local::NewFolders;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::Outcome;
use crate::core::merge::rule::Fate;
use crate::core::options::{IfMissing, UpsertOptions};
use crate::core::report::{PhaseTimes, UpsertReport, WorkCounts, millis};
use crate::core::schema::check_names;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::again::pause;
use crate::table::delta::DeltaTarget;
use crate::table::folder::FolderTarget;
use crate::table::incoming::renamed_and_set;
use crate::table::single::SingleFile;
use crate::table::spill::Spilled;
use crate::table::stamp::with_column;
use crate::table::target::{Kind, will_stand};
use crate::table::validity::with_columns;
use marks::{columns_of, marked};
use parts::Budget;
use quarantine::{Aside, Quarantine, check_columns};

use crate::table::{Applied, Change, Done, Found, StoredTable, UpsertTarget};

/// Folds the rows of `stream` into `target`. The stream is run once; what it gave is used again if the
/// work has to be done again.
pub(crate) async fn upsert(
    session: &Session,
    stream: BatchStream,
    target: &Location,
    rule: &MergeRule,
    options: &UpsertOptions,
    backend: &'static str,
) -> Result<UpsertReport> {
    let started = Instant::now();
    options.validate()?;
    let partitions = options.partition_by.as_deref().unwrap_or_default();
    if let Some(column) = rule.soft_column().filter(|flag| partitions.iter().any(|column| column == flag)) {
        return Err(Error::new(ErrorKind::Usage, "a partition column cannot say that rows are deleted")
            .with("column", column)
            .hint("partition by another column, or name another one for soft deletes"));
    }
    let ends = rule.kept_history().map(|history| history.columns.valid_to.as_str());
    if let Some(column) = ends.filter(|ends| partitions.iter().any(|column| column == ends)) {
        return Err(Error::new(ErrorKind::Usage, "a partition column cannot say when versions end")
            .with("column", column)
            .hint("partition by another column, such as the one that says whether a version holds"));
    }
    let now = options.run_time.unwrap_or_else(Utc::now);
    let budget = Budget::new(options.memory_limit.unwrap_or_default());
    let quarantine = Quarantine::of(session, target, rule, options, (backend, budget.held())).await?;
    let stream = renamed_and_set(stream, rule.columns(), now)?;
    if quarantine.is_some() {
        check_columns(&stream.schema())?;
    }
    let (rows, valued) = pull(session, marked(stream, rule)?, budget.held()).await?;
    let prepare = started.elapsed();
    let (target, rule, options) = (target.clone(), rule.clone(), options.clone());
    session
        .run(move |session| {
            let place = place_of(session, &target, &options)?;
            let times = PhaseTimes { prepare: millis(prepare), ..PhaseTimes::default() };
            let mut job =
                Job { session, place, rows, valued, rule, options, quarantine, budget, backend, times, now };
            job.run(started).map_err(|e| job.told(e.with_missing("target", &target)))
        })
        .await
}

/// The columns of a new table for rows with the columns of `incoming`.
pub(crate) fn columns_of_new(incoming: &Schema, rule: &MergeRule) -> SchemaRef {
    with_columns(&with_column(incoming, rule), rule)
}

/// What rows are folded into: what stands there, or will.
fn place_of(session: &Session, target: &Location, options: &UpsertOptions) -> Result<Box<dyn UpsertTarget>> {
    let kind = will_stand(session, target, options.format)?;
    kind.check(options.partition_by.as_deref(), options.deletion_vectors)?;
    Ok(match kind {
        Kind::Delta => Box::new(DeltaTarget::new(target, options)),
        Kind::Folder => Box::new(FolderTarget::new(target, options)),
        Kind::File => Box::new(SingleFile::new(session, target, options)?),
    })
}

/// Runs the incoming frame; gives its rows, and the columns in which one of them has a value.
async fn pull(session: &Session, stream: BatchStream, held: usize) -> Result<(Spilled, HashSet<String>)> {
    let schema = stream.schema();
    let session = session.clone();
    let has_value: Arc<[AtomicBool]> = schema.fields().iter().map(|_| AtomicBool::new(false)).collect();
    let seen = Arc::clone(&has_value);
    let checked = stream.map(move |batch| {
        session.check()?;
        let batch = batch?;
        for (values, seen) in batch.columns().iter().zip(seen.iter()) {
            if !seen.load(Ordering::Relaxed) && values.logical_null_count() < values.len() {
                seen.store(true, Ordering::Relaxed);
            }
        }
        Ok(batch)
    });
    let rows = Spilled::write(BatchStream::new(Arc::clone(&schema), checked), held).await?;
    let valued =
        schema.fields().iter().zip(has_value.iter()).filter(|(_, seen)| seen.load(Ordering::Relaxed));
    let valued = valued.map(|(field, _)| field.name().clone()).collect();
    Ok((rows, valued))
}

/// One upsert, with everything that outlives a conflict.
struct Job<'a> {
    session: &'a Session,
    place: Box<dyn UpsertTarget>,
    rows: Spilled,
    /// The columns in which a row has a value.
    valued: HashSet<String>,
    rule: MergeRule,
    options: UpsertOptions,
    quarantine: Option<Quarantine>,
    budget: Budget,
    backend: &'static str,
    times: PhaseTimes,
    now: DateTime<Utc>,
}

/// What one attempt at the target ended with.
enum Attempt {
    Done(Box<UpsertReport>),
    Conflict,
    /// What went wrong elsewhere than at the target.
    Failed(Error),
}

/// Nobody can lock an object: that it was replaced may show while it is read.
fn seen_late(error: Error) -> Result<Attempt> {
    if error.kind() == ErrorKind::Conflict { Ok(Attempt::Conflict) } else { Err(error) }
}

impl Job<'_> {
    fn run(&mut self, started: Instant) -> Result<UpsertReport> {
        check_names(&self.rows.schema())?;
        if self.rows.schema().fields().is_empty() && self.rows.has_rows() {
            return Err(Error::new(ErrorKind::InvalidInput, "the incoming rows have no columns")
                .hint("an upsert needs at least the id columns"));
        }
        self.rule.check_rows(self.rows.has_rows())?;
        for conflicts in 0..=self.options.max_retries {
            self.session.check()?;
            let begun = Instant::now();
            match self.attempt(conflicts).or_else(seen_late)? {
                Attempt::Done(report) => {
                    let mut report = *report;
                    report.conflicts = conflicts;
                    report.elapsed_ms = millis(started.elapsed());
                    report.phases_ms = self.times.clone();
                    report.peak_memory_bytes = peak_memory();
                    return Ok(report);
                }
                Attempt::Failed(error) => return Err(error),
                Attempt::Conflict => {
                    tracing::info!(attempt = conflicts + 1, "someone else changed the target");
                    if !self.place.has_a_line() {
                        pause(self.session, begun.elapsed(), conflicts)?;
                    }
                }
            }
        }
        Err(self.outrun())
    }

    /// The refusal of a run that came too late every time; it names the version that was there first.
    fn outrun(&mut self) -> Error {
        let (version, is_table) = match self.place.open(self.session, true) {
            Ok(Found::Table(stored)) => (stored.version(), stored.format() == Format::Delta),
            _ => (None, false),
        };
        let error = Error::new(ErrorKind::Conflict, "someone else changed the target every time")
            .with("attempts", self.options.max_retries + 1);
        let error = match version {
            Some(version) => error.with("version", version),
            None => error,
        };
        error.hint(if is_table {
            "nothing of this run was written: keyfold history tells whose version that is; run it again, or allow more retries"
        } else {
            "nothing of this run was written; run it again, or allow more retries"
        })
    }

    /// An error with what this run has done all the same.
    fn told(&self, error: Error) -> Error {
        match &self.quarantine {
            Some(quarantine) => quarantine.told(error),
            None => error,
        }
    }

    fn attempt(&mut self, conflicts: u32) -> Result<Attempt> {
        let start = Instant::now();
        let stored = match self.place.open(self.session, self.options.dry_run)? {
            Found::Table(stored) => stored,
            Found::Nothing if self.needs_target() => {
                return Err(Error::new(ErrorKind::NotFound, "the target does not exist")
                    .with("method", self.rule.method())
                    .hint(if self.rule.only_incoming() == Fate::Leave {
                        "name one that does; update-only adds no rows, and so makes none"
                    } else {
                        "name one that does, or let it be made (if-missing create)"
                    }));
            }
            Found::Nothing => {
                self.name_columns();
                let columns = columns_of(&self.rows.schema())?;
                let columns = columns_of_new(&columns, &self.rule);
                self.place.create(self.session, &columns)?
            }
            Found::Changed => return Ok(Attempt::Conflict),
        };
        self.times.plan += millis(start.elapsed());
        self.fold(stored, conflicts)
    }

    fn needs_target(&self) -> bool {
        self.options.if_missing == IfMissing::Error || self.rule.only_incoming() == Fate::Leave
    }

    /// Nothing came in, not even names: as a batch it has the columns it must have.
    fn name_columns(&mut self) {
        if self.rows.schema().fields().is_empty() {
            let columns = self.rule.ids().iter().map(String::as_str).chain(self.rule.modified());
            let fields: Vec<Field> = columns.map(|name| Field::new(name, DataType::Utf8, true)).collect();
            self.rows = Spilled::Memory(Arc::new(Schema::new(fields)), Vec::new());
        }
    }

    /// Writes what has changed.
    fn write(
        &mut self,
        mut stored: Box<dyn StoredTable>,
        change: &Change<'_>,
        aside: &Aside,
        mut work: WorkCounts,
        conflicts: u32,
    ) -> Result<Attempt> {
        if let Err(refused) = self.rule.check_deleted(&change.outcome.rows) {
            // Rows may be missing just because others move them meanwhile.
            return if stored.is_current(self.session)? { Err(refused) } else { Ok(Attempt::Conflict) };
        }
        let mut report = self.report(stored.as_ref(), change.outcome);
        if change.outcome.rows.is_no_change() {
            if !stored.is_current(self.session)? {
                return Ok(Attempt::Conflict);
            }
            if let Err(error) = self.put_aside(aside) {
                return Ok(Attempt::Failed(error));
            }
            report.created = false;
            work.bytes_written = (!self.options.dry_run).then_some(0);
        } else {
            stored.plan(change, &mut work)?;
            // Where many write, most come too late, and to write files is what costs most.
            if conflicts > 0 && !self.options.dry_run && stored.is_outrun(self.session)? {
                return Ok(Attempt::Conflict);
            }
            if let Err(error) = self.put_aside(aside) {
                return Ok(Attempt::Failed(error));
            }
            if !self.options.dry_run {
                let folders = if self.options.mkdir {
                    NewFolders::above(self.place.location())?
                } else {
                    NewFolders::default()
                };
                let mut done = Done { work: &mut work, times: &mut self.times };
                match stored.apply(self.session, change, &mut done)? {
                    Applied::Committed(version) => report.version_after = Some(version),
                    Applied::Conflict => return Ok(Attempt::Conflict),
                }
                folders.keep();
            }
        }
        report.work = work;
        report.spilled_bytes = self.rows.bytes_on_disk()?;
        Ok(Attempt::Done(Box::new(report)))
    }

    /// Adds rows to the quarantine, unless nothing is to be written.
    fn put_aside(&mut self, aside: &Aside) -> Result<()> {
        match self.quarantine.as_mut().filter(|_| !self.options.dry_run) {
            Some(quarantine) => quarantine.add(self.session, &self.rows, aside),
            None => Ok(()),
        }
    }

    fn report(&self, stored: &dyn StoredTable, outcome: &Outcome) -> UpsertReport {
        let version = stored.version();
        UpsertReport {
            target: self.place.location().to_string(),
            format: stored.format(),
            backend: self.backend.to_owned(),
            method: self.rule.method().to_string(),
            run_id: self.session.run_id().to_owned(),
            dry_run: self.options.dry_run,
            created: version.is_none(),
            rows: outcome.rows.clone(),
            work: WorkCounts::default(),
            columns_added: Vec::new(),
            spilled_bytes: 0,
            quarantine: self.quarantine.as_ref().map(Quarantine::name),
            conflicts: 0,
            version_before: version.clone(),
            version_after: version,
            elapsed_ms: 0,
            phases_ms: PhaseTimes::default(),
            peak_memory_bytes: None,
            diff: None,
            changed_rows: outcome.changed_rows(),
        }
    }
}

/// The highest resident memory of this process so far, as Linux tells it.
fn peak_memory() -> Option<u64> {
    let mut status = String::new();
    std::fs::File::open("/proc/self/status").ok()?.read_to_string(&mut status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests;
