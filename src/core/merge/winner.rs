//! Who wins between two rows with one id, and how modification values decide it.

use super::choices::{NullModified, Stale, Ties};

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
