//! One form for values that are equal: rows are compared as bytes, so equal values must have equal bytes.
//!
//! Zero has one sign, NaN has one bit pattern, a dictionary is its values, a map is a list of its
//! entries. Canonical forms are for comparing only; what is written keeps its own bits.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, FixedSizeListArray, GenericListArray,
    OffsetSizeTrait, PrimitiveArray, RecordBatch, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};

/// Turns columns into rows of bytes: equal bytes are equal values, and for scalar columns the order of
/// bytes is the order of values, nulls first.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    converter: RowConverter,
}

impl RowEncoder {
    /// An encoder for columns of these types; `names` are for the error only.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, &'a DataType)>) -> Result<Self> {
        let mut fields = Vec::new();
        for (name, data_type) in columns {
            let field = SortField::new(canonical_type(data_type));
            if !RowConverter::supports_fields(std::slice::from_ref(&field)) {
                return Err(Error::new(ErrorKind::Unsupported, "values of this type cannot be compared")
                    .with("column", name)
                    .with("type", type_name(data_type))
                    .hint("leave the column out, or store it as a list, a struct or a string"));
            }
            fields.push(field);
        }
        let converter = RowConverter::new(fields).map_err(broken)?;
        Ok(Self { converter })
    }

    /// Encodes columns in the order of the types this was made for.
    pub(crate) fn encode(&self, columns: &[ArrayRef]) -> Result<Rows> {
        let columns = columns.iter().map(canonical).collect::<Result<Vec<_>>>()?;
        self.converter.convert_columns(&columns).map_err(broken)
    }
}

/// The columns of `batch` that `names` name, in that order.
pub(crate) fn columns_of(batch: &RecordBatch, names: &[String]) -> Result<Vec<ArrayRef>> {
    names
        .iter()
        .map(|name| {
            batch.column_by_name(name).cloned().ok_or_else(|| {
                Error::internal("a column that was to be compared is missing").with("column", name)
            })
        })
        .collect()
}

fn broken(cause: ArrowError) -> Error {
    Error::internal("columns could not be brought into a form to compare").because(cause)
}

