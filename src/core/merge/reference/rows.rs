//! What the judge does with one row: its id, and what it leaves of the stored one.

use std::cmp::Ordering;

use super::settled::Reading;
use super::{Cell, Table};
use crate::core::merge::{ColumnPolicy, MergeRule};

pub(super) fn cell<'a>(table: &Table, row: &'a [Cell], column: &str) -> Option<&'a Cell> {
    table.column(column).map(|index| &row[index])
}

/// The id of a row. Incoming ones have no null in them, so a stored null meets nothing.
pub(super) fn id_of<'a>(table: &Table, row: &'a [Cell], rule: &MergeRule) -> Vec<&'a Cell> {
    rule.ids().iter().filter_map(|id| cell(table, row, id)).collect()
}

/// A row that replaces a stored one, with the values that the policies of columns say.
pub(super) fn merged(stored: &Table, old: &[Cell], new: Vec<Cell>, rule: &MergeRule) -> Vec<Cell> {
    let cells = stored.columns.iter().zip(old).zip(new);
    let merge = |((name, old), new): ((&String, &Cell), Cell)| {
        let keeps = match rule.cells().policy(name) {
            ColumnPolicy::Newest => false,
            ColumnPolicy::InsertOnly => true,
            ColumnPolicy::KeepIfNull => new == Cell::Null,
            ColumnPolicy::Max => new.is_lowest() || in_order(old, &new) != Ordering::Less,
            ColumnPolicy::Min => {
                new.is_lowest() || !old.is_lowest() && in_order(old, &new) != Ordering::Greater
            }
        };
        if keeps { old.clone() } else { new }
    };
    cells.map(merge).collect()
}

/// How two values compare; two texts that name instants, or numbers, as these.
fn in_order(old: &Cell, new: &Cell) -> Ordering {
    if let (Cell::Text(old), Cell::Text(new)) = (old, new)
        && let ((own, old), (other, new)) = (Reading::of_text(old), Reading::of_text(new))
        && own == other
    {
        return old.compare(&new);
    }
    old.compare(new)
}

/// A stored row with the incoming cells on top, where there are some.
pub(super) fn overlay(stored: &Table, mut row: Vec<Cell>, incoming: &Table, new: &[Cell]) -> Vec<Cell> {
    for (index, name) in stored.columns.iter().enumerate() {
        if let Some(cell) = cell(incoming, new, name) {
            row[index] = cell.clone();
        }
    }
    row
}
