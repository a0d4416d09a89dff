//! Deletion vectors: which rows of a data file do not count. In a table whose owner has switched them on, an upsert marks
//! the rows it replaces there, and leaves the file as it is.

use std::ops::Range;

use arrow::array::RecordBatch;
use chrono::Utc;
use delta_kernel::actions::deletion_vector::DeletionVectorDescriptor as KernelDescriptor;
use delta_kernel::actions::deletion_vector_writer::{
    DeletionVectorWriteResult, KernelDeletionVector, StreamingDeletionVectorWriter,
};
use deltalake_core::kernel::{Add, DeletionVectorDescriptor, Remove, StorageType};

use super::known::LogText;
use super::log::{Snapshot, log_store, root};
use super::part::StoredPart;
use super::stats;
use crate::client::file::Commit;
use crate::client::session::Session;
use crate::core::merge::kernel::Fates;
use crate::core::report::WorkCounts;
use crate::error::{Error, ErrorKind, Result};
use crate::table::parquet::Folded;

impl Snapshot {
    /// The rows of a file that do not count, ascending.
    ///
    /// # Errors
    ///
    /// `InvalidData` if they cannot be told.
    pub(super) fn deleted(&self, session: &Session, part: &StoredPart) -> Result<Vec<u64>> {
        let Some(vector) = part.deletion_vector.clone() else { return Ok(Vec::new()) };
        let (log, root) = (log_store(session, &self.location)?, root()?);
        let read = async move {
            // The handler that reads blocks, and is made for the runtime it is made in.
            let storage = log.engine(None).storage_handler();
            let rows = tokio::task::spawn_blocking(move || {
                let vector: KernelDescriptor = vector.try_into()?;
                vector.row_indexes(storage, &root)
            });
            rows.await
                .map_err(|cause| Error::internal("a worker thread did not finish").because(cause))?
                .map_err(|cause| {
                    Error::new(ErrorKind::InvalidData, "a deletion vector of the Delta table cannot be read")
                        .hint("it may be damaged, vacuumed, or deleted by hand; restore it, or an earlier version of the table")
                        // The root of the log's own store, which nobody else sees.
                        .because(cause.to_string().replace("memory:///", ""))
                })
        };
        session.wait(read).map_err(|error| error.with_missing("file", &part.path))
    }
}

/// What is written of files whose replaced rows are marked.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The files as they were.
    pub(super) removes: Vec<Remove>,
    /// The same files, with fewer rows that count. Those of which no row is left are missing.
    pub(super) adds: Vec<Add>,
    /// Where the vectors are, below the folder of the table.
    pub(super) file: Option<String>,
    /// The bytes of that file.
    pub(super) bytes: u64,
    /// Vectors of files that had none.
    pub(super) added: u64,
    /// Vectors in the place of others.
    pub(super) updated: u64,
    /// Vectors that went with their files.
    pub(super) removed: u64,
}

/// A file of which rows are marked.
struct Marked<'a> {
    part: &'a StoredPart,
    /// Rows in the file.
    rows: u64,
    vector: KernelDeletionVector,
}

/// Marks the rows that an upsert replaces or takes out.
pub(super) struct Marker<'a> {
    session: &'a Session,
    snapshot: &'a Snapshot,
    folded: &'a Folded<'a>,
    marked: Vec<Marked<'a>>,
}

impl<'a> Marker<'a> {
    pub(super) fn new(session: &'a Session, snapshot: &'a Snapshot, folded: &'a Folded<'a>) -> Self {
        Self { session, snapshot, folded, marked: Vec::new() }
    }

