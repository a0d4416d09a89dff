//! Cases about incoming rows of which an id column is null, where that is no error.

use super::{BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, but, ints, refused, rows, texts};
use crate::core::merge::{Duplicates, NullIds, UpsertMethod};

const COMPOSITE: Rule = Rule { ids: &["id", "part"], ..BY_ID };

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

fn matched(rule: Rule) -> Rule {
    but(rule, |choices| choices.null_ids = NullIds::Match)
}

fn skipped(rule: Rule) -> Rule {
    but(rule, |choices| choices.null_ids = NullIds::Skip)
}

/// Rows of an id of two columns, and a value.
fn parts(rows: &[(Option<i64>, Option<&'static str>, i64)]) -> Data {
    Data::default()
        .with("id", ints(rows.iter().map(|row| row.0)))
        .with("part", texts(rows.iter().map(|row| row.1)))
        .with("value", ints(rows.iter().map(|row| row.2)))
}

pub(super) fn cases() -> Vec<Case> {
    [matching(), skipping()].concat()
}

fn matching() -> Vec<Case> {
    let stored = || rows(&[(Some(1), "a", 5), (None, "b", 5), (Some(3), "c", 5)]);
    vec![
        Case::new(
            "a_null_id_may_equal_a_null",
            stored(),
            rows(&[(None, "B", 6), (Some(1), "A", 6), (Some(7), "z", 6)]),
            matched(NEWEST),
            counts(Counts { updated: 2, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_null_id_that_is_not_stored_is_added_once",
            rows(&[(1, "a", 5), (0, "zero", 5)]),
            rows(&[(None, "x", 6), (None, "y", 7), (Some(0), "zero", 5)]),
            matched(NEWEST),
            counts(Counts { inserted: 1, duplicates: 1, unchanged: 1, ..NONE }),
        ),
        Case::new(
            "a_null_in_a_composite_id_may_equal_a_null",
            parts(&[(Some(1), Some("x"), 1), (Some(1), None, 2), (None, Some("x"), 3), (None, None, 4)]),
            parts(&[(Some(1), None, 20), (None, Some("x"), 3), (None, None, 40), (None, Some("y"), 50)]),
            matched(COMPOSITE),
            counts(Counts { updated: 2, unchanged: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "two_stored_null_ids_are_one_id_stored_twice",
            rows(&[(None, "a", 5), (None, "b", 5)]),
            rows(&[(None::<i64>, "c", 6)]),
            matched(BY_ID),
            refused("ids are stored more than once"),
        ),
        Case::new(
            "a_mirror_takes_a_null_for_an_id_where_that_is_said",
            stored(),
            rows(&[(None, "b", 5), (Some(3), "C", 5)]),
            matched(Rule { method: UpsertMethod::Mirror, ..BY_ID }),
            counts(Counts { unchanged: 1, updated: 1, deleted: 1, ..NONE }),
        ),
        Case::new(
            "a_mirror_takes_out_a_null_id_that_does_not_come_in",
            stored(),
            rows(&[(1, "a", 5), (3, "C", 5)]),
            matched(Rule { method: UpsertMethod::Mirror, ..BY_ID }),
            counts(Counts { unchanged: 1, updated: 1, deleted: 1, ..NONE }),
        ),
    ]
}

fn skipping() -> Vec<Case> {
    let stored = || rows(&[(Some(1), "a", 5), (None, "b", 5), (Some(3), "c", 5)]);
    vec![
        Case::new(
            "rows_without_an_id_may_be_left_out",
            stored(),
            rows(&[(None, "x", 6), (Some(1), "A", 6), (None, "y", 6), (Some(7), "z", 6)]),
            skipped(NEWEST),
            counts(Counts { updated: 1, inserted: 1, rejected: 2, ..NONE }),
        ),
        Case::new(
            "rows_of_which_a_part_of_the_id_is_null_may_be_left_out",
            parts(&[(Some(1), Some("x"), 1), (Some(1), None, 2)]),
            parts(&[(Some(1), None, 20), (Some(1), Some("x"), 10), (None, None, 4)]),
            skipped(COMPOSITE),
            counts(Counts { updated: 1, rejected: 2, ..NONE }),
        ),
        Case::new(
            "nothing_but_rows_without_an_id_changes_nothing",
            stored(),
            rows(&[(None::<i64>, "x", 6), (None, "y", 6)]),
            skipped(BY_ID),
            counts(Counts { rejected: 2, ..NONE }),
        ),
        Case::new(
            "rows_that_are_left_out_are_no_twins",
            stored(),
            rows(&[(None, "x", 6), (None, "y", 6), (Some(3), "d", 6), (Some(3), "D", 6)]),
            but(skipped(BY_ID), |choices| choices.duplicates = Some(Duplicates::First)),
            counts(Counts { rejected: 2, updated: 1, duplicates: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "an_id_column_without_nulls_lets_rows_be_left_out",
            Data::default().with_required("id", ints([1])).with("value", texts(["a"])),
            Data::default().with("id", ints([None, Some(1)])).with("value", texts(["x", "A"])),
            skipped(BY_ID),
            counts(Counts { rejected: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "delete_marks_without_an_id_may_be_left_out",
            rows(&[(1, "a", 5), (2, "b", 5)]),
            rows(&[(None, "D", 6), (Some(2), "D", 6), (Some(1), "A", 6)]),
            but(skipped(BY_ID), |choices| choices.delete_where = Some("value = 'D'")),
            counts(Counts { rejected: 1, tombstones: 1, deleted: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "a_mirror_is_refused_if_all_rows_are_left_out",
            rows(&[(1, "a", 5), (2, "b", 5)]),
            rows(&[(None::<i64>, "x", 6)]),
            skipped(Rule { method: UpsertMethod::Mirror, ..BY_ID }),
            refused("nothing came in to mirror"),
        ),
        Case::new(
            "a_new_target_has_no_rows_without_an_id_that_are_left_out",
            None,
            rows(&[(None, "a", 1), (Some(2), "b", 1)]),
            skipped(NEWEST),
            counts(Counts { inserted: 1, rejected: 1, ..NONE }),
        ),
    ]
}
