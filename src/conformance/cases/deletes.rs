//! Cases about stored rows that go: by delete marks, because they do not come in, and not beyond a scope or a limit.

use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, WITH_A_HEADER, but, ints, no_rows, refused, rows,
    texts,
};
use crate::conformance::Choices;
use crate::core::merge::{Duplicates, MaxDelete, Stale, StoredDuplicates, Ties, UpsertMethod};

const MARKED: Rule = with(BY_ID, Choices { delete_where: Some("op = 'D'"), ..BY_ID.choices });
const MARKED_NEWEST: Rule = with(NEWEST, MARKED.choices);
const MIRROR: Rule = Rule { method: UpsertMethod::Mirror, ..BY_ID };
const MIRROR_NEWEST: Rule = Rule { method: UpsertMethod::Mirror, ..NEWEST };

const fn with(rule: Rule, choices: Choices) -> Rule {
    Rule { choices, ..rule }
}

pub(super) fn cases() -> Vec<Case> {
    [marks(), marked_twins(), mirrors(), mirrored_twins(), scopes(), limits()].concat()
}

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

/// Rows of an id, a text, a modification value, and what is to be done.
fn changes(changes: &[(i64, &'static str, i64, &'static str)]) -> Data {
    let rows: Vec<_> = changes.iter().map(|row| (row.0, row.1, row.2)).collect();
    super::rows(&rows).with("op", texts(changes.iter().map(|row| row.3)))
}

fn stored() -> Data {
    rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5), (4, "d", 5)])
}

