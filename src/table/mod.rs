//! Data at rest: what a file holds, which of its rows the incoming ones meet, and its rewriting.

mod again;
pub(crate) mod fit;
pub(crate) mod handover;
pub(crate) mod ipc;
pub(crate) mod parquet;
pub(crate) mod read_as;
pub(crate) mod source;
pub(crate) mod spill;
pub(crate) mod target;
pub(crate) mod text;
pub(crate) mod upsert;
pub(crate) mod write;

use std::fs::File;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher, Outcome};
use crate::core::report::WorkCounts;
use crate::error::Result;

/// One stored file of some format, opened for an upsert.
///
/// The calls come in this order: `fit`, `find`, `rewrite`. Only the last one writes.
pub(crate) trait StoredFile: Send {
    /// The stored columns, in the types that rows are compared in (for text: told from all of its values).
    fn schema(&self) -> SchemaRef;

    /// Brings incoming rows (all of `schema`) into the types of the stored columns, exactly or not at
    /// all. A column that is not stored, or a value that does not fit, is `InvalidInput`.
    ///
    /// A text file may widen its own types for it: what it holds is text. It keeps what it needs to write the
    /// incoming values later as they were sent. `rule` says which columns are ids, and which one orders rows.
    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        rule: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)>;

    /// Shows stored rows to the matcher (every row that could meet an incoming one) and counts what
    /// was read. Gives the number of stored rows.
    fn find(&mut self, session: &Session, matcher: &mut Matcher<'_>, work: &mut WorkCounts) -> Result<u64>;

    /// Writes the whole file anew, with `outcome` folded in.
    fn rewrite(
        &mut self,
        session: &Session,
        incoming: &Incoming,
        outcome: &Outcome,
        out: &mut File,
        work: &mut WorkCounts,
    ) -> Result<()>;
}
