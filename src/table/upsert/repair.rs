//! Which stored rows go because a newer one has their id, found before incoming rows are matched. All of this takes no more
//! memory than it is given, but for the numbers of the rows that go.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::parts::Budget;
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher, Outcome, name_ids, stored_twice};
use crate::core::merge::repair::{Doubles, Search, StoredKeys, Survivors};
use crate::core::report::WorkCounts;
use crate::error::Result;
use crate::table::StoredTable;
use crate::table::sorted::Sorter;

/// How many ids are named.
const SAMPLE: usize = 10;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    /// The rows that go, ascending.
    pub(super) gone: Vec<u64>,
    /// What was read, if it was looked for them.
    read: Option<WorkCounts>,
}

impl Repaired {
    /// The outcome where they go as well. `work` counts what was read to match the others.
    ///
    /// # Errors
    ///
    /// As [`Outcome::with_repaired`].
    pub(super) fn joined(&self, outcome: Outcome, work: &mut WorkCounts) -> Result<Outcome> {
        if let Some(read) = &self.read {
            // All was looked into once: what was ruled out afterwards was not skipped.
            (work.files_read, work.files_skipped) = (read.files_read, read.files_skipped);
            work.row_groups_read = read.row_groups_read;
            work.row_groups_skipped = read.row_groups_skipped;
        }
        outcome.with_repaired(&self.gone)
    }
}

/// Finds the rows that go; none if the rule does not ask for them. Incoming rows have the columns of `incoming`, in the stored
/// types. It is not there if the table has changed meanwhile.
///
/// # Errors
///
/// `InvalidInput` if stored rows cannot be compared, and as [`StoredTable::find`].
pub(super) fn repaired(
    session: &Session,
    stored: &mut dyn StoredTable,
    incoming: &SchemaRef,
    rule: &MergeRule,
    budget: Budget,
    work: &mut WorkCounts,
) -> Result<Option<Repaired>> {
    if !rule.repairs() {
        return Ok(Some(Repaired::default()));
    }
    match find(session, stored, incoming, rule, budget, work) {
        // A row that goes from one file to another just then is found twice.
        Err(_) if stored.is_current(session).is_ok_and(|is_current| !is_current) => Ok(None),
        found => found.map(Some),
    }
}

fn find(
    session: &Session,
    stored: &mut dyn StoredTable,
    incoming: &SchemaRef,
    rule: &MergeRule,
    budget: Budget,
    work: &mut WorkCounts,
) -> Result<Repaired> {
    let nothing = Incoming::settle(incoming, &[], None, rule)?;
    let schema = stored.schema();
    let keys = StoredKeys::new(&schema, rule)?;
    let mut doubles = Doubles::new(budget.doubles());
    let mark = Search::Mark(&keys, &mut doubles);
    stored.find(session, &mut Matcher::new(&nothing, &schema, rule)?.searching(mark), work)?;
    let read = Some(work.clone());
    if !doubles.any() {
        return Ok(Repaired { gone: Vec::new(), read });
    }
    Ok(Repaired { gone: gathered(session, stored, &nothing, rule, (&keys, &doubles), budget, work)?, read })
}

/// Of the rows of `doubles` those that have the id of another one, which stays.
fn gathered(
    session: &Session,
    stored: &mut dyn StoredTable,
    nothing: &Incoming,
    rule: &MergeRule,
    (keys, doubles): (&StoredKeys, &Doubles),
    budget: Budget,
    work: &mut WorkCounts,
) -> Result<Vec<u64>> {
    let mut sorter = Sorter::new(&keys.gathered_schema(), budget.sorted());
    let mut taker = |rows: &RecordBatch, places: &[u128]| sorter.add(rows, places);
    let gather = Search::Gather(keys, doubles, &mut taker);
    stored.find(session, &mut Matcher::new(nothing, &stored.schema(), rule)?.searching(gather), work)?;
    let mut survivors = Survivors::new(keys)?;
    for rows in sorter.finish(session)? {
        session.check()?;
        survivors.see(&rows?)?;
    }
    Ok(survivors.finish())
}

/// Refuses rows that go for not having come in, if several have one id: ids with these hashes are looked at in full.
///
/// # Errors
///
/// `InvalidInput` then, and as [`repaired`].
pub(super) fn check_leaving(
    session: &Session,
    stored: &mut dyn StoredTable,
    incoming: &SchemaRef,
    rule: &MergeRule,
    budget: Budget,
    alike: &[u64],
) -> Result<()> {
    if alike.is_empty() {
        return Ok(());
    }
    let nothing = Incoming::settle(incoming, &[], None, rule)?;
    let (keys, doubles) = (StoredKeys::new(&stored.schema(), rule)?, Doubles::of(alike));
    let mut work = WorkCounts::default();
    let twins = gathered(session, stored, &nothing, rule, (&keys, &doubles), budget, &mut work)?;
    if twins.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    for rows in stored.rows_at(session, &twins[..twins.len().min(SAMPLE)])? {
        names.push(name_ids(&rows, 0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX), rule)?);
    }
    Err(stored_twice("rows", twins.len(), names.join(", ")))
}
