//! The suite that every backend and format must pass: one list of cases, and the judge of each.
//!
//! A case is a value. What rows it ends with is computed by the reference merge, not written down a second
//! time; what becomes of the rows, or why they are refused, is written down, so that the judge is judged
//! too.

mod cases;
mod cells;
mod fates;
mod files;
mod judge;
mod lenient;
mod page;
mod raw;
mod rule;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono::{DateTime, TimeDelta, Utc};

use crate::core::format::Format;
use crate::core::options::MemoryLimit;
use crate::core::report::RowCounts;
use crate::error::{Error, ErrorKind, Result};
use crate::table::upsert::columns_of_new;

pub use cases::cases;
pub use cells::table_of;
pub use files::{FileCase, Sent, file_cases};
use judge::merged;
pub use judge::{Judgement, columns_after, judge};
pub use page::page;
pub use raw::{bytes_at, names_at, put_bytes_at};
pub use rule::{Choices, Rule};

/// A limit that nobody else can set: all incoming rows go to disk, each id for itself.
#[must_use]
pub fn no_memory() -> MemoryLimit {
    MemoryLimit::tight()
}

/// The time at which every case runs.
#[must_use]
pub fn run_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// One upsert, and how it must end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Case {
    /// The sentence that the case proves.
    pub name: &'static str,
    /// The target; `None` if it does not exist.
    pub stored: Option<Data>,
    /// What comes in.
    pub incoming: Data,
    /// By which columns.
    pub rule: Rule,
    /// Where it can run.
    pub scope: Scope,
    /// How it ends.
    pub expect: Expect,
}

impl Case {
    fn new(
        name: &'static str,
        stored: impl Into<Option<Data>>,
        incoming: Data,
        rule: Rule,
        expect: Expect,
    ) -> Self {
        Self { name, stored: stored.into(), incoming, rule, scope: EVERYWHERE, expect }
    }

    fn only(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The columns of the table afterwards.
    ///
    /// # Errors
    ///
    /// `Internal` if the case itself is wrong.
    pub fn columns_after(&self) -> Result<SchemaRef> {
        let incoming = self.incoming.batch()?;
        match &self.stored {
            Some(stored) => columns_after(&stored.batch()?, &incoming, &self.rule.to_merge_rule()?),
            None => Ok(columns_of_new(&incoming.schema(), &self.rule.to_merge_rule()?)),
        }
    }

    /// What the judge says: the table afterwards and the counts, or the refusal.
    ///
    /// # Errors
    ///
    /// `Internal` if the case itself is wrong.
    pub fn judge(&self) -> Result<Judgement> {
        let stored = self.stored.as_ref().map(Data::batch).transpose()?;
        judge(stored.as_ref(), &self.incoming.batch()?, &self.rule.to_merge_rule()?)
    }

    /// The incoming rows that the judge puts into the quarantine, as they came in: the number of each, from 1, and why.
    ///
    /// # Errors
    ///
    /// `Internal` if the case itself is wrong.
    pub fn quarantined(&self) -> Result<Vec<(usize, &'static str)>> {
        let stored = self.stored.as_ref().map(Data::batch).transpose()?;
        let merged = merged(stored.as_ref(), &self.incoming.batch()?, &self.rule.to_merge_rule()?)?;
        Ok(merged.map(|merged| merged.quarantined).unwrap_or_default())
    }
}

/// The formats that a case runs in, and why it does not run in the others.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The formats that can hold the stored types.
    pub formats: &'static [Format],
    /// Why the others cannot; empty if there are no others.
    pub why: &'static str,
}

const EVERYWHERE: Scope = Scope { formats: &[Format::Parquet, Format::Csv, Format::Ndjson], why: "" };

/// Columns of equal length.
#[derive(Debug, Clone, Default)]
pub struct Data(Vec<(Field, ArrayRef)>);

impl Data {
    fn with(mut self, name: &str, values: ArrayRef) -> Self {
        self.push(name, values);
        self
    }

    /// A column that takes no nulls.
    fn with_required(mut self, name: &str, values: ArrayRef) -> Self {
        self.0.push((Field::new(name, values.data_type().clone(), false), values));
        self
    }

    fn push(&mut self, name: &str, values: ArrayRef) {
        self.0.push((Field::new(name, values.data_type().clone(), true), values));
    }

