//! Values to fields: one canonical text for each value, which `parse` reads back as the same value.

use std::fmt::{self, Write as _};

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray, StringBuilder,
    downcast_integer,
};
use arrow::compute::{CastOptions, cast, cast_with_options, take};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type,
    Float32Type, Float64Type, Int64Type, TimeUnit,
};

use super::{duration, time};
use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};

const MILLIS_PER_DAY: i64 = time::SECONDS_PER_DAY * 1_000;

/// How the value at a row is written.
type Write<'a> = Box<dyn Fn(&mut StringBuilder, usize) -> fmt::Result + 'a>;

/// Prints values as canonical text, the inverse of `parse`; nulls stay null.
///
/// Timestamps with a zone print as the instant in UTC (`2021-05-22T02:51:35.347Z`), fractions of seconds
/// with 0, 3, 6 or 9 digits, floats with the fewest digits that read back, durations as ISO 8601 in seconds
/// whatever their unit (`PT90S`, `-PT0.5S`).
///
/// # Errors
///
/// `Unsupported` for a type that has no text: lists, structs, maps, intervals. `InvalidInput` for binary
/// values that are not UTF-8.
pub(crate) fn print(values: &dyn Array) -> Result<StringArray> {
    use DataType as D;
    match values.data_type() {
        D::Utf8 => Ok(values.as_string::<i32>().clone()),
        D::LargeUtf8 | D::Utf8View => as_strings(values),
        D::Binary | D::LargeBinary | D::BinaryView => binary(values),
        D::FixedSizeBinary(_) => binary(&arrow_cast(values, &D::Binary)?),
        D::Null => Ok(StringArray::new_null(values.len())),
        D::Dictionary(..) => {
            let dictionary = values.as_any_dictionary();
            let texts = print(dictionary.values().as_ref())?;
            let taken = take(&texts, dictionary.keys(), None).map_err(broken)?;
            Ok(taken.as_string::<i32>().clone())
        }
        _ => fill(values, writer(values)?.as_ref()),
    }
}

fn fill(values: &dyn Array, write: &dyn Fn(&mut StringBuilder, usize) -> fmt::Result) -> Result<StringArray> {
    let mut builder = StringBuilder::with_capacity(values.len(), values.len() * 8);
    for row in 0..values.len() {
        if values.is_valid(row) {
            write(&mut builder, row).map_err(broken)?;
            builder.append_value("");
        } else {
            builder.append_null();
        }
    }
    Ok(builder.finish())
}

fn writer(values: &dyn Array) -> Result<Write<'_>> {
    use DataType as D;
    Ok(match values.data_type() {
        D::Boolean => {
            let values = values.as_boolean();
            Box::new(|out, row| write!(out, "{}", values.value(row)))
        }
        D::Float16 => {
            let values = values.as_primitive::<Float16Type>();
            Box::new(|out, row| write!(out, "{:?}", values.value(row).to_f32()))
        }
        D::Float32 => floats(values.as_primitive::<Float32Type>()),
        D::Float64 => floats(values.as_primitive::<Float64Type>()),
        D::Decimal32(..) => decimals(values.as_primitive::<Decimal32Type>()),
        D::Decimal64(..) => decimals(values.as_primitive::<Decimal64Type>()),
        D::Decimal128(..) => decimals(values.as_primitive::<Decimal128Type>()),
        D::Decimal256(..) => decimals(values.as_primitive::<Decimal256Type>()),
        D::Date32 | D::Date64 | D::Timestamp(..) | D::Time32(_) | D::Time64(_) | D::Duration(_) => {
            temporal(values)?
        }
        data_type => {
            macro_rules! integers {
                ($T:path) => {{
                    let values = values.as_primitive::<$T>();
                    Box::new(|out: &mut StringBuilder, row| write!(out, "{}", values.value(row)))
                }};
            }
            downcast_integer! {
                data_type => (integers),
                _ => return Err(no_text(data_type)),
            }
        }
    })
}

fn floats<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>) -> Write<'_> {
    Box::new(|out, row| write!(out, "{:?}", values.value(row)))
}

fn decimals<T: DecimalType>(values: &PrimitiveArray<T>) -> Write<'_> {
    Box::new(|out, row| out.write_str(&values.value_as_string(row)))
}

