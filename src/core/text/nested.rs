//! What lies within lists, structs and maps, as text where JSON has no type of its own for it: the same
//! words as outside of them, and none that depend on the engine.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, OffsetSizeTrait, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;

use super::print;
use crate::error::{Error, Result};

/// The values with dates, times, timestamps and durations at any depth as [`print`] writes them, and maps as
/// the lists of their entries, `key` and `value`: a key may be of any type, and not every engine has maps.
pub(crate) fn readable(values: &ArrayRef) -> Result<ArrayRef> {
    use DataType as D;
    match values.data_type() {
        data_type if data_type.is_temporal() => Ok(Arc::new(print(values)?)),
        D::List(_) => list(values.as_list::<i32>()),
        D::LargeList(_) => list(values.as_list::<i64>()),
        D::FixedSizeList(_, size) => {
            let list = values.as_fixed_size_list();
            let items = readable(list.values())?;
            built(FixedSizeListArray::try_new(item(&items), *size, items, list.nulls().cloned()))
        }
        D::ListView(item) | D::LargeListView(item) => readable(&plain(values, &D::LargeList(item.clone()))?),
        D::Dictionary(_, inner) => readable(&plain(values, inner)?),
        D::Struct(fields) => {
            let array = values.as_struct();
            structs(array, fields.iter().map(|field| field.name().as_str()))
        }
        D::Map(..) => {
            let map = values.as_map();
            let entries = structs(map.entries(), ["key", "value"].into_iter())?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            built(GenericListArray::<i32>::try_new(item(&entries), offsets, entries, nulls))
        }
        _ => Ok(Arc::clone(values)),
    }
}

fn list<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Result<ArrayRef> {
    let items = readable(list.values())?;
    built(GenericListArray::try_new(item(&items), list.offsets().clone(), items, list.nulls().cloned()))
}

fn structs<'a>(array: &StructArray, names: impl Iterator<Item = &'a str>) -> Result<ArrayRef> {
    let columns = array.columns().iter().map(readable).collect::<Result<Vec<_>>>()?;
    let fields: Fields = names
        .zip(&columns)
        .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
        .collect();
    built(StructArray::try_new_with_length(fields, columns, array.nulls().cloned(), array.len()))
}

fn item(items: &ArrayRef) -> FieldRef {
    Arc::new(Field::new_list_field(items.data_type().clone(), true))
}

fn plain(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    cast(values, to).map_err(broken)
}

fn built<A: Array + 'static>(array: Result<A, ArrowError>) -> Result<ArrayRef> {
    Ok(Arc::new(array.map_err(broken)?))
}

fn broken(cause: ArrowError) -> Error {
    Error::internal("nested values could not be printed").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Date64Array, DictionaryArray, DurationSecondArray, Int32Builder, Int64Array, Int64Builder, ListArray,
        MapBuilder, TimestampMillisecondArray,
    };
    use arrow::datatypes::{Date64Type, Int8Type};
    use arrow::util::display::array_value_to_string;

    fn told(values: impl Array + 'static) -> String {
        let readable = readable(&(Arc::new(values) as ArrayRef)).expect("readable");
        array_value_to_string(&readable, 0).expect("text")
    }

    #[test]
    fn times_within_lists_and_structs_are_told_as_outside_of_them() {
        let days = [Some([Some(86_400_000), None])];
        let list = ListArray::from_iter_primitive::<Date64Type, _, _>(days);
        assert_eq!(told(list), "[1970-01-02, ]");
        let offset = TimestampMillisecondArray::from(vec![500]).with_timezone("+05:30");
        let columns: [(&str, ArrayRef); 3] = [
            ("t", Arc::new(offset)),
            ("d", Arc::new(DurationSecondArray::from(vec![90]))),
            ("n", Arc::new(Int64Array::from(vec![1]))),
        ];
        let fields = columns
            .map(|(name, column)| (Arc::new(Field::new(name, column.data_type().clone(), false)), column));
        assert_eq!(told(StructArray::from(fields.to_vec())), "{t: 1970-01-01T00:00:00.500Z, d: PT90S, n: 1}");
    }

    #[test]
    fn a_map_is_told_as_its_entries_whatever_its_keys() {
        let mut builder = MapBuilder::new(None, Int32Builder::new(), Int64Builder::new());
        builder.keys().append_value(7);
        builder.values().append_null();
        builder.append(true).expect("a map");
        assert_eq!(told(builder.finish()), "[{key: 7, value: }]");
    }

    #[test]
    fn dictionaries_are_told_as_their_values() {
        let values = Arc::new(Date64Array::from(vec![0]));
        let keys = arrow::array::Int8Array::from(vec![0]);
        assert_eq!(told(DictionaryArray::<Int8Type>::new(keys, values)), "1970-01-01");
    }
}
