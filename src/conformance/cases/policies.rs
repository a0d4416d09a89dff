//! Cases about columns that do not just take the incoming value when a row is updated.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, ListArray};
use arrow::datatypes::Int64Type;

use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, STALE, UNCHANGED, UPDATED, WITH_NAN, ints, texts,
};
use crate::conformance::{Choices, Scope};
use crate::core::format::Format;
use crate::core::merge::ColumnPolicy::{self, InsertOnly, KeepIfNull, Max, Min};

const fn by(rule: Rule, policies: &'static [(&'static str, ColumnPolicy)]) -> Rule {
    Rule { choices: Choices { policies, ..rule.choices }, ..rule }
}

/// Rows of an id, two values and a modification value.
fn rows(rows: &[(i64, Option<&'static str>, Option<i64>, i64)]) -> Data {
    Data::default()
        .with("id", ints(rows.iter().map(|row| row.0)))
        .with("name", texts(rows.iter().map(|row| row.1)))
        .with("n", ints(rows.iter().map(|row| row.2)))
        .with("at", ints(rows.iter().map(|row| row.3)))
}

fn words(rows: Data, words: [Option<&'static str>; 3]) -> Data {
    rows.with("word", texts(words))
}

/// One row with a list.
fn lists(items: &[i64]) -> Data {
    let list =
        ListArray::from_iter_primitive::<Int64Type, _, _>([Some(items.iter().map(|item| Some(*item)))]);
    Data::default().with("id", ints([1])).with("kind", texts(["k"])).with("l", Arc::new(list))
}

const WITH_LISTS: Scope =
    Scope { formats: &[Format::Parquet, Format::Ndjson], why: "a field of CSV holds no list" };

fn floats(values: &[Option<f64>]) -> Data {
    let values: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    let len = i64::try_from(values.len()).unwrap_or(0);
    // What partitions a table comes first, and cannot be the greater of two values.
    Data::default().with("id", ints(0..len)).with("kind", texts((0..len).map(|_| "k"))).with("x", values)
}

pub(super) fn cases() -> Vec<Case> {
    [kept(), greatest()].concat()
}

fn stored() -> Data {
    rows(&[(1, Some("a"), Some(10), 5), (2, Some("b"), None, 5), (3, None, Some(30), 5)])
}

fn kept() -> Vec<Case> {
    vec![
        Case::new(
            "insert_only_columns_keep_the_stored_value",
            stored(),
            rows(&[(1, Some("A"), Some(11), 6), (9, Some("z"), Some(99), 6)]),
            by(NEWEST, &[("name", InsertOnly)]),
            Expect::Counts(Counts { updated: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_row_in_which_only_an_insert_only_column_differs_is_unchanged",
            stored(),
            rows(&[(1, Some("A"), Some(10), 5)]),
            by(BY_ID, &[("name", InsertOnly)]),
            UNCHANGED,
        ),
        Case::new(
            "an_insert_only_column_keeps_a_stored_null",
            stored(),
            rows(&[(3, Some("C"), Some(31), 5)]),
            by(BY_ID, &[("name", InsertOnly)]),
            UPDATED,
        ),
        Case::new(
            "an_incoming_null_does_not_overwrite_where_it_is_not_to",
            stored(),
            rows(&[(1, None, Some(11), 6), (2, Some("B"), None, 6), (3, Some("C"), None, 6)]),
            by(NEWEST, &[("name", KeepIfNull)]),
            Expect::Counts(Counts { updated: 3, ..NONE }),
        ),
        Case::new(
            "a_row_of_nulls_that_do_not_overwrite_is_unchanged",
            stored(),
            rows(&[(1, None, None, 5)]),
            by(BY_ID, &[("name", KeepIfNull), ("n", KeepIfNull)]),
            UNCHANGED,
        ),
        Case::new(
            "lists_may_keep_their_stored_value",
            lists(&[1, 2]),
            lists(&[1, 3]),
            by(BY_ID, &[("l", InsertOnly)]),
            UNCHANGED,
        )
        .only(WITH_LISTS),
        Case::new(
            "the_policy_of_a_column_does_not_bring_back_a_stale_row",
            stored(),
            rows(&[(1, Some("a"), Some(99), 4)]),
            by(NEWEST, &[("n", Max)]),
            STALE,
        ),
        Case::new(
            "the_incoming_value_counts_where_newest_is_said",
            stored(),
            rows(&[(1, None, Some(1), 5)]),
            by(BY_ID, &[("n", ColumnPolicy::Newest)]),
            UPDATED,
        ),
        Case::new(
            "the_policy_of_a_column_that_does_not_come_in_changes_nothing",
            stored(),
            Data::default().with("id", ints([1])).with("name", texts(["A"])),
            by(BY_ID, &[("n", Max)]),
            UPDATED,
        ),
        Case::new(
            "a_policy_needs_a_stored_column",
            stored(),
            rows(&[(1, Some("a"), Some(1), 5)]),
            by(BY_ID, &[("nmae", Max)]),
            super::refused("column of a policy is missing"),
        ),
    ]
}

fn greatest() -> Vec<Case> {
    let both = both_of(2, 1);
    vec![
        Case::new(
            "the_greater_value_stays_where_that_is_said",
            stored(),
            rows(&[(1, Some("a"), Some(9), 5), (2, Some("b"), Some(-1), 5), (3, Some("c"), Some(31), 5)]),
            by(BY_ID, &[("n", Max)]),
            both,
        ),
        Case::new(
            "the_lesser_value_stays_where_that_is_said",
            stored(),
            rows(&[(1, Some("a"), Some(9), 5), (2, Some("b"), None, 5), (3, Some("c"), Some(31), 5)]),
            by(BY_ID, &[("n", Min)]),
            both,
        ),
        Case::new(
            "a_null_is_neither_the_greatest_value_nor_the_least",
            words(stored(), [Some("x"), Some("y"), None]),
            words(
                rows(&[(1, Some("a"), None, 5), (2, Some("b"), Some(7), 5), (3, None, None, 5)]),
                [None, Some("x"), None],
            ),
            by(BY_ID, &[("n", Min), ("word", Max)]),
            Expect::Counts(Counts { updated: 1, unchanged: 2, ..NONE }),
        ),
        Case::new(
            "a_nan_is_neither_the_greatest_value_nor_the_least",
            floats(&[Some(1.5), Some(f64::NAN), Some(0.0), Some(2.5)]),
            floats(&[Some(f64::NAN), Some(1.0), Some(-0.0), Some(7.0)]),
            by(BY_ID, &[("x", Max)]),
            both_of(2, 2),
        )
        .only(WITH_NAN),
        Case::new(
            "texts_that_are_numbers_are_as_great_as_these",
            words(stored(), [Some("9"), Some("10"), Some("x")]),
            words(
                rows(&[(1, Some("a"), Some(10), 5), (2, Some("b"), None, 5), (3, None, Some(30), 5)]),
                [Some("10"), Some("9"), Some("y")],
            ),
            by(BY_ID, &[("word", Max)]),
            both,
        ),
        Case::new(
            "texts_that_are_instants_are_as_late_as_these",
            words(stored(), [Some("2024-01-01T00:30:00Z"), None, Some("2024-01-01T02:00:00Z")]),
            words(
                rows(&[(1, Some("a"), Some(10), 5), (2, Some("b"), None, 5), (3, None, Some(30), 5)]),
                [Some("2024-01-01T01:00:00Z"), None, Some("2024-01-01T01:59:00Z")],
            ),
            by(BY_ID, &[("word", Max)]),
            Expect::Counts(Counts { updated: 1, unchanged: 2, ..NONE }),
        ),
    ]
}

fn both_of(updated: u64, unchanged: u64) -> Expect {
    Expect::Counts(Counts { updated, unchanged, ..NONE })
}
