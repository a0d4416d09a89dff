//! How the judge settles which of several incoming rows counts, and in which order modification values come.

use std::cmp::Ordering;

use super::{Cell, Conditions, Refusal, Table, cell, id_of};
use crate::core::merge::{Duplicates, MergeRule};
use crate::core::text::{instant, number};

/// The row that counts among the incoming ones of its id.
pub(super) struct Settled<'a> {
    /// Its place among all that came in.
    pub(super) place: usize,
    pub(super) row: &'a [Cell],
    pub(super) tied: bool,
}

/// One row per id: the newest, and of those that are equally new the last or the first.
pub(super) fn settle<'a>(
    incoming: &'a Table,
    rule: &MergeRule,
    reading: Reading,
    conditions: &Conditions,
) -> Result<Vec<Settled<'a>>, Refusal> {
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
            if rule.kept_history().is_some() && newer != Ordering::Equal {
                continue;
            }
            let is_preferred = if rule.duplicates() == Duplicates::First { i < j } else { i > j };
            wins &= newer == Ordering::Greater || (newer == Ordering::Equal && is_preferred);
            let says_the_same = match (conditions.is_mark(i), conditions.is_mark(j)) {
                (true, true) => true,
                (false, false) => row == twin,
                _ => false,
            };
            tied |= newer == Ordering::Equal && !says_the_same;
        }
        if wins {
            ambiguous += usize::from(tied && rule.duplicates() == Duplicates::Error);
            settled.push(Settled { place: i, row, tied });
        }
    }
    if ambiguous > 0 { Err(Refusal::Ambiguous(ambiguous)) } else { Ok(settled) }
}

/// How modification values are read, told from the incoming ones.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reading {
    AsTheyAre,
    Words,
    Numbers,
    Instants { zoned: bool },
}

impl Reading {
    pub(super) fn of(incoming: &Table, rule: &MergeRule) -> Result<Self, Refusal> {
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
    pub(super) fn of_text(text: &str) -> (Self, Cell) {
        match (instant(text), number(text)) {
            (Some((nanos, zoned)), _) => (Self::Instants { zoned }, Cell::Instant(nanos)),
            (None, Some(number)) => (Self::Numbers, Cell::Int(number)),
            (None, None) => (Self::Words, Cell::Text(text.to_owned())),
        }
    }

    pub(super) fn value(self, table: &Table, row: &[Cell], column: &str) -> Result<Cell, Refusal> {
        let value = cell(table, row, column).unwrap_or(&Cell::Null);
        let Cell::Text(text) = value else { return Ok(value.clone()) };
        match Self::of_text(text) {
            _ if self == Self::AsTheyAre => Ok(value.clone()),
            (reading, named) if reading == self => Ok(named),
            _ => Err(Refusal::Mixed(column.into())),
        }
    }
}
