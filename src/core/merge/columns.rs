//! Names and values that incoming columns get before anything else is done with them.

use std::borrow::Cow;
use std::collections::HashSet;

use arrow::datatypes::Schema;

use super::choices::NameCase;
use crate::core::predicate::Assignment;
use crate::error::{Error, ErrorKind, Result};

/// What is done to incoming columns before they meet stored ones: first they are renamed, then set.
///
/// ```
/// use keyfold::{IncomingColumns, MergeRule, NameCase};
///
/// let columns = IncomingColumns::default()
///     .with_case(NameCase::Fold)
///     .with_rename("OrderNo", "order_id")
///     .with_set("source = 'web'".parse()?);
/// let rule = MergeRule::by_id(["order_id"])?.with_columns(columns)?;
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncomingColumns {
    /// How names meet those of stored columns.
    pub case: NameCase,
    /// Old names and new ones, all of which are given at once.
    pub renames: Vec<(String, String)>,
    /// Columns that are set; each sees the values that came in.
    pub sets: Vec<Assignment>,
}

impl IncomingColumns {
    /// Says how names meet those of stored columns.
    #[must_use]
    pub fn with_case(mut self, case: NameCase) -> Self {
        self.case = case;
        self
    }

    /// Gives the column `old` the name `new`.
    #[must_use]
    pub fn with_rename(mut self, old: impl Into<String>, new: impl Into<String>) -> Self {
        self.renames.push((old.into(), new.into()));
        self
    }

    /// Sets a column in every row; one that does not come in is added.
    #[must_use]
    pub fn with_set(mut self, set: Assignment) -> Self {
        self.sets.push(set);
        self
    }

    /// Checks that no column is said to be two things.
    pub(super) fn validate(&self) -> Result<()> {
        let once = |message: &'static str, names: Vec<&str>| {
            let mut seen = HashSet::new();
            match names.into_iter().find(|name| !seen.insert(self.case.key(name))) {
                Some(name) => Err(Error::new(ErrorKind::Usage, message).with("column", name)),
                None => Ok(()),
            }
        };
        once("a column is renamed twice", self.renames.iter().map(|(old, _)| old.as_str()).collect())?;
        once("two columns are given one name", self.renames.iter().map(|(_, new)| new.as_str()).collect())?;
        once("a column is set twice", self.sets.iter().map(Assignment::column).collect())
    }

    /// Whether columns come as they are.
    pub(crate) fn are_plain(&self) -> bool {
        self.renames.is_empty() && self.sets.is_empty()
    }

    /// The name that an incoming column has from now on.
    pub(crate) fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        let is_old = |(old, _): &&(String, String)| self.case.key(old) == self.case.key(name);
        self.renames.iter().find(is_old).map_or(name, |(_, new)| new)
    }
}

impl NameCase {
    /// What is equal for names that mean one column.
    pub(crate) fn key(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Exact => Cow::Borrowed(name),
            Self::Fold => Cow::Owned(name.to_lowercase()),
        }
    }

    /// The place of the column of `schema` that `name` means: the one of that very name, or the only one that is like it.
    pub(crate) fn find(self, schema: &Schema, name: &str) -> Option<usize> {
        if let Ok(place) = schema.index_of(name) {
            return Some(place);
        }
        let key = self.key(name);
        let mut alike =
            (0..schema.fields().len()).filter(|place| self.key(schema.field(*place).name()) == key);
        alike.next().filter(|_| alike.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    #[test]
    fn a_name_means_its_own_column_or_the_only_one_that_is_like_it() {
        let schema = |names: &[&str]| {
            Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>())
        };
        let schema = schema(&["Id", "x", "X", "ÄN"]);
        let fold = |name| NameCase::Fold.find(&schema, name);
        assert_eq!([fold("id"), fold("x"), fold("X"), fold("än")], [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(fold("y"), None);
        assert_eq!(
            [NameCase::Exact.find(&schema, "id"), NameCase::Exact.find(&schema, "Id")],
            [None, Some(0)]
        );
        let twins = Schema::new(vec![schema.field(1).clone(), schema.field(2).clone()]);
        let other = Field::new("xX", DataType::Int64, true);
        assert_eq!(NameCase::Fold.find(&twins, "x"), Some(0));
        let twins = Schema::new(vec![other.clone(), other.with_name("XX")]);
        assert_eq!(NameCase::Fold.find(&twins, "xx"), None, "there are two");
    }

    #[test]
    fn a_column_is_said_to_be_one_thing() {
        let refused = |columns: IncomingColumns| columns.validate().map_err(|e| e.message().to_owned());
        let set = |text: &str| text.parse::<Assignment>().expect("an assignment");
        let plain = IncomingColumns::default;
        assert_eq!(
            refused(plain().with_rename("a", "b").with_rename("b", "a").with_set(set("c = a"))),
            Ok(())
        );
        for (columns, message) in [
            (plain().with_rename("a", "b").with_rename("a", "c"), "a column is renamed twice"),
            (plain().with_rename("a", "c").with_rename("b", "c"), "two columns are given one name"),
            (plain().with_set(set("a = 1")).with_set(set("a = 2")), "a column is set twice"),
        ] {
            assert_eq!(refused(columns), Err(message.to_owned()));
        }
        let alike = plain().with_set(set("a = 1")).with_set(set("A = 2"));
        assert_eq!(refused(alike.clone()), Ok(()));
        assert!(refused(alike.with_case(NameCase::Fold)).is_err());
    }
}
