//! Which stored rows go because another one with their id stays, told row by row.

use std::cmp::Ordering;

use super::{Cell, Reading, Refusal, Tables, cell, id_of};
use crate::core::merge::rule::Fate;
use crate::core::merge::{NullIds, StoredDuplicates};

/// Whether each stored row goes: there is one with its id that is newer, or as new and behind it.
pub(super) fn repaired(tables: &Tables<'_>) -> Result<Vec<bool>, Refusal> {
    let (stored, rule) = (tables.stored, tables.rule);
    let mut gone = vec![false; stored.rows.len()];
    if rule.stored_duplicates() != StoredDuplicates::Repair {
        return Ok(gone);
    }
    for (place, row) in stored.rows.iter().enumerate().filter(|(place, _)| tables.is_there(*place)) {
        let id = id_of(stored, row, rule);
        if id.contains(&&Cell::Null) && rule.null_ids() != NullIds::Match {
            continue;
        }
        for (other_place, other) in stored.rows.iter().enumerate() {
            if other_place == place || !tables.is_there(other_place) || id_of(stored, other, rule) != id {
                continue;
            }
            let newer = match rule.modified() {
                None => Ordering::Equal,
                Some(column) => {
                    let value = |row| cell(stored, row, column).unwrap_or(&Cell::Null);
                    in_order(value(row), value(other)).ok_or_else(|| Refusal::Mixed(column.into()))?
                }
            };
            gone[place] |= newer == Ordering::Less || newer == Ordering::Equal && place < other_place;
        }
    }
    Ok(gone)
}

/// Refuses stored rows of one id where all are looked at and no id may be stored more than once.
pub(super) fn check_twins(tables: &Tables<'_>) -> Result<(), Refusal> {
    let rule = tables.rule;
    if rule.only_stored() != Fate::Delete || rule.stored_duplicates() != StoredDuplicates::Error {
        return Ok(());
    }
    let rows: Vec<usize> = (0..tables.stored.rows.len()).filter(|place| tables.is_there(*place)).collect();
    let id = |place: usize| id_of(tables.stored, &tables.stored.rows[place], tables.rule);
    let is_id =
        |place: &&usize| tables.rule.null_ids() == NullIds::Match || !id(**place).contains(&&Cell::Null);
    let is_twin = |place: &&usize| rows.iter().any(|other| other < *place && id(*other) == id(**place));
    match rows.iter().filter(is_id).filter(is_twin).count() {
        0 => Ok(()),
        twins => Err(Refusal::StoredTwice(twins)),
    }
}

/// How two modification values compare; not at all if they are texts of different kinds.
fn in_order(own: &Cell, other: &Cell) -> Option<Ordering> {
    let (Cell::Text(left), Cell::Text(right)) = (own, other) else { return Some(own.compare(other)) };
    let ((own, left), (other, right)) = (Reading::of_text(left), Reading::of_text(right));
    (own == other).then(|| left.compare(&right))
}
