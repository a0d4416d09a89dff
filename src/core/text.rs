//! Values as text: how a field becomes a value, how a value becomes a field, and which type a column
//! of fields has.

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::DataType;

use crate::error::Result;

/// How fields become values.
#[derive(Debug, Clone, Default)]
pub struct TextRules {
    /// A `strftime` pattern for timestamps and dates, tried before ISO 8601.
    pub timestamp_format: Option<String>,
}

/// The first value of a column that does not survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCell {
    /// Its row in the column, from 0.
    pub row: usize,
    /// The value as people read it.
    pub value: String,
}

/// Parses text fields as `to`; nulls stay null. Exactly or not at all.
pub fn parse(_values: &StringArray, _to: &DataType, _rules: &TextRules) -> Result<ArrayRef, BadCell> {
    unimplemented!()
}

/// Prints values as canonical text, the inverse of `parse`; nulls stay null.
pub fn print(_values: &dyn Array) -> Result<StringArray> {
    unimplemented!()
}

/// The instant that an ISO 8601 text names, in nanoseconds since 1970-01-01T00:00:00 (UTC, or local
/// time for a text without zone), and whether the text has a zone. `None` if it is not a timestamp.
pub fn instant(_text: &str) -> Option<(i128, bool)> {
    unimplemented!()
}

/// Tells the type of a column from all its fields, one at a time.
#[derive(Debug, Clone, Default)]
pub struct Guess {}

impl Guess {
    /// A guess for fields read by `rules`.
    pub fn new(_rules: &TextRules) -> Self {
        Self {}
    }

    /// Takes one more field that is not null.
    pub fn observe(&mut self, _text: &str) {}

    /// Joins what two guesses have seen.
    pub fn merge(&mut self, _other: &Self) {}

    /// The narrowest type in which every field survives; `Utf8` if nothing was seen.
    pub fn data_type(&self) -> DataType {
        DataType::Utf8
    }
}
