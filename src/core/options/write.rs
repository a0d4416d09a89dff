//! How to write a file, and what to do with one that is there.

use crate::core::format::Format;
use crate::core::options::{Compression, CsvOptions};
use crate::error::{Error, ErrorKind, Result};

/// What to do when the target of a write exists.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
#[non_exhaustive]
pub enum WriteMode {
    /// Fail, and leave it as it is.
    #[default]
    Error,
    /// Replace it, atomically.
    Overwrite,
    /// Keep its rows and add the new ones after them, atomically.
    Append,
    /// Leave it as it is, and succeed.
    Ignore,
}

/// How to write.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WriteOptions {
    /// The format; told from the name if not said.
    pub format: Option<Format>,
    /// What to do when the target exists.
    pub mode: WriteMode,
    /// How the data is compressed; if not said, Parquet by `zstd:3`, Arrow IPC not at all, text as its name says.
    pub compression: Option<Compression>,
    /// How many rows a Parquet row group holds at most.
    pub row_group_rows: usize,
    /// The layout of delimited text.
    pub csv: CsvOptions,
    /// The columns by which a new table is partitioned; one that exists must be partitioned by the same.
    pub partition_by: Option<Vec<String>>,
    /// Whether a new Delta table marks rows that are replaced in deletion vectors, instead of writing their files anew.
    /// One that exists must do so already.
    pub deletion_vectors: bool,
    /// The columns of which new Parquet files get a bloom filter for each row group, so that upserts by ids in no order rule
    /// row groups out. Files that are there keep their own way.
    pub bloom_filter: Vec<String>,
    /// Whether missing folders above a new target on a local disk are made.
    pub mkdir: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            format: None,
            mode: WriteMode::default(),
            compression: None,
            // Small enough that an upsert of a few rows rewrites little, large enough to scan well.
            row_group_rows: 256 * 1024,
            csv: CsvOptions::default(),
            partition_by: None,
            deletion_vectors: false,
            bloom_filter: Vec::new(),
            mkdir: false,
        }
    }
}

impl WriteOptions {
    /// Says the format.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Says what to do when the target exists.
    #[must_use]
    pub fn with_mode(mut self, mode: WriteMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the compression. That of text is told by its name; here only the level can be another.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets how many rows a Parquet row group holds at most.
    #[must_use]
    pub fn with_row_group_rows(mut self, rows: usize) -> Self {
        self.row_group_rows = rows;
        self
    }

    /// Gives new Parquet files a bloom filter of each of these columns.
    #[must_use]
    pub fn with_bloom_filter(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.bloom_filter = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the layout of delimited text.
    #[must_use]
    pub fn with_csv(mut self, csv: CsvOptions) -> Self {
        self.csv = csv;
        self
    }

    /// Lets missing folders above a new target on a local disk be made.
    #[must_use]
    pub fn with_mkdir(mut self, mkdir: bool) -> Self {
        self.mkdir = mkdir;
        self
    }

    /// Partitions a new table by these columns.
    #[must_use]
    pub fn with_partition_by(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.partition_by = Some(columns.into_iter().map(Into::into).collect());
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
    /// `Usage` for row groups of no rows, or what [`CsvOptions::validate`] finds.
    pub fn validate(&self) -> Result<()> {
        if self.row_group_rows == 0 {
            return Err(Error::new(ErrorKind::Usage, "a row group must hold at least one row"));
        }
        self.csv.validate()
    }
}
