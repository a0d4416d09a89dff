//! Frames that cross between engines: every type in the table of `docs/frames.md` goes the way that is
//! written there.

use std::sync::Arc;

#[cfg(feature = "datafusion")]
use keyfold::ReadOptions;
use keyfold::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeListArray, Int32Array, Int64Array, LargeListArray,
    ListArray, NullArray, RecordBatch, StringArray, StructArray, new_null_array,
};
use keyfold::arrow::buffer::Buffer;
use keyfold::arrow::compute::cast;
use keyfold::arrow::datatypes::{DataType, Field, Int64Type, IntervalUnit, Schema, TimeUnit};
use keyfold::conformance::table_of;
use keyfold::{Backend, ErrorKind, Frame, Result};

#[cfg(feature = "datafusion")]
use crate::doors::Doors;
use crate::doors::{collected, own_frame};

const UNITS: [(TimeUnit, &str); 4] = [
    (TimeUnit::Second, "s"),
    (TimeUnit::Millisecond, "ms"),
    (TimeUnit::Microsecond, "us"),
    (TimeUnit::Nanosecond, "ns"),
];

/// A column of every type, three rows with a null where it can have one, by the name of its type.
fn samples() -> Vec<(String, ArrayRef)> {
    [numbers(), texts(), times(), nested(), oddities()].concat()
}

fn from(values: &dyn Array, types: &[(&str, DataType)]) -> Vec<(String, ArrayRef)> {
    let one =
        |(name, to): &(&str, DataType)| ((*name).to_owned(), cast(values, to).expect("a cast of arrow"));
    types.iter().map(one).collect()
}

fn ints() -> Int64Array {
    Int64Array::from(vec![Some(1), None, Some(3)])
}

fn numbers() -> Vec<(String, ArrayRef)> {
    use DataType as D;
    let booleans: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
    let numbers = [
        ("int8", D::Int8),
        ("int16", D::Int16),
        ("int32", D::Int32),
        ("int64", D::Int64),
        ("uint8", D::UInt8),
        ("uint16", D::UInt16),
        ("uint32", D::UInt32),
        ("uint64", D::UInt64),
        ("float16", D::Float16),
        ("float32", D::Float32),
        ("float64", D::Float64),
        ("decimal32(9, 2)", D::Decimal32(9, 2)),
        ("decimal64(18, 2)", D::Decimal64(18, 2)),
        ("decimal128(38, 2)", D::Decimal128(38, 2)),
        ("decimal256(76, 2)", D::Decimal256(76, 2)),
    ];
    [vec![("bool".to_owned(), booleans)], from(&ints(), &numbers)].concat()
}

fn texts() -> Vec<(String, ArrayRef)> {
    use DataType as D;
    let bytes = BinaryArray::from_opt_vec(vec![Some(b"abcd"), None, Some(b"efgh")]);
    let dictionary = D::Dictionary(Box::new(D::Int32), Box::new(D::Utf8));
    let words = [
        ("string", D::Utf8),
        ("large string", D::LargeUtf8),
        ("string view", D::Utf8View),
        ("dictionary of string", dictionary),
    ];
    let kinds = [
        ("binary", D::Binary),
        ("large binary", D::LargeBinary),
        ("binary view", D::BinaryView),
        ("fixed-size binary", D::FixedSizeBinary(4)),
    ];
    let text = StringArray::from(vec![Some("a"), None, Some("a text that is too long to be inlined")]);
    [from(&text, &words), from(&bytes, &kinds)].concat()
}

