//! Cases about stored rows that have one id: only the newest of them stays, or each of them is met.

use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, SETTLED, STALE, UNCHANGED, UPDATED, WITH_A_HEADER,
    WITH_NAN, bools, but, floats, ints, no_rows, refused, rows, texts,
};
use crate::core::merge::{ColumnPolicy, MaxDelete, NullIds, Stale, StoredDuplicates, Ties, UpsertMethod};

const MIRROR: Rule = Rule { method: UpsertMethod::Mirror, ..BY_ID };
const INSERT_ONLY: Rule = Rule { method: UpsertMethod::InsertOnly, ..BY_ID };
const UPDATE_ONLY: Rule = Rule { method: UpsertMethod::UpdateOnly, ..NEWEST };

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

fn repair(rule: Rule) -> Rule {
    but(rule, |choices| choices.stored_duplicates = StoredDuplicates::Repair)
}

fn all(rule: Rule) -> Rule {
    but(rule, |choices| choices.stored_duplicates = StoredDuplicates::All)
}

fn marked(rule: Rule) -> Rule {
    but(rule, |choices| choices.delete_where = Some("op = 'D'"))
}

fn flagged(rule: Rule) -> Rule {
    but(marked(rule), |choices| choices.soft_delete = Some("gone"))
}

fn scoped(rule: Rule) -> Rule {
    but(rule, |choices| choices.scope = Some("at < 8"))
}

/// Rows of an id, a text, a modification value, and what is to be done.
fn changes(changes: &[(i64, &'static str, i64, &'static str)]) -> Data {
    let rows: Vec<_> = changes.iter().map(|row| (row.0, row.1, row.2)).collect();
    super::rows(&rows).with("op", texts(changes.iter().map(|row| row.3)))
}

/// Of the three rows of the first id the one in the middle is the newest.
fn stored() -> Data {
    rows(&[(1, "a", 5), (2, "b", 5), (1, "c", 7), (3, "d", 5), (1, "e", 6)])
}

/// Rows that stand in one partition, wherever that is, so that one of them is the last.
fn alike() -> Data {
    rows(&[(1, "a", 5), (2, "b", 5), (1, "a", 9), (2, "b", 1), (1, "a", 7)])
}

pub(super) fn cases() -> Vec<Case> {
    [newest(), repaired_with_others(), repaired_ids(), met(), met_with_others()].concat()
}

fn newest() -> Vec<Case> {
    vec![
        Case::new(
            "of_stored_rows_with_one_id_the_newest_stays",
            stored(),
            rows(&[(2, "B", 6)]),
            repair(NEWEST),
            counts(Counts { updated: 1, repaired: 2, ..NONE }),
        ),
        Case::new(
            "of_stored_rows_with_one_id_the_last_stays_if_none_is_newer",
            alike(),
            rows(&[(3, "c", 1)]),
            repair(BY_ID),
            counts(Counts { inserted: 1, repaired: 3, ..NONE }),
        ),
        Case::new(
            "of_stored_rows_that_are_equally_new_the_last_stays",
            rows(&[(1, "a", 5), (1, "a", 5), (1, "a", 4)]).with("more", ints([1, 2, 3])),
            rows(&[(3, "c", 1)]),
            repair(NEWEST),
            counts(Counts { inserted: 1, repaired: 2, ..NONE }),
        ),
        Case::new(
            "a_stored_row_without_a_modification_value_is_the_oldest",
            rows(&[(1, "a", Some(-5)), (1, "b", None), (2, "c", None), (2, "c", None)]),
            rows(&[(3, "c", 1)]),
            repair(NEWEST),
            counts(Counts { inserted: 1, repaired: 2, ..NONE }),
        ),
        Case::new(
            "a_modification_column_tells_which_stored_row_stays_though_incoming_ones_win",
            stored(),
            rows(&[(3, "D", 1)]),
            repair(SETTLED),
            counts(Counts { updated: 1, repaired: 2, ..NONE }),
        ),
        Case::new(
            "stored_versions_in_text_are_compared_as_what_they_name",
            Data::default().with("id", ints([1, 1, 2])).with("value", texts(["a", "b", "c"])).with(
                "at",
                texts(["2021-05-22T02:51:15.100Z", "2021-05-22T02:51:15Z", "2021-05-22T02:51:15Z"]),
            ),
            Data::default()
                .with("id", ints([1, 2]))
                .with("value", texts(["A", "C"]))
                .with("at", texts(["2021-05-22T02:51:15.050Z", "2021-05-22T02:51:15.050Z"])),
            repair(NEWEST),
            counts(Counts { stale: 1, updated: 1, repaired: 1, ..NONE }),
        ),
        Case::new(
            "stored_versions_of_different_kinds_are_refused",
            Data::default()
                .with("id", ints([1, 1, 2]))
                .with("at", texts(["v1", "2021-05-22T02:51:15Z", "v1"])),
            Data::default().with("id", ints([2])).with("at", texts(["v2"])),
            repair(NEWEST),
            refused("modification values are not all of one kind"),
        ),
        Case::new(
            "nothing_comes_in_and_stored_duplicates_go_all_the_same",
            stored(),
            no_rows(),
            repair(NEWEST),
            counts(Counts { repaired: 2, ..NONE }),
        )
        .only(WITH_A_HEADER),
        Case::new(
            "where_no_id_is_stored_twice_nothing_is_repaired",
            rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5)]),
            rows(&[(2, "b", 5)]),
            repair(NEWEST),
            UNCHANGED,
        ),
        Case::new(
            "a_new_target_has_nothing_to_repair",
            None,
            rows(&[(1, "a", 5)]),
            repair(NEWEST),
            counts(Counts { inserted: 1, ..NONE }),
        ),
    ]
}

