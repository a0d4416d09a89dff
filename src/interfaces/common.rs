//! The type that several sources of one column have in common, in which every value of theirs survives.

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, FieldRef, TimeUnit};

use std::sync::Arc;

use crate::core::cast::{CastRefused, exact};
use crate::core::schema::type_name;
use crate::core::text::print;
use crate::error::{Error, ErrorKind, Result};

/// A type for values of all of `types`: their own if they agree, text if one of them is text, else the widest.
/// `None` if there is none, or not one that keeps what the values mean.
///
/// A type that is wide enough by its range may still refuse a value: int64 and float64 meet in float64, which
/// has no 2^53 + 1. [`to_common`] looks at the values.
pub(super) fn common_type(types: &[DataType]) -> Option<DataType> {
    let (first, rest) = types.split_first()?;
    if rest.iter().all(|other| other == first) {
        return Some(first.clone());
    }
    let mut plain = types.iter().map(values_type);
    if plain.clone().any(DataType::is_string) {
        return plain.all(|other| !other.is_nested()).then_some(DataType::Utf8);
    }
    let first = plain.next()?.clone();
    plain.try_fold(first, |common, other| wider(&common, other))
}

/// What a dictionary holds.
fn values_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values_type(values),
        other => other,
    }
}

fn wider(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as D;
    match (left, right) {
        _ if left == right => Some(left.clone()),
        (D::Null, other) | (other, D::Null) => Some(other.clone()),
        _ if left.is_numeric() && right.is_numeric() => wider_number(left, right),
        _ if left.is_binary() && right.is_binary() => Some(D::LargeBinary),
        // Value by value, in the form of the first: lists and structs of other widths.
        _ if left.is_nested() && right.is_nested() => Some(left.clone()),
        (D::Date32 | D::Date64, D::Date32 | D::Date64) => Some(D::Date32),
        (D::Date32 | D::Date64, stamp @ D::Timestamp(_, None))
        | (stamp @ D::Timestamp(_, None), D::Date32 | D::Date64) => Some(stamp.clone()),
        // Both are instants; the zone is how the first one shows them.
        (D::Timestamp(a, zone), D::Timestamp(b, other)) if zone.is_some() == other.is_some() => {
            Some(D::Timestamp(finer(*a, *b), zone.clone()))
        }
        (D::Time32(_) | D::Time64(_), D::Time32(_) | D::Time64(_)) => Some(D::Time64(TimeUnit::Nanosecond)),
        (D::Duration(a), D::Duration(b)) => Some(D::Duration(finer(*a, *b))),
        _ => None,
    }
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    use TimeUnit as T;
    [T::Nanosecond, T::Microsecond, T::Millisecond]
        .into_iter()
        .find(|unit| [a, b].contains(unit))
        .unwrap_or(a)
}

