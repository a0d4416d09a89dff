//! The columns of a history, as they are typed.

use clap::Args;

use crate::core::merge::{HistoryColumns, MergeRule};
use crate::error::Result;

const HISTORY: &str = "History";

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// With --method history, column that says since when a version holds: its modification value, or the time of the run. A new
    /// target gets it [default: `valid_from`]
    #[arg(long, value_name = "COL", help_heading = HISTORY)]
    valid_from: Option<String>,

    /// Column that says until when it did; null while it holds [default: `valid_to`]
    #[arg(long, value_name = "COL", help_heading = HISTORY)]
    valid_to: Option<String>,

    /// Column that says whether it holds [default: `is_current`]
    #[arg(long, value_name = "COL", help_heading = HISTORY)]
    is_current: Option<String>,

    /// End versions of ids that do not come in, at the greatest value of --modified that does, or at the time of the run
    #[arg(long, help_heading = HISTORY)]
    close_missing: bool,
}

impl HistoryArgs {
    pub(super) fn closes_missing(&self) -> bool {
        self.close_missing
    }

    /// The rule with these columns, where they were typed.
    ///
    /// # Errors
    ///
    /// `Usage` for a rule that keeps no history, or columns that are something else.
    pub(super) fn applied(self, rule: MergeRule) -> Result<MergeRule> {
        let Self { valid_from, valid_to, is_current, close_missing } = self;
        let rule = if close_missing { rule.with_missing_closed(true)? } else { rule };
        if valid_from.is_none() && valid_to.is_none() && is_current.is_none() {
            return Ok(rule);
        }
        let mut columns = HistoryColumns::default();
        columns.valid_from = valid_from.unwrap_or(columns.valid_from);
        columns.valid_to = valid_to.unwrap_or(columns.valid_to);
        columns.is_current = is_current.unwrap_or(columns.is_current);
        rule.with_history_columns(columns)
    }
}
