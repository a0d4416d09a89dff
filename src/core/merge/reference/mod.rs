//! The judge: a plain merge over rows that anyone can read in a minute.
//!
//! It shares no code with the kernel, knows no Arrow, and prefers a simple loop to a fast one. The
//! conformance suite expects from every backend, format and store what this computes.

mod cell;
mod history;
mod repair;
mod wider;

use std::cmp::Ordering;

use super::rule::Fate;
use super::{
    ColumnPolicy, DeleteMarks, Duplicates, ExtraColumns, MaxDelete, MergeRule, MissingColumns, NullIds,
    NullModified, Stale, StoredDuplicates, Ties, Winner,
};
use crate::core::predicate::Predicate;
use crate::core::report::RowCounts;
use crate::core::text::{instant, number};

pub(crate) use cell::{Cell, Table};
use repair::repaired;
use wider::wider;

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
    /// New versions lack columns of those before them.
    VersionLacks,
}

/// For which rows the conditions of the rule hold; for none, or in a scope for all, if it has no such condition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    /// Incoming rows that are delete marks.
    pub(crate) marks: Vec<bool>,
    /// What each incoming row that is one puts into the column of soft deletes, if there is one.
    pub(crate) stamps: Vec<Cell>,
    /// What such a column has in rows that are not deleted.
    pub(crate) unset: Option<Cell>,
    /// Incoming rows outside of the scope.
    pub(crate) outside: Vec<bool>,
    /// Stored rows outside of the scope.
    pub(crate) stored_outside: Vec<bool>,
    /// The time of the run.
    pub(crate) now: Cell,
}

impl Conditions {
    fn is_mark(&self, row: usize) -> bool {
        self.marks.get(row).copied().unwrap_or(false)
    }
}

/// What a merge ends with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merged {
    /// The new table.
    pub(crate) table: Table,
    /// What became of the rows.
    pub(crate) counts: RowCounts,
    /// The incoming rows that go into the quarantine: the number of each, from 1, and why.
    pub(crate) quarantined: Vec<(usize, &'static str)>,
}

/// Folds `incoming` into `stored` as `rule` says: the new table, and what became of each row.
///
/// # Errors
///
/// The first reason to refuse.
pub(crate) fn merge(
    stored: &Table,
    incoming: &Table,
    rule: &MergeRule,
    conditions: &Conditions,
) -> Result<Merged, Refusal> {
    let mut merged = merge_into(&wider(stored, incoming, rule)?, incoming, rule, conditions)?;
    if merged.counts.is_no_change() {
        merged.table = stored.clone();
    }
    Ok(merged)
}

