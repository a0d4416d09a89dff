//! What the judge refuses: why, and what he sees of it before rows meet.

use super::{Cell, Table, cell};
use crate::core::merge::{DeleteMarks, ExtraColumns, MergeRule, MissingColumns, NullIds, NullModified};
use crate::core::predicate::Predicate;

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
    /// A column of a policy is not stored.
    MissingPolicy(String),
    /// Nothing came in to mirror.
    Empty,
    /// A column of the scope does not come in, or is not stored.
    MissingScope(String),
    /// So many stored rows have no id, and are to be mirrored.
    Nameless(usize),
    /// The column of soft deletes comes in.
    FlagComesIn(String),
    /// The column of soft deletes is not stored.
    MissingFlag(String),
    /// So many rows would go.
    TooManyDeleted(u64),
    /// Columns of the history come in.
    HistoryComesIn,
    /// These columns of the history are not stored.
    MissingHistory(Vec<String>),
    /// So many ids have stored versions that do not follow each other.
    SeveralVersions(usize),
    /// No time came in at which versions could end that do not.
    NoTime,
    /// A version is current and has an end.
    CurrentWithEnd,
    /// A stored version begins after the time of the run.
    ClockIsBehind,
}

pub(super) fn check_columns(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    for (i, name) in incoming.columns.iter().enumerate() {
        let twin = incoming.columns[..i].iter().find(|other| other.to_lowercase() == name.to_lowercase());
        if let Some(twin) = twin {
            return Err(Refusal::SameName(twin.clone(), name.clone()));
        }
    }
    let is_key = |name: &String| rule.ids().contains(name) || rule.modified() == Some(name);
    let flag = rule.delete_marks().and_then(DeleteMarks::soft_column);
    let missing: Vec<String> =
        stored.columns.iter().filter(|name| incoming.column(name).is_none()).cloned().collect();
    let missing: Vec<String> = missing
        .into_iter()
        .filter(|name| !is_key(name) && flag != Some(name) && !is_time(rule, name))
        .collect();
    if !missing.is_empty() && rule.missing_columns() == MissingColumns::Error {
        return Err(Refusal::MissingColumns(missing));
    }
    let is_like = |name: &String| stored.columns.iter().any(|own| own.to_lowercase() == name.to_lowercase());
    let marks = rule.delete_marks().map(|marks| marks.condition().columns()).unwrap_or_default();
    let case = rule.columns().case;
    let is_asked = |name: &str| marks.iter().any(|column| case.key(column) == case.key(name));
    let may_go = |name: &String| rule.extra_columns() != ExtraColumns::Error || is_asked(name);
    let is_begin = |name: &String| rule.kept_history().is_some() && rule.modified() == Some(name);
    let may_be_left_out = |name: &String| is_begin(name) || may_go(name) && !is_key(name) && !is_like(name);
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

pub(super) fn check_flag(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    match rule.delete_marks().and_then(DeleteMarks::soft_column) {
        Some(flag) if incoming.column(flag).is_some() => Err(Refusal::FlagComesIn(flag.into())),
        Some(flag) if stored.column(flag).is_none() => Err(Refusal::MissingFlag(flag.into())),
        _ => Ok(()),
    }
}

pub(super) fn check_history(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    let Some(history) = rule.kept_history() else { return Ok(()) };
    let comes_in = |name: &&str| incoming.column(name).is_some() && rule.modified() != Some(name);
    if history.columns.all().iter().any(comes_in) {
        return Err(Refusal::HistoryComesIn);
    }
    let missing = history.columns.all().into_iter().filter(|name| stored.column(name).is_none());
    let missing: Vec<String> = missing.map(ToOwned::to_owned).collect();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::MissingHistory(missing)) }
}

pub(super) fn is_time(rule: &MergeRule, name: &str) -> bool {
    rule.kept_history().is_some_and(|history| history.columns.all().contains(&name))
}

pub(super) fn check_scope(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    let mut columns = rule.scope().map(Predicate::columns).unwrap_or_default().into_iter();
    let missing = columns.find(|name| stored.column(name).is_none() || incoming.column(name).is_none());
    missing.map_or(Ok(()), |name| Err(Refusal::MissingScope(name.into())))
}

pub(super) fn check_modified(incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
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

pub(super) fn check_ids(incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    for id in rule.ids() {
        let cells: Vec<&Cell> = incoming.rows.iter().filter_map(|row| cell(incoming, row, id)).collect();
        if !rule.allows_float_ids() && cells.iter().any(|cell| matches!(cell, Cell::Float(_))) {
            return Err(Refusal::FloatId(id.clone()));
        }
        if cells.iter().any(|cell| matches!(cell, Cell::List(_))) {
            return Err(Refusal::NestedId(id.clone()));
        }
        let nulls = cells.iter().filter(|cell| ***cell == Cell::Null).count();
        if nulls > 0 && rule.null_ids() == NullIds::Error {
            return Err(Refusal::NullId(id.clone(), nulls));
        }
    }
    Ok(())
}
