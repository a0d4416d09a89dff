//! Every line of the table of crossings: values, nulls, and buffers where it says zero-copy.

use std::sync::Arc;

use arrow::array::types::*;
use arrow::array::*;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, Schema, UnionFields, UnionMode, i256};
use polars::prelude as pl;
use polars::prelude::IntoLazy;

use super::*;

fn batch(array: ArrayRef) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("x", array.data_type().clone(), true)]);
    RecordBatch::try_new(Arc::new(schema), vec![array]).expect("a batch")
}

fn to_polars(array: &ArrayRef) -> Result<pl::DataFrame> {
    let batch = batch(Arc::clone(array));
    data_frame(&batch.schema(), &[batch])
}

fn back(frame: pl::DataFrame) -> ArrayRef {
    let schema = crossing::arrow_schema(frame.schema()).expect("a schema");
    let batches = record_batches(frame, &schema).expect("batches");
    let batch = arrow::compute::concat_batches(&schema, &batches).expect("one schema");
    batch.column(0).to_data().validate_full().expect("valid");
    Arc::clone(batch.column(0))
}

/// The addresses of all buffers that hold something, validity included.
fn addresses(data: &ArrayData) -> Vec<*const u8> {
    let nulls = data.nulls().map(|nulls| nulls.buffer().as_ptr());
    let buffers = data.buffers().iter().filter(|buffer| !buffer.is_empty()).map(Buffer::as_ptr);
    nulls.into_iter().chain(buffers).chain(data.child_data().iter().flat_map(addresses)).collect()
}

fn with_type<T: ArrowPrimitiveType>(array: PrimitiveArray<T>, data_type: &DataType) -> ArrayRef {
    Arc::new(array.with_data_type(data_type.clone()))
}

fn prim<T: ArrowPrimitiveType>(values: Vec<Option<T::Native>>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter(values))
}

fn zoned(zone: &str) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None, Some(-1)]).with_timezone(zone))
}

fn strings() -> StringViewArray {
    StringViewArray::from(vec![Some("a"), None, Some(""), Some("longer than twelve bytes, so not inline")])
}

fn large_list(values: ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::new(vec![0, 1, 1, 3_i64].into());
    Arc::new(LargeListArray::new(item, offsets, values, nulls))
}

fn structs() -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("n", DataType::Int32, true),
        Field::new("s", DataType::Utf8View, true),
        Field::new("z", DataType::Null, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        prim::<Int32Type>(vec![Some(1), None, Some(3)]),
        Arc::new(StringViewArray::from(texts()[1..].to_vec())),
        Arc::new(NullArray::new(3)),
    ];
    Arc::new(StructArray::new(fields, columns, None))
}

fn zero_copy() -> Vec<ArrayRef> {
    let day = 86_400_000_000_000_i64;
    let ints = || prim::<Int64Type>(vec![Some(1), None, Some(i64::MIN)]);
    vec![
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        prim::<Int8Type>(vec![Some(1), None, Some(i8::MIN)]),
        prim::<Int16Type>(vec![Some(1), None, Some(i16::MIN)]),
        prim::<Int32Type>(vec![Some(1), None, Some(i32::MIN)]),
        ints(),
        prim::<UInt8Type>(vec![Some(1), None, Some(u8::MAX)]),
        prim::<UInt16Type>(vec![Some(1), None, Some(u16::MAX)]),
        prim::<UInt32Type>(vec![Some(1), None, Some(u32::MAX)]),
        prim::<UInt64Type>(vec![Some(1), None, Some(u64::MAX)]),
        prim::<Float32Type>(vec![Some(-0.0), None, Some(f32::INFINITY)]),
        prim::<Float64Type>(vec![Some(-0.0), None, Some(f64::MIN_POSITIVE)]),
        Arc::new(strings()),
        Arc::new(BinaryViewArray::from_iter([Some(&b"\xff"[..]), None, Some(&[7; 40][..])])),
        prim::<Date32Type>(vec![Some(0), None, Some(-719_162)]),
        prim::<Time64NanosecondType>(vec![Some(0), None, Some(day - 1)]),
        prim::<TimestampMillisecondType>(vec![Some(0), None, Some(i64::MAX)]),
        prim::<TimestampMicrosecondType>(vec![Some(0), None, Some(i64::MIN)]),
        prim::<TimestampNanosecondType>(vec![Some(0), None, Some(-1)]),
        zoned("UTC"),
        zoned("Europe/Berlin"),
        prim::<DurationMillisecondType>(vec![Some(0), None, Some(i64::MAX)]),
        prim::<DurationMicrosecondType>(vec![Some(0), None, Some(i64::MIN)]),
        prim::<DurationNanosecondType>(vec![Some(0), None, Some(-1)]),
        with_type(
            Decimal128Array::from(vec![Some(1), None, Some(10_i128.pow(38) - 1)]),
            &DataType::Decimal128(38, 38),
        ),
        with_type(Decimal128Array::from(vec![Some(-5), None]), &DataType::Decimal128(1, 0)),
        Arc::new(NullArray::new(3)),
        large_list(ints(), None),
        large_list(ints(), Some(NullBuffer::from(vec![true, false, true]))),
        large_list(structs(), None),
        large_list(large_list(ints(), None), None),
        Arc::new(FixedSizeListArray::new(
            Arc::new(Field::new_list_field(DataType::Int64, true)),
            1,
            ints(),
            Some(NullBuffer::from(vec![true, false, true])),
        )),
        structs(),
    ]
}

