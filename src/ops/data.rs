//! The front door for reading and writing.

use arrow::datatypes::SchemaRef;

use crate::core::options::{ReadOptions, WriteOptions};
use crate::core::report::WriteReport;
use crate::error::Result;
use crate::factory::DataReaderWriterFactory;
use crate::interfaces::Frame;
use crate::ops::builder::{Builder, Parts};
use crate::table::source::Source;

/// Reads and writes frames by path.
///
/// A path is relative to the folder or bucket of the builder, or a full URL.
///
/// ```
/// # #[cfg(feature = "polars")]
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use keyfold::DataReaderWriter;
///
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("orders.csv"), "order_id,total\n1,9.5\n2,3.0\n")?;
/// # let folder = folder.path().display().to_string();
/// let data = DataReaderWriter::builder().backend("polars").folder(folder).build()?;
/// let orders = data.read("orders.csv").await?;
/// let report = data.write(orders, "orders.parquet").await?;
/// assert_eq!(report.rows, 2);
/// # Ok(()) }
/// # #[cfg(not(feature = "polars"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct DataReaderWriter(pub(super) Parts);

impl From<Parts> for DataReaderWriter {
    fn from(parts: Parts) -> Self {
        Self(parts)
    }
}

impl DataReaderWriter {
    /// Starts a builder.
    #[must_use]
    pub fn builder() -> Builder<Self> {
        Builder::default()
    }

    /// Reads one file, or the files that a glob pattern matches.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_opts`](crate::Reader::read_opts).
    pub async fn read(&self, path: &str) -> Result<Frame> {
        self.read_opts(&[path], ReadOptions::default()).await
    }

    /// Reads files of one format and the same columns, one after the other.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_opts`](crate::Reader::read_opts).
    pub async fn read_opts(&self, paths: &[impl AsRef<str>], options: ReadOptions) -> Result<Frame> {
        let reader = DataReaderWriterFactory::new(self.0.session.clone()).reader(&self.0.backend)?;
        let locations = self.0.locate_all(paths)?;
        reader.read_opts(&locations, options).await
    }

    /// Writes a new file; one that exists is left as it is, with an error.
    ///
    /// # Errors
    ///
    /// As [`Writer::write_opts`](crate::Writer::write_opts).
    pub async fn write(&self, frame: impl Into<Frame>, path: &str) -> Result<WriteReport> {
        self.write_opts(frame, path, WriteOptions::default()).await
    }

    /// Writes a file as `options` say.
    ///
    /// # Errors
    ///
    /// As [`Writer::write_opts`](crate::Writer::write_opts).
    pub async fn write_opts(
        &self,
        frame: impl Into<Frame>,
        path: &str,
        options: WriteOptions,
    ) -> Result<WriteReport> {
        let frame = frame.into();
        let writer = DataReaderWriterFactory::new(self.0.session.clone()).writer(&self.0.backend)?;
        writer.write_opts(frame, &self.0.locate(path)?, options).await
    }

    /// The columns that [`DataReaderWriter::read_opts`] would give. For text this reads every value:
    /// its types are told from all of them.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_opts`](crate::Reader::read_opts).
    pub async fn schema(&self, paths: &[impl AsRef<str>], options: ReadOptions) -> Result<SchemaRef> {
        let locations = self.0.locate_all(paths)?;
        self.0
            .session
            .run(move |session| Source::open(session, &locations, &options)?.read_schema(session, &options))
            .await
    }

    /// How many rows there are, from metadata where the format has it.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_opts`](crate::Reader::read_opts).
    pub async fn count(&self, paths: &[impl AsRef<str>], options: ReadOptions) -> Result<u64> {
        let locations = self.0.locate_all(paths)?;
        self.0
            .session
            .run(move |session| Source::open(session, &locations, &options)?.count(session, &options))
            .await
    }
}
