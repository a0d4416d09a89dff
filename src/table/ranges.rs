//! Which parts of a table could hold an incoming value, by the least and the greatest value of each. In doubt a part
//! is read.

use arrow::array::{Array, ArrayRef};
use arrow::row::{RowConverter, Rows, SortField};

use crate::core::merge::canonical::canonical;

/// Incoming values, sorted, and the bounds of every part.
#[derive(Debug)]
pub(super) struct Ranges {
    values: Vec<Box<[u8]>>,
    lower: Rows,
    upper: Rows,
    known: Vec<bool>,
}

impl Ranges {
    /// One row of `lower` and `upper` for each part; null if a bound is not known. `None` if they cannot be compared
    /// with the values.
    pub(super) fn new(
        values: &ArrayRef,
        lower: &ArrayRef,
        upper: &ArrayRef,
        believed: Vec<bool>,
    ) -> Option<Self> {
        let (values, lower, upper) =
            (canonical(values).ok()?, canonical(lower).ok()?, canonical(upper).ok()?);
        if lower.data_type() != values.data_type() || upper.data_type() != values.data_type() {
            return None;
        }
        let known = |(part, believed)| believed && lower.is_valid(part) && upper.is_valid(part);
        let known = believed.into_iter().enumerate().map(known).collect();
        let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())]).ok()?;
        let rows = |array: ArrayRef| converter.convert_columns(&[array]).ok();
        let mut values: Vec<Box<[u8]>> = rows(values)?.iter().map(|row| row.as_ref().into()).collect();
        values.sort_unstable();
        Some(Self { values, lower: rows(lower)?, upper: rows(upper)?, known })
    }

    /// Whether one of the values lies between the bounds of a part.
    pub(super) fn may_hold(&self, part: usize) -> bool {
        if !self.known[part] {
            return true;
        }
        let (lower, upper) = (self.lower.row(part), self.upper.row(part));
        let first = self.values.partition_point(|value| value.as_ref() < lower.as_ref());
        self.values.get(first).is_some_and(|value| value.as_ref() <= upper.as_ref())
    }
}
