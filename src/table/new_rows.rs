//! The rows that an upsert writes. They are picked from the incoming ones where these are held in memory; where they are
//! more than that, only those that are written stand on disk, in the order in which they are.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufReader;
use std::sync::{Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;

use super::spill::{SpillFile, size_of_rows};
use crate::error::{Error, Result};

/// The most rows that are picked at a time.
const CHUNK_ROWS: usize = 64 * 1024;

/// Their bytes, about: memory is not to grow with the number of rows, nor with their width.
const CHUNK_BYTES: u64 = 8 << 20;

/// Rows that an [`Outcome`](crate::core::merge::kernel::Outcome) names by their numbers.
#[derive(Debug)]
pub(crate) enum NewRows<'a> {
    /// Rows in memory, numbered as they are, and for each its place among all that came in.
    Held(&'a RecordBatch, Cow<'a, [u32]>),
    /// Rows on disk, numbered from the first.
    OnDisk(Box<OnDisk>),
}

impl NewRows<'_> {
    /// The columns, in the stored types.
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Self::Held(batch, _) => batch.schema(),
            Self::OnDisk(rows) => rows.file.schema(),
        }
    }

    /// The rows of these numbers, in their order. On disk, ascending numbers are read in one go.
    ///
    /// # Errors
    ///
    /// `Io` if the disk cannot be read.
    pub(crate) fn take(&self, rows: impl ExactSizeIterator<Item = u32>) -> Result<RecordBatch> {
        match self {
            Self::Held(batch, _) => {
                take_record_batch(batch, &UInt32Array::from_iter_values(rows)).map_err(failed)
            }
            Self::OnDisk(disk) => disk.take(rows),
        }
    }

    /// The values of one column.
    ///
    /// # Errors
    ///
    /// `Io` if the disk cannot be read.
    pub(crate) fn column(&self, index: usize) -> Result<NewColumn> {
        Ok(match self {
            Self::Held(batch, _) => NewColumn::Held(ArrayRef::clone(batch.column(index))),
            Self::OnDisk(disk) => NewColumn::OnDisk(Box::new(disk.column(index)?)),
        })
    }

    /// How many rows are picked at a time.
    ///
    /// # Errors
    ///
    /// `Io` if the disk cannot be read.
    pub(crate) fn chunk(&self) -> Result<usize> {
        let (rows, bytes) = match self {
            Self::Held(batch, _) => (batch.num_rows(), size_of_rows(batch) as u64),
            Self::OnDisk(disk) => (disk.len() as usize, disk.file.bytes()?),
        };
        Ok(chunk_of(rows, bytes))
    }

    /// How many bytes of rows wait until there are more for the same files. Those in memory are there already: all of one
    /// partition go into one file.
    fn pending_bytes(&self) -> usize {
        match self {
            Self::Held(..) => usize::MAX,
            Self::OnDisk(_) => PENDING_BYTES,
        }
    }

    /// For each row its place among all that came in; text is written as it came.
    ///
    /// # Errors
    ///
    /// `Internal` if the rows are on disk.
    pub(crate) fn source_rows(&self) -> Result<&[u32]> {
        match self {
            Self::Held(_, sources) => Ok(sources),
            Self::OnDisk(_) => Err(Error::internal("the text of the incoming rows is not at hand")),
        }
    }
}

/// One column of [`NewRows`].
#[derive(Debug)]
pub(crate) enum NewColumn {
    Held(ArrayRef),
    OnDisk(Box<OnDisk>),
}

impl NewColumn {
    /// As [`NewRows::take`].
    pub(crate) fn take(&self, rows: impl ExactSizeIterator<Item = u32>) -> Result<ArrayRef> {
        match self {
            Self::Held(values) => take(values, &UInt32Array::from_iter_values(rows), None).map_err(failed),
            Self::OnDisk(disk) => disk.take(rows).map(|batch| ArrayRef::clone(batch.column(0))),
        }
    }
}

