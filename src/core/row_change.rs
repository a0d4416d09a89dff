//! Rows that an upsert changes, one by one, as people and programs read them.

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A row that an upsert changes; serialises to
/// `{"change": "update", "id": {…}, "before": {…}, "after": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowChange {
    /// What becomes of it.
    #[serde(rename = "change")]
    pub kind: ChangeKind,
    /// The id columns.
    pub id: RowValues,
    /// The row as it is stored; null if it is not.
    pub before: Option<RowValues>,
    /// The row as it will be; null if it goes.
    pub after: Option<RowValues>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is added.
    Insert,
    /// Another one takes its place.
    Update,
    /// It goes.
    Delete,
}

/// The values of a row as JSON, in the order of its columns. Numbers have all of their digits; what JSON has no word for, such as
/// NaN, is null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowValues(Vec<(String, String)>);

impl RowValues {
    pub(crate) fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// The value of a column, as JSON.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == column).map(|(_, value)| value)
    }

    /// Columns and their values, as JSON.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Serialize for RowValues {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            let value: &RawValue = serde_json::from_str(value).map_err(S::Error::custom)?;
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_and_their_digits() {
        let values = |values: &[(&str, &str)]| {
            RowValues::new(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
        };
        let row = values(&[("b", "18446744073709551617"), ("a", "\"x\""), ("c", "1.50"), ("d", "null")]);
        let change =
            RowChange { kind: ChangeKind::Delete, id: values(&[("b", "1")]), before: Some(row), after: None };
        assert_eq!(
            serde_json::to_string(&change).expect("JSON"),
            r#"{"change":"delete","id":{"b":1},"before":{"b":18446744073709551617,"a":"x","c":1.50,"d":null},"after":null}"#
        );
    }
}
