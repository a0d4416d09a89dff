//! What matching ends with, once all stored rows were shown: what is refused, what is counted, and what is to be written.

use arrow::datatypes::DataType;

use super::{Matcher, Outcome, Verdict, stamped, stored_twice};
use crate::core::merge::repair::Leaving;
use crate::core::merge::rule::Fate;
use crate::core::merge::settle::row_number;
use crate::core::report::RowCounts;
use crate::error::{Error, ErrorKind, Result};

impl Matcher<'_> {
    /// What becomes of all rows; `rows_before` is the number of stored rows.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an id that came in is stored more than once, if rows without an id are stored where all are looked at,
    /// or if there are stale rows, ties or deleted rows that the rule does not allow, `Internal` if the counts do not add up.
    pub(crate) fn finish(mut self, rows_before: Option<u64>) -> Result<Outcome> {
        let plan = self.plan_versions()?;
        if !self.doubled.is_empty() {
            let doubled = each_once(self.doubled);
            if self.versions.is_some() {
                return Err(Error::new(ErrorKind::InvalidInput, "stored versions of ids overlap")
                    .with("ids", doubled.len())
                    .with("sample", self.incoming.name_ids(doubled, self.rule)?)
                    .hint("put these versions right first: the times of a history follow each other, and only the last has no end"));
            }
            let count = doubled.len();
            return Err(stored_twice("ids", count, self.incoming.name_ids(doubled, self.rule)?));
        }
        if self.nameless > 0 {
            return Err(Error::new(ErrorKind::InvalidInput, "stored rows have no id")
                .with("rows", self.nameless)
                .hint("give them one, or let a null be an id (--null-ids match): a mirror cannot tell whether they are to stay"));
        }
        for row in &self.incoming.tied {
            self.tied[*row as usize] = true;
        }
        self.check_versions()?;
        let count = |verdict| self.rows_with(verdict).count() as u64;
        let is_inserted = self.rule.only_incoming() == Fate::Write;
        let (marks, new): (Vec<u32>, Vec<u32>) =
            self.rows_with(Verdict::Unseen).partition(|row| self.incoming.is_mark(*row));
        let (inserted, left_out) = if is_inserted { (new, 0) } else { (Vec::new(), new.len() as u64) };
        let opened = count(Verdict::Opened);
        let settled = self.verdicts.len() as u64;
        let deleted = self.deleted.len() as u64;
        let soft_deleted = self.replaced.iter().filter(|pair| pair.is_stamp).count() as u64;
        let rows = RowCounts {
            incoming: self.incoming.total,
            inserted: inserted.len() as u64,
            updated: count(Verdict::Updated) + opened,
            unchanged: count(Verdict::Unchanged),
            stale: count(Verdict::Stale) + count(Verdict::Kept),
            tombstones: count(Verdict::Tombstone) + marks.len() as u64,
            ignored: count(Verdict::Ignored) + left_out,
            rejected: count(Verdict::Rejected),
            opened,
            deleted,
            soft_deleted,
            closed: plan.as_ref().map_or(0, |plan| plan.closed),
            duplicates: self.incoming.total - settled,
            ties: self.tied.iter().filter(|tied| **tied).count() as u64,
            rows_before,
            rows_after: rows_before
                .map(|rows| (rows + inserted.len() as u64 + opened).saturating_sub(deleted)),
            ..RowCounts::default()
        };
        rows.verify()?;
        if let (Some(versions), Some(plan)) = (&self.versions, &plan) {
            let (made, replaced) = versions.made(self.incoming, plan)?;
            let inserted = (0..made.sources.len()).skip(replaced.len()).map(row_number).collect();
            let cells = stamped(self.rule, replaced.iter().any(|pair| pair.is_stamp));
            // What ends a version that did not come in has no id.
            let ids = if plan.ends_missing() { Vec::new() } else { self.ids_of_equal_bits() };
            let made = Some(made);
            return Ok(Outcome { replaced, inserted, ids, cells, rows, made, ..Outcome::default() });
        }
        self.replaced.sort_unstable_by_key(|pair| pair.stored_row);
        self.deleted.sort_unstable();
        let (ids, cells) = (self.ids_of_equal_bits(), stamped(self.rule, soft_deleted > 0));
        let is_kept = self.rule.quarantines_stale();
        let stale = self.rows_with(Verdict::Stale).filter(|_| is_kept).collect();
        let (replaced, deleted) = (self.replaced, self.deleted);
        let alike = self.leaving.map(Leaving::alike).unwrap_or_default();
        Ok(Outcome { replaced, deleted, inserted, stale, ids, cells, rows, alike, made: None })
    }

    /// The id columns in which two rows that meet have the same bits: floats are equal that differ in them.
    fn ids_of_equal_bits(&self) -> Vec<String> {
        let schema = self.incoming.batch().schema();
        let is_float = |id: &str| schema.field_with_name(id).is_ok_and(|id| holds_floats(id.data_type()));
        self.rule.ids().iter().filter(|id| !is_float(id)).cloned().collect()
    }

    /// Refuses stale rows and ties where the rule says so.
    fn check_versions(&self) -> Result<()> {
        if !self.older.is_empty() {
            let stale = each_once(self.older.clone());
            return Err(Error::new(ErrorKind::InvalidInput, "incoming rows are older than the stored ones")
                .with("ids", stale.len())
                .with("sample", self.incoming.name_ids(stale, self.rule)?)
                .hint("leave them out of the source, or let them be ignored, or go into the quarantine"));
        }
        if !self.refused.is_empty() {
            let refused = each_once(self.refused.clone());
            let message = "incoming rows are as new as the stored ones and differ";
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with("ids", refused.len())
                .with("sample", self.incoming.name_ids(refused, self.rule)?)
                .hint("give the versions of a row different modification values, or say which one wins"));
        }
        Ok(())
    }
}

fn each_once(mut rows: Vec<u32>) -> Vec<u32> {
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn holds_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => holds_floats(values),
        other => other.is_floating(),
    }
}
