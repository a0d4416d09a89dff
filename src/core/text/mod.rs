//! Values as text: how a field becomes a value, how a value becomes a field, and which type a column
//! of fields has.
//!
//! One set of rules for every text format, so that CSV and NDJSON cannot disagree.

use arrow::array::timezone::Tz;

mod duration;
mod form;
mod guess;
mod local;
mod nested;
mod number;
mod parse;
mod print;
mod time;

pub(crate) use form::Form;
pub(crate) use guess::Guess;
pub(crate) use local::offset_at;
pub(crate) use nested::readable;
pub(crate) use number::{float_keeps, number};
pub(crate) use parse::{instants_of, names_no_instant, parse};
pub(crate) use print::print;
pub(crate) use time::instant;

/// How fields become values.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextRules {
    /// A `strftime` pattern for timestamps and dates, tried before ISO 8601.
    pub(crate) timestamp_format: Option<String>,
    /// The zone of local times that become timestamps with a zone; without one they do not.
    pub(crate) zone: Option<Tz>,
    /// Whether timestamps that are finer than their type are cut, toward the past.
    pub(crate) truncate: bool,
}

impl TextRules {
    fn pattern(&self) -> Option<time::Pattern> {
        self.timestamp_format.as_deref().and_then(time::Pattern::new)
    }
}

/// The first value of a column that does not survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadCell {
    /// Its row in the column, from 0.
    pub(crate) row: usize,
    /// The value as people read it.
    pub(crate) value: String,
}