fn times() -> Vec<(String, ArrayRef)> {
    use DataType as D;
    let small = Int32Array::from(vec![Some(1), None, Some(3)]);
    let days = cast(&small, &D::Date32).expect("dates");
    let mut all = vec![("date32".to_owned(), Arc::clone(&days))];
    all.extend(from(&days, &[("date64", D::Date64)]));
    all.extend(from(
        &small,
        &[("time32(s)", D::Time32(TimeUnit::Second)), ("time32(ms)", D::Time32(TimeUnit::Millisecond))],
    ));
    all.extend(from(
        &ints(),
        &[("time64(us)", D::Time64(TimeUnit::Microsecond)), ("time64(ns)", D::Time64(TimeUnit::Nanosecond))],
    ));
    let zones =
        [None, Some("UTC"), Some("Europe/Berlin"), Some("+02:00"), Some("+05:30"), Some("Nowhere/Atlantis")];
    for zone in zones {
        for (unit, name) in UNITS {
            // Arrow knows the zone only by name, so what it does not know cannot be cast to.
            let stamps =
                cast(&ints(), &D::Timestamp(unit, None)).expect("timestamps").to_data().into_builder();
            let stamps =
                stamps.data_type(D::Timestamp(unit, zone.map(Into::into))).build().expect("timestamps");
            let zone = zone.map(|zone| format!(", {zone}")).unwrap_or_default();
            all.push((format!("timestamp({name}{zone})"), keyfold::arrow::array::make_array(stamps)));
        }
    }
    for (unit, name) in UNITS {
        all.extend(from(&ints(), &[(&format!("duration({name})"), D::Duration(unit))]));
    }
    all
}

fn nested() -> Vec<(String, ArrayRef)> {
    let lists = || vec![Some(vec![Some(1), None]), None, Some(vec![])];
    let pairs = vec![Some(vec![Some(1), None]), None, Some(vec![Some(3), Some(4)])];
    let fields = vec![Field::new("n", DataType::Int64, true), Field::new("s", DataType::Utf8View, true)];
    let words =
        cast(&StringArray::from(vec![Some("a"), Some("b"), None]), &DataType::Utf8View).expect("views");
    let all: [(&str, ArrayRef); 4] = [
        ("list of int64", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists()))),
        ("large list of int64", Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists()))),
        (
            "fixed-size list of int64",
            Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(pairs, 2)),
        ),
        (
            "struct of int64 and string view",
            Arc::new(StructArray::new(fields.into(), vec![Arc::new(ints()), words], None)),
        ),
    ];
    all.map(|(name, values)| (name.to_owned(), values)).to_vec()
}

fn oddities() -> Vec<(String, ArrayRef)> {
    let interval = |unit| new_null_array(&DataType::Interval(unit), 3);
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)];
    let entries = Field::new("entries", DataType::Struct(fields.into()), false);
    vec![
        ("null".to_owned(), Arc::new(NullArray::new(3))),
        ("map of string to int64".to_owned(), new_null_array(&DataType::Map(Arc::new(entries), false), 3)),
        ("interval(year, month)".to_owned(), interval(IntervalUnit::YearMonth)),
        ("interval(month, day, ns)".to_owned(), interval(IntervalUnit::MonthDayNano)),
    ]
}

fn batch(column: ArrayRef) -> RecordBatch {
    let field = Field::new("x", column.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("a batch")
}

/// Where the values of an array are, without the bitmaps of nulls.
fn addresses(array: &dyn Array) -> Vec<*const u8> {
    let mut found = Vec::new();
    let mut open = vec![array.to_data()];
    while let Some(data) = open.pop() {
        found.extend(data.buffers().iter().map(Buffer::as_ptr));
        open.extend(data.child_data().iter().cloned());
    }
    found
}

/// How a column went into an engine and out again, in the words of the table.
async fn crossing(backend: &str, column: ArrayRef) -> String {
    let there = match into_engine(backend, Frame::from(batch(Arc::clone(&column)))).await {
        Ok(there) => there,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
            assert!(error.context().any(|fact| fact == ("column", "x")), "{error}");
            return "refused".to_owned();
        }
    };
    let back = collected(there).await.expect("runs");
    let back = back.column(0);
    let shared = addresses(back) == addresses(&column);
    let how = if shared { "zero-copy" } else { "cast" };
    if back.data_type() == column.data_type() {
        assert_eq!(back, &column);
        return if shared { how.to_owned() } else { "copied".to_owned() };
    }
    format!("{how}: {}", back.data_type()).replace('"', "")
}

