//! Rows put in the order of a number that each of them has, more of them than memory holds: runs of them are sorted and go to
//! disk, and are merged from there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::spill::{Batches, SpillFile, size_of_rows};
use crate::client::session::Session;
use crate::error::{Error, Result};

/// As many runs are merged at once: each is an open file, and has a batch in memory.
const RUNS: usize = 64;

/// Bytes of a batch of sorted rows, about.
const BATCH_BYTES: usize = 1 << 20;

/// The most rows of one.
const BATCH_ROWS: usize = 8_192;

/// Takes rows, and gives them back in order.
pub(super) struct Sorter {
    /// The columns, and the number last.
    schema: SchemaRef,
    /// Bytes that are held before they go to disk.
    limit: usize,
    held: Vec<RecordBatch>,
    bytes: usize,
    runs: Vec<SpillFile>,
}

impl Sorter {
    pub(super) fn new(schema: &Schema, limit: usize) -> Self {
        let place = Arc::new(Field::new("", DataType::FixedSizeBinary(16), false));
        let fields: Vec<_> = schema.fields().iter().cloned().chain([place]).collect();
        let schema = Arc::new(Schema::new(fields));
        Self { schema, limit, held: Vec::new(), bytes: 0, runs: Vec::new() }
    }

    /// Takes rows with the number of each.
    ///
    /// # Errors
    ///
    /// `Io` if they cannot be written to disk.
    pub(super) fn add(&mut self, rows: &RecordBatch, places: &[u128]) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let places = FixedSizeBinaryArray::try_from_iter(places.iter().map(|place| place.to_be_bytes()));
        let places: ArrayRef = Arc::new(places.map_err(failed)?);
        let columns = rows.columns().iter().cloned().chain([places]).collect();
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)?;
        self.bytes += size_of_rows(&rows);
        self.held.push(rows);
        if self.bytes > self.limit {
            let held = self.take();
            let run = SpillFile::of(&self.schema, sorted(held))?;
            self.runs.push(run);
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<RecordBatch> {
        self.bytes = 0;
        std::mem::take(&mut self.held)
    }

    /// All rows, by their numbers; those of one number in the order in which they came.
    ///
    /// # Errors
    ///
    /// `Io` if what is on disk cannot be read or written, `Cancelled`.
    pub(super) fn finish(
        mut self,
        session: &Session,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        while self.runs.len() > RUNS {
            // Neighbours become one, so that rows of one number stay in their order, and each row is written once a round.
            let mut runs = std::mem::take(&mut self.runs).into_iter().peekable();
            while runs.peek().is_some() {
                let merged =
                    Merge::new(runs.by_ref().take(RUNS).map(|run| open(&run)).collect::<Result<_>>()?)?;
                let merged = merged.map(|rows| session.check().and(rows));
                self.runs.push(SpillFile::of(&self.schema, merged)?);
            }
        }
        let mut runs = self.runs.iter().map(open).collect::<Result<Vec<_>>>()?;
        runs.push(Box::new(sorted(self.take())));
        let columns: Vec<usize> = (0..self.schema.fields().len() - 1).collect();
        Ok(Merge::new(runs)?.map(move |rows| rows?.project(&columns).map_err(failed)))
    }
}

fn open(run: &SpillFile) -> Result<Batches> {
    Ok(Box::new(run.batches()?))
}

/// The rows of some batches, in order.
fn sorted(held: Vec<RecordBatch>) -> impl Iterator<Item = Result<RecordBatch>> + Send {
    let mut order: Vec<(u128, usize, usize)> = Vec::new();
    for (place, batch) in held.iter().enumerate() {
        order.extend((0..batch.num_rows()).map(|row| (number(batch, row), place, row)));
    }
    order.sort_unstable();
    let rows = rows_of_a_batch(&held);
    let mut start = 0;
    std::iter::from_fn(move || {
        let next: Vec<_> =
            order.iter().skip(start).take(rows).map(|(_, batch, row)| (*batch, *row)).collect();
        start += next.len();
        (!next.is_empty()).then(|| gathered(&held, &next))
    })
}

/// How many rows make a batch of about [`BATCH_BYTES`].
fn rows_of_a_batch(batches: &[RecordBatch]) -> usize {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let bytes: usize = batches.iter().map(size_of_rows).sum();
    (BATCH_BYTES * rows / bytes.max(1)).clamp(1, BATCH_ROWS)
}