#[test]
fn what_is_zero_copy_shares_every_buffer_both_ways() {
    for array in zero_copy() {
        let kind = array.data_type().to_string();
        let frame = to_polars(&array).unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        let found = back(frame);
        assert_eq!(found.data_type(), array.data_type(), "{kind}");
        assert_eq!(&found, &array, "{kind}");
        assert_eq!(addresses(&found.to_data()), addresses(&array.to_data()), "{kind}");
    }
}

#[test]
fn slices_cross_with_their_own_rows_only() {
    for array in zero_copy() {
        let sliced = array.slice(1, array.len() - 1);
        let found = back(to_polars(&sliced).expect("crosses"));
        assert_eq!(&found, &sliced, "{}", array.data_type());
    }
}

#[test]
fn no_rows_and_many_chunks_keep_types_and_order() {
    for array in zero_copy() {
        let rows: Vec<_> = (0..array.len()).map(|row| batch(array.slice(row, 1))).collect();
        let schema = rows[0].schema();
        assert_eq!(&back(data_frame(&schema, &rows).expect("crosses")), &array, "{}", array.data_type());
        let none = back(data_frame(&schema, &[]).expect("crosses"));
        assert_eq!((none.len(), none.data_type()), (0, array.data_type()));
        let empty = back(data_frame(&schema, &[batch(array.slice(0, 0))]).expect("crosses"));
        assert_eq!((empty.len(), empty.data_type()), (0, array.data_type()));
    }
}

fn dictionary() -> ArrayRef {
    let keys = Int8Array::from(vec![Some(1), None, Some(0), Some(1)]);
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![Some("a"), Some("b")]))))
}

fn map() -> (ArrayRef, ArrayRef) {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    builder.keys().append_value("k");
    builder.values().append_value(1);
    builder.append(true).expect("an entry");
    builder.append(false).expect("a null");
    let fields = Fields::from(vec![
        Field::new("keys", DataType::Utf8View, true),
        Field::new("values", DataType::Int32, true),
    ]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringViewArray::from(vec!["k"])), prim::<Int32Type>(vec![Some(1)])];
    let entries = StructArray::new(fields, columns, None);
    let item = Arc::new(Field::new_list_field(entries.data_type().clone(), true));
    let offsets = OffsetBuffer::new(vec![0, 1, 1_i64].into());
    let nulls = NullBuffer::from(vec![true, false]);
    (Arc::new(builder.finish()), Arc::new(LargeListArray::new(item, offsets, Arc::new(entries), Some(nulls))))
}

fn texts() -> Vec<Option<&'static str>> {
    vec![Some("a"), None, Some(""), Some("longer than twelve bytes, so not inline")]
}

fn list_casts() -> Vec<(ArrayRef, ArrayRef)> {
    let small = ListArray::from_iter_primitive::<Date64Type, _, _>([Some(vec![Some(86_400_000)]), None]);
    let large = LargeListArray::from_iter_primitive::<Date32Type, _, _>([Some(vec![Some(1)]), None]);
    let field = Arc::new(Field::new_list_field(DataType::Int32, true));
    let (offsets, sizes) = (vec![1, 0], vec![1, 2]);
    let view = ListViewArray::new(
        field,
        ScalarBuffer::from(offsets),
        ScalarBuffer::from(sizes),
        prim::<Int32Type>(vec![Some(7), Some(8)]),
        None,
    );
    let list = LargeListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(8)]),
        Some(vec![Some(7), Some(8)]),
    ]);
    let (map, entries) = map();
    vec![(Arc::new(small), Arc::new(large)), (Arc::new(view), Arc::new(list)), (map, entries)]
}