async fn into_engine(backend: &str, frame: Frame) -> Result<Frame> {
    match backend {
        #[cfg(feature = "polars")]
        "polars" => Ok(frame.into_polars().await?.into()),
        #[cfg(feature = "datafusion")]
        "datafusion" => {
            let ctx = keyfold::datafusion::prelude::SessionContext::new();
            Ok(frame.into_datafusion(&ctx).await?.into())
        }
        other => panic!("no frames of {other}"),
    }
}

/// The cells of the documented table: Arrow type, Polars, DataFusion.
fn documented() -> Vec<[String; 3]> {
    let text = include_str!("../../docs/frames.md");
    let table = text.lines().skip_while(|line| !line.starts_with("| Arrow |")).skip(2);
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        [(); 3].map(|()| cells.next().unwrap_or_default())
    };
    table.take_while(|line| line.starts_with('|')).map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_crosses_as_is_documented() {
    let mut found = Vec::new();
    let documented = documented();
    for (index, (name, column)) in samples().into_iter().enumerate() {
        // Without an engine, its cell is what the table says.
        let mut row = documented.get(index).cloned().unwrap_or_default();
        row[0] = name;
        for backend in Backend::names() {
            let place = if *backend == "polars" { 1 } else { 2 };
            row[place] = crossing(backend, Arc::clone(&column)).await;
        }
        found.push(row);
    }
    let lines: Vec<String> = found.iter().map(|row| format!("| {} |", row.join(" | "))).collect();
    assert!(found == documented, "docs/frames.md should have this table:\n{}", lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_survive_one_by_one_in_many_chunks_and_as_none_at_all() {
    for backend in Backend::names() {
        for (name, column) in samples() {
            let whole = batch(column);
            // Types that the judge of cells does not know are compared where they come back as they are.
            let (Ok(expected), true) = (table_of(&whole), crosses(backend, &whole).await) else { continue };
            let chunks: Vec<_> = (0..3).map(|row| whole.slice(row, 1)).collect();
            let frame = own_frame(backend, Frame::from_batches(whole.schema(), chunks)).await;
            let found = collected(frame).await.expect("runs");
            assert_eq!(table_of(&found).expect("a table"), expected, "{backend}: {name}");
            for chunks in [vec![], vec![whole.slice(0, 0)], vec![whole.slice(1, 0), whole.slice(0, 0)]] {
                let frame = own_frame(backend, Frame::from_batches(whole.schema(), chunks)).await;
                let schema = frame.schema().await.expect("a schema");
                assert_eq!(collected(frame).await.expect("runs").num_rows(), 0, "{backend}: {name}");
                assert_eq!(&schema, &found.schema(), "{backend}: {name}");
            }
        }
    }
}

async fn crosses(backend: &str, whole: &RecordBatch) -> bool {
    into_engine(backend, Frame::from(whole.clone())).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_only_and_thousands_of_rows_cross() {
    for backend in Backend::names() {
        for (name, column) in samples() {
            let nulls = batch(new_null_array(column.data_type(), 5_000));
            if !crosses(backend, &nulls).await {
                continue;
            }
            let chunks = (0..5).map(|part| nulls.slice(part * 1_000, 1_000)).collect();
            let frame = own_frame(backend, Frame::from_batches(nulls.schema(), chunks)).await;
            let found = collected(frame).await.expect("runs");
            let count = found.column(0).logical_null_count();
            assert_eq!((found.num_rows(), count), (5_000, 5_000), "{backend}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_comes_out_of_its_own_engine_as_it_went_in() {
    for backend in Backend::names() {
        let frame = own_frame(backend, Frame::from(batch(Arc::new(ints())))).await;
        assert_eq!(frame.engine(), *backend);
        let again = own_frame(backend, frame).await;
        let found = collected(again).await.expect("runs");
        assert_eq!(found.column(0).as_ref(), &ints() as &dyn Array, "{backend}");
    }
}

#[cfg(feature = "datafusion")]
#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_back_from_arrow_files_and_streams_as_it_went_in() {
    for (name, column) in samples() {
        let whole = batch(column);
        for ext in ["arrow", "arrows"] {
            let doors = Doors::new("datafusion");
            let file = format!("a.{ext}");
            doors.data.write(whole.clone(), &file).await.expect("written");
            let found = doors.read(&[&file], ReadOptions::default()).await.expect("read");
            let expected = if ext == "arrow" && name.starts_with("dictionary") {
                batch(cast(whole.column(0), &DataType::Utf8).expect("a cast of arrow"))
            } else {
                whole.clone()
            };
            assert_eq!(found, expected, "{name}, {ext}");
        }
    }
}

#[cfg(feature = "polars")]
#[tokio::test(flavor = "multi_thread")]
async fn what_polars_has_no_type_for_is_refused_by_column_and_type() {
    let fields = [("ok", DataType::Int64), ("span", DataType::Interval(IntervalUnit::YearMonth))];
    let columns = fields.map(|(name, data_type)| (name, new_null_array(&data_type, 1)));
    let frame = Frame::from(RecordBatch::try_from_iter(columns).expect("a batch"));
    let error = frame.into_polars().await.err().expect("no such type");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("column: span, type: interval"), "{error}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("cast it first")), "{error:?}");
}

#[cfg(feature = "polars")]
#[tokio::test(flavor = "multi_thread")]
async fn categories_and_enums_of_polars_are_strings_outside() {
    use keyfold::polars::prelude::{Categories, DataType as P, FrozenCategories, IntoLazy, col, df};
    let states = FrozenCategories::new(["new", "paid"]).expect("categories");
    let plan = df!("state" => ["paid", "new", "paid"]).expect("a frame").lazy();
    for to in [P::from_categories(Categories::global()), P::from_frozen_categories(states)] {
        let found =
            collected(Frame::from(plan.clone().with_column(col("state").cast(to)))).await.expect("runs");
        let words: ArrayRef = Arc::new(StringArray::from(vec!["paid", "new", "paid"]));
        assert_eq!(found.column(0), &cast(&words, &DataType::Utf8View).expect("views"));
    }
}

#[cfg(all(feature = "polars", feature = "datafusion"))]
#[tokio::test(flavor = "multi_thread")]
async fn frames_go_from_polars_to_datafusion_and_back_as_they_are() {
    for (name, column) in samples() {
        let whole = batch(column);
        if !crosses("polars", &whole).await {
            continue;
        }
        let first = collected(own_frame("polars", Frame::from(whole.clone())).await).await.expect("runs");
        let frame = own_frame("polars", Frame::from(whole)).await;
        let frame = own_frame("datafusion", frame).await;
        assert_eq!(frame.engine(), "datafusion");
        let there = collected(own_frame("polars", frame).await).await.expect("runs");
        assert_eq!(there, first, "{name}");
    }
}

#[cfg(all(feature = "polars", feature = "datafusion"))]
#[tokio::test(flavor = "multi_thread")]
async fn plans_of_both_engines_run_where_they_were_made() {
    use keyfold::datafusion::prelude::{SessionContext, col as column, lit as literal};
    use keyfold::polars::prelude::{IntoLazy, col, df, lit};
    let plan = df!("x" => [1_i64, 2, 3, 4]).expect("a frame").lazy().filter(col("x").gt(lit(1)));
    let table = Frame::from(plan).into_datafusion(&SessionContext::new()).await.expect("crosses");
    let table = table.filter(column("x").lt(literal(4_i64))).expect("a plan");
    let plan = Frame::from(table).into_polars().await.expect("crosses").with_column(col("x") * lit(10));
    let found = collected(Frame::from(plan)).await.expect("runs");
    assert_eq!(found.column(0).as_ref(), &Int64Array::from(vec![20, 30]) as &dyn Array);
}
