//! Arrow arrays brought into the types in which they cross to Polars. What does not survive is refused
//! here, by column and type: Polars would panic, or take it for something else.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, LargeListArray, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast, cast_with_options, take};
use arrow::datatypes::{DataType, Date64Type, FieldRef, Fields, Int64Type, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};

const MS_PER_DAY: i64 = 86_400_000;
const NS_PER_DAY: i64 = MS_PER_DAY * 1_000_000;

/// Brings a batch into the border types of `border`, which is the border schema of its own.
///
/// # Errors
///
/// `Unsupported` that names the column of the first value that does not survive.
pub(super) fn to_border(batch: &RecordBatch, border: &SchemaRef) -> Result<RecordBatch> {
    let columns: Result<Vec<_>> = batch
        .columns()
        .iter()
        .zip(border.fields())
        .map(|(array, field)| bring(field.name(), array, field.data_type()))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(SchemaRef::clone(border), columns?, &options)
        .map_err(|cause| Error::internal("a batch does not have the schema it was to have").because(cause))
}

/// Brings an array into a border type. Nested arrays are taken apart by hand: only so can a map become
/// a list, and field metadata go, without copying values.
fn bring(column: &str, array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    use DataType as D;
    match (array.data_type(), to) {
        (from, _) if from == to && !to.is_nested() && !matches!(to, D::Time64(_)) => Ok(Arc::clone(array)),
        (D::List(_), D::LargeList(item)) => {
            let list = array.as_list::<i32>();
            large_list(column, widened(list.offsets()), list.values(), list.nulls(), item)
        }
        (D::LargeList(_), D::LargeList(item)) => {
            let list = array.as_list::<i64>();
            large_list(column, list.offsets().clone(), list.values(), list.nulls(), item)
        }
        (D::Map(..), D::LargeList(item)) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            large_list(column, widened(map.offsets()), &entries, map.nulls(), item)
        }
        (D::ListView(field) | D::LargeListView(field), D::LargeList(_)) => {
            let list = cast(array, &D::LargeList(Arc::clone(field))).map_err(lost(column, array, to))?;
            bring(column, &list, to)
        }
        (D::FixedSizeList(..), D::FixedSizeList(item, size)) => {
            let list = array.as_fixed_size_list();
            let values = bring(column, list.values(), item.data_type())?;
            let nulls = list.nulls().cloned();
            built(FixedSizeListArray::try_new(Arc::clone(item), *size, values, nulls))
        }
        (D::Struct(_), D::Struct(fields)) => structs(column, array.as_struct(), fields),
        (D::Dictionary(..), _) => {
            let dictionary = array.as_any_dictionary();
            let values = bring(column, dictionary.values(), to)?;
            take(&values, dictionary.keys(), None).map_err(lost(column, array, to))
        }
        (D::Date64, D::Date32) => days(column, array),
        (D::Time32(_) | D::Time64(_), D::Time64(_)) => times(column, array),
        _ => leaf(column, array, to),
    }
}

/// Casts values that have no parts; one that does not survive is an error.
fn leaf(column: &str, array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &strict).map_err(lost(column, array, to))
}

fn lost(column: &str, array: &ArrayRef, to: &DataType) -> impl FnOnce(ArrowError) -> Error {
    let (column, from, to) = (column.to_owned(), type_name(array.data_type()), type_name(to));
    move |cause| {
        Error::new(ErrorKind::Unsupported, "a value does not fit the type that polars has for its column")
            .with("column", column)
            .with("type", from)
            .with("polars", to)
            .because(cause)
            .hint("cast the column first, or use the datafusion backend (--backend datafusion)")
    }
}

fn built<A: Array + 'static>(array: Result<A, ArrowError>) -> Result<ArrayRef> {
    let array = array.map_err(|cause| Error::internal("an array could not be put together").because(cause));
    Ok(Arc::new(array?))
}

fn large_list(
    column: &str,
    offsets: OffsetBuffer<i64>,
    values: &ArrayRef,
    nulls: Option<&NullBuffer>,
    item: &FieldRef,
) -> Result<ArrayRef> {
    let values = bring(column, values, item.data_type())?;
    built(LargeListArray::try_new(Arc::clone(item), offsets, values, nulls.cloned()))
}

fn widened(offsets: &OffsetBuffer<i32>) -> OffsetBuffer<i64> {
    OffsetBuffer::new(offsets.iter().copied().map(i64::from).collect())
}

fn structs(column: &str, array: &StructArray, fields: &Fields) -> Result<ArrayRef> {
    let columns: Result<Vec<_>> = array
        .columns()
        .iter()
        .zip(fields)
        .map(|(array, field)| bring(column, array, field.data_type()))
        .collect();
    let nulls = array.nulls().cloned();
    built(StructArray::try_new_with_length(fields.clone(), columns?, nulls, array.len()))
}

/// Dates in milliseconds as days: a time of day would be lost silently in the cast.
fn days(column: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let dates = array.as_primitive::<Date64Type>();
    if dates.iter().flatten().any(|value| value % MS_PER_DAY != 0) {
        let cause = ArrowError::CastError("a date has a time of day".to_owned());
        return Err(lost(column, array, &DataType::Date32)(cause));
    }
    leaf(column, array, &DataType::Date32)
}

/// Times in nanoseconds: Polars panics when it prints or takes apart one that is not within a day.
fn times(column: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let border = DataType::Time64(TimeUnit::Nanosecond);
    let (DataType::Time32(unit) | DataType::Time64(unit)) = array.data_type() else {
        return leaf(column, array, &border);
    };
    let day = NS_PER_DAY / ns_per(*unit);
    let plain = cast(array, &DataType::Int64).map_err(lost(column, array, &border))?;
    if plain.as_primitive::<Int64Type>().iter().flatten().any(|value| !(0..day).contains(&value)) {
        let cause = ArrowError::CastError("a time is not within a day".to_owned());
        return Err(lost(column, array, &border)(cause));
    }
    leaf(column, array, &border)
}

fn ns_per(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}
