//! Arrow batches of another engine as a lazy frame that Polars can scan as often as it likes.

use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream};
use polars::prelude as pl;
use polars::prelude::{IntoLazy, LazyFrame};

use super::{bring, crossing, failed, ffi, run};
use crate::client::file::DataFile;
use crate::error::{Error, Result};
use crate::interfaces::BatchStream;
use crate::table::parquet::{Scan, describe};
use crate::table::read_as::{Asked, limited};
use crate::table::spill::{MEMORY_BYTES, SpillFile, Spilled};

/// Pulls a stream and makes a lazy frame of it.
///
/// # Errors
///
/// `Unsupported` for a column that cannot cross, before anything is pulled; whatever the stream fails
/// with; `Io` if it cannot be spilled.
pub(super) async fn lazy(stream: BatchStream) -> Result<LazyFrame> {
    lazy_within(stream, MEMORY_BYTES).await
}

async fn lazy_within(stream: BatchStream, memory_bytes: usize) -> Result<LazyFrame> {
    let border = crossing::border_schema(&stream.schema())?;
    let own = border.clone();
    // Brought into border types before they are spilled: Polars' reader of IPC files has other rules.
    let batches = stream.map(move |batch| bring::to_border(&batch?, &own));
    match Spilled::write(BatchStream::new(border, batches), memory_bytes).await? {
        Spilled::Memory(schema, batches) => run(move || Ok(ffi::data_frame(&schema, &batches)?.lazy())).await,
        Spilled::File(file) => run(move || scan(&file)).await,
    }
}

/// A stream of what an iterator gives, each batch made on a thread that may block.
pub(super) fn blocking<I>(schema: SchemaRef, batches: I) -> BatchStream
where
    I: Iterator<Item = Result<RecordBatch>> + Send + 'static,
{
    let stream = stream::unfold(Some(batches), |batches| async {
        let mut batches = batches?;
        match run(move || Ok((batches.next(), batches))).await {
            Ok((batch, rest)) => Some((batch?, Some(rest))),
            Err(error) => Some((Err(error), None)),
        }
    });
    BatchStream::new(schema, stream)
}

/// What is asked for of Parquet files, read by Arrow: for stores and types that Polars' own reader does not know.
pub(super) fn parquet(files: Vec<DataFile>, asked: Asked, limit: Option<usize>) -> BatchStream {
    let schema = asked.schema();
    let asked = Arc::new(asked);
    let batches = files.into_iter().flat_map(move |file| {
        let asked = Arc::clone(&asked);
        let names: Vec<&str> = asked.stored().fields().iter().map(|field| field.name().as_str()).collect();
        let (failed, rows) = match Scan::open(&file, &names) {
            Ok(rows) => (None, Some(rows)),
            Err(error) => (Some(Err(error)), None),
        };
        let rows = rows.into_iter().flatten().map(move |batch| asked.of(&batch?));
        let blamed =
            move |batch: Result<_>| batch.map_err(|error| error.with_missing("file", file.location()));
        failed.into_iter().chain(rows).map(blamed)
    });
    blocking(schema, limited(batches, limit))
}

/// Decodes a whole file.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check(file: &DataFile) -> Result<()> {
    let (schema, _) = describe(file)?;
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let decode = || Scan::open(file, &names)?.try_for_each(|batch| batch.map(drop));
    decode().map_err(|error| error.with_missing("file", file.location()))
}

/// Scans a spilled file by an open handle. The plan holds the handle, so the file may lose its name at
/// once, and its space is free when the last plan is gone, whatever became of the process.
fn scan(file: &SpillFile) -> Result<LazyFrame> {
    let opened = File::open(file.path()).map_err(|cause| Error::io("cannot open a spilled file", cause))?;
    let sources = pl::ScanSources::Files([opened].into());
    let args = pl::UnifiedScanArgs { hive_options: pl::HiveOptions::new_disabled(), ..Default::default() };
    LazyFrame::scan_ipc_sources(sources, pl::IpcScanOptions::default(), args).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::interfaces::Frame;
    use arrow::array::*;
    use std::sync::Arc;

    fn temporary_files() -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|entry| entry.path());
        entries.filter(|path| path.extension().is_some_and(|e| e == "arrow")).collect()
    }

    fn batch(first: i64) -> RecordBatch {
        let words: DictionaryArray<arrow::datatypes::Int8Type> = ["a", "b", "a"].into_iter().collect();
        let list = ListArray::from_iter_primitive::<arrow::datatypes::Date64Type, _, _>([
            Some(vec![Some(86_400_000), None]),
            None,
            Some(vec![]),
        ]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(first..first + 3))),
            ("k", Arc::new(words)),
            ("l", Arc::new(list)),
            ("s", Arc::new(StringArray::from(vec![Some("longer than is kept inline"), None, Some("")]))),
            (
                "t",
                Arc::new(TimestampSecondArray::from(vec![Some(1), None, Some(-1)]).with_timezone("+05:30")),
            ),
            ("d", Arc::new(Decimal64Array::from(vec![Some(1), None, Some(-1)]))),
            ("z", Arc::new(NullArray::new(3))),
            ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
            ("e", Arc::new(Time32SecondArray::from(vec![Some(1), None, Some(86_399)]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
    }

    fn batches() -> BatchStream {
        BatchStream::from_iter(batch(0).schema(), [0, 3, 6].map(batch).map(Ok))
    }

    async fn rows(plan: LazyFrame) -> RecordBatch {
        let stream = Frame::from(plan).into_arrow().await.unwrap();
        let schema = stream.schema();
        arrow::compute::concat_batches(&schema, &stream.collect().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_spilled_stream_has_the_rows_and_types_of_one_in_memory_and_scans_twice() {
        let memory = rows(lazy_within(batches(), usize::MAX).await.unwrap()).await;
        let before = temporary_files();
        let spilled = lazy_within(batches(), 0).await.unwrap();
        // Files of other tests that run meanwhile go as well.
        let mut new: Vec<_> = temporary_files().into_iter().filter(|file| !before.contains(file)).collect();
        for _ in 0..100 {
            new.retain(|file| file.exists());
            if new.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(new.is_empty(), "the file has lost its name: {new:?}");
        for _ in 0..2 {
            assert_eq!(rows(spilled.clone()).await, memory);
        }
        assert_eq!(memory.num_rows(), 9);
    }

    #[tokio::test]
    async fn a_column_that_cannot_cross_is_refused_before_the_stream_is_pulled() {
        let array: ArrayRef = Arc::new(IntervalYearMonthArray::from(vec![1]));
        let schema = RecordBatch::try_from_iter([("x", array)]).unwrap().schema();
        let never = stream::poll_fn(|_| panic!("pulled"));
        let error = lazy(BatchStream::new(schema, never)).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
