//! Files that are read and written but not changed: JSON arrays, Arrow IPC, compressed text. In every place, by every
//! backend, and as users meet them.

use std::io::Write;
use std::sync::Arc;

use keyfold::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use keyfold::arrow::datatypes::Schema;
use keyfold::arrow::ipc::writer::StreamWriter;
use keyfold::conformance::table_of;
use keyfold::{
    Backend, BatchStream, Error, ErrorKind, Frame, MergeRule, ReadOptions, UpsertOptions, WriteMode,
    WriteOptions,
};

use crate::doors::{Doors, EXTENSIONS, FORMATS, collected};
use crate::places::Kind;

/// Every backend, and every place.
fn everywhere() -> Vec<Doors> {
    let backends = Backend::names().iter();
    backends.flat_map(|backend| Kind::ALL.iter().map(|kind| Doors::at(backend, *kind))).collect()
}

fn rows(ids: &[i64], words: &[&str]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    let words: ArrayRef = Arc::new(StringArray::from(words.to_vec()));
    RecordBatch::try_from_iter([("id", ids), ("word", words)]).expect("a batch")
}

async fn write(doors: &Doors, name: &str, batch: &RecordBatch) {
    let rows = doors.own_frame(batch.clone()).await;
    doors.data.write(rows, name).await.expect("written");
}

#[track_caller]
fn assert_rows(found: &RecordBatch, expected: &RecordBatch, what: &str) {
    let [found, expected] = [found, expected].map(|rows| table_of(rows).expect("a table"));
    assert_eq!(found, expected, "{what}");
}

