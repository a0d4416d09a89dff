//! The merge rule: a value that says by which columns rows meet and which of two wins.
//!
//! Methods are presets of it. A new method touches no backend and no kind of table.

mod flags;

use arrow::datatypes::Schema;

use super::casting::Casting;
use super::cells::Cells;
use super::choices::{ColumnPolicy, Duplicates, ExtraColumns, MissingColumns, NullIds, StoredDuplicates};
use super::columns::IncomingColumns;
use super::history::{History, HistoryColumns};
use super::{DeleteMarks, MaxDelete, Newest, Stale, UpsertMethod, Winner};
use crate::core::predicate::Predicate;
use crate::core::report::RowCounts;
use crate::error::{Error, ErrorKind, Result};

/// What becomes of rows that an upsert meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// What came in is written, where it wins.
    Write,
    /// What is stored stays as it is.
    Leave,
    /// What is stored goes.
    Delete,
}

/// Says, in full, what an upsert does.
///
/// ```
/// use keyfold::{Duplicates, MergeRule, Winner};
///
/// let rule = MergeRule::by_modified(["order_id"], "updated_at")?;
/// assert_eq!(rule.winner(), &Winner::Newest("updated_at".into()));
/// let rule = MergeRule::insert_only(["order_id"])?.with_duplicates(Duplicates::First);
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MergeRule {
    ids: Vec<String>,
    winner: Winner,
    /// By what incoming rows with one id are told apart.
    settle: Option<Newest>,
    matched: Fate,
    only_incoming: Fate,
    only_stored: Fate,
    cells: Cells,
    marks: Option<DeleteMarks>,
    scope: Option<Predicate>,
    allows_empty: bool,
    max_delete: Option<MaxDelete>,
    stable_partitions: bool,
    float_ids: bool,
    duplicates: Option<Duplicates>,
    null_ids: NullIds,
    stored_duplicates: StoredDuplicates,
    extra: ExtraColumns,
    missing: MissingColumns,
    casting: Casting,
    columns: IncomingColumns,
    history: Option<History>,
    method: UpsertMethod,
}

impl MergeRule {
    /// The incoming row replaces the stored row of the same id.
    ///
    /// # Errors
    ///
    /// `Usage` if no id column is named, or one twice.
    pub fn by_id(ids: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        Self::preset(UpsertMethod::Id, ids, Winner::Incoming, None)
    }

    /// The newer of both rows stays.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::by_id`], and if the modification column is an id column.
    pub fn by_modified(
        ids: impl IntoIterator<Item = impl Into<String>>,
        newest: impl Into<Newest>,
    ) -> Result<Self> {
        let newest = newest.into();
        Self::preset(UpsertMethod::Modified, ids, Winner::Newest(newest.clone()), Some(newest))
    }

    /// Rows with new ids are added; stored rows stay as they are.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::by_id`].
    pub fn insert_only(ids: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        Self::preset(UpsertMethod::InsertOnly, ids, Winner::Incoming, None)
    }

    /// Stored rows are updated if the incoming one wins; no row is added.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::by_modified`].
    pub fn update_only(ids: impl IntoIterator<Item = impl Into<String>>, winner: Winner) -> Result<Self> {
        Self::judged(UpsertMethod::UpdateOnly, ids, winner)
    }

    /// The incoming rows are all that there should be: stored rows whose id does not come in go. Without an incoming row this
    /// is refused, unless [`MergeRule::with_empty_allowed`].
    ///
    /// # Errors
    ///
    /// As [`MergeRule::by_modified`].
    pub fn mirror(ids: impl IntoIterator<Item = impl Into<String>>, winner: Winner) -> Result<Self> {
        Self::judged(UpsertMethod::Mirror, ids, winner)
    }

