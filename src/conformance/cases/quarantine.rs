//! Cases about incoming rows that are left out and kept: with which numbers, and why, the judge says.

use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, UNCHANGED, but, ints, refused, rows, texts,
};
use crate::core::merge::{ExtraColumns, Lossy, NullIds, Stale, Ties, UpsertMethod};

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

/// Rows without an id are put aside.
fn nameless(rule: Rule) -> Rule {
    but(rule, |choices| choices.null_ids = NullIds::Quarantine)
}

/// Older rows are.
fn older(rule: Rule) -> Rule {
    but(rule, |choices| choices.stale = Stale::Quarantine)
}

fn both() -> Rule {
    nameless(older(NEWEST))
}

fn stored() -> Data {
    rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5)])
}

pub(super) fn cases() -> Vec<Case> {
    [kept(), not_kept()].concat()
}

fn kept() -> Vec<Case> {
    vec![
        Case::new(
            "rows_without_an_id_may_go_into_quarantine",
            stored(),
            rows(&[(None, "x", 6), (Some(1), "A", 6), (None, "y", 6), (Some(7), "z", 6)]),
            nameless(BY_ID),
            counts(Counts { updated: 1, inserted: 1, rejected: 2, quarantined: 2, ..NONE }),
        ),
        Case::new(
            "older_rows_may_go_into_quarantine",
            stored(),
            rows(&[(2, "old", 4), (1, "A", 6), (3, "older", 3)]),
            older(NEWEST),
            counts(Counts { updated: 1, stale: 2, quarantined: 2, ..NONE }),
        ),
        Case::new(
            "rows_in_quarantine_keep_the_numbers_that_they_came_in_with",
            stored(),
            rows(&[
                (None, "x", 6),
                (Some(2), "old", 4),
                (Some(9), "z", 6),
                (None, "y", 6),
                (Some(9), "z", 6),
                (Some(1), "old", 1),
                (None, "w", 1),
            ]),
            both(),
            counts(Counts { inserted: 1, duplicates: 1, stale: 2, rejected: 3, quarantined: 5, ..NONE }),
        ),
        Case::new(
            "rows_of_which_a_part_of_the_id_is_null_may_go_into_quarantine",
            Data::default().with("id", ints([1])).with("part", texts(["x"])).with("value", ints([1])),
            Data::default()
                .with("id", ints([Some(1), Some(1), None]))
                .with("part", texts([None, Some("x"), None]))
                .with("value", ints([20, 10, 4])),
            nameless(Rule { ids: &["id", "part"], ..BY_ID }),
            counts(Counts { updated: 1, rejected: 2, quarantined: 2, ..NONE }),
        ),
        Case::new(
            "nothing_but_rows_for_the_quarantine_leaves_the_target_as_it_is",
            stored(),
            rows(&[(None, "x", 6), (Some(3), "old", 4)]),
            both(),
            counts(Counts { stale: 1, rejected: 1, quarantined: 2, ..NONE }),
        ),
        Case::new(
            "a_new_target_has_no_rows_that_go_into_quarantine",
            None,
            rows(&[(None, "a", 1), (Some(2), "b", 1)]),
            both(),
            counts(Counts { inserted: 1, rejected: 1, quarantined: 1, ..NONE }),
        ),
        Case::new(
            "no_target_is_made_where_all_rows_go_into_quarantine",
            None,
            rows(&[(None::<i64>, "a", 1), (None, "b", 1)]),
            nameless(BY_ID),
            counts(Counts { rejected: 2, quarantined: 2, ..NONE }),
        ),
        Case::new(
            "older_delete_marks_go_into_quarantine_as_well",
            stored(),
            rows(&[(2, "D", 4), (1, "D", 6), (3, "D", 1)]),
            but(older(NEWEST), |choices| choices.delete_where = Some("value = 'D'")),
            counts(Counts { stale: 2, quarantined: 2, tombstones: 1, deleted: 1, ..NONE }),
        ),
        Case::new(
            "columns_that_are_left_out_are_kept_in_quarantine",
            rows(&[(1, "a", 5), (2, "b", 5)]),
            rows(&[(None, "x", 6), (Some(1), "A", 6), (Some(2), "old", 4)])
                .with("note", texts(["n", "m", "o"])),
            but(both(), |choices| choices.extra = ExtraColumns::Ignore),
            counts(Counts { updated: 1, stale: 1, rejected: 1, quarantined: 2, ..NONE }),
        ),
        Case::new(
            "values_that_do_not_fit_are_kept_in_quarantine",
            Data::default().with("id", ints([1, 2])).with("value", ints([1, 2])),
            Data::default().with("id", ints([None, Some(1), None])).with("value", texts(["x", "7", "y"])),
            but(nameless(BY_ID), |choices| choices.lossy = Lossy::Null),
            counts(Counts { updated: 1, rejected: 2, quarantined: 2, ..NONE }),
        ),
    ]
}

fn not_kept() -> Vec<Case> {
    vec![
        Case::new(
            "nothing_goes_into_quarantine_where_no_row_is_left_out",
            stored(),
            rows(&[(1, "a", 5)]),
            both(),
            UNCHANGED,
        ),
        Case::new(
            "rows_that_lost_to_a_twin_do_not_go_into_quarantine",
            stored(),
            rows(&[(2, "x", 1), (2, "y", 4), (2, "z", 2), (1, "x", 1), (1, "y", 6)]),
            older(NEWEST),
            counts(Counts { updated: 1, stale: 1, duplicates: 3, quarantined: 1, ..NONE }),
        ),
        Case::new(
            "rows_as_new_as_the_stored_ones_do_not_go_into_quarantine",
            stored(),
            rows(&[(1, "A", 5), (2, "old", 4)]),
            but(older(NEWEST), |choices| choices.ties = Ties::Keep),
            counts(Counts { stale: 2, ties: 1, quarantined: 1, ..NONE }),
        ),
        Case::new(
            "rows_outside_of_the_scope_do_not_go_into_quarantine",
            rows(&[(1, "in", 5), (2, "in", 5), (3, "out", 5)]),
            rows(&[(None, "in", 6), (Some(1), "out", 6), (Some(2), "in", 4), (Some(3), "out", 4)]),
            but(both(), |choices| choices.scope = Some("value = 'in'")),
            counts(Counts { stale: 1, rejected: 3, quarantined: 2, ..NONE }),
        ),
        Case::new(
            "nothing_goes_into_quarantine_where_the_upsert_is_refused",
            stored(),
            rows(&[(None::<i64>, "x", 6)]),
            nameless(Rule { method: UpsertMethod::Mirror, ..BY_ID }),
            refused("nothing came in to mirror"),
        ),
    ]
}
