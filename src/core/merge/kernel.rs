//! stub with the real signatures
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::MergeRule;
use crate::core::report::RowCounts;
use crate::error::Result;

/// The incoming rows, settled: one row per id, in source order, in the types of the stored columns.
#[derive(Debug)]
pub struct Incoming {
    batch: RecordBatch,
    source_rows: Vec<u32>,
}

impl Incoming {
    /// Settles `batches` (all of `schema`, already in the types of the stored columns).
    pub fn settle(_schema: SchemaRef, _batches: &[RecordBatch], _rule: &MergeRule) -> Result<Self> {
        unimplemented!()
    }
    /// The settled rows.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }
    /// For each settled row, its index in the concatenation of the batches that were settled.
    pub fn source_rows(&self) -> &[u32] {
        &self.source_rows
    }
}

/// A stored row that met an incoming one and is to be compared in its other columns.
#[derive(Debug, Clone, Copy)]
pub struct Undecided {
    /// row of the file, from 0
    pub stored_row: u64,
    /// index into `Incoming::batch`
    pub incoming: u32,
}

/// Finds which stored rows the incoming ones meet, and what becomes of them.
#[derive(Debug)]
pub struct Matcher<'a> {
    incoming: &'a Incoming,
}

impl<'a> Matcher<'a> {
    /// A matcher against rows with `stored` columns.
    pub fn new(incoming: &'a Incoming, _stored: &SchemaRef, _rule: &MergeRule) -> Result<Self> {
        Ok(Self { incoming })
    }
    /// The columns that `probe` wants, in this order: ids, then the modification column if it decides.
    pub fn key_columns(&self) -> &[String] {
        unimplemented!()
    }
    /// The columns that `decide` wants, in this order: every incoming column that is not an id.
    pub fn value_columns(&self) -> &[String] {
        unimplemented!()
    }
    /// Probes stored rows; `first_row` is the position in the file of the first. Gives those to compare.
    pub fn probe(&mut self, _keys: &RecordBatch, _first_row: u64) -> Result<Vec<Undecided>> {
        unimplemented!()
    }
    /// Decides rows by comparing all values; row i of `values` is the stored row of `undecided[i]`.
    pub fn decide(&mut self, _undecided: &[Undecided], _values: &RecordBatch) -> Result<()> {
        unimplemented!()
    }
    /// What becomes of all rows; `rows_before` is the number of stored rows.
    pub fn finish(self, _rows_before: Option<u64>) -> Result<Outcome> {
        let _ = self.incoming;
        unimplemented!()
    }
}

/// What is to be done with the stored rows.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Stored rows to replace, ascending by `stored_row`.
    pub replaced: Vec<Undecided>,
    /// Incoming rows (indices into `Incoming::batch`) to add at the end, in this order.
    pub inserted: Vec<u32>,
    /// The counts.
    pub rows: RowCounts,
}
