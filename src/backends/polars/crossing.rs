//! The table of type crossings: which Arrow type meets which Polars type, and how an array gets there.
//!
//! Every Polars type has one Arrow type of the same layout, its *border type*. An Arrow array is first
//! brought into a border type (for most it is in one already), then its buffers are handed over as they
//! are. On the way back the border type is what comes out, so a frame's Arrow schema depends on its
//! Polars schema alone.
//!
//! Zero-copy means the buffers of values; a validity bitmap that starts within a byte, as slices have
//! them, may be shifted into one of its own.
//!
//! | Arrow | Polars | how |
//! |---|---|---|
//! | bool, int8 to uint64, float32, float64, null | the same | zero-copy |
//! | float16 | Float32 | cast |
//! | string view, binary view | String, Binary | zero-copy |
//! | string, binary with offsets; fixed-size binary | String, Binary | cast: views are made, bytes of the first two shared |
//! | date32 | Date | zero-copy |
//! | date64 | Date | cast, refused unless whole days |
//! | time64(ns) | Time | zero-copy if within a day, else refused |
//! | time32, time64(us) | Time | cast, refused outside a day |
//! | timestamp, duration in ms, us, ns | Datetime, Duration | zero-copy |
//! | timestamp, duration in s | Datetime(ms), Duration(ms) | cast, refused on overflow |
//! | timestamp with a named zone | Datetime with it | zero-copy |
//! | … with an offset of whole hours | Datetime, `Etc/GMT±n` | zero-copy |
//! | … with another offset, or `Z` | Datetime, `UTC` | zero-copy |
//! | … with a zone that Polars does not know | | refused |
//! | decimal128 | Decimal | zero-copy |
//! | decimal32, decimal64 | Decimal | cast |
//! | decimal256 | Decimal | cast, refused if a value has more than 38 digits |
//! | decimal with a negative scale | Decimal of scale 0 | cast, refused above 38 digits |
//! | large list, fixed-size list, struct | List, Array, Struct | zero-copy, what is in them as above |
//! | list, list views | List | offsets cast, values as above |
//! | map | List of Struct | offsets cast, entries as above |
//! | dictionary | what its values are | cast: unpacked |
//! | fixed-size list of no items, interval, union, run-end encoded | | refused |
//!
//! | Polars | Arrow | how |
//! |---|---|---|
//! | String, Binary | string view, binary view | zero-copy |
//! | Categorical, Enum | string view | cast, in the plan |
//! | Time | time64(ns) | zero-copy |
//! | List, Array | large list, fixed-size list | zero-copy |
//! | the rest | the border type above | zero-copy |
//! | Int128, `UInt128`, Float16, Object, Unknown | | refused |
//!
//! Views and not offsets come back: no copy, no limit of 2 GiB per batch, and what `DataFusion` reads
//! Parquet into as well.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use polars::prelude as pl;

use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};

const MAX_DIGITS: u8 = 38;

/// The Arrow schema in which rows of `schema` cross; names stay, metadata goes.
///
/// # Errors
///
/// `Unsupported` that names the first column that cannot cross.
pub(super) fn border_schema(schema: &Schema) -> Result<SchemaRef> {
    let fields: Result<Vec<_>> = schema
        .fields()
        .iter()
        .map(|field| Ok(Field::new(field.name(), border_type(field.name(), field.data_type())?, true)))
        .collect();
    Ok(Arc::new(Schema::new(fields?)))
}

