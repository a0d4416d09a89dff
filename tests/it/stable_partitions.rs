//! Partitions that no row leaves, because the user vouches for it: only those that come in are looked into.

use std::sync::Arc;

use keyfold::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use keyfold::conformance::no_memory;
use keyfold::{
    DeleteMarks, ErrorKind, Format, Frame, MergeRule, ReadOptions, UpsertOptions, UpsertReport, Winner,
};

use crate::doors::Doors;
use crate::tables::everywhere;

type Row<'a> = (i64, Option<&'a str>, i64);

/// A Delta table and a folder, as they are named when they are made.
fn tables() -> impl Iterator<Item = (&'static str, UpsertOptions)> {
    let by_place = UpsertOptions::default().with_partition_by(["place"]);
    let folder = by_place.clone().with_format(Format::Parquet);
    let delta = cfg!(feature = "delta").then_some(("table", by_place));
    delta.into_iter().chain([("folder/", folder)])
}

fn batch(rows: &[Row<'_>]) -> RecordBatch {
    let ids: Int64Array = rows.iter().map(|row| row.0).collect();
    let places: StringArray = rows.iter().map(|row| row.1).collect();
    let values: Int64Array = rows.iter().map(|row| row.2).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(ids) as ArrayRef, true),
        ("place", Arc::new(places) as ArrayRef, true),
        ("value", Arc::new(values) as ArrayRef, true),
    ])
    .expect("rows")
}

fn stable() -> MergeRule {
    MergeRule::by_id(["id"]).and_then(|rule| rule.with_stable_partitions(true)).expect("a rule")
}

async fn fold(
    doors: &Doors,
    table: &str,
    rows: RecordBatch,
    rule: &MergeRule,
    options: &UpsertOptions,
) -> UpsertReport {
    doors.upsert.upsert_opts(Frame::from(rows), table, rule, options.clone()).await.expect("folds")
}

async fn count(doors: &Doors, table: &str) -> u64 {
    doors.data.count(&[table], ReadOptions::default()).await.expect("counts")
}

const STORED: [Row<'static>; 4] = [(1, Some("a"), 1), (2, Some("b"), 2), (3, Some("c"), 3), (4, None, 4)];

#[tokio::test(flavor = "multi_thread")]
async fn only_partitions_that_come_in_are_looked_into() {
    for doors in everywhere() {
        for (table, made) in tables() {
            fold(&doors, table, batch(&STORED), &stable(), &made).await;
            let plain = UpsertOptions::default();
            for options in [plain.clone(), plain.clone().with_memory_limit(no_memory())] {
                let change = batch(&[(2, Some("b"), 2), (4, None, 4), (9, Some("b"), 9)]);
                let options = options.with_dry_run(true);
                let report = fold(&doors, table, change, &stable(), &options).await;
                assert_eq!((report.rows.unchanged, report.rows.inserted), (2, 1), "{table}");
                assert!(report.work.files_skipped >= 2, "{table}");
            }
            let report = fold(&doors, table, batch(&[(2, Some("b"), 20)]), &stable(), &plain).await;
            assert_eq!((report.rows.updated, report.work.files_skipped), (1, 3), "{table}");
            let report = fold(&doors, table, batch(&[(4, None, 40)]), &stable(), &plain).await;
            assert_eq!((report.rows.updated, report.work.files_skipped), (1, 3), "{table}");
            assert_eq!(count(&doors, table).await, 4, "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_did_change_its_partition_is_inserted_once_more() {
    for doors in everywhere() {
        for (table, made) in tables() {
            fold(&doors, table, batch(&STORED), &stable(), &made).await;
            let moved = batch(&[(1, Some("b"), 10)]);
            let report = fold(&doors, table, moved, &stable(), &UpsertOptions::default()).await;
            assert_eq!((report.rows.inserted, report.rows.updated), (1, 0), "{table}");
            assert_eq!(count(&doors, table).await, 5, "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_column_that_does_not_come_in_rules_nothing_out() {
    for doors in everywhere() {
        for (table, made) in tables() {
            fold(&doors, table, batch(&STORED), &stable(), &made).await;
            let change = batch(&[(1, None, 10), (3, None, 30)]).project(&[0, 2]).expect("two columns");
            let report = fold(&doors, table, change, &stable(), &UpsertOptions::default()).await;
            assert_eq!((report.rows.updated, report.rows.inserted), (2, 0), "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_mark_has_to_name_its_partition() {
    let doors = Doors::new(keyfold::Backend::names()[0]);
    for (table, made) in tables() {
        fold(&doors, table, batch(&STORED), &stable(), &made).await;
        let marks = DeleteMarks::hard("value IS NULL".parse().expect("a condition"));
        let rule = stable().with_delete_marks(marks).expect("a rule");
        let mark = |place: Option<&str>| {
            let all = batch(&[(1, place, 0)]);
            let columns =
                [all.column(0).clone(), all.column(1).clone(), Arc::new(Int64Array::from(vec![None]))];
            RecordBatch::try_new(all.schema(), columns.to_vec()).expect("a mark")
        };
        let none = fold(&doors, table, mark(None), &rule, &UpsertOptions::default()).await;
        assert_eq!((none.rows.tombstones, none.rows.deleted), (1, 0), "{table}");
        let one = fold(&doors, table, mark(Some("a")), &rule, &UpsertOptions::default()).await;
        assert_eq!((one.rows.tombstones, one.rows.deleted), (1, 1), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_compared_in_the_types_of_the_table() {
    let doors = Doors::new(keyfold::Backend::names()[0]);
    let day = |text: &str| {
        let days: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let days = keyfold::arrow::compute::cast(&days, &keyfold::arrow::datatypes::DataType::Date32);
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        RecordBatch::try_from_iter([("id", ids), ("day", days.expect("a day"))]).expect("rows")
    };
    let made = UpsertOptions::default().with_partition_by(["day"]).with_format(Format::Parquet);
    fold(&doors, "days/", day("2024-01-02"), &stable(), &made).await;
    let again = fold(&doors, "days/", day("2024-01-02"), &stable(), &UpsertOptions::default()).await;
    assert_eq!((again.rows.unchanged, again.work.files_skipped), (1, 0));
}

#[test]
fn a_mirror_looks_into_all_partitions() {
    let rule = MergeRule::mirror(["id"], Winner::Incoming).expect("a rule").with_stable_partitions(true);
    assert_eq!(rule.map_err(|error| error.kind()), Err(ErrorKind::Usage));
}
