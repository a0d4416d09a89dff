//! The merge rule: a value that says by which columns rows meet and which of two wins.
//!
//! Methods are presets of it. A new method touches no backend and no kind of table.

use std::str::FromStr;

use strum::VariantNames;

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
}

impl FromStr for UpsertMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "id" => Ok(Self::Id),
            "modified" => Ok(Self::Modified),
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
    /// The one with the greater value in this modification column. A null (or NaN) is lower than
    /// every value; between equal values the incoming row wins.
    Newest(String),
}

/// Says, in full, what an upsert does.
///
/// ```
/// use keyfold::{MergeRule, Winner};
///
/// let rule = MergeRule::by_modified(["order_id"], "updated_at")?;
/// assert_eq!(rule.winner(), &Winner::Newest("updated_at".into()));
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRule {
    ids: Vec<String>,
    winner: Winner,
    settle: Winner,
    method: UpsertMethod,
}

impl MergeRule {
    /// The incoming row replaces the stored row of the same id.
    ///
    /// # Errors
    ///
    /// `Usage` if no id column is named, or one twice.
    pub fn by_id(ids: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        Self::preset(UpsertMethod::Id, ids, Winner::Incoming, Winner::Incoming)
    }

    /// The newer of both rows stays.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::by_id`], and if the modification column is an id column.
    pub fn by_modified(
        ids: impl IntoIterator<Item = impl Into<String>>,
        modified: impl Into<String>,
    ) -> Result<Self> {
        let newest = Winner::Newest(modified.into());
        Self::preset(UpsertMethod::Modified, ids, newest.clone(), newest)
    }

    /// The rule for a method by its columns.
    ///
    /// With [`UpsertMethod::Id`], a modification column settles which of several incoming rows with one
    /// id counts, and nothing else.
    ///
    /// # Errors
    ///
    /// `Usage` if the method needs a modification column and there is none, and as
    /// [`MergeRule::by_modified`].
    pub fn new(
        method: UpsertMethod,
        ids: impl IntoIterator<Item = impl Into<String>>,
        modified: Option<String>,
    ) -> Result<Self> {
        match (method, modified) {
            (UpsertMethod::Id, None) => Self::by_id(ids),
            (UpsertMethod::Id, Some(column)) => {
                Self::preset(method, ids, Winner::Incoming, Winner::Newest(column))
            }
            (UpsertMethod::Modified, Some(column)) => Self::by_modified(ids, column),
            (UpsertMethod::Modified, None) => {
                Err(Error::new(ErrorKind::Usage, "method modified needs a modification column")
                    .hint("name it with --modified COL, or choose method id"))
            }
        }
    }

    fn preset(
        method: UpsertMethod,
        ids: impl IntoIterator<Item = impl Into<String>>,
        winner: Winner,
        settle: Winner,
    ) -> Result<Self> {
        let ids: Vec<String> = ids.into_iter().map(Into::into).collect();
        if ids.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "no id column is named")
                .hint("name the columns that say which row is which"));
        }
        for (i, id) in ids.iter().enumerate() {
            if ids[..i].contains(id) {
                return Err(Error::new(ErrorKind::Usage, "an id column is named twice").with("column", id));
            }
        }
        if let Winner::Newest(column) = &settle
            && ids.contains(column)
        {
            return Err(Error::new(ErrorKind::Usage, "the modification column is also an id column")
                .with("column", column)
                .hint("rows with one id would all have the same modification value"));
        }
        Ok(Self { ids, winner, settle, method })
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
        match &self.settle {
            Winner::Incoming => None,
            Winner::Newest(column) => Some(column),
        }
    }

    /// The preset this rule was made from.
    #[must_use]
    pub fn method(&self) -> UpsertMethod {
        self.method
    }
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
    fn ids_are_named_once_and_are_not_the_modification_column() {
        assert!(MergeRule::by_id(Vec::<String>::new()).is_err());
        assert!(MergeRule::by_id(["a", "a"]).is_err());
        assert!(MergeRule::by_modified(["a"], "a").is_err());
    }
}
