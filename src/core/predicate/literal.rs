//! What a literal is worth beside a column: exactly, or where it falls between two values of the
//! column's type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array,
    Float32Array, Float64Array, Int32Array, Int64Array, StringArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{DataType, Time64NanosecondType, TimeUnit, i256};

use crate::core::text;
use crate::error::{Error, ErrorKind, Result};

/// A constant as it was written. Numbers keep their digits: which of them count is known once the
/// column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// Digits with a sign, a point and an exponent where there are any.
    Number(String),
    /// A text in single quotes; beside dates and times it is one.
    Text(String),
    /// `TRUE` or `FALSE`.
    Bool(bool),
    /// `DATE '…'`.
    Date(String),
    /// `TIMESTAMP '…'`.
    Timestamp(String),
}

impl Literal {
    /// `DATE 'text'`, if it is one.
    pub(super) fn date(text: &str) -> Result<Self> {
        match instant(text) {
            Some((nanos, false)) if nanos.rem_euclid(NANOS_PER_DAY) == 0 && text.trim().len() <= 10 => {
                Ok(Self::Date(text.to_owned()))
            }
            _ => Err(Error::new(ErrorKind::Usage, "not a date")
                .with("found", text)
                .hint("write it as DATE '2021-05-22'")),
        }
    }

    /// `TIMESTAMP 'text'`, if it is one.
    pub(super) fn timestamp(text: &str) -> Result<Self> {
        if instant(text).is_some() {
            return Ok(Self::Timestamp(text.to_owned()));
        }
        Err(Error::new(ErrorKind::Usage, "not a timestamp")
            .with("found", text)
            .hint("write it as TIMESTAMP '2021-05-22T10:00:00' or, with a zone, '2021-05-22T10:00:00+02:00'"))
    }
}

/// A text as SQL.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(number),
            Self::Text(text) => Quoted(text).fmt(f),
            Self::Bool(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Self::Date(text) => write!(f, "DATE {}", Quoted(text)),
            Self::Timestamp(text) => write!(f, "TIMESTAMP {}", Quoted(text)),
        }
    }
}

/// Where a literal falls among the values of a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place<T> {
    /// Before the least one.
    Below,
    /// On one.
    On(T),
    /// After this one, and before the next.
    After(T),
    /// After the greatest one.
    Above,
}

impl<T> Place<T> {
    fn try_map<U>(self, f: impl FnOnce(T) -> Result<U>) -> Result<Place<U>> {
        Ok(match self {
            Self::Below => Place::Below,
            Self::On(value) => Place::On(f(value)?),
            Self::After(value) => Place::After(f(value)?),
            Self::Above => Place::Above,
        })
    }
}

/// Places `literal` among the values of `data_type`: arrays of one value of that type.
///
/// `None` if values of that type and the literal cannot be compared.
pub(super) fn place(literal: &Literal, data_type: &DataType) -> Result<Option<Place<ArrayRef>>> {
    use DataType as D;
    let on = |array: ArrayRef| Ok(Some(Place::On(array)));
    match (literal, data_type) {
        (Literal::Bool(value), D::Boolean) => on(Arc::new(BooleanArray::from(vec![*value]))),
        (Literal::Text(text), D::Utf8 | D::LargeUtf8 | D::Utf8View) => on(text_array(text, data_type)?),
        (Literal::Number(number), D::Float16 | D::Float32 | D::Float64) => on(float(number, data_type)?),
        (Literal::Number(number), _) => {
            let Some((low, high, scale)) = number_range(data_type) else { return Ok(None) };
            clipped(scaled(number, scale), low, high).try_map(|v| stored(v, data_type)).map(Some)
        }
        (Literal::Text(text) | Literal::Date(text) | Literal::Timestamp(text), _) => {
            let Some((tick, low, high)) = time_range(data_type) else { return Ok(None) };
            let Some(nanos) = nanos_for(literal, text, data_type)? else { return Ok(None) };
            let floor = i256::from_i128(nanos.div_euclid(tick));
            let place = if nanos.rem_euclid(tick) == 0 { Place::On(floor) } else { Place::After(floor) };
            clipped(place, low.into(), high.into()).try_map(|v| stored(v, data_type)).map(Some)
        }
        (Literal::Bool(_), _) => Ok(None),
    }
}

/// One text as an array of a string type.
pub(super) fn text_array(text: &str, data_type: &DataType) -> Result<ArrayRef> {
    cast_value(&StringArray::from(vec![text]), data_type)
}

/// Whether `text` is a number with a sign, a point and an exponent where it wants them.
pub(super) fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = split_exponent(text);
    let digits = mantissa.trim_start_matches('-');
    exponent.is_some()
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.matches('.').count() <= 1
}

fn split_exponent(text: &str) -> (&str, Option<i32>) {
    match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()),
        None => (text, Some(0)),
    }
}