fn decimal(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    with_type(Decimal128Array::from(values), &DataType::Decimal128(precision, scale))
}

fn casts() -> Vec<(ArrayRef, ArrayRef)> {
    let bytes = || vec![Some(&b"ab"[..]), None, Some(&b"\xff\0"[..])];
    let wide = |value: i128| Decimal256Array::from(vec![Some(i256::from_i128(value)), None]);
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes().into_iter(), 2).expect("of 2");
    let half = Float16Array::from(vec![Some(half_one()), None]);
    let mut pairs: Vec<(ArrayRef, ArrayRef)> = vec![
        (Arc::new(half), prim::<Float32Type>(vec![Some(1.0), None])),
        (Arc::new(StringArray::from(texts())), Arc::new(strings())),
        (Arc::new(LargeStringArray::from(texts())), Arc::new(strings())),
        (Arc::new(BinaryArray::from(bytes())), Arc::new(BinaryViewArray::from_iter(bytes()))),
        (Arc::new(LargeBinaryArray::from(bytes())), Arc::new(BinaryViewArray::from_iter(bytes()))),
        (Arc::new(fixed), Arc::new(BinaryViewArray::from_iter(bytes()))),
        (prim::<Date64Type>(vec![Some(-86_400_000), None]), prim::<Date32Type>(vec![Some(-1), None])),
        (
            prim::<Time32SecondType>(vec![Some(1), None]),
            prim::<Time64NanosecondType>(vec![Some(1_000_000_000), None]),
        ),
        (prim::<Time32MillisecondType>(vec![Some(1)]), prim::<Time64NanosecondType>(vec![Some(1_000_000)])),
        (prim::<Time64MicrosecondType>(vec![Some(1)]), prim::<Time64NanosecondType>(vec![Some(1_000)])),
        (
            prim::<TimestampSecondType>(vec![Some(-1), None]),
            prim::<TimestampMillisecondType>(vec![Some(-1_000), None]),
        ),
        (
            prim::<DurationSecondType>(vec![Some(-1), None]),
            prim::<DurationMillisecondType>(vec![Some(-1_000), None]),
        ),
        (zoned("+02:00"), zoned("Etc/GMT-2")),
        (zoned("+05:30"), zoned("UTC")),
        (
            with_type(Decimal32Array::from(vec![Some(123), None]), &DataType::Decimal32(9, 2)),
            decimal(vec![Some(123), None], 9, 2),
        ),
        (
            with_type(Decimal64Array::from(vec![Some(123), None]), &DataType::Decimal64(18, 2)),
            decimal(vec![Some(123), None], 18, 2),
        ),
        (with_type(wide(123), &DataType::Decimal256(20, 2)), decimal(vec![Some(123), None], 20, 2)),
        (with_type(wide(123), &DataType::Decimal256(76, 2)), decimal(vec![Some(123), None], 38, 2)),
        (decimal(vec![Some(12), None], 5, -2), decimal(vec![Some(1200), None], 7, 0)),
        (dictionary(), Arc::new(StringViewArray::from(vec![Some("b"), None, Some("a"), Some("b")]))),
    ];
    pairs.extend(list_casts());
    pairs
}

fn half_one() -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::from_f32(1.0)
}

#[test]
fn what_is_cast_keeps_every_value() {
    for (array, expected) in casts() {
        let kind = array.data_type().to_string();
        let frame = to_polars(&array).unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        let found = back(frame);
        assert_eq!(found.data_type(), expected.data_type(), "{kind}");
        assert_eq!(&found, &expected, "{kind}");
    }
}

#[test]
fn lists_of_nothing_cross() {
    let strings = || StringViewArray::from(Vec::<Option<&str>>::new());
    let item = |array: &ArrayRef| Arc::new(Field::new_list_field(array.data_type().clone(), true));
    let none = |values: ArrayRef, nulls| -> ArrayRef {
        let offsets = OffsetBuffer::new_zeroed(2);
        Arc::new(LargeListArray::new(item(&values), offsets, values, nulls))
    };
    let empty = none(Arc::new(strings()), None);
    let nulls = none(Arc::new(strings()), Some(NullBuffer::new_null(2)));
    let nested = none(empty.slice(0, 0), None);
    let structs = none(structs().slice(0, 0), None);
    for array in [empty, nulls, nested, structs] {
        assert_eq!(&back(to_polars(&array).expect("crosses")), &array, "{}", array.data_type());
    }
}

