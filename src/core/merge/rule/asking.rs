//! What a rule says, asked by those who go by it.

use arrow::datatypes::Schema;

use super::{Fate, MergeRule, check_keys};
use crate::core::merge::cells::Cells;
use crate::core::merge::choices::{
    Duplicates, ExtraColumns, MissingColumns, NullIds, Stale, StoredDuplicates,
};
use crate::core::merge::history::History;
use crate::core::merge::{Casting, DeleteMarks, IncomingColumns, MaxDelete, Newest, UpsertMethod, Winner};
use crate::core::predicate::Predicate;
use crate::core::report::RowCounts;
use crate::error::{Error, ErrorKind, Result};

impl MergeRule {
    /// The columns that say which row is which; at least one.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Who wins between a stored and an incoming row.
    #[must_use]
    pub fn winner(&self) -> &Winner {
        &self.winner
    }

    /// The modification column, whether it decides against stored rows or inside the batch only.
    #[must_use]
    pub fn modified(&self) -> Option<&str> {
        self.settle.as_ref().map(|newest| newest.column.as_str())
    }

    /// The flag that sends rows into the quarantine, if one does.
    pub(crate) fn quarantines(&self) -> Option<&'static str> {
        if self.null_ids == NullIds::Quarantine {
            return Some("--null-ids");
        }
        self.quarantines_stale().then_some("--stale")
    }

    /// Whether older rows go into the quarantine.
    pub(crate) fn quarantines_stale(&self) -> bool {
        self.settle.as_ref().is_some_and(|newest| newest.stale == Stale::Quarantine)
    }

    /// Whether rows meet, or are compared, by a column.
    pub(crate) fn is_key(&self, column: &str) -> bool {
        let is_in_scope = || self.scope.as_ref().is_some_and(|scope| scope.columns().contains(&column));
        self.modified() == Some(column) || self.ids.iter().any(|id| id == column) || is_in_scope()
    }

    /// Whether a column never becomes null for want of incoming values: it is a key, or says that rows are deleted or have ended.
    pub(crate) fn is_set(&self, column: &str) -> bool {
        let is_time = || self.history.as_ref().is_some_and(|history| history.columns.all().contains(&column));
        self.is_key(column) || self.soft_column() == Some(column) || is_time()
    }

    /// Whether versions end whose id does not come in.
    pub(crate) fn closes_missing(&self) -> bool {
        self.history.is_some() && self.only_stored == Fate::Delete
    }

    /// How history is kept, if it is.
    pub(crate) fn kept_history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// Refuses a scope that is told by when versions hold: it would be left, and entered, by what the upsert does itself.
    ///
    /// # Errors
    ///
    /// `Usage`.
    pub(crate) fn check_scope(&self) -> Result<()> {
        let (Some(history), Some(scope)) = (&self.history, &self.scope) else { return Ok(()) };
        match scope.columns().into_iter().find(|column| history.columns.all().contains(column)) {
            Some(column) => Err(Error::new(ErrorKind::Usage, "a scope cannot be told by when versions hold")
                .with("column", column)
                .hint("name columns that say which rows these are")),
            None => Ok(()),
        }
    }

    /// The same rule for rows that have the columns of the history: versions are compared by when they begin.
    pub(crate) fn versioned(mut self) -> Self {
        let Some(history) = &self.history else { return self };
        let own = self.settle.clone().unwrap_or_else(|| Newest::by(""));
        let newest = Newest { column: history.columns.valid_from.clone(), ..own };
        self.duplicates = Some(self.duplicates());
        self.settle = Some(newest.clone());
        self.winner = Winner::Newest(newest);
        self
    }

    /// What is said of the modification column.
    pub(crate) fn newest(&self) -> Option<&Newest> {
        self.settle.as_ref()
    }

    /// Whether incoming rows have to be newer than stored ones.
    pub(crate) fn compares_modified(&self) -> bool {
        matches!(self.winner, Winner::Newest(_))
    }

    /// What becomes of rows whose id is stored.
    pub(crate) fn matched(&self) -> Fate {
        self.matched
    }

    /// What becomes of incoming rows whose id is not stored.
    pub(crate) fn only_incoming(&self) -> Fate {
        self.only_incoming
    }

    /// What becomes of stored rows whose id does not come in.
    pub(crate) fn only_stored(&self) -> Fate {
        self.only_stored
    }

    /// How stored and incoming values become one.
    pub(crate) fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Which incoming rows are delete marks.
    #[must_use]
    pub fn delete_marks(&self) -> Option<&DeleteMarks> {
        self.marks.as_ref()
    }

    /// The column that says of stored rows that they are deleted, if marks do not delete them.
    pub(crate) fn soft_column(&self) -> Option<&str> {
        self.marks.as_ref().and_then(DeleteMarks::soft_column)
    }

    /// The modification column, if it decides between stored and incoming rows.
    pub(crate) fn compared(&self) -> Option<&str> {
        self.modified().filter(|_| self.compares_modified())
    }

    /// For which stored rows the upsert is; for all if there is none.
    #[must_use]
    pub fn scope(&self) -> Option<&Predicate> {
        self.scope.as_ref()
    }

    /// Whether a mirror may be of no rows at all.
    #[must_use]
    pub fn allows_empty(&self) -> bool {
        self.allows_empty
    }

    /// How many stored rows may go at most.
    #[must_use]
    pub fn max_delete(&self) -> Option<MaxDelete> {
        self.max_delete
    }

    /// Whether no id ever goes from one partition of a table to another.
    #[must_use]
    pub fn has_stable_partitions(&self) -> bool {
        self.stable_partitions
    }

    /// Whether floats may be ids.
    #[must_use]
    pub fn allows_float_ids(&self) -> bool {
        self.float_ids
    }

    /// Refuses to mirror that there is nothing, unless that is allowed.
    ///
    /// # Errors
    ///
    /// `InvalidInput`.
    pub(crate) fn check_rows(&self, has_rows: bool) -> Result<()> {
        if has_rows || self.allows_empty || self.only_stored != Fate::Delete {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidInput, "nothing came in to mirror").hint(
            "all stored rows, or all of the scope, would go, or end: look at the source, or allow an empty batch if that is meant",
        ))
    }

    /// Refuses an outcome in which more stored rows go than may, or all of them because no row came in that is to stay.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that tells how many.
    pub(crate) fn check_deleted(&self, rows: &RowCounts) -> Result<()> {
        // Of stale rows it is not known here which are delete marks.
        let stale = if self.marks.is_none() { rows.stale } else { 0 };
        let live = rows.inserted + rows.updated + rows.unchanged + stale;
        if rows.deleted + rows.closed > 0 {
            self.check_rows(live > 0)?;
        }
        self.max_delete.map_or(Ok(()), |most| {
            most.check(rows.deleted + rows.soft_deleted + rows.closed + rows.repaired, rows.rows_before)
        })
    }

    /// Which of several incoming rows with one id counts where no modification value decides.
    #[must_use]
    pub fn duplicates(&self) -> Duplicates {
        let default = if self.settle.is_some() { Duplicates::Last } else { Duplicates::Error };
        self.duplicates.unwrap_or(default)
    }

    /// What is done with incoming rows of which an id column is null.
    #[must_use]
    pub fn null_ids(&self) -> NullIds {
        self.null_ids
    }

    /// What is done with stored rows that have one id.
    #[must_use]
    pub fn stored_duplicates(&self) -> StoredDuplicates {
        self.stored_duplicates
    }

    /// Whether stored rows that have one id become one.
    pub(crate) fn repairs(&self) -> bool {
        self.stored_duplicates == StoredDuplicates::Repair
    }

    /// What is done with incoming columns that are not stored.
    #[must_use]
    pub fn extra_columns(&self) -> ExtraColumns {
        self.extra
    }

    /// What is done with stored columns that do not come in.
    #[must_use]
    pub fn missing_columns(&self) -> MissingColumns {
        self.missing
    }

    /// What is done with incoming values that are none of the stored type.
    #[must_use]
    pub fn casting(&self) -> &Casting {
        &self.casting
    }

    /// What is done to incoming columns before anything else.
    #[must_use]
    pub fn columns(&self) -> &IncomingColumns {
        &self.columns
    }

    /// The rule, with the names of `schema` where those that it names mean them.
    ///
    /// # Errors
    ///
    /// `Usage` if two of its names mean one column.
    pub(crate) fn in_names_of(&self, schema: &Schema) -> Result<Self> {
        let own = |name: &str| match self.columns.case.find(schema, name) {
            Some(place) => schema.field(place).name().clone(),
            None => name.to_owned(),
        };
        let newest = |newest: &Newest| Newest { column: own(&newest.column), ..newest.clone() };
        let mut rule = self.clone();
        rule.ids = self.ids.iter().map(|id| own(id)).collect();
        rule.settle = self.settle.as_ref().map(newest);
        if let Winner::Newest(winner) = &self.winner {
            rule.winner = Winner::Newest(newest(winner));
        }
        check_keys(&rule.ids, rule.settle.as_ref())?;
        rule.scope = self.scope.as_ref().map(|scope| scope.renamed(&own));
        rule.marks = self.marks.clone().map(|marks| marks.with_soft_column(own));
        rule.history = self.history.as_ref().map(|history| History {
            columns: history.columns.renamed(own),
            source: history.source.as_deref().map(own),
        });
        rule.cells = Cells::default();
        for column in self.cells.columns() {
            rule = rule.with_policy(own(column), self.cells.policy(column))?;
        }
        Ok(rule)
    }

    /// What holds for delete marks, of rows with these columns.
    pub(crate) fn marks_of(&self, incoming: &Schema) -> Option<Predicate> {
        let own = |name: &str| match self.columns.case.find(incoming, name) {
            Some(place) => incoming.field(place).name().clone(),
            None => name.to_owned(),
        };
        self.marks.as_ref().map(|marks| marks.condition().renamed(&own))
    }

    /// The preset this rule was made from.
    #[must_use]
    pub fn method(&self) -> UpsertMethod {
        self.method
    }
}
