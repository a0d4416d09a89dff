//! Row groups of a stored file in a new one, which has its columns as the footer describes them, its compression and its
//! key-value metadata: those without a changed row as the bytes they are, the others decoded, changed and encoded.
//!
//! Bytes are taken over only where the new footer says the same of them as the old one: the same columns, and statistics
//! that readers may trust under our name. Whatever is not sure of that is decoded.

use std::io::{self, BufReader, Read, Take};
use std::mem::take;
use std::ops::Range;

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ProjectionMask, encode_arrow_schema};
use parquet::basic::{ColumnOrder, Compression as Codec, Encoding, EncodingMask};
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    ColumnChunkMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions,
    ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use crate::client::file::Sink;
use crate::client::object::ObjectContent;
use crate::client::session::Session;
use crate::core::options::Compression;
use crate::error::Result;
use crate::table::cores::ahead_together;
use crate::table::parquet::chunks::{Chunks, Cursor};
use crate::table::parquet::encoder::Encoder;
use crate::table::parquet::rewrite::MARK;
use crate::table::parquet::stored::{BATCH_ROWS, read_group};
use crate::table::parquet::verify::{CopiedGroup, Written};
use crate::table::parquet::writer::{GROUP_ROWS, properties, unwritable};
use crate::table::parquet::{Opened, layout, undecodable};

/// Where the first row group begins: behind the mark of a Parquet file.
const MAGIC: u64 = 4;

/// What decoded batches that are encoded together may weigh in memory; those that wait may weigh as much.
const TOGETHER: usize = 32 << 20;

/// Writes row groups of one file into another.
pub(super) struct Copying<'a, 's> {
    session: &'a Session,
    opened: &'a Opened,
    encoder: Encoder<&'a mut Sink<'s>>,
    /// Whether pages have an index.
    is_indexed: bool,
    /// The footer with all that is not needed to read rows, once it was needed.
    footer: Option<ParquetMetaData>,
    /// Stored rows gone through so far.
    read: u64,
    /// Rows of row groups that were copied as bytes.
    passed: u64,
    /// These row groups.
    copied: Vec<CopiedGroup>,
    /// The most rows that a row group may have.
    limit: u64,
}

impl<'a, 's> Copying<'a, 's> {
    pub(super) fn new(
        session: &'a Session,
        opened: &'a Opened,
        mark: Option<&str>,
        out: &'a mut Sink<'s>,
    ) -> Result<Self> {
        let metadata = opened.metadata.metadata();
        let groups = metadata.row_groups();
        let total = groups.iter().map(|g| g.compressed_size().unsigned_abs()).sum();
        session.progress().start(total);
        let largest = groups.iter().map(|g| g.num_rows().unsigned_abs()).max().unwrap_or(0);
        let limit = largest.max(GROUP_ROWS as u64);
        let columns = layout::writable(metadata.file_metadata().schema_descr(), opened.schema())?;
        // The writer knows files with an index of all pages, and such without any: bytes without one decide.
        let is_indexed =
            is_indexed(metadata) || !groups.iter().any(|group| can_stand(opened, &columns, group));
        let mut properties = like(opened, limit, mark)?;
        if !is_indexed {
            properties = properties
                .into_builder()
                .set_statistics_enabled(EnabledStatistics::Chunk)
                .set_offset_index_disabled(true)
                .build();
        }
        // The Arrow schema is ours to write: the rows are plain, but dictionaries stay dictionaries to readers.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_parquet_schema(columns)
            .with_skip_arrow_metadata(true);
        let encoder = Encoder::new(out, opened.schema(), options, Some(limit))?;
        Ok(Self {
            session,
            opened,
            encoder,
            is_indexed,
            footer: None,
            read: 0,
            passed: 0,
            copied: Vec::new(),
            limit,
        })
    }

    /// Rows written so far.
    pub(super) fn written(&self) -> u64 {
        self.passed + self.encoder.rows()
    }

