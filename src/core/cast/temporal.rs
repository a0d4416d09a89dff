//! Dates, timestamps, times and durations into each other: the same point in time, in another count.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, make_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit};

use super::{Cast, CastRefused, lossy};

const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// What a count measures. Only counts of one kind can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A point in local time; a date is its midnight.
    Local,
    /// An instant.
    Instant,
    OfDay,
    Span,
}

/// A type as a count.
struct Count {
    kind: Kind,
    /// Nanoseconds that one of it is.
    tick: i64,
    /// Nanoseconds that every value is a multiple of: a date in milliseconds is a whole day.
    grain: i64,
}

impl Count {
    fn of(data_type: &DataType) -> Option<Self> {
        use DataType as D;
        let (kind, tick) = match data_type {
            D::Date32 => (Kind::Local, NANOS_PER_DAY),
            D::Date64 => {
                let tick = nanos(TimeUnit::Millisecond);
                return Some(Self { kind: Kind::Local, tick, grain: NANOS_PER_DAY });
            }
            D::Timestamp(unit, None) => (Kind::Local, nanos(*unit)),
            D::Timestamp(unit, Some(_)) => (Kind::Instant, nanos(*unit)),
            D::Time32(unit) | D::Time64(unit) => (Kind::OfDay, nanos(*unit)),
            D::Duration(unit) => (Kind::Span, nanos(*unit)),
            _ => return None,
        };
        Some(Self { kind, tick, grain: tick })
    }

    /// `value`, counted in `self`, as a count in `to`.
    fn convert(&self, value: i64, to: &Self) -> Option<i64> {
        let nanos = i128::from(value) * i128::from(self.tick);
        if nanos % i128::from(to.grain) != 0 {
            return None;
        }
        i64::try_from(nanos / i128::from(to.tick)).ok()
    }
}

pub(super) fn nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// Casts a temporal type to another; `Types` if one is not temporal.
pub(super) fn exact(values: &ArrayRef, to: &DataType) -> Cast {
    let (Some(from), Some(target)) = (Count::of(values.data_type()), Count::of(to)) else {
        return Err(CastRefused::Types);
    };
    match (from.kind, target.kind) {
        (Kind::Local, Kind::Instant) | (Kind::Instant, Kind::Local) => return Err(CastRefused::Zone),
        (left, right) if left != right => return Err(CastRefused::Types),
        _ => {}
    }
    let counts = counts(values)?;
    let narrow = matches!(to, DataType::Date32 | DataType::Time32(_));
    let convert =
        |value| from.convert(value, &target).filter(|count| !narrow || i32::try_from(*count).is_ok());
    // Nulls in, nulls out: what more is null did not survive.
    let converted: PrimitiveArray<Int64Type> = counts.unary_opt(convert);
    if converted.null_count() != counts.null_count() {
        let row = (0..counts.len()).find(|row| counts.is_valid(*row) && converted.is_null(*row));
        return Err(lossy(values, row.unwrap_or(0)));
    }
    let converted: ArrayRef = Arc::new(converted);
    if narrow {
        retype(&cast(&converted, &DataType::Int32).map_err(|_| CastRefused::Types)?, to)
    } else {
        retype(&converted, to)
    }
}

