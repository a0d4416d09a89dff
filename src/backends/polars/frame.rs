//! A Polars lazy frame behind [`EngineFrame`]: it runs in Polars' streaming engine, and hands out
//! batches as they come, so that a frame larger than memory can be folded in.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::{Stream, StreamExt, stream};
use polars::prelude as pl;
use polars::prelude::{IntoLazy, LazyFrame};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{crash, crossing, failed, ffi, run, spool};
use crate::client::file::DataFile;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::{BatchStream, EngineFrame, Frame};

/// Batches that wait between Polars and whoever pulls; Polars stops when there are more.
const IN_FLIGHT: usize = 2;

/// A lazy frame of Polars; cheap until it is pulled.
pub struct PolarsFrame {
    plan: LazyFrame,
    /// The files that it scans, as far as keyfold knows: Polars' errors do not name them.
    files: Arc<[DataFile]>,
}

impl PolarsFrame {
    /// A plan that scans Parquet files.
    pub(super) fn over(files: Vec<DataFile>, plan: LazyFrame) -> Self {
        Self { plan, files: files.into() }
    }

    /// The plan inside.
    pub fn into_inner(self) -> LazyFrame {
        self.plan
    }

    /// The plan, and the files that it scans.
    pub(super) fn into_parts(self) -> (LazyFrame, Arc<[DataFile]>) {
        (self.plan, self.files)
    }
}

/// Names the file that cannot be decoded, where that is what failed.
pub(super) fn blame(error: Error, files: &[DataFile]) -> Error {
    if error.kind() != ErrorKind::InvalidData {
        return error;
    }
    let damaged = match files {
        [only] => Some(only),
        // Polars does not say which: the one at which Arrow fails as well.
        files => files.iter().find(|file| spool::check(file).is_err()),
    };
    match damaged {
        Some(file) => error.with_missing("file", file.location()),
        None => error,
    }
}

impl fmt::Debug for PolarsFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the plan: it may hold literals of the user's data.
        f.debug_struct("PolarsFrame").finish_non_exhaustive()
    }
}

impl From<LazyFrame> for Frame {
    fn from(plan: LazyFrame) -> Self {
        Self::new(PolarsFrame::over(Vec::new(), plan))
    }
}

impl From<pl::DataFrame> for Frame {
    fn from(frame: pl::DataFrame) -> Self {
        frame.lazy().into()
    }
}

impl Frame {
    /// The rows as a lazy frame of Polars: a Polars frame as it is, any other from its Arrow batches.
    ///
    /// Those share their buffers with Polars where their types allow. A stream of more than 64 MiB is
    /// written to a temporary file, which goes when nothing can scan it any more.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a column that Polars has no type for, and whatever the frame's own engine
    /// fails with.
    pub async fn into_polars(self) -> Result<LazyFrame> {
        match self.downcast::<PolarsFrame>() {
            Ok(frame) => Ok(frame.into_inner()),
            Err(frame) => spool::lazy(frame.into_arrow().await?).await,
        }
    }
}

