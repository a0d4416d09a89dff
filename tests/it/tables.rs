//! What tests of tables share, whatever kind of table it is: rows of three columns, and what is stored.

use std::sync::Arc;

use keyfold::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use keyfold::arrow::compute::{SortColumn, cast, lexsort_to_indices, take_record_batch};
use keyfold::arrow::datatypes::{DataType, Int64Type};
use keyfold::{Backend, Frame, MergeRule, ReadOptions, Result, UpsertOptions, UpsertReport};

use crate::doors::Doors;
use crate::places::Kind;

pub(crate) fn everywhere() -> impl Iterator<Item = Doors> {
    let backends = Backend::names().iter();
    backends.flat_map(|backend| Kind::ALL.iter().map(|kind| Doors::at(backend, *kind)))
}

pub(crate) fn rows(ids: &[i64], places: &[&str], values: &[i64]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef, true),
        ("place", Arc::new(StringArray::from(places.to_vec())) as ArrayRef, true),
        ("value", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef, true),
    ])
    .expect("rows")
}

pub(crate) fn numbered(ids: std::ops::Range<i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    rows(&ids, &vec!["a"; ids.len()], &vec![0; ids.len()])
}

pub(crate) async fn fold(
    doors: &Doors,
    name: &str,
    batch: RecordBatch,
    options: UpsertOptions,
) -> Result<UpsertReport> {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    doors.upsert.upsert_opts(Frame::from(batch), name, &rule, options).await
}

/// The rows by id.
pub(crate) async fn stored(doors: &Doors, name: &str, options: ReadOptions) -> Vec<(i64, String, i64)> {
    let batch = doors.read(&[name], options.with_columns(["id", "place", "value"])).await.expect("reads");
    let order = [SortColumn { values: Arc::clone(batch.column(0)), options: None }];
    let batch = take_record_batch(&batch, &lexsort_to_indices(&order, None).expect("sorts")).expect("sorted");
    let places = cast(batch.column(1), &DataType::Utf8).expect("text");
    let number = |column: usize| batch.column(column).as_primitive::<Int64Type>();
    let row = |row: usize| {
        (number(0).value(row), places.as_string::<i32>().value(row).to_owned(), number(2).value(row))
    };
    (0..batch.num_rows()).map(row).collect()
}

pub(crate) fn row(id: i64, place: &str, value: i64) -> (i64, String, i64) {
    (id, place.to_owned(), value)
}