/// How many of `rows` rows, which have so many bytes, are picked at a time.
pub(crate) fn chunk_of(rows: usize, bytes: u64) -> usize {
    let fit = CHUNK_BYTES.saturating_mul(rows as u64) / bytes.max(1);
    usize::try_from(fit).unwrap_or(usize::MAX).clamp(1, CHUNK_ROWS)
}

/// Rows in a temporary file.
#[derive(Debug)]
pub(crate) struct OnDisk {
    file: SpillFile,
    /// The number of the first row of each batch, and that of all rows.
    starts: Vec<u32>,
    reader: Mutex<Reader>,
}

/// The file, and the batch of it that was looked at last.
#[derive(Debug)]
struct Reader {
    file: FileReader<BufReader<File>>,
    at: Option<(usize, RecordBatch)>,
}

impl OnDisk {
    /// Rows of a file whose batches have so many rows.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be opened.
    pub(crate) fn new(file: SpillFile, batches: &[usize]) -> Result<Self> {
        let mut starts = vec![0_u32];
        for rows in batches {
            let next = u32::try_from(*rows).ok().and_then(|rows| starts[starts.len() - 1].checked_add(rows));
            starts.push(
                next.ok_or_else(|| Error::internal("more rows are to be written than can be numbered"))?,
            );
        }
        let reader = Mutex::new(Reader { file: file.reader()?, at: None });
        Ok(Self { file, starts, reader })
    }

    /// One column alone.
    fn column(&self, index: usize) -> Result<Self> {
        let (file, reader) = self.file.column(index)?;
        let reader = Mutex::new(Reader { file: reader, at: None });
        Ok(Self { file, starts: self.starts.clone(), reader })
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> u32 {
        self.starts[self.starts.len() - 1]
    }

    fn take(&self, rows: impl ExactSizeIterator<Item = u32>) -> Result<RecordBatch> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pieces = Vec::new();
        let mut rows = rows.peekable();
        while let Some(&first) = rows.peek() {
            let batch = self.starts.partition_point(|start| *start <= first) - 1;
            let (start, end) = (self.starts[batch], self.starts.get(batch + 1).copied().unwrap_or(0));
            if first >= end {
                return Err(Error::internal("a row is to be written that is not there"));
            }
            let own = std::iter::from_fn(|| rows.next_if(|row| (start..end).contains(row)));
            let own = UInt32Array::from_iter_values(own.map(|row| row - start).collect::<Vec<_>>());
            pieces.push(take_record_batch(&reader.batch(batch, &self.file)?, &own).map_err(failed)?);
        }
        if let [one] = pieces.as_slice() {
            return Ok(one.clone());
        }
        concat_batches(&self.file.schema(), &pieces).map_err(failed)
    }
}

impl Reader {
    fn batch(&mut self, number: usize, file: &SpillFile) -> Result<RecordBatch> {
        if let Some((_, batch)) = self.at.as_ref().filter(|(at, _)| *at == number) {
            return Ok(batch.clone());
        }
        let batch = file.batch(&mut self.file, number)?;
        self.at = Some((number, batch.clone()));
        Ok(batch)
    }
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("the rows to be written could not be gathered").because(cause)
}

/// Bytes of rows that are held until they go to files: rows of one partition that come apart meet in one file.
const PENDING_BYTES: usize = 64 << 20;

/// Rows that are held for a while.
#[derive(Debug)]
pub(crate) struct Pending {
    held: Vec<RecordBatch>,
    bytes: usize,
    limit: usize,
}

impl Pending {
    pub(crate) fn new(rows: &NewRows<'_>) -> Self {
        Self { held: Vec::new(), bytes: 0, limit: rows.pending_bytes() }
    }

    /// Holds some more rows; gives all of them when they are many.
    pub(crate) fn add(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>> {
        self.bytes += size_of_rows(&rows);
        self.held.push(rows);
        if self.bytes > self.limit { self.take() } else { Ok(None) }
    }

    /// Gives all rows that are held, if there are any.
    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>> {
        self.bytes = 0;
        let held = std::mem::take(&mut self.held);
        let Some(first) = held.first() else { return Ok(None) };
        concat_batches(first.schema_ref(), &held).map(Some).map_err(failed)
    }
}
