//! Delta tables with deletion vectors: an upsert marks the rows it replaces, and leaves data files as they are.

use keyfold::arrow::array::RecordBatch;
use keyfold::{
    Backend, ErrorKind, Format, Frame, OptimizeOptions, ReadOptions, Result, UpsertOptions, UpsertReport,
    VacuumOptions, WriteMode, WriteOptions,
};

use crate::doors::Doors;
use crate::tables::{everywhere, fold, numbered, row, rows, stored};

const TABLE: &str = "orders";

async fn upsert(doors: &Doors, batch: RecordBatch) -> Result<UpsertReport> {
    fold(doors, TABLE, batch, UpsertOptions::default()).await
}

async fn write(doors: &Doors, batch: RecordBatch, options: WriteOptions) {
    doors.data.write_opts(Frame::from(batch), TABLE, options).await.expect("writes");
}

fn with_vectors() -> WriteOptions {
    WriteOptions::default().with_deletion_vectors(true)
}

/// Added, removed, marked.
fn files(report: &UpsertReport) -> [u64; 3] {
    [report.work.files_added, report.work.files_removed, report.work.deletion_vectors]
}

/// Names and bytes of the files of a table whose names end so.
fn ending(doors: &Doors, end: &str) -> Vec<(String, Vec<u8>)> {
    let names = doors.names_below(TABLE).into_iter().filter(|name| name.ends_with(end));
    names.map(|name| (name.clone(), doors.bytes(&format!("{TABLE}/{name}")).expect("a file"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_rows_are_marked_and_files_stay_as_they_are() {
    for doors in everywhere() {
        write(&doors, numbered(0..100), with_vectors()).await;
        write(&doors, numbered(100..200), WriteOptions::default().with_mode(WriteMode::Append)).await;
        let before = ending(&doors, ".parquet");
        let report = upsert(&doors, rows(&[3, 150, 1_000], &["b"; 3], &[1, 2, 3])).await.expect("folds");
        assert_eq!((report.rows.updated, report.rows.inserted, report.rows.rows_after), (2, 1, Some(201)));
        assert_eq!(files(&report), [1, 0, 2]);
        let after = ending(&doors, ".parquet");
        assert!(before.iter().all(|file| after.contains(file)), "files of before are as they were");
        assert_eq!(
            (after.len(), ending(&doors, ".bin").len()),
            (3, 1),
            "one new file, and all vectors in another"
        );
        let own = after.iter().find(|file| !before.contains(file)).expect("a new one").1.len();
        let vectors = ending(&doors, ".bin")[0].1.len();
        assert_eq!(report.work.bytes_written, Some((own + vectors) as u64));
        // Vectors are added to, and go where no row is left.
        let more: Vec<i64> = (0..100).collect();
        let report = upsert(&doors, rows(&more, &["c"; 100], &more)).await.expect("folds");
        assert_eq!((report.rows.updated, files(&report)), (100, [1, 1, 1]), "{}", doors.backend);
        let again = upsert(&doors, rows(&more, &["c"; 100], &more)).await.expect("folds");
        assert_eq!(
            (again.rows.unchanged, files(&again), again.version_after),
            (100, [0, 0, 0], report.version_after)
        );
        let found = stored(&doors, TABLE, ReadOptions::default()).await;
        let expected = |id: i64| match id {
            0..100 => row(id, "c", id),
            150 => row(150, "b", 2),
            1_000 => row(1_000, "b", 3),
            _ => row(id, "a", 0),
        };
        let ids: Vec<i64> = (0..200).chain([1_000]).collect();
        assert_eq!(found, ids.into_iter().map(expected).collect::<Vec<_>>());
        assert_eq!(doors.data.count(&[TABLE], ReadOptions::default()).await.expect("counts"), 201);
        assert_eq!(stored(&doors, TABLE, ReadOptions::default().with_version(2)).await[3], row(3, "b", 1));
        assert_eq!(stored(&doors, TABLE, ReadOptions::default().with_version(1)).await[3], row(3, "a", 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_does_not_come_in_is_kept_and_one_of_partitions_moves_rows() {
    for doors in everywhere() {
        let made = rows(&[1, 2, 3, 4], &["a b", "a b", "c/d=é%", "c/d=é%"], &[1, 2, 3, 4]);
        let options = UpsertOptions::default().with_partition_by(["place"]).with_deletion_vectors(true);
        fold(&doors, TABLE, made, options).await.expect("creates");
        let moved = rows(&[2, 5], &["c/d=é%", "e"], &[20, 50]);
        let report = upsert(&doors, moved).await.expect("folds");
        assert_eq!(files(&report), [2, 0, 1]);
        let no_values = rows(&[1, 3], &["c/d=é%", "a b"], &[0, 0]).project(&[0, 1]).expect("columns");
        let report = upsert(&doors, no_values).await.expect("folds");
        assert_eq!((report.rows.updated, files(&report)), (2, [2, 1, 1]));
        let no_places = rows(&[4, 5], &["", ""], &[40, 51]).project(&[2, 0]).expect("columns");
        let report = upsert(&doors, no_places).await.expect("folds");
        assert_eq!((report.rows.updated, files(&report)), (2, [2, 2, 0]));
        let expected = [
            row(1, "c/d=é%", 1),
            row(2, "c/d=é%", 20),
            row(3, "a b", 3),
            row(4, "c/d=é%", 40),
            row(5, "e", 51),
        ];
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_what_would_be_marked() {
    let doors = Doors::new(Backend::names()[0]);
    let options = with_vectors().with_partition_by(["place"]);
    write(&doors, rows(&[1, 2, 3, 4], &["a", "a", "b", "c"], &[0; 4]), options).await;
    let change = || rows(&[1, 3, 4, 9], &["b", "b", "d", "d"], &[1; 4]);
    let dry = UpsertOptions::default().with_dry_run(true);
    let planned = fold(&doors, TABLE, change(), dry).await.expect("counts");
    let done = upsert(&doors, change()).await.expect("folds");
    assert_eq!((files(&planned), planned.work.bytes_written), (files(&done), None));
    assert_eq!(files(&done), [2, 2, 1]);
    // Also where the log does not say how many rows there are.
    let doors = Doors::new(Backend::names()[0]);
    write(&doors, numbered(0..3), with_vectors()).await;
    change_log(&doors, |add| add["stats"] = serde_json::Value::Null);
    let change = || rows(&[0, 1, 2], &["b"; 3], &[1; 3]);
    let dry = UpsertOptions::default().with_dry_run(true);
    let planned = fold(&doors, TABLE, change(), dry).await.expect("counts");
    let done = upsert(&doors, change()).await.expect("folds");
    assert_eq!((files(&planned), files(&done)), ([1, 1, 0], [1, 1, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_what_other_readers_need() {
    let doors = Doors::new(Backend::names()[0]);
    write(&doors, numbered(0..10), with_vectors()).await;
    upsert(&doors, rows(&[3, 4], &["b"; 2], &[1, 1])).await.expect("folds");
    let actions = |version: u32| -> Vec<serde_json::Value> {
        let log = doors.bytes(&format!("{TABLE}/_delta_log/{version:020}.json")).expect("a version");
        let text = String::from_utf8(log).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let of = |version, kind: &str| -> Vec<serde_json::Value> {
        actions(version).iter().filter_map(|action| action.get(kind).cloned()).collect()
    };
    let protocol = &of(0, "protocol")[0];
    assert_eq!((&protocol["minReaderVersion"], &protocol["minWriterVersion"]), (&3.into(), &7.into()));
    assert_eq!(protocol["readerFeatures"], serde_json::json!(["deletionVectors"]));
    assert_eq!(of(0, "metaData")[0]["configuration"]["delta.enableDeletionVectors"], "true");
    let adds = of(1, "add");
    let marked = adds.iter().find(|add| add["deletionVector"].is_object()).expect("a marked file");
    assert_eq!(
        (&marked["deletionVector"]["storageType"], &marked["deletionVector"]["cardinality"]),
        (&"u".into(), &2.into())
    );
    let stats: serde_json::Value =
        serde_json::from_str(marked["stats"].as_str().expect("text")).expect("JSON");
    assert_eq!((&stats["numRecords"], &stats["tightBounds"]), (&10.into(), &false.into()));
    assert_eq!((&stats["minValues"]["id"], &stats["maxValues"]["id"]), (&0.into(), &9.into()));
    assert_eq!(of(1, "remove")[0]["path"], marked["path"]);
    upsert(&doors, rows(&[3, 5], &["c"; 2], &[2, 2])).await.expect("folds");
    let metrics = &of(2, "commitInfo")[0]["operationMetrics"];
    let counts =
        ["Added", "Updated", "Removed"].map(|what| &metrics[format!("numTargetDeletionVectors{what}")]);
    assert_eq!(counts.map(|count| count.to_string().replace('"', "")), ["1", "1", "0"]);
    let old = of(2, "remove").iter().filter(|file| file["deletionVector"].is_object()).count();
    assert_eq!(old, 1, "the vector before is taken out with its file");
}

#[tokio::test(flavor = "multi_thread")]
async fn optimize_folds_vectors_in_and_vacuum_leaves_those_that_count() {
    for doors in everywhere() {
        write(&doors, numbered(0..100), with_vectors()).await;
        upsert(&doors, rows(&[3, 4], &["b"; 2], &[1, 1])).await.expect("folds");
        upsert(&doors, rows(&[3, 5], &["c"; 2], &[2, 2])).await.expect("folds");
        let old = VacuumOptions::default()
            .with_retention(std::time::Duration::ZERO)
            .with_allow_early(true)
            .with_dry_run(false);
        doors.data.vacuum(TABLE, old.clone()).await.expect("deletes");
        // The vectors of before are no longer needed, those of now are.
        assert_eq!(ending(&doors, ".bin").len(), 1, "both are in one file");
        let before = stored(&doors, TABLE, ReadOptions::default()).await;
        assert_eq!((before.len(), &before[3], &before[4]), (100, &row(3, "c", 2), &row(4, "b", 1)));
        let report = doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("folds");
        assert_eq!((report.files_before, report.files_added), (3, 1));
        doors.data.vacuum(TABLE, old).await.expect("deletes");
        assert_eq!((ending(&doors, ".bin").len(), ending(&doors, ".parquet").len()), (0, 1));
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_that_was_brought_back_and_replaced_again_stays_for_as_long_as_its_version_does() {
    let doors = Doors::new(Backend::names()[0]);
    write(&doors, numbered(0..10), with_vectors()).await;
    upsert(&doors, rows(&[3], &["b"], &[1])).await.expect("folds");
    doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("folds");
    // All of that was long ago.
    let then = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    for name in doors.names_below(TABLE) {
        let file = std::fs::File::options().append(true).open(doors.path(&format!("{TABLE}/{name}")));
        file.and_then(|file| file.set_modified(then)).expect("aged");
    }
    doors.data.restore(TABLE, ReadOptions::default().with_version(1), false).await.expect("brings back");
    upsert(&doors, rows(&[4], &["c"], &[2])).await.expect("folds");
    let half = VacuumOptions::default().with_retention(std::time::Duration::from_mins(30));
    let report = doors.data.vacuum(TABLE, half.with_allow_early(true).with_dry_run(false)).await;
    report.expect("deletes");
    let found = stored(&doors, TABLE, ReadOptions::default().with_version(3)).await;
    assert_eq!((found.len(), &found[3], &found[4]), (10, &row(3, "b", 1), &row(4, "a", 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_of_rows_that_a_file_does_not_have_is_damaged() {
    /// Rows 3, 4, 7, 11, 18 and 29.
    const VECTOR: &str = r#"{"storageType":"i","pathOrInlineDv":"^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L","sizeInBytes":44,"cardinality":6}"#;
    for backend in Backend::names() {
        let doors = Doors::new(backend);
        write(&doors, numbered(0..10), with_vectors()).await;
        change_log(&doors, |add| add["deletionVector"] = serde_json::from_str(VECTOR).expect("JSON"));
        let refused = upsert(&doors, rows(&[5], &["b"], &[1])).await.map(drop).map_err(|e| e.kind());
        assert_eq!(refused, Err(ErrorKind::InvalidData));
        let refused = doors.read(&[TABLE], ReadOptions::default()).await.map(drop).map_err(|e| e.kind());
        assert_eq!(refused, Err(ErrorKind::InvalidData), "{backend}");
    }
}

/// Changes what the first version says of its file.
fn change_log(doors: &Doors, change: impl Fn(&mut serde_json::Value)) {
    let name = format!("{TABLE}/_delta_log/{:020}.json", 0);
    let log = String::from_utf8(doors.bytes(&name).expect("a version")).expect("text");
    let changed = |line: &str| {
        let mut action: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if let Some(add) = action.get_mut("add") {
            change(add);
        }
        action.to_string()
    };
    doors.file(&name, log.lines().map(changed).collect::<Vec<_>>().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_table_that_is_made_so_or_said_to_be_has_them() {
    let doors = Doors::new(Backend::names()[0]);
    write(&doors, numbered(0..10), WriteOptions::default()).await;
    let asked = UpsertOptions::default().with_deletion_vectors(true);
    let refused = fold(&doors, TABLE, numbered(5..6), asked.clone()).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let refused = doors.data.write_opts(
        Frame::from(numbered(5..6)),
        TABLE,
        with_vectors().with_mode(WriteMode::Append),
    );
    assert_eq!(refused.await.map(drop).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    for (name, format) in [("a.parquet", None), ("folder/", Some(Format::Parquet))] {
        let asked = format.into_iter().fold(asked.clone(), UpsertOptions::with_format);
        let refused = fold(&doors, name, numbered(0..1), asked).await.expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::Usage, "{name}");
        let asked = format.into_iter().fold(with_vectors(), WriteOptions::with_format);
        let refused = doors.data.write_opts(Frame::from(numbered(0..1)), name, asked).await;
        assert_eq!(refused.map(drop).map_err(|e| e.kind()), Err(ErrorKind::Usage), "{name}");
    }
    assert_eq!(files(&upsert(&doors, rows(&[5], &["b"], &[1])).await.expect("folds")), [1, 1, 0]);
}
