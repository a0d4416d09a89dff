//! The contracts of `Reader`, `Writer` and `Upserter`, line by line, for every backend and format.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keyfold::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use keyfold::arrow::datatypes::{DataType, Field, Schema};
use keyfold::conformance::table_of;
use keyfold::{
    Backend, BatchStream, Error, ErrorKind, Frame, MergeRule, ReadOptions, UpsertOptions, WriteMode,
    WriteOptions,
};

use crate::doors::{Doors, FORMATS, batches_of};

/// Every backend with every format: the doors into an empty folder, and the extension.
fn cells() -> Vec<(Doors, &'static str)> {
    let backends = Backend::names().iter();
    backends.flat_map(|backend| FORMATS.map(|(_, extension)| (Doors::new(backend), extension))).collect()
}

/// Rows of an id and a word.
fn rows(ids: &[i64], words: &[&str]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    let words: ArrayRef = Arc::new(StringArray::from(words.to_vec()));
    RecordBatch::try_from_iter([("id", ids), ("word", words)]).expect("a batch")
}

fn words(ids: std::ops::Range<i64>) -> RecordBatch {
    let names: Vec<String> = ids.clone().map(|id| format!("w{id}")).collect();
    rows(&ids.collect::<Vec<_>>(), &names.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn assert_rows(found: &RecordBatch, expected: &RecordBatch, doors: &Doors, extension: &str) {
    let [found, expected] = [found, expected].map(|rows| table_of(rows).expect("a table"));
    assert_eq!(found, expected, "{}, {extension}", doors.backend);
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

async fn write(doors: &Doors, name: &str, batch: RecordBatch) {
    let rows = doors.own_frame(batch).await;
    doors.data.write(rows, name).await.expect("written");
}

/// A stream whose second batch is an error.
fn broken() -> Frame {
    let fails = Error::new(ErrorKind::Engine, "the source broke");
    Frame::from(BatchStream::from_iter(words(0..1).schema(), [Ok(words(7..9)), Err(fails)]))
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_come_back_exactly_as_named_in_that_order() {
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        write(&doors, &name, words(0..3)).await;
        let both =
            doors.read(&[&name], ReadOptions::default().with_columns(["word", "id"])).await.expect("read");
        assert_eq!(names(&both), ["word", "id"], "{} {ext}", doors.backend);
        let one = doors.read(&[&name], ReadOptions::default().with_columns(["word"])).await.expect("read");
        assert_eq!((names(&one), one.num_rows()), (vec!["word".to_owned()], 3));
        let schema = Schema::new(vec![Field::new("gone", DataType::Utf8, true)]);
        let typed = doors.read(&[&name], ReadOptions::default().with_schema(schema)).await;
        assert_eq!(typed.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput), "{} {ext}", doors.backend);
        for missing in ["none", "Word"] {
            let options = ReadOptions::default().with_columns(["id", missing]);
            let error = doors.read(&[&name], options).await.expect_err("no such column");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{} {ext}: {error:?}", doors.backend);
            assert!(error.context().any(|fact| fact == ("column", missing)), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_keep_their_order_within_a_file_and_files_follow_each_other_as_named() {
    for (doors, ext) in cells() {
        let [first, second, third] = ["c", "a", "b"].map(|stem| format!("{stem}.{ext}"));
        let options = WriteOptions::default().with_row_group_rows(100);
        for (name, ids) in [(&first, 0..1_000), (&second, 1_000..2_000), (&third, 2_000..2_001)] {
            let rows = doors.own_frame(words(ids)).await;
            doors.data.write_opts(rows, name, options.clone()).await.expect("written");
        }
        let found = doors.read(&[&first, &second, &third], ReadOptions::default()).await.expect("read");
        assert_rows(&found, &words(0..2_001), &doors, ext);
        let found =
            doors.read(&[&first, &second], ReadOptions::default().with_limit(1_003)).await.expect("read");
        assert_rows(&found, &words(0..1_003), &doors, ext);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_glob_pattern_follow_each_other_by_name() {
    for (doors, ext) in cells() {
        for (stem, ids) in [("b", 1..2), ("c", 2..3), ("a", 0..1), ("ab", 9..10)] {
            write(&doors, &format!("{stem}.{ext}"), words(ids)).await;
        }
        let found = doors.read(&[&format!("?.{ext}")], ReadOptions::default()).await.expect("read");
        assert_rows(&found, &words(0..3), &doors, ext);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_have_the_same_columns_and_the_order_of_the_first_stands() {
    for (doors, ext) in cells() {
        let [first, swapped, fewer, more] = ["a", "b", "c", "d"].map(|stem| format!("{stem}.{ext}"));
        write(&doors, &first, words(0..2)).await;
        write(&doors, &swapped, words(2..4).project(&[1, 0]).expect("columns")).await;
        write(&doors, &fewer, words(4..5).project(&[0]).expect("columns")).await;
        let found = doors.read(&[&first, &swapped], ReadOptions::default()).await.expect("read");
        assert_rows(&found, &words(0..4), &doors, ext);
        let extra = words(4..5).column(0).clone();
        let batch = words(4..5);
        let columns = [("id", batch.column(0).clone()), ("word", batch.column(1).clone()), ("more", extra)];
        write(&doors, &more, RecordBatch::try_from_iter(columns).expect("a batch")).await;
        for (other, columns) in [(&fewer, 2), (&more, 3)] {
            let read = doors.read(&[&first, other], ReadOptions::default()).await;
            let found = read.map(|rows| (rows.num_rows(), rows.num_columns())).map_err(|e| e.kind());
            let expected = if ext == "ndjson" { Ok((3, columns)) } else { Err(ErrorKind::InvalidInput) };
            assert_eq!(found, expected, "{} {ext}", doors.backend);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_location_or_a_pattern_that_matches_nothing_is_not_found() {
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        write(&doors, &name, words(0..1)).await;
        for missing in [format!("b.{ext}"), format!("x*.{ext}"), format!("no/such/folder/a.{ext}")] {
            for files in [vec![missing.as_str()], vec![name.as_str(), missing.as_str()]] {
                let error = doors.read(&files, ReadOptions::default()).await.expect_err("missing");
                assert_eq!(error.kind(), ErrorKind::NotFound, "{} {files:?}: {error:?}", doors.backend);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_invalid_input() {
    for (doors, ext) in cells() {
        let name = format!("folder.{ext}");
        std::fs::create_dir(doors.path(&name)).expect("made");
        let error = doors.read(&[&name], ReadOptions::default()).await.expect_err("a folder");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{} {ext}: {error:?}", doors.backend);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_file_or_the_new_one_never_a_mix() {
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        let overwrite = WriteOptions::default().with_mode(WriteMode::Overwrite);
        let versions = [words(0..2_000), words(5_000..5_100)];
        write(&doors, &name, versions[0].clone()).await;
        let (done, path) = (Arc::new(AtomicBool::new(false)), doors.path(&name));
        let whole: Vec<Vec<u8>> = {
            let mut whole = Vec::new();
            for version in [1, 0] {
                let rows = doors.own_frame(versions[version].clone()).await;
                doors.data.write_opts(rows, &name, overwrite.clone()).await.expect("written");
                whole.push(doors.bytes(&name).expect("a file"));
            }
            whole
        };
        let reader = std::thread::spawn({
            let (done, whole) = (Arc::clone(&done), whole.clone());
            move || {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    let bytes = std::fs::read(&path).expect("always there");
                    assert!(whole.contains(&bytes), "a mix of {} bytes", bytes.len());
                    seen += 1;
                }
                seen
            }
        });
        for round in 0..10 {
            let rows = doors.own_frame(versions[round % 2].clone()).await;
            doors.data.write_opts(rows, &name, overwrite.clone()).await.expect("written");
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("no mix") > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        let error = doors.data.write(broken(), &name).await.expect_err("breaks");
        assert_eq!(error.message(), "the source broke");
        assert_eq!(doors.names(), [""; 0]);
        write(&doors, &name, words(0..3)).await;
        let before = doors.bytes(&name);
        for mode in [WriteMode::Overwrite, WriteMode::Append] {
            let options = WriteOptions::default().with_mode(mode);
            let error = doors.data.write_opts(broken(), &name, options).await.expect_err("breaks");
            assert_eq!(error.kind(), ErrorKind::Engine, "{} {ext}: {error:?}", doors.backend);
            assert_eq!((doors.bytes(&name), doors.names()), (before.clone(), vec![name.clone()]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_treated_as_the_mode_says_and_refused_by_default() {
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        write(&doors, &name, words(0..3)).await;
        let before = doors.bytes(&name);
        let error = doors.data.write(words(3..4), &name).await.expect_err("exists");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{} {ext}: {error:?}", doors.backend);
        let modes = [
            (WriteMode::Ignore, false, words(0..3)),
            (WriteMode::Append, true, words(0..5)),
            (WriteMode::Overwrite, true, words(3..5)),
        ];
        assert_eq!(doors.bytes(&name), before);
        for (mode, written, after) in modes {
            let rows = doors.own_frame(words(3..5)).await;
            let options = WriteOptions::default().with_mode(mode);
            let report = doors.data.write_opts(rows, &name, options).await.expect("written");
            assert_eq!((report.written, report.rows), (written, if written { 2 } else { 0 }), "{mode}");
            let found = doors.rows(&name, after.schema()).await.expect("read");
            assert_rows(&found, &after, &doors, ext);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn append_keeps_the_stored_types_and_order_of_columns() {
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        write(&doors, &name, words(0..2)).await;
        let schema = doors.data.schema(&[&name], ReadOptions::default()).await.expect("a schema");
        let ids: ArrayRef = Arc::new(Float64Array::from(vec![2.0]));
        let word: ArrayRef = Arc::new(StringArray::from(vec!["w2"]));
        let batch = RecordBatch::try_from_iter([("word", word), ("id", ids)]).expect("a batch");
        let options = WriteOptions::default().with_mode(WriteMode::Append);
        let appended = doors.own_frame(batch).await;
        doors.data.write_opts(appended, &name, options).await.expect("appended");
        assert_eq!(doors.data.schema(&[&name], ReadOptions::default()).await.expect("a schema"), schema);
        assert_rows(
            &doors.read(&[&name], ReadOptions::default()).await.expect("read"),
            &words(0..3),
            &doors,
            ext,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn append_refuses_values_that_do_not_fit_and_other_columns() {
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        write(&doors, &name, words(0..2)).await;
        let before = doors.bytes(&name);
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![2]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let other =
            RecordBatch::try_from_iter([("id", ids.clone()), ("other", text.clone())]).expect("a batch");
        let misfit = RecordBatch::try_from_iter([("id", text.clone()), ("word", text)]).expect("a batch");
        // A CSV file holds text: what does not fit the numbers in it fits the file.
        let refused = if ext == "csv" { vec![other] } else { vec![other, misfit] };
        for rows in refused {
            let rows = doors.own_frame(rows).await;
            let options = WriteOptions::default().with_mode(WriteMode::Append);
            let error = doors.data.write_opts(rows, &name, options).await.expect_err("does not fit");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{} {ext}: {error:?}", doors.backend);
            assert_eq!(doors.bytes(&name), before);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_parent_folder_is_not_found() {
    for (doors, ext) in cells() {
        let rows = doors.own_frame(words(0..1)).await;
        let error = doors.data.write(rows, &format!("no/such/a.{ext}")).await.expect_err("no folder");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{} {ext}: {error:?}", doors.backend);
        assert_eq!(doors.names(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_does_not_depend_on_the_size_of_batches() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for (doors, ext) in cells() {
        let mut reports = Vec::new();
        for size in [1, 7, 1_000] {
            let name = format!("by{size}.{ext}");
            write(&doors, &name, words(0..50)).await;
            let incoming = rows(&(25..75).collect::<Vec<_>>(), &["x"; 50]);
            let frame = Frame::from_batches(incoming.schema(), batches_of(size, &incoming));
            let report = doors.upsert.upsert_opts(frame, &name, &rule, UpsertOptions::default()).await;
            reports.push((report.expect("folded").rows, doors.bytes(&name)));
        }
        assert!(reports[0] == reports[1] && reports[1] == reports[2], "{} {ext}", doors.backend);
        assert_eq!((reports[0].0.updated, reports[0].0.inserted), (25, 25));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_that_fails_leaves_the_table_as_it_was_and_nothing_else() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        for stored in [None, Some(words(0..8))] {
            if let Some(stored) = stored {
                write(&doors, &name, stored).await;
            }
            let (before, files) = (doors.bytes(&name), doors.names());
            let result = doors.upsert.upsert_opts(broken(), &name, &rule, UpsertOptions::default()).await;
            assert_eq!(result.expect_err("breaks").message(), "the source broke");
            assert_eq!((doors.bytes(&name), doors.names()), (before, files), "{} {ext}", doors.backend);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_rows_keep_their_order_updates_stay_and_inserts_come_last() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        let ids = [5, 3, 9, 1];
        write(&doors, &name, rows(&ids, &["a", "b", "c", "d"])).await;
        let incoming = doors.own_frame(rows(&[7, 1, 5, 2], &["g", "D", "A", "h"])).await;
        doors.upsert.upsert_opts(incoming, &name, &rule, UpsertOptions::default()).await.expect("folded");
        let expected = rows(&[5, 3, 9, 1, 7, 2], &["A", "b", "c", "D", "g", "h"]);
        let found = doors.rows(&name, expected.schema()).await.expect("read");
        assert_rows(&found, &expected, &doors, ext);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_exist_is_created() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        let incoming = doors.own_frame(words(0..3)).await;
        let report = doors.upsert.upsert_opts(incoming, &name, &rule, UpsertOptions::default()).await;
        let report = report.expect("created");
        assert_eq!(
            (report.created, report.rows.rows_before, report.rows.rows_after),
            (true, Some(0), Some(3))
        );
        assert_rows(&doors.rows(&name, words(0..1).schema()).await.expect("read"), &words(0..3), &doors, ext);
        assert_eq!(doors.names(), [name]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_groups_that_hold_no_incoming_id_are_not_read_and_only_changed_ones_rewritten() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for backend in Backend::names() {
        let doors = Doors::new(backend);
        let options = WriteOptions::default().with_row_group_rows(10);
        let stored = doors.own_frame(words(0..100)).await;
        doors.data.write_opts(stored, "a.parquet", options).await.expect("written");
        let report = doors
            .upsert
            .upsert_opts(Frame::from(rows(&[42], &["x"])), "a.parquet", &rule, UpsertOptions::default())
            .await
            .expect("folded");
        let work = &report.work;
        let groups = (work.row_groups_read, work.row_groups_skipped, work.row_groups_rewritten);
        assert_eq!(groups, (1, 9, 1), "{backend}");
        let mut expected: Vec<String> = (0..100).map(|id| format!("w{id}")).collect();
        expected[42] = "x".to_owned();
        let expected =
            rows(&(0..100).collect::<Vec<_>>(), &expected.iter().map(String::as_str).collect::<Vec<_>>());
        assert_rows(
            &doors.rows("a.parquet", expected.schema()).await.expect("read"),
            &expected,
            &doors,
            "parquet",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_and_a_limit_give_the_first_rows_for_which_it_holds() {
    for (doors, ext) in cells() {
        let name = format!("a.{ext}");
        write(&doors, &name, words(0..100)).await;
        let filter = "id >= 90 AND word <> 'w91'".parse().expect("a condition");
        let options = ReadOptions::default().with_filter(filter).with_limit(2).with_columns(["id"]);
        let found = doors.read(&[&name], options).await.expect("read");
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![90, 92]));
        assert_rows(&found, &RecordBatch::try_new(schema, vec![expected]).expect("a batch"), &doors, ext);
    }
}
