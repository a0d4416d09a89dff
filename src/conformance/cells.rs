//! Arrow batches as tables of plain cells, for the judge. Row by row and slow on purpose: nothing here is
//! shared with what is judged.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    UInt64Type,
};

use crate::core::merge::reference::{Cell, Table};
use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};

/// The rows of a batch as cells.
///
/// # Errors
///
/// `Unsupported` for a type that no case needs.
pub fn table_of(batch: &RecordBatch) -> Result<Table> {
    let columns = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    let row = |row| batch.columns().iter().map(|column| cell(column, row)).collect();
    let rows = (0..batch.num_rows()).map(row).collect::<Result<_>>()?;
    Ok(Table { columns, rows })
}

fn cell(values: &ArrayRef, row: usize) -> Result<Cell> {
    use DataType as D;
    if values.data_type() == &D::Null || values.is_null(row) {
        return Ok(Cell::Null);
    }
    Ok(match values.data_type() {
        D::Boolean => Cell::Bool(values.as_boolean().value(row)),
        D::UInt64 => Cell::Int(values.as_primitive::<UInt64Type>().value(row).into()),
        data_type if data_type.is_integer() => Cell::Int(count(values, row)?),
        D::Float32 => Cell::Float(values.as_primitive::<Float32Type>().value(row).into()),
        D::Float64 => Cell::Float(values.as_primitive::<Float64Type>().value(row)),
        D::Decimal32(..) => Cell::Int(values.as_primitive::<Decimal32Type>().value(row).into()),
        D::Decimal64(..) => Cell::Int(values.as_primitive::<Decimal64Type>().value(row).into()),
        D::Decimal128(..) => Cell::Int(values.as_primitive::<Decimal128Type>().value(row)),
        D::Utf8 | D::LargeUtf8 | D::Utf8View => {
            Cell::Text(one(values, row, &D::LargeUtf8)?.as_string::<i64>().value(0).to_owned())
        }
        D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => {
            let wide = one(&one(values, row, &D::Binary)?, 0, &D::LargeBinary)?;
            Cell::Bytes(wide.as_binary::<i64>().value(0).to_vec())
        }
        D::Date32 => Cell::Instant(count(values, row)? * 86_400_000_000_000),
        D::Date64 => Cell::Instant(count(values, row)? * nanos(TimeUnit::Millisecond)),
        D::Timestamp(unit, _) | D::Time32(unit) | D::Time64(unit) | D::Duration(unit) => {
            Cell::Instant(count(values, row)? * nanos(*unit))
        }
        D::Dictionary(_, inner) => cell(&one(values, row, inner)?, 0)?,
        D::List(_) => items(&values.as_list::<i32>().value(row))?,
        D::LargeList(_) => items(&values.as_list::<i64>().value(row))?,
        D::FixedSizeList(..) => items(&values.as_fixed_size_list().value(row))?,
        D::Struct(_) => {
            let fields = values.as_struct().columns().iter().map(|column| cell(column, row));
            Cell::List(fields.collect::<Result<_>>()?)
        }
        other => {
            return Err(Error::new(ErrorKind::Unsupported, "the judge does not know this type")
                .with("type", type_name(other)));
        }
    })
}

fn items(values: &ArrayRef) -> Result<Cell> {
    Ok(Cell::List((0..values.len()).map(|row| cell(values, row)).collect::<Result<_>>()?))
}

/// The number beneath an integer or a time.
fn count(values: &ArrayRef, row: usize) -> Result<i128> {
    Ok(one(values, row, &DataType::Int64)?.as_primitive::<Int64Type>().value(0).into())
}

/// One value in a wider type of its kind.
fn one(values: &ArrayRef, row: usize, to: &DataType) -> Result<ArrayRef> {
    cast(&values.slice(row, 1), to)
        .map_err(|cause| Error::internal("a value of a case could not be read").because(cause))
}

fn nanos(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{
        BinaryViewArray, Date32Array, DictionaryArray, Int8Array, ListArray, NullArray, TimestampSecondArray,
        UInt64Array,
    };
    use arrow::datatypes::Int32Type;

    fn first(values: impl Array + 'static) -> Cell {
        cell(&(Arc::new(values) as ArrayRef), 0).expect("a cell")
    }

    #[test]
    fn values_are_what_they_mean() {
        assert_eq!(first(NullArray::new(1)), Cell::Null);
        assert_eq!(first(Int8Array::from(vec![-1])), Cell::Int(-1));
        assert_eq!(first(UInt64Array::from(vec![u64::MAX])), Cell::Int(u64::MAX.into()));
        assert_eq!(first(BinaryViewArray::from(vec![b"a".as_slice()])), Cell::Bytes(b"a".to_vec()));
        let texts: DictionaryArray<Int32Type> = vec!["a"].into_iter().collect();
        assert_eq!(first(texts), Cell::Text("a".into()));
    }

    #[test]
    fn one_point_in_time_is_one_cell_in_every_unit() {
        let midnight = first(Date32Array::from(vec![1]));
        assert_eq!(first(TimestampSecondArray::from(vec![86_400])), midnight);
    }

    #[test]
    fn lists_keep_their_nulls() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
        assert_eq!(first(list), Cell::List(vec![Cell::Int(1), Cell::Null]));
    }
}
