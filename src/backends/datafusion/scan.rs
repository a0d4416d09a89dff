//! Tables that DataFusion scans: Parquet files by its own reader, in the order they are named, and
//! anything of ours that can be iterated over again.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as EngineResult;
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;

use super::error::into_datafusion;
use super::open_files::{OpenFile, OpenFiles};
use crate::client::file::{DataFile, most_open};
use crate::error::{Error, ErrorKind, Result};

/// Parquet files with the same columns, one after the other.
///
/// Not a `ListingTable`: that sorts its files by path, and reads strings as views whatever the file says.
#[derive(Debug)]
pub(super) struct ParquetFiles {
    schema: SchemaRef,
    files: Files,
    trust_statistics: bool,
}

/// Where the files are.
#[derive(Debug)]
enum Files {
    /// On disk, opened as they are read.
    ByPath(Vec<ObjectMeta>),
    /// Opened, of which the plan knows numbers only.
    Open(Arc<OpenFiles>),
}

impl Files {
    fn new(files: &[DataFile]) -> Result<Self> {
        if files.len() > most_open() && files.iter().all(|file| file.path().is_some()) {
            return Ok(Self::ByPath(files.iter().map(describe).collect::<Result<_>>()?));
        }
        let open = |file: &DataFile| {
            file.read().and_then(OpenFile::new).map_err(|error| error.with_missing("file", file.location()))
        };
        Ok(Self::Open(Arc::new(OpenFiles(files.iter().map(open).collect::<Result<_>>()?))))
    }

    fn metas(&self) -> Vec<ObjectMeta> {
        match self {
            Self::ByPath(files) => files.clone(),
            Self::Open(files) => files.0.iter().enumerate().map(numbered).collect(),
        }
    }
}

fn numbered((number, file): (usize, &OpenFile)) -> ObjectMeta {
    ObjectMeta {
        location: Path::from(number.to_string()),
        last_modified: DateTime::UNIX_EPOCH,
        size: file.len(),
        e_tag: None,
        version: None,
    }
}

impl ParquetFiles {
    /// A table over `files`, all with the columns of `schema` in any order. Without
    /// `trust_statistics` no rows are ruled out by minima and maxima.
    pub(super) fn new(schema: SchemaRef, files: &[DataFile], trust_statistics: bool) -> Result<Self> {
        Ok(Self { schema, files: Files::new(files)?, trust_statistics })
    }

    fn parquet_options(&self, state: &dyn Session) -> TableParquetOptions {
        let mut options = state.default_table_options().parquet;
        options.global.pruning &= self.trust_statistics;
        options.global.enable_page_index &= self.trust_statistics;
        options
    }
}

fn describe(file: &DataFile) -> Result<ObjectMeta> {
    let named = |error: Error| error.with_missing("file", file.location());
    let missing = || named(Error::new(ErrorKind::NotFound, "the file has gone"));
    let size = file.version()?.ok_or_else(missing)?.size();
    let path = file.path().ok_or_else(|| Error::internal("an object has no path"))?;
    let metadata = path.metadata().and_then(|metadata| metadata.modified());
    let modified = metadata.map_err(|cause| named(Error::io("cannot read the file", cause)))?;
    let location = Path::from_absolute_path(path).map_err(|cause| {
        named(Error::new(ErrorKind::Unsupported, "datafusion cannot name this path").because(cause))
    })?;
    Ok(ObjectMeta { location, last_modified: modified.into(), size, e_tag: None, version: None })
}

#[async_trait]
impl TableProvider for ParquetFiles {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(self.parquet_options(state));
        if let Files::Open(files) = &self.files {
            source = source.with_parquet_file_reader_factory(Arc::<OpenFiles>::clone(files));
        }
        let files = self.files.metas().into_iter().map(PartitionedFile::new_from_meta).collect();
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_group(FileGroup::new(files))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_preserve_order(true)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A source that is opened anew by each scan, and iterated over on a thread that may block.
pub(super) struct Rescan {
    schema: SchemaRef,
    open: Arc<dyn Fn() -> Result<Batches> + Send + Sync>,
}

impl Rescan {
    pub(super) fn new<I>(schema: SchemaRef, open: impl Fn() -> Result<I> + Send + Sync + 'static) -> Self
    where
        I: Iterator<Item = Result<RecordBatch>> + Send + 'static,
    {
        Self { schema, open: Arc::new(move || Ok(Box::new(open()?) as Batches)) }
    }
}

impl fmt::Debug for Rescan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rescan").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for Rescan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        // Two: one batch is parsed while the one before it is worked on.
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 2);
        let (send, open) = (builder.tx(), Arc::clone(&self.open));
        builder.spawn_blocking(move || {
            for batch in open().map_err(into_datafusion)? {
                // Nobody listens any more once a limit is reached.
                if send.blocking_send(Ok(batch.map_err(into_datafusion)?)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}
