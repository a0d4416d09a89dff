//! One stored Parquet file: which of its rows the incoming ones meet.
//!
//! Only id and modification columns are read at first, and only of row groups that could hold an
//! incoming id; other columns are read for just those rows on which the keys do not decide.

use std::fs::File;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};

use crate::client::file::Content;
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher, Outcome, Pair};
use crate::core::report::WorkCounts;
use crate::core::schema::find_column;
use crate::error::{Error, Result};
use crate::table::StoredFile;
use crate::table::fit::fit_batches;
use crate::table::parquet::{Opened, prune, rewrite, undecodable};

/// Rows that are decoded at a time.
pub(super) const BATCH_ROWS: usize = 16 * 1024;

/// A Parquet file opened for an upsert.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    opened: Opened,
    /// The first row of every row group, and the number of all rows at the end.
    starts: Vec<u64>,
}

impl ParquetFile {
    pub(crate) fn open(content: Content) -> Result<Self> {
        let opened = Opened::new(content)?;
        let mut starts = vec![0];
        for group in opened.metadata.metadata().row_groups() {
            starts.push(starts[starts.len() - 1] + group.num_rows().unsigned_abs());
        }
        Ok(Self { opened, starts })
    }

    /// Reads some columns of a row group, in the order of `columns`.
    fn read(&self, group: usize, columns: &[String], rows: Option<RowSelection>) -> Result<Projected> {
        let mut indices = Vec::with_capacity(columns.len());
        for column in columns {
            indices.push(find_column(self.opened.schema(), column, "stored column")?);
        }
        let schema = self.opened.metadata.metadata().file_metadata().schema_descr();
        let mask = ProjectionMask::roots(schema, indices.iter().copied());
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
        Ok(Projected { reader: builder.build().map_err(undecodable)?, columns: columns.to_vec() })
    }

    /// Reads the keys of one row group, then the values of rows that the keys leave open.
    fn find_in(&self, group: usize, matcher: &mut Matcher<'_>, work: &mut WorkCounts) -> Result<()> {
        let before = self.opened.chunks.bytes_read();
        let mut row = self.starts[group];
        let mut open = Vec::new();
        for batch in self.read(group, matcher.key_columns(), None)? {
            let batch = batch?;
            open.extend(matcher.probe(&batch, row)?);
            row += batch.num_rows() as u64;
        }
        if row != self.starts[group + 1] {
            return Err(
                undecodable("a row group has fewer rows than its footer says").with("row group", group)
            );
        }
        let keys = self.opened.chunks.bytes_read();
        self.compare(group, &open, matcher)?;
        work.key_bytes_read += keys - before;
        work.value_bytes_read += self.opened.chunks.bytes_read() - keys;
        self.opened.chunks.release();
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

/// Batches with their columns in the order that was asked for, not in the file's.
struct Projected {
    reader: ParquetRecordBatchReader,
    columns: Vec<String>,
}

impl Iterator for Projected {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?.map_err(undecodable);
        Some(batch.and_then(|batch| {
            let indices = self
                .columns
                .iter()
                .map(|column| find_column(&batch.schema(), column, "stored column"))
                .collect::<Result<Vec<_>>>()?;
            batch.project(&indices).map_err(undecodable)
        }))
    }
}

impl StoredFile for ParquetFile {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(self.opened.schema())
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

    fn find(&mut self, session: &Session, matcher: &mut Matcher<'_>, work: &mut WorkCounts) -> Result<u64> {
        let groups = self.opened.metadata.metadata().row_groups();
        let candidates = prune::candidates(&self.opened, matcher.incoming(), matcher.ids());
        session.progress().start(groups.iter().map(|g| g.compressed_size().unsigned_abs()).sum());
        for group in &candidates {
            session.check()?;
            self.find_in(*group, matcher, work)?;
            session.progress().advance(groups[*group].compressed_size().unsigned_abs());
        }
        work.row_groups_read += candidates.len() as u64;
        work.row_groups_skipped += (groups.len() - candidates.len()) as u64;
        if candidates.is_empty() && !groups.is_empty() {
            work.files_skipped += 1;
        } else {
            work.files_read += 1;
        }
        work.bytes_read += self.opened.chunks.bytes_read();
        Ok(self.opened.rows())
    }

    fn rewrite(
        &mut self,
        session: &Session,
        incoming: &Incoming,
        outcome: &Outcome,
        out: &mut File,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let before = self.opened.chunks.bytes_read();
        rewrite::rewrite(session, &self.opened, incoming, outcome, out, work)?;
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
