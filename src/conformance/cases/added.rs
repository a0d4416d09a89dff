//! Cases about incoming columns that are stored from then on.

use super::columns::WITH_REQUIRED_COLUMNS;
use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, STALE, Scope, UNCHANGED, UPDATED, bools, but,
    floats, ints, no_rows, refused, rows, texts,
};
use crate::core::format::Format;
use crate::core::merge::{
    ColumnPolicy, ExtraColumns, MissingColumns, NameCase, Stale, StoredDuplicates, UpsertMethod,
};

/// Formats that say their columns apart from their rows.
const WITH_COLUMNS: Scope = Scope {
    formats: &[Format::Parquet, Format::Csv],
    why: "where no record is written, none says a new key",
};

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

/// Columns that are not stored are added.
fn adding(rule: Rule) -> Rule {
    but(rule, |choices| choices.extra = ExtraColumns::Add)
}

/// By the newest row, and those with the mark go.
fn marked() -> Rule {
    but(adding(NEWEST), |choices| choices.delete_where = Some("op = 'D'"))
}

fn stored() -> Data {
    rows(&[(1, "a", 5), (2, "b", 5)])
}

/// The first stored row, and a value in a new column.
fn one(more: Option<&'static str>) -> Data {
    rows(&[(1, "a", 5)]).with("more", texts([more]))
}

/// Two rows that change something, the second of them without a value in a new column.
fn two() -> Data {
    rows(&[(1, "A", 6), (7, "z", 6)]).with("more", texts([Some("x"), None]))
}

pub(super) fn cases() -> Vec<Case> {
    [added(), not_added(), beside_others(), with_rows_that_go(), with_versions()].concat()
}

fn added() -> Vec<Case> {
    let both = counts(Counts { updated: 1, inserted: 1, ..NONE });
    let first = Data::default()
        .with("z", bools([Some(true), None]))
        .with("id", ints([2, 7]))
        .with("y", floats([None, Some(1.5)]))
        .with("value", texts(["b", "z"]));
    vec![
        Case::new("a_column_that_is_not_stored_is_added", stored(), two(), adding(NEWEST), both),
        Case::new(
            "columns_are_added_in_the_order_in_which_they_come_in",
            stored(),
            first,
            adding(BY_ID),
            both,
        ),
        Case::new(
            "a_row_that_differs_in_an_added_column_alone_is_updated",
            stored(),
            one(Some("x")),
            adding(BY_ID),
            UPDATED,
        ),
        Case::new(
            "a_column_without_a_value_is_not_added",
            stored(),
            rows(&[(1, "A", 5)]).with("more", texts([None])),
            adding(BY_ID),
            UPDATED,
        ),
        Case::new(
            "a_modification_column_may_be_added_and_every_row_is_newer",
            Data::default().with("id", ints([1, 2])).with("value", texts(["a", "b"])),
            stored(),
            adding(NEWEST),
            counts(Counts { updated: 2, ..NONE }),
        ),
        Case::new(
            "a_table_without_rows_may_get_columns",
            no_rows(),
            two(),
            adding(NEWEST),
            counts(Counts { inserted: 2, ..NONE }),
        )
        .only(WITH_REQUIRED_COLUMNS),
        Case::new(
            "a_table_with_a_column_that_takes_no_nulls_may_get_one_that_does",
            stored().with_required("must", texts(["x", "y"])),
            one(Some("x")),
            adding(BY_ID),
            UPDATED,
        )
        .only(WITH_REQUIRED_COLUMNS),
    ]
}

fn not_added() -> Vec<Case> {
    let like = || Data::default().with("id", ints([1])).with("Value", texts(["A"]));
    vec![
        Case::new(
            "a_column_is_not_added_by_rows_that_change_nothing",
            stored(),
            one(None),
            adding(BY_ID),
            UNCHANGED,
        ),
        Case::new(
            "a_column_is_not_added_by_rows_that_are_stale",
            stored(),
            rows(&[(1, "A", 4)]).with("more", texts(["x"])),
            adding(NEWEST),
            STALE,
        ),
        Case::new(
            "a_column_is_not_added_by_no_rows",
            stored(),
            no_rows().with("more", texts::<&str>([])),
            adding(NEWEST),
            counts(NONE),
        ),
        Case::new(
            "a_column_is_not_added_by_no_rows_though_a_stored_twin_goes",
            rows(&[(1, "a", 5), (1, "A", 6), (2, "b", 5)]),
            no_rows().with("more", texts::<&str>([])),
            but(adding(NEWEST), |choices| choices.stored_duplicates = StoredDuplicates::Repair),
            counts(Counts { repaired: 1, ..NONE }),
        ),
        Case::new(
            "an_id_column_that_is_not_stored_is_not_added",
            Data::default().with("value", texts(["a"])).with("at", ints([5])),
            rows(&[(1, "a", 5)]),
            adding(BY_ID),
            refused("the target has no such columns"),
        ),
        Case::new(
            "a_column_that_differs_from_a_stored_one_in_its_case_is_not_added",
            stored(),
            like(),
            adding(BY_ID),
            refused("the target has no such columns"),
        ),
        Case::new(
            "a_column_that_is_taken_for_a_stored_one_is_not_added",
            stored(),
            like().with("more", texts(["x"])),
            but(adding(BY_ID), |choices| choices.case = NameCase::Fold),
            UPDATED,
        ),
        Case::new(
            "two_columns_that_differ_only_in_case_are_not_added",
            stored(),
            one(Some("x")).with("More", texts(["y"])),
            adding(BY_ID),
            refused("two columns differ only in case"),
        ),
        Case::new(
            "the_scope_is_not_about_a_column_that_is_added",
            stored(),
            one(Some("x")),
            but(adding(BY_ID), |choices| choices.scope = Some("more = 'x'")),
            refused("scope column is missing"),
        ),
    ]
}

