//! Floats as ids, in every kind of target: what meets, what is written, and what becomes of the bits that do not tell.

use std::sync::Arc;

use keyfold::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use keyfold::arrow::datatypes::{DataType, Field, Float64Type, Schema};
use keyfold::conformance::no_memory;
use keyfold::{Backend, Format, Frame, MergeRule, UpsertOptions, UpsertReport};

use crate::doors::Doors;
use crate::tables::everywhere;

fn rule() -> MergeRule {
    MergeRule::by_id(["id"]).expect("a rule").with_float_ids(true)
}

fn batch(ids: &[f64], values: &[i64]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Float64Array::from(ids.to_vec())) as ArrayRef, true),
        ("value", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef, true),
    ])
    .expect("rows")
}

/// Targets of columns with types, as they are made.
fn targets() -> Vec<(&'static str, UpsertOptions)> {
    let plain = UpsertOptions::default;
    let mut targets = vec![
        ("t.parquet", plain()),
        ("filtered.parquet", plain().with_bloom_filter(["id"])),
        ("folder/", plain().with_format(Format::Parquet)),
    ];
    if cfg!(feature = "delta") {
        targets.extend([
            ("delta", plain()),
            ("delta_by_id", plain().with_partition_by(["id"])),
            ("vectors", plain().with_deletion_vectors(true)),
        ]);
    }
    targets
}

async fn fold(doors: &Doors, name: &str, rows: RecordBatch, options: UpsertOptions) -> UpsertReport {
    doors.upsert.upsert_opts(Frame::from(rows), name, &rule(), options).await.expect("folds")
}

/// Ids and values, by value; the bits of ids where they tell a zero from the other.
async fn stored(doors: &Doors, name: &str) -> Vec<(String, i64)> {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Float64, true),
        Field::new("value", DataType::Int64, true),
    ]);
    let all = doors.rows(name.trim_end_matches('/'), Arc::new(schema)).await.expect("reads");
    let ids = all.column_by_name("id").expect("ids").as_primitive::<Float64Type>();
    let values = all.column_by_name("value").expect("values");
    let values = values.as_primitive::<keyfold::arrow::datatypes::Int64Type>();
    let mut rows: Vec<_> =
        ids.values().iter().zip(values.values()).map(|(id, value)| (format!("{id:?}"), *value)).collect();
    rows.sort_by_key(|(_, value)| *value);
    rows
}

fn row(id: &str, value: i64) -> (String, i64) {
    (id.to_owned(), value)
}

#[tokio::test(flavor = "multi_thread")]
async fn nan_meets_nan_and_zero_meets_zero() {
    for doors in everywhere() {
        for (name, options) in targets() {
            fold(&doors, name, batch(&[1.5, f64::NAN, 0.0, -2.0], &[1, 2, 3, 4]), options).await;
            let change = || batch(&[-f64::NAN, -0.0, 7.5], &[20, 30, 50]);
            let spilled = UpsertOptions::default().with_dry_run(true).with_memory_limit(no_memory());
            let spilled = fold(&doors, name, change(), spilled).await;
            let report = fold(&doors, name, change(), UpsertOptions::default()).await;
            assert_eq!((report.rows.updated, report.rows.inserted), (2, 1), "{name}");
            assert_eq!(spilled.rows, report.rows, "{name}");
            // A changed row is written as it was sent.
            let expected = [row("1.5", 1), row("-2.0", 4), row("NaN", 20), row("-0.0", 30), row("7.5", 50)];
            assert_eq!(stored(&doors, name).await, expected, "{name}");
            // An unchanged one keeps its bits.
            let again = batch(&[f64::NAN, 0.0, 7.5], &[20, 30, 50]);
            let again = fold(&doors, name, again, UpsertOptions::default()).await;
            assert_eq!((again.rows.unchanged, again.work.bytes_written), (3, Some(0)), "{name}");
            assert_eq!(stored(&doors, name).await, expected, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_a_csv_file_are_numbers_then() {
    for backend in Backend::names() {
        let doors = Doors::new(backend);
        doors.file("t.csv", "id,value\n1.50,1\n2,2\nNaN,3\n-0.0,4\n");
        let report = fold(
            &doors,
            "t.csv",
            batch(&[1.5, 2.0, f64::NAN, 0.0], &[10, 2, 30, 40]),
            UpsertOptions::default(),
        )
        .await;
        assert_eq!((report.rows.updated, report.rows.unchanged), (3, 1));
        // What is equal keeps its bytes.
        let expected = "id,value\n1.50,10\n2,2\nNaN,30\n-0.0,40\n";
        assert_eq!(doors.bytes("t.csv").as_deref(), Some(expected.as_bytes()));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["2.0", "1.500", "7.25"]));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![20, 10, 70]));
        let rows = RecordBatch::try_from_iter([("id", text), ("value", values)]).expect("rows");
        let report = fold(&doors, "t.csv", rows, UpsertOptions::default()).await;
        assert_eq!((report.rows.updated, report.rows.unchanged, report.rows.inserted), (1, 1, 1));
        let expected = "id,value\n1.50,10\n2,20\nNaN,30\n-0.0,40\n7.25,70\n";
        assert_eq!(doors.bytes("t.csv").as_deref(), Some(expected.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_ids_of_a_csv_file_may_become_floats() {
    let doors = Doors::new(Backend::names()[0]);
    doors.file("t.csv", "id,value\n1,1\n2,2\n");
    let report = fold(&doors, "t.csv", batch(&[2.0, 2.5], &[20, 25]), UpsertOptions::default()).await;
    assert_eq!((report.rows.updated, report.rows.inserted), (1, 1));
    assert_eq!(doors.bytes("t.csv").as_deref(), Some("id,value\n1,1\n2,20\n2.5,25\n".as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_ndjson_are_the_numbers_they_are() {
    for backend in Backend::names() {
        let doors = Doors::new(backend);
        doors.file(
            "t.ndjson",
            "{\"id\":1.50,\"value\":1}\n{\"id\":-0.0,\"value\":2}\n{\"id\":3e0,\"value\":3}\n",
        );
        let change = batch(&[1.5, 0.0, 3.0, 4.5], &[10, 20, 3, 40]);
        let report = fold(&doors, "t.ndjson", change, UpsertOptions::default()).await;
        assert_eq!((report.rows.updated, report.rows.unchanged, report.rows.inserted), (2, 1, 1));
        let expected = "{\"id\":1.5,\"value\":10}\n{\"id\":0.0,\"value\":20}\n{\"id\":3e0,\"value\":3}\n{\"id\":4.5,\"value\":40}\n";
        assert_eq!(String::from_utf8(doors.bytes("t.ndjson").expect("there")).expect("text"), expected);
    }
}
