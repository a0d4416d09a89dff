//! What becomes of rows, without a file around them.

use super::*;
use crate::core::merge::settle::row_number;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::SchemaRef;

fn table(ids: &[Option<i64>], values: &[&str], at: &[Option<i64>]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef, true),
        ("value", Arc::new(StringArray::from(values.to_vec())) as ArrayRef, true),
        ("at", Arc::new(Int64Array::from(at.to_vec())) as ArrayRef, true),
    ])
    .expect("a table")
}

fn rows(rows: &[(i64, &str, i64)]) -> RecordBatch {
    let ids: Vec<_> = rows.iter().map(|row| Some(row.0)).collect();
    let values: Vec<_> = rows.iter().map(|row| row.1).collect();
    let at: Vec<_> = rows.iter().map(|row| Some(row.2)).collect();
    table(&ids, &values, &at)
}

fn fold(stored: &RecordBatch, incoming: &RecordBatch, rule: &MergeRule) -> Result<Outcome> {
    let schema: SchemaRef = incoming.schema();
    let incoming = Incoming::settle(&schema, std::slice::from_ref(incoming), None, rule)?;
    let mut matcher = Matcher::new(&incoming, &stored.schema(), rule)?;
    // Two batches, so that row numbers must carry over.
    let half = stored.num_rows() / 2;
    for (start, part) in [(0, stored.slice(0, half)), (half, stored.slice(half, stored.num_rows() - half))] {
        let columns = |names: &[String]| {
            let indices: Vec<_> =
                names.iter().map(|n| part.schema().index_of(n).expect("a column")).collect();
            part.project(&indices).expect("projected")
        };
        let open = matcher.probe(&columns(matcher.key_columns()), start as u64)?;
        let at = open.iter().map(|p| u32::try_from(p.stored_row).expect("small") - row_number(start));
        let values = columns(matcher.value_columns());
        let values = take_record_batch(&values, &UInt32Array::from_iter_values(at)).expect("taken");
        matcher.decide(&open, &values)?;
    }
    matcher.finish(Some(stored.num_rows() as u64))
}

fn by_id() -> MergeRule {
    MergeRule::by_id(["id"]).expect("a rule")
}

fn newest() -> MergeRule {
    MergeRule::by_modified(["id"], "at").expect("a rule")
}

#[test]
fn matched_rows_are_replaced_where_they_stand_and_others_come_last() {
    let stored = rows(&[(1, "a", 1), (2, "b", 1), (3, "c", 1)]);
    let outcome = fold(&stored, &rows(&[(9, "z", 1), (3, "C", 1), (1, "a", 1)]), &by_id()).expect("folds");
    assert_eq!(outcome.replaced, [Pair { stored_row: 2, incoming: 1, is_stamp: false }]);
    assert_eq!(outcome.inserted, [0]);
    let counts = &outcome.rows;
    assert_eq!((counts.updated, counts.unchanged, counts.inserted, counts.rows_after), (1, 1, 1, Some(4)));
}

#[test]
fn the_newer_version_stays_and_an_equal_one_that_differs_is_a_tie() {
    let stored = rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5), (4, "d", 5)]);
    let incoming = rows(&[(1, "A", 6), (2, "B", 4), (3, "C", 5), (4, "d", 5)]);
    let outcome = fold(&stored, &incoming, &newest()).expect("folds");
    let counts = &outcome.rows;
    assert_eq!((counts.updated, counts.stale, counts.unchanged, counts.ties), (2, 1, 1, 1));
    assert_eq!(outcome.replaced.iter().map(|p| p.stored_row).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn twins_are_settled_before_anything_is_matched() {
    let incoming = rows(&[(1, "x", 1), (7, "old", 1), (7, "new", 2), (1, "x", 1), (8, "p", 3), (8, "q", 3)]);
    let outcome = fold(&rows(&[(1, "a", 0)]), &incoming, &newest()).expect("folds");
    assert_eq!((outcome.rows.duplicates, outcome.rows.ties), (3, 1));
    let settled = Incoming::settle(&incoming.schema(), std::slice::from_ref(&incoming), None, &newest())
        .expect("settles");
    assert_eq!(settled.source_rows(), [2, 3, 5]);
}

#[test]
fn twins_that_differ_are_refused_by_name_where_nothing_decides() {
    let incoming = rows(&[(7, "x", 1), (7, "y", 2), (8, "z", 1), (8, "z", 1)]);
    let error = fold(&rows(&[]), &incoming, &by_id()).expect_err("ambiguous");
    assert_eq!(error.to_string(), "several incoming rows have one id and differ (ids: 1, sample: 7)");
}

#[test]
fn an_id_stored_twice_is_refused_only_when_it_comes_in() {
    let stored = rows(&[(1, "a", 1), (2, "b", 1), (1, "c", 1)]);
    assert!(fold(&stored, &rows(&[(2, "B", 1)]), &by_id()).is_ok());
    let error = fold(&stored, &rows(&[(1, "B", 1)]), &by_id()).expect_err("doubled");
    assert_eq!(error.to_string(), "ids are stored more than once (ids: 1, sample: 1)");
}

#[test]
fn a_null_modification_value_beats_nothing() {
    let stored = table(&[Some(1), Some(2)], &["a", "b"], &[Some(0), None]);
    let incoming = table(&[Some(1), Some(2)], &["A", "B"], &[None, None]);
    let outcome = fold(&stored, &incoming, &newest()).expect("folds");
    assert_eq!((outcome.rows.stale, outcome.rows.updated, outcome.rows.ties), (1, 1, 1));
}

#[test]
fn stored_null_ids_match_nothing_and_incoming_ones_are_refused() {
    let stored = table(&[None, None], &["a", "b"], &[Some(1), Some(1)]);
    let outcome = fold(&stored, &rows(&[(0, "x", 1)]), &by_id()).expect("folds");
    assert_eq!(outcome.rows.inserted, 1);
    let error = fold(&stored, &stored, &by_id()).expect_err("null ids");
    assert_eq!(error.to_string(), "id column has nulls (column: id, rows: 2)");
}
