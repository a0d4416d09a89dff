//! Casts of values that a rule takes where an exact cast refuses them: local times as those of a zone, timestamps that are
//! cut, and nulls for what does not survive.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray};
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};

use super::temporal::{counts, nanos, retype};
use super::{Cast, CastRefused, decoded, exact, text, value_at};
use crate::core::text::{BadCell, TextRules, instants_of, offset_at};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Casts `values` to `to` by `rules`, which say what a local time is, and whether timestamps are cut. Everything else is
/// cast as [`exact`] does, and so is what lists and structs hold.
pub(crate) fn by_rules(values: &ArrayRef, to: &DataType, rules: &TextRules) -> Cast {
    use DataType as D;
    match (values.data_type(), to) {
        (D::Dictionary(..), _) => by_rules(&decoded(values)?, to, rules),
        (_, D::Dictionary(_, inner)) => {
            cast(&by_rules(values, inner, rules)?, to).map_err(|_| CastRefused::Types)
        }
        (from, D::Timestamp(..) | D::Date32 | D::Date64) if from.is_string() => text(values, to, rules),
        (_, D::Timestamp(unit, zone)) => {
            let values = if zone.is_some() { located(values, rules)? } else { Arc::clone(values) };
            exact(&if rules.truncate { cut(&values, *unit)? } else { values }, to)
        }
        _ => exact(values, to),
    }
}

/// Local times, and texts of such, as the instants that they are where `rules` name the zone. Other values stay.
pub(crate) fn located(values: &ArrayRef, rules: &TextRules) -> Cast {
    let (unit, local) = match values.data_type() {
        _ if rules.zone.is_none() => return Ok(Arc::clone(values)),
        DataType::Dictionary(..) => return located(&decoded(values)?, rules),
        from if from.is_string() => return located_texts(values, rules),
        DataType::Timestamp(unit, None) => (*unit, Arc::clone(values)),
        DataType::Date32 => (TimeUnit::Second, exact(values, &DataType::Timestamp(TimeUnit::Second, None))?),
        DataType::Date64 => {
            let unit = TimeUnit::Millisecond;
            (unit, exact(values, &DataType::Timestamp(unit, None))?)
        }
        _ => return Ok(Arc::clone(values)),
    };
    let per_second = NANOS_PER_SECOND / nanos(unit);
    let instant = |value: i64| {
        let offset = offset_at(rules.zone?, value.div_euclid(per_second))?;
        value.checked_sub(i64::from(offset) * per_second)
    };
    let local = counts(&local)?;
    let instants: PrimitiveArray<Int64Type> = local.unary_opt(instant);
    if let Some(row) = (0..local.len()).find(|row| local.is_valid(*row) && instants.is_null(*row)) {
        return Err(CastRefused::Local(value_at(values, row)));
    }
    let instants: ArrayRef = Arc::new(instants);
    retype(&instants, &DataType::Timestamp(unit, Some("UTC".into())))
}

fn located_texts(values: &ArrayRef, rules: &TextRules) -> Cast {
    let texts = cast(values, &DataType::Utf8).map_err(|_| CastRefused::Types)?;
    let texts: &StringArray = arrow::array::AsArray::as_string(&texts);
    instants_of(texts, rules).map(|texts| Arc::new(texts) as ArrayRef).map_err(CastRefused::Local)
}

/// Timestamps that are finer than `unit`, without what is finer: the last moment of `unit` before each.
fn cut(values: &ArrayRef, unit: TimeUnit) -> Cast {
    let DataType::Timestamp(own, _) = values.data_type() else { return Ok(Arc::clone(values)) };
    let ratio = nanos(unit) / nanos(*own);
    if ratio <= 1 {
        return Ok(Arc::clone(values));
    }
    // At the end of the range there is no such moment; an exact cast will say so.
    let cut = |value: i64| value.checked_sub(value.rem_euclid(ratio)).unwrap_or(value);
    let cut: PrimitiveArray<Int64Type> = counts(values)?.unary(cut);
    let cut: ArrayRef = Arc::new(cut);
    retype(&cut, values.data_type())
}

/// The values that `fits` takes one by one, with null in place of the others, and how many these are.
///
/// # Errors
///
/// What `fits` says, if that is not of a value that does not survive.
pub(crate) fn or_null(
    values: &ArrayRef,
    fits: &impl Fn(&ArrayRef) -> Result<(), CastRefused>,
) -> Result<(ArrayRef, usize), CastRefused> {
    let mut misfits = Vec::new();
    find_misfits(values, 0, fits, &mut misfits)?;
    if misfits.is_empty() {
        return Ok((Arc::clone(values), 0));
    }
    let mut mask = vec![false; values.len()];
    for row in &misfits {
        mask[*row] = true;
    }
    let left = nullif(values, &BooleanArray::from(mask)).map_err(|_| CastRefused::Types)?;
    Ok((left, misfits.len()))
}

