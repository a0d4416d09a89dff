//! The judge: a plain merge over rows that anyone can read in a minute.
//!
//! It shares no code with the kernel, knows no Arrow, and prefers a simple loop to a fast one. The
//! conformance suite expects from every backend, format and store what this computes.

mod cell;

use std::cmp::Ordering;

use super::rule::Fate;
use super::{Duplicates, ExtraColumns, MergeRule, MissingColumns, NullModified, Stale, Ties, Winner};
use crate::core::report::RowCounts;
use crate::core::text::{instant, number};

pub(crate) use cell::{Cell, Table};

/// Why a merge is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Two incoming columns are equal, or equal but for case.
    SameName(String, String),
    /// These stored columns do not come in.
    MissingColumns(Vec<String>),
    /// These incoming columns are not stored.
    ExtraColumns(Vec<String>),
    /// An id column does not come in.
    MissingId(String),
    /// The modification column does not come in.
    MissingModified(String),
    /// An id column holds floats.
    FloatId(String),
    /// An id column holds lists or structs.
    NestedId(String),
    /// So many rows of an id column are null.
    NullId(String, usize),
    /// The modification column holds lists or structs.
    NoOrder(String),
    /// So many rows have no modification value.
    NullModified(usize),
    /// A text modification value is a timestamp where others are not, or the other way round.
    Mixed(String),
    /// So many ids come in with rows that differ, and nothing says which counts.
    Ambiguous(usize),
    /// So many ids that come in are stored more than once.
    StoredTwice(usize),
    /// So many rows are older than the stored ones.
    Stale(usize),
    /// So many rows differ from the stored ones, and neither is newer.
    Tied(usize),
}

/// Folds `incoming` into `stored` as `rule` says: the new table, and what became of each row.
///
/// # Errors
///
/// The first reason to refuse, in the order of [`Refusal`].
pub(crate) fn merge(
    stored: &Table,
    incoming: &Table,
    rule: &MergeRule,
) -> Result<(Table, RowCounts), Refusal> {
    check_columns(stored, incoming, rule)?;
    let incoming = &taken(stored, incoming, rule);
    check_ids(incoming, rule)?;
    let reading = Reading::of(incoming, rule)?;
    check_modified(incoming, rule)?;
    let settled = settle(incoming, rule, reading)?;

    let mut result = stored.clone();
    let (mut stored_twice, mut older, mut equally_new) = (0, 0, 0);
    let mut counts = RowCounts {
        incoming: incoming.rows.len() as u64,
        duplicates: (incoming.rows.len() - settled.len()) as u64,
        ..RowCounts::default()
    };
    for Settled { row, mut tied } in settled {
        let id = id_of(incoming, row, rule);
        let partners: Vec<usize> =
            (0..stored.rows.len()).filter(|other| id_of(stored, &stored.rows[*other], rule) == id).collect();
        let Some(at) = partners.first().copied() else {
            counts.ties += u64::from(tied);
            if rule.only_incoming() == Fate::Leave {
                counts.ignored += 1;
                continue;
            }
            counts.inserted += 1;
            result.rows.push(overlay(stored, vec![Cell::Null; stored.columns.len()], incoming, row));
            continue;
        };
        stored_twice += usize::from(partners.len() > 1);
        if rule.matched() == Fate::Leave {
            counts.ignored += 1;
            counts.ties += u64::from(tied);
            continue;
        }
        let old = &stored.rows[at];
        let new = overlay(stored, old.clone(), incoming, row);
        let newer = newer(rule, reading, (incoming, row), (stored, old))?;
        match newer {
            Some(Ordering::Less) => {
                counts.stale += 1;
                older += 1;
            }
            None | Some(Ordering::Equal) if &new == old => counts.unchanged += 1,
            Some(Ordering::Equal) if rule.newest().is_some_and(|newest| newest.ties == Ties::Keep) => {
                tied = true;
                counts.stale += 1;
            }
            _ => {
                equally_new += usize::from(newer == Some(Ordering::Equal));
                tied |= newer == Some(Ordering::Equal);
                counts.updated += 1;
                result.rows[at] = new;
            }
        }
        counts.ties += u64::from(tied);
    }
    if stored_twice > 0 {
        return Err(Refusal::StoredTwice(stored_twice));
    }
    if older > 0 && rule.newest().is_some_and(|newest| newest.stale == Stale::Error) {
        return Err(Refusal::Stale(older));
    }
    if equally_new > 0 && rule.newest().is_some_and(|newest| newest.ties == Ties::Error) {
        return Err(Refusal::Tied(equally_new));
    }
    counts.rows_before = Some(stored.rows.len() as u64);
    counts.rows_after = Some(result.rows.len() as u64);
    Ok((result, counts))
}

