//! The rows of a frame in new data files of a Delta table: some for each partition, a few of them written at the same time.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use deltalake_core::kernel::Add;

use super::new_file::{Layout, NewFile, discard};
use crate::client::session::Session;
use crate::error::Result;
use crate::table::fit::Fit;
use crate::table::parquet::{check_missing, widen};
use crate::table::partition::{self, Values};

/// Files of partitions that are written at the same time; one more closes the one that was begun first.
const OPEN_FILES: usize = 64;

/// Bytes after which another file is begun.
const FILE_BYTES: usize = 256 << 20;

/// Writes all rows; gives their number, and the actions that make their files a part of the table. If that fails, no file
/// stays.
///
/// # Errors
///
/// `InvalidInput` for rows that do not fit the columns, `PermissionDenied`, `Io` or `Cancelled`.
pub(super) fn write_files(
    session: &Session,
    layout: &Layout,
    incoming: &Schema,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<(u64, Vec<Add>)> {
    let mut files = Files::new(session, layout);
    let rows =
        files.fill(incoming, batches).inspect_err(|_| discard(session, &layout.location, &files.adds))?;
    Ok((rows, files.adds))
}

/// The files that are being written, one for each partition.
pub(super) struct Files<'a> {
    session: &'a Session,
    layout: &'a Layout,
    open: Vec<(Values, NewFile<'a>)>,
    /// The files that are written.
    pub(super) adds: Vec<Add>,
}

impl<'a> Files<'a> {
    pub(super) fn new(session: &'a Session, layout: &'a Layout) -> Self {
        Self { session, layout, open: Vec::new(), adds: Vec::new() }
    }

    fn fill(&mut self, incoming: &Schema, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<u64> {
        let stored = &self.layout.schema;
        let mut fit = Fit::new(stored, incoming)?;
        check_missing(stored, fit.schema())?;
        let mut rows = 0;
        for batch in batches {
            let batch = widen(stored, &fit.batch(&batch?)?)?;
            rows += batch.num_rows() as u64;
            self.add(&batch)?;
        }
        self.finish()?;
        self.session.check()?;
        Ok(rows)
    }

    /// Writes rows with all columns of the table, each to the file of its partition.
    ///
    /// # Errors
    ///
    /// As [`write_files`].
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        self.session.check()?;
        for part in partition::split(rows, &self.layout.partition_columns)? {
            self.write(part.values, &part.rows)?;
        }
        Ok(())
    }

    fn write(&mut self, values: Values, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let place = self.place(values)?;
        self.open[place].1.write(rows)?;
        if self.open[place].1.bytes() > FILE_BYTES {
            self.close(place)?;
        }
        Ok(())
    }

    /// Where the file of a partition is; it is begun if there is none.
    fn place(&mut self, values: Values) -> Result<usize> {
        if let Some(place) = self.open.iter().position(|(known, _)| *known == values) {
            return Ok(place);
        }
        if self.open.len() == OPEN_FILES {
            self.close(0)?;
        }
        let file = NewFile::start(self.session, self.layout, values.clone(), None)?;
        self.open.push((values, file));
        Ok(self.open.len() - 1)
    }

    fn close(&mut self, place: usize) -> Result<()> {
        let (_, file) = self.open.remove(place);
        self.adds.push(file.finish()?);
        Ok(())
    }

    /// Ends the files that are open.
    ///
    /// # Errors
    ///
    /// As [`write_files`].
    pub(super) fn finish(&mut self) -> Result<()> {
        while !self.open.is_empty() {
            self.close(0)?;
        }
        Ok(())
    }
}