fn temporal(values: &dyn Array) -> Result<Write<'_>> {
    use DataType as D;
    let ticks = ticks(values)?;
    Ok(match values.data_type() {
        D::Date32 => Box::new(move |out, row| time::write_date(out, ticks.value(row))),
        // A Date64 may hold a time by mistake of its writer; that must not get lost silently.
        D::Date64 => Box::new(move |out, row| match ticks.value(row) {
            ms if ms % MILLIS_PER_DAY == 0 => time::write_date(out, ms / MILLIS_PER_DAY),
            ms => time::write_timestamp(out, ms, TimeUnit::Millisecond),
        }),
        D::Time32(unit) | D::Time64(unit) => {
            let unit = *unit;
            Box::new(move |out, row| time::write_clock(out, ticks.value(row), unit))
        }
        D::Timestamp(unit, zone) => {
            let (unit, suffix) = (*unit, if zone.is_some() { "Z" } else { "" });
            Box::new(move |out, row| {
                time::write_timestamp(out, ticks.value(row), unit)?;
                out.write_str(suffix)
            })
        }
        D::Duration(unit) => {
            let unit = *unit;
            Box::new(move |out, row| duration::write(out, ticks.value(row), unit))
        }
        other => return Err(no_text(other)),
    })
}

fn as_strings(values: &dyn Array) -> Result<StringArray> {
    Ok(arrow_cast(values, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// The plain numbers beneath dates, times and durations.
fn ticks(values: &dyn Array) -> Result<PrimitiveArray<Int64Type>> {
    Ok(arrow_cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn binary(values: &dyn Array) -> Result<StringArray> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let texts = cast_with_options(values, &DataType::Utf8, &options).map_err(|cause| {
        Error::new(ErrorKind::InvalidInput, "a binary value is not utf-8")
            .hint("binary columns cannot be written as text; choose parquet, or encode them first")
            .because(cause)
    })?;
    Ok(texts.as_string::<i32>().clone())
}

fn arrow_cast(values: &dyn Array, to: &DataType) -> Result<ArrayRef> {
    cast(values, to).map_err(broken)
}

fn no_text(data_type: &DataType) -> Error {
    Error::new(ErrorKind::Unsupported, "values of this type cannot be written as text")
        .with("type", type_name(data_type))
        .hint("leave the column out, or choose parquet")
}

fn broken(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("values could not be printed").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Date64Array, Decimal128Array, DictionaryArray, DurationMicrosecondArray,
        DurationSecondArray, Float32Array, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray,
        TimestampMicrosecondArray, UInt64Array,
    };
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;

    use crate::core::text::{TextRules, parse};

    fn texts(values: &dyn Array) -> Vec<Option<String>> {
        let printed = print(values).expect("prints");
        printed.iter().map(|text| text.map(ToOwned::to_owned)).collect()
    }

    fn text(values: &dyn Array) -> String {
        texts(values)[0].clone().expect("not null")
    }

    #[test]
    fn nulls_stay_null() {
        assert_eq!(texts(&Int32Array::from(vec![None, Some(-7)])), [None, Some("-7".to_owned())]);
        assert_eq!(texts(&arrow::array::NullArray::new(1)), [None]);
    }

    #[test]
    fn floats_have_the_fewest_digits_that_read_back() {
        let float = |value: f64| text(&Float64Array::from(vec![value]));
        assert_eq!(float(1.0), "1.0");
        assert_eq!(float(1e300), "1e300");
        assert_eq!(float(-0.0), "-0.0");
        assert_eq!(float(f64::NAN), "NaN");
        assert_eq!(float(f64::NEG_INFINITY), "-inf");
        assert_eq!(text(&Float32Array::from(vec![0.1])), "0.1");
    }

    #[test]
    fn timestamps_have_the_fraction_they_need() {
        let naive = |value: i64| text(&TimestampMicrosecondArray::from(vec![value]));
        assert_eq!(naive(0), "1970-01-01T00:00:00");
        assert_eq!(naive(1_500_000), "1970-01-01T00:00:01.500");
        assert_eq!(naive(-1), "1969-12-31T23:59:59.999999");
        let zoned = TimestampMicrosecondArray::from(vec![1]).with_timezone("Europe/Berlin");
        assert_eq!(text(&zoned), "1970-01-01T00:00:00.000001Z");
        assert_eq!(text(&Date64Array::from(vec![MILLIS_PER_DAY])), "1970-01-02");
        assert_eq!(text(&Date64Array::from(vec![1])), "1970-01-01T00:00:00.001");
    }

    #[test]
    fn a_duration_has_one_text_in_every_unit() {
        let seconds = DurationSecondArray::from(vec![90]);
        let micros = DurationMicrosecondArray::from(vec![90_000_000]);
        assert_eq!((text(&seconds), text(&micros)), ("PT90S".to_owned(), "PT90S".to_owned()));
        assert_eq!(text(&DurationMicrosecondArray::from(vec![-1_250_000])), "-PT1.25S");
    }

    #[test]
    fn decimals_keep_their_scale() {
        let decimal = |value, precision, scale| {
            let array = Decimal128Array::from(vec![value]).with_precision_and_scale(precision, scale);
            text(&array.expect("a decimal"))
        };
        assert_eq!(decimal(150, 5, 2), "1.50");
        assert_eq!(decimal(-5, 5, 2), "-0.05");
        assert_eq!(decimal(0, 5, 2), "0.00");
        assert_eq!(decimal(12, 5, -3), "12000");
    }

    #[test]
    fn dictionaries_print_their_values() {
        let dictionary: DictionaryArray<Int32Type> =
            vec![Some("b"), None, Some("a"), Some("b")].into_iter().collect();
        let texts = texts(&dictionary);
        assert_eq!(texts, ["b", "", "a", "b"].map(|t| (!t.is_empty()).then(|| t.to_owned())));
    }

    #[test]
    fn binary_that_is_not_text_is_refused() {
        assert_eq!(text(&BinaryArray::from(vec![b"abc".as_slice()])), "abc");
        let error = print(&BinaryArray::from(vec![[0xFF].as_slice()])).expect_err("not utf-8");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.hint_text().is_some_and(|h| h.starts_with("binary columns cannot be written as text")));
    }

    #[test]
    fn a_type_without_text_is_refused_by_name() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        let error = print(&list).expect_err("a list");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("list<int32>"), "{error}");
    }

    fn comes_back(values: impl AsRef<dyn Array>) -> Result<(), TestCaseError> {
        let values = values.as_ref();
        let texts = print(values).expect("prints");
        let back = parse(&texts, values.data_type(), &TextRules::default());
        prop_assert_eq!(back.map(|b| b.to_data()), Ok(values.to_data()));
        Ok(())
    }

    fn arc(values: impl Array + 'static) -> ArrayRef {
        Arc::new(values)
    }

    fn retyped(values: Vec<Option<i64>>, to: &DataType) -> ArrayRef {
        cast(&Int64Array::from(values), to).expect("the same numbers")
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_as_the_same(
            ints in prop::collection::vec(any::<Option<i64>>(), 1..20),
            floats in prop::collection::vec(any::<Option<f64>>(), 1..20),
            small in prop::collection::vec(any::<Option<f32>>(), 1..20),
            strings in prop::collection::vec(any::<Option<String>>(), 1..20),
            bools in prop::collection::vec(any::<Option<bool>>(), 1..20),
            unsigned in any::<u64>(),
            decimal in -10_i128.pow(38) + 1..10_i128.pow(38),
            scale in -30_i8..=38,
        ) {
            for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
                comes_back(retyped(ints.clone(), &DataType::Timestamp(unit, None)))?;
                comes_back(retyped(ints.clone(), &DataType::Timestamp(unit, Some("UTC".into()))))?;
                comes_back(retyped(ints.clone(), &DataType::Duration(unit)))?;
            }
            let of_day = |per_day: i64| ints.iter().map(|i| i.map(|i| i.rem_euclid(per_day))).collect();
            let millis = retyped(of_day(86_400_000), &DataType::Int32);
            comes_back(cast(&millis, &DataType::Time32(TimeUnit::Millisecond)).expect("the same numbers"))?;
            comes_back(retyped(of_day(86_400_000_000_000), &DataType::Time64(TimeUnit::Nanosecond)))?;
            let narrow = |i: &i64| *i >> 32;
            let days: Vec<_> = ints.iter().map(|i| i.as_ref().map(narrow)).collect();
            let millis = days.iter().map(|d| d.map(|d| d * MILLIS_PER_DAY)).collect();
            comes_back(retyped(millis, &DataType::Date64))?;
            comes_back(retyped(days.clone(), &DataType::Int32))?;
            comes_back(cast(&retyped(days, &DataType::Int32), &DataType::Date32).expect("the same numbers"))?;
            comes_back(arc(Int64Array::from(ints)))?;
            comes_back(arc(UInt64Array::from(vec![unsigned])))?;
            comes_back(arc(Float64Array::from(floats)))?;
            comes_back(arc(Float32Array::from(small)))?;
            comes_back(arc(BooleanArray::from(bools)))?;
            comes_back(arc(StringArray::from(strings.clone())))?;
            comes_back(arc(LargeStringArray::from(strings)))?;
            let decimal = Decimal128Array::from(vec![decimal]).with_precision_and_scale(38, scale);
            comes_back(arc(decimal.expect("a decimal")))?;
        }
    }
}
