//! What was done, counted. A report that breaks its own identities is refused before the commit.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::core::format::Format;
use crate::core::row_change::RowChange;
use crate::error::{Error, Result};

/// A time as reports tell it.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What became of every incoming row, and of the stored ones.
///
/// Two identities hold in every report:
///
/// * `incoming = inserted + updated + unchanged + stale + tombstones + ignored + duplicates + rejected`
/// * `rows_after = rows_before + inserted + opened - deleted - repaired`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowCounts {
    /// Rows that came in.
    pub incoming: u64,
    /// Incoming rows whose id was not stored, now added.
    pub inserted: u64,
    /// Incoming rows that replaced a stored row.
    pub updated: u64,
    /// Incoming rows equal to the stored row in every column they have; nothing was written for them.
    pub unchanged: u64,
    /// Incoming rows older than the stored row.
    pub stale: u64,
    /// Incoming rows that were delete marks.
    pub tombstones: u64,
    /// Incoming rows that the method does not look at.
    pub ignored: u64,
    /// Incoming rows that lost to a twin in the same batch, identical or older.
    pub duplicates: u64,
    /// Incoming rows that were left out: they have no id, or are outside of the scope.
    pub rejected: u64,
    /// Those of the stale and rejected rows that went into the quarantine.
    pub quarantined: u64,
    /// Ids decided by source order, or by an equal modification value, between rows that differ.
    pub ties: u64,
    /// Versions that keeping history added.
    pub opened: u64,
    /// Stored rows that went.
    pub deleted: u64,
    /// Stored rows that stay, and say now that they are deleted.
    pub soft_deleted: u64,
    /// Stored versions that end now because of a delete mark, or because their id did not come in.
    pub closed: u64,
    /// Stored rows that went because a newer one has their id.
    pub repaired: u64,
    /// Stored rows before; null where counting them would cost a scan.
    pub rows_before: Option<u64>,
    /// Stored rows after; null where counting them would cost a scan.
    pub rows_after: Option<u64>,
}

impl RowCounts {
    /// Checks both identities.
    ///
    /// # Errors
    ///
    /// `Internal` if one does not hold.
    pub fn verify(&self) -> Result<()> {
        let fates = [
            self.inserted,
            self.updated,
            self.unchanged,
            self.stale,
            self.tombstones,
            self.ignored,
            self.duplicates,
            self.rejected,
        ];
        let accounted = fates.iter().sum::<u64>();
        if accounted != self.incoming {
            return Err(Error::internal("the fates of the incoming rows do not add up")
                .with("incoming", self.incoming)
                .with("accounted", accounted));
        }
        if self.quarantined > self.stale + self.rejected {
            return Err(Error::internal("more rows go into the quarantine than are left out")
                .with("quarantined", self.quarantined));
        }
        if let (Some(before), Some(after)) = (self.rows_before, self.rows_after) {
            let gained = before + self.inserted + self.opened;
            let lost = self.deleted + self.repaired;
            if Some(after) != gained.checked_sub(lost) {
                return Err(Error::internal("the stored rows do not add up")
                    .with("rows_before", before)
                    .with("rows_after", after));
            }
        }
        Ok(())
    }

    /// The counts of both, whose incoming rows were parts of one batch, against the same stored rows.
    ///
    /// # Errors
    ///
    /// `Internal` if the sums do not add up.
    pub(crate) fn and(&self, other: &Self) -> Result<Self> {
        let mut sum = Self {
            incoming: self.incoming + other.incoming,
            inserted: self.inserted + other.inserted,
            updated: self.updated + other.updated,
            unchanged: self.unchanged + other.unchanged,
            stale: self.stale + other.stale,
            tombstones: self.tombstones + other.tombstones,
            ignored: self.ignored + other.ignored,
            duplicates: self.duplicates + other.duplicates,
            rejected: self.rejected + other.rejected,
            quarantined: self.quarantined + other.quarantined,
            ties: self.ties + other.ties,
            opened: self.opened + other.opened,
            deleted: self.deleted + other.deleted,
            soft_deleted: self.soft_deleted + other.soft_deleted,
            closed: self.closed + other.closed,
            repaired: self.repaired + other.repaired,
            // To look for more rows may tell how many there are.
            rows_before: self.rows_before.or(other.rows_before),
            rows_after: None,
        };
        let gone = sum.deleted + sum.repaired;
        sum.rows_after = sum.rows_before.map(|rows| (rows + sum.inserted + sum.opened).saturating_sub(gone));
        sum.verify()?;
        Ok(sum)
    }

    /// The same with so many more incoming rows that were left out before they met stored ones.
    pub(crate) fn with_rejected(mut self, rows: u64) -> Self {
        self.incoming += rows;
        self.rejected += rows;
        self
    }

