//! Arrow batches of another engine as a lazy frame that Polars can scan as often as it likes.

use std::fs::File;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use polars::prelude as pl;
use polars::prelude::{IntoLazy, LazyFrame};

use super::{crossing, failed, ffi, run};
use crate::client::local::LocalFile;
use crate::core::schema::find_column;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::spill::{MEMORY_BYTES, SpillFile, Spilled};

/// Pulls a stream and makes a lazy frame of it.
///
/// # Errors
///
/// `Unsupported` for a column that cannot cross, before anything is pulled; whatever the stream fails
/// with; `Io` if it cannot be spilled.
pub(super) async fn lazy(stream: BatchStream) -> Result<LazyFrame> {
    let border = crossing::border_schema(&stream.schema())?;
    let own = border.clone();
    // Brought into border types before they are spilled: Polars' reader of IPC files has other rules.
    let batches = stream.map(move |batch| crossing::to_border(&batch?, &own));
    match Spilled::write(BatchStream::new(border, batches), MEMORY_BYTES).await? {
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

/// The columns of `wanted` of Parquet files, read by Arrow: for types that Polars' own reader does not
/// know.
pub(super) fn parquet(files: Vec<LocalFile>, wanted: &SchemaRef) -> BatchStream {
    let schema = SchemaRef::clone(wanted);
    let batches = files.into_iter().flat_map(move |file| {
        let read = parquet_file(&file, &schema);
        let (first, rest) = read.map_or_else(|error| (Some(Err(error)), None), |rows| (None, Some(rows)));
        first.into_iter().chain(rest.into_iter().flatten())
    });
    blocking(SchemaRef::clone(wanted), batches)
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

fn parquet_file(file: &LocalFile, wanted: &SchemaRef) -> Result<Batches> {
    let location = file.location().clone();
    let unreadable = move |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::InvalidData, "a Parquet file cannot be read")
            .with("file", &location)
            .hint("it may be truncated or damaged; restore it")
            .because(cause)
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.read()?).map_err(|e| unreadable(e.into()))?;
    let roots: Result<Vec<_>> =
        wanted.fields().iter().map(|field| find_column(builder.schema(), field.name(), "column")).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots?);
    let rows = builder.with_projection(mask).build().map_err(|e| unreadable(e.into()))?;
    let wanted = SchemaRef::clone(wanted);
    Ok(Box::new(rows.map(move |batch| {
        let batch = batch.map_err(|cause| unreadable(cause.into()))?;
        let columns = wanted.fields().iter().filter_map(|field| batch.column_by_name(field.name()).cloned());
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(SchemaRef::clone(&wanted), columns.collect(), &options)
            .map_err(|cause| unreadable(cause.into()))
    })))
}

/// Scans a spilled file by an open handle. The plan holds the handle, so the file may lose its name at
/// once, and its space is free when the last plan is gone, whatever became of the process.
fn scan(file: &SpillFile) -> Result<LazyFrame> {
    let opened = File::open(file.path()).map_err(|cause| Error::io("cannot open a spilled file", cause))?;
    let sources = pl::ScanSources::Files([opened].into());
    LazyFrame::scan_ipc_sources(sources, pl::IpcScanOptions::default(), pl::UnifiedScanArgs::default())
        .map_err(failed)
}
