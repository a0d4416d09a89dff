//! Looks at a new file before it may take the place of the old one.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};

use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;

use super::chunks::Chunks;
use super::stored::read_group;
use super::{Opened, undecodable};
use crate::client::file::Content;
use crate::error::{Error, Result};
use crate::table::cores::on_all_cores;

/// Bytes at both ends of a column chunk by which it is known again.
const EDGE: u64 = 64;

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Rows in the file.
    pub(super) rows: u64,
    /// Row groups that were copied as bytes, ascending.
    pub(super) copied: Vec<CopiedGroup>,
}

/// A row group that was copied as bytes.
#[derive(Debug)]
pub(super) struct CopiedGroup {
    /// Which one it is in the new file.
    group: usize,
    chunks: Vec<CopiedChunk>,
}

#[derive(Debug)]
struct CopiedChunk {
    start: u64,
    len: u64,
    /// Of both ends, if they were seen.
    digest: Option<u64>,
}

impl CopiedGroup {
    /// One that becomes the row group `group` of the new file, and begins at `start`. The `stored` bytes are `None` where they
    /// are not here: it is then known only where they come to stand.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the stored file ends before it does.
    pub(super) fn new(
        group: usize,
        start: u64,
        columns: &[ColumnChunkMetaData],
        stored: Option<&Chunks>,
    ) -> Result<Self> {
        let mut start = start;
        let mut chunks = Vec::with_capacity(columns.len());
        for column in columns {
            let len = column.byte_range().1;
            let digest = stored.map(|stored| digest(stored, column)).transpose().map_err(undecodable)?;
            chunks.push(CopiedChunk { start, len, digest });
            start += len;
        }
        Ok(Self { group, chunks })
    }
}

/// Reads a little of every column chunk that was encoded, and compares the ends of those that were copied.
///
/// # Errors
///
/// `Internal` if the new file is not what it should be.
pub(super) fn verify(opened: &Opened, out: &File, expected: &Written) -> Result<()> {
    let broken = |cause: Error| Error::internal("the new file cannot be read back").because(cause);
    let file = out.try_clone().map_err(|cause| Error::io("cannot open the new file", cause))?;
    let written = Opened::new(Content::Local(file)).map_err(broken)?;
    if written.rows() != expected.rows || written.schema().fields() != opened.schema().fields() {
        return Err(Error::internal("the new file has other rows or columns than it should"));
    }
    let mut encoded: Vec<usize> = (0..written.metadata.metadata().num_row_groups()).collect();
    for copied in expected.copied.iter().rev() {
        if copied.group >= encoded.len() || !is_same(&written, copied) {
            return Err(Error::internal("a row group that was copied is not what it was"));
        }
        encoded.swap_remove(copied.group);
    }
    on_all_cores(encoded, |group| {
        let first = read_group(&written, group, 1)?.next();
        first.transpose().map(drop).map_err(|cause| broken(undecodable(cause)))
    })
}

fn is_same(written: &Opened, copied: &CopiedGroup) -> bool {
    let group = written.metadata.metadata().row_group(copied.group);
    if group.num_columns() != copied.chunks.len() {
        return false;
    }
    for (column, CopiedChunk { start, len, digest: known }) in group.columns().iter().zip(&copied.chunks) {
        let is_there = column.byte_range() == (*start, *len);
        if !is_there || known.is_some() && digest(&written.chunks, column).ok() != *known {
            return false;
        }
    }
    true
}

/// A digest of both ends of a column chunk.
fn digest(chunks: &Chunks, column: &ColumnChunkMetaData) -> ParquetResult<u64> {
    let (start, len) = column.byte_range();
    let edge = len.min(EDGE);
    let mut hasher = DefaultHasher::new();
    for at in [start, start + len - edge] {
        hasher.write(&chunks.get_bytes(at, usize::try_from(edge).unwrap_or(0))?);
    }
    Ok(hasher.finish())
}
