//! The rows that change, as they were and as they are, for every kind of target.

use keyfold::arrow::array::RecordBatch;
use keyfold::conformance::no_memory;
use keyfold::{
    Backend, ChangeKind, ColumnPolicy, DeleteMarks, Format, Frame, MergeRule, RowChange, RowValues,
    UpsertOptions, UpsertReport,
};

use crate::doors::Doors;
use crate::tables::{everywhere, rows};

/// A kind of target: its name, how it is made, and whether rows that come in may stay on disk.
fn targets() -> Vec<(&'static str, UpsertOptions, bool)> {
    let plain = UpsertOptions::default;
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
        ]);
    }
    targets
}

fn rule() -> MergeRule {
    let marks = DeleteMarks::hard("place = 'gone'".parse().expect("a condition"));
    MergeRule::by_id(["id"]).and_then(|rule| rule.with_delete_marks(marks)).expect("a rule")
}

async fn fold(doors: &Doors, name: &str, batch: RecordBatch, options: UpsertOptions) -> UpsertReport {
    doors.upsert.upsert_opts(Frame::from(batch), name, &rule(), options).await.expect("folds")
}

/// Makes a target of which a row was replaced already, so that it has two files, or a vector.
async fn make(doors: &Doors, name: &str, options: &UpsertOptions) {
    let first = rows(&[1, 2, 3, 4, 5], &["a", "b", "a", "b", "a"], &[1, 0, 3, 4, 5]);
    fold(doors, name, first, options.clone()).await;
    fold(doors, name, rows(&[2], &["b"], &[2]), UpsertOptions::default()).await;
}

fn change() -> RecordBatch {
    rows(&[10, 2, 1, 4, 9, 5], &["z", "b", "a", "gone", "z", "a"], &[100, 20, 1, 0, 90, 50])
}

/// A change on one line: what, the id, and the row before and after.
fn line(change: &RowChange) -> String {
    let row = |row: Option<&RowValues>| {
        let value = |name| row.and_then(|row| row.get(name)).unwrap_or_default();
        format!("{} {}", value("place"), value("value"))
    };
    let id = change.id.get("id").expect("an id");
    let text =
        format!("{} {id}: {} > {}", change.kind, row(change.before.as_ref()), row(change.after.as_ref()));
    text.replace('"', "")
}

fn lines(report: &UpsertReport) -> Vec<String> {
    report.diff.as_ref().expect("asked for").iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_rows_come_in_their_order_and_new_ones_behind_them() {
    for doors in everywhere() {
        for (name, options, _) in targets() {
            make(&doors, name, &options).await;
            let shown = |dry_run| UpsertOptions::default().with_diff(4).with_dry_run(dry_run);
            let dry = fold(&doors, name, change(), shown(true)).await;
            let wet = fold(&doors, name, change(), shown(false)).await;
            assert_eq!(dry.diff, wet.diff, "{name}");
            assert_eq!((wet.rows.updated, wet.rows.deleted, wet.rows.inserted), (2, 1, 2), "{name}");
            let mut lines = lines(&wet);
            assert_eq!(lines.pop().as_deref(), Some("insert 10:   > z 100"), "{name}");
            // In tables of several files a row that was replaced is behind others.
            lines.sort();
            assert_eq!(
                lines,
                ["delete 4: b 4 >  ", "update 2: b 2 > b 20", "update 5: a 5 > a 50"],
                "{name}"
            );
            let again = fold(&doors, name, change(), shown(false)).await;
            assert_eq!(again.diff, Some(Vec::new()), "{name}");
            let quiet = fold(&doors, name, rows(&[1], &["a"], &[7]), UpsertOptions::default()).await;
            assert_eq!((quiet.diff, quiet.rows.updated), (None, 1), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_rows_are_shown_than_asked_for() {
    let doors = Doors::new(Backend::names()[0]);
    for (name, options, _) in targets() {
        make(&doors, name, &options).await;
        for (most, expected) in [(0, 0), (1, 1), (3, 3), (5, 5), (9, 5)] {
            let options = UpsertOptions::default().with_dry_run(true).with_diff(most);
            let report = fold(&doors, name, change(), options).await;
            let shown = report.diff.expect("asked for");
            assert_eq!(shown.len(), expected, "{name}");
            let inserts = shown.iter().filter(|change| change.kind == ChangeKind::Insert).count();
            assert_eq!(inserts, expected.saturating_sub(3), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_on_disk_are_shown_as_well() {
    let doors = Doors::new(Backend::names()[0]);
    for (name, options, may_wait) in targets() {
        if !may_wait {
            continue;
        }
        make(&doors, name, &options).await;
        let options = || UpsertOptions::default().with_diff(9).with_dry_run(true);
        let held = fold(&doors, name, change(), options()).await;
        let spilled = fold(&doors, name, change(), options().with_memory_limit(no_memory())).await;
        assert!(spilled.spilled_bytes > 0, "{name}");
        let sorted = |report: &UpsertReport| {
            let mut lines = lines(report);
            lines.sort();
            lines
        };
        assert_eq!(sorted(&held), sorted(&spilled), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_shown_as_it_is_written() {
    let doors = Doors::new(Backend::names()[0]);
    for (name, options, _) in targets() {
        make(&doors, name, &options).await;
        let rule = MergeRule::by_id(["id"]).and_then(|rule| rule.with_policy("value", ColumnPolicy::Max));
        let batch = rows(&[1, 3], &["b", "c"], &[0, 30]);
        let report = doors
            .upsert
            .upsert_opts(
                Frame::from(batch),
                name,
                &rule.expect("a rule"),
                UpsertOptions::default().with_diff(2),
            )
            .await
            .expect("folds");
        assert_eq!(lines(&report), ["update 1: a 1 > b 1", "update 3: a 3 > c 30"], "{name}");
        // What does not come in is shown as it is stored.
        let batch = rows(&[1], &["?"], &[99]).project(&[0, 2]).expect("two columns");
        let report = fold_plain(&doors, name, batch).await;
        assert_eq!(lines(&report), ["update 1: b 1 > b 99"], "{name}");
    }
}

async fn fold_plain(doors: &Doors, name: &str, batch: RecordBatch) -> UpsertReport {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    let options = UpsertOptions::default().with_diff(9);
    doors.upsert.upsert_opts(Frame::from(batch), name, &rule, options).await.expect("folds")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_target_is_all_inserts() {
    let doors = Doors::new(Backend::names()[0]);
    for (name, options, _) in targets() {
        let report = fold(&doors, name, rows(&[2, 1], &["b", "a"], &[2, 1]), options.with_diff(1)).await;
        assert_eq!(lines(&report), ["insert 2:   > b 2"], "{name}");
    }
}
