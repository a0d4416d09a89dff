//! Integers, floats and decimals into each other, by value.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};

use super::{Cast, CastRefused, lossy, lost};
use crate::core::text::{TextRules, parse, print};

type F16 = <Float16Type as ArrowPrimitiveType>::Native;

pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating() || is_decimal(data_type)
}

fn is_decimal(data_type: &DataType) -> bool {
    use DataType as D;
    matches!(data_type, D::Decimal32(..) | D::Decimal64(..) | D::Decimal128(..) | D::Decimal256(..))
}

/// Casts a number to a number; both types are.
pub(super) fn exact(values: &ArrayRef, to: &DataType) -> Cast {
    let from = values.data_type();
    let there = convert(values, to)?;
    if let Some(row) = lost(values, &there) {
        return Err(lossy(values, row));
    }
    match differs(values, &convert(&there, from)?) {
        None => Ok(there),
        Some(row) => Err(lossy(values, row)),
    }
}

fn convert(values: &ArrayRef, to: &DataType) -> Cast {
    let from = values.data_type();
    // Arrow divides a decimal by a power of ten, which is off by a bit for long ones. Digits are exact.
    if (from.is_floating() && is_decimal(to)) || (is_decimal(from) && to.is_floating()) {
        let digits = print(values.as_ref()).map_err(|_| CastRefused::Types)?;
        return parse(&digits, to, &TextRules::default()).map_err(CastRefused::Lossy);
    }
    if !can_cast_types(from, to) {
        return Err(CastRefused::Types);
    }
    // What overflows becomes null here, which the caller looks for.
    cast(values, to).map_err(|_| CastRefused::Types)
}

/// The first row with another value; NaN is NaN, and zero has no sign.
fn differs(left: &ArrayRef, right: &ArrayRef) -> Option<usize> {
    match left.data_type() {
        DataType::Float16 => float_differs::<Float16Type>(left, right, F16::to_f64),
        DataType::Float32 => float_differs::<Float32Type>(left, right, f64::from),
        DataType::Float64 => float_differs::<Float64Type>(left, right, |f| f),
        _ => match not_distinct(left, right) {
            Ok(same) if same.true_count() == same.len() => None,
            Ok(same) => (0..same.len()).find(|row| !same.value(*row)),
            Err(_) => Some(0),
        },
    }
}

