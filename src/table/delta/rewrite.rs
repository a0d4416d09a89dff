//! A data file written anew with updates in place. Rows that an update takes to another partition leave it.

use std::collections::HashSet;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use deltalake_core::kernel::Add;

use super::group_stats;
use super::log::Snapshot;
use super::new_file::{Draft, Layout, NewFile};
use super::part::StoredPart;
use crate::client::session::Session;
use crate::core::merge::kernel::{Fates, Pair};
use crate::core::report::WorkCounts;
use crate::error::{Error, Result};
use crate::table::Change;
use crate::table::cores::ahead;
use crate::table::parquet::{Folded, ParquetFile};
use crate::table::partition;
use crate::table::table_scan::keep;

/// What files are rewritten with.
pub(super) struct Rewriter<'a> {
    pub(super) session: &'a Session,
    pub(super) snapshot: &'a Snapshot,
    pub(super) layout: &'a Layout,
    pub(super) change: &'a Change<'a>,
    pub(super) folded: &'a Folded<'a>,
}

/// What a rewritten file leaves.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// The file in its place; none if no row stays.
    pub(super) add: Option<Add>,
    /// Updated rows that belong into another partition.
    pub(super) moved: Vec<RecordBatch>,
    /// Rows that are written as they were.
    pub(super) copied: u64,
    /// What it took.
    pub(super) work: WorkCounts,
}

impl Rewritten {
    fn count_read(&mut self, file: &ParquetFile) {
        self.work.bytes_read += file.bytes_read();
        self.work.value_bytes_read += file.bytes_read();
    }
}

impl Rewriter<'_> {
    /// Writes a file anew, of which the first row has the number `first`, with `fates` done to its rows.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it cannot be read, `Io` if the new one cannot be written.
    pub(super) fn rewrite(&self, part: &StoredPart, first: u64, fates: Fates<'_>) -> Result<Rewritten> {
        let pairs = fates.replaced;
        let deleted = self.snapshot.deleted(self.session, part)?;
        let file = self.snapshot.open_part(self.session, part, first, &deleted)?;
        let movers = self.movers(part, pairs)?;
        let gone = (fates.deleted.len() + deleted.len()) as u64;
        if gone == file.rows() {
            self.session.progress().advance(part.size);
            return Ok(Rewritten::default());
        }
        if deleted.is_empty() && movers.is_empty() && file.is_plainly(&self.layout.data_schema) {
            let mut rewritten = self.rewrite_in_place(part, &file, fates)?;
            rewritten.count_read(&file);
            return Ok(rewritten);
        }
        let mut rewritten = Rewritten::default();
        let mut out: Option<NewFile<'_>> = None;
        let columns: Vec<String> =
            self.layout.schema.fields().iter().map(|field| field.name().clone()).collect();
        for group in 0..file.groups() {
            let mut is_changed = false;
            ahead(file.group_rows(group, &columns)?, file.batches(group), |rows| {
                self.session.check()?;
                let (at, rows) = rows?;
                let own = fates.within(&(at..at + rows.num_rows() as u64));
                is_changed |= !own.is_empty();
                let rows = self.folded.update(&rows, at, pairs)?;
                rewritten.moved.extend(moving(&rows, at, &movers)?);
                let rows = staying(&file, at, rows, &movers, own.deleted)?;
                if rows.num_rows() > 0 {
                    if out.is_none() {
                        out = Some(NewFile::start(
                            self.session,
                            self.layout,
                            part.values.clone(),
                            file.ways().as_ref(),
                        )?);
                    }
                    if let Some(out) = &mut out {
                        out.write(&rows)?;
                    }
                }
                Ok(())
            })?;
            rewritten.work.row_groups_rewritten += u64::from(is_changed);
        }
        rewritten.count_read(&file);
        self.session.progress().advance(part.size);
        let kept = out.as_ref().map_or(0, NewFile::rows);
        if kept + movers.len() as u64 + gone != file.rows() {
            return Err(Error::internal("a rewritten file has another number of rows than it should")
                .with("file", &part.path));
        }
        rewritten.copied = kept - (pairs.len() - movers.len()) as u64;
        rewritten.add = out.map(NewFile::finish).transpose()?;
        Ok(rewritten)
    }

    /// The same where all rows stay in the file.
    fn rewrite_in_place(&self, part: &StoredPart, file: &ParquetFile, fates: Fates<'_>) -> Result<Rewritten> {
        let mut work = WorkCounts::default();
        let mut draft = Draft::new(self.session, self.layout, part.values.clone())?;
        let (mut out, statistics) = draft.parts();
        let witness = group_stats::Rewritten::new(statistics, part, file);
        file.rewrite_in_place(self.session, self.change, fates, &witness, &mut out, &mut work)?;
        let copied = file.rows() - (fates.replaced.len() + fates.deleted.len()) as u64;
        let (add, by_store) = draft.finish()?;
        work.bytes_copied += by_store;
        Ok(Rewritten { add: Some(add), moved: Vec::new(), copied, work })
    }

    /// The rows whose partition the incoming row changes.
    fn movers(&self, part: &StoredPart, pairs: &[Pair]) -> Result<HashSet<u64>> {
        let columns = &self.layout.partition_columns;
        let own = partition::normal(&self.layout.schema, columns, &part.values)?;
        let leaving = partition::leaving(columns, &own, self.change, pairs)?;
        Ok(leaving.into_iter().map(|(row, _)| row).collect())
    }
}

/// The rows of a batch that stay: neither moved nor `gone`, nor deleted before.
fn staying(
    file: &ParquetFile,
    first: u64,
    rows: RecordBatch,
    movers: &HashSet<u64>,
    gone: &[u64],
) -> Result<RecordBatch> {
    let deleted = file.deleted(first, rows.num_rows());
    if deleted.is_empty() && movers.is_empty() && gone.is_empty() {
        return Ok(rows);
    }
    let end = first + rows.num_rows() as u64;
    let leaving = movers.iter().copied().filter(|row| (first..end).contains(row));
    keep(&rows, first, deleted.iter().chain(gone).copied().chain(leaving))
}

/// The rows of a batch that leave for another partition, in their order.
fn moving(rows: &RecordBatch, first: u64, movers: &HashSet<u64>) -> Result<Option<RecordBatch>> {
    if movers.is_empty() {
        return Ok(None);
    }
    let own = (0_u32..).zip(first..first + rows.num_rows() as u64);
    let places: Vec<u32> = own.filter(|(_, row)| movers.contains(row)).map(|(place, _)| place).collect();
    if places.is_empty() {
        return Ok(None);
    }
    take_record_batch(rows, &UInt32Array::from(places))
        .map(Some)
        .map_err(|cause| Error::internal("moved rows could not be gathered").because(cause))
}
