//! Rows of tables that keep history: they are gathered as they are shown, and put in their places when all were.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use super::{Matcher, Pair, Verdict};
use crate::core::merge::versions::{Landing, Plan};
use crate::error::{Error, Result};

impl Matcher<'_> {
    /// Shows versions of ids that came in; all other stored rows stay.
    pub(super) fn meet_versions(
        &mut self,
        keys: &RecordBatch,
        met: &[(u32, u32)],
        first_row: u64,
    ) -> Result<Vec<Pair>> {
        let Some(versions) = &mut self.versions else { return Ok(Vec::new()) };
        let ids = self.rule.ids().len();
        let rows = UInt32Array::from_iter_values(met.iter().map(|(row, _)| *row));
        let times = keys.project(&[ids, ids + 1, ids + 2]).and_then(|keys| take_record_batch(&keys, &rows));
        let times =
            times.map_err(|cause| Error::internal("stored versions could not be gathered").because(cause))?;
        let met: Vec<(u64, u32)> =
            met.iter().map(|(row, incoming)| (first_row + u64::from(*row), *incoming)).collect();
        let is_rejected = |row: u32| self.verdicts[row as usize] == Verdict::Rejected;
        let open = versions.meet(self.incoming, &times, &met, is_rejected)?;
        if !self.value_columns.is_empty() {
            return Ok(open);
        }
        for pair in &open {
            versions.is_same(pair);
        }
        Ok(Vec::new())
    }

    /// Puts incoming versions between the stored ones, if the table keeps history.
    pub(super) fn plan_versions(&mut self) -> Result<Option<Plan>> {
        let Some(versions) = &mut self.versions else { return Ok(None) };
        let mut plan =
            versions.plan(self.incoming, |row| self.verdicts[row as usize] == Verdict::Rejected)?;
        for (row, landing) in &plan.landed {
            self.verdicts[*row as usize] = match landing {
                Landing::First | Landing::Unmet => Verdict::Unseen,
                Landing::Opened => Verdict::Opened,
                Landing::Updated => Verdict::Updated,
                Landing::Unchanged | Landing::Refused => Verdict::Unchanged,
                Landing::Kept => Verdict::Kept,
                Landing::Stale => Verdict::Stale,
                Landing::Tombstone => Verdict::Tombstone,
            };
            if *landing == Landing::Refused {
                self.refused.push(*row);
            }
        }
        for row in &plan.tied {
            self.tied[*row as usize] = true;
        }
        self.doubled.append(&mut plan.doubled);
        Ok(Some(plan))
    }
}
