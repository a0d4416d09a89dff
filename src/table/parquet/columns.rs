//! Row groups with a changed row, a column at a time: columns need not wait for each other, so that all cores are busy, and one
//! of which no value changes stays as the bytes it is.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};

use super::in_place::Witness;
use super::rewrite::Folded;
use super::stored::{BATCH_ROWS, selection, short, within};
use super::writer::unwritable;
use super::{Opened, undecodable};
use crate::client::session::Session;
use crate::core::merge::kernel::Pair;
use crate::error::{Error, Result};
use crate::table::new_rows::NewColumn;
use crate::table::table_scan::keep;

/// A column that changes mostly does so in one of its first replaced rows: these are looked at before all others are.
const FIRST_LOOK: usize = 16;

/// What becomes of the stored rows of a file.
#[derive(Clone, Copy)]
pub(super) struct Fold<'a> {
    /// The number of the first row.
    pub(super) first: u64,
    /// The rows that are replaced, and by which incoming rows; they are of `folded`.
    pub(super) pairs: &'a [Pair],
    pub(super) folded: Option<&'a Folded<'a>>,
    /// Rows that do not stay, ascending.
    pub(super) leaving: &'a [u64],
    /// Who wants to know what is written.
    pub(super) witness: Option<&'a dyn Witness>,
}

impl<'a> Fold<'a> {
    /// All rows stay as they are.
    pub(super) const NONE: Self = Self { first: 0, pairs: &[], folded: None, leaving: &[], witness: None };

    /// The replaced ones of some rows, which are numbered from 0.
    pub(super) fn pairs_of(&self, rows: &Range<u64>) -> &'a [Pair] {
        let before = |row: u64| self.pairs.partition_point(|pair| pair.stored_row < self.first + row);
        &self.pairs[before(rows.start)..before(rows.end)]
    }

    /// The leaving ones.
    pub(super) fn leaving_of(&self, rows: &Range<u64>) -> &'a [u64] {
        let before = |row: u64| self.leaving.partition_point(|leaving| *leaving < self.first + row);
        &self.leaving[before(rows.start)..before(rows.end)]
    }
}

/// One column of rows that become a row group.
pub(super) struct Piece {
    /// Its place among the columns, and among those of the file's own description.
    pub(super) column: usize,
    pub(super) root: usize,
    /// Bytes as they are stored.
    pub(super) size: u64,
    /// The row group in which the rows stand, and which rows of the file that are.
    pub(super) group: usize,
    pub(super) rows: Range<u64>,
    /// Whether the bytes may stay as they are.
    pub(super) may_stay: bool,
    /// Whether other rows will follow in the same row group.
    pub(super) stays_open: bool,
    /// For each leaf column.
    pub(super) writers: Vec<ArrowColumnWriter>,
}

/// What was made of a [`Piece`].
pub(super) struct Made {
    pub(super) column: usize,
    pub(super) values: MadeValues,
}

pub(super) enum MadeValues {
    /// No value changes in so many leaf columns.
    Same(usize),
    /// For each leaf column.
    Encoded(Vec<ArrowColumnChunk>),
    /// For each leaf column, to go on with.
    Open(Vec<ArrowColumnWriter>),
}

impl Piece {
    /// Folds the new values of its rows into the column.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the column cannot be decoded, `Io`.
    pub(super) fn make(mut self, session: &Session, opened: &Opened, fold: &Fold<'_>) -> Result<Made> {
        let pairs = fold.pairs_of(&self.rows);
        let new = match fold.folded.filter(|_| !pairs.is_empty()) {
            Some(folded) => folded.column(self.column)?,
            None => None,
        };
        let column = self.column;
        let made = |values| Ok(Made { column, values });
        if self.may_stay && self.is_same(session, opened, fold, new.as_ref())? {
            let group = opened.metadata.metadata().row_group(self.group);
            if fold.witness.is_some_and(|witness| !witness.column(column, group, opened)) {
                self.each(session, opened, fold, None, |_| Ok(()))?;
            }
            return made(MadeValues::Same(self.writers.len()));
        }
        let field = opened.written.field(column);
        let mut writers = std::mem::take(&mut self.writers);
        self.each(session, opened, fold, new.as_ref(), |values| {
            let leaves = compute_leaves(field, values).map_err(unwritable)?;
            if leaves.len() != writers.len() {
                return Err(Error::internal("a column has other leaves than its description"));
            }
            let mut leaves = leaves.iter().zip(&mut writers);
            leaves.try_for_each(|(leaf, writer)| writer.write(leaf)).map_err(unwritable)
        })?;
        if self.stays_open {
            return made(MadeValues::Open(writers));
        }
        let chunks = writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<_, _>>();
        made(MadeValues::Encoded(chunks.map_err(unwritable)?))
    }

