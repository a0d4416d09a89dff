//! Columns that a table gets, in the words of the judge: he writes null into every stored row first.

use super::{Cell, Refusal, Table};
use crate::core::merge::{ExtraColumns, MergeRule};
use crate::core::predicate::Predicate;

/// The stored rows with the incoming columns that `rule` adds, if it adds some.
pub(super) fn wider(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<Table, Refusal> {
    let mut table = stored.clone();
    if rule.extra_columns() != ExtraColumns::Add {
        return Ok(table);
    }
    let case = rule.columns().case;
    for name in &incoming.columns {
        let is_stored = stored.columns.iter().any(|own| own.to_lowercase() == name.to_lowercase());
        let is_id = rule.ids().contains(name);
        let tells_marks = rule.delete_marks().is_some_and(|marks| {
            marks.condition().columns().iter().any(|column| case.key(column) == case.key(name))
        });
        let tells_begin = rule.kept_history().is_some() && rule.modified() == Some(name);
        let place = incoming.column(name).unwrap_or_default();
        let is_named = rule.modified() == Some(name) || rule.cells().columns().any(|column| column == name);
        let is_empty = incoming.rows.iter().all(|row| row[place] == Cell::Null);
        if is_empty && !is_named || is_stored || is_id || tells_marks || tells_begin {
            continue;
        }
        if rule.scope().map(Predicate::columns).unwrap_or_default().contains(&name.as_str()) {
            return Err(Refusal::MissingScope(name.clone()));
        }
        table.columns.push(name.clone());
        table.rows.iter_mut().for_each(|row| row.push(Cell::Null));
    }
    Ok(table)
}
