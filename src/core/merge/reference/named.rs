//! The judge leaves out rows without an id, and says which rows go into the quarantine.

use super::{Cell, Conditions, Table, id_of};
use crate::core::merge::{MergeRule, NullIds, Stale};

/// The incoming rows that have an id, or all if the others are not left out.
pub(super) struct Named {
    pub(super) table: Table,
    pub(super) conditions: Conditions,
    /// The place of each among all that came in.
    pub(super) places: Vec<usize>,
    /// The places of the others.
    pub(super) left_out: Vec<usize>,
}

pub(super) fn with_ids(incoming: &Table, rule: &MergeRule, conditions: &Conditions) -> Named {
    let leaves_out = matches!(rule.null_ids(), NullIds::Skip | NullIds::Quarantine);
    let is_left_out =
        |row: &usize| leaves_out && id_of(incoming, &incoming.rows[*row], rule).contains(&&Cell::Null);
    let (left_out, places): (Vec<usize>, Vec<usize>) = (0..incoming.rows.len()).partition(is_left_out);
    let rows = places.iter().map(|row| incoming.rows[*row].clone()).collect();
    let of = |holds: &[bool]| places.iter().filter_map(|row| holds.get(*row).copied()).collect();
    let own = Conditions {
        marks: of(&conditions.marks),
        outside: of(&conditions.outside),
        stamps: places.iter().filter_map(|row| conditions.stamps.get(*row).cloned()).collect(),
        ..conditions.clone()
    };
    Named { table: Table { columns: incoming.columns.clone(), rows }, conditions: own, places, left_out }
}

/// The rows that go into the quarantine; `older` are such among those that have an id.
pub(super) fn quarantined(named: &Named, older: &[usize], rule: &MergeRule) -> Vec<(usize, &'static str)> {
    let mut rows = Vec::new();
    if rule.null_ids() == NullIds::Quarantine {
        rows.extend(named.left_out.iter().map(|place| (place + 1, "null id")));
    }
    if rule.newest().is_some_and(|newest| newest.stale == Stale::Quarantine) {
        rows.extend(older.iter().map(|row| (named.places[*row] + 1, "stale")));
    }
    rows.sort_unstable();
    rows
}
