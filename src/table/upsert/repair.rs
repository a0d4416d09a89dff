//! Which stored rows go because a newer one has their id, found before incoming rows are matched. All of this takes no more
//! memory than it is given, but for the numbers of the rows that go.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::parts::Budget;
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher};
use crate::core::merge::repair::{Doubles, Search, StoredKeys, Survivors};
use crate::core::report::WorkCounts;
use crate::error::Result;
use crate::table::StoredTable;
use crate::table::sorted::Sorter;

/// The rows that go, ascending; none if the rule does not ask for them. Incoming rows have the columns of `incoming`, in the
/// stored types. It is not there if the table has changed meanwhile.
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
) -> Result<Option<Vec<u64>>> {
    if !rule.repairs() {
        return Ok(Some(Vec::new()));
    }
    let mut read = WorkCounts::default();
    let found = find(session, stored, incoming, rule, budget, &mut read);
    // Files and row groups count when rows are matched.
    work.key_bytes_read += read.key_bytes_read;
    work.bytes_read += read.bytes_read;
    match found {
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
) -> Result<Vec<u64>> {
    let nothing = Incoming::settle(incoming, &[], None, rule)?;
    let schema = stored.schema();
    let keys = StoredKeys::new(&schema, rule)?;
    let mut doubles = Doubles::new(budget.doubles());
    let mark = Search::Mark(&keys, &mut doubles);
    stored.find(session, &mut Matcher::new(&nothing, &schema, rule)?.searching(mark), work)?;
    if !doubles.any() {
        return Ok(Vec::new());
    }
    let mut sorter = Sorter::new(&keys.gathered_schema(), budget.sorted());
    let mut taker = |rows: &RecordBatch, places: &[u128]| sorter.add(rows, places);
    let gather = Search::Gather(&keys, &doubles, &mut taker);
    stored.find(session, &mut Matcher::new(&nothing, &schema, rule)?.searching(gather), work)?;
    let mut survivors = Survivors::new(&keys)?;
    for rows in sorter.finish(session)? {
        session.check()?;
        survivors.see(&rows?)?;
    }
    Ok(survivors.finish())
}
