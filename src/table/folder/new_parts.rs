//! The new rows of an upsert into a folder, in new files, some for each partition.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::draft::Draft;
use super::files::Folder;
use crate::client::file::Version;
use crate::client::session::Session;
use crate::core::report::WorkCounts;
use crate::error::Result;
use crate::table::ParquetTable;
use crate::table::new_rows::Pending;
use crate::table::parquet::{FileLayout, NewPart};
use crate::table::partition::{self, Part, Values};

/// New rows on their way into new files.
pub(super) struct NewParts<'a> {
    session: &'a Session,
    folder: &'a Folder,
    layout: FileLayout,
    /// Files without rows, and their versions. The next rows of their partitions go there, for they will never be deleted.
    empty: HashMap<&'a Values, (&'a str, &'a Version)>,
    pending: Pending,
}

impl<'a> NewParts<'a> {
    pub(super) fn new(
        session: &'a Session,
        folder: &'a Folder,
        layout: FileLayout,
        empty: HashMap<&'a Values, (&'a str, &'a Version)>,
        pending: Pending,
    ) -> Self {
        Self { session, folder, layout, empty, pending }
    }

    /// Takes rows with all columns.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Io` or `Cancelled`.
    pub(super) fn add(
        &mut self,
        rows: RecordBatch,
        draft: &mut Draft<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        if let Some(rows) = self.pending.add(rows)? { self.stage(&rows, draft, work) } else { Ok(()) }
    }

    /// Writes what is left; where there is nothing yet, a file that says the columns.
    ///
    /// # Errors
    ///
    /// As [`NewParts::add`].
    pub(super) fn finish(mut self, is_new: bool, draft: &mut Draft<'_>, work: &mut WorkCounts) -> Result<()> {
        if let Some(rows) = self.pending.take()? {
            self.stage(&rows, draft, work)?;
        }
        if is_new && work.files_added == 0 && self.folder.partition_columns.is_empty() {
            let rows = RecordBatch::new_empty(Arc::clone(self.folder.schema()));
            self.stage_part(&Part { values: Vec::new(), rows }, draft, work)?;
        }
        Ok(())
    }

    /// Writes a file for each partition.
    fn stage(&mut self, rows: &RecordBatch, draft: &mut Draft<'_>, work: &mut WorkCounts) -> Result<()> {
        for part in partition::split(rows, &self.folder.partition_columns)? {
            self.session.check()?;
            if part.rows.num_rows() > 0 {
                self.stage_part(&part, draft, work)?;
            }
        }
        Ok(())
    }

    fn stage_part(&mut self, part: &Part, draft: &mut Draft<'_>, work: &mut WorkCounts) -> Result<()> {
        let folder = self.folder;
        let mut fresh = draft.fresh()?;
        let mark = fresh.mark().to_owned();
        let mut file = NewPart::start(&folder.file_schema, &self.layout, &mark, fresh.file())?;
        file.write(&folder.in_files(&part.rows)?)?;
        file.finish()?;
        work.files_added += 1;
        match self.empty.remove(&part.values) {
            Some((path, version)) => {
                work.files_removed += 1;
                draft.add(path.to_owned(), Some(version), fresh)
            }
            None => draft.add(folder.new_path(&part.values), None, fresh),
        }
    }
}
