//! Cases about what users can say instead of a default: the other methods, and the other answers to hard cases.

use super::columns::WITH_REQUIRED_COLUMNS;
use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, WITH_NAN, but, ints, refused, rows, texts,
};
use crate::core::merge::{
    Duplicates, ExtraColumns, MissingColumns, NameCase, NullModified, Stale, Ties, UpsertMethod,
};
use crate::error::ErrorKind;

const INSERT_ONLY: Rule = Rule { method: UpsertMethod::InsertOnly, ..BY_ID };
const INSERT_NEWEST: Rule = Rule { method: UpsertMethod::InsertOnly, ..NEWEST };
const UPDATE_ONLY: Rule = Rule { method: UpsertMethod::UpdateOnly, ..BY_ID };
const UPDATE_NEWEST: Rule = Rule { method: UpsertMethod::UpdateOnly, ..NEWEST };

pub(super) fn cases() -> Vec<Case> {
    [methods(), partitions(), twins(), versions(), columns(), names()].concat()
}

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

fn methods() -> Vec<Case> {
    let stored = || rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5)]);
    let twice = || rows(&[(1, "a", 5), (1, "b", 5)]);
    vec![
        Case::new(
            "insert_only_adds_new_rows_and_leaves_stored_ones",
            stored(),
            rows(&[(2, "B", 9), (7, "z", 1), (3, "c", 5)]),
            INSERT_ONLY,
            counts(Counts { inserted: 1, ignored: 2, ..NONE }),
        ),
        Case::new(
            "insert_only_adds_the_newest_of_twins",
            stored(),
            rows(&[(7, "y", 2), (7, "z", 1), (2, "B", 9), (2, "C", 9)]),
            INSERT_NEWEST,
            counts(Counts { inserted: 1, ignored: 1, duplicates: 2, ties: 1, ..NONE }),
        ),
        Case::new(
            "insert_only_refuses_twins_that_differ",
            stored(),
            rows(&[(2, "B", 1), (2, "C", 1)]),
            INSERT_ONLY,
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "twins_that_differ_are_refused_though_update_only_would_ignore_them",
            rows(&[(1, "a", 5)]),
            rows(&[(7, "x", 5), (7, "y", 5)]),
            UPDATE_ONLY,
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "insert_only_refuses_an_id_that_is_stored_twice",
            twice(),
            rows(&[(1, "B", 1)]),
            INSERT_ONLY,
            refused("ids are stored more than once"),
        ),
        Case::new(
            "insert_only_creates_a_target",
            None,
            rows(&[(1, "a", 1)]),
            INSERT_ONLY,
            counts(Counts { inserted: 1, ..NONE }),
        ),
        Case::new(
            "update_only_changes_stored_rows_and_adds_none",
            stored(),
            rows(&[(7, "z", 9), (2, "B", 1), (3, "c", 5)]),
            UPDATE_ONLY,
            counts(Counts { updated: 1, unchanged: 1, ignored: 1, ..NONE }),
        ),
        Case::new(
            "update_only_takes_rows_that_are_newer",
            stored(),
            rows(&[(7, "z", 9), (2, "B", 6), (3, "C", 4), (1, "A", 5)]),
            UPDATE_NEWEST,
            counts(Counts { updated: 2, stale: 1, ignored: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "update_only_needs_a_target",
            None,
            rows(&[(1, "a", 1)]),
            UPDATE_ONLY,
            Expect::Refused { kind: ErrorKind::NotFound, message: "the target does not exist" },
        ),
        Case::new(
            "update_only_without_a_stored_id_changes_nothing",
            stored(),
            rows(&[(7, "z", 9), (8, "y", 9)]),
            UPDATE_ONLY,
            counts(Counts { ignored: 2, ..NONE }),
        ),
    ]
}

fn partitions() -> Vec<Case> {
    vec![Case::new(
        "where_no_id_changes_its_partition_that_may_be_said",
        rows(&[(1, Some("a"), 5), (2, Some("b"), 5), (3, None, 5), (4, Some("d"), 5)]),
        rows(&[(7, Some("a"), 1), (2, Some("b"), 6), (3, None, 7), (4, Some("d"), 5)]),
        but(BY_ID, |choices| choices.stable_partitions = true),
        counts(Counts { inserted: 1, updated: 2, unchanged: 1, ..NONE }),
    )]
}

fn twins() -> Vec<Case> {
    let stored = || rows(&[(1, "a", 5)]);
    let differ = || rows(&[(1, "B", 6), (7, "x", 1), (1, "C", 6), (7, "y", 1), (7, "z", 1)]);
    let say = |rule, duplicates| but(rule, |choices| choices.duplicates = Some(duplicates));
    let decided = counts(Counts { updated: 1, inserted: 1, duplicates: 3, ties: 2, ..NONE });
    vec![
        Case::new(
            "of_twins_that_differ_the_first_counts",
            stored(),
            differ(),
            say(BY_ID, Duplicates::First),
            decided,
        ),
        Case::new(
            "of_twins_that_differ_the_last_counts",
            stored(),
            differ(),
            say(BY_ID, Duplicates::Last),
            decided,
        ),
        Case::new(
            "of_equally_new_twins_the_first_counts",
            stored(),
            differ(),
            say(NEWEST, Duplicates::First),
            decided,
        ),
        Case::new(
            "the_newest_of_twins_counts_before_the_first",
            stored(),
            rows(&[(1, "B", 6), (1, "C", 7)]),
            say(NEWEST, Duplicates::First),
            counts(Counts { updated: 1, duplicates: 1, ..NONE }),
        ),
        Case::new(
            "equally_new_twins_that_differ_are_refused",
            stored(),
            differ(),
            say(NEWEST, Duplicates::Error),
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "twins_of_which_one_is_newer_are_not_refused",
            stored(),
            rows(&[(1, "B", 6), (1, "C", 7), (2, "x", 1), (2, "x", 1)]),
            say(NEWEST, Duplicates::Error),
            counts(Counts { updated: 1, inserted: 1, duplicates: 2, ..NONE }),
        ),
    ]
}

fn versions() -> Vec<Case> {
    let stored = || rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5)]);
    let floats = |at: [f64; 2]| {
        let at = std::sync::Arc::new(arrow::array::Float64Array::from(at.to_vec()));
        Data::default().with("id", ints([1, 2])).with("at", at)
    };
    let ties = |ties| but(NEWEST, |choices| choices.ties = ties);
    let stale = but(NEWEST, |choices| choices.stale = Stale::Error);
    let nulls = but(NEWEST, |choices| choices.nulls = NullModified::Error);
    vec![
        Case::new(
            "of_equally_new_versions_the_stored_one_is_kept",
            stored(),
            rows(&[(1, "A", 5), (2, "b", 5), (3, "C", 6)]),
            ties(Ties::Keep),
            counts(Counts { stale: 1, unchanged: 1, updated: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "equally_new_versions_that_differ_are_refused",
            stored(),
            rows(&[(1, "A", 5), (3, "C", 6)]),
            ties(Ties::Error),
            refused("incoming rows are as new as the stored ones and differ"),
        ),
        Case::new(
            "equally_new_incoming_rows_that_differ_are_no_tie_with_a_stored_one",
            stored(),
            rows(&[(7, "A", 5), (7, "B", 5)]),
            ties(Ties::Error),
            counts(Counts { inserted: 1, duplicates: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "equally_new_versions_that_are_equal_are_not_refused",
            stored(),
            rows(&[(1, "a", 5), (3, "C", 4)]),
            ties(Ties::Error),
            counts(Counts { unchanged: 1, stale: 1, ..NONE }),
        ),
        Case::new(
            "older_rows_are_refused",
            stored(),
            rows(&[(1, "A", Some(4)), (2, "B", Some(6)), (3, "C", None)]),
            stale,
            refused("incoming rows are older than the stored ones"),
        ),
        Case::new(
            "rows_that_are_not_older_are_not_refused",
            stored(),
            rows(&[(1, "A", 5), (2, "B", 6), (7, "z", 0)]),
            stale,
            counts(Counts { updated: 2, inserted: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_row_without_a_modification_value_is_refused",
            stored(),
            rows(&[(1, "A", Some(9)), (7, "z", None)]),
            nulls,
            refused("the modification column has nulls"),
        ),
        Case::new(
            "nan_is_refused_as_a_modification_value",
            floats([1.0, 1.0]),
            floats([2.0, f64::NAN]),
            nulls,
            refused("the modification column has nulls"),
        )
        .only(WITH_NAN),
        Case::new(
            "a_stored_row_without_a_modification_value_is_not_refused",
            rows(&[(1, "a", None::<i64>)]),
            rows(&[(1, "A", 1)]),
            nulls,
            counts(Counts { updated: 1, ..NONE }),
        ),
    ]
}

fn names() -> Vec<Case> {
    let stored = || rows(&[(1, "a", 5), (2, "b", 5)]);
    let fold = |rule| but(rule, |choices| choices.case = NameCase::Fold);
    let loud = Rule { ids: &["ID"], modified: Some("AT"), ..NEWEST };
    let named = |id: &str, value: &str, at: &str| {
        Data::default().with(at, ints([6, 4])).with(id, ints([1, 2])).with(value, texts(["A", "B"]))
    };
    let newer = counts(Counts { updated: 1, stale: 1, ..NONE });
    vec![
        Case::new(
            "columns_that_differ_in_their_case_alone_are_one",
            stored(),
            named("Id", "VALUE", "at"),
            fold(NEWEST),
            newer,
        ),
        Case::new(
            "columns_of_the_rule_may_differ_in_their_case",
            stored(),
            named("id", "value", "aT"),
            fold(loud),
            newer,
        ),
        Case::new(
            "columns_of_the_rule_may_differ_in_their_case_from_those_of_a_new_target",
            None,
            rows(&[(1, "a", 5), (2, "b", 5)]),
            fold(loud),
            counts(Counts { inserted: 2, ..NONE }),
        ),
        Case::new(
            "two_incoming_columns_that_differ_in_their_case_alone_are_refused_all_the_same",
            stored(),
            named("id", "value", "at").with("Value", texts(["x", "y"])),
            fold(NEWEST),
            refused("two columns differ only in case"),
        ),
    ]
}

fn columns() -> Vec<Case> {
    let stored = || rows(&[(1, "a", 5), (2, "b", 5)]);
    let wide = |ids: [i64; 3]| {
        Data::default()
            .with("more", texts(["x", "y", "z"]))
            .with("at", ints([6, 6, 6]))
            .with("id", ints(ids))
            .with("value", texts(["A", "B", "B"]))
    };
    let ignore = |rule| but(rule, |choices| choices.extra = ExtraColumns::Ignore);
    let missing = |rule| but(rule, |choices| choices.missing = MissingColumns::Error);
    let null = |rule| but(rule, |choices| choices.missing = MissingColumns::Null);
    let narrow = || Data::default().with("id", ints([1])).with("at", ints([6]));
    vec![
        Case::new(
            "columns_that_are_not_stored_are_left_out",
            stored(),
            wide([1, 7, 8]),
            ignore(NEWEST),
            counts(Counts { updated: 1, inserted: 2, ..NONE }),
        ),
        Case::new(
            "rows_that_differ_in_a_column_that_is_left_out_are_identical",
            stored(),
            wide([1, 7, 7]),
            ignore(BY_ID),
            counts(Counts { updated: 1, inserted: 1, duplicates: 1, ..NONE }),
        ),
        Case::new(
            "an_id_column_that_is_not_stored_is_not_left_out",
            Data::default().with("value", texts(["a"])).with("at", ints([5])),
            rows(&[(1, "a", 5)]),
            ignore(BY_ID),
            refused("the target has no such columns"),
        ),
        Case::new(
            "a_column_that_differs_from_a_stored_one_in_its_case_is_not_left_out",
            stored(),
            Data::default().with("id", ints([1])).with("Value", texts(["A"])),
            ignore(BY_ID),
            refused("the target has no such columns"),
        ),
        Case::new(
            "stored_columns_that_do_not_come_in_are_refused",
            stored(),
            narrow(),
            missing(BY_ID),
            refused("stored columns do not come in"),
        ),
        Case::new(
            "stored_columns_that_do_not_come_in_are_overwritten_with_null",
            rows(&[(1, Some("a"), 5), (2, Some("b"), 5), (3, None, 5)]),
            Data::default().with("id", ints([1, 3, 7])).with("at", ints([6, 5, 6])),
            null(NEWEST),
            counts(Counts { updated: 1, unchanged: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_modification_column_is_not_overwritten_with_null",
            stored(),
            Data::default().with("id", ints([1])),
            null(NEWEST),
            refused("modification column is missing"),
        ),
        Case::new(
            "a_column_without_nulls_is_not_overwritten_with_null",
            stored().with_required("must", texts(["x", "y"])),
            narrow(),
            null(BY_ID),
            refused("the stored column takes no nulls"),
        )
        .only(WITH_REQUIRED_COLUMNS),
        Case::new(
            "all_stored_columns_are_there_in_another_order",
            stored(),
            wide([1, 2, 7]),
            missing(ignore(NEWEST)),
            counts(Counts { updated: 2, inserted: 1, ..NONE }),
        ),
    ]
}
