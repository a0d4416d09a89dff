//! Tables that keep history: random batches one after the other end as the judge says, in whatever order they come, and the
//! versions of an id never overlap.

use std::sync::{Arc, LazyLock};

use keyfold::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use keyfold::arrow::compute::take_record_batch;
use keyfold::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use keyfold::conformance::{Judgement, judge, table_of};
use keyfold::{Backend, DeleteMarks, ExtraColumns, Format, MergeRule, Newest, Ties, UpsertOptions, Winner};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use tokio::runtime::Runtime;

use crate::doors::{Doors, FORMATS};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

/// What comes in of one version, or that there is none any more.
#[derive(Debug, Clone)]
struct Row {
    id: i64,
    at: Option<i64>,
    value: u8,
    is_mark: bool,
}

fn batch(rows: &[Row]) -> RecordBatch {
    let ids: Int64Array = rows.iter().map(|row| Some(row.id)).collect();
    let values: StringArray = rows.iter().map(|row| Some(format!("v{}", row.value))).collect();
    let ats: Int64Array = rows.iter().map(|row| row.at).collect();
    let ops: StringArray = rows.iter().map(|row| Some(if row.is_mark { "D" } else { "U" })).collect();
    let columns: [(&str, ArrayRef); 4] =
        [("id", Arc::new(ids)), ("value", Arc::new(values)), ("at", Arc::new(ats)), ("op", Arc::new(ops))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .expect("a batch")
}

/// The columns of a table before anything came in.
fn schema() -> SchemaRef {
    let field = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("value", DataType::Utf8),
        field("valid_from", DataType::Int64),
        field("valid_to", DataType::Int64),
        field("is_current", DataType::Boolean),
    ]))
}

/// A row that is there from the start, so that every format has the columns.
fn stored() -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![0])),
        Arc::new(StringArray::from(vec!["v0"])),
        Arc::new(Int64Array::from(vec![2])),
        Arc::new(Int64Array::from(vec![None::<i64>])),
        Arc::new(BooleanArray::from(vec![true])),
    ];
    RecordBatch::try_new(schema(), columns).expect("a batch")
}

fn rule(ties: Ties) -> MergeRule {
    let newest = Newest::by("at").with_ties(ties);
    let marks = DeleteMarks::hard("op = 'D'".parse().expect("a condition"));
    let rule = MergeRule::history(["id"], Winner::Newest(newest)).expect("a rule");
    rule.with_delete_marks(marks).expect("a rule")
}

fn rows(most: usize, marks: f64) -> impl Strategy<Value = Vec<Row>> {
    let at = prop_oneof![12 => (0_i64..15).prop_map(Some), 1 => Just(None)];
    let row = (0_i64..5, at, 0_u8..4, proptest::bool::weighted(marks))
        .prop_map(|(id, at, value, is_mark)| Row { id, at, value, is_mark });
    proptest::collection::vec(row, 0..=most)
}

/// Every backend with every format.
fn cells() -> impl Iterator<Item = (&'static str, String)> {
    Backend::names().iter().flat_map(|backend| FORMATS.map(|(_, ext)| (*backend, format!("t.{ext}"))))
}

async fn begun(backend: &'static str, name: &str) -> Doors {
    let doors = Doors::new(backend);
    doors.data.write(doors.own_frame(stored()).await, name).await.expect("stored");
    doors
}

fn fault(what: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(what.to_string())
}

/// Versions of an id follow each other: none begins before the one before it has ended.
fn do_not_overlap(table: &RecordBatch) -> TestCaseResult {
    let column =
        |name: &str| table.column_by_name(name).expect("a column").as_primitive::<Int64Type>().clone();
    let (ids, from, to) = (column("id"), column("valid_from"), column("valid_to"));
    let holds = table.column_by_name("is_current").expect("a column").as_boolean().clone();
    let time =
        |times: &Int64Array, row: usize, none: i64| if times.is_null(row) { none } else { times.value(row) };
    let mut spans: Vec<_> = (0..table.num_rows())
        .map(|row| (ids.value(row), time(&from, row, i64::MIN), time(&to, row, i64::MAX)))
        .collect();
    spans.sort_unstable();
    for two in spans.windows(2).filter(|two| two[0].0 == two[1].0) {
        if two[0].2 > two[1].1 {
            return Err(fault(format!("{two:?} overlap")));
        }
    }
    match (0..table.num_rows()).find(|row| holds.value(*row) != to.is_null(*row)) {
        Some(row) => Err(fault(format!("row {row} does not say whether it holds"))),
        None => Ok(()),
    }
}