fn marks() -> Vec<Case> {
    let gone = counts(Counts { tombstones: 1, deleted: 1, ..NONE });
    vec![
        Case::new(
            "a_delete_mark_takes_the_stored_row_out",
            stored(),
            changes(&[(2, "", 9, "D"), (3, "C", 9, "U"), (9, "z", 9, "I")]),
            MARKED,
            counts(Counts { tombstones: 1, deleted: 1, updated: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_needs_no_more_than_the_id",
            stored(),
            Data::default().with("id", ints([4])).with("op", texts(["D"])),
            MARKED,
            gone,
        ),
        Case::new(
            "a_delete_mark_for_an_unknown_id_does_nothing",
            stored(),
            changes(&[(7, "", 9, "D")]),
            MARKED,
            counts(Counts { tombstones: 1, ..NONE }),
        ),
        Case::new(
            "delete_marks_may_take_all_rows_out",
            stored(),
            changes(&[(4, "", 9, "D"), (1, "", 9, "D"), (3, "", 9, "D"), (2, "", 9, "D")]),
            MARKED,
            counts(Counts { tombstones: 4, deleted: 4, ..NONE }),
        )
        .only(WITH_A_HEADER),
        Case::new(
            "a_new_target_has_no_row_for_a_delete_mark",
            None,
            changes(&[(1, "", 9, "D"), (2, "b", 9, "I")]),
            MARKED,
            counts(Counts { tombstones: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "delete_marks_alone_make_no_target",
            None,
            changes(&[(1, "", 9, "D")]),
            MARKED,
            counts(Counts { tombstones: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_that_is_older_than_the_stored_row_is_stale",
            stored(),
            changes(&[(1, "", 4, "D"), (2, "", 6, "D")]),
            MARKED_NEWEST,
            counts(Counts { tombstones: 1, deleted: 1, stale: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_as_new_as_the_stored_row_wins_by_a_tie",
            stored(),
            changes(&[(1, "a", 5, "D")]),
            MARKED_NEWEST,
            counts(Counts { tombstones: 1, deleted: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_that_ties_loses_where_the_stored_row_is_kept",
            stored(),
            changes(&[(1, "a", 5, "D")]),
            with(MARKED_NEWEST, Choices { ties: Ties::Keep, ..MARKED.choices }),
            counts(Counts { stale: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_that_ties_is_refused_where_ties_are",
            stored(),
            changes(&[(1, "a", 5, "D")]),
            with(MARKED_NEWEST, Choices { ties: Ties::Error, ..MARKED.choices }),
            refused("incoming rows are as new as the stored ones and differ"),
        ),
        Case::new(
            "a_stale_delete_mark_is_refused_where_stale_rows_are",
            stored(),
            changes(&[(1, "", 4, "D")]),
            with(MARKED_NEWEST, Choices { stale: Stale::Error, ..MARKED.choices }),
            refused("incoming rows are older than the stored ones"),
        ),
    ]
}

fn marked_twins() -> Vec<Case> {
    vec![
        Case::new(
            "of_twins_the_newest_decides_whether_it_is_a_delete_mark",
            stored(),
            changes(&[(1, "", 7, "D"), (1, "A", 8, "U"), (2, "B", 7, "U"), (2, "", 8, "D")]),
            MARKED_NEWEST,
            counts(Counts { updated: 1, tombstones: 1, deleted: 1, duplicates: 2, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_and_a_row_of_one_id_are_ambiguous",
            stored(),
            changes(&[(1, "a", 5, "U"), (1, "a", 5, "D")]),
            MARKED,
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "two_delete_marks_of_one_id_say_the_same",
            stored(),
            changes(&[(1, "x", 5, "D"), (1, "y", 6, "D")]),
            MARKED,
            counts(Counts { tombstones: 1, deleted: 1, duplicates: 1, ..NONE }),
        ),
        Case::new(
            "the_last_of_twins_may_be_a_delete_mark",
            stored(),
            changes(&[(1, "a", 5, "U"), (1, "a", 5, "D")]),
            with(MARKED, Choices { duplicates: Some(Duplicates::Last), ..MARKED.choices }),
            counts(Counts { tombstones: 1, deleted: 1, duplicates: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "update_only_takes_marked_rows_out_and_adds_none",
            stored(),
            changes(&[(1, "", 9, "D"), (7, "", 9, "D"), (8, "z", 9, "I"), (2, "B", 9, "U")]),
            Rule { method: UpsertMethod::UpdateOnly, ..MARKED },
            counts(Counts { tombstones: 2, deleted: 1, ignored: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "a_column_that_tells_delete_marks_may_be_stored",
            changes(&[(1, "a", 5, "I"), (2, "b", 5, "I")]),
            changes(&[(1, "", 9, "D"), (2, "b", 5, "U")]),
            MARKED,
            counts(Counts { tombstones: 1, deleted: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "only_columns_of_the_condition_need_not_be_stored",
            stored(),
            changes(&[(1, "", 9, "D")]).with("typo", ints([1])),
            MARKED,
            refused("the target has no such columns"),
        ),
    ]
}

fn mirrors() -> Vec<Case> {
    vec![
        Case::new(
            "mirror_takes_out_what_does_not_come_in",
            stored(),
            rows(&[(3, "C", 1), (9, "z", 1), (1, "a", 5)]),
            MIRROR,
            counts(Counts { updated: 1, unchanged: 1, inserted: 1, deleted: 2, ..NONE }),
        ),
        Case::new(
            "mirror_keeps_stored_rows_that_are_newer",
            stored(),
            rows(&[(1, "A", 4), (2, "B", 6)]),
            MIRROR_NEWEST,
            counts(Counts { stale: 1, updated: 1, deleted: 2, ..NONE }),
        ),
        Case::new(
            "mirror_of_the_same_rows_changes_nothing",
            stored(),
            rows(&[(4, "d", 5), (3, "c", 5), (2, "b", 5), (1, "a", 5)]),
            MIRROR,
            counts(Counts { unchanged: 4, ..NONE }),
        ),
        Case::new(
            "mirror_of_other_rows_takes_all_stored_ones_out",
            stored(),
            rows(&[(8, "y", 1), (9, "z", 1)]),
            MIRROR,
            counts(Counts { inserted: 2, deleted: 4, ..NONE }),
        ),
        Case::new(
            "mirror_creates_a_target",
            None,
            rows(&[(1, "a", 1)]),
            MIRROR,
            counts(Counts { inserted: 1, ..NONE }),
        ),
        Case::new(
            "mirror_of_nothing_is_refused",
            stored(),
            no_rows(),
            MIRROR,
            refused("nothing came in to mirror"),
        ),
        Case::new(
            "mirror_of_nothing_may_be_allowed",
            stored(),
            no_rows(),
            with(MIRROR, Choices { allow_empty: true, ..MIRROR.choices }),
            counts(Counts { deleted: 4, ..NONE }),
        )
        .only(WITH_A_HEADER),
        Case::new(
            "mirror_refuses_stored_rows_without_an_id",
            rows(&[(Some(1), "a", 5), (None, "b", 5)]),
            rows(&[(1, "a", 5)]),
            MIRROR,
            refused("stored rows have no id"),
        ),
        Case::new(
            "mirror_refuses_an_id_that_is_stored_twice",
            rows(&[(1, "a", 5), (2, "b", 5), (1, "c", 5)]),
            rows(&[(1, "a", 5)]),
            MIRROR,
            refused("ids are stored more than once"),
        ),
        Case::new(
            "mirror_takes_marked_rows_out_as_well",
            stored(),
            changes(&[(1, "", 9, "D"), (2, "b", 5, "U"), (7, "", 9, "D")]),
            Rule { method: UpsertMethod::Mirror, ..MARKED },
            counts(Counts { tombstones: 2, unchanged: 1, deleted: 3, ..NONE }),
        ),
    ]
}

fn mirrored_twins() -> Vec<Case> {
    vec![
        Case::new(
            "mirror_refuses_an_id_that_is_stored_twice_and_does_not_come_in",
            rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5), (2, "d", 6)]),
            rows(&[(1, "a", 5)]),
            MIRROR,
            refused("ids are stored more than once"),
        ),
        Case::new(
            "mirror_does_not_look_at_twins_outside_of_its_scope",
            rows(&[(1, "a", 5), (2, "b", 9), (3, "c", 5), (2, "d", 9)]),
            rows(&[(1, "a", 5)]),
            but(MIRROR, |choices| choices.scope = Some("at < 8")),
            counts(Counts { unchanged: 1, deleted: 1, ..NONE }),
        ),
        Case::new(
            "mirror_lets_twins_go_that_may_be_met_each",
            rows(&[(1, "a", 5), (2, "b", 5), (2, "d", 6)]),
            rows(&[(1, "a", 5)]),
            but(MIRROR, |choices| choices.stored_duplicates = StoredDuplicates::All),
            counts(Counts { unchanged: 1, deleted: 2, ..NONE }),
        ),
        Case::new(
            "twins_of_a_mirror_that_differ_are_refused",
            rows(&[(1, "a", 5), (2, "b", 5)]),
            rows(&[(1, "A", 5), (1, "B", 5)]),
            MIRROR,
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "a_mirror_takes_the_newest_of_twins",
            rows(&[(1, "a", 5), (2, "b", 5)]),
            rows(&[(1, "A", 6), (1, "B", 7), (3, "c", 5), (3, "c", 5)]),
            MIRROR_NEWEST,
            counts(Counts { updated: 1, inserted: 1, duplicates: 2, deleted: 1, ..NONE }),
        ),
    ]
}

fn scopes() -> Vec<Case> {
    let of = |rule: Rule, scope| with(rule, Choices { scope: Some(scope), ..rule.choices });
    vec![
        Case::new(
            "mirror_leaves_rows_outside_of_the_scope",
            stored(),
            rows(&[(2, "B", 6)]),
            of(MIRROR, "at >= 5 AND id < 4"),
            counts(Counts { updated: 1, deleted: 2, ..NONE }),
        ),
        Case::new(
            "an_incoming_row_outside_of_the_scope_is_rejected",
            stored(),
            rows(&[(1, "A", 9), (7, "z", 9), (2, "B", 6), (8, "y", 6)]),
            of(BY_ID, "at < 8"),
            counts(Counts { rejected: 2, updated: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_stored_row_outside_of_the_scope_is_not_met",
            rows(&[(1, "a", 5), (2, "b", 9)]),
            rows(&[(2, "B", 5)]),
            of(BY_ID, "at < 8"),
            counts(Counts { inserted: 1, ..NONE }),
        ),
        Case::new(
            "mirror_keeps_a_row_that_an_incoming_one_would_take_out_of_the_scope",
            stored(),
            rows(&[(1, "A", 9), (2, "b", 5)]),
            of(MIRROR, "at < 8"),
            counts(Counts { rejected: 1, unchanged: 1, deleted: 2, ..NONE }),
        ),
        Case::new(
            "mirror_of_rows_outside_of_the_scope_alone_is_refused",
            stored(),
            rows(&[(7, "z", 9), (8, "y", 9)]),
            of(MIRROR, "at < 8"),
            refused("nothing came in to mirror"),
        ),
        Case::new(
            "mirror_of_delete_marks_alone_is_refused",
            stored(),
            changes(&[(1, "", 9, "D")]),
            Rule { method: UpsertMethod::Mirror, ..MARKED },
            refused("nothing came in to mirror"),
        ),
        Case::new(
            "a_row_whose_scope_is_not_known_is_rejected",
            stored(),
            rows(&[(1, Some("A"), None), (2, Some("B"), Some(6))]),
            of(BY_ID, "at < 8"),
            counts(Counts { rejected: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_is_of_the_scope_of_the_row_that_it_takes_out",
            rows(&[(1, "a", 5), (2, "b", 9)]),
            changes(&[(1, "", 9, "D"), (2, "", 9, "D")]),
            of(MARKED, "at < 8"),
            counts(Counts { tombstones: 2, deleted: 1, ..NONE }),
        ),
        Case::new(
            "a_column_of_the_scope_has_to_come_in",
            stored(),
            Data::default().with("id", ints([1])).with("value", texts(["A"])),
            of(BY_ID, "at < 8"),
            refused("scope column is missing"),
        ),
    ]
}

fn limits() -> Vec<Case> {
    let most = |rule: Rule, most| with(rule, Choices { max_delete: Some(most), ..rule.choices });
    let three = || rows(&[(1, "a", 5)]);
    let too_many = refused("more stored rows would go than is allowed");
    vec![
        Case::new(
            "as_many_rows_may_go_as_are_allowed",
            stored(),
            three(),
            most(MIRROR, MaxDelete::Rows(3)),
            counts(Counts { unchanged: 1, deleted: 3, ..NONE }),
        ),
        Case::new(
            "more_rows_than_are_allowed_do_not_go",
            stored(),
            three(),
            most(MIRROR, MaxDelete::Rows(2)),
            too_many,
        ),
        Case::new(
            "a_part_of_the_rows_may_go",
            stored(),
            three(),
            most(MIRROR, MaxDelete::Percent(75)),
            counts(Counts { unchanged: 1, deleted: 3, ..NONE }),
        ),
        Case::new(
            "more_than_a_part_of_the_rows_does_not_go",
            stored(),
            changes(&[(1, "", 9, "D"), (2, "", 9, "D")]),
            most(MARKED, MaxDelete::Percent(49)),
            too_many,
        ),
        Case::new(
            "an_empty_mirror_that_is_allowed_does_not_lift_the_limit",
            stored(),
            no_rows(),
            most(with(MIRROR, Choices { allow_empty: true, ..MIRROR.choices }), MaxDelete::Percent(99)),
            too_many,
        ),
    ]
}