/// More digits than any decimal type has.
const MAX_DIGITS: i64 = 76;

/// Where `number` falls among the multiples of `10^-scale`, in units of it.
fn scaled(number: &str, scale: i8) -> Place<i256> {
    let (mantissa, exponent) = split_exponent(number);
    let negative = mantissa.starts_with('-');
    let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let kept = digits.trim_start_matches('0');
    if kept.is_empty() {
        return Place::On(i256::ZERO);
    }
    // How many of the kept digits stand before the point, once it has moved by exponent and scale.
    let dropped = i64::try_from(digits.len() - fraction.len()).unwrap_or(i64::MAX)
        - i64::try_from(digits.len() - kept.len()).unwrap_or(i64::MAX);
    let before = dropped + i64::from(exponent.unwrap_or(0)) + i64::from(scale);
    let too_large = if negative { Place::Below } else { Place::Above };
    if before > MAX_DIGITS {
        return too_large;
    }
    let split = usize::try_from(before).unwrap_or(0);
    let (units, rest) = kept.split_at(split.min(kept.len()));
    let Some(units) = i256::from_string(&format!("0{units:0<split$}")) else { return too_large };
    let exact = rest.bytes().all(|b| b == b'0');
    match (negative, exact) {
        (false, true) => Place::On(units),
        (false, false) => Place::After(units),
        (true, true) => Place::On(units.wrapping_neg()),
        (true, false) => Place::After(units.wrapping_neg().wrapping_sub(i256::ONE)),
    }
}

fn clipped(place: Place<i256>, low: i256, high: i256) -> Place<i256> {
    match place {
        Place::On(value) | Place::After(value) if value < low => Place::Below,
        Place::On(value) if value > high => Place::Above,
        Place::After(value) if value >= high => Place::Above,
        place => place,
    }
}

/// The least and the greatest value of an exact number type, in units of its scale.
fn number_range(data_type: &DataType) -> Option<(i256, i256, i8)> {
    use DataType as D;
    let whole = |low: i128, high: i128| Some((i256::from_i128(low), i256::from_i128(high), 0));
    match data_type {
        D::Int8 => whole(i8::MIN.into(), i8::MAX.into()),
        D::Int16 => whole(i16::MIN.into(), i16::MAX.into()),
        D::Int32 => whole(i32::MIN.into(), i32::MAX.into()),
        D::Int64 => whole(i64::MIN.into(), i64::MAX.into()),
        D::UInt8 => whole(0, u8::MAX.into()),
        D::UInt16 => whole(0, u16::MAX.into()),
        D::UInt32 => whole(0, u32::MAX.into()),
        D::UInt64 => whole(0, u64::MAX.into()),
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) | D::Decimal256(p, s) => {
            let high = i256::from_string(&"9".repeat(usize::from(*p)))?;
            Some((high.wrapping_neg(), high, *s))
        }
        _ => None,
    }
}

const NANOS_PER_DAY: i128 = 86_400_000_000_000;

/// Nanoseconds in a unit of a date or time type, and its least and greatest value.
fn time_range(data_type: &DataType) -> Option<(i128, i64, i64)> {
    use DataType as D;
    let tick = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let narrow = |tick| Some((tick, i32::MIN.into(), i32::MAX.into()));
    match data_type {
        D::Date32 => narrow(NANOS_PER_DAY),
        D::Date64 => Some((1_000_000, i64::MIN, i64::MAX)),
        D::Time32(unit) => narrow(tick(unit)),
        D::Timestamp(unit, _) | D::Time64(unit) => Some((tick(unit), i64::MIN, i64::MAX)),
        _ => None,
    }
}

/// What a literal says beside a date or time column, in nanoseconds; `None` if it cannot stand there.
fn nanos_for(literal: &Literal, text: &str, data_type: &DataType) -> Result<Option<i128>> {
    let malformed = |what: &'static str| {
        Error::new(ErrorKind::InvalidInput, what)
            .with("value", Quoted(text))
            .hint("write dates and times as ISO 8601: 2021-05-22, 2021-05-22T10:00:00")
    };
    if matches!(data_type, DataType::Time32(_) | DataType::Time64(_)) {
        let time = || Time64NanosecondType::parse(text).map(i128::from);
        return match literal {
            Literal::Text(_) => time().map(Some).ok_or_else(|| malformed("not a time of day")),
            _ => Ok(None),
        };
    }
    let (nanos, zoned) = instant(text).ok_or_else(|| malformed("not a date or timestamp"))?;
    let column_zoned = matches!(data_type, DataType::Timestamp(_, Some(_)));
    Ok((column_zoned || !zoned).then_some(nanos))
}

/// The instant that an ISO 8601 text names, a date alone being its midnight, in nanoseconds since 1970
/// (UTC, or local time for a text without zone), and whether it has a zone.
fn instant(text: &str) -> Option<(i128, bool)> {
    let midnight = || text::instant(&format!("{text}T00:00:00"));
    text::instant(text).or_else(midnight)
}

