//! Parquet files in stores of keyfold's own, for DataFusion's reader: it asks for ranges, and gets them of one
//! version, with the session's credentials and retries.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result as EngineResult;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::client::file::Content;
use crate::client::io::blocking;
use crate::client::object::ObjectContent;
use crate::error::Result;
use crate::table::parquet::Opened;

/// Objects by the number that stands for a path in the plan.
#[derive(Debug)]
pub(super) struct Objects(pub(super) Vec<ObjectContent>);

impl ParquetFileReaderFactory for Objects {
    fn create_reader(
        &self,
        _partition: usize,
        file: PartitionedFile,
        _size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> EngineResult<Box<dyn AsyncFileReader + Send>> {
        let number = file.object_meta.location.as_ref().parse::<usize>().ok();
        let content = number.and_then(|number| self.0.get(number)).ok_or_else(|| {
            DataFusionError::Internal("a plan names an object that it was not made of".to_owned())
        })?;
        Ok(Box::new(ObjectReader(content.clone())))
    }
}

#[derive(Debug)]
struct ObjectReader(ObjectContent);

impl ObjectReader {
    /// Does `work` on a thread that may block.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(ObjectContent) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, ParquetResult<T>> {
        let content = self.0.clone();
        async move { blocking(move || work(content)).await.map_err(|e| ParquetError::External(e.into())) }
            .boxed()
    }
}

impl AsyncFileReader for ObjectReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.blocking(move |content| {
            let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            content.range(range.start, len)
        })
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.blocking(move |content| content.ranges(&ranges))
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        self.blocking(|content| Ok(Arc::clone(Opened::new(Content::Object(content))?.metadata.metadata())))
    }
}
