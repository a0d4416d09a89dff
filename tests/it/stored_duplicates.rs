//! Stored rows that have one id, in every kind of target: in several files, in several partitions, and more of them than may
//! stay in memory.

use std::collections::HashMap;

use keyfold::arrow::array::RecordBatch;
use keyfold::conformance::no_memory;
use keyfold::{
    Backend, ChangeKind, Format, Frame, MergeRule, ReadOptions, RowChange, StoredDuplicates, UpsertOptions,
    UpsertReport, WriteMode, WriteOptions,
};

use crate::doors::Doors;
use crate::tables::{everywhere, row, rows, stored};

/// A kind of target: its name, how it is made, and whether rows that come in may stay on disk.
fn targets() -> Vec<(&'static str, WriteOptions, bool)> {
    let plain = WriteOptions::default;
    let folder = || plain().with_format(Format::Parquet);
    let mut targets = vec![
        ("t.parquet", plain(), true),
        ("t.csv", plain(), false),
        ("t.ndjson", plain(), false),
        ("folder/", folder(), true),
        ("partitioned/", folder().with_partition_by(["place"]), true),
    ];
    if cfg!(feature = "delta") {
        targets.extend([
            ("delta", plain(), true),
            ("by_place", plain().with_partition_by(["place"]), true),
            ("vectors", plain().with_deletion_vectors(true), true),
            ("vectors_by_place", plain().with_deletion_vectors(true).with_partition_by(["place"]), true),
        ]);
    }
    targets
}

fn rule(duplicates: StoredDuplicates) -> MergeRule {
    let rule = MergeRule::by_modified(["id"], "value").expect("a rule");
    rule.with_stored_duplicates(duplicates).expect("a rule")
}

/// Makes a target by two writes, so that ids are stored twice in one file and in two, in one partition and in two.
async fn make(doors: &Doors, name: &str, options: &WriteOptions) {
    let write = async |batch: RecordBatch, options: WriteOptions| {
        doors.data.write_opts(Frame::from(batch), name, options).await.expect("written");
    };
    write(rows(&[1, 2, 3, 1], &["a", "b", "a", "b"], &[1, 2, 3, 9]), options.clone()).await;
    let mut more = WriteOptions::default().with_mode(WriteMode::Append);
    if name.ends_with('/') {
        more = more.with_format(Format::Parquet);
    }
    write(rows(&[2, 3, 4, 1], &["a", "b", "a", "a"], &[1, 7, 4, 5]), more).await;
}

async fn fold(
    doors: &Doors,
    name: &str,
    batch: RecordBatch,
    duplicates: StoredDuplicates,
    options: UpsertOptions,
) -> UpsertReport {
    doors.upsert.upsert_opts(Frame::from(batch), name, &rule(duplicates), options).await.expect("folds")
}

