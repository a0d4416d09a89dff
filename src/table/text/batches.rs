//! The rows of a scan, batch by batch: one pass over each file, and no further than is asked for.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::columns;
use super::records::Records;
use super::scan::{Plan, select};
use super::window::Pass;
use crate::error::{Error, ErrorKind, Result};

/// Rows of one batch, at most.
const BATCH: usize = 8192;

/// Batches of the rows that a scan gives, in the order of the files. Owns all it needs, so that it can
/// move to another thread.
pub(crate) struct TextBatches {
    plan: Arc<Plan>,
    /// The file to open next.
    file: usize,
    open: Option<Open>,
    /// Rows that may still be given; `None` without a limit.
    left: Option<usize>,
}

struct Open {
    records: Records<Pass>,
    slots: Vec<usize>,
    /// The next row of the block at hand.
    row: usize,
}

impl TextBatches {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        Self { left: plan.limit, plan, file: 0, open: None }
    }

    fn pull(&mut self) -> Result<Option<RecordBatch>> {
        while self.left != Some(0) {
            let Some(open) = self.opened()? else { return Ok(None) };
            if open.row == open.records.len() {
                open.row = 0;
                if !open.records.advance()? {
                    self.open = None;
                    self.file += 1;
                }
                continue;
            }
            let batch = self.batch()?;
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn opened(&mut self) -> Result<Option<&mut Open>> {
        if self.open.is_none() {
            let Some(source) = self.plan.sources.get(self.file) else { return Ok(None) };
            let names: Vec<String> =
                self.plan.read.fields().iter().map(|field| field.name().clone()).collect();
            let records = source.records(&self.plan.session, &self.plan.layout, &names)?;
            let slots = names.iter().map(|name| records.slot(name)).collect::<Option<Vec<_>>>();
            let slots = slots.ok_or_else(|| {
                Error::new(ErrorKind::Conflict, "the columns changed while the file was read")
                    .hint("read it again")
            })?;
            self.open = Some(Open { records, slots, row: 0 });
        }
        Ok(self.open.as_mut())
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let Some(open) = &mut self.open else {
            return Err(Error::internal("a batch was asked for without a file"));
        };
        let most = match (self.left, &self.plan.filter) {
            (Some(left), None) => left.min(BATCH),
            _ => BATCH,
        };
        let end = open.records.len().min(open.row + most);
        let rows = open.records.rows(open.row..end)?;
        open.row = end;
        let mut batch = columns::batch(&rows, &open.slots, &(0..rows.len()), &self.plan.read)?;
        if let Some(filter) = &self.plan.filter {
            batch = project(&select(filter, &batch)?, &self.plan.schema)?;
        }
        if let Some(left) = &mut self.left {
            batch = batch.slice(0, batch.num_rows().min(*left));
            *left -= batch.num_rows();
        }
        Ok(batch)
    }
}

impl Iterator for TextBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let pulled = self.pull();
        if pulled.is_err() {
            self.left = Some(0);
        }
        pulled.transpose()
    }
}

impl FusedIterator for TextBatches {}

impl fmt::Debug for TextBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextBatches")
            .field("file", &self.file)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// Leaves out what only the filter looked at: the columns behind those of `schema`.
fn project(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let wanted: Vec<usize> = (0..schema.fields().len()).collect();
    batch
        .project(&wanted)
        .map_err(|cause| Error::internal("a column went missing in the filter").because(cause))
}
