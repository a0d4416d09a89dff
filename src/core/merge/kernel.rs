//! The one place where it is decided what becomes of each row, for every engine, format and store.
//!
//! A [`Matcher`] is shown the keys of stored rows, batch by batch, and probes a hash table of the
//! incoming ids. Rows on which the keys alone do not decide come back to be compared in their other
//! columns. Memory grows with the incoming rows only.

mod ending;
mod versioned;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema};
use std::cmp::Ordering;

use super::cells::Cells;
use super::look::{Look, Seen};
pub(crate) use super::outcome::{Fates, Made, Outcome, Pair, rows_within};
use super::repair::{Leaving, Search};
use super::rule::Fate;
use super::scope::Scope;
use super::settle::id_types;
pub(crate) use super::settle::{Incoming, name_ids};
use super::versions::Versions;
use super::{MergeRule, NullIds, Stale, StoredDuplicates, Ties, Winner};
use crate::core::merge::canonical::{RowEncoder, columns_of};
use crate::core::predicate::Bound;
use crate::core::schema::find_column;
use crate::error::{Error, ErrorKind, Result};

/// What became of an incoming row. If it meets several stored ones, the last of these that holds for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// No stored row with its id was seen.
    Unseen,
    /// The stored row is equal; also what a row is until [`Matcher::decide`] says otherwise.
    Unchanged,
    /// The stored row is as new, and stays.
    Kept,
    /// The stored row is newer.
    Stale,
    /// It replaces the stored row.
    Updated,
    /// It is a delete mark that counts.
    Tombstone,
    /// The stored row stays whatever comes in.
    Ignored,
    /// It is outside of the scope.
    Rejected,
    /// It is one more version of its id.
    Opened,
}

/// Whether rows that do not come in are looked at for ids that are stored more than once.
fn refuses_twins(rule: &MergeRule) -> bool {
    rule.only_stored() == Fate::Delete
        && rule.kept_history().is_none()
        && rule.stored_duplicates() == StoredDuplicates::Error
}

/// The refusal of stored rows of one id: so many `what`, some of which are named.
pub(crate) fn stored_twice(what: &'static str, count: usize, sample: String) -> Error {
    Error::new(ErrorKind::InvalidInput, "ids are stored more than once")
        .with(what, count)
        .with("sample", sample)
        .hint("an upsert cannot tell which row is meant: let the newest of each stay (--stored-duplicates repair), update each of them (all), or remove them")
}

/// Finds which stored rows the incoming ones meet, and what becomes of them.
#[derive(Debug)]
pub(crate) struct Matcher<'a> {
    incoming: &'a Incoming,
    rule: &'a MergeRule,
    key_columns: Vec<String>,
    value_columns: Vec<String>,
    /// Tells by the key columns which stored rows are in scope.
    scope: Option<Bound>,
    values: RowEncoder,
    cells: Cells,
    /// The stored versions, if the table keeps history.
    versions: Option<Versions<'a>>,
    /// Whether stored rows that meet a delete mark stay.
    is_soft: bool,
    verdicts: Vec<Verdict>,
    tied: Vec<bool>,
    replaced: Vec<Pair>,
    deleted: Vec<u64>,
    /// The ids of those that did not come in, where no id may be stored more than once.
    leaving: Option<Leaving>,
    /// Stored rows without an id, where all rows are looked at.
    nameless: usize,
    /// Incoming rows whose id is stored more than once.
    doubled: Vec<u32>,
    /// Stored rows that are as if they were not there, ascending.
    repaired: &'a [u64],
    /// What is looked for instead of rows that meet.
    search: Option<Search<'a>>,
    /// Incoming rows that are older than stored ones, where that is refused.
    older: Vec<u32>,
    /// Incoming rows that are as new as the stored ones and differ, where that is refused.
    refused: Vec<u32>,
}

