//! The blocking doors, called from where blocking is a question: inside a runtime of either kind, and
//! outside of any.

use std::sync::Arc;

use keyfold::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use keyfold::arrow::datatypes::Int64Type;
use keyfold::{Backend, ErrorKind, Frame, ReadOptions, UpsertMethod, blocking};

use crate::doors::FORMATS;

fn rows(ids: &[i64], value: i64) -> RecordBatch {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![value; ids.len()]));
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    RecordBatch::try_from_iter([("id", ids), ("value", values)]).expect("a batch")
}

/// Writes, folds in, and reads with every backend and format; the frame of the engine itself comes in.
fn works() {
    for backend in Backend::names() {
        for (_, extension) in FORMATS {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().display().to_string();
            let name = format!("t.{extension}");
            let data = blocking::DataReaderWriter::builder().backend(*backend).folder(&root).build();
            let data = data.expect("a door");
            data.write(rows(&[1, 2], 0), &name).expect("written");
            let upsert = blocking::Upsert::builder().backend(*backend).folder(&root).build().expect("a door");
            let incoming = blocking::wait(own_frame(backend)).expect("crosses");
            let report = upsert.upsert(incoming, &name, UpsertMethod::Id, &["id"], None).expect("folded");
            assert_eq!((report.rows.updated, report.rows.inserted), (1, 1), "{backend} {extension}");
            let found = data.read(&name).expect("read");
            let found = blocking::wait(async { found.into_arrow().await?.collect().await }).expect("rows");
            let ids: Vec<i64> = found
                .iter()
                .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
                .collect();
            assert_eq!(ids, [1, 2, 3], "{backend} {extension}");
            assert_eq!(data.count(&[&name], ReadOptions::default()).expect("counted"), 3);
        }
    }
}

async fn own_frame(backend: &'static str) -> keyfold::Result<Frame> {
    Ok(crate::doors::own_frame(backend, Frame::from(rows(&[2, 3], 9))).await)
}

#[test]
fn blocking_doors_work_outside_a_runtime() {
    works();
}

#[tokio::test]
async fn blocking_doors_work_inside_a_runtime_of_one_thread() {
    works();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn blocking_doors_work_inside_a_runtime_of_threads() {
    tokio::spawn(async { works() }).await.expect("no panic");
}

#[tokio::test]
async fn a_refusal_comes_through_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let upsert =
        blocking::Upsert::builder().folder(folder.path().display().to_string()).build().expect("a door");
    let result = upsert.upsert(rows(&[1], 0), "t.parquet", UpsertMethod::Id, &["none"], None);
    assert_eq!(result.expect_err("no such column").kind(), ErrorKind::InvalidInput);
}
