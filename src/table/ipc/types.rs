//! Which types of a schema Arrow's decoder knows: it panics at others, such as the 128-bit integers of Polars.

use arrow::ipc::{DateUnit, Field, IntervalUnit, Precision, Schema, TimeUnit, Type, UnionMode};

use super::damaged;
use crate::error::{Error, ErrorKind, Result};

/// Refuses a schema with a type that is not known.
///
/// # Errors
///
/// `Unsupported` that names the column, `InvalidData` for a type that is not whole.
pub(super) fn check(schema: &Schema<'_>) -> Result<()> {
    let fields = schema.fields().ok_or_else(|| damaged("the schema has no columns"))?;
    fields.iter().try_for_each(|field| {
        check_field(&field).map_err(|error| error.with("column", field.name().unwrap_or_default()))
    })
}

fn check_field(field: &Field<'_>) -> Result<()> {
    let children = || field.children().into_iter().flatten();
    if wanted(field).is_some_and(|wanted| children().count() != wanted) {
        return Err(damaged("a nested type has another number of parts than it should"));
    }
    if let Some(index) = field.dictionary().map(|dictionary| dictionary.indexType()) {
        let width =
            index.map(|index| index.bitWidth()).ok_or_else(|| damaged("a dictionary has no index"))?;
        known(is_width(width), || format!("a dictionary by {width}-bit integers"))?;
    }
    check_type(field)?;
    children().try_for_each(|child| check_field(&child))
}

/// How many parts a nested type has; `None` if it may have any.
fn wanted(field: &Field<'_>) -> Option<usize> {
    match field.type_type() {
        Type::List
        | Type::LargeList
        | Type::ListView
        | Type::LargeListView
        | Type::FixedSizeList
        | Type::Map => Some(1),
        Type::RunEndEncoded => Some(2),
        _ => None,
    }
}

fn missing() -> Error {
    damaged("a type is not whole")
}

fn check_type(field: &Field<'_>) -> Result<()> {
    match field.type_type() {
        Type::Int => {
            let width = field.type_as_int().ok_or_else(missing)?.bitWidth();
            known(is_width(width), || format!("{width}-bit integers"))
        }
        Type::FloatingPoint => {
            let precision = field.type_as_floating_point().ok_or_else(missing)?.precision();
            known((Precision::HALF..=Precision::DOUBLE).contains(&precision), || {
                format!("{precision:?} floats")
            })
        }
        Type::Decimal => check_decimal(field),
        Type::Date => {
            let unit = field.type_as_date().ok_or_else(missing)?.unit();
            known((DateUnit::DAY..=DateUnit::MILLISECOND).contains(&unit), || format!("dates in {unit:?}"))
        }
        Type::Time => check_time(field),
        Type::Timestamp => check_unit(field.type_as_timestamp().ok_or_else(missing)?.unit()),
        Type::Duration => check_unit(field.type_as_duration().ok_or_else(missing)?.unit()),
        Type::Interval => {
            let unit = field.type_as_interval().ok_or_else(missing)?.unit();
            let all = IntervalUnit::YEAR_MONTH..=IntervalUnit::MONTH_DAY_NANO;
            known(all.contains(&unit), || format!("intervals in {unit:?}"))
        }
        Type::Union => check_union(field),
        other => known((Type::Null..=Type::LargeListView).contains(&other), || format!("{other:?}")),
    }
}

fn check_union(field: &Field<'_>) -> Result<()> {
    let union = field.type_as_union().ok_or_else(missing)?;
    let parts = field.children().map_or(0, |children| children.len());
    if union.typeIds().is_some_and(|ids| ids.len() != parts) {
        return Err(damaged("a union has another number of parts than it should"));
    }
    let mode = union.mode();
    known((UnionMode::Sparse..=UnionMode::Dense).contains(&mode), || format!("unions of mode {mode:?}"))
}

fn check_decimal(field: &Field<'_>) -> Result<()> {
    let decimal = field.type_as_decimal().ok_or_else(missing)?;
    let (width, precision, scale) = (decimal.bitWidth(), decimal.precision(), decimal.scale());
    let small = u8::try_from(precision).is_ok() && i8::try_from(scale).is_ok();
    let all = small && matches!(width, 32 | 64 | 128 | 256);
    known(all, || format!("decimals of {width} bits ({precision}, {scale})"))
}

fn check_time(field: &Field<'_>) -> Result<()> {
    let time = field.type_as_time().ok_or_else(missing)?;
    let (width, unit) = (time.bitWidth(), time.unit());
    let fits = match width {
        32 => matches!(unit, TimeUnit::SECOND | TimeUnit::MILLISECOND),
        64 => matches!(unit, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND),
        _ => false,
    };
    known(fits, || format!("{width}-bit times in {unit:?}"))
}

fn check_unit(unit: TimeUnit) -> Result<()> {
    known((TimeUnit::SECOND..=TimeUnit::NANOSECOND).contains(&unit), || format!("times in {unit:?}"))
}

fn is_width(bits: i32) -> bool {
    matches!(bits, 8 | 16 | 32 | 64)
}

fn known(is: bool, what: impl FnOnce() -> String) -> Result<()> {
    if is {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "a column has a type that is not read from Arrow IPC")
        .with("type", what())
        .hint("write the file again with the column as another type"))
}