/// One value of an exact type, from its units.
fn stored(units: i256, data_type: &DataType) -> Result<ArrayRef> {
    use DataType as D;
    let wide = units.to_i128().unwrap_or_default();
    Ok(match data_type {
        D::Decimal32(p, s) => {
            let units = i32::try_from(wide).unwrap_or_default();
            Arc::new(Decimal32Array::from(vec![units]).with_precision_and_scale(*p, *s).map_err(odd)?)
        }
        D::Decimal64(p, s) => {
            let units = i64::try_from(wide).unwrap_or_default();
            Arc::new(Decimal64Array::from(vec![units]).with_precision_and_scale(*p, *s).map_err(odd)?)
        }
        D::Decimal128(p, s) => {
            Arc::new(Decimal128Array::from(vec![wide]).with_precision_and_scale(*p, *s).map_err(odd)?)
        }
        D::Decimal256(p, s) => {
            Arc::new(Decimal256Array::from(vec![units]).with_precision_and_scale(*p, *s).map_err(odd)?)
        }
        D::UInt64 => Arc::new(UInt64Array::from(vec![u64::try_from(wide).unwrap_or_default()])),
        // Arrow casts a 64-bit integer to a 32-bit date or time only by way of a 32-bit integer.
        D::Date32 | D::Time32(_) => {
            cast_value(&Int32Array::from(vec![i32::try_from(wide).unwrap_or_default()]), data_type)?
        }
        _ => cast_value(&Int64Array::from(vec![i64::try_from(wide).unwrap_or_default()]), data_type)?,
    })
}

fn float(number: &str, data_type: &DataType) -> Result<ArrayRef> {
    let out_of_range = || {
        Error::new(ErrorKind::InvalidInput, "a number is out of the range of its column")
            .with("value", number)
            .with("type", data_type)
    };
    let wide = f64::from_str(number).ok().filter(|v| v.is_finite()).ok_or_else(out_of_range)?;
    if *data_type == DataType::Float64 {
        return Ok(Arc::new(Float64Array::from(vec![wide + 0.0])));
    }
    // Parsed anew, because a double rounded to a float can miss the nearest one.
    let narrow = f32::from_str(number).ok().filter(|v| v.is_finite()).ok_or_else(out_of_range)?;
    cast_value(&Float32Array::from(vec![narrow + 0.0]), data_type)
}

fn cast_value(value: &dyn Array, to: &DataType) -> Result<ArrayRef> {
    cast(value, to).map_err(odd)
}

fn odd(cause: arrow::error::ArrowError) -> Error {
    Error::internal("a literal did not take the type of its column").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(number: &str, scale: i8) -> Place<i256> {
        scaled(number, scale)
    }

    #[test]
    fn a_number_falls_on_a_value_or_between_two() {
        let at = |v: i128| i256::from_i128(v);
        for (number, scale, place) in [
            ("15", 0, Place::On(at(15))),
            ("1.5", 0, Place::After(at(1))),
            ("-1.5", 0, Place::After(at(-2))),
            ("-0.5", 0, Place::After(at(-1))),
            ("-0", 0, Place::On(at(0))),
            ("1.50", 1, Place::On(at(15))),
            ("0.015", 2, Place::After(at(1))),
            ("1.5e3", 0, Place::On(at(1500))),
            ("1500e-3", 2, Place::On(at(150))),
            (".5", 3, Place::On(at(500))),
            ("120", -2, Place::After(at(1))),
            ("1e76", 0, Place::Above),
            ("-1e300", 0, Place::Below),
            ("1e-300", 10, Place::After(at(0))),
        ] {
            assert_eq!(units(number, scale), place, "{number} at scale {scale}");
        }
    }

    #[test]
    fn what_a_type_cannot_hold_is_beyond_its_ends() {
        let number = |n: &str| Literal::Number(n.to_owned());
        let of = |n: &str, t: DataType| place(&number(n), &t).unwrap().unwrap();
        assert_eq!(of("300", DataType::UInt8), Place::Above);
        assert_eq!(of("255.5", DataType::UInt8), Place::Above);
        assert_eq!(of("-0.5", DataType::UInt8), Place::Below);
        assert_eq!(of("100", DataType::Decimal128(3, 1)), Place::Above);
        let date = Literal::Date("2021-05-22".to_owned());
        assert_eq!(place(&date, &DataType::Int64).unwrap(), None);
    }

    #[test]
    fn a_zone_in_a_text_is_seen() {
        assert_eq!(instant("1970-01-02"), Some((NANOS_PER_DAY, false)));
        assert_eq!(instant("1970-01-01T01:00:00+01:00"), Some((0, true)));
        assert_eq!(instant("1970-01-01T00:00:00.000000001Z"), Some((1, true)));
        assert_eq!(instant("2021-13-01"), None);
    }
}
