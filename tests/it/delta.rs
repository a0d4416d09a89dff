//! Delta tables as targets and sources, for every backend and kind of storage.

use std::sync::Arc;

use keyfold::arrow::array::{AsArray, RecordBatch};
use keyfold::arrow::datatypes::Int64Type;
use keyfold::{
    Backend, ErrorKind, Format, Frame, MergeRule, ReadOptions, Result, UpsertOptions, UpsertReport,
    WriteMode, WriteOptions,
};

use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::doors::Doors;
use crate::tables::{everywhere, fold, numbered, row, rows, stored};

const TABLE: &str = "orders";

async fn upsert(doors: &Doors, batch: RecordBatch, options: UpsertOptions) -> Result<UpsertReport> {
    fold(doors, TABLE, batch, options).await
}

async fn write(doors: &Doors, batch: RecordBatch, options: WriteOptions) -> Result<u64> {
    doors.data.write_opts(Frame::from(batch), TABLE, options).await.map(|report| report.rows)
}

fn append() -> WriteOptions {
    WriteOptions::default().with_mode(WriteMode::Append)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_without_an_extension_becomes_a_table_and_takes_updates() {
    for doors in everywhere() {
        let first = upsert(&doors, rows(&[1, 2], &["a", "b"], &[1, 2]), UpsertOptions::default()).await;
        let first = first.expect("creates");
        assert_eq!(
            (first.created, first.format, first.version_after.as_deref()),
            (true, Format::Delta, Some("0"))
        );
        let second = upsert(&doors, rows(&[2, 3], &["b", "c"], &[20, 30]), UpsertOptions::default()).await;
        let second = second.expect("folds");
        assert_eq!((second.rows.updated, second.rows.inserted, second.rows.rows_after), (1, 1, Some(3)));
        assert_eq!((second.work.files_removed, second.work.files_added), (1, 2));
        assert_eq!(
            (second.version_before.as_deref(), second.version_after.as_deref()),
            (Some("0"), Some("1"))
        );
        let again = upsert(&doors, rows(&[2, 3], &["b", "c"], &[20, 30]), UpsertOptions::default()).await;
        let again = again.expect("folds");
        assert_eq!(
            (again.rows.unchanged, again.work.files_added, again.version_after.as_deref()),
            (2, 0, Some("1"))
        );
        let expected = [row(1, "a", 1), row(2, "b", 20), row(3, "c", 30)];
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, expected);
        assert_eq!(doors.data.count(&[TABLE], ReadOptions::default()).await.expect("counts"), 3);
        let log = doors.names_in(&format!("{TABLE}/_delta_log"));
        assert_eq!(log, ["00000000000000000000.json", "00000000000000000001.json"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_rewritten_side_by_side_and_those_that_are_done_go_if_another_fails() {
    let rule = MergeRule::by_modified(["id"], "value").expect("a rule");
    for doors in everywhere() {
        for id in [1, 3, 5, 7] {
            write(&doors, rows(&[id, id + 1], &["a", "b"], &[1, 1]), append()).await.expect("appends");
        }
        let change = |value| Frame::from(rows(&[1, 3, 5, 7], &["c"; 4], &[value; 4]));
        let fold = |value| doors.upsert.upsert_opts(change(value), TABLE, &rule, UpsertOptions::default());
        let report = fold(2).await.expect("folds");
        let work = &report.work;
        assert_eq!((work.files_removed, work.files_added, work.row_groups_rewritten), (4, 4, 4));
        assert!(work.value_bytes_read > 0 && work.bytes_read > work.value_bytes_read, "{work:?}");
        let expected = [1, 3, 5, 7].map(|id| [row(id, "c", 2), row(id + 1, "b", 1)]).concat();
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, expected);
        // Of one file, a column that is not looked at before files are written.
        let names = doors.names_in(TABLE);
        let files: Vec<&String> = names.iter().filter(|name| name.ends_with(".parquet")).collect();
        let damaged = format!("{TABLE}/{}", files[files.len() - 2]);
        let mut bytes = doors.bytes(&damaged).expect("a file");
        let footer = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).expect("a footer");
        let (start, len) = footer.metadata().row_group(0).column(1).byte_range();
        let place = |at: u64| usize::try_from(at).expect("small");
        bytes[place(start)..place(start + len)].fill(0xff);
        doors.file(&damaged, bytes);
        let refused = fold(3).await.expect_err("damaged");
        assert_eq!(refused.kind(), ErrorKind::InvalidData, "{refused:?}");
        assert_eq!(doors.names_in(TABLE), names);
        assert_eq!(doors.names_in(&format!("{TABLE}/_delta_log")).len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_is_read_by_number_and_by_time() {
    for doors in everywhere() {
        let before = chrono::Utc::now() - chrono::TimeDelta::days(1);
        for value in 0..3 {
            upsert(&doors, rows(&[1], &["a"], &[value]), UpsertOptions::default()).await.expect("folds");
        }
        for version in 0..3 {
            let value = i64::try_from(version).expect("small");
            let options = ReadOptions::default().with_version(version);
            assert_eq!(stored(&doors, TABLE, options).await, [row(1, "a", value)]);
        }
        let later = ReadOptions::default().with_timestamp(chrono::Utc::now() + chrono::TimeDelta::days(1));
        assert_eq!(stored(&doors, TABLE, later).await, [row(1, "a", 2)]);
        for options in [ReadOptions::default().with_version(3), ReadOptions::default().with_timestamp(before)]
        {
            let missing = doors.read(&[TABLE], options).await;
            assert_eq!(missing.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::NotFound));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_says_what_was_done() {
    for doors in everywhere() {
        for value in 0..3 {
            upsert(&doors, rows(&[1, value], &["a", "a"], &[value, value]), UpsertOptions::default())
                .await
                .expect("folds");
        }
        let all = doors.data.history(TABLE, None).await.expect("a history");
        let told: Vec<_> = all.iter().map(|v| (v.version, v.operation.as_deref())).collect();
        assert_eq!(told, [(2, Some("MERGE")), (1, Some("MERGE")), (0, Some("WRITE"))]);
        assert_eq!(all[0].metrics["numTargetRowsInserted"], "1");
        assert!(
            all.iter()
                .all(|v| v.timestamp.is_some()
                    && v.engine.as_deref().is_some_and(|e| e.starts_with("keyfold")))
        );
        let last = doors.data.history(TABLE, Some(1)).await.expect("a history");
        assert_eq!(last, all[..1]);
        let missing = doors.data.history("nothing", None).await;
        assert_eq!(missing.map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_version_is_brought_back_and_so_is_the_later_one() {
    for doors in everywhere() {
        let options = UpsertOptions::default().with_partition_by(["place"]);
        upsert(&doors, rows(&[1, 2], &["a", "b"], &[1, 2]), options).await.expect("creates");
        upsert(&doors, rows(&[2, 3], &["c", "b"], &[20, 30]), UpsertOptions::default()).await.expect("folds");
        let (old, new) =
            ([row(1, "a", 1), row(2, "b", 2)], [row(1, "a", 1), row(2, "c", 20), row(3, "b", 30)]);
        let to = |version, dry_run| {
            doors.data.restore(TABLE, ReadOptions::default().with_version(version), dry_run)
        };
        let planned = to(0, true).await.expect("plans");
        assert_eq!((planned.files_added, planned.files_removed, planned.version_after), (1, 2, 1));
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, new);
        let done = to(0, false).await.expect("restores");
        assert_eq!((done.files_added, done.files_removed, done.version_after), (1, 2, 2));
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, old);
        // Once more there is nothing to do.
        assert_eq!(to(0, false).await.expect("looks").version_after, 2);
        assert_eq!(to(1, false).await.expect("restores").version_after, 3);
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, new);
        assert_eq!(to(9, false).await.map(drop).map_err(|e| e.kind()), Err(ErrorKind::NotFound));
        let unsaid = doors.data.restore(TABLE, ReadOptions::default(), false).await;
        assert_eq!(unsaid.map(drop).map_err(|e| e.kind()), Err(ErrorKind::Usage));
        // A later upsert builds on what was brought back.
        let report =
            upsert(&doors, rows(&[2], &["c"], &[21]), UpsertOptions::default()).await.expect("folds");
        assert_eq!((report.rows.updated, report.rows.rows_after), (1, Some(3)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_files_are_gone_is_not_brought_back() {
    let doors = Doors::new(Backend::names()[0]);
    upsert(&doors, numbered(0..2), UpsertOptions::default()).await.expect("creates");
    let first = doors.names_in(TABLE).into_iter().find(|name| name.starts_with("part-")).expect("a file");
    upsert(&doors, rows(&[0], &["b"], &[1]), UpsertOptions::default()).await.expect("folds");
    std::fs::remove_file(doors.path(&format!("{TABLE}/{first}"))).expect("removed");
    let error = doors.data.restore(TABLE, ReadOptions::default().with_version(0), false).await.map(drop);
    assert!(error.expect_err("it is gone").to_string().contains(&first));
    assert_eq!(doors.names_in("orders/_delta_log").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_filter_and_limit_are_as_asked() {
    for doors in everywhere() {
        let options = WriteOptions::default().with_partition_by(["place"]);
        write(&doors, rows(&[1, 2, 3], &["a", "b", "a"], &[10, 20, 30]), options).await.expect("writes");
        let options = ReadOptions::default()
            .with_columns(["value"])
            .with_filter("place = 'a' AND id > 1".parse().expect("a condition"));
        let found = doors.read(&[TABLE], options).await.expect("reads");
        assert_eq!(found.column(0).as_primitive::<Int64Type>().values(), &[30]);
        assert_eq!(found.num_columns(), 1);
        let some = doors.read(&[TABLE], ReadOptions::default().with_limit(2)).await.expect("reads");
        assert_eq!(some.num_rows(), 2);
        let schema = doors.data.schema(&[TABLE], ReadOptions::default()).await.expect("a schema");
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["id", "place", "value"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_hold_an_id_are_not_opened() {
    for doors in everywhere() {
        for first in [0, 100, 200] {
            write(&doors, numbered(first..first + 100), append()).await.expect("writes");
        }
        let change = rows(&[150, 1_000], &["a", "a"], &[1, 1]);
        let report = upsert(&doors, change, UpsertOptions::default()).await.expect("folds");
        assert_eq!((report.work.files_read, report.work.files_skipped), (1, 2));
        // Not even their footers are read, which would rule out their row groups.
        assert_eq!((report.work.row_groups_read, report.work.row_groups_skipped), (1, 0));
        assert_eq!((report.work.files_removed, report.work.files_added), (1, 2));
        assert_eq!((report.rows.updated, report.rows.inserted, report.rows.rows_before), (1, 1, Some(300)));
        assert_eq!(doors.data.count(&[TABLE], ReadOptions::default()).await.expect("counts"), 301);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_changes_its_partition_is_stored_once() {
    for doors in everywhere() {
        let options = UpsertOptions::default().with_partition_by(["place"]);
        let made = rows(&[1, 2, 3], &["a b", "a b", "c/d=é%"], &[1, 2, 3]);
        upsert(&doors, made, options).await.expect("creates");
        let moved = rows(&[2, 3, 4], &["c/d=é%", "c/d=é%", "e"], &[20, 3, 40]);
        let report = upsert(&doors, moved, UpsertOptions::default()).await.expect("folds");
        assert_eq!((report.rows.updated, report.rows.unchanged, report.rows.inserted), (1, 1, 1));
        let expected = [row(1, "a b", 1), row(2, "c/d=é%", 20), row(3, "c/d=é%", 3), row(4, "e", 40)];
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, expected);
        assert_eq!(doors.data.count(&[TABLE], ReadOptions::default()).await.expect("counts"), 4);
        // The last row of a partition takes its file with it.
        let last = upsert(&doors, rows(&[1], &["e"], &[1]), UpsertOptions::default()).await.expect("folds");
        assert_eq!((last.work.files_removed, last.work.files_added), (1, 1));
        // Without the column a row stays where it is.
        let batch = rows(&[4], &["?"], &[41]).project(&[0, 2]).expect("two columns");
        upsert(&doors, batch, UpsertOptions::default()).await.expect("folds");
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await[3], row(4, "e", 41));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_rule_files_out_only_where_they_are_ids() {
    let doors = Doors::new(Backend::names()[0]);
    let options = WriteOptions::default().with_partition_by(["place"]);
    write(&doors, rows(&[1, 1], &["a", "b"], &[1, 2]), options).await.expect("writes");
    let rule = MergeRule::by_id(["place", "id"]).expect("a rule");
    let batch = Frame::from(rows(&[1], &["b"], &[20]));
    let report =
        doors.upsert.upsert_opts(batch, TABLE, &rule, UpsertOptions::default()).await.expect("folds");
    assert_eq!((report.rows.updated, report.work.files_read, report.work.files_skipped), (1, 1, 1));
    assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_at_once_end_as_if_one_after_the_other() {
    const WRITERS: i64 = 4;
    for doors in everywhere() {
        let doors = Arc::new(doors);
        let one = |writer: i64| {
            let doors = Arc::clone(&doors);
            async move {
                let mut conflicts = 0;
                for round in 0..3 {
                    let own = 10 * writer + round;
                    let batch = rows(&[own, 1_000], &["a", "a"], &[own, own]);
                    conflicts +=
                        upsert(&doors, batch, UpsertOptions::default().with_max_retries(50)).await?.conflicts;
                }
                Ok::<_, keyfold::Error>(conflicts)
            }
        };
        let running: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(one(writer))).collect();
        let mut conflicts = 0;
        for writer in running {
            conflicts += writer.await.expect("a writer").expect("folds");
        }
        let found: Vec<i64> =
            stored(&doors, TABLE, ReadOptions::default()).await.iter().map(|row| row.0).collect();
        let expected: Vec<i64> =
            (0..WRITERS).flat_map(|w| (0..3).map(move |r| 10 * w + r)).chain([1_000]).collect();
        assert_eq!(found, expected, "{}", doors.backend);
        assert!(conflicts > 0, "they met");
        // Every file that a version names is there, and files of attempts that lost are not.
        let data = doors.names_in(TABLE).iter().filter(|name| name.ends_with(".parquet")).count();
        let report =
            upsert(&doors, rows(&[0], &["a"], &[-1]), UpsertOptions::default()).await.expect("folds");
        assert!(data > 0 && report.rows.updated == 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_that_make_a_table_one_is_told() {
    for doors in everywhere() {
        let doors = Arc::new(doors);
        let make = |id: i64| {
            let doors = Arc::clone(&doors);
            tokio::spawn(
                async move { write(&doors, rows(&[id], &["a"], &[id]), WriteOptions::default()).await },
            )
        };
        let (one, two) = (make(1), make(2));
        let ends = [one.await.expect("a writer"), two.await.expect("a writer")];
        let told =
            ends.iter().filter(|end| end.as_ref().is_err_and(|e| e.kind() == ErrorKind::AlreadyExists));
        assert_eq!(told.count(), 1, "{ends:?}");
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_modes_are_kept() {
    for doors in everywhere() {
        let mode = |mode| WriteOptions::default().with_mode(mode);
        assert_eq!(write(&doors, numbered(0..3), mode(WriteMode::Append)).await.expect("creates"), 3);
        let refused = write(&doors, numbered(0..3), mode(WriteMode::Error)).await;
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::AlreadyExists));
        assert_eq!(write(&doors, numbered(0..3), mode(WriteMode::Ignore)).await.expect("leaves"), 0);
        assert_eq!(write(&doors, numbered(3..5), mode(WriteMode::Append)).await.expect("appends"), 2);
        assert_eq!(doors.data.count(&[TABLE], ReadOptions::default()).await.expect("counts"), 5);
        assert_eq!(write(&doors, numbered(7..8), mode(WriteMode::Overwrite)).await.expect("overwrites"), 1);
        assert_eq!(stored(&doors, TABLE, ReadOptions::default()).await, [row(7, "a", 0)]);
        let old = ReadOptions::default().with_version(1);
        assert_eq!(doors.data.count(&[TABLE], old).await.expect("counts"), 5);
        let other = WriteOptions::default().with_mode(WriteMode::Append).with_partition_by(["place"]);
        let refused = write(&doors, numbered(0..1), other).await;
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_writes_nothing() {
    let doors = Doors::new(Backend::names()[0]);
    let dry = || UpsertOptions::default().with_dry_run(true);
    let first = upsert(&doors, numbered(0..2), dry()).await.expect("plans");
    assert!(first.created && doors.names().is_empty());
    upsert(&doors, numbered(0..2), UpsertOptions::default()).await.expect("creates");
    let report = upsert(&doors, rows(&[1, 2], &["a", "a"], &[1, 1]), dry()).await.expect("plans");
    assert_eq!((report.work.files_removed, report.work.files_added, report.work.bytes_written), (1, 2, None));
    assert_eq!(doors.names_in("orders/_delta_log").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_written_and_read() {
    for doors in everywhere() {
        for value in 0..12 {
            let batch = rows(&[100, value], &["a", "a"], &[value, value]);
            upsert(&doors, batch, UpsertOptions::default()).await.expect("folds");
        }
        let log = doors.names_in("orders/_delta_log");
        assert!(log.iter().any(|name| name == "_last_checkpoint"), "{log:?}");
        let found = stored(&doors, TABLE, ReadOptions::default()).await;
        assert_eq!((found.len(), found[12].2), (13, 11));
    }
}

/// A table without rows that asks for something.
fn foreign(doors: &Doors, protocol: &str, configuration: &str, column_metadata: &str) {
    let schema = format!(
        r#"{{\"type\":\"struct\",\"fields\":[{{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{column_metadata}}}]}}"#
    );
    let log = format!(
        "{{\"protocol\":{protocol}}}\n{{\"metaData\":{{\"id\":\"x\",\"format\":{{\"provider\":\"parquet\",\"options\":{{}}}},\
         \"schemaString\":\"{schema}\",\"partitionColumns\":[],\"configuration\":{configuration},\"createdTime\":0}}}}\n"
    );
    doors.file("orders/_delta_log/00000000000000000000.json", log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_that_is_not_honoured_is_refused_by_name() {
    const LEGACY: &str = r#"{"minReaderVersion":1,"minWriterVersion":6}"#;
    let listed = |names: &str| {
        format!(
            r#"{{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":[{names}]}}"#
        )
    };
    let cases = [
        (listed(r#""rowTracking","domainMetadata""#), "{}", "{}", "rowTracking"),
        (listed(r#""clustering","domainMetadata""#), "{}", "{}", "clustering"),
        (listed(r#""icebergCompatV1""#), "{}", "{}", "icebergCompatV1"),
        (LEGACY.to_owned(), r#"{"delta.constraints.c":"id > 0"}"#, "{}", "checkConstraints"),
        (LEGACY.to_owned(), r#"{"delta.enableChangeDataFeed":"true"}"#, "{}", "changeDataFeed"),
        (LEGACY.to_owned(), "{}", r#"{\"delta.invariants\":\"x\"}"#, "invariants"),
        (LEGACY.to_owned(), "{}", r#"{\"delta.generationExpression\":\"1\"}"#, "generatedColumns"),
        (LEGACY.to_owned(), "{}", r#"{\"delta.identity.start\":1}"#, "identityColumns"),
    ];
    for (protocol, configuration, metadata, feature) in cases {
        let doors = Doors::new(Backend::names()[0]);
        std::fs::create_dir_all(doors.path("orders/_delta_log")).expect("a folder");
        foreign(&doors, &protocol, configuration, metadata);
        for refused in [
            upsert(&doors, numbered(0..1), UpsertOptions::default()).await.map(|_| ()),
            write(&doors, numbered(0..1), append()).await.map(|_| ()),
        ] {
            let error = refused.expect_err(feature);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
            assert!(error.to_string().contains(feature), "{error:?}");
        }
        assert_eq!(doors.names_in(TABLE), ["_delta_log"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_would_be_misread_is_refused_by_name() {
    let doors = Doors::new(Backend::names()[0]);
    std::fs::create_dir_all(doors.path("orders/_delta_log")).expect("a folder");
    let protocol = r#"{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["liquidGold"],"writerFeatures":["liquidGold"]}"#;
    foreign(&doors, protocol, "{}", "{}");
    let error = doors.read(&[TABLE], ReadOptions::default()).await.map(|_| ()).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(format!("{error:?}").contains("liquidGold"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_append_only_table_are_only_added() {
    let doors = Doors::new(Backend::names()[0]);
    std::fs::create_dir_all(doors.path("orders/_delta_log")).expect("a folder");
    let protocol = r#"{"minReaderVersion":1,"minWriterVersion":2}"#;
    foreign(&doors, protocol, r#"{"delta.appendOnly":"true"}"#, "{}");
    let ids = |ids: &[i64]| rows(ids, &vec!["a"; ids.len()], ids).project(&[0]).expect("a column");
    upsert(&doors, ids(&[1, 2]), UpsertOptions::default()).await.expect("adds");
    upsert(&doors, ids(&[2, 3]), UpsertOptions::default()).await.expect("adds, and finds the other equal");
    let refused = write(&doors, ids(&[9]), WriteOptions::default().with_mode(WriteMode::Overwrite)).await;
    assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
    assert_eq!(doors.data.count(&[TABLE], ReadOptions::default()).await.expect("counts"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_table_is_not_taken_for_one() {
    let doors = Doors::new(Backend::names()[0]);
    std::fs::create_dir(doors.path(TABLE)).expect("a folder");
    doors.file("orders/notes.txt", "x");
    let refused = upsert(&doors, numbered(0..1), UpsertOptions::default()).await;
    assert_eq!(refused.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    let missing = doors.read(&[TABLE], ReadOptions::default().with_format(Format::Delta)).await;
    assert_eq!(missing.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    doors.file("a.csv", "id\n1\n");
    let version = ReadOptions::default().with_version(0);
    assert_eq!(
        doors.read(&["a.csv"], version).await.map(|_| ()).map_err(|e| e.kind()),
        Err(ErrorKind::Usage)
    );
}

/// The text of a file.
fn text(doors: &Doors, name: &str) -> String {
    String::from_utf8(doors.bytes(name).expect("a file")).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_a_deletion_vector_are_not_there() {
    /// Rows 3, 4, 7, 11, 18 and 29.
    const VECTOR: &str = r#"{"storageType":"i","pathOrInlineDv":"^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L","sizeInBytes":44,"cardinality":6}"#;
    for doors in everywhere() {
        write(&doors, numbered(0..30), WriteOptions::default()).await.expect("writes");
        let log = text(&doors, "orders/_delta_log/00000000000000000000.json");
        let add = log.lines().find(|line| line.starts_with("{\"add\"")).expect("a file");
        let mut add: serde_json::Value = serde_json::from_str(add).expect("JSON");
        let path = add["add"]["path"].clone();
        add["add"]["deletionVector"] = serde_json::from_str(VECTOR).expect("JSON");
        let lines = [
            r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}"#.to_owned(),
            serde_json::json!({ "remove": { "path": path, "dataChange": true, "deletionTimestamp": 1 } }).to_string(),
            add.to_string(),
        ];
        doors.file("orders/_delta_log/00000000000000000001.json", lines.join("\n"));
        let gone = [3, 4, 7, 11, 18, 29];
        let ids = |rows: Vec<(i64, String, i64)>| rows.into_iter().map(|row| row.0).collect::<Vec<_>>();
        let expected: Vec<i64> = (0..30).filter(|id| !gone.contains(id)).collect();
        assert_eq!(ids(stored(&doors, TABLE, ReadOptions::default()).await), expected);
        assert_eq!(doors.data.count(&[TABLE], ReadOptions::default()).await.expect("counts"), 24);
        // A deleted row is not met, and does not come back when its file is written anew.
        let report = upsert(&doors, rows(&[4, 5], &["a", "a"], &[1, 1]), UpsertOptions::default()).await;
        let report = report.expect("folds");
        assert_eq!((report.rows.inserted, report.rows.updated, report.rows.rows_before), (1, 1, Some(24)));
        let expected: Vec<i64> = (0..30).filter(|id| *id == 4 || !gone.contains(id)).collect();
        assert_eq!(ids(stored(&doors, TABLE, ReadOptions::default()).await), expected);
    }
}