impl<'a> Matcher<'a> {
    /// A matcher against rows with `stored` columns, which have the incoming types.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an id column, the modification column or a column of the scope is not stored, `Unsupported` for a
    /// column whose values cannot be compared.
    pub(crate) fn new(incoming: &'a Incoming, stored: &Schema, rule: &'a MergeRule) -> Result<Self> {
        let schema = incoming.batch().schema();
        let own = id_types(&schema, rule)?;
        if id_types(stored, rule)? != own {
            return Err(Error::internal("incoming ids are not in the stored types"));
        }
        let mut key_columns = rule.ids().to_vec();
        if let (true, Some((order, _))) = (rule.compares_modified() || rule.repairs(), &incoming.order) {
            order.check_stored(stored)?;
            key_columns.push(order.column().to_owned());
        }
        let ends = rule.kept_history().map(|history| history.columns.ends());
        key_columns.extend(ends.into_iter().flatten().map(ToOwned::to_owned));
        let versions = rule.kept_history().map(|history| Versions::new(history, stored, rule)).transpose()?;
        let scope = rule.scope().map(|scope| Scope::new(scope, incoming, stored)).transpose()?;
        for column in rule.cells().columns() {
            find_column(stored, column, "column of a policy")?;
        }
        let mut verdicts = vec![Verdict::Unseen; incoming.batch().num_rows()];
        if let Some(scope) = &scope {
            for row in scope.rejected(incoming)? {
                verdicts[row as usize] = Verdict::Rejected;
            }
            for column in scope.columns() {
                if !key_columns.contains(&column) {
                    key_columns.push(column);
                }
            }
        }
        let is_compared =
            |name: &str| rule.kept_history().is_none_or(|history| !history.columns.all().contains(&name));
        let values = schema.fields().iter().map(|field| field.name());
        let values = values.filter(|name| !rule.ids().contains(name) && is_compared(name));
        let value_columns: Vec<String> = values.cloned().collect();
        let mut types: Vec<(&str, &DataType)> = Vec::with_capacity(value_columns.len());
        for name in &value_columns {
            types.push((name, stored.field(find_column(stored, name, "column")?).data_type()));
        }
        Ok(Self {
            values: RowEncoder::new(types)?,
            scope: scope.map(|scope| scope.on_keys(stored, &key_columns)).transpose()?,
            cells: stamped(rule, true),
            versions,
            is_soft: rule.soft_column().is_some(),
            verdicts,
            tied: vec![false; incoming.batch().num_rows()],
            replaced: Vec::new(),
            deleted: Vec::new(),
            leaving: refuses_twins(rule).then(|| Leaving::new(stored, rule)).transpose()?,
            nameless: 0,
            doubled: Vec::new(),
            repaired: &[],
            search: None,
            older: Vec::new(),
            refused: Vec::new(),
            incoming,
            rule,
            key_columns,
            value_columns,
        })
    }

    /// The same without stored rows of these numbers, ascending.
    pub(crate) fn without(self, repaired: &'a [u64]) -> Self {
        Self { repaired, ..self }
    }

    /// Looks for stored rows of one id instead, among all that are in scope.
    pub(crate) fn searching(self, search: Search<'a>) -> Self {
        Self { search: Some(search), value_columns: Vec::new(), ..self }
    }

