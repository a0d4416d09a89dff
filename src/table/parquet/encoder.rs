//! Rows on their way into a Parquet file, row group by row group; the columns of each are encoded on as many threads as there
//! are cores.

use std::cmp::Reverse;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions,
    compute_leaves,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::error::{Error, Result};
use crate::table::cores::on_all_cores;
use crate::table::parquet::pages::{PAGE_BYTES, Pages};
use crate::table::parquet::unwritable;

/// Fewer rows are encoded sooner than a thread is started.
const ROWS_OF_A_THREAD: usize = 1_024;

/// As much is written at a time.
const PIECE: usize = 1 << 20;

/// A row group waits until all of its columns are encoded: of wide rows it has fewer.
const GROUP_BYTES: usize = 128 << 20;

/// Writes rows into one file.
pub(crate) struct Encoder<W: Write + Send> {
    schema: SchemaRef,
    file: SerializedFileWriter<BufWriter<W>>,
    pages: Pages,
    /// The row group that is being encoded.
    open: Option<OpenGroup>,
    /// The most rows that a row group may have.
    limit: u64,
    /// Rows taken so far.
    rows: u64,
}

struct OpenGroup {
    leaves: Vec<ArrowColumnWriter>,
    rows: u64,
}

impl OpenGroup {
    /// Bytes so far, about.
    fn bytes(&self) -> usize {
        self.leaves.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }
}

impl Encoder<File> {
    /// A new file for rows of `schema`.
    ///
    /// # Errors
    ///
    /// `Unsupported` for columns that Parquet cannot hold, `Io`.
    pub(crate) fn create(out: File, schema: &SchemaRef, properties: WriterProperties) -> Result<Self> {
        Self::new(out, schema, ArrowWriterOptions::new().with_properties(properties), None)
    }
}

impl<W: Write + Send> Encoder<W> {
    /// A file as `options` say, with row groups of at most `limit` rows, or as many as its properties say.
    ///
    /// # Errors
    ///
    /// As [`Encoder::create`].
    pub(super) fn new(
        out: W,
        schema: &SchemaRef,
        options: ArrowWriterOptions,
        limit: Option<u64>,
    ) -> Result<Self> {
        let out = BufWriter::with_capacity(PIECE, out);
        let writer =
            ArrowWriter::try_new_with_options(out, SchemaRef::clone(schema), options).map_err(unwritable)?;
        let (file, _) = writer.into_serialized_writer().map_err(unwritable)?;
        let own = file.properties().max_row_group_row_count().map_or(u64::MAX, |rows| rows as u64);
        let limit = limit.unwrap_or(own);
        let pages = Pages::new(PAGE_BYTES);
        Ok(Self { schema: SchemaRef::clone(schema), file, pages, open: None, limit, rows: 0 })
    }

    /// The file, between two row groups.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn file(&mut self) -> Result<&mut SerializedFileWriter<BufWriter<W>>> {
        self.flush()?;
        Ok(&mut self.file)
    }

    /// The columns as the footer will have them.
    pub(super) fn columns(&self) -> &parquet::schema::types::SchemaDescriptor {
        self.file.schema_descr()
    }

    /// Rows taken so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows in the row group that is being encoded.
    pub(super) fn open_rows(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.rows)
    }

    /// Bytes so far, about.
    pub(crate) fn bytes(&self) -> usize {
        self.file.bytes_written() + self.open.as_ref().map_or(0, OpenGroup::bytes)
    }

    /// Writers for the leaf columns of the row group that comes behind `open` others that are not in the file yet.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn leaves(&self, open: usize) -> Result<Vec<ArrowColumnWriter>> {
        let number = self.file.flushed_row_groups().len() + open;
        ArrowRowGroupWriterFactory::new(&self.file, SchemaRef::clone(&self.schema))
            .with_page_store_factory(Arc::new(self.pages.of_group()))
            .create_column_writers(number)
            .map_err(unwritable)
    }

    /// Goes on with a row group, of which so many rows have gone into its leaf columns.
    ///
    /// # Errors
    ///
    /// `Io` from what was open before.
    pub(super) fn resume(&mut self, leaves: Vec<ArrowColumnWriter>, rows: u64) -> Result<()> {
        self.flush()?;
        self.open = Some(OpenGroup { leaves, rows });
        self.rows += rows;
        Ok(())
    }

    /// Takes rows.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let mut open = if let Some(open) = self.open.take() {
                open
            } else {
                OpenGroup { leaves: self.leaves(0)?, rows: 0 }
            };
            let room = usize::try_from(self.limit - open.rows).unwrap_or(usize::MAX).min(rest.num_rows());
            encode(&self.schema, &rest.slice(0, room), &mut open.leaves)?;
            open.rows += room as u64;
            self.rows += room as u64;
            let is_full = open.rows == self.limit || open.bytes() > GROUP_BYTES;
            self.open = Some(open);
            if is_full {
                self.flush()?;
            }
            rest = rest.slice(room, rest.num_rows() - room);
        }
        Ok(())
    }

    /// Ends the row group that is being encoded.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn flush(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let chunks = Mutex::new(Vec::with_capacity(open.leaves.len()));
        let leaves = open.leaves.into_iter().enumerate().collect();
        on_all_cores(leaves, |(place, leaf)| {
            let chunk = leaf.close().map_err(unwritable)?;
            chunks.lock().unwrap_or_else(PoisonError::into_inner).push((place, chunk));
            Ok(())
        })?;
        let mut chunks = chunks.into_inner().unwrap_or_else(PoisonError::into_inner);
        chunks.sort_by_key(|(place, _)| *place);
        let mut group = self.file.next_row_group().map_err(unwritable)?;
        for (_, chunk) in chunks {
            chunk.append_to_row_group(&mut group).map_err(unwritable)?;
        }
        group.close().map_err(unwritable)?;
        Ok(())
    }

    /// Writes the footer; gives the number of rows that were taken.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn finish(self) -> Result<u64> {
        self.end().map(|(rows, _)| rows)
    }

    /// The same, and what was written to.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn end(mut self) -> Result<(u64, W)> {
        self.flush()?;
        let out = self.file.into_inner().map_err(unwritable)?;
        let out = out.into_inner().map_err(|cause| unwritable(cause.into_error().into()))?;
        Ok((self.rows, out))
    }
}

/// Encodes a batch, each column on a thread of its own.
fn encode(schema: &SchemaRef, batch: &RecordBatch, leaves: &mut [ArrowColumnWriter]) -> Result<()> {
    let mut work = Vec::with_capacity(leaves.len());
    let mut encoders = leaves.iter_mut();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        for leaf in compute_leaves(field, column).map_err(unwritable)? {
            let encoder = encoders.next().ok_or_else(|| Error::internal("a column has no encoder"))?;
            work.push((column.get_array_memory_size(), leaf, encoder));
        }
    }
    let write = |(_, leaf, encoder): (usize, ArrowLeafColumn, &mut ArrowColumnWriter)| {
        encoder.write(&leaf).map_err(unwritable)
    };
    if batch.num_rows() < ROWS_OF_A_THREAD {
        return work.into_iter().try_for_each(write);
    }
    // The largest first, so that no core waits for another at the end.
    work.sort_by_key(|(size, ..)| Reverse(*size));
    on_all_cores(work, write)
}
