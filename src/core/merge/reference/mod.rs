//! The judge: a plain merge over rows that anyone can read in a minute.
//!
//! It shares no code with the kernel, knows no Arrow, and prefers a simple loop to a fast one. The
//! conformance suite expects from every backend, format and store what this computes.

mod cell;
mod history;
mod named;
mod refusals;
mod repair;
mod rows;
mod settled;
mod wider;

use std::cmp::Ordering;

use super::rule::Fate;
use super::{MaxDelete, MergeRule, MissingColumns, NullIds, Stale, StoredDuplicates, Ties, Winner};
use crate::core::report::RowCounts;

pub(crate) use cell::{Cell, Table};
use named::{quarantined, with_ids};
pub(crate) use refusals::Refusal;
use refusals::{check_columns, check_flag, check_history, check_ids, check_modified, check_scope, is_time};
use repair::{check_twins, repaired};
use rows::{cell, id_of, merged, overlay};
use settled::{Reading, Settled, settle};
use wider::wider;

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
    check_twins(&tables)?;
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

#[cfg(test)]
mod tests;
