//! Fields to values of a known type: the stored type decides what a field means, exactly or not at all.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanBuilder, FixedSizeBinaryBuilder, PrimitiveBuilder,
    StringArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeType, ArrowNativeTypeOp, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::number::Number;
use super::time::{self, Pattern, Stamp};
use super::{BadCell, TextRules, duration};

const MILLIS_PER_DAY: i64 = time::SECONDS_PER_DAY * 1_000;

/// Parses text fields as `to`; nulls stay null. Exactly or not at all: the first field that is no value
/// of the type, or needs more digits than it has, is the error.
///
/// Integers may have leading zeros, so that `007` is 7 where an integer is stored; no type but strings and
/// binary takes spaces. Durations are ISO 8601; a number without a unit is none. A text with a zone is no value of a timestamp without one, nor the other way round.
pub(crate) fn parse(values: &StringArray, to: &DataType, rules: &TextRules) -> Result<ArrayRef, BadCell> {
    use DataType as D;
    match to {
        D::Boolean => booleans(values),
        D::Int8 => integers::<Int8Type>(values, to),
        D::Int16 => integers::<Int16Type>(values, to),
        D::Int32 => integers::<Int32Type>(values, to),
        D::Int64 => integers::<Int64Type>(values, to),
        D::UInt8 => integers::<UInt8Type>(values, to),
        D::UInt16 => integers::<UInt16Type>(values, to),
        D::UInt32 => integers::<UInt32Type>(values, to),
        D::UInt64 => integers::<UInt64Type>(values, to),
        D::Float16 => each::<Float16Type>(values, to, float16),
        D::Float32 => each::<Float32Type>(values, to, |text| float(text, f32::is_finite)),
        D::Float64 => each::<Float64Type>(values, to, |text| float(text, f64::is_finite)),
        D::Decimal32(p, s) => decimals::<Decimal32Type>(values, to, *p, *s),
        D::Decimal64(p, s) => decimals::<Decimal64Type>(values, to, *p, *s),
        D::Decimal128(p, s) => decimals::<Decimal128Type>(values, to, *p, *s),
        D::Decimal256(p, s) => decimals::<Decimal256Type>(values, to, *p, *s),
        D::Utf8 => Ok(Arc::new(values.clone())),
        D::LargeUtf8 | D::Utf8View | D::Binary | D::LargeBinary | D::BinaryView => {
            cast(values, to).map_err(|_| first(values))
        }
        D::FixedSizeBinary(width) => fixed_binary(values, *width),
        D::Date32 | D::Date64 | D::Timestamp(..) => temporal(values, to, rules),
        D::Time32(_) | D::Time64(_) => times(values, to),
        D::Duration(unit) => durations(values, to, *unit),
        D::Dictionary(_, inner) => {
            let plain = parse(values, inner, rules)?;
            cast(&plain, to).map_err(|_| first(values))
        }
        // No text is a value of any other type.
        _ if values.null_count() == values.len() => Ok(new_null_array(to, values.len())),
        _ => Err(first(values)),
    }
}

/// The first field, for a type that has no text.
fn first(values: &StringArray) -> BadCell {
    let row = (0..values.len()).find(|row| values.is_valid(*row)).unwrap_or(0);
    let value = if row < values.len() { values.value(row) } else { "" };
    BadCell { row, value: value.to_owned() }
}

fn bad(row: usize, value: &str) -> BadCell {
    BadCell { row, value: value.to_owned() }
}

