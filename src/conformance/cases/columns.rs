//! Cases about names: columns that are missing, unknown, in another order, or the modification column
//! itself.

use super::{
    BY_ID, Case, Counts, Data, Expect, INSERTED, NEWEST, NONE, STALE, Scope, TIED, UNCHANGED, UPDATED, ints,
    refused, rows, texts,
};
use crate::core::format::Format;

pub(super) const WITH_REQUIRED_COLUMNS: Scope =
    Scope { formats: &[Format::Parquet], why: "a column of a text file cannot refuse nulls" };

pub(super) fn cases() -> Vec<Case> {
    [names(), absent(), required(), iso_text()].concat()
}

fn stored() -> Data {
    rows(&[(1, "a", 5), (2, "b", 5)])
}

fn names() -> Vec<Case> {
    let unknown = refused("the target has no such columns");
    let swapped = Data::default().with("at", ints([6])).with("value", texts(["A"])).with("id", ints([1]));
    vec![
        Case::new("columns_may_come_in_another_order", stored(), swapped, NEWEST, UPDATED),
        Case::new(
            "an_unknown_column_is_refused",
            stored(),
            rows(&[(1, "A", 6)]).with("new", ints([1])),
            NEWEST,
            unknown,
        ),
        Case::new(
            "names_are_matched_exactly",
            stored(),
            Data::default().with("id", ints([1])).with("Value", texts(["A"])),
            BY_ID,
            unknown,
        ),
        Case::new(
            "incoming_columns_that_differ_only_in_case_are_refused",
            stored(),
            rows(&[(1, "A", 6)]).with("ID", ints([1])),
            BY_ID,
            refused("two columns differ only in case"),
        ),
        Case::new(
            "a_collision_of_case_is_told_before_an_unknown_column",
            stored(),
            rows(&[(1, "A", 6)]).with("new", ints([1])).with("Value", texts(["b"])),
            BY_ID,
            refused("two columns differ only in case"),
        ),
        Case::new(
            "unknown_columns_that_differ_only_in_case_collide",
            stored(),
            rows(&[(1, "A", 6)]).with("new", ints([1])).with("NEW", ints([1])),
            BY_ID,
            refused("two columns differ only in case"),
        ),
        Case::new(
            "an_unknown_column_is_told_before_a_missing_id",
            stored(),
            Data::default().with("key", ints([1])).with("value", texts(["a"])),
            BY_ID,
            unknown,
        ),
        Case::new(
            "a_new_target_has_no_columns_that_differ_only_in_case",
            None,
            rows(&[(1, "A", 6)]).with("VALUE", ints([1])),
            BY_ID,
            refused("two columns differ only in case"),
        ),
    ]
}

fn absent() -> Vec<Case> {
    let ids = |ids: &[i64]| Data::default().with("id", ints(ids.iter().copied()));
    vec![
        Case::new(
            "an_update_keeps_the_value_of_an_absent_column",
            stored(),
            ids(&[1]).with("at", ints([6])),
            NEWEST,
            UPDATED,
        ),
        Case::new(
            "an_insert_has_null_in_an_absent_column",
            stored(),
            ids(&[3]).with("at", ints([6])),
            NEWEST,
            INSERTED,
        ),
        Case::new(
            "an_absent_column_is_not_compared",
            stored(),
            ids(&[1]).with("value", texts(["a"])),
            BY_ID,
            UNCHANGED,
        ),
        Case::new(
            "a_batch_of_ids_alone_inserts_and_changes_nothing",
            stored(),
            ids(&[2, 3]),
            BY_ID,
            Expect::Counts(Counts { unchanged: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_missing_id_column_is_refused",
            stored(),
            Data::default().with("value", texts(["a"])),
            BY_ID,
            refused("id column is missing"),
        ),
        Case::new(
            "a_missing_modification_column_is_refused",
            stored(),
            ids(&[1]).with("value", texts(["A"])),
            NEWEST,
            refused("modification column is missing"),
        ),
    ]
}

fn required() -> Vec<Case> {
    let stored =
        || Data::default().with("id", ints([1])).with_required("value", texts(["a"])).with("n", ints([5]));
    let row = |id: i64, value: Option<&'static str>| {
        Data::default().with("id", ints([id])).with("value", texts([value]))
    };
    let case = |name, incoming, expect| {
        Case::new(name, stored(), incoming, BY_ID, expect).only(WITH_REQUIRED_COLUMNS)
    };
    let takes_none = refused("the stored column takes no nulls");
    let lacks = refused("a new row lacks a column that takes no nulls");
    let ids = |id: i64| Data::default().with("id", ints([id])).with("n", ints([6]));
    vec![
        case("a_column_without_nulls_takes_a_value", row(1, Some("A")), UPDATED),
        case("a_null_is_refused_by_a_column_without_nulls", row(1, None), takes_none),
        case("an_update_may_lack_a_column_without_nulls", ids(1), UPDATED),
        case("an_insert_must_have_the_columns_without_nulls", ids(2), lacks),
    ]
}

/// Rows of an id and a modification value in text.
fn dated(rows: &[(i64, &'static str)]) -> Data {
    Data::default()
        .with("id", ints(rows.iter().map(|row| row.0)))
        .with("at", texts(rows.iter().map(|row| row.1)))
}

fn iso_text() -> Vec<Case> {
    let stored = || dated(&[(1, "2021-05-22T02:51:15.100+00:00"), (2, "2021-05-22T04:51:15+02:00")]);
    let mixed = refused("modification values are not all of one kind");
    let row = |at: &'static str| dated(&[(1, at)]);
    vec![
        Case::new(
            "timestamps_in_text_compare_as_instants",
            stored(),
            row("2021-05-22T02:51:15Z"),
            NEWEST,
            STALE,
        ),
        Case::new(
            "a_later_instant_in_text_wins_in_any_zone",
            stored(),
            row("2021-05-22T00:51:15.101-02:00"),
            NEWEST,
            UPDATED,
        ),
        Case::new(
            "one_instant_in_two_texts_is_a_tie",
            stored(),
            row("2021-05-22T04:51:15.1+02:00"),
            NEWEST,
            TIED,
        ),
        Case::new(
            "timestamps_in_text_settle_the_batch_as_instants",
            stored(),
            dated(&[(1, "2021-05-22T03:00:00Z"), (1, "2021-05-22T04:00:00+02:00")]),
            NEWEST,
            Expect::Counts(Counts { updated: 1, duplicates: 1, ..NONE }),
        ),
        Case::new(
            "timestamps_beside_other_text_are_refused",
            stored(),
            dated(&[(1, "2021-05-22T03:00:00Z"), (2, "later")]),
            NEWEST,
            mixed,
        ),
        Case::new(
            "texts_with_and_without_a_zone_are_refused",
            stored(),
            dated(&[(1, "2021-05-22T03:00:00Z"), (2, "2021-05-22T03:00:00")]),
            NEWEST,
            mixed,
        ),
        Case::new("other_text_compares_as_text", dated(&[(1, "v2")]), row("v10"), NEWEST, STALE),
    ]
}
