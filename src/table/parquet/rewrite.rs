//! Writes a stored Parquet file anew with updates in place and inserts at the end.
//!
//! Row groups without a changed row are copied as the bytes they are (`groups.rs`); of the others a few are being made at the
//! same time (`folding.rs`). Small batches of inserts join the last row group instead of leaving a tiny one behind after every run.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::ops::Range;

use crate::client::file::{Content, Sink};
use crate::client::session::Session;
use crate::core::merge::ColumnPolicy;
use crate::core::merge::kernel::Pair;
use crate::core::report::WorkCounts;
use crate::error::{Error, ErrorKind, Result};
use crate::table::Change;
use crate::table::fit::Fit;
use crate::table::new_rows::NewColumn;
use crate::table::parquet::columns::Fold;
use crate::table::parquet::groups::Copying;
use crate::table::parquet::verify::verify;
use crate::table::parquet::{Opened, layout};
use crate::table::partition::{self, Values};
use arrow::array::{Array, ArrayRef, MutableArrayData, RecordBatch, UInt64Array, make_array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::file::metadata::RowGroupMetaData;

/// Refuses files that could be read but not written again with the same types.
pub(super) fn check_writable(opened: &Opened) -> Result<()> {
    let stored = opened.metadata.metadata().file_metadata().schema_descr();
    layout::writable(stored, opened.schema()).map(|_| ())
}

/// Writes `opened` to `out` with `change` folded in.
pub(super) fn rewrite(
    session: &Session,
    opened: &Opened,
    change: &Change<'_>,
    out: &mut Sink<'_>,
    work: &mut WorkCounts,
) -> Result<()> {
    let outcome = change.outcome;
    let folded = Folded::new(&opened.written, change)?;
    session.progress().start(opened.bytes());
    let mut writer = Copying::new(session, opened, None, out)?;
    writer.expect(outcome.inserted.len());
    let (pairs, leaving) = (&outcome.replaced, &outcome.deleted);
    let fold = Fold { pairs, leaving, folded: Some(&folded), ..Fold::NONE };
    let is_changed = changed(opened, &fold);
    let last = pairs.last().map(|pair| pair.stored_row).max(leaving.last().copied());
    if last.is_some_and(|row| row >= opened.rows()) {
        return Err(Error::internal("rows to be changed lie behind the end of the file"));
    }
    work.row_groups_rewritten += is_changed.iter().map(|changed| u64::from(*changed)).sum::<u64>();
    for run in runs(&is_changed) {
        match run {
            Run::Same(group) => writer.pass(group)?,
            Run::Changed(groups) => writer.fold(groups, &fold)?,
        }
    }
    for inserts in folded.inserts() {
        session.check()?;
        writer.append(&inserts?)?;
    }
    let written = writer.finish()?;
    let rows = written.rows;
    if outcome.rows.rows_after.is_some_and(|expected| expected != rows) {
        return Err(
            Error::internal("the new file has another number of rows than the report").with("rows", rows)
        );
    }
    work.bytes_written = Some(length(out.file())?);
    verify(opened, out.file(), &written)
}

/// Which row groups get another column, or have a row that is replaced or does not stay.
pub(super) fn changed(opened: &Opened, fold: &Fold<'_>) -> Vec<bool> {
    let mut end = 0;
    let has_more = !opened.added().is_empty();
    let has_one = |group: &RowGroupMetaData| {
        let start = end;
        end += group.num_rows().unsigned_abs();
        has_more || !fold.pairs_of(&(start..end)).is_empty() || !fold.leaving_of(&(start..end)).is_empty()
    };
    opened.metadata.metadata().row_groups().iter().map(has_one).collect()
}

/// Row groups that are written in one go.
pub(super) enum Run {
    /// One that stays as it is.
    Same(usize),
    /// Some that follow each other.
    Changed(Range<usize>),
}

/// All row groups, of which these are changed.
pub(super) fn runs(is_changed: &[bool]) -> Vec<Run> {
    let mut runs = Vec::new();
    for (group, changed) in is_changed.iter().enumerate() {
        match (runs.last_mut(), changed) {
            (Some(Run::Changed(groups)), true) => groups.end = group + 1,
            (_, true) => runs.push(Run::Changed(group..group + 1)),
            (_, false) => runs.push(Run::Same(group)),
        }
    }
    runs
}

/// What is done to a file that is one of many.
pub(crate) struct PartChange<'a> {
    pub(crate) change: &'a Change<'a>,
    /// The number of the first row.
    pub(crate) first: u64,
    /// The rows of the file that are updated, and by which incoming rows.
    pub(crate) pairs: &'a [Pair],
    /// The rows that do not stay in the file, updated ones among them, ascending.
    pub(crate) leaving: &'a [u64],
    /// Tells this file from all others, see [`mark_of`].
    pub(crate) mark: &'a str,
}

