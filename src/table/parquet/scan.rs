//! All rows of some columns of a Parquet file, wherever it is, a row group after the other.

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::{Opened, undecodable};
use crate::client::file::DataFile;
use crate::core::schema::find_column;
use crate::error::Result;

/// The batches of a file, in the types that it says itself.
#[derive(Debug)]
pub(crate) struct Scan {
    opened: Opened,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    next: usize,
    group: Option<ParquetRecordBatchReader>,
}

impl Scan {
    /// Opens `file` to read `columns`; they come in the order in which the file has them.
    ///
    /// # Errors
    ///
    /// `NotFound`, `InvalidData` for a file that is not whole, `InvalidInput` for a column that is not there.
    pub(crate) fn open(file: &DataFile, columns: &[&str]) -> Result<Self> {
        let opened = Opened::new(file.read()?)?;
        let footer = opened.metadata.metadata().clone();
        let metadata =
            ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new()).map_err(undecodable)?;
        let roots = columns.iter().map(|column| find_column(metadata.schema(), column, "column"));
        let roots = roots.collect::<Result<Vec<_>>>()?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        Ok(Self { opened, metadata, mask, next: 0, group: None })
    }

    fn next_group(&mut self) -> Result<bool> {
        let metadata = self.metadata.metadata();
        if self.next == metadata.num_row_groups() {
            self.opened.chunks.release();
            return Ok(false);
        }
        self.opened.chunks.hold_group(metadata, self.next, &self.mask, None)?;
        let chunks = self.opened.chunks.clone();
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, self.metadata.clone())
            .with_row_groups(vec![self.next])
            .with_projection(self.mask.clone())
            .build();
        self.group = Some(reader.map_err(undecodable)?);
        self.next += 1;
        Ok(true)
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.group.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(undecodable));
            }
            match self.next_group() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // What failed once would fail for ever.
                    self.next = self.metadata.metadata().num_row_groups();
                    self.group = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
