//! The rows of one version of a table of Parquet files as Arrow batches, for every backend: columns, filter and limit applied.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;

use crate::client::session::Session;
use crate::core::options::ReadOptions;
use crate::error::{Error, Result};
use crate::table::ParquetTable;
use crate::table::parquet::ParquetFile;
use crate::table::read_as::{Asked, limited};

/// What is asked for of a table.
#[derive(Debug, Clone)]
pub(crate) struct TableScan {
    session: Session,
    table: Arc<dyn ParquetTable>,
    asked: Arc<Asked>,
    limit: Option<usize>,
}

impl TableScan {
    /// # Errors
    ///
    /// As [`Asked::new`].
    pub(crate) fn new(
        session: &Session,
        table: &Arc<dyn ParquetTable>,
        options: &ReadOptions,
    ) -> Result<Self> {
        Ok(Self {
            session: session.clone(),
            table: Arc::clone(table),
            asked: Arc::new(Asked::new(table.schema(), options)?),
            limit: options.limit,
        })
    }

    /// The columns of the result.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.asked.schema()
    }

    /// The rows, file by file.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + Send + use<> {
        let scan = self.clone();
        let places = 0..scan.table.files();
        limited(places.flat_map(move |place| Rows::new(&scan, place)), self.limit)
    }
}

/// Batches, each with the number of its first row.
type Numbered = Box<dyn Iterator<Item = Result<(u64, RecordBatch)>> + Send>;

/// The rows of one file.
struct Rows {
    scan: TableScan,
    place: usize,
    file: Option<ParquetFile>,
    group: usize,
    batches: Option<Numbered>,
    failed: bool,
}

impl Rows {
    fn new(scan: &TableScan, place: usize) -> Self {
        Self { scan: scan.clone(), place, file: None, group: 0, batches: None, failed: false }
    }

    fn file(&mut self) -> Result<&ParquetFile> {
        if self.file.is_none() {
            self.scan.session.check()?;
            self.file = Some(self.scan.table.open(&self.scan.session, self.place)?);
        }
        self.file.as_ref().ok_or_else(|| Error::internal("a file was opened and is gone"))
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        let columns: Vec<String> =
            self.scan.asked.stored().fields().iter().map(|field| field.name().clone()).collect();
        loop {
            if let Some((first, batch)) = self.batches.as_mut().and_then(Iterator::next).transpose()? {
                let rows = live(self.file()?, first, batch)?;
                let batch = self.scan.asked.of(&rows)?;
                if batch.num_rows() > 0 {
                    return Ok(Some(batch));
                }
                continue;
            }
            let group = self.group;
            let file = self.file()?;
            if group == file.groups() {
                return Ok(None);
            }
            let batches = file.group_rows(group, &columns)?;
            self.batches = Some(Box::new(batches));
            self.group += 1;
        }
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.map_err(|error| error.with_missing("file", self.scan.table.name(self.place))).transpose()
    }
}

/// The rows of a batch that were not deleted; `first` is the number of its first row.
pub(crate) fn live(file: &ParquetFile, first: u64, batch: RecordBatch) -> Result<RecordBatch> {
    let deleted = file.deleted(first, batch.num_rows());
    if deleted.is_empty() {
        return Ok(batch);
    }
    keep(&batch, first, deleted.iter().copied())
}

/// A batch without some of its rows, which are numbered from `first`.
pub(crate) fn keep(
    batch: &RecordBatch,
    first: u64,
    without: impl Iterator<Item = u64>,
) -> Result<RecordBatch> {
    let mut without = without.peekable();
    if without.peek().is_none() {
        return Ok(batch.clone());
    }
    let mut kept = vec![true; batch.num_rows()];
    for row in without {
        if let Some(kept) = usize::try_from(row - first).ok().and_then(|row| kept.get_mut(row)) {
            *kept = false;
        }
    }
    filter_record_batch(batch, &BooleanArray::from(kept))
        .map_err(|cause| Error::internal("rows could not be left out").because(cause))
}
