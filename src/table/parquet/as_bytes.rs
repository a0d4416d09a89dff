//! Columns of a stored file that are taken over as the bytes they are: which ones can be, and how they are read.
//!
//! Bytes are taken over only where the new footer says the same of them as the old one: the same columns, and statistics
//! that readers may trust under our name. Whatever is not sure of that is decoded.

use std::io::{self, BufReader, Read, Take, Write};
use std::ops::Range;

use bytes::Bytes;
use parquet::basic::ColumnOrder;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
    RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use crate::client::file::Sink;
use crate::client::object::ObjectContent;
use crate::error::Result;
use crate::table::parquet::chunks::{Chunks, Cursor};
use crate::table::parquet::like::rewritable;
use crate::table::parquet::writer::unwritable;
use crate::table::parquet::{Opened, undecodable};

/// Where the first row group begins: behind the mark of a Parquet file.
const MAGIC: u64 = 4;

/// Whether the new footer, whose columns are these and maybe others behind them, may say of a row group what the old one says.
pub(super) fn can_stand(opened: &Opened, columns: &SchemaDescriptor, group: &RowGroupMetaData) -> bool {
    can_leaves_stand(opened, columns, group, 0..group.columns().len())
}

/// The same of some leaf columns of it.
pub(super) fn can_leaves_stand(
    opened: &Opened,
    columns: &SchemaDescriptor,
    group: &RowGroupMetaData,
    which: Range<usize>,
) -> bool {
    let orders = opened.metadata.metadata().file_metadata().column_orders();
    let is_ordered = orders
        .is_some_and(|orders| orders.iter().all(|order| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_))));
    let len = opened.chunks.len();
    let is_like = |(column, leaf): (&ColumnChunkMetaData, &ColumnDescPtr)| {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let end = start.checked_add(column.compressed_size());
        column.column_descr() == leaf.as_ref()
            && column.file_path().is_none_or(str::is_empty)
            && rewritable(column.compression()) == column.compression()
            && !column.statistics().is_some_and(has_deprecated_bounds)
            && (4..=column.data_page_offset()).contains(&start)
            && end.is_some_and(|end| start < end && end.unsigned_abs() < len)
    };
    let leaves = columns.columns();
    let stored = opened.metadata.metadata().file_metadata().schema_descr().num_columns();
    is_ordered
        && group.columns().len() == stored
        && which.end <= stored.min(leaves.len())
        && group.columns()[which.clone()].iter().zip(&leaves[which]).all(is_like)
}

/// Whether there are bounds of the kind that has no order. A column of nulls alone has none of any kind.
fn has_deprecated_bounds(statistics: &Statistics) -> bool {
    let has_bounds = statistics.min_bytes_opt().is_some() || statistics.max_bytes_opt().is_some();
    statistics.is_min_max_deprecated() && has_bounds
}

/// Whether it is known where each page is.
pub(super) fn is_indexed(metadata: &ParquetMetaData) -> bool {
    let is_whole = |(group, pages): (&RowGroupMetaData, &Vec<OffsetIndexMetaData>)| {
        pages.len() == group.num_columns() && pages.iter().all(|index| !index.page_locations().is_empty())
    };
    metadata.offset_index().is_some_and(|index| {
        index.len() == metadata.num_row_groups() && metadata.row_groups().iter().zip(index).all(is_whole)
    })
}

/// The footer with the indexes of pages, and how many pages of each encoding there are.
pub(super) fn whole_footer(chunks: &Chunks) -> Result<ParquetMetaData> {
    chunks.hold_footer()?;
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    let reader = ParquetMetaDataReader::new()
        .with_metadata_options(Some(options))
        .with_page_index_policy(PageIndexPolicy::Optional);
    reader.parse_and_finish(chunks).map_err(undecodable)
}

