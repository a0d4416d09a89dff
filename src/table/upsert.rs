//! The life of an upsert into one file: prepare, plan, match, apply, commit, and again if someone else
//! came first.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;

use crate::client::file::{Commit, Content, DataFile, Locked};
use crate::client::session::Session;
use crate::core::format::{Format, unchangeable};
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher, Outcome};
use crate::core::options::UpsertOptions;
use crate::core::report::{PhaseTimes, UpsertReport, WorkCounts, millis};
use crate::core::schema::check_names;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::StoredFile;
use crate::table::again::{look_again, pause};
use crate::table::parquet::{NewParquet, ParquetFile};
use crate::table::source::format_of;
use crate::table::target::new_target_format;
use crate::table::text::{TextFile, check_plain};

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
    let schema = stream.schema();
    let batches = pull(session, stream).await?;
    let prepare = started.elapsed();
    let (target, rule, options) = (target.clone(), rule.clone(), options.clone());
    session
        .run(move |session| {
            let file = session.open(&target)?;
            let mut job =
                Job { session, file, schema, batches, rule, options, backend, times: PhaseTimes::default() };
            job.times.prepare = millis(prepare);
            job.run(started).map_err(|e| e.with_missing("target", &target))
        })
        .await
}

/// Runs the incoming frame.
async fn pull(session: &Session, mut stream: BatchStream) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        session.check()?;
        batches.push(batch?);
    }
    Ok(batches)
}

/// The types in which text should be read to go into `target`: its own if it exists. `None` if it does not, or
/// if the target is delimited text, which takes every text as it is.
pub(crate) fn source_schema(
    session: &Session,
    target: &Location,
    options: &UpsertOptions,
) -> Result<Option<SchemaRef>> {
    let file = session.open(target)?;
    if file.version()?.is_none() {
        return Ok(None);
    }
    let format = format_of(&file, options.format)?;
    let describe = || match format {
        Format::Parquet => Ok(Some(ParquetFile::open(file.read()?)?.schema())),
        Format::Ndjson => {
            let content = file.read()?.into_file()?;
            check_plain(&content, file.location())?;
            let stored = TextFile::open(session, content, file.location(), format, &options.csv)?;
            Ok(Some(stored.source_schema()))
        }
        Format::Csv | Format::Json | Format::Arrow | Format::ArrowStream => Ok(None),
    };
    look_again(session, describe).map_err(|e: Error| e.with_missing("target", target))
}

/// One upsert, with everything that outlives a conflict.
struct Job<'a> {
    session: &'a Session,
    file: DataFile,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    rule: MergeRule,
    options: UpsertOptions,
    backend: &'static str,
    times: PhaseTimes,
}

/// What one attempt at the target ended with.
enum Attempt {
    Done(Box<UpsertReport>),
    Conflict,
}

/// Nobody can lock an object: that it was replaced may show while it is read.
fn seen_late(error: Error) -> Result<Attempt> {
    if error.kind() == ErrorKind::Conflict { Ok(Attempt::Conflict) } else { Err(error) }
}

