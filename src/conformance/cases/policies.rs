//! Cases about columns that do not just take the incoming value when a row is updated.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};

use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, STALE, UNCHANGED, UPDATED, WITH_NAN, ints, texts,
};
use crate::conformance::Choices;
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

fn floats(values: &[Option<f64>]) -> Data {
    let values: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    let len = i64::try_from(values.len()).unwrap_or(0);
    // What partitions a table comes first, and cannot be the greater of two values.
    Data::default().with("id", ints(0..len)).with("kind", texts((0..len).map(|_| "k"))).with("x", values)
}

pub(super) fn cases() -> Vec<Case> {
    let stored = || rows(&[(1, Some("a"), Some(10), 5), (2, Some("b"), None, 5), (3, None, Some(30), 5)]);
    let both = Expect::Counts(Counts { updated: 2, unchanged: 1, ..NONE });
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

fn both_of(updated: u64, unchanged: u64) -> Expect {
    Expect::Counts(Counts { updated, unchanged, ..NONE })
}
