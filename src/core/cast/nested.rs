//! Lists, structs and maps: cast by what is in them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, LargeListArray, ListArray, MapArray, OffsetSizeTrait, StructArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{can_cast_types, cast, is_null, nullif, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use super::{Cast, CastRefused, lossy, lost};
use crate::core::text::BadCell;

/// Casts a nested type to another.
pub(super) fn exact(values: &ArrayRef, to: &DataType) -> Cast {
    match (values.data_type(), to) {
        (DataType::Struct(_), DataType::Struct(fields)) => structs(values.as_struct(), fields),
        (DataType::Map(_, sorted), DataType::Map(entries, to_sorted)) if *sorted || !to_sorted => {
            maps(values.as_map(), entries, *to_sorted)
        }
        (from, to) => match (element(from), element(to)) {
            (Some(from), Some(item)) => lists(values, from, item, to),
            (None, Some(item)) => exact(&as_list(values.as_map_opt().ok_or(CastRefused::Types)?, item)?, to),
            (Some(from), None) => from_list(values, from, to),
            _ => Err(CastRefused::Types),
        },
    }
}

fn element(data_type: &DataType) -> Option<&FieldRef> {
    use DataType as D;
    match data_type {
        D::List(item)
        | D::LargeList(item)
        | D::ListView(item)
        | D::LargeListView(item)
        | D::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

fn structs(values: &StructArray, fields: &Fields) -> Cast {
    if values.num_columns() != fields.len() {
        return Err(CastRefused::Types);
    }
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let column = values.column_by_name(field.name()).ok_or(CastRefused::Types)?;
        columns.push(super::exact(&visible(values, column)?, field.data_type())?);
    }
    let nulls = values.nulls().cloned();
    let built = StructArray::try_new_with_length(fields.clone(), columns, nulls, values.len());
    Ok(Arc::new(built.map_err(|_| CastRefused::Types)?))
}

/// The column with nulls where the struct is null: what lies beneath is nobody's value.
fn visible(values: &StructArray, column: &ArrayRef) -> Cast {
    if values.null_count() == 0 || column.data_type() == &DataType::Null {
        return Ok(Arc::clone(column));
    }
    is_null(values).and_then(|hidden| nullif(column, &hidden)).map_err(|_| CastRefused::Types)
}

fn lists(values: &ArrayRef, from: &FieldRef, item: &FieldRef, to: &DataType) -> Cast {
    // All kinds of list go through one.
    let list = reshape(values, &DataType::LargeList(Arc::clone(from)))?;
    let list = list.as_list::<i64>();
    let (offsets, inner) = visible_items(list.offsets(), list.nulls(), list.values())?;
    let inner = super::exact(&inner, item.data_type()).map_err(|refused| at_row(refused, &offsets))?;
    let nulls = list.nulls().cloned();
    let rebuilt = LargeListArray::try_new(Arc::clone(item), offsets, inner, nulls);
    let rebuilt: ArrayRef = Arc::new(rebuilt.map_err(|_| CastRefused::Types)?);
    let cast = reshape(&rebuilt, to)?;
    // A list whose length is not the fixed one became null.
    lost(values, &cast).map_or(Ok(cast), |row| Err(lossy(values, row)))
}

/// Another kind of list with the same items.
fn reshape(values: &ArrayRef, to: &DataType) -> Cast {
    if values.data_type() == to {
        return Ok(Arc::clone(values));
    }
    if !can_cast_types(values.data_type(), to) {
        return Err(CastRefused::Types);
    }
    cast(values, to).map_err(|_| CastRefused::Types)
}

fn maps(values: &MapArray, to: &FieldRef, sorted: bool) -> Cast {
    let DataType::Struct(fields) = to.data_type() else { return Err(CastRefused::Types) };
    let [key, value] = fields.as_ref() else { return Err(CastRefused::Types) };
    let mut columns = Vec::with_capacity(2);
    let mut offsets = values.offsets().clone();
    // By position: the names of the two are not agreed on between engines.
    for (column, field) in [(values.keys(), key), (values.values(), value)] {
        let (visible, inner) = visible_items(values.offsets(), values.nulls(), column)?;
        columns.push(super::exact(&inner, field.data_type()).map_err(|refused| at_row(refused, &visible))?);
        offsets = visible;
    }
    let entries = StructArray::try_new(fields.clone(), columns, None).map_err(|_| CastRefused::Types)?;
    let map = MapArray::try_new(Arc::clone(to), offsets, entries, values.nulls().cloned(), sorted);
    Ok(Arc::new(map.map_err(|_| CastRefused::Types)?))
}

/// A map as the list of its entries, which is what an engine without maps has for it. By position here too:
/// the two fields get the names that they are to have.
fn as_list(map: &MapArray, to: &FieldRef) -> Cast {
    let DataType::Struct(wanted) = to.data_type() else { return Err(CastRefused::Types) };
    let [key, value] = wanted.as_ref() else { return Err(CastRefused::Types) };
    let fields = Fields::from(vec![
        Field::new(key.name(), map.key_type().clone(), false),
        Field::new(value.name(), map.value_type().clone(), true),
    ]);
    let pairs = StructArray::try_new(fields.clone(), map.entries().columns().to_vec(), None);
    let pairs = Arc::new(pairs.map_err(|_| CastRefused::Types)?);
    let item = Arc::new(Field::new_list_field(DataType::Struct(fields), false));
    let list = ListArray::try_new(item, map.offsets().clone(), pairs, map.nulls().cloned());
    Ok(Arc::new(list.map_err(|_| CastRefused::Types)?))
}

/// A list of pairs as a map. A pair that is null, or whose key is, is no entry.
fn from_list(values: &ArrayRef, from: &FieldRef, to: &DataType) -> Cast {
    let DataType::Map(to, false) = to else { return Err(CastRefused::Types) };
    let list = reshape(values, &DataType::List(Arc::clone(from)))?;
    let list = list.as_list::<i32>();
    let (offsets, pairs) = visible_items(list.offsets(), list.nulls(), list.values())?;
    let pairs = pairs.as_struct_opt().ok_or(CastRefused::Types)?;
    let [key, value] = pairs.columns() else { return Err(CastRefused::Types) };
    if let Some(item) = (0..pairs.len()).find(|item| pairs.is_null(*item) || key.is_null(*item)) {
        let bad = BadCell { row: item, value: "an entry without a key".to_owned() };
        return Err(at_row(CastRefused::Lossy(bad), &offsets));
    }
    let fields = Fields::from(vec![
        Field::new("key", key.data_type().clone(), false),
        Field::new("value", value.data_type().clone(), true),
    ]);
    let entries = StructArray::try_new(fields.clone(), vec![Arc::clone(key), Arc::clone(value)], None);
    let entries = entries.map_err(|_| CastRefused::Types)?;
    let own = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let map = MapArray::try_new(own, offsets, entries, list.nulls().cloned(), false);
    maps(&map.map_err(|_| CastRefused::Types)?, to, false)
}

/// The items that some row shows, and the offsets into just them: beneath a null, and outside a slice,
/// anything may lie.
fn visible_items<O: OffsetSizeTrait>(
    offsets: &OffsetBuffer<O>,
    nulls: Option<&NullBuffer>,
    items: &ArrayRef,
) -> Result<(OffsetBuffer<O>, ArrayRef), CastRefused> {
    let lengths = offsets.lengths().enumerate();
    let shown = |row| nulls.is_none_or(|nulls| nulls.is_valid(row));
    let lengths = lengths.map(|(row, length)| if shown(row) { length } else { 0 });
    let visible = OffsetBuffer::<O>::from_lengths(lengths);
    if nulls.is_none_or(|nulls| nulls.null_count() == 0) {
        let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
        return Ok((visible, items.slice(first, last - first)));
    }
    let ranges = offsets.windows(2).enumerate().filter(|(row, _)| shown(*row));
    let indices = ranges.flat_map(|(_, pair)| pair[0].as_usize()..pair[1].as_usize());
    let indices = UInt64Array::from_iter_values(indices.map(|index| index as u64));
    Ok((visible, take(items, &indices, None).map_err(|_| CastRefused::Types)?))
}

/// Names the row that holds an item, not the item's own place.
fn at_row<O: OffsetSizeTrait>(refused: CastRefused, offsets: &OffsetBuffer<O>) -> CastRefused {
    match refused {
        CastRefused::Lossy(mut bad) => {
            bad.row = offsets.partition_point(|offset| offset.as_usize() <= bad.row).saturating_sub(1);
            CastRefused::Lossy(bad)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arc, refused, survives, wrong_types};
    use super::*;
    use arrow::array::{
        FixedSizeListArray, Int8Array, Int64Array, Int64Builder, ListArray, MapBuilder, StringArray,
        StringBuilder,
    };
    use arrow::datatypes::Int64Type;

    fn list() -> ArrayRef {
        let rows = [Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(3), Some(300)])];
        arc(ListArray::from_iter_primitive::<Int64Type, _, _>(rows))
    }

    #[test]
    fn lists_are_cast_by_their_items() {
        survives(&list(), &DataType::new_list(DataType::Int16, true));
        survives(&list(), &DataType::new_large_list(DataType::Float64, true));
        survives(&list(), &DataType::ListView(Arc::new(Field::new("x", DataType::Int32, true))));
        refused(&list(), &DataType::new_list(DataType::Int8, true), 3, "300");
        survives(&list().slice(0, 3), &DataType::new_list(DataType::Int8, true));
        survives(&list().slice(2, 1), &DataType::new_list(DataType::Int8, true));
        wrong_types(&list(), &DataType::new_list(DataType::Boolean, true));
        wrong_types(&list(), &DataType::Struct(Fields::empty()));
    }

    #[test]
    fn a_fixed_length_is_met_or_not() {
        let fixed = DataType::new_fixed_size_list(DataType::Int8, 2, true);
        let pairs = [Some(vec![Some(1), Some(2)]), None];
        survives(&arc(ListArray::from_iter_primitive::<Int64Type, _, _>(pairs)), &fixed);
        refused(&list(), &DataType::new_fixed_size_list(DataType::Int64, 2, true), 2, "[]");
    }

    #[test]
    fn what_lies_beneath_a_null_does_not_count() {
        let item = Arc::new(Field::new_list_field(DataType::Int64, true));
        let nulls = NullBuffer::from(vec![true, false]);
        let items = arc(Int64Array::from(vec![1, 300]));
        let hidden = arc(FixedSizeListArray::new(item, 1, items.clone(), Some(nulls.clone())));
        let there =
            super::super::exact(&hidden, &DataType::new_list(DataType::Int8, true)).expect("survives");
        assert_eq!(there.as_list::<i32>().values().as_ref(), &Int8Array::from(vec![1]) as &dyn Array);
        let fields = Fields::from(vec![Field::new("a", DataType::Int64, true)]);
        let hidden = arc(StructArray::new(fields, vec![items], Some(nulls)));
        let to = DataType::Struct(vec![Field::new("a", DataType::Int8, true)].into());
        assert_eq!(super::super::exact(&hidden, &to).expect("survives").null_count(), 1);
    }

    #[test]
    fn structs_are_cast_by_the_names_of_their_fields() {
        let (a, b) = (Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true));
        let columns = vec![arc(Int64Array::from(vec![1, 300])), arc(StringArray::from(vec!["x", "y"]))];
        let values = arc(StructArray::new(vec![a.clone(), b.clone()].into(), columns, None));
        let narrow = |to| DataType::Struct(vec![b.clone(), Field::new("a", to, true)].into());
        survives(&values, &narrow(DataType::Int16));
        refused(&values, &narrow(DataType::Int8), 1, "300");
        wrong_types(&values, &DataType::Struct(vec![a.clone()].into()));
        wrong_types(&values, &DataType::Struct(vec![a, Field::new("c", DataType::Utf8, true)].into()));
    }

    fn map() -> ArrayRef {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        builder.keys().append_value("k");
        builder.values().append_value(300);
        builder.append(true).expect("a map");
        builder.append(false).expect("a null");
        arc(builder.finish())
    }

    fn pairs(key: &str, value: DataType) -> DataType {
        let fields = vec![Field::new(key, DataType::Utf8View, true), Field::new("v", value, true)];
        DataType::Struct(fields.into())
    }

    #[test]
    fn a_map_is_the_list_of_its_entries() {
        let there = survives(&map(), &DataType::new_large_list(pairs("k", DataType::Int64), true));
        assert_eq!(there.as_list::<i64>().value(0).as_struct().num_columns(), 2);
        survives(&map().slice(1, 1), &DataType::new_list(pairs("k", DataType::Int16), true));
        refused(&map(), &DataType::new_list(pairs("k", DataType::Int8), true), 0, "300");
        wrong_types(&map(), &DataType::new_list(DataType::Utf8, true));
        wrong_types(&map(), &pairs("k", DataType::Int64));
        wrong_types(&list(), map().data_type());
    }

    #[test]
    fn a_pair_without_a_key_is_no_entry() {
        let entries = |keys: Vec<Option<&str>>, nulls: Option<NullBuffer>| {
            let DataType::Struct(fields) = pairs("k", DataType::Int64) else { unreachable!("a struct") };
            let keys = arc(arrow::array::StringViewArray::from(keys));
            let pairs = StructArray::new(fields, vec![keys, arc(Int64Array::from(vec![1, 2]))], nulls);
            let item = Arc::new(Field::new_list_field(pairs.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths([1, 1]);
            arc(ListArray::new(item, offsets, arc(pairs), None))
        };
        let to = map().data_type().clone();
        survives(&entries(vec![Some("a"), Some("b")], None), &to);
        refused(&entries(vec![Some("a"), None], None), &to, 1, "an entry without a key");
        let null = Some(NullBuffer::from(vec![false, true]));
        refused(&entries(vec![Some("a"), Some("b")], null), &to, 0, "an entry without a key");
    }

    #[test]
    fn maps_are_cast_by_keys_and_values() {
        let values = map();
        let to = |value| {
            let fields = vec![Field::new("key", DataType::Utf8View, false), Field::new("value", value, true)];
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields.into()), false)), false)
        };
        survives(&values, &to(DataType::Int32));
        refused(&values, &to(DataType::Int8), 0, "300");
        wrong_types(&values, &to(DataType::Boolean));
    }
}
