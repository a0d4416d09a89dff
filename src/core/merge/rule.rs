//! The merge rule: a value that says by which columns rows meet and which of two wins.
//!
//! Methods are presets of it. A new method touches no backend and no kind of table.

use std::str::FromStr;

use arrow::datatypes::Schema;
use strum::VariantNames;

use super::casting::Casting;
use super::choices::{Duplicates, ExtraColumns, MissingColumns, NullModified, Stale, Ties};
use super::columns::IncomingColumns;
use crate::error::{Error, ErrorKind, Result};

/// Ready-made merge rules, as users name them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::VariantNames,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum UpsertMethod {
    /// The incoming row replaces the stored row of the same id.
    Id,
    /// Of two rows with the same id, the one with the newer modification value stays.
    Modified,
    /// Rows with new ids are added; stored rows stay as they are.
    InsertOnly,
    /// As `modified` with a modification column, else as `id`, but no row is added: the target has to be there.
    UpdateOnly,
}

impl FromStr for UpsertMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "id" => Ok(Self::Id),
            "modified" => Ok(Self::Modified),
            "insert-only" => Ok(Self::InsertOnly),
            "update-only" => Ok(Self::UpdateOnly),
            _ => Err(Error::new(ErrorKind::Usage, "unknown method")
                .with("method", name)
                .hint(format!("known methods: {}", Self::VARIANTS.join(", ")))),
        }
    }
}

/// Which of two rows with the same id is the one to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Winner {
    /// The incoming one.
    Incoming,
    /// The one with the greater value in a modification column.
    Newest(Newest),
}

/// A modification column, and what is done where it does not decide.
///
/// ```
/// use keyfold::{MergeRule, Newest, Ties};
///
/// let newest = Newest::by("updated_at").with_ties(Ties::Keep);
/// let rule = MergeRule::by_modified(["order_id"], newest)?;
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Newest {
    /// The column. A null (or NaN) is lower than every value.
    pub column: String,
    /// What an incoming row without a value means.
    pub nulls: NullModified,
    /// Who wins between an incoming and a stored row that have the same value and differ.
    pub ties: Ties,
    /// What is done with an incoming row that is older than the stored one.
    pub stale: Stale,
}

impl Newest {
    /// The greater value of `column` wins; everything else as it is by default.
    #[must_use]
    pub fn by(column: impl Into<String>) -> Self {
        let (nulls, ties, stale) = Default::default();
        Self { column: column.into(), nulls, ties, stale }
    }

    /// Says what an incoming row without a value means.
    #[must_use]
    pub fn with_nulls(mut self, nulls: NullModified) -> Self {
        self.nulls = nulls;
        self
    }

    /// Says who wins between an incoming and a stored row that have the same value and differ.
    #[must_use]
    pub fn with_ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }

    /// Says what is done with an incoming row that is older than the stored one.
    #[must_use]
    pub fn with_stale(mut self, stale: Stale) -> Self {
        self.stale = stale;
        self
    }
}

impl<S: Into<String>> From<S> for Newest {
    fn from(column: S) -> Self {
        Self::by(column)
    }
}

/// What becomes of rows that an upsert meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// What came in is written, where it wins.
    Write,
    /// What is stored stays as it is.
    Leave,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRule {
    ids: Vec<String>,
    winner: Winner,
    /// By what incoming rows with one id are told apart.
    settle: Option<Newest>,
    matched: Fate,
    only_incoming: Fate,
    duplicates: Option<Duplicates>,
    extra: ExtraColumns,
    missing: MissingColumns,
    casting: Casting,
    columns: IncomingColumns,
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
        let settle = match &winner {
            Winner::Incoming => None,
            Winner::Newest(newest) => Some(newest.clone()),
        };
        Self::preset(UpsertMethod::UpdateOnly, ids, winner, settle)
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
            (UpsertMethod::UpdateOnly, None) => Self::update_only(ids, Winner::Incoming),
            (UpsertMethod::UpdateOnly, Some(newest)) => Self::update_only(ids, Winner::Newest(newest)),
            (UpsertMethod::Id | UpsertMethod::InsertOnly, newest) => {
                let is_plain = |newest: &Newest| (newest.stale, newest.ties) == Default::default();
                if !newest.as_ref().is_none_or(is_plain) {
                    return Err(Error::new(
                        ErrorKind::Usage,
                        "this method does not compare modification values with stored ones",
                    )
                    .with("method", method)
                    .hint("choose method modified or update-only, or leave out what is done with ties and stale rows"));
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
            duplicates: None,
            extra: ExtraColumns::default(),
            missing: MissingColumns::default(),
            casting: Casting::default(),
            columns: IncomingColumns::default(),
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

    /// Whether rows meet, or are compared, by a column.
    pub(crate) fn is_key(&self, column: &str) -> bool {
        self.modified() == Some(column) || self.ids.iter().any(|id| id == column)
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

    /// Which of several incoming rows with one id counts where no modification value decides.
    #[must_use]
    pub fn duplicates(&self) -> Duplicates {
        let default = if self.settle.is_some() { Duplicates::Last } else { Duplicates::Error };
        self.duplicates.unwrap_or(default)
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
        Ok(rule)
    }

    /// The preset this rule was made from.
    #[must_use]
    pub fn method(&self) -> UpsertMethod {
        self.method
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
    fn ids_are_named_once_and_are_not_the_modification_column() {
        assert!(MergeRule::by_id(Vec::<String>::new()).is_err());
        assert!(MergeRule::by_id(["a", "a"]).is_err());
        assert!(MergeRule::by_modified(["a"], "a").is_err());
    }
}
