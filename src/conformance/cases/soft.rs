//! Cases about stored rows that a delete mark does not take out: a column says then that they are deleted.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};

use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, Scope, bools, but, ints, refused, rows, texts,
};
use crate::conformance::Choices;
use crate::core::format::Format;
use crate::core::merge::{ColumnPolicy, MaxDelete, MissingColumns, Ties, UpsertMethod};

const FLAGGED: Choices =
    Choices { delete_where: Some("op = 'D'"), soft_delete: Some("gone"), ..BY_ID.choices };
const BY_FLAG: Rule = Rule { choices: FLAGGED, ..BY_ID };
const NEWEST_FLAG: Rule = Rule { choices: FLAGGED, ..NEWEST };

const PARQUET: Scope = Scope {
    formats: &[Format::Parquet],
    why: "what a text file says without a value of its own is told from all",
};

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

/// Rows of an id, a text, a modification value, and what is to be done.
fn changes(changes: &[(i64, &'static str, i64, &'static str)]) -> Data {
    let rows: Vec<_> = changes.iter().map(|row| (row.0, row.1, row.2)).collect();
    super::rows(&rows).with("op", texts(changes.iter().map(|row| row.3)))
}

/// Two rows that are there, two that are deleted.
fn stored() -> Data {
    let rows = rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5), (4, "d", 5)]);
    rows.with("gone", bools([Some(false), Some(false), Some(true), Some(true)]))
}

/// The same, where it stands when a row was deleted.
fn dated() -> Data {
    let rows = rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5)]);
    rows.with("gone", ints([None, None, Some(4)]))
}