async fn equals_the_judge(
    backend: &'static str,
    name: &str,
    batches: &[Vec<Row>],
    ties: Ties,
) -> TestCaseResult {
    let (doors, rule) = (begun(backend, name).await, rule(ties));
    let mut known = stored();
    for rows in batches {
        let incoming = batch(rows);
        let frame = doors.own_frame(incoming.clone()).await;
        let result = doors.upsert.upsert_opts(frame, name, &rule, UpsertOptions::default()).await;
        let (table, counts) = match judge(Some(&known), &incoming, &rule).expect("a judgement") {
            Judgement::Merged(table, counts) => (table, counts),
            Judgement::Refused { kind, message } => {
                let found = result.map_err(|error| (error.kind(), error.message().to_owned()));
                prop_assert_eq!(found.err(), Some((kind, message.to_owned())));
                continue;
            }
        };
        let report = result.map_err(|error| fault(format!("{backend}, {name}: {error:?}")))?;
        prop_assert_eq!(&report.rows, counts.as_ref(), "{}, {}", backend, name);
        known = doors.rows(name, schema()).await.map_err(fault)?;
        prop_assert_eq!(&table_of(&known).expect("a table"), &table, "{}, {}", backend, name);
        do_not_overlap(&known)?;
        let again = doors.upsert.upsert_opts(incoming, name, &rule, UpsertOptions::default()).await;
        prop_assert!(again.map_err(fault)?.rows.is_no_change(), "{backend}, {name}: twice");
    }
    Ok(())
}

/// The rows, sorted: where they stand says in which order they came.
async fn sorted(doors: &Doors, name: &str) -> Vec<String> {
    let rows = doors.rows(name, schema()).await.expect("read");
    let mut rows: Vec<String> =
        table_of(&rows).expect("a table").rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort_unstable();
    rows
}

async fn any_order_ends_alike(
    backend: &'static str,
    name: &str,
    rows: &[Row],
    pieces: usize,
) -> TestCaseResult {
    let rule = rule(Ties::Incoming);
    let whole = batch(rows);
    let count = u32::try_from(rows.len()).expect("few");
    let chunk = rows.len().div_ceil(pieces).max(1);
    let forward: Vec<u32> = (0..count).collect();
    let backward: Vec<u32> = (0..count).rev().collect();
    let mut ends = Vec::new();
    for (order, chunk) in [(&forward, rows.len().max(1)), (&forward, chunk), (&backward, chunk)] {
        let doors = begun(backend, name).await;
        for piece in order.chunks(chunk) {
            let piece = take_record_batch(&whole, &UInt32Array::from(piece.to_vec())).expect("rows");
            doors.upsert.upsert_opts(piece, name, &rule, UpsertOptions::default()).await.map_err(fault)?;
        }
        ends.push(sorted(&doors, name).await);
    }
    prop_assert_eq!(&ends[0], &ends[1], "{}, {}: in pieces", backend, name);
    prop_assert_eq!(&ends[0], &ends[2], "{}, {}: from the end", backend, name);
    Ok(())
}

/// What holds stands in one partition, what has ended in another: rows go from the one to the other, however stable the others are.
#[tokio::test]
async fn a_history_can_be_partitioned_by_what_holds() {
    let row = |value, at| batch(&[Row { id: 1, at: Some(at), value, is_mark: false }]);
    for backend in Backend::names() {
        for (name, is_folder) in [("f/", true), ("d", false)] {
            if !is_folder && !cfg!(feature = "delta") {
                continue;
            }
            let doors = Doors::new(backend);
            let mut options = UpsertOptions::default().with_partition_by(["is_current"]);
            options.format = is_folder.then_some(Format::Parquet);
            let rule = rule(Ties::Incoming).with_extra_columns(ExtraColumns::Ignore);
            let stable = rule.clone().with_stable_partitions(true).expect("a rule");
            for (value, at, rule) in [(0, 1, &rule), (1, 5, &stable), (2, 3, &stable), (1, 5, &rule)] {
                let report = doors.upsert.upsert_opts(row(value, at), name, rule, options.clone()).await;
                report.unwrap_or_else(|error| panic!("{backend}, {name}: {error:?}"));
            }
            let table = doors.rows(name, schema()).await.expect("read");
            do_not_overlap(&table).expect("spans");
            let rows = sorted(&doors, name).await;
            assert_eq!(rows.len(), 3, "{backend}, {name}: {rows:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_of_versions_end_as_the_judge_says(
        batches in proptest::collection::vec(rows(12, 0.2), 1..4),
        ties in prop_oneof![3 => Just(Ties::Incoming), 1 => Just(Ties::Keep), 1 => Just(Ties::Error)],
    ) {
        for (backend, name) in cells() {
            RUNTIME.block_on(equals_the_judge(backend, &name, &batches, ties))?;
        }
    }

    #[test]
    fn versions_end_alike_in_whatever_order_they_come(rows in rows(16, 0.0), pieces in 1_usize..6) {
        // What is said of one id at one time is said once.
        let rows: Vec<Row> = rows
            .into_iter()
            .filter(|row| row.id != 0 || row.at != Some(2))
            .map(|row| Row { value: u8::try_from(row.id + row.at.unwrap_or(20)).unwrap_or(0), ..row })
            .collect();
        for (backend, name) in cells() {
            RUNTIME.block_on(any_order_ends_alike(backend, &name, &rows, pieces))?;
        }
    }
}
