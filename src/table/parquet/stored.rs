//! One stored Parquet file: which of its rows the incoming ones meet.
//!
//! Only id and modification columns are read at first, and only of row groups that could hold an
//! incoming id; other columns are read for just those rows on which the keys do not decide. The file may be
//! one of many: its rows are then numbered on from those of the others, and some of them may count as deleted.

use std::fs::File;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Compression as Codec;

use crate::client::file::Content;
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Matcher, Pair};
use crate::core::report::WorkCounts;
use crate::error::{Error, ErrorKind, Result};
use crate::table::fit::{Fit, fit_batches};
use crate::table::parquet::prune::Candidate;
use crate::table::parquet::shape::{Selection, Shape};
use crate::table::parquet::{Layout, Opened, groups, prune, rewrite, undecodable};
use crate::table::{Change, StoredFile};

/// Rows that are decoded at a time.
pub(super) const BATCH_ROWS: usize = 16 * 1024;

/// A Parquet file opened for an upsert.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    opened: Opened,
    shape: Shape,
    /// The first row of every row group, and the one behind the last at the end.
    starts: Vec<u64>,
    /// Rows that do not count, ascending, numbered like the others.
    deleted: Vec<u64>,
}

impl ParquetFile {
    pub(crate) fn open(content: Content) -> Result<Self> {
        let opened = Opened::new(content)?;
        let shape = Shape::own(opened.schema());
        Ok(Self::new(opened, shape, 0, Vec::new()))
    }

    /// A file of a table with the columns of `table`. Its rows are numbered from `first`; those of `deleted`, which
    /// are numbered from 0, do not count. `shape` says where the columns are, given those of the file.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it is not a whole Parquet file.
    pub(crate) fn part(
        content: Content,
        table: &SchemaRef,
        first: u64,
        deleted: &[u64],
        shape: impl FnOnce(&SchemaRef) -> Shape,
    ) -> Result<Self> {
        let opened = Opened::of_table(content, table)?;
        let rows = opened.rows();
        if let Some(row) = deleted.last().filter(|row| **row >= rows) {
            return Err(Error::new(
                ErrorKind::InvalidData,
                "a row is marked as deleted that the file does not have",
            )
            .with("row", row)
            .with("rows", rows)
            .hint(
                "the deletion vector is damaged, or of another file; restore an earlier version of the table",
            ));
        }
        let shape = shape(opened.schema());
        Ok(Self::new(opened, shape, first, deleted.iter().map(|row| first + row).collect()))
    }

    fn new(opened: Opened, shape: Shape, first: u64, deleted: Vec<u64>) -> Self {
        let mut starts = vec![first];
        for group in opened.metadata.metadata().row_groups() {
            starts.push(starts[starts.len() - 1] + group.num_rows().unsigned_abs());
        }
        Self { opened, shape, starts, deleted }
    }

    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The number of its first row.
    pub(super) fn first(&self) -> u64 {
        self.starts[0]
    }

    /// With which other files its rows can be put together.
    ///
    /// # Errors
    ///
    /// `Unsupported` for columns that can be read but not written again with the same type.
    pub(crate) fn layout(&self) -> Result<Layout> {
        Layout::of(&self.opened)
    }

    /// The number of row groups.
    pub(crate) fn groups(&self) -> usize {
        self.starts.len() - 1
    }

    /// Rows in the file, deleted ones too.
    pub(crate) fn rows(&self) -> u64 {
        self.starts[self.groups()] - self.starts[0]
    }

    /// In how many batches the rows of a row group come.
    pub(crate) fn batches(&self, group: usize) -> u64 {
        (self.starts[group + 1] - self.starts[group]).div_ceil(BATCH_ROWS as u64)
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.opened.chunks.bytes_read()
    }

    /// How the first column is compressed, if there is any data.
    pub(crate) fn codec(&self) -> Option<Codec> {
        let group = self.opened.metadata.metadata().row_groups().first()?;
        group.columns().first().map(|column| groups::rewritable(column.compression()))
    }

