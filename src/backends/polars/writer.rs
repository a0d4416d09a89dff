//! Writing frames: a new Parquet file by Polars' own sink, streaming and with every core; everything
//! else by keyfold's writers.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use parquet::file::metadata::ParquetMetaDataReader;
use polars::polars_utils::compression::{BrotliLevel, GzipLevel, ZstdLevel};
use polars::prelude as pl;
use polars::prelude::LazyFrame;

use super::frame::{PolarsFrame, settled};
use super::{NAME, failed, run};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::{Compression, WriteOptions};
use crate::core::report::WriteReport;
use crate::error::{Error, Result};
use crate::interfaces::{Frame, Writer};
use crate::table::write::{Target, left_alone, write_stream};

/// Writes frames to files, with Polars where Polars made them.
#[derive(Debug, Clone)]
pub struct PolarsWriter {
    session: Session,
}

impl PolarsWriter {
    /// A writer that opens files by `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    async fn open(&self, location: &Location, options: &WriteOptions) -> Result<Option<Target>> {
        let (location, options) = (location.clone(), options.clone());
        self.session.run(move |session| Target::open(session, &location, &options, NAME)).await
    }
}

#[async_trait]
impl Writer for PolarsWriter {
    async fn write_opts(
        &self,
        frame: Frame,
        location: &Location,
        options: WriteOptions,
    ) -> Result<WriteReport> {
        let frame = match frame.downcast::<PolarsFrame>() {
            Ok(frame) => frame,
            // Not ours: there is nothing for Polars to run, and a type it lacks can still be written.
            Err(frame) => {
                let rows = frame.into_arrow().await?;
                return write_stream(&self.session, rows, location, &options, NAME).await;
            }
        };
        let Some(target) = self.open(location, &options).await? else {
            return Ok(left_alone(location, &options, NAME));
        };
        if target.format() != Format::Parquet || target.appends() {
            // It locks the file anew.
            drop(target);
            let rows = Frame::new(*frame).into_arrow().await?;
            return write_stream(&self.session, rows, location, &options, NAME).await;
        }
        let session = self.session.clone();
        let report = run(move || sink(&session, frame.into_inner(), target, &options)).await;
        report.map_err(|error| error.with_missing("file", location))
    }
}

/// Runs the frame into a new file beside the target, and puts that in its place.
fn sink(session: &Session, plan: LazyFrame, target: Target, options: &WriteOptions) -> Result<WriteReport> {
    let (plan, _) = settled(plan)?;
    let stage = target.stage()?;
    let path = pl::PlRefPath::try_from_path(stage.path()).map_err(failed)?;
    let destination = pl::SinkDestination::File { target: pl::SinkTarget::Path(path) };
    let format = pl::FileWriteFormat::Parquet(Arc::new(parquet_options(options)?));
    plan.sink(destination, format, pl::UnifiedSinkArgs::default())
        .and_then(|sink| sink.collect_with_engine(pl::Engine::Streaming))
        .map_err(failed)?;
    let rows = rows_in(stage.path())?;
    session.check()?;
    target.commit(stage, rows)
}

/// The rows of a file that was just written: its footer knows, and that it can be read is worth to know.
fn rows_in(path: &std::path::Path) -> Result<u64> {
    let file = File::open(path).map_err(|cause| Error::io("cannot read the new file", cause))?;
    let footer = ParquetMetaDataReader::new()
        .parse_and_finish(&file)
        .map_err(|cause| Error::internal("polars wrote a file that cannot be read").because(cause))?;
    Ok(footer.file_metadata().num_rows().unsigned_abs())
}

fn parquet_options(options: &WriteOptions) -> Result<pl::ParquetWriteOptions> {
    Ok(pl::ParquetWriteOptions {
        compression: compression(options.compression).map_err(failed)?,
        row_group_size: Some(options.row_group_rows),
        ..pl::ParquetWriteOptions::default()
    })
}

fn compression(wanted: Compression) -> pl::PolarsResult<pl::ParquetCompression> {
    use pl::ParquetCompression as P;
    Ok(match wanted {
        Compression::None => P::Uncompressed,
        Compression::Snappy => P::Snappy,
        Compression::Lz4 => P::Lz4Raw,
        Compression::Zstd(level) => P::Zstd(Some(ZstdLevel::try_new(level)?)),
        Compression::Gzip(level) => {
            P::Gzip(Some(GzipLevel::try_new(u8::try_from(level).unwrap_or(u8::MAX))?))
        }
        Compression::Brotli(level) => P::Brotli(Some(BrotliLevel::try_new(level)?)),
    })
}