fn float_differs<T: ArrowPrimitiveType>(
    left: &ArrayRef,
    right: &ArrayRef,
    wide: impl Fn(T::Native) -> f64,
) -> Option<usize> {
    let pairs = left.as_primitive::<T>().iter().zip(right.as_primitive::<T>().iter());
    pairs.enumerate().find_map(|(row, pair)| {
        let same = match (pair.0.map(&wide), pair.1.map(&wide)) {
            (Some(left), Some(right)) => {
                left.partial_cmp(&right).is_some_and(std::cmp::Ordering::is_eq)
                    || (left.is_nan() && right.is_nan())
            }
            (left, right) => left.is_none() && right.is_none(),
        };
        (!same).then_some(row)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arc, refused, survives, wrong_types};
    use super::*;
    use arrow::array::{
        Decimal128Array, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, UInt64Array,
    };
    use proptest::prelude::*;

    fn ints(values: impl Into<Vec<Option<i64>>>) -> ArrayRef {
        arc(Int64Array::from(values.into()))
    }

    fn floats(values: &[f64]) -> ArrayRef {
        arc(Float64Array::from(values.to_vec()))
    }

    fn decimals(value: i128, precision: u8, scale: i8) -> ArrayRef {
        let array = Decimal128Array::from(vec![value]).with_precision_and_scale(precision, scale);
        arc(array.expect("a decimal"))
    }

    #[test]
    fn integers_fit_or_not() {
        survives(&ints([Some(127), None, Some(-128)]), &DataType::Int8);
        refused(&ints([None, Some(128)]), &DataType::Int8, 1, "128");
        refused(&ints([Some(-1)]), &DataType::UInt64, 0, "-1");
        refused(&arc(UInt64Array::from(vec![u64::MAX])), &DataType::Int64, 0, "18446744073709551615");
    }

    #[test]
    fn integers_and_floats_survive_by_value() {
        survives(&ints([Some(1 << 53), None]), &DataType::Float64);
        refused(&ints([Some((1 << 53) + 1)]), &DataType::Float64, 0, "9007199254740993");
        refused(&ints([Some(i64::MAX)]), &DataType::Float64, 0, "9223372036854775807");
        refused(&arc(UInt64Array::from(vec![u64::MAX])), &DataType::Float32, 0, "18446744073709551615");
        refused(&ints([Some(70_000)]), &DataType::Float16, 0, "70000");
        survives(&ints([Some(2048)]), &DataType::Float16);
        survives(&floats(&[1.0, -5.0]), &DataType::Int8);
        refused(&floats(&[1.0, 1.5]), &DataType::Int8, 1, "1.5");
        refused(&floats(&[9.3e18]), &DataType::Int64, 0, "9.3e18");
        refused(&floats(&[f64::NAN]), &DataType::Int64, 0, "NaN");
        refused(&floats(&[f64::INFINITY]), &DataType::Int64, 0, "inf");
    }

    #[test]
    fn zero_has_no_sign_where_the_type_has_none() {
        let zero = exact(&floats(&[-0.0]), &DataType::Int32).expect("zero");
        assert_eq!(zero.as_ref(), &Int32Array::from(vec![0]) as &dyn Array);
    }

    #[test]
    fn floats_narrow_by_value() {
        let narrow = survives(&floats(&[1.5, -0.0, f64::NEG_INFINITY]), &DataType::Float32);
        assert!(narrow.as_primitive::<Float32Type>().value(1).is_sign_negative());
        refused(&floats(&[1.5, 0.1]), &DataType::Float32, 1, "0.1");
        refused(&floats(&[1e300]), &DataType::Float32, 0, "1e300");
        let nan = exact(&floats(&[f64::NAN, -f64::NAN]), &DataType::Float32).expect("not a number");
        assert!(nan.as_primitive::<Float32Type>().values().iter().all(|f| f.is_nan()));
        survives(&arc(Float32Array::from(vec![0.1])), &DataType::Float64);
    }

    #[test]
    fn decimals_change_precision_and_scale_by_value() {
        survives(&decimals(150, 5, 2), &DataType::Decimal128(2, 1));
        survives(&decimals(150, 5, 2), &DataType::Decimal64(18, 9));
        survives(&decimals(150, 5, 2), &DataType::Decimal256(70, 40));
        refused(&decimals(155, 5, 2), &DataType::Decimal128(5, 1), 0, "1.55");
        refused(&decimals(10_000, 5, 2), &DataType::Decimal128(4, 2), 0, "100.00");
    }

    #[test]
    fn decimals_and_integers_survive_by_value() {
        survives(&decimals(500, 5, 2), &DataType::Int8);
        refused(&decimals(550, 5, 2), &DataType::Int8, 0, "5.50");
        refused(&decimals(50_000, 5, 2), &DataType::Int8, 0, "500.00");
        survives(&arc(Int8Array::from(vec![Some(99), None])), &DataType::Decimal128(4, 2));
        refused(&arc(Int8Array::from(vec![100])), &DataType::Decimal128(4, 2), 0, "100");
        refused(&ints([Some(i64::MAX)]), &DataType::Decimal32(9, 0), 0, "9223372036854775807");
    }

    #[test]
    fn decimals_and_floats_survive_by_their_digits() {
        survives(&decimals(10, 5, 2), &DataType::Float64);
        survives(&floats(&[0.1, 1234.25]), &DataType::Decimal128(10, 2));
        refused(&floats(&[0.125]), &DataType::Decimal128(10, 2), 0, "0.125");
        refused(&floats(&[f64::NAN]), &DataType::Decimal128(10, 2), 0, "NaN");
        refused(&decimals(1_234_567_890_123_456_789, 38, 2), &DataType::Float64, 0, "12345678901234567.89");
    }

    #[test]
    fn a_number_is_no_time() {
        wrong_types(&floats(&[1.0]), &DataType::Date32);
    }

    proptest! {
        #[test]
        fn what_survives_comes_back(
            values in prop::collection::vec(prop_oneof![any::<i64>(), -300_i64..300], 1..6),
            wide in any::<f64>(),
        ) {
            let targets = [
                DataType::Int8, DataType::UInt8, DataType::Int16, DataType::UInt32, DataType::UInt64,
                DataType::Float16, DataType::Float32, DataType::Float64, DataType::Decimal128(20, 1),
                DataType::Decimal32(9, 7), DataType::Decimal64(10, -1),
            ];
            let integers = arc(Int64Array::from(values));
            let floats = floats(&[wide]);
            for to in targets {
                for from in [&integers, &floats] {
                    if let Ok(there) = super::super::exact(from, &to) {
                        let back = super::super::exact(&there, from.data_type()).expect("comes back");
                        prop_assert_eq!(differs(from, &back), None);
                    }
                }
            }
        }
    }
}
