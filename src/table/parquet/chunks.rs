//! Reads ranges of a file by position and counts the bytes: column readers do not share a cursor, and a report
//! can say what was read. Of an object, the column chunks of a row group are fetched together, not page by page.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::iter;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::client::file::Content;
use crate::client::object::ObjectContent;
use crate::error::Result as KeyfoldResult;

/// What is fetched of an object's end at first: most footers, with their page index, are smaller.
const FOOTER: u64 = 64 << 10;

/// A column chunk that takes longer to fetch than a request to be answered.
const LARGE: u64 = 1 << 20;

/// What a reader without page index reads at a time.
const PIECE: usize = 64 << 10;

/// A file to read Parquet from. Clones read the same file and count together.
#[derive(Debug, Clone)]
pub(crate) struct Chunks(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    Local { file: File, size: u64, read: AtomicU64 },
    Object(ObjectContent),
}

impl Chunks {
    pub(crate) fn new(content: Content) -> io::Result<Self> {
        Ok(Self(Arc::new(match content {
            Content::Local(file) => {
                Inner::Local { size: file.metadata()?.len(), file, read: AtomicU64::new(0) }
            }
            Content::Object(content) => Inner::Object(content),
        })))
    }

    /// The object, if it is one.
    pub(super) fn object(&self) -> Option<&ObjectContent> {
        match self.0.as_ref() {
            Inner::Local { .. } => None,
            Inner::Object(content) => Some(content),
        }
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        match self.0.as_ref() {
            Inner::Local { read, .. } => read.load(Ordering::Relaxed),
            Inner::Object(content) => content.fetched(),
        }
    }

    /// Fetches the end of an object, where the footer is.
    pub(crate) fn hold_footer(&self) -> KeyfoldResult<()> {
        match self.0.as_ref() {
            Inner::Local { .. } => Ok(()),
            Inner::Object(content) => {
                let end = content.len();
                content.hold(iter::once(end.saturating_sub(FOOTER)..end).collect())
            }
        }
    }

    /// Fetches what a reader of some columns, and rows, of a row group will ask for, in as few requests as it takes.
    pub(crate) fn hold_group(
        &self,
        metadata: &ParquetMetaData,
        group: usize,
        mask: &ProjectionMask,
        rows: Option<&RowSelection>,
    ) -> KeyfoldResult<()> {
        let Inner::Object(content) = self.0.as_ref() else { return Ok(()) };
        let columns = metadata.row_group(group).columns().iter().enumerate();
        let wanted = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
        content.hold(wanted.flat_map(|(leaf, column)| pages(metadata, group, leaf, column, rows)).collect())
    }

    /// Whether to look first which pages of a column chunk are needed: where each look is a request, only for a large one.
    pub(super) fn is_worth_a_look(&self, column: &ColumnChunkMetaData) -> bool {
        match self.0.as_ref() {
            Inner::Local { .. } => true,
            Inner::Object(_) => column.compressed_size().unsigned_abs() > LARGE,
        }
    }

    /// Reads on from a position.
    pub(super) fn cursor(&self, position: u64) -> Cursor {
        Cursor { chunks: self.clone(), position }
    }

    /// Forgets what was fetched.
    pub(crate) fn release(&self) {
        if let Inner::Object(content) = self.0.as_ref() {
            content.release();
        }
    }
}

/// The ranges of a column chunk in which the selected rows are; its dictionary is always one of them.
fn pages(
    metadata: &ParquetMetaData,
    group: usize,
    leaf: usize,
    column: &ColumnChunkMetaData,
    rows: Option<&RowSelection>,
) -> Vec<Range<u64>> {
    let (start, len) = column.byte_range();
    let pages = metadata
        .offset_index()
        .and_then(|index| index.get(group)?.get(leaf))
        .map(OffsetIndexMetaData::page_locations);
    match (rows, pages) {
        (Some(rows), Some(pages)) if !pages.is_empty() => {
            let first = pages[0].offset.unsigned_abs();
            let dictionary = start..first.max(start);
            rows.scan_ranges(pages).into_iter().chain([dictionary]).collect()
        }
        _ => iter::once(start..start + len).collect(),
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        match self.0.as_ref() {
            Inner::Local { size, .. } => *size,
            Inner::Object(content) => content.len(),
        }
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<Cursor>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(self.cursor(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self.0.as_ref() {
            Inner::Local { file, read, size } => {
                // What the footer says is not to be believed: so much memory may not be there.
                let end = start.checked_add(length as u64);
                if end.is_none_or(|end| end > *size) {
                    return Err(ParquetError::EOF("the file ends before its content does".to_owned()));
                }
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, start)?;
                read.fetch_add(length as u64, Ordering::Relaxed);
                Ok(bytes.into())
            }
            Inner::Object(content) => {
                content.range(start, length).map_err(|error| ParquetError::External(error.into()))
            }
        }
    }
}

/// Reads on from a position.
#[derive(Debug)]
pub(crate) struct Cursor {
    chunks: Chunks,
    position: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.chunks.0.as_ref() {
            Inner::Local { file, read, .. } => {
                let count = file.read_at(buffer, self.position)?;
                read.fetch_add(count as u64, Ordering::Relaxed);
                count
            }
            Inner::Object(content) => {
                let left = usize::try_from(content.len().saturating_sub(self.position)).unwrap_or(usize::MAX);
                let wanted = buffer.len().min(left).min(PIECE);
                let bytes = content.range(self.position, wanted).map_err(io::Error::other)?;
                buffer[..wanted].copy_from_slice(&bytes);
                wanted
            }
        };
        self.position += read as u64;
        Ok(read)
    }
}
