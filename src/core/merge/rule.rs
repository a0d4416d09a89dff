//! The merge rule: a value that says by which columns rows meet and which of two wins.
//!
//! Methods are presets of it. A new method touches no backend and no kind of table.

mod asking;
mod choosing;
mod flags;

use super::casting::Casting;
use super::cells::Cells;
use super::choices::{Duplicates, ExtraColumns, MissingColumns, NullIds, StoredDuplicates};
use super::columns::IncomingColumns;
use super::history::{History, HistoryColumns};
use super::{DeleteMarks, MaxDelete, Newest, Stale, UpsertMethod, Winner};
use crate::core::predicate::Predicate;
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