/// Writes a file that is one of many with a change folded in, and with all `columns` of the folder; gives the number of its rows.
/// It may be left with none.
///
/// # Errors
///
/// `InvalidData` if it cannot be read, `Unsupported` if it cannot be written again with the same types, `Io`.
pub(crate) fn rewrite_part(
    session: &Session,
    content: Content,
    columns: &Schema,
    change: &PartChange<'_>,
    out: &mut File,
    work: &mut WorkCounts,
) -> Result<u64> {
    let opened = Opened::new(content)?.in_folder(columns);
    let folded = Folded::new(&opened.written, change.change)?;
    let mut sink = Sink::plain(out);
    session.progress().start(opened.bytes());
    let mut writer = Copying::new(session, &opened, Some(change.mark), &mut sink)?;
    let fold = Fold {
        first: change.first,
        pairs: change.pairs,
        folded: Some(&folded),
        leaving: change.leaving,
        witness: None,
    };
    let is_changed = changed(&opened, &fold);
    work.row_groups_rewritten += is_changed.iter().map(|changed| u64::from(*changed)).sum::<u64>();
    for run in runs(&is_changed) {
        match run {
            Run::Same(group) => writer.pass(group)?,
            Run::Changed(groups) => writer.fold(groups, &fold)?,
        }
    }
    let read = opened.chunks.bytes_read();
    work.bytes_read += read;
    work.value_bytes_read += read;
    let expected = opened.rows() - change.leaving.len() as u64;
    let written = writer.finish()?;
    if written.rows != expected {
        return Err(Error::internal("a rewritten file has another number of rows than it should"));
    }
    verify(&opened, out, &written)?;
    Ok(written.rows)
}

/// What tells a file from all others that keyfold wrote as one of many, if it is such a file.
///
/// # Errors
///
/// `InvalidData` if it is not a whole Parquet file.
pub(crate) fn mark_of(content: Content) -> Result<Option<String>> {
    let opened = Opened::new(content)?;
    let pairs = opened.metadata.metadata().file_metadata().key_value_metadata();
    let mark = pairs.into_iter().flatten().find(|pair| pair.key == MARK);
    Ok(mark.and_then(|pair| pair.value.clone()))
}

/// The key of the mark among the key-value metadata of a file.
pub(super) const MARK: &str = "keyfold.change";

/// Writes the stored rows, then `batches`, in the stored types; gives the number of new rows.
pub(crate) fn append(
    session: &Session,
    stored: Content,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    out: &mut Sink<'_>,
) -> Result<u64> {
    let opened = Opened::new(stored)?;
    check_writable(&opened)?;
    let mut fit = Fit::new(opened.schema(), schema)?;
    check_missing(opened.schema(), fit.schema())?;
    session.progress().start(opened.bytes());
    let mut writer = Copying::new(session, &opened, None, out)?;
    writer.expect(1);
    for group in 0..opened.metadata.metadata().num_row_groups() {
        writer.pass(group)?;
    }
    let before = writer.written();
    for batch in batches {
        session.check()?;
        writer.append(&widen(opened.schema(), &fit.batch(&batch?)?)?)?;
    }
    let written = writer.finish()?;
    verify(&opened, out.file(), &written)?;
    Ok(written.rows - before)
}