/// The number of a row.
fn number(batch: &RecordBatch, row: usize) -> u128 {
    let places = batch.column(batch.num_columns() - 1).as_fixed_size_binary();
    places.value(row).try_into().map_or(0, u128::from_be_bytes)
}

fn gathered(batches: &[RecordBatch], rows: &[(usize, usize)]) -> Result<RecordBatch> {
    interleave_record_batch(&batches.iter().collect::<Vec<_>>(), rows).map_err(failed)
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("rows could not be put in order").because(cause)
}

/// Sorted runs that become one.
struct Merge {
    runs: Vec<Run>,
    /// The next row of each run that has one.
    next: BinaryHeap<Reverse<(u128, usize)>>,
}

struct Run {
    rest: Batches,
    batch: RecordBatch,
    row: usize,
}

impl Merge {
    fn new(runs: Vec<Batches>) -> Result<Self> {
        let mut merge = Self { runs: Vec::new(), next: BinaryHeap::new() };
        for mut rest in runs {
            if let Some(batch) = rest.next().transpose()? {
                merge.next.push(Reverse((number(&batch, 0), merge.runs.len())));
                merge.runs.push(Run { rest, batch, row: 0 });
            }
        }
        Ok(merge)
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        let mut batches: Vec<RecordBatch> = self.runs.iter().map(|run| run.batch.clone()).collect();
        let mut places: Vec<usize> = (0..batches.len()).collect();
        let most = rows_of_a_batch(&batches);
        let mut rows = Vec::new();
        while rows.len() < most
            && let Some(Reverse((_, number_of_run))) = self.next.pop()
        {
            let run = &mut self.runs[number_of_run];
            rows.push((places[number_of_run], run.row));
            run.row += 1;
            if run.row == run.batch.num_rows() {
                let Some(batch) = run.rest.next().transpose()? else { continue };
                places[number_of_run] = batches.len();
                batches.push(batch.clone());
                (run.batch, run.row) = (batch, 0);
            }
            self.next.push(Reverse((number(&run.batch, run.row), number_of_run)));
        }
        if rows.is_empty() { Ok(None) } else { gathered(&batches, &rows).map(Some) }
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    /// Batches of 100 rows with numbers in no order, each of which three rows have.
    fn add(sorter: &mut Sorter, batches: i64) {
        for batch in 0..batches {
            let rows: Vec<i64> = (batch * 100..batch * 100 + 100).collect();
            let places: Vec<u128> =
                rows.iter().map(|row| (row * 7_919 % 1_000_003 / 3).unsigned_abs().into()).collect();
            let text: ArrayRef =
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| format!("row {row}"))));
            let numbers: ArrayRef = Arc::new(Int64Array::from(rows));
            let rows = RecordBatch::try_from_iter([("n", numbers), ("t", text)]).expect("rows");
            sorter.add(&rows, &places).expect("adds");
        }
    }

    #[test]
    fn rows_come_in_order_from_memory_and_from_disk_and_from_more_runs_than_are_merged_at_once() {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("t", DataType::Utf8, false),
        ]);
        for (limit, runs) in [(usize::MAX, 0), (100_000, 5), (1, 200)] {
            let mut sorter = Sorter::new(&schema, limit);
            add(&mut sorter, 200);
            assert!(sorter.runs.len() >= runs, "{} runs", sorter.runs.len());
            let mut seen = Vec::new();
            for rows in sorter.finish(&Session::default()).expect("merges") {
                let rows = rows.expect("reads");
                assert_eq!(rows.num_columns(), 2);
                let text = rows.column(1).as_string::<i32>();
                for (row, number) in rows.column(0).as_primitive::<Int64Type>().values().iter().enumerate() {
                    assert_eq!(text.value(row), format!("row {number}"));
                    seen.push((number * 7_919 % 1_000_003 / 3, *number));
                }
            }
            assert_eq!(seen.len(), 20_000);
            assert!(seen.is_sorted(), "limit {limit}");
        }
    }

    #[test]
    fn no_rows_are_none() {
        let sorter = Sorter::new(&Schema::empty(), 1);
        assert_eq!(sorter.finish(&Session::default()).expect("merges").count(), 0);
    }
}