    /// The rows of a row group, each batch with the number of its first row; deleted rows are among them.
    ///
    /// # Errors
    ///
    /// `InvalidData` if they cannot be decoded, and if there are fewer of them than the footer says.
    pub(crate) fn group_rows(
        &self,
        group: usize,
        columns: &[String],
    ) -> Result<impl Iterator<Item = Result<(u64, RecordBatch)>> + use<>> {
        let (mut next, end) = (self.starts[group], self.starts[group + 1]);
        let mut batches = self.read(group, columns, None)?;
        Ok(std::iter::from_fn(move || match batches.next() {
            Some(batch) => Some(batch.map(|batch| {
                let first = next;
                next += batch.num_rows() as u64;
                (first, batch)
            })),
            None if next < end => {
                next = end;
                Some(Err(short().with("row group", group)))
            }
            None => None,
        }))
    }

    /// The deleted ones of the `rows` rows from `first`, ascending.
    pub(crate) fn deleted(&self, first: u64, rows: usize) -> &[u64] {
        let from = self.deleted.partition_point(|row| *row < first);
        let to = self.deleted.partition_point(|row| *row < first + rows as u64);
        &self.deleted[from..to]
    }

    /// Reads some columns of a row group, in the order of `columns`.
    fn read(&self, group: usize, columns: &[String], rows: Option<RowSelection>) -> Result<Projected> {
        let selection = self.shape.select(columns)?;
        let mask = selection.mask(self.opened.metadata.metadata().file_metadata().schema_descr());
        self.opened.chunks.hold_group(self.opened.metadata.metadata(), group, &mask, rows.as_ref())?;
        let metadata = self.opened.metadata.clone();
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.opened.chunks.clone(), metadata)
                .with_projection(mask)
                .with_row_groups(vec![group])
                .with_batch_size(BATCH_ROWS);
        let builder = match rows {
            Some(rows) => builder.with_row_selection(rows),
            None => builder,
        };
        Ok(Projected { reader: builder.build().map_err(undecodable)?, selection })
    }

    /// Shows some columns of the stored rows of ascending `pairs`, in their order.
    ///
    /// # Errors
    ///
    /// `InvalidData` if they cannot be decoded.
    pub(crate) fn rows_of(
        &self,
        pairs: &[Pair],
        columns: &[String],
        mut show: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        for group in 0..self.groups() {
            let from = pairs.partition_point(|pair| pair.stored_row < self.starts[group]);
            let to = pairs.partition_point(|pair| pair.stored_row < self.starts[group + 1]);
            if from < to {
                let own = selection(&pairs[from..to], self.starts[group]);
                for batch in self.read(group, columns, Some(own))? {
                    show(batch?)?;
                }
                self.opened.chunks.release();
            }
        }
        Ok(())
    }

    /// Shows the rows that could meet incoming ones to the matcher.
    ///
    /// # Errors
    ///
    /// `InvalidData` if they cannot be decoded, and as [`Matcher::probe`].
    pub(crate) fn find_rows(
        &self,
        session: &Session,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let groups = self.opened.metadata.metadata().row_groups();
        let ids: Vec<&String> = matcher.ids().iter().filter(|id| self.shape.is_in_file(id)).collect();
        let candidates = prune::candidates(&self.opened, matcher.incoming(), &ids)?;
        for Candidate { group, rows } in &candidates {
            session.check()?;
            self.find_in(*group, rows.as_deref(), matcher, work)?;
            session.progress().advance(groups[*group].compressed_size().unsigned_abs());
        }
        work.row_groups_read += candidates.len() as u64;
        work.row_groups_skipped += (groups.len() - candidates.len()) as u64;
        if candidates.is_empty() && !groups.is_empty() {
            work.files_skipped += 1;
        } else {
            work.files_read += 1;
        }
        work.bytes_read += self.bytes_read();
        Ok(())
    }

    /// Reads the keys of some rows of one row group, or of all of them, then the values of those that the keys leave open.
    fn find_in(
        &self,
        group: usize,
        rows: Option<&[Range<usize>]>,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let before = self.opened.chunks.bytes_read();
        let (start, all) = (self.starts[group], within(self.starts[group + 1] - self.starts[group]));
        let selection = rows.map(|rows| RowSelection::from_consecutive_ranges(rows.iter().cloned(), all));
        let whole = 0..all;
        let mut runs = rows.unwrap_or(std::slice::from_ref(&whole)).iter().cloned();
        let mut run = 0..0;
        let mut open = Vec::new();
        for batch in self.read(group, matcher.key_columns(), selection)? {
            let batch = batch?;
            let mut seen = 0;
            while seen < batch.num_rows() {
                if run.is_empty() {
                    run = runs
                        .next()
                        .ok_or_else(|| undecodable("a row group has more rows than its footer says"))?;
                }
                let part = run.len().min(batch.num_rows() - seen);
                self.probe(&batch.slice(seen, part), start + run.start as u64, matcher, &mut open)?;
                (seen, run.start) = (seen + part, run.start + part);
            }
        }
        if !run.is_empty() || runs.any(|run| !run.is_empty()) {
            return Err(short().with("row group", group));
        }
        let keys = self.opened.chunks.bytes_read();
        self.compare(group, &open, matcher)?;
        work.key_bytes_read += keys - before;
        work.value_bytes_read += self.opened.chunks.bytes_read() - keys;
        self.opened.chunks.release();
        Ok(())
    }

    /// Probes the rows between deleted ones, a run at a time.
    fn probe(
        &self,
        keys: &RecordBatch,
        first: u64,
        matcher: &mut Matcher<'_>,
        open: &mut Vec<Pair>,
    ) -> Result<()> {
        let end = first + keys.num_rows() as u64;
        let mut from = first;
        for row in self.deleted(first, keys.num_rows()).iter().copied().chain([end]) {
            if row > from {
                let run = keys.slice(within(from - first), within(row - from));
                open.extend(matcher.probe(&run, from)?);
            }
            from = row + 1;
        }
        Ok(())
    }

    fn compare(&self, group: usize, open: &[Pair], matcher: &mut Matcher<'_>) -> Result<()> {
        if open.is_empty() || matcher.value_columns().is_empty() {
            return Ok(());
        }
        let rows = selection(open, self.starts[group]);
        let mut left = open;
        for batch in self.read(group, matcher.value_columns(), Some(rows))? {
            let batch = batch?;
            let Some((pairs, rest)) = left.split_at_checked(batch.num_rows()) else { break };
            matcher.decide(pairs, &batch)?;
            left = rest;
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(Error::internal("stored rows were lost while they were compared"))
        }
    }
}