    /// Whether so many new rows, at least one, go into a row group, which then has to be encoded anew: only into the last.
    pub(super) fn takes(&self, group: usize, rows: usize) -> bool {
        let metadata = self.opened.metadata.metadata();
        let own = metadata.row_group(group).num_rows().unsigned_abs();
        rows > 0 && group + 1 == metadata.num_row_groups() && own + rows as u64 <= self.limit
    }

    /// Whether a row group can be written as the bytes it is.
    pub(super) fn can_pass(&self, group: usize) -> bool {
        can_stand(self.opened, self.encoder.columns(), self.opened.metadata.metadata().row_group(group))
    }

    /// Writes one row group as it is.
    pub(super) fn pass(&mut self, group: usize) -> Result<()> {
        let opened = self.opened;
        let stored = opened.metadata.metadata().row_group(group);
        if stored.num_rows() == 0 {
            return Ok(());
        }
        if !self.can_pass(group) {
            return self.copy(group..group + 1, |_, batch| Ok(batch));
        }
        self.session.check()?;
        let chunks = &opened.chunks;
        let footer = match self.footer.take() {
            Some(footer) => footer,
            None => whole_footer(chunks)?,
        };
        let footer = self.footer.insert(footer);
        let columns = footer.row_group(group).columns();
        let file = self.encoder.file()?;
        let (number, start) = (file.flushed_row_groups().len(), file.bytes_written() as u64);
        let sink = file.inner_mut().get_mut();
        let stays = chunks.object().filter(|object| is_dense(columns) && sink.can_copy(object));
        if let Some(object) = stays {
            copy_in_store(sink, start, object, columns);
        } else {
            chunks.hold_group(opened.metadata.metadata(), group, &ProjectionMask::all(), None)?;
        }
        let seen = stays.is_none().then_some(chunks);
        self.copied.push(CopiedGroup::new(number, start, columns, seen)?);
        let mut out = file.next_row_group().map_err(unwritable)?;
        for (leaf, column) in columns.iter().enumerate() {
            let (start, length) = column.byte_range();
            let end = start + length;
            let index = footer.column_index().filter(|_| self.is_indexed);
            let index = index.and_then(|index| index.get(group)?.get(leaf));
            let pages = footer.offset_index().filter(|_| self.is_indexed);
            let close = ColumnCloseResult {
                bytes_written: column.compressed_size().unsigned_abs(),
                rows_written: stored.num_rows().unsigned_abs(),
                metadata: column.clone(),
                bloom_filter: Sbbf::read_from_column_chunk(column, chunks)
                    .map_err(undecodable)?
                    .filter(|filter| filter.num_blocks() > 0),
                column_index: index.filter(|index| !matches!(index, ColumnIndexMetaData::NONE)).cloned(),
                offset_index: pages.and_then(|pages| pages.get(group)?.get(leaf)).cloned(),
            };
            let appended = match stays {
                Some(_) => out.append_column(&Elsewhere, close),
                None => out.append_column(&Whole { chunks, end }, close),
            };
            appended.map_err(unwritable)?;
        }
        out.close().map_err(unwritable)?;
        chunks.release();
        self.read += stored.num_rows().unsigned_abs();
        self.passed += stored.num_rows().unsigned_abs();
        self.session.progress().advance(stored.compressed_size().unsigned_abs());
        Ok(())
    }