fn beside_others() -> Vec<Case> {
    let policy = |policies| but(adding(BY_ID), |choices| choices.policies = policies);
    let greatest: &[_] = &[("more", ColumnPolicy::Max)];
    let twins = || rows(&[(1, "a", 5), (1, "a", 5)]).with("more", texts(["x", "y"]));
    let doubles = || rows(&[(1, "a", 5), (1, "A", 6), (2, "b", 5)]);
    vec![
        Case::new(
            "a_column_with_a_policy_may_be_added",
            stored(),
            two(),
            policy(greatest),
            counts(Counts { updated: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "only_new_rows_have_a_value_in_an_added_column_that_keeps_what_is_stored",
            stored(),
            rows(&[(1, "A", 6), (7, "z", 6)]).with("more", texts(["x", "y"])),
            policy(&[("more", ColumnPolicy::InsertOnly)]),
            counts(Counts { updated: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "stored_columns_are_null_beside_one_that_is_added",
            stored(),
            Data::default().with("id", ints([1])).with("more", texts(["x"])),
            but(adding(BY_ID), |choices| choices.missing = MissingColumns::Null),
            UPDATED,
        ),
        Case::new(
            "twins_that_differ_in_an_added_column_alone_differ",
            stored(),
            twins(),
            adding(BY_ID),
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "stale_rows_are_put_aside_with_a_column_that_is_added",
            stored(),
            rows(&[(1, "A", 4), (2, "B", 6)]).with("more", texts(["x", "y"])),
            but(adding(NEWEST), |choices| choices.stale = Stale::Quarantine),
            counts(Counts { updated: 1, stale: 1, quarantined: 1, ..NONE }),
        ),
        Case::new(
            "stored_twins_go_and_a_column_comes",
            doubles(),
            rows(&[(2, "b", 6)]).with("more", texts(["x"])),
            but(adding(NEWEST), |choices| choices.stored_duplicates = StoredDuplicates::Repair),
            counts(Counts { updated: 1, repaired: 1, ..NONE }),
        ),
        Case::new(
            "only_new_rows_are_written_and_a_column_is_added",
            stored(),
            two(),
            Rule { method: UpsertMethod::InsertOnly, modified: None, ..adding(BY_ID) },
            counts(Counts { inserted: 1, ignored: 1, ..NONE }),
        ),
    ]
}

fn with_rows_that_go() -> Vec<Case> {
    let op = |op: [&'static str; 2]| two().with("op", texts(op));
    let flagged = || stored().with("gone", bools([Some(false), Some(false)]));
    vec![
        Case::new(
            "a_column_that_only_delete_marks_name_is_not_added",
            stored(),
            op(["D", "U"]),
            marked(),
            counts(Counts { tombstones: 1, deleted: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_row_that_goes_is_a_change_and_adds_the_column",
            stored(),
            rows(&[(1, "a", 6)]).with("more", texts(["x"])).with("op", texts(["D"])),
            marked(),
            counts(Counts { tombstones: 1, deleted: 1, ..NONE }),
        )
        .only(WITH_COLUMNS),
        Case::new(
            "a_row_that_is_deleted_and_stays_has_no_value_in_an_added_column",
            flagged(),
            op(["D", "U"]),
            but(marked(), |choices| choices.soft_delete = Some("gone")),
            counts(Counts { tombstones: 1, soft_deleted: 1, inserted: 1, ..NONE }),
        ),
        Case::new(
            "a_mirror_may_add_a_column",
            stored(),
            two(),
            Rule { method: UpsertMethod::Mirror, ..adding(NEWEST) },
            counts(Counts { updated: 1, inserted: 1, deleted: 1, ..NONE }),
        ),
    ]
}

fn with_versions() -> Vec<Case> {
    let history = Rule { method: UpsertMethod::History, ..adding(NEWEST) };
    let stored = Data::default()
        .with("id", ints([1, 2]))
        .with("value", texts(["a", "b"]))
        .with("valid_from", ints([5, 5]))
        .with("valid_to", ints([None::<i64>, None]))
        .with("is_current", bools([Some(true), Some(true)]));
    vec![
        Case::new(
            "versions_before_a_column_was_added_have_no_value_in_it",
            stored.clone(),
            two(),
            history,
            counts(Counts { updated: 1, inserted: 1, opened: 1, ..NONE }),
        ),
        Case::new(
            "a_version_that_comes_in_late_has_its_value_in_an_added_column",
            stored,
            rows(&[(1, "0", 4)]).with("more", texts(["x"])),
            history,
            counts(Counts { updated: 1, opened: 1, ..NONE }),
        ),
    ]
}
