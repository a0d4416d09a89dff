//! What takes stored rows away: marks among the incoming rows, or that they do not come in.

use std::fmt;
use std::str::FromStr;

use crate::core::predicate::Predicate;
use crate::error::{Error, ErrorKind, Result};

/// Which incoming rows are delete marks: rows that say that the stored row with their id is gone.
///
/// ```
/// use keyfold::{DeleteMarks, MergeRule};
///
/// let marks = DeleteMarks::hard("op = 'D'".parse()?);
/// let rule = MergeRule::by_modified(["order_id"], "updated_at")?.with_delete_marks(marks)?;
/// let kept = DeleteMarks::soft("op = 'D'".parse()?, "deleted_at");
/// let rule = MergeRule::by_modified(["order_id"], "updated_at")?.with_delete_marks(kept)?;
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteMarks {
    condition: Predicate,
    soft: Option<String>,
}

impl DeleteMarks {
    /// Incoming rows for which `condition` holds take the stored row out. The columns that it names need not be stored.
    #[must_use]
    pub fn hard(condition: Predicate) -> Self {
        Self { condition, soft: None }
    }

    /// The same, but the stored row stays with its values, and `column`, which is stored, says that it is deleted: by `true`, or
    /// by the modification value of the mark, or by the time of the run where there is none or the column cannot hold it. An
    /// incoming row that is no mark and wins clears the column again.
    #[must_use]
    pub fn soft(condition: Predicate, column: impl Into<String>) -> Self {
        Self { condition, soft: Some(column.into()) }
    }

    /// What holds for marks.
    #[must_use]
    pub fn condition(&self) -> &Predicate {
        &self.condition
    }

    /// The column that says that a row is deleted; rows go if there is none.
    #[must_use]
    pub fn soft_column(&self) -> Option<&str> {
        self.soft.as_deref()
    }

    /// The same with another name for the column.
    pub(super) fn with_soft_column(mut self, name: impl FnOnce(&str) -> String) -> Self {
        self.soft = self.soft.as_deref().map(name);
        self
    }
}

/// How many stored rows an upsert may take out; it is refused if there are more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxDelete {
    /// So many.
    Rows(u64),
    /// So many of a hundred stored rows; not more than 100.
    Percent(u8),
}

impl MaxDelete {
    /// Refuses to take out so many of the stored rows.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if they are too many, or if it is not known how many are stored and that decides.
    pub(super) fn check(self, deleted: u64, stored: Option<u64>) -> Result<()> {
        if deleted == 0 {
            return Ok(());
        }
        let most = match (self, stored) {
            (Self::Rows(most), _) => most,
            // A part of so many rows that they do not fit is not worth a wider type.
            (Self::Percent(percent), Some(stored)) => {
                u64::try_from(u128::from(stored) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
            (Self::Percent(_), None) => {
                return Err(Error::new(ErrorKind::InvalidInput, "it is not known how many rows are stored")
                    .with("max delete", self)
                    .hint("say how many rows may go as a number, or write the table with statistics"));
            }
        };
        if deleted <= most {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidInput, "more stored rows would go than is allowed")
            .with("rows", deleted)
            .with("max delete", self)
            .hint("nothing was written; look at the source, or allow more if it is right"))
    }
}

impl FromStr for MaxDelete {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::Usage, "this is no number of rows")
                .with("max delete", text)
                .hint("name a number of rows such as 1000, or a part of the stored ones such as 30%")
        };
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Rows).map_err(|_| wrong()),
            Some(percent) => match percent.trim_end().parse() {
                Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
                _ => Err(wrong()),
            },
        }
    }
}

impl fmt::Display for MaxDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => rows.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_and_a_number_are_told_apart_and_printed_as_they_were() {
        for text in ["0", "1000", "30%", "100%"] {
            assert_eq!(text.parse::<MaxDelete>().expect("parses").to_string(), text);
        }
        for text in ["", "%", "-1", "101%", "30.5%", "many"] {
            assert_eq!(text.parse::<MaxDelete>().map_err(|e| e.kind()), Err(ErrorKind::Usage), "{text}");
        }
    }

    #[test]
    fn as_many_may_go_as_is_said() {
        let may = |most: &str, deleted, stored| {
            most.parse::<MaxDelete>().expect("parses").check(deleted, stored).is_ok()
        };
        assert!(may("3", 3, None) && !may("3", 4, Some(100)));
        assert!(may("30%", 3, Some(10)) && !may("30%", 4, Some(10)) && !may("30%", 3, Some(9)));
        assert!(may("0%", 0, None) && !may("100%", 1, None));
    }
}
