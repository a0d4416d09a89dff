//! Which types the columns of a new Delta table have: the narrowest one that holds every value of the frame's type, or
//! none.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};

/// Digits that a decimal of Delta has at most.
const DIGITS: u8 = 38;

/// The columns of a table for rows with the columns of `schema`. Values of some types must then be cast, exactly:
/// Delta knows no unsigned integers and no nanoseconds.
///
/// # Errors
///
/// `Unsupported` that names a column for which Delta has no type.
pub(super) fn table_schema(schema: &Schema) -> Result<SchemaRef> {
    let fields = schema.fields().iter().map(|field| {
        let data_type = table_type(field.data_type()).map_err(|hint| {
            Error::new(ErrorKind::Unsupported, "a Delta table has no columns of this type")
                .with("column", field.name())
                .with("type", type_name(field.data_type()))
                .hint(hint)
        })?;
        Ok(Field::new(field.name(), data_type, field.is_nullable()))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

fn table_type(data_type: &DataType) -> Result<DataType, &'static str> {
    use DataType as D;
    Ok(match data_type {
        D::Boolean | D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::Float32 | D::Float64 => data_type.clone(),
        D::UInt8 => D::Int16,
        D::UInt16 => D::Int32,
        D::UInt32 | D::UInt64 => D::Int64,
        D::Float16 => D::Float32,
        D::Utf8 | D::LargeUtf8 | D::Utf8View => D::Utf8,
        D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => D::Binary,
        D::Date32 | D::Date64 => D::Date32,
        D::Timestamp(_, None) => D::Timestamp(TimeUnit::Microsecond, None),
        D::Timestamp(_, Some(_)) => D::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        D::Decimal32(precision, scale)
        | D::Decimal64(precision, scale)
        | D::Decimal128(precision, scale)
        | D::Decimal256(precision, scale) => decimal(*precision, *scale)?,
        D::Dictionary(_, values) => table_type(values)?,
        D::List(item)
        | D::LargeList(item)
        | D::ListView(item)
        | D::LargeListView(item)
        | D::FixedSizeList(item, _) => D::List(inner(item, "element", true)?),
        D::Struct(fields) => D::Struct(
            fields.iter().map(|field| inner(field, field.name(), true)).collect::<Result<Fields, _>>()?,
        ),
        D::Map(entries, _) => map(entries)?,
        D::Time32(_) | D::Time64(_) => return Err("cast the column to text, or to an integer"),
        D::Null => return Err("cast the column, which has only nulls, to the type it is meant to have"),
        _ => return Err("cast the column to a type that Delta knows"),
    })
}

fn decimal(precision: u8, scale: i8) -> Result<DataType, &'static str> {
    if precision > DIGITS || scale < 0 {
        return Err(
            "cast the column to a decimal with at most 38 digits, none of them before the point cut off",
        );
    }
    Ok(DataType::Decimal128(precision, scale))
}

fn inner(field: &Field, name: &str, nullable: bool) -> Result<FieldRef, &'static str> {
    Ok(Arc::new(Field::new(name, table_type(field.data_type())?, nullable)))
}

fn map(entries: &Field) -> Result<DataType, &'static str> {
    let DataType::Struct(fields) = entries.data_type() else { return Err("the map has no entries") };
    let [key, value] = fields.as_ref() else { return Err("the map has no keys and values") };
    let entries = Fields::from(vec![inner(key, "key", false)?, inner(value, "value", true)?]);
    Ok(DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entries), false)), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(data_type: DataType) -> Result<DataType> {
        let schema = Schema::new(vec![Field::new("a", data_type, false)]);
        table_schema(&schema).map(|schema| schema.field(0).data_type().clone())
    }

    #[test]
    fn a_type_that_delta_lacks_becomes_one_that_holds_its_values() {
        assert_eq!(one(DataType::UInt32).ok(), Some(DataType::Int64));
        assert_eq!(one(DataType::Utf8View).ok(), Some(DataType::Utf8));
        let berlin = DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into()));
        assert_eq!(one(berlin).ok(), Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))));
        let list = DataType::new_large_list(DataType::UInt8, false);
        let element = Field::new("element", DataType::Int16, true);
        assert_eq!(one(list).ok(), Some(DataType::List(Arc::new(element))));
    }

    #[test]
    fn a_column_that_takes_no_nulls_stays_one() {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int64, false),
            Field::new("b", DataType::Int64, true),
        ]);
        let table = table_schema(&schema).expect("types");
        assert_eq!((table.field(0).is_nullable(), table.field(1).is_nullable()), (false, true));
    }

    #[test]
    fn a_column_without_a_type_in_delta_is_refused_by_name() {
        for data_type in [
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Null,
            DataType::Decimal256(40, 2),
            DataType::Duration(TimeUnit::Second),
        ] {
            let error = one(data_type).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("column: a"), "{error}");
        }
    }
}
