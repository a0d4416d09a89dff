//! What upserts elsewhere are known to get wrong, one test each, on a file, a folder and a Delta table.

use std::sync::Arc;

use keyfold::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use keyfold::arrow::array::{TimestampMicrosecondArray, TimestampNanosecondArray};
use keyfold::{
    Backend, ErrorKind, Format, Frame, MergeRule, OptimizeOptions, ReadOptions, Result, UpsertOptions,
    UpsertReport, WriteMode, WriteOptions,
};

use crate::doors::Doors;
use crate::places::Kind;
use crate::tables::{row, rows, stored};

/// A kind of target, by the name that makes it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Target(&'static str);

const FILE: Target = Target("orders.parquet");
const FOLDER: Target = Target("orders/");
#[cfg(feature = "delta")]
const DELTA: Target = Target("orders");

const TARGETS: &[Target] = &[
    FILE,
    FOLDER,
    #[cfg(feature = "delta")]
    DELTA,
];

impl Target {
    fn options(self) -> UpsertOptions {
        if self == FOLDER {
            UpsertOptions::default().with_format(Format::Parquet)
        } else {
            UpsertOptions::default()
        }
    }
}

/// Every kind of target, with each backend, in memory.
fn everywhere() -> impl Iterator<Item = (Target, Doors)> {
    let backends = Backend::names().iter();
    backends.flat_map(|backend| TARGETS.iter().map(|target| (*target, Doors::at(backend, Kind::Memory))))
}

fn by_id() -> MergeRule {
    MergeRule::by_id(["id"]).expect("a rule")
}

async fn fold(doors: &Doors, target: Target, batch: RecordBatch) -> Result<UpsertReport> {
    doors.upsert.upsert_opts(Frame::from(batch), target.0, &by_id(), target.options()).await
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)))
        .expect("rows")
}

