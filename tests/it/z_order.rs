//! Rows of a Delta table along a Z-order curve: whoever looks for some values of any of its columns reads few files, and no
//! row changes.

use keyfold::{
    ErrorKind, Format, MergeRule, OptimizeOptions, ReadOptions, UpsertOptions, WriteMode, WriteOptions,
};

use crate::doors::Doors;
use crate::tables::{everywhere, fold, row, rows, stored};

const ROWS: i64 = 4_096;

/// A row with this id: values are spread over all ids.
fn of(id: i64) -> (i64, &'static str, i64) {
    (id, ["a", "b"][usize::from(id % 3 == 0)], id * 1_663 % ROWS)
}

fn batch(ids: impl Iterator<Item = i64>) -> keyfold::arrow::array::RecordBatch {
    let of: Vec<_> = ids.map(of).collect();
    let ids: Vec<i64> = of.iter().map(|row| row.0).collect();
    let places: Vec<&str> = of.iter().map(|row| row.1).collect();
    let values: Vec<i64> = of.iter().map(|row| row.2).collect();
    rows(&ids, &places, &values)
}

/// A table of eight files, or as many in each partition.
async fn table(doors: &Doors, name: &str, partitions: &[&str]) {
    for file in 0..8 {
        let ids = file * ROWS / 8..(file + 1) * ROWS / 8;
        let mut options = WriteOptions::default().with_mode(WriteMode::Append);
        if !partitions.is_empty() {
            options = options.with_partition_by(partitions.to_vec());
        }
        let frame = keyfold::Frame::from(batch(ids));
        doors.data.write_opts(frame, name, options).await.expect("writes");
    }
}

/// How many files are left out by who looks for the rows whose `column` is less than 64.
async fn skipped(doors: &Doors, name: &str, column: &str) -> (u64, u64) {
    let found = (0..ROWS).filter(|id| if column == "id" { *id < 64 } else { of(*id).2 < 64 });
    let rule = MergeRule::by_id([column]).expect("a rule");
    let frame = keyfold::Frame::from(batch(found));
    let report = doors.upsert.upsert_opts(frame, name, &rule, UpsertOptions::default()).await.expect("folds");
    assert_eq!((report.rows.incoming, report.rows.unchanged), (64, 64));
    (report.work.files_skipped, report.work.files_read + report.work.files_skipped)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_for_values_of_either_column_skips_most_files() {
    for doors in everywhere() {
        for (name, partitions) in [("flat", &[][..]), ("by-place", &["place"])] {
            table(&doors, name, partitions).await;
            let expected: Vec<_> =
                (0..ROWS).map(of).map(|(id, place, value)| row(id, place, value)).collect();
            assert_eq!(skipped(&doors, name, "value").await.0, 0);
            let size =
                doors.data.optimize(name, OptimizeOptions::default().with_dry_run(true).with_z_order(["id"]));
            let planned = size.await.expect("plans");
            assert_eq!((planned.files_removed, planned.bytes_added), (planned.files_before, None));
            let options = OptimizeOptions::default()
                .with_z_order(["id", "value"])
                .with_target_bytes(planned.bytes_removed / 16 + 1);
            let done = doors.data.optimize(name, options).await.expect("optimizes");
            assert_eq!(done.files_removed, planned.files_before);
            assert!((16..20).contains(&done.files_added), "{}", done.files_added);
            assert_eq!(stored(&doors, name, ReadOptions::default()).await, expected);
            for column in ["id", "value"] {
                let (skipped, files) = skipped(&doors, name, column).await;
                assert_eq!(files, done.files_added);
                assert!(skipped >= files / 2, "{column}: {skipped} of {files}");
            }
            let history = doors.data.history(name, None).await.expect("a history");
            assert_eq!(history[0].operation.as_deref(), Some("OPTIMIZE"));
            assert_eq!(history[0].parameters["zOrderBy"], "[\"id\",\"value\"]");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_help_nobody_are_refused_and_nothing_is_written() {
    for doors in everywhere() {
        table(&doors, "t", &["place"]).await;
        for (columns, kind) in [
            (&["place"][..], ErrorKind::InvalidInput),
            (&["nothing"], ErrorKind::InvalidInput),
            (&["id", "id"], ErrorKind::InvalidInput),
            (&[], ErrorKind::Usage),
        ] {
            let options = OptimizeOptions::default().with_z_order(columns.to_vec());
            let refused = doors.data.optimize("t", options).await.map(|_| ());
            assert_eq!(refused.map_err(|error| error.kind()), Err(kind), "{columns:?}");
        }
        let parquet = UpsertOptions::default().with_format(Format::Parquet);
        fold(&doors, "plain/", batch(0..9), parquet).await.expect("folds");
        let refused =
            doors.data.optimize("plain/", OptimizeOptions::default().with_z_order(["id"])).await.map(|_| ());
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
        assert_eq!(doors.names_below("t").iter().filter(|name| name.ends_with("json")).count(), 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_somebody_changes_meanwhile_is_sorted_as_well() {
    for doors in everywhere() {
        let doors = std::sync::Arc::new(doors);
        table(&doors, "t", &["place"]).await;
        for round in 0..4 {
            let options = || OptimizeOptions::default().with_z_order(["id", "value"]).with_max_retries(100);
            let sorting = {
                let doors = std::sync::Arc::clone(&doors);
                tokio::spawn(async move { doors.data.optimize("t", options()).await })
            };
            // In one of the partitions only.
            let change = rows(&[1, 2], &["a", "a"], &[-round, -round]);
            let folded = UpsertOptions::default().with_max_retries(100);
            fold(&doors, "t", change, folded).await.expect("folds");
            let sorted = sorting.await.expect("a run").expect("sorts");
            assert!(sorted.files_added >= 2, "{sorted:?}");
            let planned = doors.data.optimize("t", options().with_dry_run(true)).await.expect("plans");
            assert_eq!(planned.files_before, 2, "one file in each partition, whoever came first");
            let read = stored(&doors, "t", ReadOptions::default()).await;
            assert_eq!((read.len(), &read[1]), (4_096, &row(1, "a", -round)));
        }
    }
}