fn canonical_type(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| with_type(field, canonical_type(field.data_type()));
    match data_type {
        DataType::Dictionary(_, values) => canonical_type(values),
        DataType::List(field) | DataType::ListView(field) => DataType::List(inner(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(inner(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(inner(field), *size),
        DataType::Map(entries, _) => DataType::List(inner(entries)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

fn with_type(field: &FieldRef, data_type: DataType) -> FieldRef {
    if field.data_type() == &data_type {
        return FieldRef::clone(field);
    }
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

/// The canonical form of a column; columns that are in it already are not copied.
pub(crate) fn canonical(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Float16 => floats::<Float16Type>(array, Half::NAN),
        DataType::Float32 => floats::<Float32Type>(array, f32::NAN),
        DataType::Float64 => floats::<Float64Type>(array, f64::NAN),
        DataType::Dictionary(_, values) => canonical(&cast(array, values).map_err(broken)?)?,
        DataType::List(_) => list(array.as_list::<i32>())?,
        DataType::LargeList(_) => list(array.as_list::<i64>())?,
        DataType::ListView(field) => {
            canonical(&cast(array, &DataType::List(FieldRef::clone(field))).map_err(broken)?)?
        }
        DataType::LargeListView(field) => {
            canonical(&cast(array, &DataType::LargeList(FieldRef::clone(field))).map_err(broken)?)?
        }
        DataType::FixedSizeList(field, size) => {
            let array = array.as_fixed_size_list();
            let values = canonical(array.values())?;
            let field = with_type(field, values.data_type().clone());
            Arc::new(
                FixedSizeListArray::try_new(field, *size, values, array.nulls().cloned()).map_err(broken)?,
            )
        }
        DataType::Map(entries, _) => {
            let array = array.as_map();
            let values = canonical(&(Arc::new(array.entries().clone()) as ArrayRef))?;
            let field = with_type(entries, values.data_type().clone());
            let nulls = array.nulls().cloned();
            Arc::new(
                GenericListArray::try_new(field, array.offsets().clone(), values, nulls).map_err(broken)?,
            )
        }
        DataType::Struct(fields) => {
            let array = array.as_struct();
            let columns = array.columns().iter().map(canonical).collect::<Result<Vec<_>>>()?;
            let fields =
                fields.iter().zip(&columns).map(|(f, c)| with_type(f, c.data_type().clone())).collect();
            let nulls = array.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(fields, columns, nulls, array.len()).map_err(broken)?)
        }
        _ => ArrayRef::clone(array),
    })
}

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// One zero, one NaN.
fn floats<T>(array: &ArrayRef, nan: T::Native) -> ArrayRef
where
    T: ArrowPrimitiveType,
    T::Native: PartialEq + ArrowNativeTypeOp,
{
    let values: PrimitiveArray<T> = array.as_primitive::<T>().unary(|value| {
        // NaN alone differs from itself; `ArrowNativeTypeOp::is_zero` holds for both zeros.
        #[expect(clippy::eq_op, reason = "this is how NaN is told for every width")]
        if value != value {
            nan
        } else if value.is_zero() {
            T::Native::ZERO
        } else {
            value
        }
    });
    Arc::new(values)
}

fn list<O: OffsetSizeTrait>(array: &GenericListArray<O>) -> Result<ArrayRef> {
    let values = canonical(array.values())?;
    let (DataType::List(field) | DataType::LargeList(field)) = array.data_type() else {
        return Err(Error::internal("a list is not a list"));
    };
    let field = with_type(field, values.data_type().clone());
    let list = GenericListArray::try_new(field, array.offsets().clone(), values, array.nulls().cloned());
    Ok(Arc::new(list.map_err(broken)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Float32Array, Float64Array, Int64Array, ListArray, MapBuilder, StringArray, StringBuilder,
        StringDictionaryBuilder,
    };
    use arrow::datatypes::Int32Type;

    fn rows(array: &ArrayRef) -> Vec<Vec<u8>> {
        let encoder = RowEncoder::new([("x", array.data_type())]).expect("an encoder");
        encoder.encode(&[ArrayRef::clone(array)]).expect("rows").iter().map(|r| r.as_ref().to_vec()).collect()
    }

    #[test]
    fn zero_has_one_sign_and_nan_one_form() {
        let odd = f64::from_bits(f64::NAN.to_bits() | 1 << 63 | 7);
        let array: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, odd, -1.5]));
        let rows = rows(&array);
        assert_eq!((&rows[0], &rows[2]), (&rows[1], &rows[3]));
        assert_ne!(rows[0], rows[4]);
        assert!(rows[4] < rows[0] && rows[0] < rows[2]);
        let array: ArrayRef = Arc::new(Float32Array::from(vec![0.0, -0.0]));
        assert_eq!(
            super::canonical(&array).expect("canonical").as_primitive::<Float32Type>().value(1).to_bits(),
            0
        );
    }

    #[test]
    fn zero_has_one_sign_inside_lists_and_structs_too() {
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(vec![
            Some(vec![Some(0.0), None]),
            Some(vec![Some(-0.0), None]),
            None,
        ]));
        let fields = vec![(Arc::new(Field::new("l", list.data_type().clone(), true)), list)];
        let array: ArrayRef = Arc::new(StructArray::from(fields));
        let rows = rows(&array);
        assert_eq!(rows[0], rows[1]);
        assert_ne!(rows[0], rows[2]);
    }

    #[test]
    fn a_dictionary_is_its_values() {
        let mut builder = StringDictionaryBuilder::<Int32Type>::new();
        for text in ["b", "a", "b"] {
            builder.append_value(text);
        }
        let dictionary: ArrayRef = Arc::new(builder.finish());
        let plain: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "b"]));
        assert_eq!(rows(&dictionary), rows(&plain));
    }

    #[test]
    fn maps_are_compared_by_their_entries() {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), Int64Array::builder(4));
        for value in [1, 1, 2] {
            builder.keys().append_value("k");
            builder.values().append_value(value);
            builder.append(true).expect("appended");
        }
        let rows = rows(&(Arc::new(builder.finish()) as ArrayRef));
        assert_eq!(rows[0], rows[1]);
        assert_ne!(rows[0], rows[2]);
    }

    #[test]
    fn nulls_are_lowest() {
        let rows = rows(&(Arc::new(Int64Array::from(vec![Some(i64::MIN), None])) as ArrayRef));
        assert!(rows[1] < rows[0]);
    }
}
