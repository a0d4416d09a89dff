//! What matching ends with: the stored rows that are replaced, and by which, those that go, and the rows that are added. It is all
//! that writers know of a rule.

use std::borrow::Cow;
use std::ops::Range;

use arrow::array::RecordBatch;

use super::cells::Cells;
use super::settle::Incoming;
use crate::core::report::RowCounts;
use crate::error::Result;

/// A stored row and the incoming row with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The row of the stored file, from 0.
    pub(crate) stored_row: u64,
    /// Index into [`Outcome::written`].
    pub(crate) incoming: u32,
    /// Whether it just says that the stored row is deleted: all other values stay.
    pub(crate) is_stamp: bool,
}

/// What is to be done with the stored rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Stored rows to replace, ascending by `stored_row`.
    pub(crate) replaced: Vec<Pair>,
    /// Stored rows that go, ascending; none of them is replaced.
    pub(crate) deleted: Vec<u64>,
    /// Rows (indices into [`Outcome::written`]) to add at the end, in this order.
    pub(crate) inserted: Vec<u32>,
    /// Incoming rows (indices into [`Incoming::batch`]), ascending, that are older than the stored ones, if they go into the
    /// quarantine.
    pub(crate) stale: Vec<u32>,
    /// Columns in which the rows of a pair are equal to the bit: ids that are no floats.
    pub(crate) ids: Vec<String>,
    /// How the values of the rows of a pair become one.
    pub(crate) cells: Cells,
    /// The counts.
    pub(crate) rows: RowCounts,
    /// Hashes of ids, of each of which several rows go for not having come in, where no id may be stored more than once.
    pub(crate) alike: Vec<u64>,
    /// The rows that are written, where these are others than those that came in.
    pub(crate) made: Option<Made>,
}

/// Rows that were made of incoming ones, in the same columns, and maybe others behind them.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) batch: RecordBatch,
    /// For each row its place among all that came in, if it is made of one of these.
    pub(crate) sources: Vec<Option<u32>>,
    /// For each row the stored one that has its values in columns that do not come in, if they are not null.
    pub(crate) bases: Vec<Option<u64>>,
    /// The columns that have other values than the incoming rows.
    pub(crate) computed: Vec<String>,
}

/// What becomes of some of the stored rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fates<'a> {
    /// Those that are replaced.
    pub(crate) replaced: &'a [Pair],
    /// Those that go.
    pub(crate) deleted: &'a [u64],
}

impl Fates<'_> {
    /// Whether all of them stay as they are.
    pub(crate) fn is_empty(&self) -> bool {
        self.replaced.is_empty() && self.deleted.is_empty()
    }

    /// What becomes of those of these numbers.
    pub(crate) fn within(&self, rows: &Range<u64>) -> Self {
        let replaced = |row: u64| self.replaced.partition_point(|pair| pair.stored_row < row);
        Self {
            replaced: &self.replaced[replaced(rows.start)..replaced(rows.end)],
            deleted: rows_within(self.deleted, rows),
        }
    }
}

/// Those of ascending row numbers that lie in a range.
pub(crate) fn rows_within<'a>(rows: &'a [u64], range: &Range<u64>) -> &'a [u64] {
    let before = |end: u64| rows.partition_point(|row| *row < end);
    &rows[before(range.start)..before(range.end)]
}

impl Outcome {
    /// The rows that are written, numbered as it says, and for each its place among all that came in; no place if it is made of
    /// none of them.
    pub(crate) fn written<'a>(&'a self, incoming: &'a Incoming) -> (&'a RecordBatch, Cow<'a, [u32]>) {
        match &self.made {
            Some(made) => {
                let sources = made.sources.iter().map(|source| source.unwrap_or(u32::MAX));
                (&made.batch, Cow::Owned(sources.collect()))
            }
            None => (incoming.batch(), Cow::Borrowed(incoming.source_rows())),
        }
    }

    /// How many rows are not the same afterwards: those that go, too.
    pub(crate) fn changed_rows(&self) -> u64 {
        (self.replaced.len() + self.deleted.len() + self.inserted.len()) as u64
    }

    /// The same where more stored rows go, because others with their ids stay.
    ///
    /// # Errors
    ///
    /// `Internal` if the counts do not add up then.
    pub(crate) fn with_repaired(mut self, rows: &[u64]) -> Result<Self> {
        self.deleted.extend(rows);
        self.deleted.sort_unstable();
        self.rows = self.rows.with_repaired(rows.len() as u64)?;
        Ok(self)
    }

    /// What becomes of the stored rows of these numbers.
    pub(crate) fn fates(&self, rows: &Range<u64>) -> Fates<'_> {
        Fates { replaced: &self.replaced, deleted: &self.deleted }.within(rows)
    }
}
