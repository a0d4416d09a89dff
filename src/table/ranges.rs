//! Which parts of a table could hold an incoming value, by the least and the greatest value of each. In doubt a part
//! is read.

use arrow::array::{Array, ArrayRef};
use arrow::row::Rows;

use crate::core::merge::order::nan_to_null;
use crate::core::merge::sorted_ids::SortedIds;

/// Incoming values, sorted, and the bounds of every part.
#[derive(Debug)]
pub(super) struct Ranges<'a> {
    values: &'a SortedIds,
    lower: Rows,
    upper: Rows,
    known: Vec<bool>,
}

impl<'a> Ranges<'a> {
    /// One row of `lower` and `upper` for each part; null if a bound is not known. `None` if they cannot be compared
    /// with the values.
    pub(super) fn new(
        values: &'a SortedIds,
        lower: &ArrayRef,
        upper: &ArrayRef,
        believed: Vec<bool>,
    ) -> Option<Self> {
        // Most writers leave NaN out of their bounds, and some take it for one.
        if values.has_nan() {
            return None;
        }
        let (lower, upper) = (&nan_to_null(lower).ok()?, &nan_to_null(upper).ok()?);
        let known = |(part, believed)| believed && lower.is_valid(part) && upper.is_valid(part);
        let known = believed.into_iter().enumerate().map(known).collect();
        Some(Self { values, lower: values.encode(lower)?, upper: values.encode(upper)?, known })
    }

    /// Whether one of the values lies between the bounds of a part.
    pub(super) fn may_hold(&self, part: usize) -> bool {
        let (lower, upper) = (self.lower.row(part), self.upper.row(part));
        !self.known[part] || self.values.has_between(lower.data(), upper.data())
    }
}