    /// Writes row groups that follow each other, each batch changed by `change`, which is given its first row. One is decoded
    /// while the one before is encoded.
    pub(super) fn copy(
        &mut self,
        groups: Range<usize>,
        mut change: impl FnMut(u64, RecordBatch) -> Result<RecordBatch> + Send,
    ) -> Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        // The rows before are a row group of their own; the last group is left open for inserts.
        self.encoder.flush()?;
        let mut next = self.read;
        let decoded = Decoded { opened: self.opened, groups: groups.clone(), open: None };
        let changed = decoded.map(move |decoded| {
            let (group, batch) = decoded?;
            let first = next;
            next += batch.num_rows() as u64;
            change(first, batch).map(|batch| (group, next, batch))
        });
        let changed = changed.map(|changed| {
            let size = changed.as_ref().map_or(0, |(.., batch)| batch.get_array_memory_size());
            (size, changed)
        });
        let batches: u64 = groups.clone().map(|group| self.rows_of(group).div_ceil(BATCH_ROWS as u64)).sum();
        let mut open = groups.start;
        let mut end = self.read + self.rows_of(open);
        ahead_together(changed, batches, TOGETHER, |changed| {
            self.session.check()?;
            let mut ready = Vec::with_capacity(changed.len());
            for changed in changed {
                let (group, next, batch) = changed?;
                if open < group {
                    self.encoder.write_all(&take(&mut ready))?;
                }
                while open < group {
                    self.close(open, end)?;
                    self.encoder.flush()?;
                    open += 1;
                    end += self.rows_of(open);
                }
                ready.push(batch);
                self.read = next;
            }
            self.encoder.write_all(&ready)
        })?;
        while open + 1 < groups.end {
            self.close(open, end)?;
            open += 1;
            end += self.rows_of(open);
        }
        self.close(open, end)
    }

    /// Ends a stored row group, of which the last row has to be the one before `end`.
    fn close(&self, group: usize, end: u64) -> Result<()> {
        if self.read != end {
            return Err(
                undecodable("a row group has fewer rows than its footer says").with("row group", group)
            );
        }
        let size = self.opened.metadata.metadata().row_group(group).compressed_size();
        self.session.progress().advance(size.unsigned_abs());
        Ok(())
    }

    fn rows_of(&self, group: usize) -> u64 {
        self.opened.metadata.metadata().row_group(group).num_rows().unsigned_abs()
    }

    pub(super) fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let open = self.encoder.open_rows();
        if open > 0 && open + batch.num_rows() as u64 > self.limit {
            self.encoder.flush()?;
        }
        self.encoder.write(batch)
    }

    pub(super) fn finish(self) -> Result<Written> {
        let (rows, sink) = self.encoder.end()?;
        sink.settle()?;
        Ok(Written { rows: self.passed + rows, copied: self.copied })
    }
}

/// The batches of row groups, each with the number of its row group.
struct Decoded<'a> {
    opened: &'a Opened,
    groups: Range<usize>,
    open: Option<(usize, ParquetRecordBatchReader)>,
}

