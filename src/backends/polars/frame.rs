//! A Polars lazy frame behind [`EngineFrame`]: it runs in Polars' streaming engine, and hands out
//! batches as they come, so that a frame larger than memory can be folded in.

use std::any::Any;
use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::{Stream, StreamExt, stream};
use polars::prelude as pl;
use polars::prelude::{IntoLazy, LazyFrame};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{crash, crossing, failed, ffi, run, spool};
use crate::error::Result;
use crate::interfaces::{BatchStream, EngineFrame, Frame};

/// Batches that wait between Polars and whoever pulls; Polars stops when there are more.
const IN_FLIGHT: usize = 2;

/// A lazy frame of Polars; cheap until it is pulled.
pub struct PolarsFrame(LazyFrame);

impl PolarsFrame {
    /// The plan inside.
    #[must_use]
    pub fn into_inner(self) -> LazyFrame {
        self.0
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
        Self::new(PolarsFrame(plan))
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
        let plan = self.0.clone();
        Ok(run(|| settled(plan)).await?.1)
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        let (plan, schema) = run(|| settled(self.0)).await?;
        let batches = batches(plan, SchemaRef::clone(&schema));
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

/// How far a stream has come.
enum Stage {
    /// Nothing runs before the first pull.
    Planned(Box<LazyFrame>),
    Running(mpsc::Receiver<Result<RecordBatch>>, JoinHandle<Result<()>>),
    Done,
}

fn batches(plan: LazyFrame, schema: SchemaRef) -> impl Stream<Item = Result<RecordBatch>> + Send {
    stream::unfold(Stage::Planned(Box::new(plan)), move |stage| next(stage, SchemaRef::clone(&schema))).fuse()
}

async fn next(stage: Stage, schema: SchemaRef) -> Option<(Result<RecordBatch>, Stage)> {
    let (mut receiver, worker) = match stage {
        Stage::Planned(plan) => {
            let (sender, receiver) = mpsc::channel(IN_FLIGHT);
            (receiver, tokio::task::spawn_blocking(move || pump(*plan, schema, sender)))
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
fn pump(plan: LazyFrame, schema: SchemaRef, sender: mpsc::Sender<Result<RecordBatch>>) -> Result<()> {
    let send = move |frame: pl::DataFrame| {
        let batches = ffi::record_batches(frame, &schema);
        let batches = batches.map_or_else(|e| vec![Err(e)], |all| all.into_iter().map(Ok).collect());
        // True stops the run.
        Ok(batches.into_iter().any(|batch| batch.is_err() | sender.blocking_send(batch).is_err()))
    };
    plan.sink_batches(pl::PlanCallback::new(send), true, None)
        .and_then(|sink| sink.collect_with_engine(pl::Engine::Streaming))
        .map_err(failed)?;
    Ok(())
}