/// How the incoming row compares with the stored one; `None` if the rule does not ask.
fn newer(
    rule: &MergeRule,
    reading: Reading,
    (incoming, new): (&Table, &[Cell]),
    (stored, old): (&Table, &[Cell]),
) -> Result<Option<Ordering>, Refusal> {
    let Winner::Newest(newest) = rule.winner() else { return Ok(None) };
    let column = &newest.column;
    Ok(Some(reading.value(incoming, new, column)?.compare(&reading.value(stored, old, column)?)))
}

fn check_columns(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    for (i, name) in incoming.columns.iter().enumerate() {
        let twin = incoming.columns[..i].iter().find(|other| other.to_lowercase() == name.to_lowercase());
        if let Some(twin) = twin {
            return Err(Refusal::SameName(twin.clone(), name.clone()));
        }
    }
    let is_key = |name: &String| rule.ids().contains(name) || rule.modified() == Some(name);
    let missing: Vec<String> =
        stored.columns.iter().filter(|name| incoming.column(name).is_none()).cloned().collect();
    let missing: Vec<String> = missing.into_iter().filter(|name| !is_key(name)).collect();
    if !missing.is_empty() && rule.missing_columns() == MissingColumns::Error {
        return Err(Refusal::MissingColumns(missing));
    }
    let is_like = |name: &String| stored.columns.iter().any(|own| own.to_lowercase() == name.to_lowercase());
    let may_be_left_out =
        |name: &String| rule.extra_columns() == ExtraColumns::Ignore && !is_key(name) && !is_like(name);
    let extra =
        incoming.columns.iter().filter(|name| stored.column(name).is_none() && !may_be_left_out(name));
    let extra: Vec<String> = extra.cloned().collect();
    if !extra.is_empty() {
        return Err(Refusal::ExtraColumns(extra));
    }
    if let Some(id) = rule.ids().iter().find(|id| incoming.column(id).is_none()) {
        return Err(Refusal::MissingId(id.clone()));
    }
    match rule.modified() {
        Some(column) if incoming.column(column).is_none() => Err(Refusal::MissingModified(column.into())),
        _ => Ok(()),
    }
}

/// The incoming columns that are stored, and nulls in those that overwrite without coming in.
fn taken(stored: &Table, incoming: &Table, rule: &MergeRule) -> Table {
    let mut taken = Table { columns: Vec::new(), rows: vec![Vec::new(); incoming.rows.len()] };
    for (place, name) in incoming.columns.iter().enumerate() {
        if rule.extra_columns() == ExtraColumns::Error || stored.column(name).is_some() {
            taken.columns.push(name.clone());
            let cells = incoming.rows.iter().map(|row| row[place].clone());
            taken.rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
        }
    }
    for name in &stored.columns {
        if rule.missing_columns() == MissingColumns::Null && incoming.column(name).is_none() {
            taken.columns.push(name.clone());
            taken.rows.iter_mut().for_each(|row| row.push(Cell::Null));
        }
    }
    taken
}