/// A stream whose second batch is an error.
fn broken() -> Frame {
    let fails = Error::new(ErrorKind::Engine, "the source broke");
    let batch = rows(&[7], &["x"]);
    Frame::from(BatchStream::from_iter(batch.schema(), [Ok(batch), Err(fails)]))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text).expect("written");
    out.finish().expect("finished")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_file_is_counted_described_and_folded_into_a_target_wherever_it_is() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for doors in everywhere() {
        for ext in EXTENSIONS {
            let (source, target) = (format!("a.{ext}"), format!("{ext}.parquet"));
            write(&doors, &target, &rows(&[0, 1, 2], &["w0", "w1", "w2"])).await;
            write(&doors, &source, &rows(&[2, 7], &["x", "y"])).await;
            let what = format!("{} {ext}", doors.backend);
            let count = doors.data.count(&[&source], ReadOptions::default()).await.expect("counted");
            let schema = doors.data.schema(&[&source], ReadOptions::default()).await.expect("a schema");
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!((count, names), (2, vec!["id", "word"]), "{what}");
            let folded = doors
                .upsert
                .upsert_files(&[&source], ReadOptions::default(), &target, &rule, UpsertOptions::default())
                .await
                .expect("folded");
            assert_eq!((folded.rows.updated, folded.rows.inserted), (1, 1), "{what}");
            let found = doors.read(&[&target], ReadOptions::default()).await.expect("read");
            assert_rows(&found, &rows(&[0, 1, 2, 7], &["w0", "w1", "x", "y"]), &what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_only_be_written_whole_is_replaced_whole_and_refuses_rows_before_the_frame_runs() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    let whole = || EXTENSIONS.into_iter().filter(|ext| FORMATS.iter().all(|(_, target)| target != ext));
    for (doors, ext) in
        Backend::names().iter().flat_map(|backend| whole().map(|ext| (Doors::new(backend), ext)))
    {
        let name = format!("a.{ext}");
        let what = format!("{} {ext}", doors.backend);
        let upsert = async || {
            let refused = doors.upsert.upsert_opts(broken(), &name, &rule, UpsertOptions::default()).await;
            let error = refused.expect_err("not a target");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error:?}");
            assert!(error.hint_text().is_some_and(|hint| hint.contains("keyfold write")), "{error:?}");
        };
        upsert().await;
        assert_eq!(doors.names(), [""; 0]);
        write(&doors, &name, &rows(&[1], &["a"])).await;
        let before = doors.bytes(&name);
        upsert().await;
        for (mode, kind) in
            [(WriteMode::Append, ErrorKind::Unsupported), (WriteMode::Overwrite, ErrorKind::Engine)]
        {
            let options = WriteOptions::default().with_mode(mode);
            let error = doors.data.write_opts(broken(), &name, options).await.expect_err("refused");
            assert_eq!(error.kind(), kind, "{what}: {error:?}");
            assert_eq!((doors.bytes(&name), doors.names()), (before.clone(), vec![name.clone()]));
        }
        let (new, options) = (rows(&[2], &["b"]), WriteOptions::default().with_mode(WriteMode::Overwrite));
        doors.data.write_opts(new.clone(), &name, options).await.expect("written");
        assert_rows(&doors.read(&[&name], ReadOptions::default()).await.expect("read"), &new, &what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_called_json_are_read_and_changed_as_lines() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for backend in Backend::names() {
        let doors = Doors::new(backend);
        doors.file("a.json", "{\"id\":1,\"word\":\"a\"}\n{\"id\":2,\"word\":\"b\"}\n");
        let found = doors.read(&["a.json"], ReadOptions::default()).await.expect("read");
        assert_rows(&found, &rows(&[1, 2], &["a", "b"]), backend);
        let options = UpsertOptions::default();
        doors.upsert.upsert_opts(rows(&[2], &["x"]), "a.json", &rule, options).await.expect("folded");
        let expected = "{\"id\":1,\"word\":\"a\"}\n{\"id\":2,\"word\":\"x\"}\n";
        assert_eq!(doors.bytes("a.json").expect("a file"), expected.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_tells_what_a_name_does_not_or_tells_wrongly() {
    let batch = rows(&[1, 2], &["a", "b"]);
    let mut stream = Vec::new();
    let mut writer = StreamWriter::try_new(&mut stream, &batch.schema()).expect("a writer");
    writer.write(&batch).expect("written");
    writer.finish().expect("finished");
    let array = b"\xef\xbb\xbf [ {\"id\": 1,\n  \"word\": \"a\"},\n {\"word\": \"b\", \"id\": 2} ]\n";
    for backend in Backend::names() {
        let doors = Doors::new(backend);
        let files: [(&str, Vec<u8>); 6] = [
            ("a.arrow", stream.clone()),
            ("b", stream.clone()),
            ("c", gzip(array)),
            ("d.json", array.to_vec()),
            ("e.csv", gzip(b"id,word\n1,a\n2,b\n")),
            ("f.json.gz", gzip(b"{\"id\":1,\"word\":\"a\"}\n{\"id\":2,\"word\":\"b\"}")),
        ];
        for (name, bytes) in files {
            doors.file(name, bytes);
            let found = doors.read(&[name], ReadOptions::default()).await.expect("read");
            assert_rows(&found, &batch, name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_and_no_text_is_refused_by_name_and_by_content() {
    let doors = Doors::new(Backend::names()[0]);
    write(&doors, "a.parquet", &rows(&[1], &["a"])).await;
    let bytes = gzip(&doors.bytes("a.parquet").expect("a file"));
    doors.file("b.parquet.gz", &bytes);
    doors.file("c", &bytes);
    doors.file("d.feather", b"FEA1 and so on");
    for name in ["b.parquet.gz", "c", "d.feather"] {
        let error = doors.read(&[name], ReadOptions::default()).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error:?}");
        assert!(error.context().any(|(fact, file)| fact == "file" && file.ends_with(name)), "{error}");
    }
    let error = doors.data.write(rows(&[1], &["a"]), "e.arrow.zst").await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_array_has_no_rows_and_no_columns() {
    for backend in Backend::names() {
        let doors = Doors::new(backend);
        doors.file("a.json", "[ ]");
        assert_eq!(doors.data.count(&["a.json"], ReadOptions::default()).await.expect("counted"), 0);
        let schema = doors.data.schema(&["a.json"], ReadOptions::default()).await.expect("a schema");
        assert_eq!(schema.as_ref(), &Schema::empty());
        write(&doors, "b.json", &rows(&[], &[])).await;
        assert_eq!(doors.bytes("b.json").expect("a file"), b"[\n]\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_an_array_are_told_by_element() {
    for backend in Backend::names() {
        let doors = Doors::new(backend);
        for (text, said) in [
            ("[{\"id\":1},\n\n7]", "an element is not a JSON object (file: "),
            ("[{\"id\":1},\n\n{\"id\":}]", "the file is not a JSON array of objects (file: "),
        ] {
            doors.file("a.json", text);
            for error in [
                doors.read(&["a.json"], ReadOptions::default()).await.expect_err("refused"),
                doors.data.count(&["a.json"], ReadOptions::default()).await.expect_err("refused"),
            ] {
                assert_eq!(
                    (error.kind(), error.message()),
                    (ErrorKind::InvalidData, said.split(" (").next().expect("a message"))
                );
                assert!(error.context().any(|fact| fact == ("element", "2")), "{error}");
            }
        }
        doors.file("a.json", "[{\"id\":1},\n\n\n{\"id\":\"\\ud800\"}]");
        let error = doors.read(&["a.json"], ReadOptions::default()).await.expect_err("half a character");
        assert!(error.context().any(|fact| fact == ("element", "2")), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_has_the_rows_that_were_there_when_it_was_read_whatever_takes_their_place() {
    for doors in everywhere().into_iter().filter(Doors::is_on_disk) {
        write(&doors, "a.parquet", &rows(&[1, 2], &["a", "b"])).await;
        let frame = doors.data.read("a.parquet").await.expect("reads");
        std::fs::remove_file(doors.path("a.parquet")).expect("removed");
        // Longer, so that no footer fits the other file.
        let ids: Vec<i64> = (0..10_000).collect();
        write(&doors, "a.parquet", &rows(&ids, &vec!["word"; ids.len()])).await;
        assert_rows(&collected(frame).await.expect("runs"), &rows(&[1, 2], &["a", "b"]), doors.backend);
    }
}