/// Selects the stored rows of ascending pairs.
fn selection(pairs: &[Pair], start: u64) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = start;
    for pair in pairs {
        let gap = usize::try_from(pair.stored_row - next).unwrap_or(usize::MAX);
        if gap > 0 {
            selectors.push(RowSelector::skip(gap));
        }
        selectors.push(RowSelector::select(1));
        next = pair.stored_row + 1;
    }
    selectors.into()
}

fn within(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

fn short() -> Error {
    undecodable("a row group has fewer rows than its footer says")
}

/// Batches with the columns that were asked for.
struct Projected {
    reader: ParquetRecordBatchReader,
    selection: Selection,
}

impl Iterator for Projected {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?.map_err(undecodable);
        Some(batch.and_then(|batch| self.selection.of(&batch)))
    }
}

impl StoredFile for ParquetFile {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(self.shape.schema())
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        _: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        rewrite::check_writable(&self.opened)?;
        fit_batches(self.opened.schema(), schema, &incoming)
    }

    fn fit_each(&self, schema: &Schema) -> Result<Option<Fit>> {
        rewrite::check_writable(&self.opened)?;
        Fit::new(self.opened.schema(), schema).map(Some)
    }

    fn find(&mut self, session: &Session, matcher: &mut Matcher<'_>, work: &mut WorkCounts) -> Result<u64> {
        let groups = self.opened.metadata.metadata().row_groups();
        session.progress().start(groups.iter().map(|g| g.compressed_size().unsigned_abs()).sum());
        self.find_rows(session, matcher, work)?;
        Ok(self.rows())
    }

    fn rewrite(
        &mut self,
        session: &Session,
        change: &Change<'_>,
        out: &mut File,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let before = self.opened.chunks.bytes_read();
        rewrite::rewrite(session, &self.opened, change, out, work)?;
        let read = self.opened.chunks.bytes_read() - before;
        work.bytes_read += read;
        work.value_bytes_read += read;
        Ok(())
    }
}

/// All columns of one row group, in the file's order, some rows at a time.
pub(super) fn read_group(
    opened: &Opened,
    group: usize,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader> {
    opened.chunks.hold_group(opened.metadata.metadata(), group, &ProjectionMask::all(), None)?;
    ParquetRecordBatchReaderBuilder::new_with_metadata(opened.chunks.clone(), opened.metadata.clone())
        .with_row_groups(vec![group])
        .with_batch_size(batch_rows)
        .build()
        .map_err(undecodable)
}