/// The border type of an Arrow type.
pub(super) fn border_type(column: &str, from: &DataType) -> Result<DataType> {
    use DataType as D;
    let item = |field: &FieldRef| border_type(column, field.data_type()).map(list_item);
    Ok(match from {
        D::Null | D::Boolean | D::Float32 | D::Float64 | D::Utf8View | D::BinaryView | D::Date32 => {
            from.clone()
        }
        _ if from.is_integer() => from.clone(),
        D::Float16 => D::Float32,
        D::Utf8 | D::LargeUtf8 => D::Utf8View,
        D::Binary | D::LargeBinary | D::FixedSizeBinary(_) => D::BinaryView,
        D::Date64 => D::Date32,
        D::Time32(_) | D::Time64(_) => D::Time64(TimeUnit::Nanosecond),
        D::Duration(unit) => D::Duration(at_least_ms(*unit)),
        D::Timestamp(unit, zone) => {
            let zone = zone.as_deref().map(|zone| zone_of(zone).ok_or_else(|| refused(column, from)));
            D::Timestamp(at_least_ms(*unit), zone.transpose()?)
        }
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) | D::Decimal256(p, s) => {
            decimal(*p, *s).ok_or_else(|| refused(column, from))?
        }
        D::List(field)
        | D::LargeList(field)
        | D::ListView(field)
        | D::LargeListView(field)
        | D::Map(field, _) => D::LargeList(item(field)?),
        D::FixedSizeList(field, size) if *size > 0 => D::FixedSizeList(item(field)?, *size),
        D::Struct(fields) => D::Struct(border_fields(column, fields)?),
        D::Dictionary(_, values) => border_type(column, values)?,
        _ => return Err(refused(column, from)),
    })
}

fn border_fields(column: &str, fields: &Fields) -> Result<Fields> {
    fields
        .iter()
        .map(|field| Ok(Field::new(field.name(), border_type(column, field.data_type())?, true)))
        .collect()
}

/// The item field as Polars builds it, so that both sides agree on nested types.
fn list_item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type, true))
}

/// Polars counts in milliseconds at the coarsest.
fn at_least_ms(unit: TimeUnit) -> TimeUnit {
    if unit == TimeUnit::Second { TimeUnit::Millisecond } else { unit }
}

/// The zone as Polars names it; `None` if it does not know it. Only the name changes, never the instant.
fn zone_of(zone: &str) -> Option<Arc<str>> {
    // Polars takes these two for "no zone" and "any zone".
    if zone.is_empty() || zone == "*" {
        return None;
    }
    match pl::TimeZone::opt_try_new(Some(zone)) {
        Ok(known) => known.map(|known| known.as_str().into()),
        Err(_) => is_offset(zone).then(|| "UTC".into()),
    }
}

