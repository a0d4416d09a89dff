//! What can be said of a rule beside its method, and what does not go together.

use super::{Fate, MergeRule};
use crate::core::merge::choices::{
    ColumnPolicy, Duplicates, ExtraColumns, MissingColumns, NullIds, StoredDuplicates,
};
use crate::core::merge::{Casting, DeleteMarks, HistoryColumns, IncomingColumns, MaxDelete};
use crate::core::predicate::Predicate;
use crate::error::{Error, ErrorKind, Result};

impl MergeRule {
    /// Says which of several incoming rows with one id counts where no modification value decides. If this is not said, it is
    /// the last with a modification column, and an error without one.
    #[must_use]
    pub fn with_duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = Some(duplicates);
        self
    }

    /// Says which value a column has in a stored row that an incoming one replaces.
    ///
    /// # Errors
    ///
    /// `Usage` for an id column or the modification column, and with a method that leaves stored rows as they are.
    pub fn with_policy(mut self, column: impl Into<String>, policy: ColumnPolicy) -> Result<Self> {
        let column = column.into();
        if self.soft_column() == Some(column.as_str()) {
            return Err(set_by_marks(&column));
        }
        if self.ids.contains(&column) || self.modified() == Some(column.as_str()) {
            return Err(Error::new(ErrorKind::Usage, "this column always has the value that came in")
                .with("column", column)
                .hint("a policy is for columns that are neither ids nor the modification column"));
        }
        self.check_changes_stored()?;
        self.check_no_history("a version has the values that came in")?;
        self.cells.set(column, policy);
        Ok(self)
    }

    fn check_no_history(&self, message: &'static str) -> Result<()> {
        if self.history.is_none() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Usage, message)
            .with("method", self.method)
            .hint("choose another method, or leave out what a history has no place for"))
    }

    /// Names the columns of a history.
    ///
    /// # Errors
    ///
    /// `Usage` with another method, if one is an id column or is named twice, and if the modification column says when versions
    /// end.
    pub fn with_history_columns(mut self, columns: HistoryColumns) -> Result<Self> {
        let Some(history) = &mut self.history else {
            return Err(Error::new(ErrorKind::Usage, "this method keeps no history")
                .with("method", self.method)
                .hint("choose method history, or leave its columns out"));
        };
        columns.check(&self.ids, history.source.as_deref())?;
        history.columns = columns;
        Ok(self)
    }

    /// Says whether versions end whose id does not come in: with the greatest modification value that did, or with the run where there
    /// is no modification column. As with [`MergeRule::mirror`], nothing that comes in is refused then, unless
    /// [`MergeRule::with_empty_allowed`].
    ///
    /// # Errors
    ///
    /// `Usage` with a method that keeps no history, and with stable partitions.
    pub fn with_missing_closed(mut self, is_closed: bool) -> Result<Self> {
        if self.history.is_none() && is_closed {
            return Err(Error::new(ErrorKind::Usage, "this method keeps no history")
                .with("method", self.method)
                .hint("choose method history, or a mirror if rows that do not come in are to be deleted"));
        }
        if self.history.is_some() {
            self.only_stored = if is_closed { Fate::Delete } else { Fate::Leave };
        }
        self.check_partitions()?;
        Ok(self)
    }

    fn check_changes_stored(&self) -> Result<()> {
        if self.matched != Fate::Leave {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Usage, "this method leaves stored rows as they are")
            .with("method", self.method)
            .hint("choose another method, or leave out what changes or deletes them"))
    }

    /// Says which incoming rows are delete marks. A mark that is older than the stored row is stale.
    ///
    /// # Errors
    ///
    /// `Usage` with a method that leaves stored rows as they are, and if the column of soft deletes is an id column, the
    /// modification column, or has a policy.
    pub fn with_delete_marks(mut self, marks: DeleteMarks) -> Result<Self> {
        self.check_changes_stored()?;
        if let Some(column) = marks.soft_column() {
            self.check_no_history("a delete mark ends a version, and marks no row")?;
            let is_key = self.ids.iter().any(|id| id == column) || self.modified() == Some(column);
            if is_key || self.cells.columns().any(|other| other == column) {
                return Err(set_by_marks(column));
            }
        }
        self.marks = Some(marks);
        Ok(self)
    }

    /// Says for which stored rows the upsert is: others are neither met nor changed, and incoming rows for which the condition
    /// does not hold are rejected. The columns that it names have to come in.
    #[must_use]
    pub fn with_scope(mut self, scope: Predicate) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Says whether a mirror may be of no rows at all, so that all stored ones go.
    #[must_use]
    pub fn with_empty_allowed(mut self, is_allowed: bool) -> Self {
        self.allows_empty = is_allowed;
        self
    }

    /// Says how many stored rows may go at most, be it by delete marks, by a mirror, or because they are duplicates.
    #[must_use]
    pub fn with_max_delete(mut self, most: MaxDelete) -> Self {
        self.max_delete = Some(most);
        self
    }

    /// Says whether no id ever goes from one partition of a table to another. Only partitions that come in are looked into then,
    /// and an id that is stored in another one all the same is inserted once more.
    ///
    /// # Errors
    ///
    /// `Usage` with a mirror, and with [`StoredDuplicates::Repair`], which look at all stored rows.
    pub fn with_stable_partitions(mut self, is_stable: bool) -> Result<Self> {
        self.stable_partitions = is_stable;
        self.check_partitions()?;
        Ok(self)
    }

    /// Says what is done with stored rows that have one id.
    ///
    /// # Errors
    ///
    /// `Usage` for [`StoredDuplicates::Repair`] with [`MergeRule::with_stable_partitions`]: it looks at all stored rows; and with a
    /// history.
    pub fn with_stored_duplicates(mut self, duplicates: StoredDuplicates) -> Result<Self> {
        if duplicates != StoredDuplicates::Error {
            self.check_no_history("the stored versions of an id are no duplicates")?;
        }
        self.stored_duplicates = duplicates;
        self.check_partitions()?;
        Ok(self)
    }

    fn check_partitions(&self) -> Result<()> {
        let (message, hint) = match (self.only_stored, self.stored_duplicates) {
            _ if !self.stable_partitions => return Ok(()),
            (Fate::Delete, _) => {
                ("a mirror looks into all partitions", "leave the flag out, or choose another method")
            }
            (_, StoredDuplicates::Repair) => (
                "stored duplicates are looked for in all partitions",
                "leave the flag out, or --stored-duplicates repair",
            ),
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::Usage, message).with("flag", "--partition-is-stable").hint(hint))
    }

    /// Says whether floats may be ids: NaN is one value then, and zero has no sign.
    #[must_use]
    pub fn with_float_ids(mut self, is_allowed: bool) -> Self {
        self.float_ids = is_allowed;
        self
    }

    /// Says what is done with incoming rows of which an id column is null.
    #[must_use]
    pub fn with_null_ids(mut self, null_ids: NullIds) -> Self {
        self.null_ids = null_ids;
        self
    }

    /// Says what is done with incoming columns that are not stored.
    #[must_use]
    pub fn with_extra_columns(mut self, extra: ExtraColumns) -> Self {
        self.extra = extra;
        self
    }

    /// Says what is done with stored columns that do not come in.
    #[must_use]
    pub fn with_missing_columns(mut self, missing: MissingColumns) -> Self {
        self.missing = missing;
        self
    }

    /// Says what is done with incoming values that are none of the stored type.
    #[must_use]
    pub fn with_casting(mut self, casting: Casting) -> Self {
        self.casting = casting;
        self
    }

    /// Says what is done to incoming columns before anything else.
    ///
    /// # Errors
    ///
    /// `Usage` if a column is renamed or set twice, or two columns get one name.
    pub fn with_columns(mut self, columns: IncomingColumns) -> Result<Self> {
        columns.validate()?;
        self.columns = columns;
        Ok(self)
    }
}

fn set_by_marks(column: &str) -> Error {
    Error::new(ErrorKind::Usage, "this column says whether rows are deleted, and nothing else")
        .with("column", column)
        .hint("name another column for soft deletes: no id, not the modification column, and none with a policy")
}