/// Changed rows, a line each, sorted: what, the id, and the row before and after.
fn lines(report: &UpsertReport) -> Vec<String> {
    let line = |change: &RowChange| {
        let value = |row: Option<&keyfold::RowValues>, name| {
            row.and_then(|row| row.get(name)).unwrap_or_default().to_owned()
        };
        let [before, after] = [change.before.as_ref(), change.after.as_ref()]
            .map(|row| format!("{} {}", value(row, "place"), value(row, "value")));
        format!("{} {}: {before} > {after}", change.kind, value(Some(&change.id), "id")).replace('"', "")
    };
    let mut lines: Vec<String> = report.diff.as_ref().expect("asked for").iter().map(line).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_row_of_each_id_stays_wherever_it_is() {
    use StoredDuplicates::Repair;
    for doors in everywhere() {
        for (name, options, _) in targets() {
            make(&doors, name, &options).await;
            let nothing = || rows(&[], &[], &[]);
            let shown = UpsertOptions::default().with_diff(9).with_dry_run(true);
            let dry = fold(&doors, name, nothing(), Repair, shown).await;
            assert_eq!((dry.rows.repaired, dry.rows.deleted), (4, 0), "{name}");
            assert_eq!((dry.rows.rows_before, dry.rows.rows_after), (Some(8), Some(4)), "{name}");
            assert_eq!((dry.work.files_read > 0, dry.work.files_skipped), (true, 0), "{name}");
            let gone = ["delete 1: a 1 >  ", "delete 1: a 5 >  ", "delete 2: a 1 >  ", "delete 3: a 3 >  "];
            assert_eq!(lines(&dry), gone, "{name}");
            let options = UpsertOptions::default;
            let wet = fold(&doors, name, rows(&[3, 1], &["a", "c"], &[8, 6]), Repair, options()).await;
            let counts = (wet.rows.updated, wet.rows.stale, wet.rows.repaired);
            assert_eq!(counts, (1, 1, 4), "{name}");
            let left = [row(1, "b", 9), row(2, "b", 2), row(3, "a", 8), row(4, "a", 4)];
            assert_eq!(stored(&doors, name, ReadOptions::default()).await, left, "{name}");
            let again = fold(&doors, name, nothing(), Repair, options()).await;
            assert!(again.rows.is_no_change(), "{name}: {:?}", again.rows);
            assert_eq!(
                (again.version_after, again.work.bytes_written),
                (wet.version_after, Some(0)),
                "{name}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_comes_in_is_enough_to_repair() {
    let doors = Doors::new(Backend::names()[0]);
    for (name, options, _) in targets() {
        make(&doors, name, &options).await;
        let empty = rows(&[], &[], &[]);
        let report = fold(&doors, name, empty, StoredDuplicates::Repair, UpsertOptions::default()).await;
        assert_ne!(report.version_before, report.version_after, "{name}");
        let left = [row(1, "b", 9), row(2, "b", 2), row(3, "b", 7), row(4, "a", 4)];
        assert_eq!(stored(&doors, name, ReadOptions::default()).await, left, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_an_id_goes_where_the_incoming_one_says() {
    for doors in Backend::names().iter().map(|backend| Doors::new(backend)) {
        for (name, options, may_wait) in targets() {
            for on_disk in [false, true] {
                if on_disk && !may_wait {
                    continue;
                }
                let name = if on_disk { format!("spilled_{name}") } else { name.to_owned() };
                make(&doors, &name, &options).await;
                let mut options = UpsertOptions::default().with_diff(9);
                if on_disk {
                    options = options.with_memory_limit(no_memory());
                }
                let batch = || rows(&[1, 5, 3], &["c", "c", "b"], &[6, 6, 7]);
                let report = fold(&doors, &name, batch(), StoredDuplicates::All, options.clone()).await;
                assert_eq!(report.spilled_bytes > 0, on_disk, "{name}");
                // Of the third id the one row is older, and the other one equal.
                assert_eq!((report.rows.updated, report.rows.inserted), (2, 1), "{name}");
                let changed = [
                    "insert 5:   > c 6",
                    "update 1: a 1 > c 6",
                    "update 1: a 5 > c 6",
                    "update 3: a 3 > b 7",
                ];
                assert_eq!(lines(&report), changed, "{name}");
                let mut found = stored(&doors, &name, ReadOptions::default()).await;
                found.sort();
                let mut expected = vec![row(1, "b", 9), row(1, "c", 6), row(1, "c", 6), row(2, "a", 1)];
                expected.extend([
                    row(2, "b", 2),
                    row(3, "b", 7),
                    row(3, "b", 7),
                    row(4, "a", 4),
                    row(5, "c", 6),
                ]);
                assert_eq!(found, expected, "{name}");
                let again = fold(&doors, &name, batch(), StoredDuplicates::All, options).await;
                assert!(again.rows.is_no_change(), "{name}: {:?}", again.rows);
                assert_eq!((again.rows.stale, again.rows.unchanged), (1, 2), "{name}");
            }
        }
    }
}

#[cfg(feature = "delta")]
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_marked_as_deleted_are_no_duplicates() {
    let doors = Doors::new(Backend::names()[0]);
    let options = UpsertOptions::default().with_deletion_vectors(true);
    for value in [1, 2, 3] {
        let batch = rows(&[1, 2, 7 + value], &["a", "b", "c"], &[value, 0, value]);
        fold(&doors, "t", batch, StoredDuplicates::Error, options.clone()).await;
    }
    let batch = rows(&[], &[], &[]);
    let report = fold(&doors, "t", batch, StoredDuplicates::Repair, UpsertOptions::default()).await;
    assert!(report.rows.is_no_change() && report.version_before == report.version_after, "{report:?}");
}

/// Numbers that look random and are the same each time.
fn dice(rolled: &mut u64, below: u64) -> i64 {
    *rolled = rolled.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    i64::try_from((*rolled >> 33) % below).expect("small")
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_beyond_memory_are_told_apart() {
    let mut rolled = 7;
    let doors = Doors::new(Backend::names()[0]);
    for (name, limit) in
        [("t.parquet", None), ("u.parquet", Some(no_memory())), ("folder/", Some(no_memory()))]
    {
        let (mut ids, mut values) = (Vec::new(), Vec::new());
        let mut expected = HashMap::new();
        for _ in 0..5_000 {
            let (id, value) = (dice(&mut rolled, 3_500), dice(&mut rolled, 50));
            let newest = expected.entry(id).or_insert(value);
            *newest = value.max(*newest);
            ids.push(id);
            values.push(value);
        }
        let before = (ids.len(), expected.len());
        let options = WriteOptions::default().with_row_group_rows(40);
        let options = if name.ends_with('/') { options.with_format(Format::Parquet) } else { options };
        let places = vec!["a"; ids.len()];
        doors
            .data
            .write_opts(Frame::from(rows(&ids, &places, &values)), name, options)
            .await
            .expect("written");
        let incoming: Vec<(i64, i64)> =
            (0..40).map(|_| (dice(&mut rolled, 5_000), dice(&mut rolled, 60))).collect();
        for (id, value) in &incoming {
            let newest = expected.entry(*id).or_insert(*value);
            *newest = (*newest).max(*value);
        }
        let (ids, values): (Vec<i64>, Vec<i64>) = incoming.into_iter().unzip();
        let batch = rows(&ids, &vec!["a"; ids.len()], &values);
        let options = limit.into_iter().fold(UpsertOptions::default(), UpsertOptions::with_memory_limit);
        let report = fold(&doors, name, batch, StoredDuplicates::Repair, options.with_diff(30_000)).await;
        assert_eq!(report.rows.repaired, (before.0 - before.1) as u64, "{name}");
        assert_eq!(report.spilled_bytes > 0, limit.is_some(), "{name}");
        let deleted = report.diff.expect("asked for").iter().filter(|c| c.kind == ChangeKind::Delete).count();
        assert_eq!(deleted, before.0 - before.1, "{name}");
        let mut expected: Vec<_> = expected.into_iter().map(|(id, value)| row(id, "a", value)).collect();
        expected.sort();
        assert_eq!(stored(&doors, name, ReadOptions::default()).await, expected, "{name}");
    }
}