    /// Marks the rows of `fates` in a file whose rows have the numbers `rows`, and shows those that take the place of replaced
    /// ones. Of the file only columns are read that did not come in.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the file or its vector cannot be read.
    pub(super) fn mark(
        &mut self,
        part: &'a StoredPart,
        rows: Range<u64>,
        fates: Fates<'_>,
        work: &mut WorkCounts,
        mut show: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let deleted = self.snapshot.deleted(self.session, part)?;
        let Fates { replaced: pairs, deleted: gone } = fates;
        let (first, rows) = (rows.start, rows.end - rows.start);
        let mut vector = KernelDeletionVector::new();
        vector.add_deleted_row_indexes(&deleted);
        vector.add_deleted_row_indexes(pairs.iter().map(|pair| pair.stored_row - first));
        vector.add_deleted_row_indexes(gone.iter().map(|row| row - first));
        if vector.cardinality() != (deleted.len() + pairs.len() + gone.len()) as u64 {
            return Err(Error::internal("rows are replaced that do not count").with("file", &part.path));
        }
        self.marked.push(Marked { part, rows, vector });
        let kept = self.folded.kept();
        if kept.is_empty() || pairs.is_empty() {
            let mut chunks = pairs.chunks(self.folded.chunk);
            return chunks.try_for_each(|pairs| show(self.folded.replaced(pairs, &[])?));
        }
        let file = self.snapshot.open_part(self.session, part, first, &deleted)?;
        let mut left = pairs;
        file.rows_of(pairs, &kept, |stored| {
            let Some((own, rest)) = left.split_at_checked(stored.num_rows()) else { return Ok(()) };
            left = rest;
            show(self.folded.replaced(own, stored.columns())?)
        })?;
        if !left.is_empty() {
            return Err(Error::internal("stored rows were lost while they were replaced"));
        }
        work.bytes_read += file.bytes_read();
        work.value_bytes_read += file.bytes_read();
        Ok(())
    }

    /// Writes all vectors into one new file.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Io` or `Cancelled`; the file is gone then.
    pub(super) fn finish(self) -> Result<Marks> {
        let columns = &self.snapshot.partition_columns;
        let now = Utc::now().timestamp_millis();
        let mut marks = Marks::default();
        let mut vectors = Vec::new();
        for Marked { part, rows, vector } in self.marked {
            marks.removes.push(part.remove(columns, now));
            let had_one = part.deletion_vector.is_some();
            if vector.cardinality() == rows {
                marks.removed += u64::from(had_one);
                continue;
            }
            marks.updated += u64::from(had_one);
            marks.added += u64::from(!had_one);
            // Its bounds are those of all rows, and may be wide for those that are left.
            let stats = Some(stats::loosened(part.stats.as_ref().map(LogText::as_str), rows)?);
            marks.adds.push(Add { stats, ..part.add(columns) });
            vectors.push(vector);
        }
        if vectors.is_empty() {
            return Ok(marks);
        }
        let id = uuid::Uuid::now_v7();
        let path = format!("deletion_vector_{id}.bin");
        let mut stage = self.session.open(&self.snapshot.location.join(&path)?)?.stage()?;
        let written = write(stage.file(), vectors)?;
        self.session.check()?;
        let Commit::Committed { version, .. } = stage.commit(None)? else {
            return Err(Error::internal("a new file has the name of another").with("file", path));
        };
        for (add, written) in marks.adds.iter_mut().zip(written) {
            add.deletion_vector = Some(DeletionVectorDescriptor {
                storage_type: StorageType::UuidRelativePath,
                path_or_inline_dv: z85::encode(id.as_bytes()),
                offset: Some(written.offset),
                size_in_bytes: written.size_in_bytes,
                cardinality: written.cardinality,
            });
        }
        (marks.file, marks.bytes) = (Some(path), version.size());
        Ok(marks)
    }
}

fn write(
    out: &mut std::fs::File,
    vectors: Vec<KernelDeletionVector>,
) -> Result<Vec<DeletionVectorWriteResult>> {
    let failed = |cause: delta_kernel::Error| {
        Error::new(ErrorKind::Io, "cannot write the deletion vectors").because(cause)
    };
    let mut writer = StreamingDeletionVectorWriter::new(out);
    let written = vectors.into_iter().map(|vector| writer.write_deletion_vector(vector));
    let written = written.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    writer.finalize().map_err(failed)?;
    Ok(written)
}
