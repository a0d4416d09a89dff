//! One file, on disk or in a store, as the target of an upsert: opened and locked, or created.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};

use crate::client::file::{Commit, Content, DataFile, Locked};
use crate::client::session::Session;
use crate::core::format::{Format, no_file, unchangeable};
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Made, Matcher};
use crate::core::options::UpsertOptions;
use crate::core::report::{WorkCounts, millis};
use crate::error::Result;
use crate::table::fit::Fit;
use crate::table::parquet::{FileLayout, NewParquet, ParquetFile};
use crate::table::source::format_of;
use crate::table::target::{check_bloom_filter, new_target_format};
use crate::table::text::{TextFile, check_plain};
use crate::table::{Applied, Change, Done, Found, StoredFile, StoredTable, UpsertTarget};

/// A file that may or may not exist yet.
#[derive(Debug)]
pub(super) struct SingleFile {
    file: DataFile,
    options: UpsertOptions,
}

impl SingleFile {
    pub(super) fn new(session: &Session, location: &Location, options: &UpsertOptions) -> Result<Self> {
        Ok(Self { file: session.open(location)?, options: options.clone() })
    }

    fn stored(&self, session: &Session, content: Content, format: Format) -> Result<Box<dyn StoredFile>> {
        Ok(match format {
            Format::Parquet => {
                let file = ParquetFile::open(content)?;
                FileLayout::of_upsert(&self.options).check(&file.schema())?;
                Box::new(file)
            }
            Format::Csv | Format::Ndjson => {
                check_bloom_filter(&self.options.bloom_filter, format)?;
                let file = content.into_file()?;
                check_plain(&file, self.file.location())?;
                Box::new(TextFile::open(session, file, self.file.location(), format, &self.options.csv)?)
            }
            Format::Json | Format::Arrow | Format::ArrowStream => {
                return Err(unchangeable().with("format", format));
            }
            Format::Delta => return Err(no_file()),
        })
    }

    fn table(&self, format: Format, state: State, stored: Box<dyn StoredFile>) -> Box<dyn StoredTable> {
        Box::new(OneFile { file: self.file.clone(), format, state, stored })
    }
}

impl UpsertTarget for SingleFile {
    fn location(&self) -> &Location {
        self.file.location()
    }

    fn open(&mut self, session: &Session, dry_run: bool) -> Result<Found> {
        let Some(version) = self.file.version()? else { return Ok(Found::Nothing) };
        if dry_run {
            // Nothing will be written, so nobody has to wait and a file that is read-only will do.
            let format = format_of(&self.file, self.options.format)?;
            let stored = self.stored(session, self.file.read()?, format)?;
            return Ok(Found::Table(self.table(format, State::Seen(version.to_string()), stored)));
        }
        let Some(locked) = self.file.lock(session)? else { return Ok(Found::Changed) };
        let format = format_of(&self.file, self.options.format)?;
        let stored = self.stored(session, locked.content()?, format)?;
        Ok(Found::Table(self.table(format, State::Locked(locked), stored)))
    }

    fn create(&mut self, _: &Session, schema: &SchemaRef) -> Result<Box<dyn StoredTable>> {
        let format = new_target_format(&self.file, &self.options)?;
        check_bloom_filter(&self.options.bloom_filter, format)?;
        let stored: Box<dyn StoredFile> = match format {
            Format::Parquet => {
                Box::new(NewParquet::new(Arc::clone(schema), FileLayout::of_upsert(&self.options))?)
            }
            Format::Csv | Format::Ndjson => {
                Box::new(TextFile::create(format, &self.options.csv, schema, self.file.location())?)
            }
            Format::Json | Format::Arrow | Format::ArrowStream => {
                return Err(unchangeable().with("format", format));
            }
            Format::Delta => return Err(no_file()),
        };
        Ok(self.table(format, State::Absent, stored))
    }

    fn has_a_line(&self) -> bool {
        self.file.path().is_some()
    }
}

/// What is known of the file that is there.
#[derive(Debug)]
enum State {
    Absent,
    /// Looked at, for a dry run.
    Seen(String),
    Locked(Locked),
}

/// One version of a file.
struct OneFile {
    file: DataFile,
    format: Format,
    state: State,
    stored: Box<dyn StoredFile>,
}

impl StoredTable for OneFile {
    fn format(&self) -> Format {
        self.format
    }

    fn version(&self) -> Option<String> {
        match &self.state {
            State::Absent => None,
            State::Seen(version) => Some(version.clone()),
            State::Locked(locked) => Some(locked.version().to_string()),
        }
    }

    fn schema(&self) -> SchemaRef {
        self.stored.schema()
    }

    fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()> {
        self.stored.add_columns(columns)
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        rule: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        self.stored.fit(schema, incoming, rule)
    }

    fn fit_each(&self, schema: &Schema) -> Result<Option<Fit>> {
        self.stored.fit_each(schema)
    }

    fn find(
        &mut self,
        session: &Session,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<Option<u64>> {
        self.stored.find(session, matcher, work).map(Some)
    }

    fn remake(&mut self, made: &mut Made) -> Result<()> {
        self.stored.remake(made)
    }

    fn rows_as_sent(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        self.stored.rows_as_sent(session, rows)
    }

    fn rows_at(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        self.stored.rows_at(session, rows)
    }

    fn is_current(&self, _: &Session) -> Result<bool> {
        Ok(true)
    }

    fn is_outrun(&self, _: &Session) -> Result<bool> {
        if self.file.path().is_some() {
            return Ok(false);
        }
        let now = self.file.version()?;
        Ok(match &self.state {
            State::Absent => now.is_some(),
            State::Seen(_) => false,
            State::Locked(locked) => now.as_ref() != Some(locked.version()),
        })
    }

    fn plan(&mut self, _: &Change<'_>, work: &mut WorkCounts) -> Result<()> {
        work.files_added = 1;
        work.files_removed = u64::from(!matches!(self.state, State::Absent));
        Ok(())
    }

    fn apply(&mut self, session: &Session, change: &Change<'_>, done: &mut Done<'_>) -> Result<Applied> {
        let start = Instant::now();
        let mut stage = self.file.stage()?;
        self.stored.rewrite(session, change, &mut stage.sink(), done.work)?;
        done.times.apply += millis(start.elapsed());
        let start = Instant::now();
        session.check()?;
        let expected = match &self.state {
            State::Locked(locked) => Some(locked.version()),
            State::Absent | State::Seen(_) => None,
        };
        let commit = stage.commit(expected)?;
        done.times.commit += millis(start.elapsed());
        Ok(match commit {
            Commit::Committed { version, copied } => {
                done.work.bytes_copied = copied;
                Applied::Committed(version.to_string())
            }
            // Folding in the same rows again changes nothing, whether or not they were there already.
            Commit::Conflict | Commit::Unknown => Applied::Conflict,
        })
    }
}
