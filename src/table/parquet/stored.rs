//! One stored Parquet file, and its rows by row groups and columns. It may be one of many: its rows are then numbered on from
//! those of the others, and some of them may count as deleted.

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};

use crate::client::file::{Content, Sink};
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Matcher, Pair};
use crate::core::report::WorkCounts;
use crate::error::{Error, ErrorKind, Result};
use crate::table::fit::{Fit, fit_batches};
use crate::table::parquet::more::readable;
use crate::table::parquet::shape::{Selection, Shape};
use crate::table::parquet::{Layout, Opened, Ways, like, rewrite, undecodable};
use crate::table::{Change, StoredFile};

/// Rows that are decoded at a time.
pub(super) const BATCH_ROWS: usize = 16 * 1024;

/// A Parquet file opened for an upsert.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    opened: Opened,
    pub(super) shape: Shape,
    /// The first row of every row group, and the one behind the last at the end.
    pub(super) starts: Vec<u64>,
    /// Rows that do not count, ascending, numbered like the others.
    deleted: Vec<u64>,
    /// The bytes read that are in reports already.
    counted: u64,
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
        Self { opened, shape, starts, deleted, counted: 0 }
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

    /// How it was written, if there is any data.
    pub(crate) fn ways(&self) -> Option<Ways> {
        let groups = self.opened.metadata.metadata().row_groups();
        let columns = groups.first()?.columns();
        let codec = like::rewritable(columns.first()?.compression());
        let is_plain = |leaf: &usize| columns[*leaf].column_path().parts().len() == 1;
        let has_filter = |leaf: &usize| {
            groups.iter().any(|group| {
                group.columns().get(*leaf).is_some_and(|column| column.bloom_filter_offset().is_some())
            })
        };
        let filtered = (0..columns.len()).filter(is_plain).filter(has_filter);
        let name = |leaf: usize| columns[leaf].column_path().string();
        Some(Ways { codec, bloom_filter: filtered.map(name).collect() })
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
    pub(super) fn read(
        &self,
        group: usize,
        columns: &[String],
        rows: Option<RowSelection>,
    ) -> Result<Projected> {
        self.hold(group, columns, rows.as_ref())?;
        self.read_held(group, columns, rows)
    }

    /// Fetches what is needed of an object to read them.
    pub(super) fn hold(&self, group: usize, columns: &[String], rows: Option<&RowSelection>) -> Result<()> {
        let footer = self.opened.metadata.metadata();
        let mask = self.shape.select(columns)?.mask(footer.file_metadata().schema_descr());
        self.opened.chunks.hold_group(footer, group, &mask, rows)
    }

    /// Reads columns of which what is needed has been fetched.
    pub(super) fn read_held(
        &self,
        group: usize,
        columns: &[String],
        rows: Option<RowSelection>,
    ) -> Result<Projected> {
        let selection = self.shape.select(columns)?;
        let mask = selection.mask(self.opened.metadata.metadata().file_metadata().schema_descr());
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

    /// The stored rows of ascending numbers, with all columns.
    ///
    /// # Errors
    ///
    /// `InvalidData` if they cannot be decoded.
    pub(crate) fn rows_at(&self, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        let pair = |row: &u64| Pair { stored_row: *row, incoming: 0, is_stamp: false };
        let pairs: Vec<Pair> = rows.iter().map(pair).collect();
        let fields = self.shape.schema().fields();
        let columns: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let mut found = Vec::new();
        self.rows_of(&pairs, &columns, |batch| {
            found.push(batch);
            Ok(())
        })?;
        Ok(found)
    }
}

/// Selects the stored rows of ascending pairs.
pub(super) fn selection(pairs: &[Pair], start: u64) -> RowSelection {
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

pub(super) fn within(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

pub(super) fn short() -> Error {
    undecodable("a row group has fewer rows than its footer says")
}

/// Batches with the columns that were asked for.
pub(super) struct Projected {
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

    fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()> {
        let columns = readable(columns)?;
        self.shape = self.shape.clone().with_nulls(&columns);
        self.opened = self.opened.clone().with_columns(&columns);
        Ok(())
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        _: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        rewrite::check_writable(&self.opened)?;
        fit_batches(self.shape.schema(), schema, &incoming)
    }

    fn fit_each(&self, schema: &Schema) -> Result<Option<Fit>> {
        rewrite::check_writable(&self.opened)?;
        Fit::new(self.shape.schema(), schema).map(Some)
    }

    fn find(&mut self, session: &Session, matcher: &mut Matcher<'_>, work: &mut WorkCounts) -> Result<u64> {
        session.progress().start(self.opened.bytes());
        // What was read for an earlier look is counted already.
        work.bytes_read = work.bytes_read.saturating_sub(self.counted);
        self.find_rows(session, matcher, work)?;
        self.counted = self.bytes_read();
        Ok(self.rows())
    }

    fn rows_at(&mut self, _: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        Self::rows_at(self, rows)
    }

    fn rewrite(
        &mut self,
        session: &Session,
        change: &Change<'_>,
        out: &mut Sink<'_>,
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
