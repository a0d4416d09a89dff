//! Cases about tables that keep history: each version of a row is a row of its own.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};

use super::columns::WITH_REQUIRED_COLUMNS;
use super::{Case, Counts, DEFAULTS, Data, Expect, NONE, Rule, Scope, bools, but, ints, refused, texts};
use crate::conformance::{Choices, run_time};
use crate::core::format::Format;
use crate::core::merge::{MaxDelete, MissingColumns, NullIds, NullModified, Ties, UpsertMethod};
use crate::error::ErrorKind;

pub(in crate::conformance) const HISTORY: Rule =
    Rule { method: UpsertMethod::History, ids: &["id"], modified: Some("at"), choices: DEFAULTS };
const MARKED: Rule = Rule { choices: Choices { delete_where: Some("op = 'D'"), ..DEFAULTS }, ..HISTORY };
const UNTIMED: Rule = Rule { modified: None, ..HISTORY };
const UNTIMED_MARKED: Rule = Rule { modified: None, ..MARKED };

const WITH_TIMESTAMPS: Scope =
    Scope { formats: &[Format::Parquet, Format::Csv], why: "JSON has no timestamps of its own" };

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

/// Versions: an id, a text, since when it holds, and until when.
fn versions(rows: &[(i64, &'static str, Option<i64>, Option<i64>)]) -> Data {
    Data::default()
        .with("id", ints(rows.iter().map(|row| row.0)))
        .with("value", texts(rows.iter().map(|row| row.1)))
        .with("valid_from", ints(rows.iter().map(|row| row.2)))
        .with("valid_to", ints(rows.iter().map(|row| row.3)))
        .with("is_current", bools(rows.iter().map(|row| Some(row.3.is_none()))))
}

/// Two ids, of which one has changed before.
fn stored() -> Data {
    versions(&[(1, "a", Some(10), Some(20)), (1, "b", Some(20), None), (2, "x", Some(10), None)])
}

/// Rows of an id, a text, and since when it holds.
fn rows(rows: &[(i64, &'static str, i64)]) -> Data {
    super::rows(rows)
}

/// The same, and what is to be done.
fn changes(changes: &[(i64, &'static str, i64, &'static str)]) -> Data {
    let plain: Vec<_> = changes.iter().map(|row| (row.0, row.1, row.2)).collect();
    rows(&plain).with("op", texts(changes.iter().map(|row| row.3)))
}

pub(super) fn cases() -> Vec<Case> {
    [timed(), tied(), marked(), missing(), columns(), refusals(), untimed()].concat()
}

fn timed() -> Vec<Case> {
    vec![
        Case::new(
            "a_new_version_ends_the_one_that_holds",
            stored(),
            rows(&[(1, "c", 30), (3, "n", 30)]),
            HISTORY,
            counts(Counts { updated: 1, opened: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_version_that_is_stored_is_unchanged",
            stored(),
            rows(&[(1, "a", 10), (1, "b", 20), (2, "x", 10)]),
            HISTORY,
            counts(Counts { unchanged: 3, ..NONE }),
        ),
        Case::new(
            "a_late_version_lands_between_its_neighbours",
            stored(),
            rows(&[(1, "late", 15), (2, "first", 5)]),
            HISTORY,
            counts(Counts { updated: 2, opened: 2, ..NONE }),
        ),
        Case::new(
            "all_versions_that_come_in_are_kept",
            stored(),
            rows(&[(3, "q", 12), (1, "d", 40), (3, "p", 11), (1, "c", 30), (3, "r", 13)]),
            HISTORY,
            counts(Counts { updated: 4, opened: 4, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_version_is_new_though_its_values_are_old",
            stored(),
            rows(&[(1, "b", 30)]),
            HISTORY,
            counts(Counts { updated: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "a_history_begins_with_a_new_target",
            None,
            rows(&[(1, "a", 10), (2, "x", 10), (1, "b", 20)]),
            HISTORY,
            counts(Counts { inserted: 2, updated: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "a_version_without_a_time_is_before_all_others",
            versions(&[(1, "a", None, Some(20)), (1, "b", Some(20), None), (2, "x", Some(10), None)]),
            super::rows(&[(1, Some("a"), None), (2, Some("w"), None), (1, Some("c"), Some(30))]),
            HISTORY,
            counts(Counts { unchanged: 1, updated: 2, opened: 2, ..NONE }),
        ),
        Case::new(
            "versions_need_times_if_that_is_said",
            stored(),
            super::rows(&[(1, Some("c"), None), (2, Some("y"), Some(30))]),
            but(HISTORY, |choices| choices.nulls = NullModified::Error),
            refused("the modification column has nulls"),
        ),
        Case::new(
            "instants_in_text_put_versions_in_order",
            Data::default()
                .with("id", ints([1]))
                .with("value", texts(["a"]))
                .with("valid_from", texts(["2024-01-01T00:00:00Z"]))
                .with("valid_to", texts([None]))
                .with("is_current", bools([Some(true)])),
            Data::default()
                .with("id", ints([1, 1]))
                .with("value", texts(["c", "b"]))
                .with("at", texts(["2024-01-01T02:00:00.5Z", "2024-01-01T03:00:00+02:00"])),
            HISTORY,
            counts(Counts { updated: 2, opened: 2, ..NONE }),
        )
        .only(Scope { formats: &[Format::Parquet, Format::Ndjson], why: "in CSV these are timestamps" }),
        Case::new(
            "a_null_id_has_versions_if_it_is_an_id",
            versions(&[(1, "a", Some(10), None)]),
            super::rows(&[(None, Some("n"), 10), (None, Some("m"), 20), (Some(1), Some("b"), 20)]),
            but(HISTORY, |choices| choices.null_ids = NullIds::Match),
            counts(Counts { inserted: 1, updated: 2, opened: 2, ..NONE }),
        ),
    ]
}

fn tied() -> Vec<Case> {
    vec![
        Case::new(
            "a_version_of_the_time_of_another_takes_its_place",
            stored(),
            rows(&[(1, "A", 10), (2, "X", 10)]),
            HISTORY,
            counts(Counts { updated: 2, ties: 2, ..NONE }),
        ),
        Case::new(
            "a_version_can_take_the_place_of_another_and_end_at_once",
            stored(),
            rows(&[(2, "X", 10), (2, "y", 11)]),
            HISTORY,
            counts(Counts { updated: 2, opened: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_stored_version_may_stay_where_another_has_its_time",
            stored(),
            rows(&[(1, "A", 10)]),
            but(HISTORY, |choices| choices.ties = Ties::Keep),
            counts(Counts { stale: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "two_versions_of_one_time_may_be_refused",
            stored(),
            rows(&[(1, "A", 10), (1, "c", 30)]),
            but(HISTORY, |choices| choices.ties = Ties::Error),
            refused("incoming rows are as new as the stored ones and differ"),
        ),
        Case::new(
            "of_twins_of_one_time_the_last_is_the_version",
            stored(),
            rows(&[(1, "c", 30), (2, "x", 10), (1, "d", 30), (2, "x", 10)]),
            HISTORY,
            counts(Counts { updated: 1, opened: 1, unchanged: 1, duplicates: 2, ties: 1, ..NONE }),
        ),
    ]
}

fn marked() -> Vec<Case> {
    vec![
        Case::new(
            "a_delete_mark_ends_a_version_and_begins_none",
            stored(),
            changes(&[(2, "", 30, "D"), (9, "", 30, "D"), (1, "c", 30, "U")]),
            MARKED,
            counts(Counts { tombstones: 2, closed: 1, updated: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_needs_no_more_than_the_id_and_the_time",
            stored(),
            Data::default().with("id", ints([2])).with("at", ints([30])).with("op", texts(["D"])),
            MARKED,
            counts(Counts { tombstones: 1, closed: 1, ..NONE }),
        ),
        Case::new(
            "a_version_that_has_ended_does_not_end_again",
            versions(&[(1, "a", Some(10), Some(20))]),
            changes(&[(1, "", 20, "D"), (1, "", 25, "D")]),
            MARKED,
            counts(Counts { tombstones: 2, ..NONE }),
        ),
        Case::new(
            "an_id_that_was_deleted_comes_again",
            versions(&[(1, "a", Some(10), Some(20))]),
            changes(&[(1, "b", 30, "U")]),
            MARKED,
            counts(Counts { updated: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "a_late_version_holds_until_the_id_was_deleted",
            versions(&[(1, "a", Some(10), Some(20)), (1, "c", Some(30), None)]),
            changes(&[(1, "b", 15, "U"), (1, "d", 25, "U")]),
            MARKED,
            counts(Counts { updated: 2, opened: 2, ..NONE }),
        ),
        Case::new(
            "a_late_delete_mark_ends_the_version_in_which_it_falls",
            stored(),
            changes(&[(1, "", 15, "D"), (2, "", 5, "D")]),
            MARKED,
            counts(Counts { tombstones: 1, closed: 1, stale: 1, ..NONE }),
        ),
        Case::new(
            "rows_and_delete_marks_follow_each_other_in_one_batch",
            stored(),
            changes(&[
                (3, "a", 10, "U"),
                (3, "", 20, "D"),
                (3, "b", 30, "U"),
                (1, "", 40, "D"),
                (1, "c", 30, "U"),
            ]),
            MARKED,
            counts(Counts { inserted: 1, updated: 2, opened: 2, tombstones: 2, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_of_the_time_of_a_version_ends_it_there",
            stored(),
            changes(&[(2, "", 10, "D")]),
            MARKED,
            counts(Counts { tombstones: 1, closed: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_of_the_time_of_a_version_may_lose",
            stored(),
            changes(&[(2, "", 10, "D")]),
            but(MARKED, |choices| choices.ties = Ties::Keep),
            counts(Counts { stale: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_delete_mark_without_a_time_ends_nothing",
            versions(&[(1, "a", None, None), (2, "x", Some(10), None)]),
            super::rows(&[(1, Some(""), None), (2, Some(""), None), (3, Some(""), None)])
                .with("op", texts(["D", "D", "D"])),
            MARKED,
            counts(Counts { stale: 2, tombstones: 1, ..NONE }),
        ),
        Case::new(
            "versions_that_end_count_as_rows_that_go",
            stored(),
            changes(&[(1, "", 30, "D"), (2, "", 30, "D")]),
            but(MARKED, |choices| choices.max_delete = Some(MaxDelete::Rows(1))),
            refused("more stored rows would go than is allowed"),
        ),
    ]
}

fn missing() -> Vec<Case> {
    let closing = but(HISTORY, |choices| choices.close_missing = true);
    vec![
        Case::new(
            "versions_may_end_that_do_not_come_in",
            versions(&[
                (1, "a", Some(10), None),
                (2, "x", Some(10), Some(15)),
                (2, "y", Some(15), None),
                (4, "q", Some(90), None),
            ]),
            rows(&[(1, "a", 10), (3, "n", 30)]),
            closing,
            counts(Counts { unchanged: 1, inserted: 1, closed: 1, ..NONE }),
        ),
        Case::new(
            "versions_that_do_not_come_in_end_inside_of_the_scope_alone",
            versions(&[(1, "a", Some(10), None), (2, "x", Some(10), None), (3, "q", Some(10), None)]),
            rows(&[(1, "b", 30)]),
            but(closing, |choices| choices.scope = Some("id < 3")),
            counts(Counts { updated: 1, opened: 1, closed: 1, ..NONE }),
        ),
        Case::new(
            "versions_do_not_end_because_nothing_came_in",
            stored(),
            rows(&[]),
            closing,
            refused("nothing came in to mirror"),
        ),
        Case::new(
            "versions_end_for_rows_that_come_in_and_are_all_delete_marks_only_if_that_is_said",
            stored(),
            changes(&[(1, "", 30, "D")]),
            but(MARKED, |choices| choices.close_missing = true),
            refused("nothing came in to mirror"),
        ),
        Case::new(
            "versions_end_at_a_time_that_came_in",
            stored(),
            rows(&[]),
            but(closing, |choices| choices.allow_empty = true),
            refused("nothing came in that says when versions end"),
        ),
        Case::new(
            "versions_that_do_not_come_in_count_as_rows_that_go",
            stored(),
            rows(&[(3, "n", 30)]),
            but(closing, |choices| choices.max_delete = Some(MaxDelete::Rows(1))),
            refused("more stored rows would go than is allowed"),
        ),
        Case::new(
            "versions_that_do_not_come_in_need_an_id_to_end",
            super::rows(&[(None, Some("a"), Some(10)), (Some(1), Some("b"), Some(10))])
                .with("valid_from", ints([10, 10]))
                .with("valid_to", ints([None, None]))
                .with("is_current", bools([Some(true), Some(true)])),
            rows(&[(1, "b", 10)]),
            closing,
            refused("stored rows have no id"),
        ),
    ]
}

fn columns() -> Vec<Case> {
    vec![
        Case::new(
            "the_columns_of_a_history_have_names_of_their_own",
            Data::default()
                .with("id", ints([1]))
                .with("value", texts(["a"]))
                .with("since", ints([10]))
                .with("until", ints([None]))
                .with("now", bools([Some(true)])),
            rows(&[(1, "b", 20)]),
            but(HISTORY, |choices| choices.history = Some(["since", "until", "now"])),
            counts(Counts { updated: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "the_time_of_a_version_may_stand_in_its_own_column_too",
            versions(&[(1, "a", Some(10), None)]).with("at", ints([10])),
            rows(&[(1, "b", 20), (1, "a", 10)]),
            HISTORY,
            counts(Counts { updated: 1, opened: 1, unchanged: 1, ..NONE }),
        ),
        Case::new(
            "a_source_may_say_since_when_its_rows_hold",
            stored(),
            Data::default().with("id", ints([1])).with("value", texts(["c"])).with("valid_from", ints([30])),
            Rule { modified: Some("valid_from"), ..HISTORY },
            counts(Counts { updated: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "a_history_looks_at_its_scope_alone",
            stored(),
            rows(&[(1, "c", 30), (3, "n", 30)]),
            but(HISTORY, |choices| choices.scope = Some("id < 3")),
            counts(Counts { updated: 1, opened: 1, rejected: 1, ..NONE }),
        ),
        Case::new(
            "a_new_version_has_the_columns_that_it_lacks_of_the_one_that_it_ends",
            stored().with("more", ints([1, 2, 3])),
            rows(&[(1, "c", 30), (1, "d", 40), (3, "n", 30)]),
            HISTORY,
            counts(Counts { inserted: 1, updated: 2, opened: 2, ..NONE }),
        ),
        Case::new(
            "a_late_version_has_the_columns_that_it_lacks_of_the_one_in_which_it_falls",
            stored().with("more", ints([1, 2, 3])),
            rows(&[(1, "0", 5), (1, "aa", 15), (2, "bb", 30)]),
            HISTORY,
            counts(Counts { updated: 3, opened: 3, ..NONE }),
        ),
        Case::new(
            "a_version_that_takes_the_place_of_another_keeps_the_columns_that_it_lacks",
            stored().with("more", ints([1, 2, 3])),
            rows(&[(1, "B", 20), (1, "c", 30)]),
            HISTORY,
            counts(Counts { updated: 2, opened: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "a_version_after_a_deletion_has_no_values_of_those_before_it",
            stored().with("more", ints([1, 2, 3])),
            changes(&[(1, "", 30, "D"), (1, "c", 40, "U")]),
            MARKED,
            counts(Counts { tombstones: 1, updated: 1, opened: 1, closed: 1, ..NONE }),
        ),
        Case::new(
            "a_first_version_needs_the_columns_that_take_no_nulls",
            stored().with_required("must", texts(["x", "y", "z"])),
            rows(&[(1, "c", 30), (3, "n", 30)]),
            HISTORY,
            refused("a new row lacks a column that takes no nulls"),
        )
        .only(WITH_REQUIRED_COLUMNS),
        Case::new(
            "a_new_version_has_the_columns_that_take_no_nulls_of_the_one_that_it_ends",
            stored().with_required("must", texts(["x", "y", "z"])),
            rows(&[(1, "c", 30)]),
            but(HISTORY, |choices| choices.close_missing = true),
            counts(Counts { updated: 1, opened: 1, closed: 1, ..NONE }),
        )
        .only(WITH_REQUIRED_COLUMNS),
        Case::new(
            "a_first_version_may_lack_columns",
            stored().with("more", ints([1, 2, 3])),
            rows(&[(3, "n", 30), (1, "B", 20)]),
            HISTORY,
            counts(Counts { inserted: 1, updated: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "columns_that_a_new_version_lacks_may_be_null",
            stored().with("more", ints([1, 2, 3])),
            rows(&[(1, "c", 30)]),
            but(HISTORY, |choices| choices.missing = MissingColumns::Null),
            counts(Counts { updated: 1, opened: 1, ..NONE }),
        ),
    ]
}

fn refusals() -> Vec<Case> {
    vec![
        Case::new(
            "the_columns_of_a_history_must_be_stored",
            super::rows(&[(1, "a", 10)]),
            rows(&[(1, "b", 20)]),
            HISTORY,
            refused("columns of the history are not stored"),
        ),
        Case::new(
            "the_columns_of_a_history_must_not_come_in",
            stored(),
            rows(&[(1, "c", 30)]).with("valid_to", ints([40])),
            HISTORY,
            refused("columns of the history come in"),
        ),
        Case::new(
            "an_id_must_not_have_two_versions_that_hold",
            versions(&[(1, "a", Some(10), None), (1, "b", Some(20), None), (2, "x", Some(10), None)]),
            rows(&[(1, "c", 30)]),
            HISTORY,
            refused("stored versions of ids overlap"),
        ),
        Case::new(
            "an_id_must_not_have_two_versions_of_one_time",
            versions(&[(1, "a", Some(10), Some(20)), (1, "b", Some(10), Some(30))]),
            rows(&[(1, "c", 30)]),
            HISTORY,
            refused("stored versions of ids overlap"),
        ),
        Case::new(
            "stored_versions_of_an_id_must_not_overlap",
            versions(&[(1, "a", Some(10), Some(30)), (1, "b", Some(20), Some(40))]),
            rows(&[(1, "c", 50)]),
            HISTORY,
            refused("stored versions of ids overlap"),
        ),
        Case::new(
            "a_stored_version_must_not_end_before_it_begins",
            versions(&[(1, "a", Some(10), Some(5))]),
            rows(&[(1, "c", 50)]),
            HISTORY,
            refused("stored versions of ids overlap"),
        ),
        Case::new(
            "versions_of_ids_that_do_not_come_in_may_be_wrong",
            versions(&[(1, "a", Some(10), None), (1, "b", Some(20), None), (2, "x", Some(10), None)]),
            rows(&[(2, "y", 30)]),
            HISTORY,
            counts(Counts { updated: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "a_current_version_must_not_have_an_end",
            Data::default()
                .with("id", ints([1]))
                .with("value", texts(["a"]))
                .with("valid_from", ints([10]))
                .with("valid_to", ints([9999]))
                .with("is_current", bools([Some(true)])),
            rows(&[(1, "c", 30)]),
            HISTORY,
            refused("stored versions are current and have an end"),
        ),
    ]
}

fn times(days: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    let times: TimestampMicrosecondArray =
        days.into_iter().map(|day| day.map(|day| day * 86_400_000_000)).collect();
    Arc::new(times.with_timezone("UTC"))
}

/// The day of the run.
fn today() -> i64 {
    run_time().timestamp() / 86_400
}

/// Versions: an id, a text, since how many days it holds, and until when it did.
fn dated(rows: &[(i64, &'static str, i64, Option<i64>)]) -> Data {
    Data::default()
        .with("id", ints(rows.iter().map(|row| row.0)))
        .with("value", texts(rows.iter().map(|row| row.1)))
        .with("valid_from", times(rows.iter().map(|row| Some(today() - row.2))))
        .with("valid_to", times(rows.iter().map(|row| row.3.map(|days| today() - days))))
        .with("is_current", bools(rows.iter().map(|row| Some(row.3.is_none()))))
}

/// Rows of an id and a text.
fn plain(rows: &[(i64, &'static str)]) -> Data {
    Data::default()
        .with("id", ints(rows.iter().map(|row| row.0)))
        .with("value", texts(rows.iter().map(|row| row.1)))
}

fn untimed() -> Vec<Case> {
    let stored = || dated(&[(1, "a", 9, Some(5)), (1, "b", 5, None), (2, "x", 9, None)]);
    let cases = vec![
        Case::new(
            "without_a_modification_column_a_version_begins_with_the_run",
            stored(),
            plain(&[(1, "c"), (3, "n"), (2, "x")]),
            UNTIMED,
            counts(Counts { updated: 1, opened: 1, inserted: 1, unchanged: 1, ..NONE }),
        ),
        Case::new(
            "without_a_modification_column_a_history_can_begin",
            None,
            plain(&[(1, "a"), (2, "x")]),
            UNTIMED,
            counts(Counts { inserted: 2, ..NONE }),
        ),
        Case::new(
            "a_version_that_differs_now_has_the_columns_that_it_lacks_of_the_current_one",
            stored().with("more", ints([1, 2, 3])),
            plain(&[(1, "c"), (2, "x"), (3, "n")]),
            UNTIMED,
            counts(Counts { updated: 1, opened: 1, inserted: 1, unchanged: 1, ..NONE }),
        ),
        Case::new(
            "an_old_version_that_comes_again_begins_with_the_run",
            stored(),
            plain(&[(1, "a")]),
            UNTIMED,
            counts(Counts { updated: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "without_a_modification_column_twins_that_differ_are_refused",
            stored(),
            plain(&[(1, "c"), (1, "d")]),
            UNTIMED,
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "without_a_modification_column_a_delete_mark_ends_a_version_with_the_run",
            stored(),
            plain(&[(2, ""), (9, "")]).with("op", texts(["D", "D"])),
            UNTIMED_MARKED,
            counts(Counts { tombstones: 2, closed: 1, ..NONE }),
        ),
        Case::new(
            "an_id_that_was_deleted_comes_again_with_the_run",
            dated(&[(1, "a", 9, Some(5)), (2, "x", 0, Some(0)), (3, "p", 0, None)]),
            plain(&[(1, "a"), (2, "x"), (3, "q")]),
            UNTIMED,
            counts(Counts { updated: 3, opened: 1, ..NONE }),
        ),
        Case::new(
            "a_stored_version_must_not_begin_after_the_run",
            dated(&[(1, "a", -1, None)]),
            plain(&[(1, "b")]),
            UNTIMED,
            refused("a stored version begins after the time of this run"),
        ),
    ];
    let ahead = || dated(&[(1, "a", 9, Some(-1)), (1, "b", -1, None), (2, "x", 9, None)]);
    let clock = vec![
        Case::new(
            "a_delete_mark_must_not_be_before_what_holds",
            ahead(),
            plain(&[(1, "")]).with("op", texts(["D"])),
            UNTIMED_MARKED,
            refused("a stored version begins after the time of this run"),
        ),
        Case::new(
            "a_run_that_ends_versions_must_not_be_before_they_begin",
            ahead(),
            plain(&[(2, "x")]),
            but(UNTIMED, |choices| choices.close_missing = true),
            refused("a stored version begins after the time of this run"),
        ),
    ];
    let ends = Case::new(
        "without_a_modification_column_versions_that_do_not_come_in_end_with_the_run",
        stored(),
        plain(&[(1, "b")]),
        but(UNTIMED, |choices| choices.close_missing = true),
        counts(Counts { unchanged: 1, closed: 1, ..NONE }),
    );
    let dates = Case::new(
        "a_modification_column_must_come_in_for_a_history",
        stored(),
        plain(&[(1, "c")]),
        HISTORY,
        Expect::Refused { kind: ErrorKind::InvalidInput, message: "modification column is missing" },
    );
    cases.into_iter().chain(clock).chain([ends, dates]).map(|case| case.only(WITH_TIMESTAMPS)).collect()
}
