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
    /// Row groups of it that were copied as bytes, ascending.
    pub(super) groups: Vec<usize>,
    /// Column chunks that were: those of these row groups, and some of others.
    pub(super) chunks: Vec<CopiedChunk>,
}

/// A column chunk that was copied as bytes.
#[derive(Debug)]
pub(super) struct CopiedChunk {
    /// The row group and leaf column that it is in the new file.
    group: usize,
    leaf: usize,
    start: u64,
    len: u64,
    /// Of both ends, if they were seen.
    digest: Option<u64>,
}

impl CopiedChunk {
    /// What is the leaf column `column` in the row group of the new file, and begins there at `start`. The `stored` bytes are `None`
    /// where they are not here: it is then known only where they come to stand.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the stored file ends before it does.
    pub(super) fn new(
        (group, leaf): (usize, usize),
        start: u64,
        column: &ColumnChunkMetaData,
        stored: Option<&Chunks>,
    ) -> Result<Self> {
        let digest = stored.map(|stored| digest(stored, column)).transpose().map_err(undecodable)?;
        Ok(Self { group, leaf, start, len: column.byte_range().1, digest })
    }

    fn is_there(&self, written: &Opened) -> bool {
        let group = written.metadata.metadata().row_groups().get(self.group);
        group.and_then(|group| group.columns().get(self.leaf)).is_some_and(|column| {
            column.byte_range() == (self.start, self.len)
                && self.digest.is_none_or(|known| digest(&written.chunks, column).is_ok_and(|is| is == known))
        })
    }
}

/// Reads a little of every row group but those that were copied, and compares the ends of column chunks that were.
///
/// # Errors
///
/// `Internal` if the new file is not what it should be.
pub(super) fn verify(opened: &Opened, out: &File, expected: &Written) -> Result<()> {
    let broken = |cause: Error| Error::internal("the new file cannot be read back").because(cause);
    let file = out.try_clone().map_err(|cause| Error::io("cannot open the new file", cause))?;
    let written = Opened::new(Content::Local(file)).map_err(broken)?;
    if written.rows() != expected.rows || written.schema().fields() != opened.written.fields() {
        return Err(Error::internal("the new file has other rows or columns than it should"));
    }
    let mut encoded: Vec<usize> = (0..written.metadata.metadata().num_row_groups()).collect();
    let is_copied = |group: &usize| expected.groups.binary_search(group).is_ok();
    let is_there = |copied: &CopiedChunk| copied.is_there(&written);
    if !expected.groups.iter().all(|group| *group < encoded.len()) || !expected.chunks.iter().all(is_there) {
        return Err(Error::internal("columns that were copied are not what they were"));
    }
    encoded.retain(|group| !is_copied(group));
    on_all_cores(encoded, |group| {
        let first = read_group(&written, group, 1)?.next();
        first.transpose().map(drop).map_err(|cause| broken(undecodable(cause)))
    })
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