    /// The columns as one batch.
    ///
    /// # Errors
    ///
    /// `Internal` if the columns differ in length.
    pub fn batch(&self) -> Result<RecordBatch> {
        let fields: Vec<Field> = self.0.iter().map(|(field, _)| field.clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = self.0.iter().map(|(_, values)| ArrayRef::clone(values)).collect();
        RecordBatch::try_new(schema, columns)
            .map_err(|cause| Error::internal("the columns of a case do not fit together").because(cause))
    }
}

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Well, and this became of the incoming rows.
    Counts(Counts),
    /// With an error, and nothing is written.
    Refused {
        /// Its kind.
        kind: ErrorKind,
        /// Its message, without context.
        message: &'static str,
    },
}

/// What became of the incoming rows; the rest of the report follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Rows that were added.
    pub inserted: u64,
    /// Rows that replaced a stored one.
    pub updated: u64,
    /// Rows that are equal to the stored one.
    pub unchanged: u64,
    /// Rows that are older than the stored one.
    pub stale: u64,
    /// Rows that lost to a twin in the batch.
    pub duplicates: u64,
    /// Ids decided by source order, or by an equal modification value.
    pub ties: u64,
    /// Rows that the method does not look at.
    pub ignored: u64,
    /// Rows that are delete marks.
    pub tombstones: u64,
    /// Rows outside of the scope.
    pub rejected: u64,
    /// Rows that are put into the quarantine.
    pub quarantined: u64,
    /// Stored rows that went.
    pub deleted: u64,
    /// Stored rows that say now that they are deleted.
    pub soft_deleted: u64,
    /// Versions of ids that had one.
    pub opened: u64,
    /// Stored versions that end because of a delete mark.
    pub closed: u64,
    /// Stored rows that went because a newer one has their id.
    pub repaired: u64,
}

impl From<&RowCounts> for Counts {
    fn from(rows: &RowCounts) -> Self {
        let RowCounts { inserted, updated, unchanged, stale, duplicates, ties, ignored, .. } = *rows;
        let RowCounts { tombstones, rejected, quarantined, deleted, soft_deleted, .. } = *rows;
        let RowCounts { opened, closed, repaired, .. } = *rows;
        Self {
            inserted,
            updated,
            unchanged,
            stale,
            duplicates,
            ties,
            ignored,
            tombstones,
            rejected,
            quarantined,
            deleted,
            soft_deleted,
            opened,
            closed,
            repaired,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::judge::{conditions, fitted, named_as};
    use super::*;
    use crate::core::merge::reference::merge;

    #[test]
    fn the_judge_says_what_each_case_says() {
        for case in cases() {
            let judgement = case.judge().unwrap_or_else(|e| panic!("{}: {e:?}", case.name));
            assert_eq!(judgement.expect(), case.expect, "{}", case.name);
        }
    }

    #[test]
    fn twice_is_once_for_the_judge() {
        for case in cases() {
            let Judgement::Merged(table, _) = case.judge().expect("a judgement") else { continue };
            // What is outside of a scope is told by rows, of which the judge knows cells; every place is asked twice, too.
            if case.rule.choices.scope.is_some() {
                continue;
            }
            let raw = case.incoming.batch().expect("a batch");
            let mut rule = case.rule.to_merge_rule().expect("a rule");
            let incoming = match &case.stored {
                None => raw.clone(),
                Some(stored) => {
                    let stored = stored.batch().expect("a batch");
                    let incoming = named_as(&stored, &raw, &rule).expect("a batch");
                    fitted(&stored, &incoming, &rule).expect("a fit").expect("fits")
                }
            };
            rule = rule.in_names_of(&incoming.schema()).expect("a rule");
            let conditions = conditions(None, &raw, &incoming, &rule).expect("conditions");
            let incoming = table_of(&incoming).expect("a table");
            let again = merge(&table, &incoming, &rule, &conditions).expect("merges again");
            let (again, counts) = (again.table, again.counts);
            counts.verify().expect("adds up");
            assert!(counts.is_no_change() && again == table, "{}: {counts:?}", case.name);
        }
    }

    #[test]
    fn every_case_has_a_sentence_of_its_own() {
        let cases = cases();
        let names: HashSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        for name in names {
            assert!(
                name.split('_').count() >= 3
                    && name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit()),
                "{name}"
            );
        }
        for format in EVERYWHERE.formats {
            let own = cases.iter().filter(|case| case.scope.formats.contains(format)).count();
            assert!(own >= 40, "{format}: {own}");
        }
    }
}
