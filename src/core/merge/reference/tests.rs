//! The judge, judged by hand.

use super::*;

fn table(columns: &str, rows: &[&[Cell]]) -> Table {
    let columns = columns.split(' ').map(ToOwned::to_owned).collect();
    Table { columns, rows: rows.iter().map(|row| row.to_vec()).collect() }
}

fn int(value: i128) -> Cell {
    Cell::Int(value)
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

/// Rows of an id, a value and a modification value.
fn rows(rows: &[(i128, &str, Cell)]) -> Table {
    let rows: Vec<Vec<Cell>> =
        rows.iter().map(|(id, value, at)| vec![int(*id), text(value), at.clone()]).collect();
    Table { columns: ["id", "value", "at"].map(ToOwned::to_owned).to_vec(), rows }
}

fn by_id() -> MergeRule {
    MergeRule::by_id(["id"]).expect("a rule")
}

fn newest() -> MergeRule {
    MergeRule::by_modified(["id"], "at").expect("a rule")
}

fn counted(stored: &Table, incoming: &Table, rule: &MergeRule) -> RowCounts {
    let Merged { counts, .. } = merge(stored, incoming, rule, &Conditions::default()).expect("merges");
    counts.verify().expect("adds up");
    counts
}

#[test]
fn updates_stand_where_the_old_row_stood_and_inserts_come_last() {
    let stored = rows(&[(1, "a", int(1)), (2, "b", int(1)), (3, "c", int(1))]);
    let incoming = rows(&[(9, "z", int(1)), (2, "B", int(1)), (8, "y", int(1)), (1, "a", int(1))]);
    let Merged { table: result, counts, .. } =
        merge(&stored, &incoming, &by_id(), &Conditions::default()).expect("merges");
    let expected = [(1, "a", 1), (2, "B", 1), (3, "c", 1), (9, "z", 1), (8, "y", 1)];
    assert_eq!(result, rows(&expected.map(|(id, value, at)| (id, value, int(at)))));
    assert_eq!((counts.updated, counts.inserted, counts.unchanged), (1, 2, 1));
    assert_eq!((counts.rows_before, counts.rows_after), (Some(3), Some(5)));
}

#[test]
fn the_newer_row_stays_and_an_equal_one_that_differs_is_a_tie() {
    let stored = rows(&[(1, "a", int(5)), (2, "b", int(5)), (3, "c", int(5)), (4, "d", int(5))]);
    let incoming = rows(&[(1, "A", int(6)), (2, "B", int(4)), (3, "C", int(5)), (4, "d", int(5))]);
    let counts = counted(&stored, &incoming, &newest());
    assert_eq!((counts.updated, counts.stale, counts.unchanged, counts.ties), (2, 1, 1, 1));
}

#[test]
fn an_id_that_ties_in_the_batch_and_with_the_stored_row_is_one_tie() {
    let stored = rows(&[(1, "a", int(5))]);
    let incoming = rows(&[(1, "b", int(5)), (1, "c", int(5))]);
    let counts = counted(&stored, &incoming, &newest());
    assert_eq!((counts.ties, counts.duplicates, counts.updated), (1, 1, 1));
}

#[test]
fn a_tie_below_the_newest_row_does_not_count() {
    let incoming = rows(&[(1, "a", int(1)), (1, "b", int(1)), (1, "c", int(2))]);
    let Merged { table: result, counts, .. } =
        merge(&rows(&[]), &incoming, &newest(), &Conditions::default()).expect("merges");
    assert_eq!((result, counts.ties), (rows(&[(1, "c", int(2))]), 0));
}

#[test]
fn a_null_and_a_nan_are_lowest_and_equal() {
    let nan = || Cell::Float(f64::NAN);
    let stored = rows(&[(1, "a", Cell::Null), (2, "b", Cell::Float(-1.0)), (3, "c", nan())]);
    let incoming = rows(&[(1, "A", nan()), (2, "B", Cell::Null), (3, "C", Cell::Float(-9.0))]);
    let counts = counted(&stored, &incoming, &newest());
    assert_eq!((counts.updated, counts.ties, counts.stale), (2, 1, 1));
}

#[test]
fn zero_has_no_sign_and_nan_is_itself_among_values() {
    let stored = table("id x y", &[&[int(1), Cell::Float(0.0), Cell::Float(f64::NAN)]]);
    let incoming = table("id x y", &[&[int(1), Cell::Float(-0.0), Cell::Float(-f64::NAN)]]);
    assert_eq!(counted(&stored, &incoming, &by_id()).unchanged, 1);
}

#[test]
fn a_column_that_does_not_come_in_keeps_its_value_or_is_null() {
    let stored = rows(&[(1, "a", int(5))]);
    let incoming = table("at id", &[&[int(6), int(1)], &[int(7), int(2)]]);
    let Merged { table: result, .. } =
        merge(&stored, &incoming, &newest(), &Conditions::default()).expect("merges");
    assert_eq!(result.rows, [vec![int(1), text("a"), int(6)], vec![int(2), Cell::Null, int(7)]]);
}

#[test]
fn timestamps_in_text_compare_as_instants() {
    let stored = rows(&[(1, "a", text("2021-05-22T02:51:15.100Z"))]);
    let at = |at| rows(&[(1, "b", text(at))]);
    assert_eq!(counted(&stored, &at("2021-05-22T02:51:15Z"), &newest()).stale, 1);
    assert_eq!(counted(&stored, &at("2021-05-22T04:51:15.2+02:00"), &newest()).updated, 1);
    assert_eq!(counted(&stored, &at("2021-05-22T04:51:15.1+02:00"), &newest()).ties, 1);
    let naive = merge(&stored, &at("2021-05-22T02:51:15"), &newest(), &Conditions::default());
    assert_eq!(naive, Err(Refusal::Mixed("at".into())));
    assert_eq!(
        merge(&stored, &at("v1"), &newest(), &Conditions::default()),
        Err(Refusal::Mixed("at".into()))
    );
}

#[test]
fn bad_input_is_refused_by_its_name() {
    let stored = rows(&[(1, "a", int(1)), (2, "b", int(1)), (2, "c", int(1))]);
    let refused =
        |incoming: &Table| merge(&stored, incoming, &newest(), &Conditions::default()).expect_err("refused");
    assert_eq!(refused(&table("id ID at", &[])), Refusal::SameName("id".into(), "ID".into()));
    assert_eq!(refused(&table("id at x", &[])), Refusal::ExtraColumns(vec!["x".into()]));
    assert_eq!(refused(&table("at", &[])), Refusal::MissingId("id".into()));
    assert_eq!(refused(&table("id", &[])), Refusal::MissingModified("at".into()));
    let one = |id, at| table("id at", &[&[id, at]]);
    assert_eq!(refused(&one(Cell::Float(1.0), int(1))), Refusal::FloatId("id".into()));
    assert_eq!(refused(&one(Cell::List(vec![]), int(1))), Refusal::NestedId("id".into()));
    assert_eq!(refused(&one(Cell::Null, int(1))), Refusal::NullId("id".into(), 1));
    assert_eq!(refused(&one(int(1), Cell::List(vec![]))), Refusal::NoOrder("at".into()));
    assert_eq!(refused(&one(int(2), int(1))), Refusal::StoredTwice(1));
    let twins = rows(&[(7, "x", int(1)), (7, "y", int(1))]);
    assert_eq!(merge(&stored, &twins, &by_id(), &Conditions::default()), Err(Refusal::Ambiguous(1)));
}

#[test]
fn stored_rows_without_an_id_are_left_alone() {
    let stored = table("id x", &[&[Cell::Null, int(1)], &[Cell::Null, int(2)]]);
    let incoming = table("id x", &[&[int(1), int(3)]]);
    assert_eq!(counted(&stored, &incoming, &by_id()).rows_after, Some(3));
}