/// Halves what does not fit until the values that do not are alone: most values do.
fn find_misfits(
    values: &ArrayRef,
    first: usize,
    fits: &impl Fn(&ArrayRef) -> Result<(), CastRefused>,
    found: &mut Vec<usize>,
) -> Result<(), CastRefused> {
    match fits(values) {
        Err(CastRefused::Lossy(_)) if values.len() > 1 => {
            let middle = values.len() / 2;
            find_misfits(&values.slice(0, middle), first, fits, found)?;
            find_misfits(&values.slice(middle, values.len() - middle), first + middle, fits, found)
        }
        Err(CastRefused::Lossy(_)) => {
            found.push(first);
            Ok(())
        }
        Err(CastRefused::Local(cell)) => Err(CastRefused::Local(BadCell { row: first + cell.row, ..cell })),
        fitted => fitted,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::arc;
    use super::*;
    use arrow::array::{
        AsArray, Date32Array, Int64Array, TimestampMicrosecondArray, TimestampMillisecondArray,
        TimestampSecondArray,
    };
    use arrow::datatypes::{TimestampMillisecondType, TimestampSecondType};

    fn rules(zone: Option<&str>, truncate: bool) -> TextRules {
        TextRules { zone: zone.map(|zone| zone.parse().expect("a zone")), truncate, ..TextRules::default() }
    }

    fn millis_in_utc() -> DataType {
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
    }

    fn millis(values: &ArrayRef) -> Vec<Option<i64>> {
        values.as_primitive::<TimestampMillisecondType>().iter().collect()
    }

    #[test]
    fn local_times_are_instants_of_their_zone() {
        let rules = rules(Some("Europe/Berlin"), false);
        let stamps = arc(TimestampSecondArray::from(vec![Some(3_600), None]));
        let taken = by_rules(&stamps, &millis_in_utc(), &rules).expect("taken");
        assert_eq!((millis(&taken), taken.data_type()), (vec![Some(0), None], &millis_in_utc()));
        let texts =
            arc(StringArray::from(vec!["1970-01-01T01:00:00.5", "1970-01-01T01:00:00Z", "1970-01-02"]));
        let taken = by_rules(&texts, &millis_in_utc(), &rules).expect("taken");
        assert_eq!(millis(&taken), [Some(500), Some(3_600_000), Some(82_800_000)]);
        let taken = by_rules(&arc(Date32Array::from(vec![1])), &millis_in_utc(), &rules).expect("taken");
        assert_eq!(millis(&taken), [Some(82_800_000)]);
        let zoned = arc(TimestampSecondArray::from(vec![7]).with_timezone("America/Lima"));
        assert_eq!(millis(&by_rules(&zoned, &millis_in_utc(), &rules).expect("an instant")), [Some(7_000)]);
        let naive = DataType::Timestamp(TimeUnit::Second, None);
        assert_eq!(by_rules(&zoned, &naive, &rules), Err(CastRefused::Zone));
    }

    #[test]
    fn a_local_time_that_is_never_shown_or_twice_is_named() {
        let rules = rules(Some("Europe/Berlin"), false);
        for text in ["2021-03-28T02:30:00", "2021-10-31T02:30:00"] {
            let texts = arc(StringArray::from(vec!["2021-01-01T00:00:00", text]));
            let naive = exact(&texts, &DataType::Timestamp(TimeUnit::Second, None)).expect("naive");
            for values in [texts, naive] {
                let Err(CastRefused::Local(cell)) = by_rules(&values, &millis_in_utc(), &rules) else {
                    panic!("taken: {values:?}");
                };
                assert_eq!((cell.row, cell.value.as_str()), (1, text));
            }
        }
    }

    #[test]
    fn what_is_finer_is_cut_toward_the_past() {
        let rules = rules(None, true);
        let to = DataType::Timestamp(TimeUnit::Second, None);
        let cut = |values: &ArrayRef| {
            let cut = by_rules(values, &to, &rules).expect("cut");
            cut.as_primitive::<TimestampSecondType>().iter().collect::<Vec<_>>()
        };
        let micros = arc(TimestampMicrosecondArray::from(vec![Some(1_999_999), Some(-1), None]));
        assert_eq!(cut(&micros), [Some(1), Some(-1), None]);
        let texts = arc(StringArray::from(vec!["1970-01-01T00:00:01.9", "1969-12-31T23:59:59.999"]));
        assert_eq!(cut(&texts), [Some(1), Some(-1)]);
        let finer = by_rules(
            &arc(TimestampSecondArray::from(vec![1])),
            &DataType::Timestamp(TimeUnit::Millisecond, None),
            &rules,
        );
        assert_eq!(millis(&finer.expect("exact")), [Some(1_000)]);
        let least = arc(TimestampMillisecondArray::from(vec![i64::MIN]));
        assert!(matches!(by_rules(&least, &to, &rules), Err(CastRefused::Lossy(_))));
    }

    #[test]
    fn what_does_not_survive_is_null_and_counted() {
        let texts = arc(StringArray::from(vec![Some("x"), Some("1"), None, Some("300"), Some("-7")]));
        let fits = |values: &ArrayRef| exact(values, &DataType::Int8).map(drop);
        let (left, nulls) = or_null(&texts, &fits).expect("nulled");
        let left = exact(&left, &DataType::Int64).expect("survives");
        assert_eq!(
            (left.as_ref(), nulls),
            (&Int64Array::from(vec![None, Some(1), None, None, Some(-7)]) as &dyn Array, 2)
        );
        let fits = |values: &ArrayRef| exact(values, &DataType::new_list(DataType::Int8, true)).map(drop);
        assert_eq!(or_null(&texts, &fits).err(), Some(CastRefused::Types));
    }
}
