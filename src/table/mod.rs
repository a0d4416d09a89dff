//! Data at rest: what a file holds, which of its rows the incoming ones meet, and its rewriting.

mod again;
mod casts;
mod cores;
#[cfg(feature = "delta")]
pub(crate) mod delta;
#[cfg(not(feature = "delta"))]
#[path = "no_delta.rs"]
pub(crate) mod delta;
mod diff;
pub(crate) mod fit;
pub(crate) mod folder;
pub(crate) mod handover;
mod incoming;
pub(crate) mod ipc;
mod new_rows;
pub(crate) mod parquet;
mod partition;
mod ranges;
mod reach;
pub(crate) mod read_as;
mod single;
mod sorted;
pub(crate) mod source;
pub(crate) mod source_types;
pub(crate) mod spill;
mod stamp;
pub(crate) mod table_scan;
mod taken;
pub(crate) mod target;
pub(crate) mod text;
pub(crate) mod upkeep;
pub(crate) mod upsert;
mod validity;
pub(crate) mod write;
#[cfg(feature = "delta")]
mod z_curve;

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};

use crate::client::file::Sink;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Made, Matcher, Outcome};
use crate::core::report::{PhaseTimes, WorkCounts};
use crate::error::Result;
use crate::table::fit::Fit;
use crate::table::new_rows::NewRows;
use crate::table::parquet::ParquetFile;

/// One stored file of some format, opened for an upsert.
///
/// The calls come in this order: `add_columns`, if there are some, `fit`, `find`, `rows_at`, `rewrite`. Only the last one writes.
pub(crate) trait StoredFile: Send {
    /// The stored columns, in the types that rows are compared in (for text: told from all of its values).
    fn schema(&self) -> SchemaRef;

    /// Has these columns from now on, behind its own: all that is stored is null there. They are in the file once it is written
    /// anew.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a type that the format cannot hold, `InvalidInput` for a name that the file cannot say.
    fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()>;

    /// Brings incoming rows (all of `schema`) into the types of the stored columns, exactly or not at
    /// all. A column that is not stored, or a value that does not fit, is `InvalidInput`.
    ///
    /// A text file may widen its own types for it: what it holds is text. It keeps what it needs to write the
    /// incoming values later as they were sent. `rule` says which columns are ids, and which one orders rows.
    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        rule: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)>;

    /// How batches are brought into the stored types one by one; `None` if that takes all of them together.
    ///
    /// # Errors
    ///
    /// As [`StoredFile::fit`].
    fn fit_each(&self, schema: &Schema) -> Result<Option<Fit>>;

    /// Shows stored rows to the matcher (every row that could meet an incoming one) and counts what
    /// was read. Gives the number of stored rows.
    fn find(&mut self, session: &Session, matcher: &mut Matcher<'_>, work: &mut WorkCounts) -> Result<u64>;

    /// Stored rows of ascending numbers, in their order, with all columns. Of a few rows, only what is needed is read.
    fn rows_at(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>>;

    /// The same, as a source is handed over that has them: text stays as it stands.
    ///
    /// # Errors
    ///
    /// As [`StoredFile::rows_at`].
    fn rows_as_sent(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        self.rows_at(session, rows)
    }

    /// Takes rows in place of those that were brought into the stored types, of which they were made.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for values that cannot be written.
    fn remake(&mut self, _made: &mut Made) -> Result<()> {
        Ok(())
    }

    /// Writes the whole file anew, with `change` folded in.
    fn rewrite(
        &mut self,
        session: &Session,
        change: &Change<'_>,
        out: &mut Sink<'_>,
        work: &mut WorkCounts,
    ) -> Result<()>;
}

/// A place into which rows are folded: one file, or a table of many.
pub(crate) trait UpsertTarget: Send {
    /// The name it goes by.
    fn location(&self) -> &Location;

    /// Looks at what is there now. Nothing is locked for a dry run.
    fn open(&mut self, session: &Session, dry_run: bool) -> Result<Found>;

    /// What will be there, with the columns of `schema` and no rows; nothing is written yet.
    fn create(&mut self, session: &Session, schema: &SchemaRef) -> Result<Box<dyn StoredTable>>;

    /// Whether writers wait for each other in a line, so that one that lost may try again at once.
    fn has_a_line(&self) -> bool;
}

/// What stands at a target.
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// A version of it.
    Table(Box<dyn StoredTable>),
    /// Someone replaced it in the moment it was looked at.
    Changed,
}