    /// The same where so many more stored rows go, because they are duplicates.
    ///
    /// # Errors
    ///
    /// `Internal` if there are not so many.
    pub(crate) fn with_repaired(mut self, rows: u64) -> Result<Self> {
        self.repaired += rows;
        self.rows_after = self.rows_after.map(|after| after.saturating_sub(rows));
        self.verify()?;
        Ok(self)
    }

    /// Whether the stored rows are left as they were.
    #[must_use]
    pub fn is_no_change(&self) -> bool {
        let gone = self.deleted + self.soft_deleted + self.closed + self.repaired;
        self.inserted + self.updated + self.opened + gone == 0
    }
}

/// What was read and written, in files, row groups and bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkCounts {
    /// Stored files that were opened for their keys.
    pub files_read: u64,
    /// Stored files that statistics ruled out.
    pub files_skipped: u64,
    /// Files that appeared; a rewritten file counts as one added and one removed.
    pub files_added: u64,
    /// Files that went.
    pub files_removed: u64,
    /// Files that stay, and of which the replaced rows are marked in a deletion vector.
    pub deletion_vectors: u64,
    /// Row groups whose keys were read.
    pub row_groups_read: u64,
    /// Row groups that statistics ruled out.
    pub row_groups_skipped: u64,
    /// Row groups with a changed row; all of a file that gets another column.
    pub row_groups_rewritten: u64,
    /// Bytes read of stored id and modification columns, as they are stored (compressed). For text,
    /// where every column is in every record, all bytes count here.
    pub key_bytes_read: u64,
    /// Bytes read of the other stored columns.
    pub value_bytes_read: u64,
    /// All stored bytes read.
    pub bytes_read: u64,
    /// Bytes written to the target; null in a dry run.
    pub bytes_written: Option<u64>,
    /// Those of them that the store copied from stored files by itself; they did not pass through here.
    pub bytes_copied: u64,
}

impl WorkCounts {
    /// Adds what a part of the work has counted.
    pub(crate) fn add(&mut self, part: &Self) {
        let Self {
            files_read,
            files_skipped,
            files_added,
            files_removed,
            deletion_vectors,
            row_groups_read,
            row_groups_skipped,
            row_groups_rewritten,
            key_bytes_read,
            value_bytes_read,
            bytes_read,
            bytes_written,
            bytes_copied,
        } = *part;
        self.files_read += files_read;
        self.files_skipped += files_skipped;
        self.files_added += files_added;
        self.files_removed += files_removed;
        self.deletion_vectors += deletion_vectors;
        self.row_groups_read += row_groups_read;
        self.row_groups_skipped += row_groups_skipped;
        self.row_groups_rewritten += row_groups_rewritten;
        self.key_bytes_read += key_bytes_read;
        self.value_bytes_read += value_bytes_read;
        self.bytes_read += bytes_read;
        self.bytes_written = match (self.bytes_written, bytes_written) {
            (Some(own), Some(part)) => Some(own + part),
            (own, part) => own.or(part),
        };
        self.bytes_copied += bytes_copied;
    }
}

/// Milliseconds spent in each phase of an upsert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PhaseTimes {
    /// Running the incoming frame and settling its rows.
    pub prepare: u64,
    /// Finding what could hold the incoming ids.
    pub plan: u64,
    /// Finding which stored rows the incoming ones meet.
    #[serde(rename = "match")]
    pub matching: u64,
    /// Writing the new data beside the old.
    pub apply: u64,
    /// Making it visible.
    pub commit: u64,
}

/// The report of one upsert; serialises to one flat JSON object.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UpsertReport {
    /// Where the rows went.
    pub target: String,
    /// The format of the target.
    pub format: Format,
    /// The backend that ran the incoming frame.
    pub backend: String,
    /// The method.
    pub method: String,
    /// Names this run in logs and reports.
    pub run_id: String,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// Whether the target was made by this upsert (in a dry run: would be).
    pub created: bool,
    /// What became of the rows.
    #[serde(flatten)]
    pub rows: RowCounts,
    /// What was read and written.
    #[serde(flatten)]
    pub work: WorkCounts,
    /// Columns that the target got (in a dry run: would get), in their order.
    pub columns_added: Vec<String>,
    /// Bytes of the incoming rows, if they went to disk because they were more than the memory limit allows; else 0.
    pub spilled_bytes: u64,
    /// Where the quarantine is, if there is one.
    pub quarantine: Option<String>,
    /// How often the work was done again because someone else changed the target.
    pub conflicts: u32,
    /// The version of the target that was read; null if there was none.
    pub version_before: Option<String>,
    /// The version that was written; the same as before if nothing was.
    pub version_after: Option<String>,
    /// Milliseconds from start to end.
    pub elapsed_ms: u64,
    /// Milliseconds in each phase.
    pub phases_ms: PhaseTimes,
    /// The highest resident memory of the process so far, in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// The first rows that change, if they were asked for: those that are stored in their order, then new ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Vec<RowChange>>,
    /// How many rows change, stored and new ones: an incoming row may replace several.
    #[serde(skip)]
    pub(crate) changed_rows: u64,
}

