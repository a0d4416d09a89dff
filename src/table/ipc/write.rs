//! New IPC files and streams, a batch at a time.

use std::fs::File;
use std::io::BufWriter;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

use crate::core::format::Format;
use crate::core::options::Compression;
use crate::core::schema::check_names;
use crate::error::{Error, ErrorKind, Result};
use crate::table::spill::{compact, plain_schema, with_schema};

/// Rows in a batch, at most: a reader holds one whole.
const BATCH: usize = 64 * 1024;

/// Refuses a compression that Arrow IPC does not know.
///
/// # Errors
///
/// `Usage`.
pub(crate) fn check_compression(compression: Option<Compression>) -> Result<()> {
    options(compression).map(drop)
}

/// Not compressed, if it is not said: files that can be mapped into memory as they are is what people take IPC for, and
/// what pyarrow and Polars write.
fn options(compression: Option<Compression>) -> Result<IpcWriteOptions> {
    let plain = IpcWriteOptions::default();
    let made = match compression {
        None | Some(Compression::None) => Ok(plain),
        Some(Compression::Lz4) => plain.try_with_compression(Some(CompressionType::LZ4_FRAME)),
        Some(Compression::Zstd(level)) => plain
            .try_with_compression(Some(CompressionType::ZSTD))
            .and_then(|options| options.try_with_compression_level(Some(level))),
        Some(_) => {
            return Err(Error::new(ErrorKind::Usage, "Arrow IPC is not compressed by this codec")
                .hint("Arrow IPC takes lz4, zstd or none"));
        }
    };
    made.map_err(|cause| {
        Error::new(ErrorKind::Usage, "this level of compression does not exist").because(cause)
    })
}

/// Writes batches (all of `schema`) to an empty file; gives the number of rows.
///
/// A stream keeps dictionaries; in a file they are written as their values, because it has room for one dictionary a
/// column, and each batch may bring its own.
///
/// # Errors
///
/// `Unsupported` for a type that Arrow IPC cannot hold, `InvalidInput` for names that collide, `Io`.
pub(crate) fn write(
    format: Format,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    compression: Option<Compression>,
    out: &mut File,
) -> Result<u64> {
    check_names(schema)?;
    let (out, options) = (BufWriter::new(out), options(compression)?);
    if format == Format::ArrowStream {
        let mut writer = StreamWriter::try_new_with_options(out, schema, options).map_err(unwritable)?;
        let rows = write_all(batches, schema, |batch| writer.write(batch))?;
        return writer.into_inner().and_then(flushed).map_err(unwritable).map(|()| rows);
    }
    let plain = plain_schema(schema);
    let mut writer = FileWriter::try_new_with_options(out, &plain, options).map_err(unwritable)?;
    let rows = write_all(batches, &plain, |batch| writer.write(batch))?;
    writer.into_inner().and_then(flushed).map_err(unwritable).map(|()| rows)
}

fn write_all(
    batches: impl Iterator<Item = Result<RecordBatch>>,
    schema: &SchemaRef,
    mut put: impl FnMut(&RecordBatch) -> Result<(), ArrowError>,
) -> Result<u64> {
    let mut rows = 0;
    for batch in batches {
        let batch = with_schema(&batch?, schema).map_err(unwritable)?;
        for start in (0..batch.num_rows()).step_by(BATCH) {
            let part = batch.slice(start, BATCH.min(batch.num_rows() - start));
            compact(&part).and_then(|part| put(&part)).map_err(unwritable)?;
        }
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

fn flushed(out: BufWriter<&mut File>) -> Result<(), ArrowError> {
    out.into_inner().map(drop).map_err(|cause| cause.into_error().into())
}

fn unwritable(cause: ArrowError) -> Error {
    match cause {
        ArrowError::IoError(_, cause) => Error::io("cannot write the new file", cause)
            .hint("nothing was changed; is there room on the disk?"),
        cause => {
            Error::new(ErrorKind::Unsupported, "these columns cannot be written as Arrow IPC").because(cause)
        }
    }
}