#[async_trait]
impl EngineFrame for PolarsFrame {
    fn engine(&self) -> &'static str {
        "polars"
    }

    async fn schema(&self) -> Result<SchemaRef> {
        let plan = self.plan.clone();
        Ok(run(|| settled(plan)).await?.1)
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        let (plan, files) = self.into_parts();
        let (plan, schema) = run(|| settled(plan)).await?;
        let run = Run { plan, schema: SchemaRef::clone(&schema), files };
        let batches = batches(run);
        Ok(BatchStream::new(schema, batches))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The plan with every column in a type that crosses as it is, and the Arrow schema it then has.
///
/// # Errors
///
/// `Unsupported` for a column that cannot cross; what Polars says if the plan is wrong.
pub(super) fn settled(mut plan: LazyFrame) -> Result<(LazyFrame, SchemaRef)> {
    let own = plan.collect_schema().map_err(failed)?;
    let schema = crossing::arrow_schema(&own)?;
    let mut casts = Vec::new();
    for ((name, dtype), field) in own.iter().zip(schema.fields()) {
        let settled = crossing::polars_type(field.data_type())?;
        if settled != *dtype {
            // Not `pl::col`, which would take a name such as `*` or `^a$` for a pattern.
            casts.push(pl::Expr::Column(name.clone()).strict_cast(settled));
        }
    }
    let plan = if casts.is_empty() { plan } else { plan.with_columns(casts) };
    Ok((plan, schema))
}

/// A plan on its way.
struct Run {
    plan: LazyFrame,
    schema: SchemaRef,
    files: Arc<[DataFile]>,
}

/// How far a stream has come.
enum Stage {
    /// Nothing runs before the first pull.
    Planned(Box<Run>),
    Running(mpsc::Receiver<Result<RecordBatch>>, JoinHandle<Result<()>>),
    Done,
}

fn batches(run: Run) -> impl Stream<Item = Result<RecordBatch>> + Send {
    stream::unfold(Stage::Planned(Box::new(run)), next).fuse()
}

async fn next(stage: Stage) -> Option<(Result<RecordBatch>, Stage)> {
    let (mut receiver, worker) = match stage {
        Stage::Planned(run) => {
            let (sender, receiver) = mpsc::channel(IN_FLIGHT);
            (receiver, tokio::task::spawn_blocking(move || pump(*run, sender)))
        }
        Stage::Running(receiver, worker) => (receiver, worker),
        Stage::Done => return None,
    };
    if let Some(batch) = receiver.recv().await {
        return Some((batch, Stage::Running(receiver, worker)));
    }
    // No more batches: either that was all, or Polars failed. Only the worker knows which.
    let ended = worker.await.unwrap_or_else(|cause| Err(crash(cause)));
    ended.err().map(|error| (Err(error), Stage::Done))
}

/// Runs the plan and sends its rows, in order, until they end or nobody takes them any more.
fn pump(run: Run, sender: mpsc::Sender<Result<RecordBatch>>) -> Result<()> {
    let Run { plan, schema, files } = run;
    let send = move |frame: pl::DataFrame| {
        let batches = ffi::record_batches(frame, &schema);
        let batches = batches.map_or_else(|e| vec![Err(e)], |all| all.into_iter().map(Ok).collect());
        // True stops the run.
        Ok(batches.into_iter().any(|batch| batch.is_err() | sender.blocking_send(batch).is_err()))
    };
    plan.sink_batches(pl::PlanCallback::new(send), true, None)
        .and_then(|sink| sink.collect_with_engine(pl::Engine::Streaming))
        .map_err(|cause| blame(failed(cause), &files))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use polars::prelude::{col, lit};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn numbers(count: i64) -> pl::DataFrame {
        let ids = pl::Column::new("id".into(), (0..count).collect::<Vec<_>>());
        let words =
            pl::Column::new("word".into(), (0..count).map(|i| format!("{}", i % 7)).collect::<Vec<_>>());
        pl::DataFrame::new_infer_height(vec![ids, words]).unwrap()
    }

    async fn collected(plan: LazyFrame) -> pl::DataFrame {
        run(move || plan.collect().map_err(failed)).await.unwrap()
    }

    #[tokio::test]
    async fn rows_come_in_order_and_in_more_than_one_batch() {
        let plan = numbers(1_000_000).lazy().filter(col("id").gt_eq(lit(10))).with_column(col("id") * lit(2));
        let mut stream = Frame::from(plan).into_arrow().await.unwrap();
        let (mut next, mut batches) = (20, 0);
        while let Some(batch) = stream.next().await {
            for value in batch.unwrap().column(0).as_primitive::<Int64Type>().values() {
                assert_eq!(*value, next);
                next += 2;
            }
            batches += 1;
        }
        assert_eq!(next, 2_000_000);
        assert!(batches > 1, "{batches}");
    }

    #[tokio::test]
    async fn categories_are_strings_outside() {
        let categories = pl::DataType::from_categories(pl::Categories::global());
        let plan = numbers(3).lazy().with_column(col("word").cast(categories));
        let stream = Frame::from(plan).into_arrow().await.unwrap();
        let schema = stream.schema();
        assert_eq!(schema.field(1).data_type(), &arrow::datatypes::DataType::Utf8View);
        let batches = stream.collect().await.unwrap();
        let rows = arrow::compute::concat_batches(&schema, &batches).unwrap();
        assert_eq!(rows.column(1).as_string_view().value(2), "2");
    }

    #[tokio::test]
    async fn a_wrong_frame_is_an_error_with_one_line() {
        let frame = Frame::from(numbers(3).lazy().select([col("none")]));
        let error = frame.schema().await.expect_err("no such column");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("none") && !error.message().contains('\n'), "{error}");
    }

    #[tokio::test]
    async fn a_panic_in_the_middle_is_an_error_and_not_the_end_of_the_rows() {
        let boom = |_: pl::Column| -> pl::PolarsResult<pl::Column> { panic!("boom") };
        let plan = numbers(3).lazy().with_column(col("id").map(boom, |_, field| Ok(field.clone())));
        let batches = Frame::from(plan).into_arrow().await.unwrap().collect().await;
        let error = batches.expect_err("panics");
        assert_eq!(error.kind(), ErrorKind::Engine, "{error}");
    }

    #[tokio::test]
    async fn a_failing_frame_fails() {
        let plan = numbers(3).lazy().with_column((col("word") + lit("x")).strict_cast(pl::DataType::Int64));
        let error = Frame::from(plan).into_arrow().await.unwrap().collect().await.expect_err("no number");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }

    #[test]
    fn a_stream_that_is_dropped_stops_the_run() {
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&seen);
        let count = move |column: pl::Column| {
            counter.fetch_add(column.len(), Ordering::Relaxed);
            Ok(column)
        };
        let rows = 5_000_000;
        let plan = numbers(rows).lazy().with_column(col("id").map(count, |_, field| Ok(field.clone())));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut stream = Frame::from(plan).into_arrow().await.unwrap();
            assert!(stream.next().await.is_some());
        });
        // Waits for the run.
        drop(runtime);
        let seen = seen.load(Ordering::Relaxed);
        assert!(seen > 0 && seen < usize::try_from(rows).unwrap(), "{seen}");
    }

    #[tokio::test]
    async fn a_polars_frame_comes_out_as_it_went_in() {
        let frame = numbers(3);
        let address =
            |frame: &pl::DataFrame| frame.columns()[0].i64().unwrap().cont_slice().unwrap().as_ptr();
        let before = address(&frame);
        let plan = Frame::from(frame).into_polars().await.unwrap();
        assert_eq!(address(&collected(plan).await), before);
    }

    #[tokio::test]
    async fn an_arrow_batch_shares_its_buffers_with_polars() {
        let values = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("id", values.clone() as _)]).unwrap();
        let found = collected(Frame::from(batch).into_polars().await.unwrap()).await;
        assert_eq!(
            found.columns()[0].i64().unwrap().cont_slice().unwrap().as_ptr(),
            values.values().as_ptr()
        );
    }
}