/// A row group whose column chunks are taken over.
pub(super) struct StoredGroup<'a> {
    pub(super) opened: &'a Opened,
    /// The footer with all that it says.
    pub(super) footer: &'a ParquetMetaData,
    pub(super) group: usize,
    /// Whether the new file has indexes of pages.
    pub(super) is_indexed: bool,
}

impl StoredGroup<'_> {
    /// Appends one column chunk; its bytes, unless it is told that they get there without us.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the bloom filter cannot be read, `Io`.
    pub(super) fn append<W: Write + Send>(
        &self,
        leaf: usize,
        is_elsewhere: bool,
        out: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        let (chunks, group) = (&self.opened.chunks, self.footer.row_group(self.group));
        let column = group.column(leaf);
        let index = self.footer.column_index().filter(|_| self.is_indexed);
        let index = index.and_then(|index| index.get(self.group)?.get(leaf));
        let pages = self.footer.offset_index().filter(|_| self.is_indexed);
        let close = ColumnCloseResult {
            bytes_written: column.compressed_size().unsigned_abs(),
            rows_written: group.num_rows().unsigned_abs(),
            metadata: column.clone(),
            bloom_filter: Sbbf::read_from_column_chunk(column, chunks)
                .map_err(undecodable)?
                .filter(|filter| filter.num_blocks() > 0),
            column_index: index.filter(|index| !matches!(index, ColumnIndexMetaData::NONE)).cloned(),
            offset_index: pages.and_then(|pages| pages.get(self.group)?.get(leaf)).cloned(),
        };
        let (start, length) = column.byte_range();
        let appended = if is_elsewhere {
            out.append_column(&Elsewhere, close)
        } else {
            out.append_column(&Whole { chunks, end: start + length }, close)
        };
        appended.map_err(unwritable)
    }
}

/// Reads a whole column chunk, a large piece at a time.
struct Whole<'a> {
    chunks: &'a Chunks,
    /// Where it ends.
    end: u64,
}

/// As much as is read at a time.
const PIECE: usize = 1 << 20;

impl Length for Whole<'_> {
    fn len(&self) -> u64 {
        self.chunks.len()
    }
}

impl ChunkReader for Whole<'_> {
    type T = BufReader<Take<Cursor>>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let chunk = self.chunks.cursor(start).take(self.end.saturating_sub(start));
        Ok(BufReader::with_capacity(PIECE, chunk))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.chunks.get_bytes(start, length)
    }
}

/// Whether nothing lies between the columns of a row group. Some writers leave a little there: they are put together, and sent,
/// once.
pub(super) fn is_dense(columns: &[ColumnChunkMetaData]) -> bool {
    columns.windows(2).all(|pair| {
        let (start, len) = pair[0].byte_range();
        start + len == pair[1].byte_range().0
    })
}

/// Has the store copy the columns of a row group, which come to stand at `at` and behind.
pub(super) fn copy_in_store(
    sink: &mut Sink<'_>,
    at: u64,
    object: &ObjectContent,
    columns: &[ColumnChunkMetaData],
) {
    let mut at = at;
    for column in columns {
        let (start, len) = column.byte_range();
        // Every file begins with the same bytes.
        let lead = if (at, start) == (MAGIC, MAGIC) { MAGIC } else { 0 };
        sink.copy(at - lead, object, start - lead..start + len);
        at += len;
    }
}

/// Stands for bytes that are not here, which the sink drops: it tells their number, not what they are.
struct Elsewhere;

impl Length for Elsewhere {
    fn len(&self) -> u64 {
        u64::MAX
    }
}

impl ChunkReader for Elsewhere {
    type T = Self;

    fn get_read(&self, _: u64) -> ParquetResult<Self::T> {
        Ok(Self)
    }

    fn get_bytes(&self, _: u64, _: usize) -> ParquetResult<Bytes> {
        Err(ParquetError::NYI("bytes that are not here cannot be looked at".to_owned()))
    }
}

impl Read for Elsewhere {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }
}