fn ints(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

async fn all(doors: &Doors, target: Target) -> Vec<(i64, String, i64)> {
    stored(doors, target.0, ReadOptions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_id_is_refused_and_not_inserted_on_every_run() {
    for (target, doors) in everywhere() {
        fold(&doors, target, rows(&[1], &["a"], &[1])).await.expect("folds");
        let null = || batch([("id", ints([Some(2), None])), ("value", ints([Some(2), Some(3)]))]);
        for _ in 0..2 {
            let error = fold(&doors, target, null()).await.expect_err("refused");
            assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("null"), "{error}");
        }
        assert_eq!(all(&doors, target).await, [row(1, "a", 1)], "{target:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_ids_that_match_nothing_are_inserted_once() {
    for (target, doors) in everywhere() {
        fold(&doors, target, rows(&[1], &["a"], &[1])).await.expect("folds");
        let rule = MergeRule::by_modified(["id"], "value").expect("a rule");
        let twins = || Frame::from(rows(&[7, 7, 7], &["a", "b", "c"], &[2, 9, 4]));
        for inserted in [1, 0] {
            let report = doors.upsert.upsert_opts(twins(), target.0, &rule, target.options()).await;
            let report = report.expect("folds");
            assert_eq!((report.rows.inserted, report.rows.duplicates), (inserted, 2), "{target:?}");
        }
        assert_eq!(all(&doors, target).await, [row(1, "a", 1), row(7, "b", 9)], "{target:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_changes_its_partition_is_there_once_and_its_old_file_may_be_empty() {
    for (target, doors) in everywhere().filter(|(target, _)| *target != FILE) {
        let options = target.options().with_partition_by(["place"]);
        let make = Frame::from(rows(&[1, 2], &["a", "b"], &[1, 2]));
        doors.upsert.upsert_opts(make, target.0, &by_id(), options).await.expect("creates");
        // The last row leaves `a`, comes back, and leaves again: each time a file without rows is met.
        for (place, value) in [("b", 3), ("a", 4), ("b", 5)] {
            let report = fold(&doors, target, rows(&[1], &[place], &[value])).await.expect("folds");
            assert_eq!((report.rows.updated, report.rows.inserted), (1, 0), "{target:?}");
            assert_eq!(all(&doors, target).await, [row(1, place, value), row(2, "b", 2)], "{target:?}");
            let again = fold(&doors, target, rows(&[1], &[place], &[value])).await.expect("folds");
            assert_eq!((again.rows.unchanged, again.work.bytes_written), (1, Some(0)), "{target:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_a_batch_lacks_keeps_its_stored_values() {
    for (target, doors) in everywhere() {
        fold(&doors, target, rows(&[1, 2], &["a", "b"], &[1, 2])).await.expect("folds");
        let lacking = batch([("id", ints([Some(1)])), ("value", ints([Some(10)]))]);
        fold(&doors, target, lacking).await.expect("folds");
        assert_eq!(all(&doors, target).await, [row(1, "a", 10), row(2, "b", 2)], "{target:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_make_one_target_at_once_insert_each_row_once() {
    for (target, doors) in everywhere() {
        let doors = Arc::new(doors);
        let make = |_| {
            let doors = Arc::clone(&doors);
            let options = target.options().with_max_retries(100);
            tokio::spawn(async move {
                let frame = Frame::from(rows(&[1, 2, 3], &["a", "b", "c"], &[1, 2, 3]));
                doors.upsert.upsert_opts(frame, target.0, &by_id(), options).await
            })
        };
        let makers: Vec<_> = (0..8).map(make).collect();
        let mut inserted = 0;
        for maker in makers {
            inserted += maker.await.expect("a writer").expect("folds").rows.inserted;
        }
        assert_eq!(inserted, 3, "{target:?}");
        assert_eq!(all(&doors, target).await, [row(1, "a", 1), row(2, "b", 2), row(3, "c", 3)], "{target:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_during_an_upsert_undoes_nothing_of_it() {
    for (target, doors) in everywhere().filter(|(target, _)| *target != FILE) {
        let doors = Arc::new(doors);
        let mut expected = Vec::new();
        for round in 0..6 {
            let changes = [round, round + 1];
            let compaction = {
                let doors = Arc::clone(&doors);
                let options = OptimizeOptions::default().with_max_retries(100);
                tokio::spawn(async move { doors.data.optimize(target.0, options).await })
            };
            let options = target.options().with_max_retries(100);
            let frame = Frame::from(rows(&changes, &["a", "b"], &[round, round]));
            doors.upsert.upsert_opts(frame, target.0, &by_id(), options).await.expect("folds");
            let compacted = compaction.await.expect("a compaction");
            assert!(round == 0 || compacted.is_ok(), "{target:?}: {compacted:?}");
            expected.pop();
            expected.extend([row(changes[0], "a", round), row(changes[1], "b", round)]);
            assert_eq!(all(&doors, target).await, expected, "{target:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_rows_have_no_false_duplicate() {
    for (target, doors) in everywhere() {
        let ids: Vec<i64> = (0..100_001).map(|id| id * 7_919 % 1_000_003).collect();
        let many = || rows(&ids, &vec!["a"; ids.len()], &ids);
        for inserted in [100_001, 0] {
            let report = fold(&doors, target, many()).await.expect("folds");
            assert_eq!((report.rows.inserted, report.rows.duplicates), (inserted, 0), "{target:?}");
        }
        let count = doors.data.count(&[target.0], ReadOptions::default()).await.expect("counts");
        assert_eq!(count, 100_001, "{target:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_mixed_case_are_names_like_others() {
    for (target, doors) in everywhere() {
        let of = |value: i64| {
            batch([
                ("OrderId", ints([Some(1), Some(2)])),
                ("Total Amount", ints([Some(value), Some(2)])),
                ("Größe", Arc::new(StringArray::from(vec!["S", "M"]))),
            ])
        };
        let rule = MergeRule::by_modified(["OrderId"], "Total Amount").expect("a rule");
        for (value, updated) in [(1, 0), (5, 1), (5, 0)] {
            let folded = doors.upsert.upsert_opts(Frame::from(of(value)), target.0, &rule, target.options());
            assert_eq!(folded.await.expect("folds").rows.updated, updated, "{target:?}");
        }
        let options = ReadOptions::default().with_columns(["Größe", "OrderId"]);
        let read = doors.read(&[target.0], options).await.expect("reads");
        assert_eq!((read.num_rows(), read.schema().field(1).name().as_str()), (2, "OrderId"), "{target:?}");
        let wrong = MergeRule::by_id(["orderid"]).expect("a rule");
        let error = doors.upsert.upsert_opts(Frame::from(of(1)), target.0, &wrong, target.options()).await;
        assert_eq!(error.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput), "{target:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instant_is_the_same_in_microseconds_and_nanoseconds() {
    for (target, doors) in everywhere() {
        let rule = MergeRule::by_modified(["id"], "at").expect("a rule");
        let micros = |at: i64| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC"))
        };
        let nanos =
            |at: i64| -> ArrayRef { Arc::new(TimestampNanosecondArray::from(vec![at]).with_timezone("UTC")) };
        let at = 1_700_000_000_123_456;
        for (time, fate) in [
            (micros(at), (1, 0, 0)),
            (nanos(at * 1_000), (0, 0, 1)),
            (nanos((at + 1) * 1_000), (0, 1, 0)),
            (micros(at + 1), (0, 0, 1)),
        ] {
            let frame = Frame::from(batch([("id", ints([Some(1)])), ("at", time)]));
            let report = doors.upsert.upsert_opts(frame, target.0, &rule, target.options()).await;
            let rows = report.expect("folds").rows;
            assert_eq!((rows.inserted, rows.updated, rows.unchanged), fate, "{target:?}");
        }
        // What the stored unit cannot hold is refused, not cut off.
        let frame = Frame::from(batch([("id", ints([Some(1)])), ("at", nanos(at * 1_000 + 2_001))]));
        let cut = doors.upsert.upsert_opts(frame, target.0, &rule, target.options()).await;
        assert_eq!(cut.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput), "{target:?}");
    }
}

/// Elsewhere a writer that does not look at the table may commit on top of one who did, and a row is there twice.
#[cfg(all(feature = "delta", feature = "s3"))]
#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_comes_before_the_commit_of_an_upsert_is_seen_by_it() {
    use crate::places::Place;
    use crate::s3_server::{Effect, Fault, Operation, TestServer};

    for backend in Backend::names() {
        let server = TestServer::builder().bucket("lake").start();
        let doors = Doors::into(backend, Place::on(&server));
        fold(&doors, DELTA, rows(&[1], &["a"], &[1])).await.expect("creates");
        // The first try to commit version 1 comes late.
        let late = Effect::Latency(std::time::Duration::from_secs(2));
        let version = "_delta_log/00000000000000000001.json";
        server.fail(Fault::new(late).on(Operation::PutObject).key(format!("orders/{version}")));
        let doors = Arc::new(doors);
        let upsert = {
            let doors = Arc::clone(&doors);
            tokio::spawn(async move { fold(&doors, DELTA, rows(&[2], &["b"], &[20])).await })
        };
        while server.open_faults() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let append = WriteOptions::default().with_mode(WriteMode::Append);
        doors.data.write_opts(Frame::from(rows(&[2], &["b"], &[2])), DELTA.0, append).await.expect("appends");
        let report = upsert.await.expect("a writer").expect("folds");
        assert_eq!((report.conflicts, report.rows.updated, report.rows.inserted), (1, 1, 0), "{backend}");
        assert_eq!(all(&doors, DELTA).await, [row(1, "a", 1), row(2, "b", 20)], "{backend}");
    }
}
