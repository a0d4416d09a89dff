//! Casts that lose nothing: every value at hand survives, or the cast is refused.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::core::text::BadCell;

/// Why a column cannot be cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CastRefused {
    /// A value does not survive.
    Lossy(BadCell),
    /// One side is a timestamp with a zone, the other one without.
    Zone,
    /// No value of the one type is one of the other.
    Types,
}

/// Casts `values` to `to` if every value survives.
pub(crate) fn exact(_values: &ArrayRef, _to: &DataType) -> Result<ArrayRef, CastRefused> {
    unimplemented!()
}