fn repaired_with_others() -> Vec<Case> {
    vec![
        Case::new(
            "incoming_rows_meet_the_stored_one_that_is_left",
            rows(&[(1, "a", 5), (2, "b", 5), (1, "c", 7), (2, "d", 3), (3, "e", 1), (3, "f", 2)]),
            rows(&[(1, "x", 6), (2, "y", 6), (3, "f", 2)]),
            repair(NEWEST),
            counts(Counts { stale: 1, updated: 1, unchanged: 1, repaired: 3, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_takes_the_row_out_that_is_left",
            stored(),
            changes(&[(1, "", 8, "D"), (2, "", 1, "D")]),
            marked(repair(NEWEST)),
            counts(Counts { tombstones: 1, stale: 1, deleted: 1, repaired: 2, ..NONE }),
        ),
        Case::new(
            "a_row_that_is_left_may_be_softly_deleted",
            stored().with("gone", bools([Some(true), Some(false), Some(false), Some(true), Some(true)])),
            changes(&[(1, "", 8, "D"), (3, "", 1, "D")]),
            flagged(repair(NEWEST)),
            counts(Counts { tombstones: 1, stale: 1, soft_deleted: 1, repaired: 2, ..NONE }),
        ),
        Case::new(
            "a_mirror_counts_a_duplicate_that_does_not_come_in_once",
            stored(),
            rows(&[(2, "b", 5)]),
            repair(MIRROR),
            counts(Counts { unchanged: 1, deleted: 2, repaired: 2, ..NONE }),
        ),
        Case::new(
            "insert_only_leaves_the_stored_row_that_is_left",
            alike(),
            rows(&[(1, "A", 9), (3, "c", 9)]),
            repair(INSERT_ONLY),
            counts(Counts { ignored: 1, inserted: 1, repaired: 3, ..NONE }),
        ),
        Case::new(
            "update_only_updates_the_stored_row_that_is_left",
            stored(),
            rows(&[(1, "A", 9), (4, "c", 9)]),
            repair(UPDATE_ONLY),
            counts(Counts { ignored: 1, updated: 1, repaired: 2, ..NONE }),
        ),
        Case::new(
            "stored_duplicates_outside_of_the_scope_stay",
            rows(&[(1, "a", 5), (1, "b", 6), (1, "c", 9), (2, "d", 8), (2, "e", 9), (3, "f", 7)]),
            rows(&[(3, "F", 6)]),
            scoped(repair(BY_ID)),
            counts(Counts { updated: 1, repaired: 1, ..NONE }),
        ),
        Case::new(
            "repaired_rows_count_among_those_that_may_go",
            stored(),
            rows(&[(2, "B", 6)]),
            but(repair(NEWEST), |choices| choices.max_delete = Some(MaxDelete::Rows(1))),
            refused("more stored rows would go than is allowed"),
        ),
        Case::new(
            "as_many_rows_may_be_repaired_as_may_go",
            stored(),
            rows(&[(2, "B", 6)]),
            but(repair(NEWEST), |choices| choices.max_delete = Some(MaxDelete::Percent(40))),
            counts(Counts { updated: 1, repaired: 2, ..NONE }),
        ),
    ]
}

fn repaired_ids() -> Vec<Case> {
    let nameless = || rows(&[(None, "a", 5), (Some(1), "b", 5), (None, "c", 6), (Some(1), "d", 6)]);
    let parts = |rows: &[(Option<i64>, &'static str, i64)]| {
        Data::default()
            .with("id", ints(rows.iter().map(|row| row.0)))
            .with("part", texts(rows.iter().map(|row| row.1)))
            .with("at", ints(rows.iter().map(|row| row.2)))
    };
    let composite = |rule: Rule| Rule { ids: &["id", "part"], ..rule };
    let halves =
        |ids: [Option<f64>; 5]| Data::default().with("id", floats(ids)).with("at", ints([3, 3, 2, 4, 4]));
    let odd = f64::from_bits(f64::NAN.to_bits() | 7);
    let loose = |rule: Rule| but(rule, |choices| choices.float_ids = true);
    vec![
        Case::new(
            "stored_rows_without_an_id_are_not_duplicates",
            nameless(),
            rows(&[(2, "x", 1)]),
            repair(NEWEST),
            counts(Counts { inserted: 1, repaired: 1, ..NONE }),
        ),
        Case::new(
            "stored_rows_without_an_id_are_duplicates_where_null_equals_null",
            nameless(),
            rows(&[(2, "x", 1)]),
            but(repair(NEWEST), |choices| choices.null_ids = NullIds::Match),
            counts(Counts { inserted: 1, repaired: 2, ..NONE }),
        ),
        Case::new(
            "rows_that_differ_in_one_of_several_ids_are_not_duplicates",
            parts(&[(Some(1), "x", 1), (Some(1), "y", 2), (Some(1), "x", 3), (None, "x", 4), (None, "x", 5)]),
            parts(&[(Some(2), "x", 1)]),
            composite(repair(NEWEST)),
            counts(Counts { inserted: 1, repaired: 1, ..NONE }),
        ),
        Case::new(
            "stored_floats_are_one_id_as_they_match",
            halves([Some(0.0), Some(1.5), Some(-0.0), Some(1.5), None]),
            halves([Some(2.5), Some(3.5), Some(4.5), Some(5.5), Some(6.5)]),
            loose(repair(NEWEST)),
            counts(Counts { inserted: 5, repaired: 2, ..NONE }),
        ),
        Case::new(
            "stored_nans_are_one_id",
            halves([Some(f64::NAN), Some(1.5), Some(odd), Some(2.5), Some(odd)]),
            halves([Some(8.5), Some(3.5), Some(4.5), Some(5.5), Some(6.5)]),
            loose(repair(NEWEST)),
            counts(Counts { inserted: 5, repaired: 2, ..NONE }),
        )
        .only(WITH_NAN),
    ]
}

fn met() -> Vec<Case> {
    vec![
        Case::new(
            "an_incoming_row_may_replace_all_stored_rows_of_its_id",
            stored(),
            rows(&[(1, "A", 9)]),
            all(BY_ID),
            UPDATED,
        ),
        Case::new(
            "each_stored_row_of_an_id_is_replaced_if_it_is_older",
            stored(),
            rows(&[(1, "A", 6)]),
            all(NEWEST),
            counts(Counts { updated: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "an_incoming_row_that_is_older_than_all_of_its_id_is_stale",
            stored(),
            rows(&[(1, "A", 4)]),
            all(NEWEST),
            STALE,
        ),
        Case::new(
            "an_incoming_row_that_replaces_none_is_stale_if_one_is_newer",
            stored(),
            rows(&[(1, "a", 5)]),
            all(NEWEST),
            STALE,
        ),
        Case::new(
            "an_incoming_row_that_equals_all_of_its_id_is_unchanged",
            rows(&[(1, "a", 5), (2, "b", 5), (1, "a", 5)]),
            rows(&[(1, "a", 5)]),
            all(NEWEST),
            UNCHANGED,
        ),
        Case::new(
            "an_incoming_row_that_differs_from_one_of_its_id_is_an_update",
            rows(&[(1, "a", 5), (2, "b", 5), (1, "A", 6)]),
            rows(&[(1, "a", 5), (2, "b", 5)]),
            all(BY_ID),
            counts(Counts { updated: 1, unchanged: 1, ..NONE }),
        ),
        Case::new(
            "of_several_stored_rows_those_that_are_as_new_may_be_kept",
            stored(),
            rows(&[(1, "A", 6), (2, "B", 5)]),
            but(all(NEWEST), |choices| choices.ties = Ties::Keep),
            counts(Counts { updated: 1, stale: 1, ties: 2, ..NONE }),
        ),
        Case::new(
            "ties_with_one_of_several_stored_rows_may_be_refused",
            stored(),
            rows(&[(1, "A", 6)]),
            but(all(NEWEST), |choices| choices.ties = Ties::Error),
            refused("incoming rows are as new as the stored ones and differ"),
        ),
        Case::new(
            "a_row_that_is_older_than_one_of_several_may_be_refused",
            stored(),
            rows(&[(1, "A", 6)]),
            but(all(NEWEST), |choices| choices.stale = Stale::Error),
            refused("incoming rows are older than the stored ones"),
        ),
        Case::new(
            "insert_only_ignores_an_id_that_is_stored_twice",
            stored(),
            rows(&[(1, "A", 6), (4, "z", 1)]),
            all(INSERT_ONLY),
            counts(Counts { ignored: 1, inserted: 1, ..NONE }),
        ),
    ]
}

fn met_with_others() -> Vec<Case> {
    let flags =
        || stored().with("gone", bools([Some(true), Some(false), Some(false), Some(true), Some(false)]));
    vec![
        Case::new(
            "a_delete_mark_takes_all_stored_rows_of_its_id_out",
            stored(),
            changes(&[(1, "", 1, "D"), (2, "b", 5, "U")]),
            marked(all(BY_ID)),
            counts(Counts { tombstones: 1, unchanged: 1, deleted: 3, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_leaves_those_rows_of_its_id_that_are_newer",
            stored(),
            changes(&[(1, "", 6, "D"), (2, "", 4, "D")]),
            marked(all(NEWEST)),
            counts(Counts { tombstones: 1, stale: 1, deleted: 2, ties: 1, ..NONE }),
        ),
        Case::new(
            "each_stored_row_of_an_id_is_softly_deleted",
            flags(),
            changes(&[(1, "", 1, "D")]),
            flagged(all(BY_ID)),
            counts(Counts { tombstones: 1, soft_deleted: 2, ..NONE }),
        ),
        Case::new(
            "a_row_revives_all_stored_rows_of_its_id",
            flags(),
            changes(&[(1, "A", 7, "U"), (3, "", 1, "D")]),
            flagged(all(NEWEST)),
            counts(Counts { updated: 1, stale: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_mirror_may_meet_all_stored_rows_of_an_id",
            rows(&[(1, "a", 5), (2, "b", 5), (1, "c", 7), (3, "d", 5), (3, "e", 6)]),
            rows(&[(1, "A", 5)]),
            all(MIRROR),
            counts(Counts { updated: 1, deleted: 3, ..NONE }),
        ),
        Case::new(
            "of_several_stored_rows_those_outside_of_the_scope_are_not_met",
            rows(&[(1, "a", 5), (1, "b", 9), (1, "c", 7)]),
            rows(&[(1, "A", 6)]),
            scoped(all(BY_ID)),
            UPDATED,
        ),
        Case::new(
            "each_stored_row_of_an_id_keeps_its_own_values",
            stored().with("more", ints([1, 2, 3, 4, 5])),
            rows(&[(1, "A", 9)]).with("more", ints([3])),
            but(all(NEWEST), |choices| choices.policies = &[("more", ColumnPolicy::Max)]),
            UPDATED,
        ),
        Case::new(
            "each_stored_row_of_an_id_keeps_what_does_not_come_in",
            stored(),
            Data::default().with("id", ints([1, 3])).with("at", ints([9, 9])),
            all(NEWEST),
            counts(Counts { updated: 2, ..NONE }),
        ),
        Case::new(
            "all_stored_rows_without_an_id_may_be_met",
            rows(&[(None, "a", 5), (Some(1), "b", 5), (None, "c", 6)]),
            rows(&[(None::<i64>, "C", 9)]),
            but(all(NEWEST), |choices| choices.null_ids = NullIds::Match),
            UPDATED,
        ),
        Case::new(
            "twins_are_settled_before_they_meet_all_stored_rows",
            stored(),
            rows(&[(1, "x", 8), (1, "y", 9)]),
            all(NEWEST),
            counts(Counts { updated: 1, duplicates: 1, ..NONE }),
        ),
    ]
}