/// The report of one write.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WriteReport {
    /// Where the rows went.
    pub target: String,
    /// The format of the target.
    pub format: Format,
    /// The backend that ran the frame.
    pub backend: String,
    /// Whether anything was written; not so in mode `ignore` on an existing target.
    pub written: bool,
    /// Rows of the frame that were written; 0 if nothing was.
    pub rows: u64,
    /// Bytes of the new file.
    pub bytes_written: u64,
    /// Milliseconds from start to end.
    pub elapsed_ms: u64,
}

/// A version of a table, as its log describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TableVersion {
    /// Its number, from 0.
    pub version: u64,
    /// When it was written, as its writer says.
    #[serde(serialize_with = "as_text")]
    pub timestamp: Option<DateTime<Utc>>,
    /// What was done, such as `MERGE` or `WRITE`.
    pub operation: Option<String>,
    /// How that was asked for.
    pub parameters: Map<String, Value>,
    /// How much it changed, under the names that its writer gives.
    pub metrics: Map<String, Value>,
    /// What wrote it.
    pub engine: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn as_text<S: Serializer>(time: &Option<DateTime<Utc>>, to: S) -> std::result::Result<S::Ok, S::Error> {
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)).serialize(to)
}

/// The report of bringing an earlier version of a table back.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The table.
    pub target: String,
    /// The version whose rows it has again.
    pub restored_version: u64,
    /// The version before.
    pub version_before: u64,
    /// The new version; the same if there was nothing to do.
    pub version_after: u64,
    /// Files that are a part of it again.
    pub files_added: u64,
    /// Files that are no longer.
    pub files_removed: u64,
    /// Whether it was only counted.
    pub dry_run: bool,
    /// Milliseconds from start to end.
    pub elapsed_ms: u64,
}

/// The report of putting small files of a table together.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OptimizeReport {
    /// The table.
    pub target: String,
    /// Its format.
    pub format: Format,
    /// The version that was read.
    pub version_before: Option<String>,
    /// The version that was written; the same as before if nothing was.
    pub version_after: Option<String>,
    /// Files that the table had.
    pub files_before: u64,
    /// Files that were put together; in a folder they stay, without rows.
    pub files_removed: u64,
    /// Files that they became.
    pub files_added: u64,
    /// Bytes of the files that were put together.
    pub bytes_removed: u64,
    /// Bytes written; null in a dry run.
    pub bytes_added: Option<u64>,
    /// Whether it was only counted.
    pub dry_run: bool,
    /// How often the work was done again because someone else changed the same files.
    pub conflicts: u32,
    /// Milliseconds from start to end.
    pub elapsed_ms: u64,
}

/// The report of deleting files that nobody needs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VacuumReport {
    /// The table.
    pub target: String,
    /// Its format.
    pub format: Format,
    /// Files go that nobody has needed since.
    #[serde(serialize_with = "time_as_text")]
    pub older_than: DateTime<Utc>,
    /// The files, by their names below the table.
    pub files: Vec<String>,
    /// Bytes of them all.
    pub bytes: u64,
    /// Whether they were only named.
    pub dry_run: bool,
    /// Milliseconds from start to end.
    pub elapsed_ms: u64,
}

fn time_as_text<S: Serializer>(time: &DateTime<Utc>, to: S) -> std::result::Result<S::Ok, S::Error> {
    time.to_rfc3339_opts(SecondsFormat::Millis, true).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_report_that_loses_a_row_is_refused() {
        let mut counts =
            RowCounts { incoming: 3, inserted: 1, updated: 1, duplicates: 1, ..Default::default() };
        counts.rows_before = Some(10);
        counts.rows_after = Some(11);
        assert!(counts.verify().is_ok());
        counts.rows_after = Some(10);
        assert_eq!(counts.verify().map_err(|e| e.kind()), Err(ErrorKind::Internal));
        counts.rows_after = None;
        counts.quarantined = 1;
        assert_eq!(counts.verify().map_err(|e| e.kind()), Err(ErrorKind::Internal));
        (counts.quarantined, counts.stale) = (0, 1);
        assert_eq!(counts.verify().map_err(|e| e.kind()), Err(ErrorKind::Internal));
    }
}