/// Refuses to fill a missing column with nulls where the stored one takes none.
pub(crate) fn check_missing(stored: &SchemaRef, present: &SchemaRef) -> Result<()> {
    let mut missing = stored.fields().iter().filter(|f| present.field_with_name(f.name()).is_err());
    missing.find(|field| !field.is_nullable()).map_or(Ok(()), |field| Err(lacks_required(field.name())))
}

/// The refusal of a new row for want of a column.
pub(crate) fn lacks_required(column: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, "a new row lacks a column that takes no nulls")
        .with("column", column)
        .hint("give the column a value in every incoming row")
}

/// `batch` with all stored columns, those it lacks as nulls.
pub(crate) fn widen(stored: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = stored.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).cloned();
        column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    });
    RecordBatch::try_new(SchemaRef::clone(stored), columns.collect())
        .map_err(|cause| Error::internal("new rows do not fit the stored columns").because(cause))
}

/// The rows of a change in stored columns.
pub(crate) struct Folded<'a> {
    change: &'a Change<'a>,
    /// For each stored column, the place of the one that came in, if it did.
    columns: Vec<Option<usize>>,
    stored: SchemaRef,
    /// Rows that are picked at a time.
    pub(crate) chunk: usize,
}

impl<'a> Folded<'a> {
    /// # Errors
    ///
    /// `InvalidInput` if rows are inserted that lack a column in which nulls are not allowed.
    pub(crate) fn new(stored: &SchemaRef, change: &'a Change<'a>) -> Result<Self> {
        let own = change.rows.schema();
        if !change.outcome.inserted.is_empty() {
            check_missing(stored, &own)?;
        }
        let columns = stored.fields().iter().map(|field| own.index_of(field.name()).ok()).collect();
        Ok(Self { change, columns, stored: SchemaRef::clone(stored), chunk: change.rows.chunk()? })
    }

    /// `batch`, whose first row is `first` in the file, with its share of `pairs` in place.
    pub(crate) fn update(&self, batch: &RecordBatch, first: u64, pairs: &[Pair]) -> Result<RecordBatch> {
        let end = first + batch.num_rows() as u64;
        let own = &pairs[pairs.partition_point(|p| p.stored_row < first)..];
        let own = &own[..own.partition_point(|p| p.stored_row < end)];
        if own.is_empty() {
            return Ok(batch.clone());
        }
        let new = self.change.rows.take(own.iter().map(|pair| pair.incoming))?;
        let mut columns = Vec::with_capacity(self.columns.len());
        for (place, (stored, incoming)) in batch.columns().iter().zip(&self.columns).enumerate() {
            columns.push(match incoming {
                Some(incoming) => self.replace(place, stored, new.column(*incoming), first, own)?,
                None => ArrayRef::clone(stored),
            });
        }
        RecordBatch::try_new(batch.schema(), columns)
            .map_err(|cause| Error::internal("replaced rows do not fit the stored columns").because(cause))
    }

    /// A stored column, whose first row is `first` in the file, after the rows of `pairs` were replaced by those of `new`.
    pub(super) fn replace(
        &self,
        column: usize,
        stored: &ArrayRef,
        new: &ArrayRef,
        first: u64,
        pairs: &[Pair],
    ) -> Result<ArrayRef> {
        if !self.depends_on_stored(column) {
            return replaced(stored, new, first, pairs);
        }
        let rows = pairs.iter().map(|pair| pair.stored_row - first);
        let own = take(stored, &UInt64Array::from_iter_values(rows), None)
            .map_err(|cause| Error::internal("stored values could not be gathered").because(cause))?;
        replaced(stored, &self.merged(column, &own, new, pairs)?, first, pairs)
    }

    /// What becomes of the stored values of a column where the rows of `pairs` are replaced by those of `new`.
    pub(super) fn merged(
        &self,
        column: usize,
        stored: &ArrayRef,
        new: &ArrayRef,
        pairs: &[Pair],
    ) -> Result<ArrayRef> {
        self.change.outcome.cells.merged(self.stored.field(column).name(), stored, new, pairs)
    }

    /// Whether it takes more than the incoming values of a column to know what is written.
    fn depends_on_stored(&self, column: usize) -> bool {
        self.change.outcome.cells.depend_on_stored(self.stored.field(column).name())
    }