fn check_modified(incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    let Some(newest) = rule.newest().filter(|newest| newest.nulls == NullModified::Error) else {
        return Ok(());
    };
    let values = incoming.rows.iter().filter_map(|row| cell(incoming, row, &newest.column));
    let is_nothing = |value: &&Cell| match value {
        Cell::Null => true,
        Cell::Float(number) => number.is_nan(),
        _ => false,
    };
    match values.filter(is_nothing).count() {
        0 => Ok(()),
        nulls => Err(Refusal::NullModified(nulls)),
    }
}

fn check_ids(incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    for id in rule.ids() {
        let cells: Vec<&Cell> = incoming.rows.iter().filter_map(|row| cell(incoming, row, id)).collect();
        if cells.iter().any(|cell| matches!(cell, Cell::Float(_))) {
            return Err(Refusal::FloatId(id.clone()));
        }
        if cells.iter().any(|cell| matches!(cell, Cell::List(_))) {
            return Err(Refusal::NestedId(id.clone()));
        }
        let nulls = cells.iter().filter(|cell| ***cell == Cell::Null).count();
        if nulls > 0 {
            return Err(Refusal::NullId(id.clone(), nulls));
        }
    }
    Ok(())
}

/// The row that counts among the incoming ones of its id.
struct Settled<'a> {
    row: &'a [Cell],
    tied: bool,
}

/// One row per id: the newest, and of those that are equally new the last or the first.
fn settle<'a>(incoming: &'a Table, rule: &MergeRule, reading: Reading) -> Result<Vec<Settled<'a>>, Refusal> {
    let mut settled = Vec::new();
    let mut ambiguous = 0;
    for (i, row) in incoming.rows.iter().enumerate() {
        let mut wins = true;
        let mut tied = false;
        for (j, twin) in incoming.rows.iter().enumerate() {
            if i == j || id_of(incoming, twin, rule) != id_of(incoming, row, rule) {
                continue;
            }
            let newer = match rule.modified() {
                None => Ordering::Equal,
                Some(column) => {
                    reading.value(incoming, row, column)?.compare(&reading.value(incoming, twin, column)?)
                }
            };
            let is_preferred = if rule.duplicates() == Duplicates::First { i < j } else { i > j };
            wins &= newer == Ordering::Greater || (newer == Ordering::Equal && is_preferred);
            tied |= newer == Ordering::Equal && row != twin;
        }
        if wins {
            ambiguous += usize::from(tied && rule.duplicates() == Duplicates::Error);
            settled.push(Settled { row, tied });
        }
    }
    if ambiguous > 0 { Err(Refusal::Ambiguous(ambiguous)) } else { Ok(settled) }
}

/// How modification values are read, told from the incoming ones.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    AsTheyAre,
    Words,
    Numbers,
    Instants { zoned: bool },
}

impl Reading {
    fn of(incoming: &Table, rule: &MergeRule) -> Result<Self, Refusal> {
        let Some(column) = rule.modified() else { return Ok(Self::AsTheyAre) };
        let mut known = None;
        for row in &incoming.rows {
            let reading = match cell(incoming, row, column) {
                Some(Cell::List(_)) => return Err(Refusal::NoOrder(column.into())),
                Some(Cell::Text(text)) => Self::of_text(text).0,
                _ => continue,
            };
            if known.is_some_and(|known| known != reading) {
                return Err(Refusal::Mixed(column.into()));
            }
            known = Some(reading);
        }
        Ok(known.unwrap_or(Self::AsTheyAre))
    }

    /// How a text is read by itself, and what it names then.
    fn of_text(text: &str) -> (Self, Cell) {
        match (instant(text), number(text)) {
            (Some((nanos, zoned)), _) => (Self::Instants { zoned }, Cell::Instant(nanos)),
            (None, Some(number)) => (Self::Numbers, Cell::Int(number)),
            (None, None) => (Self::Words, Cell::Text(text.to_owned())),
        }
    }

