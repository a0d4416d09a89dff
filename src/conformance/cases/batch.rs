//! Cases about the batch itself: twins, ties, nulls in ids, no rows at all.

use super::{
    BY_ID, Case, Counts, DEFAULTS, Data, Expect, INSERTED, NEWEST, NONE, Rule, SETTLED, ints, no_rows,
    refused, rows, texts,
};
use crate::core::merge::UpsertMethod;

const COMPOSITE: Rule =
    Rule { method: UpsertMethod::Id, ids: &["id", "part"], modified: None, choices: DEFAULTS };

pub(super) fn cases() -> Vec<Case> {
    [twins(), ties(), nulls(), empty()].concat()
}

fn twins() -> Vec<Case> {
    let stored = || rows(&[(9, "z", 9)]);
    let one = Expect::Counts(Counts { inserted: 1, duplicates: 1, ..NONE });
    let parts = |ids: [i64; 3], parts: [&'static str; 3], values: [&'static str; 3]| {
        Data::default().with("id", ints(ids)).with("part", texts(parts)).with("value", texts(values))
    };
    vec![
        Case::new(
            "identical_rows_with_one_id_collapse",
            stored(),
            rows(&[(1, "a", 1), (1, "a", 1)]),
            BY_ID,
            one,
        ),
        Case::new(
            "different_rows_with_one_id_are_refused",
            stored(),
            rows(&[(1, "a", 1), (1, "b", 2)]),
            BY_ID,
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "of_rows_with_one_id_the_newest_counts",
            stored(),
            rows(&[(1, "b", 2), (1, "a", 1)]),
            NEWEST,
            one,
        ),
        Case::new(
            "the_newest_row_settles_three_of_a_kind",
            rows(&[(1, "a", 0)]),
            rows(&[(1, "b", 1), (1, "d", 3), (1, "c", 2)]),
            NEWEST,
            Expect::Counts(Counts { updated: 1, duplicates: 2, ..NONE }),
        ),
        Case::new(
            "inserts_stand_where_the_row_that_won_stood_in_the_source",
            stored(),
            rows(&[(1, "a", 1), (2, "b", 1), (1, "c", 2), (3, "d", 1), (2, "b", 1)]),
            NEWEST,
            Expect::Counts(Counts { inserted: 3, duplicates: 2, ..NONE }),
        ),
        Case::new(
            "method_id_settles_the_batch_by_the_modification_column",
            rows(&[(1, "z", 9)]),
            rows(&[(1, "b", 2), (1, "a", 1)]),
            SETTLED,
            Expect::Counts(Counts { updated: 1, duplicates: 1, ..NONE }),
        ),
        Case::new(
            "rows_with_the_same_whole_composite_id_are_twins",
            parts([8, 8, 9], ["x", "y", "x"], ["a", "b", "c"]),
            parts([8, 9, 9], ["y", "y", "y"], ["B", "d", "d"]),
            COMPOSITE,
            Expect::Counts(Counts { updated: 1, inserted: 1, duplicates: 1, ..NONE }),
        ),
        Case::new(
            "composite_ids_are_not_run_together",
            parts([1, 11, 2], ["1a", "a", "a"], ["p", "q", "r"]),
            parts([1, 11, 2], ["1a", "a", "a"], ["p", "Q", "r"]),
            COMPOSITE,
            Expect::Counts(Counts { updated: 1, unchanged: 2, ..NONE }),
        ),
    ]
}

fn ties() -> Vec<Case> {
    let stored = || rows(&[(9, "z", 9)]);
    vec![
        Case::new(
            "of_equally_new_rows_that_differ_the_last_counts_as_a_tie",
            stored(),
            rows(&[(1, "a", 1), (1, "b", 1)]),
            NEWEST,
            Expect::Counts(Counts { inserted: 1, duplicates: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "equally_new_rows_that_are_identical_are_no_tie",
            stored(),
            rows(&[(1, "a", 1), (1, "a", 1)]),
            NEWEST,
            Expect::Counts(Counts { inserted: 1, duplicates: 1, ..NONE }),
        ),
        Case::new(
            "a_tie_below_the_newest_row_does_not_count",
            stored(),
            rows(&[(1, "a", 1), (1, "b", 1), (1, "c", 2)]),
            NEWEST,
            Expect::Counts(Counts { inserted: 1, duplicates: 2, ..NONE }),
        ),
        Case::new(
            "an_id_that_ties_in_the_batch_and_with_the_stored_row_is_one_tie",
            rows(&[(1, "a", 5)]),
            rows(&[(1, "b", 5), (1, "c", 5)]),
            NEWEST,
            Expect::Counts(Counts { updated: 1, duplicates: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_tie_in_the_batch_counts_though_the_stored_row_is_newer",
            rows(&[(1, "a", 9)]),
            rows(&[(1, "b", 5), (1, "c", 5)]),
            NEWEST,
            Expect::Counts(Counts { stale: 1, duplicates: 1, ties: 1, ..NONE }),
        ),
    ]
}

fn nulls() -> Vec<Case> {
    let stored = || rows(&[(9, "z", 9)]);
    let parts = |part: [Option<&'static str>; 2]| {
        Data::default().with("id", ints([1, 2])).with("part", texts(part)).with("value", texts(["a", "b"]))
    };
    vec![
        Case::new(
            "a_null_modification_value_loses_within_the_batch",
            stored(),
            rows(&[(1, "a", Some(-5)), (1, "b", None)]),
            NEWEST,
            Expect::Counts(Counts { inserted: 1, duplicates: 1, ..NONE }),
        ),
        Case::new(
            "two_null_modification_values_are_a_tie_if_the_rows_differ",
            stored(),
            rows(&[(1, "a", None::<i64>), (1, "b", None)]),
            NEWEST,
            Expect::Counts(Counts { inserted: 1, duplicates: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_null_id_is_refused",
            stored(),
            rows(&[(Some(1), "a", 1), (None, "b", 1)]),
            BY_ID,
            refused("id column has nulls"),
        ),
        Case::new(
            "a_null_in_a_composite_id_is_refused",
            parts([Some("x"), Some("y")]),
            parts([Some("x"), None]),
            COMPOSITE,
            refused("id column has nulls"),
        ),
        Case::new(
            "a_null_id_is_refused_for_a_new_target_too",
            None,
            rows(&[(None::<i64>, "a", 1)]),
            NEWEST,
            refused("id column has nulls"),
        ),
    ]
}

fn empty() -> Vec<Case> {
    let stored = || rows(&[(9, "z", 9)]);
    let nothing = Expect::Counts(NONE);
    vec![
        Case::new("an_empty_batch_changes_nothing", stored(), no_rows(), NEWEST, nothing),
        Case::new("an_empty_batch_leaves_a_missing_target_missing", None, no_rows(), BY_ID, nothing),
        Case::new(
            "an_empty_batch_must_have_the_id_columns",
            stored(),
            Data::default().with("value", texts([""; 0])),
            BY_ID,
            refused("id column is missing"),
        ),
        Case::new(
            "an_empty_batch_must_not_have_other_columns",
            stored(),
            no_rows().with("other", ints([0; 0])),
            BY_ID,
            refused("the target has no such columns"),
        ),
        Case::new("a_missing_target_is_created", None, rows(&[(1, "a", 1)]), BY_ID, INSERTED),
        Case::new(
            "a_missing_target_is_created_without_duplicates",
            None,
            rows(&[(2, "b", 1), (1, "a", 1), (2, "c", 2)]),
            NEWEST,
            Expect::Counts(Counts { inserted: 2, duplicates: 1, ..NONE }),
        ),
    ]
}