fn wider_number(left: &DataType, right: &DataType) -> Option<DataType> {
    if left.is_floating() || right.is_floating() {
        return Some(DataType::Float64);
    }
    // Arrow counts a plain integer as a number with so many digits before the point.
    let (whole, scale) = digits(left).zip(digits(right)).map(|((a, b), (c, d))| (a.max(c), b.max(d)))?;
    if left.is_integer() && right.is_integer() {
        return Some(wider_integer(left, right));
    }
    let precision = u8::try_from(whole + i16::from(scale)).ok()?;
    match precision {
        0..=DECIMAL128_MAX_PRECISION => Some(DataType::Decimal128(precision, scale)),
        _ if precision <= DECIMAL256_MAX_PRECISION => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

fn wider_integer(left: &DataType, right: &DataType) -> DataType {
    use DataType as D;
    let bytes = |t: &DataType| t.primitive_width().unwrap_or(8);
    let unsigned = |t: &DataType| t.is_unsigned_integer();
    let bytes = match (unsigned(left), unsigned(right)) {
        (true, true) if bytes(left) > bytes(right) => return left.clone(),
        (true, true) => return right.clone(),
        // A signed type needs a bit more than the unsigned one has.
        (true, false) => bytes(right).max(2 * bytes(left)),
        (false, true) => bytes(left).max(2 * bytes(right)),
        (false, false) => bytes(left).max(bytes(right)),
    };
    match bytes {
        1 => D::Int8,
        2 => D::Int16,
        4 => D::Int32,
        8 => D::Int64,
        _ => D::Decimal128(20, 0),
    }
}

/// Digits before and after the decimal point that a type has room for.
fn digits(data_type: &DataType) -> Option<(i16, i8)> {
    use DataType as D;
    Some(match data_type {
        D::Int8 | D::UInt8 => (3, 0),
        D::Int16 | D::UInt16 => (5, 0),
        D::Int32 | D::UInt32 => (10, 0),
        D::Int64 => (19, 0),
        D::UInt64 => (20, 0),
        D::Decimal32(precision, scale)
        | D::Decimal64(precision, scale)
        | D::Decimal128(precision, scale)
        | D::Decimal256(precision, scale) => (i16::from(*precision) - i16::from(*scale), *scale),
        _ => return None,
    })
}

/// Brings a column into the common type of `field`. Text is kept as it is, and other values become the text
/// that they are printed as in a text file.
///
/// # Errors
///
/// `InvalidInput` that names the column and the first value that does not survive.
pub(super) fn to_common(values: &ArrayRef, field: &FieldRef) -> Result<ArrayRef> {
    let (from, to) = (values.data_type(), field.data_type());
    if from == to {
        return Ok(Arc::clone(values));
    }
    if *to == DataType::Utf8 {
        return as_text(values).map_err(|e| e.with_missing("column", field.name()));
    }
    exact(values, to).map_err(|refused| {
        let error = differ("values of two sources have no common type in which all of them survive")
            .with("column", field.name())
            .with("type", type_name(from))
            .with("common", type_name(to));
        match refused {
            CastRefused::Lossy(cell) | CastRefused::Local(cell) => error.with("value", cell.value),
            CastRefused::Zone | CastRefused::Types => error,
        }
    })
}

fn as_text(values: &ArrayRef) -> Result<ArrayRef> {
    if values_type(values.data_type()).is_string() {
        let text = cast(values, &DataType::Utf8);
        return text.map_err(|cause| Error::internal("text could not be taken over").because(cause));
    }
    Ok(Arc::new(print(values.as_ref())?))
}

/// Two sources that do not go together.
pub(super) fn differ(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
        .hint("give the sources the same columns and types, or upsert them one by one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Float64Array, Int64Array, StringArray, UInt64Array};
    use arrow::datatypes::Field;

    fn common(left: DataType, right: DataType) -> Option<DataType> {
        let both = common_type(&[left.clone(), right.clone()]);
        assert_eq!(both, common_type(&[right, left]), "the order does not count");
        both
    }

    #[test]
    fn the_common_type_of_numbers_holds_both() {
        use DataType as D;
        for (left, right, expected) in [
            (D::Int8, D::Int64, D::Int64),
            (D::UInt8, D::UInt32, D::UInt32),
            (D::UInt8, D::Int8, D::Int16),
            (D::UInt32, D::Int64, D::Int64),
            (D::UInt64, D::Int8, D::Decimal128(20, 0)),
            (D::Int32, D::Float32, D::Float64),
            (D::Decimal128(10, 2), D::Int64, D::Decimal128(21, 2)),
            (D::Decimal128(38, 0), D::Decimal128(38, 38), D::Decimal256(76, 38)),
            (D::Decimal128(5, 2), D::Float64, D::Float64),
            (D::Decimal64(5, -2), D::Decimal128(5, 0), D::Decimal128(7, 0)),
        ] {
            assert_eq!(common(left, right), Some(expected));
        }
        assert_eq!(common(DataType::Decimal256(76, 0), DataType::Decimal256(76, 76)), None);
    }

    #[test]
    fn text_takes_in_every_type_that_has_text() {
        use DataType as D;
        let dictionary = D::Dictionary(Box::new(D::Int8), Box::new(D::LargeUtf8));
        for other in [D::Int64, D::Utf8View, D::Boolean, D::Date32, D::Null, dictionary] {
            assert_eq!(common(D::Utf8, other), Some(D::Utf8));
        }
        assert_eq!(common(D::Utf8, D::new_list(D::Utf8, true)), None);
        // Neither of the first two would do without the third.
        assert_eq!(common_type(&[D::Boolean, D::Int8, D::LargeUtf8]), Some(D::Utf8));
    }

    #[test]
    fn times_meet_in_the_finer_unit_and_zones_stay_apart() {
        use DataType as D;
        use TimeUnit as T;
        let stamp = |unit, zone: Option<&str>| D::Timestamp(unit, zone.map(Into::into));
        assert_eq!(
            common(stamp(T::Second, None), stamp(T::Microsecond, None)),
            Some(stamp(T::Microsecond, None))
        );
        assert_eq!(common(D::Date32, stamp(T::Second, None)), Some(stamp(T::Second, None)));
        assert_eq!(common(stamp(T::Second, None), stamp(T::Second, Some("UTC"))), None);
        let berlin = stamp(T::Second, Some("Europe/Berlin"));
        let both = common_type(&[stamp(T::Second, Some("UTC")), berlin]);
        assert_eq!(both, Some(stamp(T::Second, Some("UTC"))));
        assert_eq!(common(D::Time32(T::Second), D::Time64(T::Microsecond)), Some(D::Time64(T::Nanosecond)));
        assert_eq!(common(D::Boolean, D::Int8), None);
    }

    #[test]
    fn values_survive_or_are_named() {
        let field = |data_type| Arc::new(Field::new("n", data_type, true));
        let big: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let decimal = to_common(&big, &field(DataType::Decimal128(20, 0))).unwrap();
        let expected = Decimal128Array::from(vec![i128::from(u64::MAX)]).with_precision_and_scale(20, 0);
        assert_eq!(decimal.to_data(), expected.unwrap().to_data());
        let odd: ArrayRef = Arc::new(Int64Array::from(vec![1, (1 << 53) + 1]));
        let error = to_common(&odd, &field(DataType::Float64)).unwrap_err();
        assert!(
            error.to_string().contains("column: n, type: int64, common: float64, value: 9007199254740993")
        );
    }

    #[test]
    fn text_stays_as_it_is_and_other_values_are_printed() {
        let field = Arc::new(Field::new("n", DataType::Utf8, true));
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("007"), Some(""), None]));
        let large = cast(&text, &DataType::LargeUtf8).unwrap();
        assert_eq!(to_common(&large, &field).unwrap().to_data(), text.to_data());
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.1), None]));
        let printed = StringArray::from(vec![Some("0.1"), None]);
        assert_eq!(to_common(&floats, &field).unwrap().to_data(), printed.to_data());
    }
}