/// One version of what rows are folded into.
///
/// The calls come in this order: `add_columns`, if there are some, `fit`, `find`, `rows_at`, then `plan` and `apply` if a row has
/// changed. Only the last one writes.
pub(crate) trait StoredTable: Send {
    /// The format.
    fn format(&self) -> Format;

    /// Names the version; `None` if there is nothing yet.
    fn version(&self) -> Option<String>;

    /// As [`StoredFile::schema`].
    fn schema(&self) -> SchemaRef;

    /// As [`StoredFile::add_columns`]; all of them are there once a change is in place.
    ///
    /// # Errors
    ///
    /// As that.
    fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()>;

    /// As [`StoredFile::fit`].
    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        rule: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)>;

    /// As [`StoredFile::fit_each`].
    fn fit_each(&self, schema: &Schema) -> Result<Option<Fit>>;

    /// As [`StoredFile::find`]. Rows are numbered through all files; the number of rows is not known of every table.
    /// If it is called again with other incoming rows, the numbers stay what they were.
    fn find(
        &mut self,
        session: &Session,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<Option<u64>>;

    /// As [`StoredFile::rows_at`], of rows that were shown by the last `find`.
    ///
    /// # Errors
    ///
    /// `Conflict` if they are no longer there.
    fn rows_at(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>>;

    /// As [`StoredFile::rows_as_sent`].
    ///
    /// # Errors
    ///
    /// As that.
    fn rows_as_sent(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        self.rows_at(session, rows)
    }

    /// As [`StoredFile::remake`].
    ///
    /// # Errors
    ///
    /// As that.
    fn remake(&mut self, _made: &mut Made) -> Result<()> {
        Ok(())
    }

    /// Whether it still is this version, of a table whose files are replaced in place. What was seen while it changed may
    /// be of two versions.
    fn is_current(&self, session: &Session) -> Result<bool>;

    /// Whether somebody has come first already, so that it would be in vain to write anything. It need not be found out:
    /// to apply finds out in any case.
    fn is_outrun(&self, session: &Session) -> Result<bool>;

    /// Counts the files that `change` makes and removes.
    fn plan(&mut self, change: &Change<'_>, work: &mut WorkCounts) -> Result<()>;

    /// Writes what has changed, and puts it in place in one step if the version is still this one.
    fn apply(&mut self, session: &Session, change: &Change<'_>, done: &mut Done<'_>) -> Result<Applied>;
}

/// One version of a table of Parquet files, to be read.
pub(crate) trait ParquetTable: fmt::Debug + Send + Sync {
    /// All columns, those of partitions too.
    fn schema(&self) -> &SchemaRef;

    /// The number of files.
    fn files(&self) -> usize;

    /// The name of a file, for messages.
    fn name(&self, file: usize) -> &str;

    /// Opens a file; its rows are numbered from 0.
    fn open(&self, session: &Session, file: usize) -> Result<ParquetFile>;

    /// The number of rows in all files.
    fn count(&self, session: &Session) -> Result<u64>;
}

/// What is to be done to a table.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) rows: &'a NewRows<'a>,
    pub(crate) outcome: &'a Outcome,
}

/// What is counted while it is done.
#[derive(Debug)]
pub(crate) struct Done<'a> {
    pub(crate) work: &'a mut WorkCounts,
    pub(crate) times: &'a mut PhaseTimes,
}

/// How a change ended.
#[derive(Debug)]
#[must_use]
pub(crate) enum Applied {
    /// It is in place; this names the new version.
    Committed(String),
    /// Someone else came first.
    Conflict,
}