#[test]
fn bytes_of_long_strings_are_shared_even_where_offsets_become_views() {
    let array: ArrayRef = Arc::new(StringArray::from(texts()));
    let found = back(to_polars(&array).expect("crosses"));
    assert_eq!(found.as_string_view().data_buffers()[0].as_ptr(), array.as_string::<i32>().values().as_ptr());
}

fn refused_types() -> Vec<ArrayRef> {
    let zero = FixedSizeListArray::new_null(Arc::new(Field::new_list_field(DataType::Int64, true)), 0, 2);
    let union = UnionFields::try_new([0], [Field::new("a", DataType::Int32, true)]).expect("a union");
    let runs: RunArray<Int32Type> = ["a", "a", "b"].into_iter().collect();
    vec![
        Arc::new(zero),
        new_null_array(&DataType::Interval(IntervalUnit::MonthDayNano), 2),
        new_null_array(&DataType::Interval(IntervalUnit::YearMonth), 2),
        new_null_array(&DataType::Interval(IntervalUnit::DayTime), 2),
        new_null_array(&DataType::Union(union, UnionMode::Sparse), 2),
        Arc::new(runs),
        zoned("Nowhere/Atlantis"),
        zoned("*"),
        new_null_array(&DataType::Decimal128(38, -1), 2),
        new_null_array(&DataType::Decimal256(76, 50), 2),
        large_list(Arc::new(IntervalYearMonthArray::from(vec![1, 2, 3])), None),
    ]
}

fn refused_values() -> Vec<ArrayRef> {
    let day = 86_400_000_000_000_i64;
    let wide = Decimal256Array::from(vec![Some(i256::from_i128(i128::MAX))]);
    let times: ArrayRef = prim::<Time64NanosecondType>(vec![Some(day)]);
    let field = Field::new("t", times.data_type().clone(), true);
    vec![
        prim::<Date64Type>(vec![Some(1)]),
        prim::<TimestampSecondType>(vec![Some(i64::MAX)]),
        prim::<DurationSecondType>(vec![Some(i64::MIN)]),
        prim::<Time32SecondType>(vec![Some(86_400)]),
        prim::<Time32MillisecondType>(vec![Some(-1)]),
        prim::<Time64MicrosecondType>(vec![Some(i64::MAX)]),
        Arc::clone(&times),
        Arc::new(StructArray::new(Fields::from(vec![field]), vec![times], None)),
        with_type(wide, &DataType::Decimal256(76, 0)),
    ]
}

#[test]
fn what_cannot_cross_is_refused_by_column_and_type() {
    for array in refused_types().into_iter().chain(refused_values()) {
        let kind = array.data_type().to_string();
        let error = to_polars(&array).err().unwrap_or_else(|| panic!("{kind} crossed"));
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{kind}");
        let names: Vec<_> = error.context().map(|(name, _)| name).collect();
        assert!(names.starts_with(&["column", "type"]), "{kind}: {error}");
    }
}

#[test]
fn extension_types_cross_as_what_they_are_stored_as() {
    let field = Field::new("x", DataType::Utf8View, true)
        .with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into());
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(strings())]);
    let batch = batch.expect("a batch");
    let frame = data_frame(&batch.schema(), &[batch]).expect("crosses");
    assert_eq!(frame.schema().get("x"), Some(&pl::DataType::String));
}

#[test]
fn a_frame_without_columns_keeps_its_height() {
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options);
    let batch = batch.expect("a batch");
    let frame = data_frame(&batch.schema(), &[batch]).expect("crosses");
    assert_eq!(frame.height(), 5);
    let batches = record_batches(frame, &Arc::new(Schema::empty())).expect("batches");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
}

#[test]
fn buffers_outlive_the_side_that_made_them() {
    let array: ArrayRef = Arc::new(strings());
    let frame = to_polars(&array).expect("crosses");
    drop(array);
    let found = back(frame);
    assert_eq!(found.as_string_view(), &strings());
    let grown = to_polars(&found).expect("crosses").lazy().with_column(pl::col("x").alias("y"));
    drop(found);
    assert_eq!(grown.collect().expect("runs").height(), 4);
}

#[test]
fn a_type_that_was_not_announced_is_an_error() {
    let frame = to_polars(&prim::<Int64Type>(vec![Some(1)])).expect("crosses");
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int32, true)]));
    assert_eq!(record_batches(frame, &schema).map_err(|e| e.kind()), Err(ErrorKind::Engine));
}