impl Job<'_> {
    fn run(&mut self, started: Instant) -> Result<UpsertReport> {
        check_names(&self.schema)?;
        if self.schema.fields().is_empty() && self.batches.iter().any(|batch| batch.num_rows() > 0) {
            return Err(Error::new(ErrorKind::InvalidInput, "the incoming rows have no columns")
                .hint("an upsert needs at least the id columns"));
        }
        for conflicts in 0..=self.options.max_retries {
            self.session.check()?;
            let begun = Instant::now();
            match self.attempt().or_else(seen_late)? {
                Attempt::Done(report) => {
                    let mut report = *report;
                    report.conflicts = conflicts;
                    report.elapsed_ms = millis(started.elapsed());
                    report.phases_ms = self.times.clone();
                    report.peak_memory_bytes = peak_memory();
                    return Ok(report);
                }
                Attempt::Conflict => {
                    tracing::info!(attempt = conflicts + 1, "someone else changed the target");
                    if self.file.path().is_none() {
                        pause(self.session, begun.elapsed(), conflicts)?;
                    }
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, "someone else changed the target every time")
            .with("attempts", self.options.max_retries + 1)
            .hint("nothing of this run was written; run it again, or allow more retries"))
    }

    fn attempt(&mut self) -> Result<Attempt> {
        if self.file.version()?.is_none() {
            return self.create();
        }
        if self.options.dry_run {
            // Nothing will be written, so nobody has to wait and a file that is read-only will do.
            let format = format_of(&self.file, self.options.format)?;
            let stored = self.open(self.file.read()?, format)?;
            return self.fold(stored, format, None);
        }
        let Some(locked) = self.file.lock(self.session)? else { return Ok(Attempt::Conflict) };
        let format = format_of(&self.file, self.options.format)?;
        let stored = self.open(locked.content()?, format)?;
        self.fold(stored, format, Some(&locked))
    }

    fn open(&self, content: Content, format: Format) -> Result<Box<dyn StoredFile>> {
        Ok(match format {
            Format::Parquet => Box::new(ParquetFile::open(content)?),
            Format::Csv | Format::Ndjson => {
                let file = content.into_file()?;
                check_plain(&file, self.file.location())?;
                Box::new(TextFile::open(self.session, file, self.file.location(), format, &self.options.csv)?)
            }
            Format::Json | Format::Arrow | Format::ArrowStream => {
                return Err(unchangeable().with("format", format));
            }
        })
    }

    fn create(&mut self) -> Result<Attempt> {
        let format = new_target_format(&self.file, &self.options)?;
        if self.schema.fields().is_empty() {
            // Nothing came in, not even names: as a batch it has the columns it must have.
            let columns = self.rule.ids().iter().map(String::as_str).chain(self.rule.modified());
            let fields: Vec<Field> = columns.map(|name| Field::new(name, DataType::Utf8, true)).collect();
            self.schema = Arc::new(Schema::new(fields));
            self.batches.clear();
        }
        let stored: Box<dyn StoredFile> = match format {
            Format::Parquet => Box::new(NewParquet::new(Arc::clone(&self.schema), self.options.compression)),
            Format::Csv | Format::Ndjson => {
                Box::new(TextFile::create(format, &self.options.csv, &self.schema, self.file.location())?)
            }
            Format::Json | Format::Arrow | Format::ArrowStream => {
                return Err(unchangeable().with("format", format));
            }
        };
        self.fold(stored, format, None)
    }

    /// Matches the incoming rows against `stored` and writes what has changed.
    fn fold(
        &mut self,
        mut stored: Box<dyn StoredFile>,
        format: Format,
        locked: Option<&Locked>,
    ) -> Result<Attempt> {
        let start = Instant::now();
        let mut work = WorkCounts::default();
        let incoming = self.settle(stored.as_mut())?;
        let mut matcher = Matcher::new(&incoming, &stored.schema(), &self.rule)?;
        self.times.plan += millis(start.elapsed());
        let start = Instant::now();
        let rows = stored.find(self.session, &mut matcher, &mut work)?;
        let outcome = matcher.finish(Some(rows))?;
        self.times.matching += millis(start.elapsed());
        let created = self.file.version()?.is_none();
        let mut report = self.report(format, created, locked, &outcome);
        if outcome.rows.is_no_change() {
            report.created = false;
            work.bytes_written = (!self.options.dry_run).then_some(0);
        } else {
            work.files_added = 1;
            work.files_removed = u64::from(!created);
            if !self.options.dry_run
                && !self.write(stored.as_mut(), &incoming, &outcome, locked, &mut work, &mut report)?
            {
                return Ok(Attempt::Conflict);
            }
        }
        report.work = work;
        Ok(Attempt::Done(Box::new(report)))
    }

    /// The incoming rows in the stored types, one per id.
    fn settle(&self, stored: &mut dyn StoredFile) -> Result<Incoming> {
        // A text file without a single record names no columns; as a batch it is as good as any empty one.
        let schema = if self.schema.fields().is_empty() { stored.schema() } else { Arc::clone(&self.schema) };
        let batches = if self.schema.fields().is_empty() { Vec::new() } else { self.batches.clone() };
        let (schema, batches) = stored.fit(&schema, batches, &self.rule)?;
        Incoming::settle(&schema, &batches, &self.rule)
    }

    /// Writes the new file and commits it; whether it was.
    fn write(
        &mut self,
        stored: &mut dyn StoredFile,
        incoming: &Incoming,
        outcome: &Outcome,
        locked: Option<&Locked>,
        work: &mut WorkCounts,
        report: &mut UpsertReport,
    ) -> Result<bool> {
        let start = Instant::now();
        let mut stage = self.file.stage()?;
        stored.rewrite(self.session, incoming, outcome, stage.file(), work)?;
        self.times.apply += millis(start.elapsed());
        let start = Instant::now();
        self.session.check()?;
        let commit = stage.commit(locked.map(Locked::version))?;
        self.times.commit += millis(start.elapsed());
        match commit {
            Commit::Committed(version) => {
                report.version_after = Some(version.to_string());
                Ok(true)
            }
            // Folding in the same rows again changes nothing, whether or not they were there already.
            Commit::Conflict | Commit::Unknown => Ok(false),
        }
    }

    fn report(
        &self,
        format: Format,
        created: bool,
        locked: Option<&Locked>,
        outcome: &Outcome,
    ) -> UpsertReport {
        let version = match locked {
            Some(locked) => Some(locked.version().to_string()),
            None => self.file.version().ok().flatten().map(|version| version.to_string()),
        };
        UpsertReport {
            target: self.file.location().to_string(),
            format,
            backend: self.backend.to_owned(),
            method: self.rule.method().to_string(),
            run_id: self.session.run_id().to_owned(),
            dry_run: self.options.dry_run,
            created,
            rows: outcome.rows.clone(),
            work: WorkCounts::default(),
            conflicts: 0,
            version_before: version.clone(),
            version_after: version,
            elapsed_ms: 0,
            phases_ms: PhaseTimes::default(),
            peak_memory_bytes: None,
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