/// The same where `stored` has the columns that are added.
fn merge_into(
    stored: &Table,
    incoming: &Table,
    rule: &MergeRule,
    conditions: &Conditions,
) -> Result<Merged, Refusal> {
    let mirrors = rule.only_stored() == Fate::Delete;
    if mirrors && incoming.rows.is_empty() && !rule.allows_empty() {
        return Err(Refusal::Empty);
    }
    check_columns(stored, incoming, rule)?;
    check_flag(stored, incoming, rule)?;
    check_history(stored, incoming, rule)?;
    let incoming = &taken(stored, incoming, rule);
    check_ids(incoming, rule)?;
    let named = with_ids(incoming, rule, conditions);
    let (incoming, conditions) = (&named.table, &named.conditions);
    let reading = Reading::of(incoming, rule)?;
    check_modified(incoming, rule)?;
    let settled = settle(incoming, rule, reading, conditions)?;
    check_scope(stored, incoming, rule)?;
    if let Some(name) = rule.cells().columns().find(|name| stored.column(name).is_none()) {
        return Err(Refusal::MissingPolicy(name.into()));
    }

    let mut tables = Tables { stored, incoming, rule, reading, conditions, gone: Vec::new() };
    tables.gone = repaired(&tables)?;
    let mut counts = RowCounts {
        incoming: (named.places.len() + named.left_out.len()) as u64,
        rejected: named.left_out.len() as u64,
        duplicates: (incoming.rows.len() - settled.len()) as u64,
        ..RowCounts::default()
    };
    if rule.kept_history().is_some() {
        let folded = history::fold((stored, incoming), settled, (rule, reading), conditions, counts);
        return folded.map(|(table, counts)| Merged::new(table, counts, quarantined(&named, &[], rule)));
    }
    counts.repaired = tables.gone.iter().filter(|gone| **gone).count() as u64;
    let stays = stored.rows.iter().zip(&tables.gone).map(|(row, gone)| (!gone).then(|| row.clone()));
    let mut rows: Vec<Option<Vec<Cell>>> = stays.collect();
    let mut met = vec![false; stored.rows.len()];
    let (mut stored_twice, mut older, mut aside, mut equally_new) = (0, Vec::new(), Vec::new(), 0);
    for settled in settled {
        let partners = tables.partners(settled.row);
        for partner in &partners {
            met[*partner] = true;
        }
        let meets = match partners.len() {
            0 => vec![None],
            1.. if rule.stored_duplicates() == StoredDuplicates::All => partners.iter().map(Some).collect(),
            1.. => vec![partners.first()],
        };
        let mut all = Vec::new();
        let mut is_tie = false;
        for at in meets {
            let (becomes, ties) = tables.judge(&settled, at.copied())?;
            is_tie |= ties;
            all.push(becomes);
        }
        counts.ties += u64::from(settled.tied || is_tie);
        equally_new += usize::from(is_tie);
        let is_twice = partners.len() > 1 && rule.stored_duplicates() == StoredDuplicates::Error;
        stored_twice += usize::from(is_twice && !matches!(all[0], Becomes::Rejected));
        let is_stale = counts.stale;
        count(&all, &mut counts);
        if all.iter().any(|becomes| matches!(becomes, Becomes::Older)) {
            older.push(settled.place);
            aside.extend((counts.stale > is_stale).then_some(settled.place));
        }
        for becomes in all {
            match becomes {
                Becomes::New(row) => rows.push(Some(row)),
                Becomes::Update(at, row) => rows[at] = Some(row),
                Becomes::Mark(Some(row)) => rows[row] = None,
                Becomes::SoftlyDeleted(at, row) => {
                    counts.soft_deleted += 1;
                    rows[at] = Some(row);
                }
                _ => {}
            }
        }
    }
    if stored_twice > 0 {
        return Err(Refusal::StoredTwice(stored_twice));
    }
    if mirrors {
        tables.leave_behind(&met, &mut rows)?;
    }
    if !older.is_empty() && rule.newest().is_some_and(|newest| newest.stale == Stale::Error) {
        return Err(Refusal::Stale(older.len()));
    }
    if equally_new > 0 && rule.newest().is_some_and(|newest| newest.ties == Ties::Error) {
        return Err(Refusal::Tied(equally_new));
    }
    counts.deleted = rows.iter().filter(|row| row.is_none()).count() as u64 - counts.repaired;
    let stale = if rule.delete_marks().is_none() { counts.stale } else { 0 };
    let live = counts.inserted + counts.updated + counts.unchanged + stale;
    if mirrors && live == 0 && counts.deleted > 0 && !rule.allows_empty() {
        return Err(Refusal::Empty);
    }
    let before = stored.rows.len() as u64;
    check_gone(counts.deleted + counts.soft_deleted + counts.repaired, stored, rule)?;
    let table = Table { columns: stored.columns.clone(), rows: rows.into_iter().flatten().collect() };
    (counts.rows_before, counts.rows_after) = (Some(before), Some(table.rows.len() as u64));
    Ok(Merged::new(table, counts, quarantined(&named, &aside, rule)))
}

impl Merged {
    fn new(table: Table, mut counts: RowCounts, quarantined: Vec<(usize, &'static str)>) -> Self {
        counts.quarantined = quarantined.len() as u64;
        Self { table, counts, quarantined }
    }
}

fn check_gone(gone: u64, stored: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    match rule.max_delete() {
        Some(most) if gone > allowed(most, stored) => Err(Refusal::TooManyDeleted(gone)),
        _ => Ok(()),
    }
}

fn allowed(most: MaxDelete, stored: &Table) -> u64 {
    match most {
        MaxDelete::Rows(rows) => rows,
        MaxDelete::Percent(percent) => stored.rows.len() as u64 * u64::from(percent) / 100,
    }
}

/// What becomes of an incoming row.
enum Becomes {
    Rejected,
    Ignored,
    Unchanged,
    /// It is older than the stored row.
    Older,
    /// It is as new as the stored row, which stays.
    Kept,
    /// It is a delete mark; the stored row that goes, if there is one.
    Mark(Option<usize>),
    /// It is a delete mark, and this is the stored row now.
    SoftlyDeleted(usize, Vec<Cell>),
    New(Vec<Cell>),
    Update(usize, Vec<Cell>),
}

/// Counts an incoming row, of which these became with each stored row it met: what changes one counts before what does not.
fn count(all: &[Becomes], counts: &mut RowCounts) {
    let is = |what: fn(&Becomes) -> bool| all.iter().any(what);
    let counted = if is(|one| matches!(one, Becomes::Rejected)) {
        &mut counts.rejected
    } else if is(|one| matches!(one, Becomes::Ignored)) {
        &mut counts.ignored
    } else if is(|one| matches!(one, Becomes::New(_))) {
        &mut counts.inserted
    } else if is(|one| matches!(one, Becomes::Mark(_) | Becomes::SoftlyDeleted(..))) {
        &mut counts.tombstones
    } else if is(|one| matches!(one, Becomes::Update(..))) {
        &mut counts.updated
    } else if is(|one| matches!(one, Becomes::Older | Becomes::Kept)) {
        &mut counts.stale
    } else {
        &mut counts.unchanged
    };
    *counted += 1;
}

/// All that is known before rows meet.
struct Tables<'a> {
    stored: &'a Table,
    incoming: &'a Table,
    rule: &'a MergeRule,
    reading: Reading,
    conditions: &'a Conditions,
    /// Which stored rows are as if they had never been there, once that is known.
    gone: Vec<bool>,
}

