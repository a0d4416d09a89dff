//! Row groups of a stored file in a new one, which has its columns as the footer describes them, its compression and its
//! key-value metadata: those without a changed row as the bytes they are, of the others the columns without a changed value;
//! the rest is decoded, changed and encoded.

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::EnabledStatistics;

use crate::client::file::Sink;
use crate::client::session::Session;
use crate::error::Result;
use crate::table::parquet::as_bytes::{
    StoredGroup, can_stand, copy_in_store, is_dense, is_indexed, whole_footer,
};
use crate::table::parquet::columns::Fold;
use crate::table::parquet::encoder::Encoder;
use crate::table::parquet::like::like;
use crate::table::parquet::verify::{CopiedChunk, Written};
use crate::table::parquet::writer::{GROUP_ROWS, unwritable};
use crate::table::parquet::{Opened, layout, more};

/// Writes row groups of one file into another.
pub(super) struct Copying<'a, 's> {
    pub(super) session: &'a Session,
    pub(super) opened: &'a Opened,
    pub(super) encoder: Encoder<&'a mut Sink<'s>>,
    /// Whether pages have an index.
    pub(super) is_indexed: bool,
    /// The footer with all that is not needed to read rows, once it was needed.
    pub(super) footer: Option<ParquetMetaData>,
    /// Whether what has an index of its pages in one file has one in the other.
    pub(super) is_index_kept: bool,
    /// What was written past the encoder.
    pub(super) written: Written,
    /// The row group that new rows join, which then has to be encoded anew.
    pub(super) joined: Option<usize>,
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
        let largest = groups.iter().map(|g| g.num_rows().unsigned_abs()).max().unwrap_or(0);
        let limit = largest.max(GROUP_ROWS as u64);
        let columns = layout::writable(metadata.file_metadata().schema_descr(), opened.schema())?;
        let columns = more::described(columns, opened.added())?;
        // The writer knows files with an index of all pages, and such without any: bytes without one decide.
        let was_indexed = is_indexed(metadata);
        let is_indexed = was_indexed || !groups.iter().any(|group| can_stand(opened, &columns, group));
        let mut properties = like(opened, &columns, limit, mark)?;
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
        let encoder = Encoder::new(out, &opened.written, options, Some(limit))?;
        Ok(Self {
            session,
            opened,
            encoder,
            is_indexed,
            footer: None,
            is_index_kept: was_indexed == is_indexed,
            written: Written::default(),
            joined: None,
            limit,
        })
    }

    /// Rows written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.rows + self.encoder.rows()
    }

    /// Says that so many new rows will be appended, or more; they join the last row group if there is room.
    pub(super) fn expect(&mut self, rows: usize) {
        let groups = self.opened.metadata.metadata().row_groups();
        let has_room = |group: &RowGroupMetaData| group.num_rows().unsigned_abs() + rows as u64 <= self.limit;
        self.joined = groups.last().filter(|last| rows > 0 && has_room(last)).map(|_| groups.len() - 1);
    }

    /// Whether a row group can be written as the bytes it is.
    pub(super) fn can_pass(&self, group: usize) -> bool {
        self.joined != Some(group)
            && self.opened.added().is_empty()
            && can_stand(
                self.opened,
                self.encoder.columns(),
                self.opened.metadata.metadata().row_group(group),
            )
    }

    /// Writes one row group as it is.
    pub(super) fn pass(&mut self, group: usize) -> Result<()> {
        let opened = self.opened;
        let stored = opened.metadata.metadata().row_group(group);
        if stored.num_rows() == 0 {
            return Ok(());
        }
        if !self.can_pass(group) {
            return self.fold(group..group + 1, &Fold::NONE);
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
        let (number, mut start) = (file.flushed_row_groups().len(), file.bytes_written() as u64);
        let sink = file.inner_mut().get_mut();
        let stays = chunks.object().filter(|object| is_dense(columns) && sink.can_copy(object));
        if let Some(object) = stays {
            copy_in_store(sink, start, object, columns);
        } else {
            chunks.hold_group(opened.metadata.metadata(), group, &ProjectionMask::all(), None)?;
        }
        let mut out = file.next_row_group().map_err(unwritable)?;
        let from = StoredGroup { opened, footer, group, is_indexed: self.is_indexed };
        self.written.groups.push(number);
        for (leaf, column) in columns.iter().enumerate() {
            let seen = stays.is_none().then_some(chunks);
            self.written.chunks.push(CopiedChunk::new((number, leaf), start, column, seen)?);
            start += column.byte_range().1;
            from.append(leaf, stays.is_some(), &mut out)?;
        }
        out.close().map_err(unwritable)?;
        chunks.release();
        self.written.rows += stored.num_rows().unsigned_abs();
        self.session.progress().advance(stored.compressed_size().unsigned_abs());
        Ok(())
    }

    /// Writes new rows: behind those of the last row group where it was left open for them.
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
        Ok(Written { rows: self.written.rows + rows, ..self.written })
    }
}