    /// What is to be found out of rows before they are joined.
    pub(crate) fn look(&self) -> Look<'a> {
        match &self.search {
            Some(search) => Look::Alike(search.keys()),
            None => Look::Met(self.incoming, self.rule.ids().len()),
        }
    }

    /// The settled incoming rows.
    pub(crate) fn incoming(&self) -> &'a Incoming {
        self.incoming
    }

    /// The id columns.
    pub(crate) fn ids(&self) -> &'a [String] {
        self.rule.ids()
    }

    /// The id columns by which stored rows may be ruled out that no incoming row meets; none if all stored rows are to be shown.
    pub(crate) fn pruning_ids(&self) -> Option<&'a [String]> {
        (self.rule.only_stored() == Fate::Leave && self.search.is_none()).then(|| self.rule.ids())
    }

    /// Whether stored rows may be ruled out that are in other partitions than all incoming rows.
    pub(crate) fn stays_in_partitions(&self) -> bool {
        self.pruning_ids().is_some() && self.rule.has_stable_partitions()
    }

    /// Whether a column says when a version holds.
    pub(crate) fn is_time(&self, column: &str) -> bool {
        self.rule.kept_history().is_some_and(|history| history.columns.all().contains(&column))
    }

    /// The columns that [`Matcher::probe`] wants, in this order: ids, then the modification column if it
    /// decides between stored and incoming rows, then those of the scope.
    pub(crate) fn key_columns(&self) -> &[String] {
        &self.key_columns
    }

    /// The columns that [`Matcher::decide`] wants, in this order: every incoming one that is not an id.
    pub(crate) fn value_columns(&self) -> &[String] {
        &self.value_columns
    }

    /// Probes stored rows by their key columns; `first_row` is the row of the file that comes first.
    /// Gives the pairs that are still to be compared, ascending by stored row.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a stored modification value cannot be compared with the incoming ones.
    pub(crate) fn probe(&mut self, keys: &RecordBatch, first_row: u64) -> Result<Vec<Pair>> {
        let seen = self.look().at(keys)?;
        self.join(keys, &seen, first_row, &[])
    }

    /// The same once it is known what [`Matcher::look`] asks of `keys`. `gone` are those of the stored rows that do not count, ascending. Rows may be shown in any order.
    ///
    /// # Errors
    ///
    /// As [`Matcher::probe`].
    pub(crate) fn join(
        &mut self,
        keys: &RecordBatch,
        seen: &Seen,
        first_row: u64,
        gone: &[u64],
    ) -> Result<Vec<Pair>> {
        let counts = self.counting(keys, first_row, gone)?;
        let met = match (seen, &mut self.search) {
            (Seen::Met(met), _) => met,
            (Seen::Alike(hashes), Some(search)) => {
                return search.see(keys, hashes, counts.as_deref(), first_row).map(|()| Vec::new());
            }
            (Seen::Alike(_), None) => {
                return Err(Error::internal("rows were looked at that nobody asked for"));
            }
        };
        if self.rule.only_stored() == Fate::Delete {
            let left = self.left_behind(keys, counts.clone(), met)?;
            self.leave(keys, &left, first_row)?;
        }
        let counts = |row: u32| counts.as_ref().is_none_or(|counts| counts[row as usize]);
        if self.versions.is_some() {
            let met: Vec<(u32, u32)> = met.iter().copied().filter(|(row, _)| counts(*row)).collect();
            return self.meet_versions(keys, &met, first_row);
        }
        let met = self.unseen(met.iter().filter(|(row, _)| counts(*row)), first_row);
        if self.rule.matched() == Fate::Leave {
            for (_, pair) in met {
                self.ends(pair.incoming, Verdict::Ignored);
            }
            return Ok(Vec::new());
        }
        let Some((order, ranks)) = self.incoming.order.as_ref().filter(|_| self.rule.compares_modified())
        else {
            let pairs = met.into_iter().map(|(_, pair)| pair);
            let (marks, open) = pairs.partition(|pair| self.is_mark(pair) && !pair.is_stamp);
            Vec::<Pair>::into_iter(marks).for_each(|pair| self.delete(pair));
            return Ok(open);
        };
        let at: Vec<u32> = met.iter().map(|(row, _)| *row).collect();
        // Only rows that met one are ordered: values of other rows need not even be comparable.
        let stored = take_record_batch(keys, &UInt32Array::from(at))
            .and_then(|rows| rows.project(&[self.rule.ids().len()]))
            .map_err(|cause| Error::internal("stored keys could not be gathered").because(cause))?;
        let stored = order.rows(&stored)?;
        let mut open = Vec::new();
        for (place, (_, pair)) in met.into_iter().enumerate() {
            let source = self.incoming.source_rows()[pair.incoming as usize];
            match ranks.row(source as usize).cmp(&stored.row(place)) {
                Ordering::Greater => self.take(pair),
                Ordering::Equal if self.is_mark(&pair) && !pair.is_stamp => self.tie(pair),
                Ordering::Less => self.miss(pair.incoming),
                Ordering::Equal => open.push(pair),
            }
        }
        Ok(open)
    }

    /// Decides pairs by their values: row i of `values`, in the order of
    /// [`Matcher::value_columns`], is the stored row of `pairs[i]`.
    ///
    /// # Errors
    ///
    /// `Internal` if the columns are not the ones asked for.
    pub(crate) fn decide(&mut self, pairs: &[Pair], values: &RecordBatch) -> Result<()> {
        if pairs.is_empty() || self.value_columns.is_empty() {
            return Ok(());
        }
        let incoming = UInt32Array::from(pairs.iter().map(|pair| pair.incoming).collect::<Vec<_>>());
        let incoming = take_record_batch(self.incoming.batch(), &incoming)
            .map_err(|cause| Error::internal("incoming rows could not be gathered").because(cause))?;
        let stored = columns_of(values, &self.value_columns)?;
        let mut merged = columns_of(&incoming, &self.value_columns)?;
        for ((name, stored), new) in self.value_columns.iter().zip(&stored).zip(&mut merged) {
            *new = self.cells.merged(name, stored, new, pairs)?;
        }
        let incoming = self.values.encode(&merged)?;
        let stored = self.values.encode(&stored)?;
        for (row, pair) in pairs.iter().enumerate() {
            let is_same = incoming.row(row) == stored.row(row);
            if let Some(versions) = &mut self.versions {
                if is_same {
                    versions.is_same(pair);
                }
                continue;
            }
            if is_same {
                if pair.is_stamp {
                    self.ends(pair.incoming, Verdict::Tombstone);
                }
                continue;
            }
            match self.rule.winner() {
                Winner::Incoming => self.replace(*pair),
                Winner::Newest(_) => self.tie(*pair),
            }
        }
        Ok(())
    }

    /// The incoming rows of which this has become, ascending.
    fn rows_with(&self, verdict: Verdict) -> impl Iterator<Item = u32> {
        (0..).zip(&self.verdicts).filter(move |(_, own)| **own == verdict).map(|(row, _)| row)
    }

    /// Which of the rows count, being stored and in scope; all if this is not there.
    fn counting(&self, keys: &RecordBatch, first_row: u64, gone: &[u64]) -> Result<Option<Vec<bool>>> {
        let rows = first_row..first_row + keys.num_rows() as u64;
        let repaired = rows_within(self.repaired, &rows);
        let mut counts: Vec<bool> = match &self.scope {
            Some(scope) => scope.evaluate(keys)?.values().iter().collect(),
            None if gone.is_empty() && repaired.is_empty() => return Ok(None),
            None => vec![true; keys.num_rows()],
        };
        for row in gone.iter().chain(repaired) {
            let place = row.checked_sub(first_row).and_then(|row| usize::try_from(row).ok());
            if let Some(counts) = place.and_then(|place| counts.get_mut(place)) {
                *counts = false;
            }
        }
        Ok(Some(counts))
    }

    /// Takes note of rows that do not come in.
    fn leave(&mut self, keys: &RecordBatch, left: &[u32], first_row: u64) -> Result<()> {
        if let Some(versions) = &mut self.versions {
            return versions.leave(self.incoming, keys, left, first_row);
        }
        if let Some(leaving) = &mut self.leaving {
            leaving.see(keys, left)?;
        }
        self.deleted.extend(left.iter().map(|row| first_row + u64::from(*row)));
        Ok(())
    }

    /// Those of the rows that count and are not met.
    fn left_behind(
        &mut self,
        keys: &RecordBatch,
        counts: Option<Vec<bool>>,
        met: &[(u32, u32)],
    ) -> Result<Vec<u32>> {
        let mut leaves = counts.unwrap_or_else(|| vec![true; keys.num_rows()]);
        let ids = &keys.columns()[..self.rule.ids().len()];
        let has_null_ids = self.rule.null_ids() == NullIds::Match;
        for nulls in ids.iter().filter_map(Array::logical_nulls).filter(|_| !has_null_ids) {
            for (_, leaves) in leaves.iter_mut().enumerate().filter(|(row, _)| nulls.is_null(*row)) {
                self.nameless += usize::from(std::mem::take(leaves));
            }
        }
        for (row, _) in met {
            leaves[*row as usize] = false;
        }
        if let Some(share) = &self.incoming.share {
            for (leaves, is_own) in leaves.iter_mut().zip(share.holds(ids)?) {
                *leaves &= is_own;
            }
        }
        Ok((0..).zip(leaves).filter(|(_, leaves)| *leaves).map(|(row, _)| row).collect())
    }

    /// Those whose incoming row may meet them, as a rule because it was not met before, each with its row in the batch.
    fn unseen<'m>(&mut self, met: impl Iterator<Item = &'m (u32, u32)>, first_row: u64) -> Vec<(u32, Pair)> {
        let mut unseen = Vec::with_capacity(met.size_hint().0);
        let meets_all = self.rule.stored_duplicates() == StoredDuplicates::All;
        for (row, incoming) in met {
            match self.verdicts[*incoming as usize] {
                Verdict::Rejected => {}
                verdict if verdict == Verdict::Unseen || meets_all => {
                    self.ends(*incoming, Verdict::Unchanged);
                    let stored_row = first_row + u64::from(*row);
                    let is_stamp = self.is_soft && self.incoming.is_mark(*incoming);
                    unseen.push((*row, Pair { stored_row, incoming: *incoming, is_stamp }));
                }
                _ => self.doubled.push(*incoming),
            }
        }
        unseen
    }

    fn is_mark(&self, pair: &Pair) -> bool {
        self.incoming.is_mark(pair.incoming)
    }

    /// Lets an incoming row win that is as new as the stored one and differs, if it may.
    fn tie(&mut self, pair: Pair) {
        self.tied[pair.incoming as usize] = true;
        match self.rule.newest().map(|newest| newest.ties).unwrap_or_default() {
            Ties::Keep => self.ends(pair.incoming, Verdict::Kept),
            Ties::Incoming => self.take(pair),
            Ties::Error => self.refused.push(pair.incoming),
        }
    }

    fn take(&mut self, pair: Pair) {
        if self.is_mark(&pair) && !pair.is_stamp { self.delete(pair) } else { self.replace(pair) }
    }

    fn delete(&mut self, pair: Pair) {
        self.ends(pair.incoming, Verdict::Tombstone);
        self.deleted.push(pair.stored_row);
    }

    fn replace(&mut self, pair: Pair) {
        let verdict = if pair.is_stamp { Verdict::Tombstone } else { Verdict::Updated };
        self.ends(pair.incoming, verdict);
        self.replaced.push(pair);
    }

    /// Leaves a stored row that is newer.
    fn miss(&mut self, incoming: u32) {
        self.ends(incoming, Verdict::Stale);
        if self.rule.newest().is_some_and(|newest| newest.stale == Stale::Error) {
            self.older.push(incoming);
        }
    }

    fn ends(&mut self, incoming: u32, verdict: Verdict) {
        let own = &mut self.verdicts[incoming as usize];
        *own = verdict.max(*own);
    }
}

/// How values become one, where rows are there that just say that they are deleted, or not.
fn stamped(rule: &MergeRule, is_used: bool) -> Cells {
    let cells = rule.cells().clone();
    match (rule.soft_column(), rule.kept_history()) {
        (Some(flag), _) => cells.with_stamps(flag, rule.compared(), is_used),
        (None, Some(history)) => cells.with_ends(history.columns.ends(), is_used),
        (None, None) => cells,
    }
}

#[cfg(test)]
mod tests;