impl Iterator for Decoded<'_> {
    type Item = Result<(usize, RecordBatch)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((group, reader)) = &mut self.open
                && let Some(batch) = reader.next()
            {
                return Some(batch.map(|batch| (*group, batch)).map_err(undecodable));
            }
            let group = self.groups.next()?;
            match read_group(self.opened, group, BATCH_ROWS) {
                Ok(reader) => self.open = Some((group, reader)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Whether the new footer, whose columns are these, may say of a row group what the old one says.
fn can_stand(opened: &Opened, columns: &SchemaDescriptor, group: &RowGroupMetaData) -> bool {
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
    is_ordered && group.columns().len() == leaves.len() && group.columns().iter().zip(leaves).all(is_like)
}

/// Whether there are bounds of the kind that has no order. A column of nulls alone has none of any kind.
fn has_deprecated_bounds(statistics: &Statistics) -> bool {
    let has_bounds = statistics.min_bytes_opt().is_some() || statistics.max_bytes_opt().is_some();
    statistics.is_min_max_deprecated() && has_bounds
}

/// Whether it is known where each page is.
fn is_indexed(metadata: &ParquetMetaData) -> bool {
    let is_whole = |(group, pages): (&RowGroupMetaData, &Vec<OffsetIndexMetaData>)| {
        pages.len() == group.num_columns() && pages.iter().all(|index| !index.page_locations().is_empty())
    };
    metadata.offset_index().is_some_and(|index| {
        index.len() == metadata.num_row_groups() && metadata.row_groups().iter().zip(index).all(is_whole)
    })
}

/// The footer with the indexes of pages, and how many pages of each encoding there are.
fn whole_footer(chunks: &Chunks) -> Result<ParquetMetaData> {
    chunks.hold_footer()?;
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    let reader = ParquetMetaDataReader::new()
        .with_metadata_options(Some(options))
        .with_page_index_policy(PageIndexPolicy::Optional);
    reader.parse_and_finish(chunks).map_err(undecodable)
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
fn is_dense(columns: &[ColumnChunkMetaData]) -> bool {
    columns.windows(2).all(|pair| {
        let (start, len) = pair[0].byte_range();
        start + len == pair[1].byte_range().0
    })
}

/// Has the store copy the columns of a row group, which come to stand at `at` and behind.
fn copy_in_store(sink: &mut Sink<'_>, at: u64, object: &ObjectContent, columns: &[ColumnChunkMetaData]) {
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

/// The properties to write a file like the one that was read.
fn like(opened: &Opened, limit: u64, mark: Option<&str>) -> Result<WriterProperties> {
    let metadata = opened.metadata.metadata();
    let mut builder = properties(Compression::default())?
        .set_max_row_group_row_count(usize::try_from(limit).ok())
        .set_key_value_metadata(kept(metadata.file_metadata().key_value_metadata(), opened, mark));
    if let Some(group) = metadata.row_groups().first() {
        for column in group.columns() {
            let path = column.column_path().clone();
            builder = builder
                .set_column_compression(path.clone(), rewritable(column.compression()))
                .set_column_bloom_filter_enabled(path.clone(), column.bloom_filter_offset().is_some())
                .set_column_dictionary_enabled(path.clone(), has_dictionary(column));
            if let Some(encoding) = chosen_encoding(column) {
                builder = builder.set_column_encoding(path, encoding);
            }
        }
    }
    Ok(builder.build())
}

/// Whether a dictionary holds the values of a column: not if the writer began one and gave it up.
fn has_dictionary(column: &ColumnChunkMetaData) -> bool {
    let is_whole = |pages: &EncodingMask| {
        pages.is_only(Encoding::RLE_DICTIONARY) || pages.is_only(Encoding::PLAIN_DICTIONARY)
    };
    column.dictionary_page_offset().is_some() && column.page_encoding_stats_mask().is_none_or(is_whole)
}

/// The encoding of a column's values, if it is one that somebody chose: neither the plain one nor a
/// dictionary.
fn chosen_encoding(column: &ColumnChunkMetaData) -> Option<Encoding> {
    column.encodings().find(|encoding| {
        matches!(
            encoding,
            Encoding::DELTA_BINARY_PACKED
                | Encoding::DELTA_LENGTH_BYTE_ARRAY
                | Encoding::DELTA_BYTE_ARRAY
                | Encoding::BYTE_STREAM_SPLIT
        )
    })
}

/// Codecs that are only read are written as their successor.
pub(super) fn rewritable(codec: Codec) -> Codec {
    match codec {
        Codec::LZ4 => Codec::LZ4_RAW,
        Codec::LZO => Codec::SNAPPY,
        other => other,
    }
}

/// The file's own key-value metadata, as it is: other readers find things in the Arrow schema that ours does
/// not. Only dictionaries are given room for new values, and a new `mark` takes the place of an older one.
fn kept(metadata: Option<&Vec<KeyValue>>, opened: &Opened, mark: Option<&str>) -> Option<Vec<KeyValue>> {
    let keep = |pair: &KeyValue| match pair.key.as_str() {
        ARROW_SCHEMA_META_KEY if layout::widened(&opened.own) != opened.own => {
            KeyValue::new(pair.key.clone(), encode_arrow_schema(&layout::widened(&opened.own)))
        }
        _ => pair.clone(),
    };
    let Some(mark) = mark else { return Some(metadata?.iter().map(keep).collect()) };
    let own = metadata.into_iter().flatten().filter(|pair| pair.key != MARK);
    Some(own.map(keep).chain([KeyValue::new(MARK.to_owned(), mark.to_owned())]).collect())
}