/// Moments, as so many days after the first one.
fn moments(days: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    let micros = days.into_iter().map(|day| day.map(|day| day * 86_400_000_000));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

pub(super) fn cases() -> Vec<Case> {
    [marked(), versions(), timed(), others()].concat()
}

fn timed() -> Vec<Case> {
    let stored = || {
        let rows = Data::default().with("id", ints([1, 2, 3])).with("value", texts(["a", "b", "c"]));
        rows.with("gone", moments([None, None, Some(3)]))
    };
    let marks = || Data::default().with("id", ints([1, 3, 7])).with("op", texts(["D", "U", "D"]));
    let at = |rows: Data, days: [i64; 3]| rows.with("at", moments(days.map(Some)));
    vec![
        Case::new(
            "a_timestamp_says_when_a_row_was_deleted_softly",
            at(stored(), [2, 2, 3]),
            at(marks(), [9, 8, 9]),
            NEWEST_FLAG,
            counts(Counts { tombstones: 2, soft_deleted: 1, updated: 1, ..NONE }),
        )
        .only(PARQUET),
        Case::new(
            "without_a_modification_column_a_row_is_deleted_softly_at_the_time_of_the_run",
            stored(),
            marks(),
            BY_FLAG,
            counts(Counts { tombstones: 2, soft_deleted: 1, updated: 1, ..NONE }),
        )
        .only(PARQUET),
    ]
}

fn marked() -> Vec<Case> {
    vec![
        Case::new(
            "a_softly_deleted_row_keeps_its_values",
            stored(),
            changes(&[(2, "other", 9, "D"), (7, "z", 9, "I")]),
            BY_FLAG,
            counts(Counts { tombstones: 1, soft_deleted: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_mark_for_soft_deletion_needs_no_more_than_the_id",
            stored(),
            Data::default().with("id", ints([1, 7])).with("op", texts(["D", "D"])),
            BY_FLAG,
            counts(Counts { tombstones: 2, soft_deleted: 1, ..NONE }),
        ),
        Case::new(
            "who_is_softly_deleted_already_stays_as_it_is",
            stored(),
            changes(&[(3, "other", 9, "D")]),
            BY_FLAG,
            counts(Counts { tombstones: 1, ..NONE }),
        ),
        Case::new(
            "a_softly_deleted_row_that_comes_again_is_revived",
            stored(),
            changes(&[(3, "c", 5, "U"), (4, "D", 6, "U"), (1, "a", 5, "U")]),
            BY_FLAG,
            counts(Counts { updated: 2, unchanged: 1, ..NONE }),
        ),
        Case::new(
            "a_row_that_was_never_deleted_needs_no_clearing",
            rows(&[(1, "a", 5), (2, "b", 5)]).with("gone", bools([None, Some(true)])),
            changes(&[(1, "a", 5, "U"), (2, "", 0, "D")]),
            BY_FLAG,
            counts(Counts { unchanged: 1, tombstones: 1, ..NONE }),
        ),
        Case::new(
            "soft_deletion_takes_no_nulls_where_none_may_be",
            rows(&[(1, "a", 5)]).with_required("gone", bools([Some(false)])),
            changes(&[(1, "", 9, "D"), (2, "b", 9, "I")]),
            BY_FLAG,
            counts(Counts { tombstones: 1, soft_deleted: 1, inserted: 1, ..NONE }),
        ),
    ]
}

fn versions() -> Vec<Case> {
    vec![
        Case::new(
            "a_softly_deleted_row_says_when_that_was",
            dated(),
            changes(&[(1, "", 9, "D"), (2, "B", 9, "U")]),
            NEWEST_FLAG,
            counts(Counts { tombstones: 1, soft_deleted: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "a_mark_older_than_the_stored_row_deletes_nothing_softly",
            dated(),
            changes(&[(1, "", 4, "D")]),
            NEWEST_FLAG,
            counts(Counts { stale: 1, ..NONE }),
        ),
        Case::new(
            "a_newer_mark_of_a_softly_deleted_row_moves_its_version_on",
            dated(),
            changes(&[(3, "", 9, "D")]),
            NEWEST_FLAG,
            counts(Counts { tombstones: 1, soft_deleted: 1, ..NONE }),
        ),
        Case::new(
            "an_equally_new_mark_of_a_softly_deleted_row_changes_nothing",
            dated(),
            changes(&[(3, "other", 5, "D")]),
            NEWEST_FLAG,
            counts(Counts { tombstones: 1, ..NONE }),
        ),
        Case::new(
            "an_equally_new_mark_for_soft_deletion_ties",
            dated(),
            changes(&[(1, "", 5, "D")]),
            NEWEST_FLAG,
            counts(Counts { tombstones: 1, soft_deleted: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "an_equally_new_mark_for_soft_deletion_may_lose",
            dated(),
            changes(&[(1, "", 5, "D")]),
            but(NEWEST_FLAG, |choices| choices.ties = Ties::Keep),
            counts(Counts { stale: 1, ties: 1, ..NONE }),
        ),
        Case::new(
            "only_a_newer_row_revives_a_softly_deleted_one",
            dated(),
            changes(&[(3, "C", 4, "U"), (1, "A", 6, "U")]),
            NEWEST_FLAG,
            counts(Counts { stale: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "a_newer_row_revives_a_softly_deleted_one",
            dated(),
            changes(&[(3, "C", 6, "U")]),
            NEWEST_FLAG,
            counts(Counts { updated: 1, ..NONE }),
        ),
        Case::new(
            "of_a_row_and_a_mark_for_soft_deletion_the_newer_counts",
            dated(),
            changes(&[(1, "x", 7, "U"), (1, "y", 8, "D"), (2, "z", 8, "U"), (2, "", 7, "D")]),
            NEWEST_FLAG,
            counts(Counts { tombstones: 1, soft_deleted: 1, updated: 1, duplicates: 2, ..NONE }),
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        Case::new(
            "a_text_that_is_empty_or_false_says_that_the_row_is_there",
            rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5)]).with("gone", texts(["", "False", "yes"])),
            changes(&[(1, "a", 5, "U"), (2, "b", 5, "U"), (3, "", 9, "D")]),
            BY_FLAG,
            counts(Counts { tombstones: 1, unchanged: 2, ..NONE }),
        )
        .only(PARQUET),
        Case::new(
            "texts_of_dates_say_when_a_row_was_softly_deleted",
            Data::default()
                .with("id", ints([1, 2]))
                .with("at", texts(["2024-01-01", "2024-01-02"]))
                .with("gone", texts([None, Some("2024-01-02")])),
            Data::default()
                .with("id", ints([1, 2]))
                .with("at", texts(["2024-02-01", "2024-02-02"]))
                .with("op", texts(["D", "U"])),
            NEWEST_FLAG,
            counts(Counts { tombstones: 1, soft_deleted: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "policies_of_columns_say_nothing_of_softly_deleted_rows",
            stored(),
            changes(&[(1, "zz", 9, "D"), (2, "zz", 1, "U")]),
            but(BY_FLAG, |choices| choices.policies = &[("at", ColumnPolicy::Max)]),
            counts(Counts { tombstones: 1, soft_deleted: 1, updated: 1, ..NONE }),
        ),
        Case::new(
            "soft_deletions_count_as_rows_that_go",
            stored(),
            changes(&[(1, "", 9, "D"), (2, "", 9, "D")]),
            but(BY_FLAG, |choices| choices.max_delete = Some(MaxDelete::Rows(1))),
            refused("more stored rows would go than is allowed"),
        ),
        Case::new(
            "a_mirror_takes_out_what_does_not_come_in_and_keeps_softly_deleted_rows_that_do",
            stored(),
            changes(&[(1, "", 9, "D"), (2, "b", 5, "U")]),
            Rule { method: UpsertMethod::Mirror, ..BY_FLAG },
            counts(Counts { tombstones: 1, soft_deleted: 1, unchanged: 1, deleted: 2, ..NONE }),
        ),
        Case::new(
            "the_column_of_soft_deletes_is_never_missing",
            stored(),
            changes(&[(1, "a", 5, "U"), (2, "", 9, "D")]),
            but(BY_FLAG, |choices| choices.missing = MissingColumns::Null),
            counts(Counts { tombstones: 1, soft_deleted: 1, unchanged: 1, ..NONE }),
        ),
        Case::new(
            "the_column_of_soft_deletes_must_be_stored",
            rows(&[(1, "a", 5)]),
            changes(&[(1, "", 9, "D")]),
            BY_FLAG,
            refused("the column for soft deletes is not stored"),
        ),
        Case::new(
            "the_column_of_soft_deletes_must_not_come_in",
            stored(),
            changes(&[(1, "", 9, "D")]).with("gone", bools([Some(true)])),
            BY_FLAG,
            refused("the column for soft deletes comes in"),
        ),
    ]
}