    /// Each version of a row is a row of its own. A new one ends the stored one that holds; a late one is put in its place between
    /// those that are stored. Versions begin at their modification value, or where there is no modification column, at the time
    /// of the run. Delete marks end a version, and begin none.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::by_modified`], and `Usage` if something is said of stale rows: there are none.
    pub fn history(ids: impl IntoIterator<Item = impl Into<String>>, winner: Winner) -> Result<Self> {
        if let Winner::Newest(newest) = &winner
            && newest.stale != Stale::default()
        {
            return Err(Error::new(ErrorKind::Usage, "late versions are put in their place")
                .with("method", UpsertMethod::History)
                .hint("leave out what is done with stale rows: a history takes them in"));
        }
        let mut rule = Self::judged(UpsertMethod::History, ids, winner)?;
        let columns = HistoryColumns::default();
        columns.check(&rule.ids, rule.modified())?;
        rule.history = Some(History { columns, source: rule.modified().map(ToOwned::to_owned) });
        Ok(rule)
    }

    fn judged(
        method: UpsertMethod,
        ids: impl IntoIterator<Item = impl Into<String>>,
        winner: Winner,
    ) -> Result<Self> {
        let settle = match &winner {
            Winner::Incoming => None,
            Winner::Newest(newest) => Some(newest.clone()),
        };
        Self::preset(method, ids, winner, settle)
    }

    /// The rule for a method by its columns.
    ///
    /// With [`UpsertMethod::Id`] and [`UpsertMethod::InsertOnly`], a modification column settles which of several incoming
    /// rows with one id counts, and nothing else.
    ///
    /// # Errors
    ///
    /// `Usage` if the method needs a modification column and there is none, if something is said of stored rows with which
    /// modification values are not compared, and as [`MergeRule::by_modified`].
    pub fn new(
        method: UpsertMethod,
        ids: impl IntoIterator<Item = impl Into<String>>,
        modified: Option<Newest>,
    ) -> Result<Self> {
        match (method, modified) {
            (UpsertMethod::Modified, Some(newest)) => Self::by_modified(ids, newest),
            (UpsertMethod::Modified, None) => {
                Err(Error::new(ErrorKind::Usage, "method modified needs a modification column")
                    .hint("name it with --modified COL, or choose method id"))
            }
            (UpsertMethod::UpdateOnly | UpsertMethod::Mirror, newest) => {
                Self::judged(method, ids, newest.map_or(Winner::Incoming, Winner::Newest))
            }
            (UpsertMethod::History, newest) => {
                Self::history(ids, newest.map_or(Winner::Incoming, Winner::Newest))
            }
            (UpsertMethod::Id | UpsertMethod::InsertOnly, newest) => {
                let is_plain = |newest: &Newest| (newest.stale, newest.ties) == Default::default();
                if !newest.as_ref().is_none_or(is_plain) {
                    return Err(Error::new(
                        ErrorKind::Usage,
                        "this method does not compare modification values with stored ones",
                    )
                    .with("method", method)
                    .hint("choose another method, or leave out what is done with ties and stale rows"));
                }
                Self::preset(method, ids, Winner::Incoming, newest)
            }
        }
    }

    fn preset(
        method: UpsertMethod,
        ids: impl IntoIterator<Item = impl Into<String>>,
        winner: Winner,
        settle: Option<Newest>,
    ) -> Result<Self> {
        let ids: Vec<String> = ids.into_iter().map(Into::into).collect();
        if ids.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "no id column is named")
                .hint("name the columns that say which row is which"));
        }
        check_keys(&ids, settle.as_ref())?;
        let unless = |left: UpsertMethod| if method == left { Fate::Leave } else { Fate::Write };
        Ok(Self {
            ids,
            winner,
            settle,
            matched: unless(UpsertMethod::InsertOnly),
            only_incoming: unless(UpsertMethod::UpdateOnly),
            only_stored: if method == UpsertMethod::Mirror { Fate::Delete } else { Fate::Leave },
            cells: Cells::default(),
            marks: None,
            scope: None,
            allows_empty: false,
            max_delete: None,
            stable_partitions: false,
            float_ids: false,
            duplicates: None,
            null_ids: NullIds::default(),
            stored_duplicates: StoredDuplicates::default(),
            extra: ExtraColumns::default(),
            missing: MissingColumns::default(),
            casting: Casting::default(),
            columns: IncomingColumns::default(),
            history: None,
            method,
        })
    }

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
            "all stored rows, or all of the scope, would go: look at the source, or allow an empty batch if that is meant",
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

