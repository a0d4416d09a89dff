//! Values as text: how a field becomes a value, how a value becomes a field, and which type a column
//! of fields has.
//!
//! One set of rules for every text format, so that CSV and NDJSON cannot disagree.

mod duration;
mod form;
mod guess;
mod nested;
mod number;
mod parse;
mod print;
mod time;

pub(crate) use form::Form;
pub(crate) use guess::Guess;
pub(crate) use nested::readable;
pub(crate) use number::{float_keeps, number};
pub(crate) use parse::parse;
pub(crate) use print::print;
pub(crate) use time::instant;

/// How fields become values.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextRules {
    /// A `strftime` pattern for timestamps and dates, tried before ISO 8601.
    pub(crate) timestamp_format: Option<String>,
}

/// The first value of a column that does not survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadCell {
    /// Its row in the column, from 0.
    pub(crate) row: usize,
    /// The value as people read it.
    pub(crate) value: String,
}