/// Whether a zone is an offset from UTC such as `+05:30`, or `Z`.
fn is_offset(zone: &str) -> bool {
    if zone == "Z" {
        return true;
    }
    let digits = zone.strip_prefix(['+', '-']).map(|rest| rest.replacen(':', "", 1));
    digits.is_some_and(|digits| {
        matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn decimal(precision: u8, scale: i8) -> Option<DataType> {
    let precision = if scale < 0 { precision.checked_add(scale.unsigned_abs())? } else { precision };
    // Wider decimals may still hold values that fit: those are looked at one by one in the cast.
    let wide = matches!(precision, 39..) && scale >= 0;
    let (precision, scale) = (if wide { MAX_DIGITS } else { precision }, scale.max(0));
    let fits = precision <= MAX_DIGITS && scale.cast_unsigned() <= precision;
    fits.then_some(DataType::Decimal128(precision, scale))
}

fn refused(column: &str, from: &DataType) -> Error {
    Error::new(ErrorKind::Unsupported, "polars has no type for a column")
        .with("column", column)
        .with("type", type_name(from))
        .hint("leave the column out or cast it first, or use the datafusion backend (--backend datafusion)")
}

/// The Polars type of a border type.
///
/// # Errors
///
/// `Internal` for a type that is not a border type.
pub(super) fn polars_type(border: &DataType) -> Result<pl::DataType> {
    use DataType as D;
    use pl::DataType as P;
    Ok(match border {
        D::Null => P::Null,
        D::Boolean => P::Boolean,
        D::Int8 => P::Int8,
        D::Int16 => P::Int16,
        D::Int32 => P::Int32,
        D::Int64 => P::Int64,
        D::UInt8 => P::UInt8,
        D::UInt16 => P::UInt16,
        D::UInt32 => P::UInt32,
        D::UInt64 => P::UInt64,
        D::Float32 => P::Float32,
        D::Float64 => P::Float64,
        D::Utf8View => P::String,
        D::BinaryView => P::Binary,
        D::Date32 => P::Date,
        D::Time64(TimeUnit::Nanosecond) => P::Time,
        D::Duration(unit) => P::Duration(polars_unit(*unit)?),
        D::Timestamp(unit, zone) => {
            let zone = pl::TimeZone::opt_try_new(zone.as_deref()).map_err(super::failed)?;
            P::Datetime(polars_unit(*unit)?, zone)
        }
        D::Decimal128(precision, scale) => P::Decimal((*precision).into(), scale.cast_unsigned().into()),
        D::LargeList(item) => P::List(Box::new(polars_type(item.data_type())?)),
        D::FixedSizeList(item, size) => {
            P::Array(Box::new(polars_type(item.data_type())?), usize::try_from(*size).unwrap_or_default())
        }
        D::Struct(fields) => P::Struct(
            fields
                .iter()
                .map(|field| Ok(pl::Field::new(field.name().into(), polars_type(field.data_type())?)))
                .collect::<Result<_>>()?,
        ),
        other => return Err(Error::internal("not a border type").with("type", other)),
    })
}

fn polars_unit(unit: TimeUnit) -> Result<pl::TimeUnit> {
    Ok(match unit {
        TimeUnit::Millisecond => pl::TimeUnit::Milliseconds,
        TimeUnit::Microsecond => pl::TimeUnit::Microseconds,
        TimeUnit::Nanosecond => pl::TimeUnit::Nanoseconds,
        TimeUnit::Second => return Err(Error::internal("polars does not count in seconds")),
    })
}

/// The Arrow schema in which a Polars frame crosses.
///
/// # Errors
///
/// `Unsupported` that names the first column that cannot cross.
pub(super) fn arrow_schema(schema: &pl::Schema) -> Result<SchemaRef> {
    let fields: Result<Vec<_>> = schema
        .iter()
        .map(|(name, dtype)| Ok(Field::new(name.as_str(), arrow_type(name, dtype)?, true)))
        .collect();
    Ok(Arc::new(Schema::new(fields?)))
}

/// The border type of a Polars type; categories count as the strings they stand for.
pub(super) fn arrow_type(column: &str, dtype: &pl::DataType) -> Result<DataType> {
    use DataType as D;
    use pl::DataType as P;
    let no_type = || {
        Error::new(ErrorKind::Unsupported, "a column has a polars type that has no place in files")
            .with("column", column)
            .with("type", dtype)
            .hint("leave the column out or cast it first")
    };
    Ok(match dtype {
        P::Null => D::Null,
        P::Boolean => D::Boolean,
        P::Int8 => D::Int8,
        P::Int16 => D::Int16,
        P::Int32 => D::Int32,
        P::Int64 => D::Int64,
        P::UInt8 => D::UInt8,
        P::UInt16 => D::UInt16,
        P::UInt32 => D::UInt32,
        P::UInt64 => D::UInt64,
        P::Float32 => D::Float32,
        P::Float64 => D::Float64,
        P::String | P::Categorical(..) | P::Enum(..) => D::Utf8View,
        P::Binary | P::BinaryOffset => D::BinaryView,
        P::Date => D::Date32,
        P::Time => D::Time64(TimeUnit::Nanosecond),
        P::Duration(unit) => D::Duration(arrow_unit(*unit)),
        P::Datetime(unit, zone) => {
            D::Timestamp(arrow_unit(*unit), zone.as_ref().map(|zone| zone.as_str().into()))
        }
        P::Decimal(precision, scale) => D::Decimal128(
            u8::try_from(*precision).map_err(|_| no_type())?,
            i8::try_from(*scale).map_err(|_| no_type())?,
        ),
        P::List(item) => D::LargeList(list_item(arrow_type(column, item)?)),
        P::Array(item, size) if *size > 0 => D::FixedSizeList(
            list_item(arrow_type(column, item)?),
            i32::try_from(*size).map_err(|_| no_type())?,
        ),
        P::Struct(fields) => D::Struct(
            fields
                .iter()
                .map(|field| Ok(Field::new(field.name().as_str(), arrow_type(column, field.dtype())?, true)))
                .collect::<Result<_>>()?,
        ),
        _ => return Err(no_type()),
    })
}

fn arrow_unit(unit: pl::TimeUnit) -> TimeUnit {
    match unit {
        pl::TimeUnit::Milliseconds => TimeUnit::Millisecond,
        pl::TimeUnit::Microseconds => TimeUnit::Microsecond,
        pl::TimeUnit::Nanoseconds => TimeUnit::Nanosecond,
    }
}