fn each<T: ArrowPrimitiveType>(
    values: &StringArray,
    to: &DataType,
    read: impl Fn(&str) -> Option<T::Native>,
) -> Result<ArrayRef, BadCell> {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(values.len()).with_data_type(to.clone());
    for (row, text) in values.iter().enumerate() {
        match text {
            None => builder.append_null(),
            Some(text) => builder.append_value(read(text).ok_or_else(|| bad(row, text))?),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn booleans(values: &StringArray) -> Result<ArrayRef, BadCell> {
    let mut builder = BooleanBuilder::with_capacity(values.len());
    for (row, text) in values.iter().enumerate() {
        match text {
            None => builder.append_null(),
            Some("true") => builder.append_value(true),
            Some("false") => builder.append_value(false),
            Some(text) => return Err(bad(row, text)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn integers<T: ArrowPrimitiveType>(values: &StringArray, to: &DataType) -> Result<ArrayRef, BadCell>
where
    T::Native: FromStr + TryFrom<i128>,
{
    each::<T>(values, to, integer)
}

fn integer<N: FromStr + TryFrom<i128>>(text: &str) -> Option<N> {
    // Rust takes a plus sign, this does not.
    if text.starts_with('+') {
        return None;
    }
    // `7.0` is what many write for a whole number in a column that may be null.
    text.parse().ok().or_else(|| N::try_from(Number::scan(text)?.scaled::<i128>(38, 0)?).ok())
}

fn float<F: FromStr + Copy>(text: &str, is_finite: impl Fn(F) -> bool) -> Option<F> {
    if matches!(text, "NaN" | "inf" | "-inf") {
        return text.parse().ok();
    }
    Number::scan(text)?;
    text.parse().ok().filter(|value| is_finite(*value))
}

fn float16(text: &str) -> Option<<Float16Type as ArrowPrimitiveType>::Native> {
    let wide = float(text, f64::is_finite)?;
    let value = <Float16Type as ArrowPrimitiveType>::Native::from_f64(wide);
    (value.is_infinite() == wide.is_infinite()).then_some(value)
}

fn decimals<T: ArrowPrimitiveType>(
    values: &StringArray,
    to: &DataType,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef, BadCell>
where
    T::Native: ArrowNativeTypeOp + ArrowNativeType,
{
    each::<T>(values, to, |text| Number::scan(text)?.scaled(precision, scale))
}

fn fixed_binary(values: &StringArray, width: i32) -> Result<ArrayRef, BadCell> {
    let mut builder = FixedSizeBinaryBuilder::with_capacity(values.len(), width);
    for (row, text) in values.iter().enumerate() {
        match text {
            None => builder.append_null(),
            Some(text) => builder.append_value(text.as_bytes()).map_err(|_| bad(row, text))?,
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// The point in time that a text names.
fn stamp_of(text: &str, pattern: Option<&Pattern>) -> Option<Stamp> {
    let by_pattern = pattern.and_then(|pattern| pattern.read(text)?.stamp());
    by_pattern.or_else(|| time::timestamp(text)).or_else(|| time::midnight(text))
}

/// Whether a text is a local time at which the clocks of the zone of `rules` never are, or twice.
pub(crate) fn names_no_instant(text: &str, rules: &TextRules) -> bool {
    let stamp = || stamp_of(text, rules.pattern().as_ref()).filter(|stamp| stamp.offset.is_none());
    rules.zone.is_some_and(|zone| stamp().is_some_and(|stamp| stamp.located(zone).is_none()))
}

/// The texts, with those that are local times as instants in ISO 8601, as the zone of `rules` has them.
///
/// # Errors
///
/// The first local time at which the clocks of the zone never are, or twice.
pub(crate) fn instants_of(texts: &StringArray, rules: &TextRules) -> Result<StringArray, BadCell> {
    let Some(zone) = rules.zone else { return Ok(texts.clone()) };
    let pattern = rules.pattern();
    let instant = |(row, text): (usize, Option<&str>)| {
        let Some(text) = text else { return Ok(None) };
        match stamp_of(text, pattern.as_ref()) {
            Some(stamp) if stamp.offset.is_none() => {
                let iso = stamp.located(zone).and_then(Stamp::to_iso);
                iso.map(Some).ok_or_else(|| bad(row, text))
            }
            _ => Ok(Some(text.to_owned())),
        }
    };
    texts.iter().enumerate().map(instant).collect()
}

fn temporal(values: &StringArray, to: &DataType, rules: &TextRules) -> Result<ArrayRef, BadCell> {
    let pattern = rules.pattern();
    let by_pattern = |text: &str| pattern.as_ref()?.read(text)?.stamp();
    let day = |text: &str| match by_pattern(text) {
        Some(stamp) => stamp.in_days(),
        None => time::date(text).or_else(|| time::timestamp(text)?.in_days()),
    };
    let moment = |text: &str, unit: TimeUnit, zoned: bool| {
        let stamp = stamp_of(text, pattern.as_ref())?;
        let stamp = match rules.zone {
            Some(zone) if zoned && stamp.offset.is_none() => stamp.located(zone)?,
            _ if stamp.offset.is_some() != zoned => return None,
            _ => stamp,
        };
        if rules.truncate { stamp.cut_to(unit) } else { stamp }.in_unit(unit)
    };
    match to {
        DataType::Date64 => each::<Date64Type>(values, to, |text| day(text)?.checked_mul(MILLIS_PER_DAY)),
        DataType::Timestamp(unit, zone) => {
            let read = |text: &str| moment(text, *unit, zone.is_some());
            match unit {
                TimeUnit::Second => each::<TimestampSecondType>(values, to, read),
                TimeUnit::Millisecond => each::<TimestampMillisecondType>(values, to, read),
                TimeUnit::Microsecond => each::<TimestampMicrosecondType>(values, to, read),
                TimeUnit::Nanosecond => each::<TimestampNanosecondType>(values, to, read),
            }
        }
        _ => each::<Date32Type>(values, to, |text| i32::try_from(day(text)?).ok()),
    }
}

fn times(values: &StringArray, to: &DataType) -> Result<ArrayRef, BadCell> {
    let ticks = |text: &str, unit| time::clock(text)?.in_unit(unit);
    let short = |text: &str, unit| i32::try_from(ticks(text, unit)?).ok();
    match to {
        DataType::Time32(TimeUnit::Second) => {
            each::<Time32SecondType>(values, to, |text| short(text, TimeUnit::Second))
        }
        DataType::Time32(TimeUnit::Millisecond) => {
            each::<Time32MillisecondType>(values, to, |text| short(text, TimeUnit::Millisecond))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            each::<Time64MicrosecondType>(values, to, |text| ticks(text, TimeUnit::Microsecond))
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            each::<Time64NanosecondType>(values, to, |text| ticks(text, TimeUnit::Nanosecond))
        }
        // Arrow has no other times.
        _ => Err(first(values)),
    }
}

fn durations(values: &StringArray, to: &DataType, unit: TimeUnit) -> Result<ArrayRef, BadCell> {
    let read = |text: &str| duration::read(text, unit);
    match unit {
        TimeUnit::Second => each::<DurationSecondType>(values, to, read),
        TimeUnit::Millisecond => each::<DurationMillisecondType>(values, to, read),
        TimeUnit::Microsecond => each::<DurationMicrosecondType>(values, to, read),
        TimeUnit::Nanosecond => each::<DurationNanosecondType>(values, to, read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::text::print;
    use arrow::array::AsArray;
    use arrow::datatypes::Field;

    fn ok(text: &str, to: &DataType) -> String {
        let fields = StringArray::from(vec![None, Some(text)]);
        let parsed = parse(&fields, to, &TextRules::default()).expect("parses");
        assert_eq!((parsed.data_type(), parsed.is_null(0)), (to, true));
        print(parsed.as_ref()).expect("prints").value(1).to_owned()
    }

    fn refused(text: &str, to: &DataType) {
        let fields = StringArray::from(vec![None, Some(text)]);
        let error = parse(&fields, to, &TextRules::default()).expect_err(text);
        assert_eq!(error, BadCell { row: 1, value: text.to_owned() });
    }

    fn stamp(unit: TimeUnit, zone: Option<&str>) -> DataType {
        DataType::Timestamp(unit, zone.map(Into::into))
    }

    #[test]
    fn integers_take_whole_numbers_however_they_are_written() {
        assert_eq!(ok("007", &DataType::Int32), "7");
        assert_eq!(ok("7.0", &DataType::Int32), "7");
        assert_eq!(ok("1e3", &DataType::Int16), "1000");
        assert_eq!(ok("-128", &DataType::Int8), "-128");
        assert_eq!(ok("18446744073709551615", &DataType::UInt64), "18446744073709551615");
        for text in ["+7", " 7", "7 ", "7.5", "1e3", "", "128", "0.1e1.0"] {
            refused(text, &DataType::Int8);
        }
        refused("-1", &DataType::UInt8);
    }

    #[test]
    fn floats_take_every_number_that_does_not_overflow() {
        assert_eq!(ok("1.50", &DataType::Float64), "1.5");
        assert_eq!(ok("NaN", &DataType::Float32), "NaN");
        assert_eq!(ok("-inf", &DataType::Float64), "-inf");
        assert_eq!(ok("-0", &DataType::Float64), "-0.0");
        assert_eq!(ok("65504", &DataType::Float16), "65504.0");
        for text in ["1e400", "nan", "infinity", "+1", " 1", "", "1,5", "0x1"] {
            refused(text, &DataType::Float64);
        }
        refused("1e39", &DataType::Float32);
        refused("70000", &DataType::Float16);
    }

    #[test]
    fn decimals_are_exact() {
        for to in [
            DataType::Decimal32(9, 2),
            DataType::Decimal64(18, 2),
            DataType::Decimal128(38, 2),
            DataType::Decimal256(76, 2),
        ] {
            assert_eq!(ok("-1.5", &to), "-1.50");
            refused("1.555", &to);
            refused("1e80", &to);
            refused("NaN", &to);
        }
        assert_eq!(ok("12000", &DataType::Decimal128(5, -3)), "12000");
    }

    #[test]
    fn strings_and_binary_are_taken_as_they_are() {
        let kinds = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View];
        let binary = [DataType::Binary, DataType::LargeBinary, DataType::BinaryView];
        for to in kinds.iter().chain(&binary) {
            assert_eq!(ok(" a ", to), " a ");
            assert_eq!(ok("", to), "");
        }
        assert_eq!(ok("abc", &DataType::FixedSizeBinary(3)), "abc");
        refused("ab", &DataType::FixedSizeBinary(3));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        assert_eq!(ok("a", &dictionary), "a");
    }

    #[test]
    fn dates_take_timestamps_at_midnight() {
        for to in [DataType::Date32, DataType::Date64] {
            assert_eq!(ok("2021-05-22", &to), "2021-05-22");
            assert_eq!(ok("1969-12-31T00:00:00.000", &to), "1969-12-31");
            for text in ["2021-05-22T00:00:01", "2021-05-22T00:00:00Z", "2021-5-22", "20210522", ""] {
                refused(text, &to);
            }
        }
    }

    #[test]
    fn a_timestamp_needs_its_unit_and_its_kind_of_zone() {
        let (ms, utc) = (stamp(TimeUnit::Millisecond, None), stamp(TimeUnit::Millisecond, Some("UTC")));
        assert_eq!(ok("2021-05-22 02:51:35.347", &ms), "2021-05-22T02:51:35.347");
        assert_eq!(ok("2021-05-22", &ms), "2021-05-22T00:00:00");
        assert_eq!(ok("2021-05-22T02:51:35.100000000", &ms), "2021-05-22T02:51:35.100");
        assert_eq!(ok("2021-05-22T04:51:35+02:00", &utc), "2021-05-22T02:51:35Z");
        refused("2021-05-22T02:51:35.3471", &ms);
        refused("2021-05-22T02:51:35Z", &ms);
        refused("2021-05-22T02:51:35", &utc);
        refused("2021-05-22", &utc);
        refused("2300-01-01T00:00:00", &stamp(TimeUnit::Nanosecond, None));
    }

    #[test]
    fn times_and_durations_count_their_unit() {
        assert_eq!(ok("23:59:59", &DataType::Time32(TimeUnit::Second)), "23:59:59");
        assert_eq!(ok("23:59:59.5", &DataType::Time32(TimeUnit::Millisecond)), "23:59:59.500");
        assert_eq!(ok("00:00:00.000001", &DataType::Time64(TimeUnit::Microsecond)), "00:00:00.000001");
        assert_eq!(ok("00:00:00.000000001", &DataType::Time64(TimeUnit::Nanosecond)), "00:00:00.000000001");
        assert_eq!(ok("-PT5S", &DataType::Duration(TimeUnit::Second)), "-PT5S");
        assert_eq!(ok("PT1M30S", &DataType::Duration(TimeUnit::Nanosecond)), "PT90S");
        refused("23:59:59.5", &DataType::Time32(TimeUnit::Second));
        refused("24:00:00", &DataType::Time32(TimeUnit::Second));
        refused("5", &DataType::Duration(TimeUnit::Second));
        refused("PT0.5S", &DataType::Duration(TimeUnit::Second));
    }

    #[test]
    fn the_pattern_is_tried_before_iso() {
        let rules =
            TextRules { timestamp_format: Some("%d/%m/%Y %H:%M:%S%.f".into()), ..TextRules::default() };
        let fields = StringArray::from(vec!["22/05/2021 02:51:35.5", "2021-05-22T02:51:35"]);
        let to = stamp(TimeUnit::Millisecond, None);
        let parsed = parse(&fields, &to, &rules).expect("parses");
        let back = print(parsed.as_ref()).expect("prints");
        assert_eq!((back.value(0), back.value(1)), ("2021-05-22T02:51:35.500", "2021-05-22T02:51:35"));
        assert!(parse(&fields, &stamp(TimeUnit::Second, None), &rules).is_err());
        let days = TextRules { timestamp_format: Some("%d.%m.%y".into()), ..TextRules::default() };
        let parsed = parse(&StringArray::from(vec!["02.01.70"]), &DataType::Date32, &days).expect("parses");
        assert_eq!(parsed.as_primitive::<Date32Type>().value(0), 1);
    }

    #[test]
    fn types_without_text_take_only_nulls() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
        for to in [DataType::Null, list] {
            refused("1", &to);
            let nulls = StringArray::from(vec![None::<&str>; 2]);
            assert_eq!(parse(&nulls, &to, &TextRules::default()).expect("parses").len(), 2);
        }
    }
}
