//! DataFusion's dataframe as a [`Frame`], and any frame as DataFusion's.
//!
//! DataFusion speaks the Arrow that keyfold speaks, so every type crosses both ways without a copy.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::dataframe::DataFrame;
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};

use super::NAME;
use super::error::from_datafusion;
use super::scan::Rescan;
use crate::error::Result;
use crate::interfaces::{BatchStream, EngineFrame, Frame};
use crate::table::spill::{MEMORY_BYTES, Spilled};

/// A lazy dataframe of DataFusion.
///
/// Its rows come out partition after partition, so that the order of a source is kept wherever the plan
/// keeps it: through filters, projections and casts. Joins and aggregates promise no order.
pub struct DataFusionFrame(DataFrame);

impl DataFusionFrame {
    /// Runs the plan.
    pub(super) async fn run(self) -> Result<BatchStream> {
        let (mut state, plan) = self.0.into_parts();
        let options = state.config_mut().options_mut();
        // Both hand out batches and files to whichever partition asks first, after which no order of the
        // partitions is that of the source.
        options.optimizer.enable_round_robin_repartition = false;
        options.execution.enable_file_stream_work_stealing = false;
        let frame = DataFrame::new(state, plan);
        let context = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.map_err(from_datafusion)?;
        let schema = plan.schema();
        // Not `execute_stream`: it takes batches from all partitions as they come.
        let partitions = execute_stream_partitioned(plan, context).map_err(from_datafusion)?;
        let batches = stream::iter(partitions).flatten().map_err(from_datafusion);
        Ok(BatchStream::new(schema, batches))
    }
}

impl fmt::Debug for DataFusionFrame {
    /// The columns only: DataFusion prints plans with the data in them, and whole sessions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DataFusionFrame").field(&self.0.schema().field_names()).finish()
    }
}

impl From<DataFrame> for DataFusionFrame {
    fn from(frame: DataFrame) -> Self {
        Self(frame)
    }
}

impl From<DataFrame> for Frame {
    fn from(frame: DataFrame) -> Self {
        Self::new(DataFusionFrame(frame))
    }
}

#[async_trait]
impl EngineFrame for DataFusionFrame {
    fn engine(&self) -> &'static str {
        NAME
    }

    async fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(self.0.schema().inner()))
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        self.run().await
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Frame {
    /// The frame as one of DataFusion.
    ///
    /// One that is DataFusion's already is given back as it is, in the session that made it. Any other runs
    /// in its own engine and becomes a table of `ctx` that can be scanned again: up to 64 MiB of Arrow
    /// batches without a copy, more as a temporary Arrow IPC file that lives as long as the dataframe.
    ///
    /// # Errors
    ///
    /// What the frame's own engine fails with, and `Io` if the temporary file cannot be written.
    pub async fn into_datafusion(self, ctx: &SessionContext) -> Result<DataFrame> {
        match self.downcast::<DataFusionFrame>() {
            Ok(own) => Ok(own.0),
            Err(other) => from_stream(other.into_arrow().await?, ctx, MEMORY_BYTES).await,
        }
    }
}

async fn from_stream(stream: BatchStream, ctx: &SessionContext, limit_bytes: usize) -> Result<DataFrame> {
    let table: Arc<dyn TableProvider> = match Spilled::write(stream, limit_bytes).await? {
        Spilled::Memory(schema, batches) => {
            Arc::new(MemTable::try_new(schema, vec![batches]).map_err(from_datafusion)?)
        }
        Spilled::File(file) => {
            let schema = file.schema();
            let scan = Rescan::new(Arc::clone(&schema), move || file.batches());
            Arc::new(StreamingTable::try_new(schema, vec![Arc::new(scan)]).map_err(from_datafusion)?)
        }
    };
    ctx.read_table(table).map_err(from_datafusion)
}
