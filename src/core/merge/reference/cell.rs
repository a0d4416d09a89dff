//! What the judge sees of a table: names, rows, and values that are equal or newer.

use std::cmp::Ordering;

/// One value. The cells of a column are of one kind, stored and incoming ones alike.
#[derive(Debug, Clone, Default)]
pub enum Cell {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// An integer, or a decimal without its point.
    Int(i128),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nanoseconds: an instant, a local time, a time of day, a span, or the midnight of a date.
    Instant(i128),
    /// The items of a list, or the fields of a struct, in order.
    List(Vec<Cell>),
}

impl PartialEq for Cell {
    /// NaN equals NaN, and zero has no sign.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Instant(a), Self::Instant(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            _ => false,
        }
    }
}

impl Cell {
    /// How two modification values compare: nulls and NaN are lowest, and equal to each other.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self.is_lowest(), other.is_lowest()) {
            (false, false) => {}
            (left, right) => return right.cmp(&left),
        }
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) | (Self::Instant(a), Self::Instant(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }

    /// Whether every value is greater.
    pub(super) fn is_lowest(&self) -> bool {
        matches!(self, Self::Null) || matches!(self, Self::Float(value) if value.is_nan())
    }
}

/// Rows in an order, each with one cell per column.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}
