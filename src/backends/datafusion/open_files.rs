//! Parquet files that were opened once, for DataFusion's reader: it asks for ranges, and gets them of one version, whatever
//! takes the place of a file meanwhile; those of a store with the session's credentials and retries.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
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
use crate::error::{Error, Result};
use crate::table::parquet::Opened;

/// A file that was opened.
#[derive(Debug, Clone)]
pub(super) enum OpenFile {
    Local(Arc<File>, u64),
    Object(ObjectContent),
}

impl OpenFile {
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn new(content: Content) -> Result<Self> {
        Ok(match content {
            Content::Local(file) => {
                let size =
                    file.metadata().map_err(|cause| Error::io("cannot look at the file", cause))?.len();
                Self::Local(Arc::new(file), size)
            }
            Content::Object(content) => Self::Object(content),
        })
    }

    /// The size in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Local(_, len) => *len,
            Self::Object(content) => content.len(),
        }
    }

    fn range(&self, range: &Range<u64>) -> Result<Bytes> {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        match self {
            Self::Local(file, _) => {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, range.start)
                    .map_err(|cause| Error::io("cannot read the file", cause))?;
                Ok(bytes.into())
            }
            Self::Object(content) => content.range(range.start, len),
        }
    }

    fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self {
            Self::Local(..) => ranges.iter().map(|range| self.range(range)).collect(),
            Self::Object(content) => content.ranges(ranges),
        }
    }

    fn content(&self) -> Result<Content> {
        match self {
            Self::Local(file, _) => file
                .try_clone()
                .map(Content::Local)
                .map_err(|cause| Error::io("cannot open the file once more", cause)),
            Self::Object(content) => Ok(Content::Object(content.clone())),
        }
    }
}

/// Files by the number that stands for a path in the plan.
#[derive(Debug)]
pub(super) struct OpenFiles(pub(super) Vec<OpenFile>);

impl ParquetFileReaderFactory for OpenFiles {
    fn create_reader(
        &self,
        _partition: usize,
        file: PartitionedFile,
        _size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> EngineResult<Box<dyn AsyncFileReader + Send>> {
        let number = file.object_meta.location.as_ref().parse::<usize>().ok();
        let file = number.and_then(|number| self.0.get(number)).ok_or_else(|| {
            DataFusionError::Internal("a plan names a file that it was not made of".to_owned())
        })?;
        Ok(Box::new(OpenReader(file.clone())))
    }
}

#[derive(Debug)]
struct OpenReader(OpenFile);

impl OpenReader {
    /// Does `work` on a thread that may block.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(OpenFile) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, ParquetResult<T>> {
        let file = self.0.clone();
        async move { blocking(move || work(file)).await.map_err(|e| ParquetError::External(e.into())) }
            .boxed()
    }
}

impl AsyncFileReader for OpenReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.blocking(move |file| file.range(&range))
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.blocking(move |file| file.ranges(&ranges))
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        self.blocking(|file| Ok(Arc::clone(Opened::new(file.content()?)?.metadata.metadata())))
    }
}