impl Tables<'_> {
    /// Whether a stored row is one that this is about.
    fn is_there(&self, row: usize) -> bool {
        let is = |rows: &[bool]| rows.get(row).copied().unwrap_or(false);
        !is(&self.conditions.stored_outside) && !is(&self.gone)
    }

    /// The stored rows with the id of an incoming one.
    fn partners(&self, row: &[Cell]) -> Vec<usize> {
        let id = id_of(self.incoming, row, self.rule);
        let is_partner = |other: &usize| {
            self.is_there(*other) && id_of(self.stored, &self.stored.rows[*other], self.rule) == id
        };
        (0..self.stored.rows.len()).filter(is_partner).collect()
    }

    /// What becomes of an incoming row that meets the stored one `at`, and whether it is as new as that and differs.
    fn judge(&self, settled: &Settled<'_>, at: Option<usize>) -> Result<(Becomes, bool), Refusal> {
        let (stored, incoming, rule) = (self.stored, self.incoming, self.rule);
        let is_mark = self.conditions.is_mark(settled.place);
        if !is_mark && self.conditions.outside.get(settled.place).copied().unwrap_or(false) {
            return Ok((Becomes::Rejected, false));
        }
        let Some(at) = at else {
            let nulls = vec![Cell::Null; stored.columns.len()];
            let becomes = match rule.only_incoming() {
                _ if is_mark => Becomes::Mark(None),
                Fate::Leave | Fate::Delete => Becomes::Ignored,
                Fate::Write => {
                    let mut new = overlay(stored, nulls, incoming, settled.row);
                    if let Some(flag) = self.flag() {
                        new[flag] = self.conditions.unset.clone().unwrap_or(Cell::Null);
                    }
                    Becomes::New(new)
                }
            };
            return Ok((becomes, false));
        };
        if rule.matched() == Fate::Leave {
            return Ok((Becomes::Ignored, false));
        }
        let old = &stored.rows[at];
        let new = overlay(stored, old.clone(), incoming, settled.row);
        let mut new = merged(stored, old, new, rule);
        let is_soft = is_mark && self.flag().is_some();
        if let Some(flag) = self.flag() {
            let is_set = match &old[flag] {
                Cell::Null | Cell::Bool(false) => false,
                Cell::Text(text) => !text.is_empty() && text.to_lowercase() != "false",
                _ => true,
            };
            if is_mark {
                new.clone_from(old);
                if let (Some(modified), Winner::Newest(newest)) = (self.modified(), rule.winner()) {
                    new[modified] =
                        cell(incoming, settled.row, &newest.column).cloned().unwrap_or(Cell::Null);
                }
            }
            new[flag] = match (is_mark, is_set) {
                (true, false) => self.conditions.stamps[settled.place].clone(),
                (false, true) => self.conditions.unset.clone().unwrap_or(Cell::Null),
                _ => old[flag].clone(),
            };
        }
        let newer = newer(rule, self.reading, (incoming, settled.row), (stored, old))?;
        let is_same = (!is_mark || is_soft) && &new == old;
        let is_tie = newer == Some(Ordering::Equal) && !is_same;
        let becomes = match newer {
            Some(Ordering::Less) => Becomes::Older,
            None | Some(Ordering::Equal) if is_same && is_soft => Becomes::Mark(None),
            None | Some(Ordering::Equal) if is_same => Becomes::Unchanged,
            _ if is_tie && rule.newest().is_some_and(|newest| newest.ties == Ties::Keep) => Becomes::Kept,
            _ if is_soft => Becomes::SoftlyDeleted(at, new),
            _ if is_mark => Becomes::Mark(Some(at)),
            _ => Becomes::Update(at, new),
        };
        Ok((becomes, is_tie))
    }

    /// Where it stands of a stored row that it is deleted.
    fn flag(&self) -> Option<usize> {
        self.stored.column(self.rule.delete_marks()?.soft_column()?)
    }

    fn modified(&self) -> Option<usize> {
        self.stored.column(self.rule.modified()?)
    }

    /// Lets stored rows go that no incoming one has met.
    fn leave_behind(&self, met: &[bool], rows: &mut [Option<Vec<Cell>>]) -> Result<(), Refusal> {
        let inside = (0..met.len()).filter(|row| self.is_there(*row));
        let is_nameless =
            |row: &usize| id_of(self.stored, &self.stored.rows[*row], self.rule).contains(&&Cell::Null);
        let (nameless, named): (Vec<usize>, Vec<usize>) = inside.partition(is_nameless);
        if self.rule.null_ids() != NullIds::Match && !nameless.is_empty() {
            return Err(Refusal::Nameless(nameless.len()));
        }
        named.into_iter().chain(nameless).filter(|row| !met[*row]).for_each(|row| rows[row] = None);
        Ok(())
    }
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