    /// The new values of a stored column, if it came in and may differ from what is stored.
    pub(super) fn column(&self, stored: usize) -> Result<Option<NewColumn>> {
        let (name, outcome) = (self.stored.field(stored).name(), self.change.outcome);
        let is_kept = outcome.cells.policy(name) == ColumnPolicy::InsertOnly;
        let may_differ = !is_kept && !outcome.ids.contains(name);
        self.columns[stored]
            .filter(|_| may_differ)
            .map(|incoming| self.change.rows.column(incoming))
            .transpose()
    }

    /// The columns of which the stored values count when a row is replaced: those that did not come in, among others.
    pub(crate) fn kept(&self) -> Vec<String> {
        let counts = |(place, incoming): &(usize, &Option<usize>)| {
            incoming.is_none() || self.depends_on_stored(*place)
        };
        let kept = self.columns.iter().enumerate().filter(counts);
        kept.map(|(place, _)| self.stored.field(place).name().clone()).collect()
    }

    /// The rows that take the place of those of `pairs`, in stored columns. `kept` are the columns of [`Folded::kept`] of
    /// the same stored rows.
    pub(crate) fn replaced(&self, pairs: &[Pair], kept: &[ArrayRef]) -> Result<RecordBatch> {
        let new = self.change.rows.take(pairs.iter().map(|pair| pair.incoming))?;
        let mut kept = kept.iter().cloned();
        let mut columns = Vec::with_capacity(self.columns.len());
        let mut next = || kept.next().ok_or_else(|| Error::internal("a column that is kept was not read"));
        for (place, incoming) in self.columns.iter().enumerate() {
            let column = match incoming.map(|incoming| new.column(incoming)) {
                Some(new) if self.depends_on_stored(place) => self.merged(place, &next()?, new, pairs)?,
                Some(new) => ArrayRef::clone(new),
                None => next()?,
            };
            columns.push(column);
        }
        RecordBatch::try_new(SchemaRef::clone(&self.stored), columns)
            .map_err(|cause| Error::internal("replaced rows could not be gathered").because(cause))
    }

    /// The values of the partition `columns` that new rows have.
    pub(crate) fn partitions(&self, columns: &[String]) -> Result<HashSet<Values>> {
        if columns.is_empty() {
            let has_rows = !self.change.outcome.inserted.is_empty();
            return Ok(has_rows.then(Vec::new).into_iter().collect());
        }
        let mut partitions = HashSet::new();
        for inserts in self.inserts() {
            let parts = partition::split(&inserts?, columns)?.into_iter();
            partitions.extend(parts.filter(|part| part.rows.num_rows() > 0).map(|part| part.values));
        }
        Ok(partitions)
    }

    /// The new rows, in stored columns, some at a time.
    pub(crate) fn inserts(&self) -> impl Iterator<Item = Result<RecordBatch>> {
        let chunks = self.change.outcome.inserted.chunks(self.chunk);
        chunks.map(|rows| widen(&self.stored, &self.change.rows.take(rows.iter().copied())?))
    }
}

/// A stored column, whose first row is `first` in the file, with the new values of `pairs` in place: what lies between
/// them is copied in one go.
fn replaced(stored: &ArrayRef, new: &ArrayRef, first: u64, pairs: &[Pair]) -> Result<ArrayRef> {
    let failed = |cause: ArrowError| Error::internal("rows could not be replaced").because(cause);
    let (old, new) = (stored.to_data(), new.to_data());
    let mut column = MutableArrayData::new(vec![&old, &new], false, stored.len());
    let mut next = 0;
    for (place, pair) in pairs.iter().enumerate() {
        let row = usize::try_from(pair.stored_row - first).unwrap_or(usize::MAX);
        column.try_extend(0, next, row).map_err(failed)?;
        column.try_extend(1, place, place + 1).map_err(failed)?;
        next = row + 1;
    }
    column.try_extend(0, next, stored.len()).map_err(failed)?;
    Ok(make_array(column.freeze()))
}

fn length(out: &mut File) -> Result<u64> {
    out.flush()
        .and_then(|()| out.metadata())
        .map(|metadata| metadata.len())
        .map_err(|cause| Error::io("cannot look at the new file", cause))
}