fn set_by_marks(column: &str) -> Error {
    Error::new(ErrorKind::Usage, "this column says whether rows are deleted, and nothing else")
        .with("column", column)
        .hint("name another column for soft deletes: no id, not the modification column, and none with a policy")
}

/// Refuses keys of which two are one column.
fn check_keys(ids: &[String], newest: Option<&Newest>) -> Result<()> {
    for (i, id) in ids.iter().enumerate() {
        if ids[..i].contains(id) {
            return Err(Error::new(ErrorKind::Usage, "an id column is named twice").with("column", id));
        }
    }
    if let Some(Newest { column, .. }) = newest
        && ids.contains(column)
    {
        return Err(Error::new(ErrorKind::Usage, "the modification column is also an id column")
            .with("column", column)
            .hint("rows with one id would all have the same modification value"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::merge::{NullModified, Stale, Ties};

    #[test]
    fn newest_without_a_column_is_refused() {
        let error = MergeRule::new(UpsertMethod::Modified, ["id"], None).expect_err("no column");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }

    #[test]
    fn method_id_with_a_modification_column_settles_the_batch_only() {
        let rule = MergeRule::new(UpsertMethod::Id, ["id"], Some("at".into())).expect("a rule");
        assert_eq!((rule.winner(), rule.modified()), (&Winner::Incoming, Some("at")));
    }

    #[test]
    fn what_is_said_of_stored_versions_needs_a_method_that_looks_at_them() {
        let newest = || Newest::by("at");
        for said in [
            newest().with_stale(Stale::Error),
            newest().with_ties(Ties::Keep),
            newest().with_ties(Ties::Error),
        ] {
            for (method, is_fine) in [
                (UpsertMethod::Id, false),
                (UpsertMethod::InsertOnly, false),
                (UpsertMethod::Modified, true),
                (UpsertMethod::UpdateOnly, true),
            ] {
                let rule = MergeRule::new(method, ["id"], Some(said.clone()));
                assert_eq!(rule.map_err(|error| error.kind()).is_ok(), is_fine, "{method}");
            }
        }
        let settled = newest().with_nulls(NullModified::Error);
        assert!(
            MergeRule::new(UpsertMethod::Id, ["id"], Some(settled)).is_ok(),
            "all methods look at the batch"
        );
    }

    #[test]
    fn what_looks_at_all_rows_leaves_no_partition_out() {
        let rule = || MergeRule::by_id(["id"]).expect("a rule");
        let repair = StoredDuplicates::Repair;
        let refused = [
            rule().with_stable_partitions(true).and_then(|rule| rule.with_stored_duplicates(repair)),
            rule().with_stored_duplicates(repair).and_then(|rule| rule.with_stable_partitions(true)),
            MergeRule::mirror(["id"], Winner::Incoming).and_then(|rule| rule.with_stable_partitions(true)),
        ];
        for rule in refused {
            assert_eq!(rule.map_err(|error| error.kind()), Err(ErrorKind::Usage));
        }
        let all = rule().with_stored_duplicates(StoredDuplicates::All).expect("a rule");
        assert!(all.with_stable_partitions(true).is_ok());
    }

    #[test]
    fn ids_are_named_once_and_are_not_the_modification_column() {
        assert!(MergeRule::by_id(Vec::<String>::new()).is_err());
        assert!(MergeRule::by_id(["a", "a"]).is_err());
        assert!(MergeRule::by_modified(["a"], "a").is_err());
    }
}
