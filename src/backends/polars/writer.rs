//! Writing frames: a new Parquet file by Polars' own sink, streaming and with every core; everything
//! else by keyfold's writers.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use parquet::file::metadata::ParquetMetaDataReader;
use polars::polars_utils::compression::{BrotliLevel, GzipLevel, ZstdLevel};
use polars::prelude as pl;
use polars::prelude::LazyFrame;

use super::frame::{PolarsFrame, blame, settled};
use super::{NAME, failed, run};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::{Compression, WriteOptions};
use crate::core::report::WriteReport;
use crate::error::{Error, Result};
use crate::interfaces::{Frame, Writer};
use crate::table::target::Kind;
use crate::table::write::{Target, folders_above, kind_written, left_alone, write_stream};

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
        if kind_written(&self.session, location, &options).await? != Kind::File {
            let rows = Frame::new(*frame).into_arrow().await?;
            return write_stream(&self.session, rows, location, &options, NAME).await;
        }
        let Some(target) = self.open(location, &options).await? else {
            return Ok(left_alone(location, &options, NAME));
        };
        // Polars writes no bloom filters.
        if target.format() != Format::Parquet || target.appends() || !options.bloom_filter.is_empty() {
            // It locks the file anew.
            drop(target);
            let rows = Frame::new(*frame).into_arrow().await?;
            return write_stream(&self.session, rows, location, &options, NAME).await;
        }
        let folders = folders_above(&self.session, location, &options).await?;
        let session = self.session.clone();
        let (plan, files) = frame.into_parts();
        let report =
            run(move || sink(&session, plan, target, &options).map_err(|error| blame(error, &files))).await;
        let report = report.map_err(|error| error.with_missing("file", location))?;
        folders.keep();
        Ok(report)
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
        compression: compression(options.compression.unwrap_or_default()).map_err(failed)?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::options::WriteMode;
    use crate::error::ErrorKind;
    use parquet::file::metadata::RowGroupMetaData;
    use polars::prelude::{IntoLazy, col};

    fn frame(count: i64) -> pl::DataFrame {
        let ids = pl::Column::new("id".into(), (0..count).collect::<Vec<_>>());
        pl::DataFrame::new_infer_height(vec![ids]).unwrap()
    }

    async fn write(
        frame: impl Into<Frame>,
        to: &std::path::Path,
        options: WriteOptions,
    ) -> Result<WriteReport> {
        PolarsWriter::new(Session::default()).write_opts(frame.into(), &to.into(), options).await
    }

    fn files(folder: &std::path::Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_new_file_has_the_rows_groups_codec_and_statistics_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let all = ["none", "snappy", "lz4", "zstd:22", "gzip:0", "gzip:9", "brotli:11"];
        for codec in all {
            let options = WriteOptions::default()
                .with_compression(codec.parse().unwrap())
                .with_mode(WriteMode::Overwrite)
                .with_row_group_rows(100);
            let report = write(frame(250), &path, options).await.unwrap();
            assert_eq!((report.rows, report.backend.as_str()), (250, "polars"), "{codec}");
            let file = File::open(&path).unwrap();
            assert_eq!(report.bytes_written, file.metadata().unwrap().len());
            let footer = ParquetMetaDataReader::new().parse_and_finish(&file).unwrap();
            let rows: Vec<_> = footer.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
            assert!(rows.iter().all(|rows| *rows <= 100) && rows.iter().sum::<i64>() == 250, "{rows:?}");
            let column = footer.row_group(0).column(0);
            assert!(column.statistics().is_some_and(|s| s.min_bytes_opt().is_some()), "{codec}");
            let name = column.compression().to_string().to_lowercase();
            assert!(name.starts_with(&codec[..3]) || codec == "none", "{name} for {codec}");
        }
    }

    #[tokio::test]
    async fn a_failing_frame_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write(frame(3), &path, WriteOptions::default()).await.unwrap();
        let before = std::fs::read(&path).unwrap();
        let boom = |_: pl::Column| -> pl::PolarsResult<pl::Column> { panic!("boom") };
        let broken = frame(3).lazy().with_column(col("id").map(boom, |_, field| Ok(field.clone())));
        let overwrite = WriteOptions::default().with_mode(WriteMode::Overwrite);
        let error = write(broken, &path, overwrite).await.expect_err("panics");
        assert_eq!(error.kind(), ErrorKind::Engine);
        assert_eq!((std::fs::read(&path).unwrap(), files(folder.path())), (before, 1));
    }

    #[tokio::test]
    async fn a_frame_may_overwrite_the_file_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write(frame(5), &path, WriteOptions::default()).await.unwrap();
        let source = pl::PlRefPath::try_from_path(&path).unwrap();
        let plan = LazyFrame::scan_parquet(source, pl::ScanArgsParquet::default()).unwrap();
        let twice = plan.with_column(col("id") * pl::lit(2));
        let overwrite = WriteOptions::default().with_mode(WriteMode::Overwrite);
        assert_eq!(write(twice, &path, overwrite).await.unwrap().rows, 5);
    }

    #[tokio::test]
    async fn modes_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write(frame(3), &path, WriteOptions::default()).await.unwrap();
        let error = write(frame(3), &path, WriteOptions::default()).await.expect_err("exists");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let ignore = WriteOptions::default().with_mode(WriteMode::Ignore);
        assert!(!write(frame(9), &path, ignore).await.unwrap().written);
        let append = WriteOptions::default().with_mode(WriteMode::Append);
        assert_eq!(write(frame(4), &path, append).await.unwrap().rows, 4);
        assert_eq!(rows_in(&path).unwrap(), 7);
    }
}
