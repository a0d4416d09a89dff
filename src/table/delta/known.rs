//! What the log says of the rows of a data file, read as far as somebody asks for it: there may be a hundred thousand
//! files.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A text that stands in the log, shared with it.
#[derive(Debug, Clone)]
pub(super) struct LogText {
    column: Arc<StringArray>,
    row: usize,
}

/// A column of texts of the log, of which single ones can be kept.
#[derive(Debug)]
pub(super) struct LogTexts(Option<Arc<StringArray>>);

impl LogTexts {
    /// Of a column of another type there is none.
    pub(super) fn new(column: &ArrayRef) -> Self {
        Self(column.as_string_opt::<i32>().map(|texts| Arc::new(texts.clone())))
    }

    /// The text of a row, if it has one.
    pub(super) fn get(&self, row: usize) -> Option<LogText> {
        let column = self.0.as_ref().filter(|column| column.is_valid(row))?;
        Some(LogText { column: Arc::clone(column), row })
    }
}

impl LogText {
    pub(super) fn as_str(&self) -> &str {
        self.column.value(self.row)
    }
}

impl From<&str> for LogText {
    fn from(text: &str) -> Self {
        Self { column: Arc::new(StringArray::from(vec![text])), row: 0 }
    }
}

/// Bounds that the log has of one column of one file, as text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: Option<String>,
    pub(super) greatest: Option<String>,
}

/// What the log says of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Rows in the file, deleted ones too.
    pub(super) rows: Option<u64>,
    /// Of the columns that were asked for, in their order.
    pub(super) bounds: Vec<Bounds>,
}

impl Known {
    /// Reads statistics in one pass; of what is damaged nothing is known.
    pub(super) fn read(stats: Option<&str>, columns: &[&str]) -> Self {
        let nothing = || Self { rows: None, bounds: vec![Bounds::default(); columns.len()] };
        let read = |stats| {
            let mut json = serde_json::Deserializer::from_str(stats);
            let known = File(columns).deserialize(&mut json).ok()?;
            json.end().ok().map(|()| known)
        };
        stats.and_then(read).unwrap_or_else(nothing)
    }
}

/// The names of statistics that are looked at.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Statistic {
    NumRecords,
    MinValues,
    MaxValues,
    #[serde(other)]
    Other,
}

/// Reads the statistics of a file: rows, and bounds of these columns.
struct File<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for File<'_> {
    type Value = Known;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Known, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for File<'_> {
    type Value = Known;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("the statistics of a file")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Known, M::Error> {
        let mut known = Known { rows: None, bounds: vec![Bounds::default(); self.0.len()] };
        while let Some(key) = map.next_key()? {
            match key {
                Statistic::NumRecords => {
                    let rows: &RawValue = map.next_value()?;
                    known.rows = serde_json::from_str(rows.get()).ok();
                }
                Statistic::MinValues => {
                    map.next_value_seed(Values(self.0, |column: usize, value| {
                        known.bounds[column].least = value;
                    }))?;
                }
                Statistic::MaxValues => {
                    map.next_value_seed(Values(self.0, |column: usize, value| {
                        known.bounds[column].greatest = value;
                    }))?;
                }
                Statistic::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(known)
    }
}

/// Reads the values of these columns, and hands them on.
struct Values<'a, F>(&'a [&'a str], F);

impl<'de, F: FnMut(usize, Option<String>)> DeserializeSeed<'de> for Values<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.0.is_empty() {
            return json.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        json.deserialize_any(self)
    }
}

impl<'de, F: FnMut(usize, Option<String>)> Visitor<'de> for Values<'_, F> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a value for each column")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
        while let Some(column) = map.next_key_seed(Place(self.0))? {
            let Some(column) = column else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            (self.1)(column, scalar(value.get()));
        }
        Ok(())
    }
}

/// Reads the name of a column: where it stands among these.
struct Place<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<usize>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("the name of a column")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|column| *column == name))
    }
}

/// A value as text, if it is a text or a number.
fn scalar(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'-' | b'0'..=b'9' => Some(json.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(least: Option<&str>, greatest: Option<&str>) -> Bounds {
        Bounds { least: least.map(str::to_owned), greatest: greatest.map(str::to_owned) }
    }

    #[test]
    fn of_what_the_log_says_only_what_can_be_read_is_known() {
        let stats = r#"{"tightBounds":true,"minValues":{"a":-1,"b":"x\u00e9","\u0063":{"d":1},"e":null},
            "numRecords":3,"maxValues":null,"nullCount":{"a":[1]}}"#;
        let known = Known::read(Some(stats), &["e", "b", "a", "c", "f"]);
        assert_eq!(known.rows, Some(3));
        let least: Vec<_> = known.bounds.iter().map(|bounds| bounds.least.as_deref()).collect();
        assert_eq!(least, [None, Some("x\u{e9}"), Some("-1"), None, None]);
        assert!(known.bounds.iter().all(|bounds| bounds.greatest.is_none()));
        let both = r#"{"minValues":{"a":1.50},"maxValues":{"a":123456789012345678901}}"#;
        let known = Known::read(Some(both), &["a"]);
        assert_eq!(known.bounds, [bounds(Some("1.50"), Some("123456789012345678901"))]);
        assert_eq!(Known::read(Some(both), &[]), Known::default());
    }

    #[test]
    fn of_what_is_damaged_nothing_is_known() {
        for odd in ["", "[]", "{\"numRecords\":3,\"minValues\":[1]}", "{", "{\"numRecords\":3} x", "null"] {
            let known = Known::read(Some(odd), &["a"]);
            assert_eq!(known, Known { rows: None, bounds: vec![Bounds::default()] }, "{odd}");
        }
        let odd = r#"{"numRecords":"3","minValues":{"a":7}}"#;
        assert_eq!(Known::read(Some(odd), &["a"]).bounds, [bounds(Some("7"), None)]);
        assert_eq!(Known::read(Some(odd), &["a"]).rows, None);
        assert_eq!(Known::read(None, &[]), Known::default());
    }
}
