//! How an upsert goes about its work.

use chrono::{DateTime, Utc};

use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::options::{Compression, CsvOptions, MemoryLimit};
use crate::error::{Error, ErrorKind, Result};

/// How an upsert goes about its work; what it means is said by the merge rule.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UpsertOptions {
    /// The format of the target; told from name and content if not said.
    pub format: Option<Format>,
    /// Plan and count, but write nothing.
    pub dry_run: bool,
    /// How many changed rows the report shows, as they are stored and as they will be; none if this is not said.
    pub diff: Option<usize>,
    /// How often the work is done again because someone else changed the target meanwhile.
    pub max_retries: u32,
    /// The layout of a delimited target. Its `timestamp_format` is that of incoming text, too, where that goes into stored dates
    /// and timestamps.
    pub csv: CsvOptions,
    /// How the columns of a new Parquet target are compressed; an existing one keeps its own way.
    pub compression: Compression,
    /// The columns by which a new table is partitioned; one that exists must be partitioned by the same.
    pub partition_by: Option<Vec<String>>,
    /// How much memory the upsert may take; above it, incoming rows go to disk. A text file as the target takes them in
    /// one piece: it refuses more of them if this is said, and takes what it needs if not.
    pub memory_limit: Option<MemoryLimit>,
    /// Whether a new Delta table marks rows that are replaced in deletion vectors, instead of writing their files anew.
    /// One that exists must do so already.
    pub deletion_vectors: bool,
    /// The columns of which new Parquet files get a bloom filter for each row group, so that upserts by ids in no order rule
    /// row groups out. Files that are there keep their own way.
    pub bloom_filter: Vec<String>,
    /// What is done if there is no target yet.
    pub if_missing: IfMissing,
    /// Whether missing folders above a new target, or a new quarantine, on a local disk are made.
    pub mkdir: bool,
    /// The time that the run writes where a rule asks for it: `now()`, when a row was softly deleted, since when a version holds. It
    /// is when the run begins if this is not said.
    pub run_time: Option<DateTime<Utc>>,
    /// Where incoming rows are added that the rule puts aside
    /// ([`NullIds::Quarantine`](crate::NullIds::Quarantine), [`Stale::Quarantine`](crate::Stale::Quarantine)): a file, a folder or
    /// a table, made if it does not exist. They have the columns in which they came in, and `_keyfold_reason`,
    /// `_keyfold_run_id` and `_keyfold_source_row`.
    pub quarantine: Option<Location>,
}

/// What an upsert does without a target.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, strum::Display, strum::VariantNames, strum::EnumString,
)]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum IfMissing {
    /// It makes one of the incoming rows.
    #[default]
    Create,
    /// It is refused.
    Error,
}

impl Default for UpsertOptions {
    fn default() -> Self {
        Self {
            format: None,
            dry_run: false,
            diff: None,
            max_retries: 10,
            csv: CsvOptions::default(),
            compression: Compression::default(),
            partition_by: None,
            memory_limit: None,
            deletion_vectors: false,
            bloom_filter: Vec::new(),
            if_missing: IfMissing::default(),
            mkdir: false,
            run_time: None,
            quarantine: None,
        }
    }
}

impl UpsertOptions {
    /// Says the format of the target.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Plans and counts only.
    #[must_use]
    pub fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Lets the report show so many changed rows, which are held in memory.
    #[must_use]
    pub fn with_diff(mut self, rows: usize) -> Self {
        self.diff = Some(rows);
        self
    }

    /// Sets how often the work is done again after a conflict.
    #[must_use]
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Sets the layout of a delimited target.
    #[must_use]
    pub fn with_csv(mut self, csv: CsvOptions) -> Self {
        self.csv = csv;
        self
    }

    /// Sets the compression of a new Parquet target.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Gives new Parquet files a bloom filter of each of these columns.
    #[must_use]
    pub fn with_bloom_filter(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.bloom_filter = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Says at which time the run is said to be, such as that for which a late run was planned.
    #[must_use]
    pub fn with_run_time(mut self, time: DateTime<Utc>) -> Self {
        self.run_time = Some(time);
        self
    }

    /// Says what is done if there is no target yet.
    #[must_use]
    pub fn with_if_missing(mut self, if_missing: IfMissing) -> Self {
        self.if_missing = if_missing;
        self
    }

    /// Lets missing folders above a new target on a local disk be made.
    #[must_use]
    pub fn with_mkdir(mut self, mkdir: bool) -> Self {
        self.mkdir = mkdir;
        self
    }

    /// Adds the rows that the rule puts aside to what stands at `location`.
    #[must_use]
    pub fn with_quarantine(mut self, location: impl Into<Location>) -> Self {
        self.quarantine = Some(location.into());
        self
    }

    /// Partitions a new table by these columns.
    #[must_use]
    pub fn with_partition_by(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.partition_by = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Sets how much memory the upsert may take.
    #[must_use]
    pub fn with_memory_limit(mut self, limit: MemoryLimit) -> Self {
        self.memory_limit = Some(limit);
        self
    }

    /// Lets a new Delta table mark replaced rows in deletion vectors.
    #[must_use]
    pub fn with_deletion_vectors(mut self, deletion_vectors: bool) -> Self {
        self.deletion_vectors = deletion_vectors;
        self
    }

    /// Checks that the choices fit together.
    ///
    /// # Errors
    ///
    /// What [`CsvOptions::validate`] finds.
    pub fn validate(&self) -> Result<()> {
        self.csv.validate()
    }

    /// Checks that the choices fit the rule: rows that are put aside need a place, and a place needs rows that may go there.
    ///
    /// # Errors
    ///
    /// `Usage`.
    pub(crate) fn check_rule(&self, rule: &MergeRule) -> Result<()> {
        rule.check_scope()?;
        match (rule.quarantines(), &self.quarantine) {
            (Some(flag), None) => {
                Err(Error::new(ErrorKind::Usage, "rows are to go into a quarantine, and none is named")
                    .with("flag", flag)
                    .hint("name a file or a table for them with --quarantine LOCATION"))
            }
            (None, Some(place)) => Err(Error::new(ErrorKind::Usage, "nothing would go into the quarantine")
                .with("quarantine", place)
                .hint(
                    "say which rows do, with --null-ids quarantine or --stale quarantine, or leave it out",
                )),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}