    fn value(self, table: &Table, row: &[Cell], column: &str) -> Result<Cell, Refusal> {
        let value = cell(table, row, column).unwrap_or(&Cell::Null);
        let Cell::Text(text) = value else { return Ok(value.clone()) };
        match Self::of_text(text) {
            _ if self == Self::AsTheyAre => Ok(value.clone()),
            (reading, named) if reading == self => Ok(named),
            _ => Err(Refusal::Mixed(column.into())),
        }
    }
}

fn cell<'a>(table: &Table, row: &'a [Cell], column: &str) -> Option<&'a Cell> {
    table.column(column).map(|index| &row[index])
}

/// The id of a row. Incoming ones have no null in them, so a stored null meets nothing.
fn id_of<'a>(table: &Table, row: &'a [Cell], rule: &MergeRule) -> Vec<&'a Cell> {
    rule.ids().iter().filter_map(|id| cell(table, row, id)).collect()
}

/// A stored row with the incoming cells on top, where there are some.
fn overlay(stored: &Table, mut row: Vec<Cell>, incoming: &Table, new: &[Cell]) -> Vec<Cell> {
    for (index, name) in stored.columns.iter().enumerate() {
        if let Some(cell) = cell(incoming, new, name) {
            row[index] = cell.clone();
        }
    }
    row
}

#[cfg(test)]
mod tests {
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
        let (_, counts) = merge(stored, incoming, rule).expect("merges");
        counts.verify().expect("adds up");
        counts
    }

    #[test]
    fn updates_stand_where_the_old_row_stood_and_inserts_come_last() {
        let stored = rows(&[(1, "a", int(1)), (2, "b", int(1)), (3, "c", int(1))]);
        let incoming = rows(&[(9, "z", int(1)), (2, "B", int(1)), (8, "y", int(1)), (1, "a", int(1))]);
        let (result, counts) = merge(&stored, &incoming, &by_id()).expect("merges");
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
        let (result, counts) = merge(&rows(&[]), &incoming, &newest()).expect("merges");
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
        let (result, _) = merge(&stored, &incoming, &newest()).expect("merges");
        assert_eq!(result.rows, [vec![int(1), text("a"), int(6)], vec![int(2), Cell::Null, int(7)]]);
    }

    #[test]
    fn timestamps_in_text_compare_as_instants() {
        let stored = rows(&[(1, "a", text("2021-05-22T02:51:15.100Z"))]);
        let at = |at| rows(&[(1, "b", text(at))]);
        assert_eq!(counted(&stored, &at("2021-05-22T02:51:15Z"), &newest()).stale, 1);
        assert_eq!(counted(&stored, &at("2021-05-22T04:51:15.2+02:00"), &newest()).updated, 1);
        assert_eq!(counted(&stored, &at("2021-05-22T04:51:15.1+02:00"), &newest()).ties, 1);
        let naive = merge(&stored, &at("2021-05-22T02:51:15"), &newest());
        assert_eq!(naive, Err(Refusal::Mixed("at".into())));
        assert_eq!(merge(&stored, &at("v1"), &newest()), Err(Refusal::Mixed("at".into())));
    }

    #[test]
    fn bad_input_is_refused_by_its_name() {
        let stored = rows(&[(1, "a", int(1)), (2, "b", int(1)), (2, "c", int(1))]);
        let refused = |incoming: &Table| merge(&stored, incoming, &newest()).expect_err("refused");
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
        assert_eq!(merge(&stored, &twins, &by_id()), Err(Refusal::Ambiguous(1)));
    }

    #[test]
    fn stored_rows_without_an_id_are_left_alone() {
        let stored = table("id x", &[&[Cell::Null, int(1)], &[Cell::Null, int(2)]]);
        let incoming = table("id x", &[&[int(1), int(3)]]);
        assert_eq!(counted(&stored, &incoming, &by_id()).rows_after, Some(3));
    }
}