    /// Uses the values as they will be, a batch at a time; the witness is shown them.
    fn each(
        &self,
        session: &Session,
        opened: &Opened,
        fold: &Fold<'_>,
        new: Option<&NewColumn>,
        mut act: impl FnMut(&ArrayRef) -> Result<()>,
    ) -> Result<()> {
        let mut next = self.rows.start;
        for stored in self.stored(opened)? {
            session.check()?;
            let stored = stored?;
            let these = next..next + stored.len() as u64;
            next = these.end;
            let pairs = fold.pairs_of(&these);
            let values = match (new, fold.folded) {
                (Some(new), Some(folded)) if !pairs.is_empty() => {
                    let new = new.take(pairs.iter().map(|pair| pair.incoming))?;
                    folded.replace(self.column, &stored, &new, fold.first + these.start, pairs)?
                }
                _ => stored,
            };
            let leaving = fold.leaving_of(&these);
            let values = if leaving.is_empty() {
                values
            } else {
                let batch = RecordBatch::try_from_iter([("", values)]).map_err(undecodable)?;
                let kept = keep(&batch, fold.first + these.start, leaving.iter().copied())?;
                ArrayRef::clone(kept.column(0))
            };
            if let Some(witness) = fold.witness {
                witness.values(self.column, &values);
            }
            act(&values)?;
        }
        if next == self.rows.end { Ok(()) } else { Err(short().with("row group", self.group)) }
    }

    /// The values as they are stored, a batch at a time: nulls, if the column is not stored yet.
    fn stored(&self, opened: &Opened) -> Result<Box<dyn Iterator<Item = Result<ArrayRef>>>> {
        if self.column < opened.schema().fields().len() {
            let first = |batch: RecordBatch| ArrayRef::clone(batch.column(0));
            let batches = self.read(opened, None)?;
            return Ok(Box::new(batches.map(move |batch| batch.map(first).map_err(undecodable))));
        }
        let data_type = opened.written.field(self.column).data_type().clone();
        let rows = within(self.rows.end - self.rows.start);
        let lengths = (0..rows).step_by(BATCH_ROWS).map(move |start| BATCH_ROWS.min(rows - start));
        Ok(Box::new(lengths.map(move |length| Ok(new_null_array(&data_type, length)))))
    }

    /// Whether all replaced rows have the value that they had, to the bit.
    fn is_same(
        &self,
        session: &Session,
        opened: &Opened,
        fold: &Fold<'_>,
        new: Option<&NewColumn>,
    ) -> Result<bool> {
        let (Some(new), Some(folded)) = (new, fold.folded) else { return Ok(true) };
        let pairs = fold.pairs_of(&self.rows);
        let first_look = &pairs[..pairs.len().min(FIRST_LOOK)];
        for pairs in [first_look, pairs].into_iter().skip(usize::from(first_look.len() == pairs.len())) {
            let mut next = pairs;
            for batch in self.read(opened, Some(selection(pairs, fold.first + self.rows.start)))? {
                session.check()?;
                let batch = batch.map_err(undecodable)?;
                let (these, rest) = next
                    .split_at_checked(batch.num_rows())
                    .ok_or_else(|| Error::internal("too many rows"))?;
                next = rest;
                let values = new.take(these.iter().map(|pair| pair.incoming))?;
                let values = folded.merged(self.column, batch.column(0), &values, these)?;
                if values.to_data() != batch.column(0).to_data() {
                    return Ok(false);
                }
            }
            if !next.is_empty() {
                return Err(short().with("row group", self.group));
            }
        }
        Ok(true)
    }

    fn read(&self, opened: &Opened, rows: Option<RowSelection>) -> Result<ParquetRecordBatchReader> {
        let leaves = opened.metadata.metadata().file_metadata().schema_descr();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            opened.chunks.clone(),
            opened.metadata.clone(),
        )
        .with_projection(ProjectionMask::roots(leaves, [self.root]))
        .with_row_groups(vec![self.group])
        .with_batch_size(BATCH_ROWS);
        let builder = match rows {
            Some(rows) => builder.with_row_selection(rows),
            None => builder,
        };
        builder.build().map_err(undecodable)
    }
}