/// The counts beneath a temporal array.
pub(super) fn counts(values: &ArrayRef) -> Result<PrimitiveArray<Int64Type>, CastRefused> {
    if values.data_type().primitive_width() == Some(4) {
        let narrow = retype(values, &DataType::Int32)?;
        return Ok(narrow.as_primitive::<Int32Type>().unary(i64::from));
    }
    Ok(retype(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// The same numbers under another type of the same width. Arrow's casts would take zones into account,
/// or know no such pair.
pub(super) fn retype(values: &ArrayRef, to: &DataType) -> Cast {
    let data = values.to_data().into_builder().data_type(to.clone()).build();
    data.map(make_array).map_err(|_| CastRefused::Types)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arc, refused, survives, wrong_types};
    use super::*;
    use arrow::array::{
        Date32Array, Date64Array, DurationSecondArray, Int64Array, Time32MillisecondArray,
        Time64NanosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampSecondArray,
    };
    use proptest::prelude::*;

    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};

    fn naive(unit: TimeUnit) -> DataType {
        DataType::Timestamp(unit, None)
    }

    #[test]
    fn a_date_is_its_midnight() {
        let dates = arc(Date32Array::from(vec![Some(-1), None, Some(18_769)]));
        for unit in [Second, Millisecond, Microsecond, Nanosecond] {
            survives(&dates, &naive(unit));
        }
        survives(&dates, &DataType::Date64);
        refused(&arc(Date32Array::from(vec![200_000])), &naive(Nanosecond), 0, "2517-08-01");
        refused(&arc(TimestampSecondArray::from(vec![1])), &DataType::Date32, 0, "1970-01-01T00:00:01");
        refused(&arc(TimestampSecondArray::from(vec![1])), &DataType::Date64, 0, "1970-01-01T00:00:01");
        refused(&arc(Date64Array::from(vec![1])), &DataType::Date32, 0, "1970-01-01T00:00:00.001");
        refused(
            &arc(TimestampSecondArray::from(vec![i64::MAX / 86_400 * 86_400])),
            &DataType::Date32,
            0,
            "+292277026596-12-04T00:00:00",
        );
    }

    #[test]
    fn units_are_coarser_only_where_nothing_is_cut() {
        let stamps = arc(TimestampMillisecondArray::from(vec![Some(1_000), None, Some(-1_000)]));
        survives(&stamps, &naive(Second));
        survives(&stamps, &naive(Nanosecond));
        let odd = arc(TimestampMillisecondArray::from(vec![1_000, -1]));
        refused(&odd, &naive(Second), 1, "1969-12-31T23:59:59.999");
        let far = arc(TimestampSecondArray::from(vec![i64::MAX / 1_000]));
        refused(&far, &naive(Nanosecond), 0, "+292278994-08-17T07:12:55");
    }

    #[test]
    fn a_zone_changes_and_the_instant_stays() {
        let berlin = arc(TimestampMicrosecondArray::from(vec![5_000]).with_timezone("Europe/Berlin"));
        let utc = DataType::Timestamp(Millisecond, Some("UTC".into()));
        let there = survives(&berlin, &utc);
        assert_eq!(there.as_primitive::<arrow::datatypes::TimestampMillisecondType>().value(0), 5);
    }

    #[test]
    fn naive_against_zoned_is_refused_as_such() {
        let (utc, plain) = (DataType::Timestamp(Second, Some("UTC".into())), naive(Second));
        let stamps = arc(TimestampSecondArray::from(vec![0]));
        assert_eq!(super::super::exact(&stamps, &utc), Err(CastRefused::Zone));
        let dates = arc(Date32Array::from(vec![0]));
        assert_eq!(super::super::exact(&dates, &utc), Err(CastRefused::Zone));
        let zoned = arc(TimestampSecondArray::from(vec![0]).with_timezone("UTC"));
        assert_eq!(super::super::exact(&zoned, &plain), Err(CastRefused::Zone));
        assert_eq!(super::super::exact(&zoned, &DataType::Date32), Err(CastRefused::Zone));
    }

    #[test]
    fn times_and_spans_stay_what_they_are() {
        survives(&arc(Time32MillisecondArray::from(vec![1_000])), &DataType::Time32(Second));
        survives(&arc(Time32MillisecondArray::from(vec![1_001])), &DataType::Time64(Nanosecond));
        refused(
            &arc(Time64NanosecondArray::from(vec![1])),
            &DataType::Time32(Millisecond),
            0,
            "00:00:00.000000001",
        );
        survives(&arc(DurationSecondArray::from(vec![-7])), &DataType::Duration(Microsecond));
        refused(
            &arc(DurationSecondArray::from(vec![i64::MAX])),
            &DataType::Duration(Millisecond),
            0,
            "PT9223372036854775807S",
        );
        wrong_types(&arc(DurationSecondArray::from(vec![1])), &naive(Second));
        wrong_types(&arc(TimestampSecondArray::from(vec![1])), &DataType::Time32(Second));
        wrong_types(&arc(TimestampSecondArray::from(vec![1])), &DataType::Int64);
    }

    proptest! {
        #[test]
        fn what_survives_comes_back(
            values in prop::collection::vec(prop_oneof![
                any::<Option<i64>>(),
                prop::option::of(any::<i32>().prop_map(|days| i64::from(days) * 86_400_000)),
            ], 1..6),
        ) {
            let stamps = retype(&arc(Int64Array::from(values)), &naive(Millisecond)).expect("the same width");
            for to in [naive(Second), naive(Microsecond), naive(Nanosecond), DataType::Date32, DataType::Date64] {
                if let Ok(there) = exact(&stamps, &to) {
                    let back = exact(&there, &naive(Millisecond)).expect("comes back");
                    prop_assert_eq!(back.to_data(), stamps.to_data());
                }
            }
        }
    }
}