fn check_flag(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    match rule.delete_marks().and_then(DeleteMarks::soft_column) {
        Some(flag) if incoming.column(flag).is_some() => Err(Refusal::FlagComesIn(flag.into())),
        Some(flag) if stored.column(flag).is_none() => Err(Refusal::MissingFlag(flag.into())),
        _ => Ok(()),
    }
}

fn check_history(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    let Some(history) = rule.kept_history() else { return Ok(()) };
    let comes_in = |name: &&str| incoming.column(name).is_some() && rule.modified() != Some(name);
    if history.columns.all().iter().any(comes_in) {
        return Err(Refusal::HistoryComesIn);
    }
    let missing = history.columns.all().into_iter().filter(|name| stored.column(name).is_none());
    let missing: Vec<String> = missing.map(ToOwned::to_owned).collect();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::MissingHistory(missing)) }
}

fn is_time(rule: &MergeRule, name: &str) -> bool {
    rule.kept_history().is_some_and(|history| history.columns.all().contains(&name))
}

fn check_scope(stored: &Table, incoming: &Table, rule: &MergeRule) -> Result<(), Refusal> {
    let mut columns = rule.scope().map(Predicate::columns).unwrap_or_default().into_iter();
    let missing = columns.find(|name| stored.column(name).is_none() || incoming.column(name).is_none());
    missing.map_or(Ok(()), |name| Err(Refusal::MissingScope(name.into())))
}

/// The incoming columns that are stored, and nulls in those that overwrite without coming in.
fn taken(stored: &Table, incoming: &Table, rule: &MergeRule) -> Table {
    let mut taken = Table { columns: Vec::new(), rows: vec![Vec::new(); incoming.rows.len()] };
    for (place, name) in incoming.columns.iter().enumerate() {
        if stored.column(name).is_some() || rule.kept_history().is_some() && rule.modified() == Some(name) {
            taken.columns.push(name.clone());
            let cells = incoming.rows.iter().map(|row| row[place].clone());
            taken.rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
        }
    }
    for name in &stored.columns {
        let is_missing = incoming.column(name).is_none() && !is_time(rule, name);
        if rule.missing_columns() == MissingColumns::Null && is_missing {
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

/// The incoming rows that have an id, or all if the others are not left out.
struct Named {
    table: Table,
    conditions: Conditions,
    /// The place of each among all that came in.
    places: Vec<usize>,
    /// The places of the others.
    left_out: Vec<usize>,
}

fn with_ids(incoming: &Table, rule: &MergeRule, conditions: &Conditions) -> Named {
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
fn quarantined(named: &Named, older: &[usize], rule: &MergeRule) -> Vec<(usize, &'static str)> {
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

/// The row that counts among the incoming ones of its id.
struct Settled<'a> {
    /// Its place among all that came in.
    place: usize,
    row: &'a [Cell],
    tied: bool,
}

/// One row per id: the newest, and of those that are equally new the last or the first.
fn settle<'a>(
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

/// A row that replaces a stored one, with the values that the policies of columns say.
fn merged(stored: &Table, old: &[Cell], new: Vec<Cell>, rule: &MergeRule) -> Vec<Cell> {
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
fn overlay(stored: &Table, mut row: Vec<Cell>, incoming: &Table, new: &[Cell]) -> Vec<Cell> {
    for (index, name) in stored.columns.iter().enumerate() {
        if let Some(cell) = cell(incoming, new, name) {
            row[index] = cell.clone();
        }
    }
    row
}

#[cfg(test)]
mod tests;
