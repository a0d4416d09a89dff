//! The columns in which a table that keeps history says when each version of a row was valid.

use crate::error::{Error, ErrorKind, Result};

/// The columns by which versions of a row are told apart: since when each holds, until when, and whether it still does.
///
/// ```
/// use keyfold::{HistoryColumns, MergeRule, Winner};
///
/// let columns = HistoryColumns::default().with_valid_to("until");
/// let rule = MergeRule::history(["order_id"], Winner::Newest("updated_at".into()))?.with_history_columns(columns)?;
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryColumns {
    /// Since when a version holds: its modification value, or the time of the run that brought it in.
    pub valid_from: String,
    /// Until when it held, which does not belong to it any more; null while it holds.
    pub valid_to: String,
    /// Whether it holds: true if there is no `valid_to`.
    pub is_current: String,
}

impl Default for HistoryColumns {
    fn default() -> Self {
        let [valid_from, valid_to, is_current] =
            ["valid_from", "valid_to", "is_current"].map(ToOwned::to_owned);
        Self { valid_from, valid_to, is_current }
    }
}

impl HistoryColumns {
    /// Names the column that says since when a version holds.
    #[must_use]
    pub fn with_valid_from(mut self, column: impl Into<String>) -> Self {
        self.valid_from = column.into();
        self
    }

    /// Names the column that says until when a version held.
    #[must_use]
    pub fn with_valid_to(mut self, column: impl Into<String>) -> Self {
        self.valid_to = column.into();
        self
    }

    /// Names the column that says whether a version holds.
    #[must_use]
    pub fn with_is_current(mut self, column: impl Into<String>) -> Self {
        self.is_current = column.into();
        self
    }

    /// All of them, in this order.
    pub(crate) fn all(&self) -> [&str; 3] {
        [&self.valid_from, &self.valid_to, &self.is_current]
    }

    /// Those that change when a version ends.
    pub(crate) fn ends(&self) -> [&str; 2] {
        [&self.valid_to, &self.is_current]
    }

    /// The same by other names.
    pub(super) fn renamed(&self, name: impl Fn(&str) -> String) -> Self {
        let [valid_from, valid_to, is_current] = self.all().map(name);
        Self { valid_from, valid_to, is_current }
    }

    /// Refuses columns that are something else already.
    pub(super) fn check(&self, ids: &[String], modified: Option<&str>) -> Result<()> {
        let wrong = |message: &'static str, column: &str| {
            Err(Error::new(ErrorKind::Usage, message)
                .with("column", column)
                .hint("name another one: since when a version holds, until when, and whether it does are columns of their own"))
        };
        let all = self.all();
        for (place, column) in all.iter().enumerate() {
            if column.is_empty() {
                return wrong("a column of the history has no name", column);
            }
            if all[..place].contains(column) {
                return wrong("a column of the history is named twice", column);
            }
            if ids.iter().any(|id| id == column) {
                return wrong("an id column cannot be one of the history", column);
            }
        }
        match modified.filter(|modified| self.ends().contains(modified)) {
            Some(column) => wrong("the modification column does not say when a version ends", column),
            None => Ok(()),
        }
    }
}

/// How a rule keeps history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) columns: HistoryColumns,
    /// The column that says since when an incoming version holds; if there is none, it is the time of the run.
    pub(crate) source: Option<String>,
}
