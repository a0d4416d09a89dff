//! A data file of a Delta table, as the log describes it.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StructArray};
use arrow::datatypes::{Int32Type, Int64Type};
use delta_kernel::engine::arrow_data::EngineDataArrowExt;
use delta_kernel::scan::ScanMetadata;
use deltalake_core::kernel::{Add, DeletionVectorDescriptor, Remove, StorageType};
use percent_encoding::percent_decode_str;

use super::known::{Known, LogText, LogTexts};
use crate::error::{Error, ErrorKind, Result};
use crate::table::partition::Values;

/// A data file.
#[derive(Debug, Clone)]
pub(super) struct StoredPart {
    /// Below the folder of the table.
    pub(super) path: String,
    pub(super) size: u64,
    /// Of the partition columns, in their order.
    pub(super) values: Values,
    /// As they stand in the log.
    pub(super) stats: Option<LogText>,
    pub(super) deletion_vector: Option<DeletionVectorDescriptor>,
    /// When it was written, in milliseconds.
    pub(super) modified: i64,
}

impl StoredPart {
    /// Tells a file with its deletion vector from all others.
    pub(super) fn key(&self) -> (String, Option<String>) {
        (self.path.clone(), self.deletion_vector.as_ref().map(|vector| format!("{vector:?}")))
    }

    /// Rows that count, if the log says how many there are.
    pub(super) fn rows(&self) -> Option<u64> {
        self.rows_of(&self.known(&[]))
    }

    /// The same, of what was read of the log before.
    pub(super) fn rows_of(&self, known: &Known) -> Option<u64> {
        known.rows?.checked_sub(self.deleted())
    }

    /// Rows that its deletion vector takes out.
    pub(super) fn deleted(&self) -> u64 {
        self.deletion_vector.as_ref().map_or(0, |vector| vector.cardinality.unsigned_abs())
    }

    /// What the log knows of its rows and of the values of some columns.
    pub(super) fn known(&self, columns: &[&str]) -> Known {
        Known::read(self.stats.as_ref().map(LogText::as_str), columns)
    }

    /// Refuses a file that is not below the folder of its table, as a shallow clone has them.
    pub(super) fn check(&self) -> Result<()> {
        let outside = self.path.contains("://")
            || self.path.starts_with('/')
            || self.path.split('/').any(|step| matches!(step, "" | "." | ".."));
        let vector = self.deletion_vector.as_ref().map(|vector| vector.storage_type);
        if outside || vector == Some(StorageType::AbsolutePath) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the Delta table has files outside of its folder",
            )
            .with("file", &self.path)
            .hint("it may be a shallow clone; copy the table as a whole first"));
        }
        Ok(())
    }

    /// The action that makes it a part of the table as it is.
    pub(super) fn add(&self, partition_columns: &[String]) -> Add {
        let values = partition_columns.iter().cloned().zip(self.values.iter().cloned());
        Add {
            path: self.path.clone(),
            partition_values: values.collect(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            modification_time: self.modified,
            data_change: true,
            stats: self.stats.as_ref().map(|stats| stats.as_str().to_owned()),
            tags: None,
            deletion_vector: self.deletion_vector.clone(),
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }

    /// The action that takes it out of the table.
    pub(super) fn remove(&self, partition_columns: &[String], now: i64) -> Remove {
        let values = partition_columns.iter().cloned().zip(self.values.iter().cloned());
        Remove {
            path: self.path.clone(),
            data_change: true,
            deletion_timestamp: Some(now),
            extended_file_metadata: Some(true),
            partition_values: Some(values.collect()),
            size: i64::try_from(self.size).ok(),
            tags: None,
            deletion_vector: self.deletion_vector.clone(),
            base_row_id: None,
            default_row_commit_version: None,
        }
    }
}

/// The files that a piece of the log tells of, of a table that is partitioned by `partition_columns`.
///
/// The columns are those of [`delta_kernel::scan::scan_row_schema`]. Text of statistics is shared with the log, not copied:
/// it is most of what the log of a large table holds.
///
/// # Errors
///
/// `InvalidData` for a log that is damaged.
pub(super) fn files_of(scanned: ScanMetadata, partition_columns: &[String]) -> Result<Vec<StoredPart>> {
    let rows =
        scanned.scan_files.apply_selection_vector().and_then(EngineDataArrowExt::try_into_record_batch);
    let rows = rows.map_err(|cause| damaged("files").because(cause))?;
    let columns = Columns::new(&rows)?;
    (0..rows.num_rows()).map(|row| columns.part(row, partition_columns)).collect()
}

fn damaged(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, "the log of the Delta table cannot be read")
        .with("part", what)
        .hint("a file of its _delta_log may be damaged")
}

/// The columns of the log that say something of files.
struct Columns<'a> {
    paths: &'a ArrayRef,
    sizes: &'a ArrayRef,
    modified: &'a ArrayRef,
    stats: LogTexts,
    vectors: &'a StructArray,
    values: &'a MapArray,
}

impl<'a> Columns<'a> {
    fn new(rows: &'a RecordBatch) -> Result<Self> {
        let column = |name: &'static str| rows.column_by_name(name).ok_or_else(|| damaged(name));
        let parts = |name| column(name)?.as_struct_opt().ok_or_else(|| damaged(name));
        let values = parts("fileConstantValues")?.column_by_name("partitionValues");
        Ok(Self {
            paths: column("path")?,
            sizes: column("size")?,
            modified: column("modificationTime")?,
            stats: LogTexts::new(column("stats")?),
            vectors: parts("deletionVector")?,
            values: values
                .and_then(|values| values.as_map_opt())
                .ok_or_else(|| damaged("partitionValues"))?,
        })
    }

    fn part(&self, row: usize, partition_columns: &[String]) -> Result<StoredPart> {
        let path = text(self.paths, row).ok_or_else(|| damaged("path"))?;
        let path = percent_decode_str(path).decode_utf8_lossy();
        Ok(StoredPart {
            path: path.into_owned(),
            size: number(self.sizes, row).and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            values: self.values(row, partition_columns),
            stats: self.stats.get(row),
            deletion_vector: self
                .vectors
                .is_valid(row)
                .then(|| vector(self.vectors, row))
                .transpose()?
                .flatten(),
            modified: number(self.modified, row).unwrap_or(0),
        })
    }

    fn values(&self, row: usize, partition_columns: &[String]) -> Values {
        if partition_columns.is_empty() || self.values.is_null(row) {
            return partition_columns.iter().map(|_| None).collect();
        }
        let entries = self.values.value(row);
        let (names, values) = (entries.column(0), entries.column(1));
        let entry = |entry| Some((text(names, entry)?, text(values, entry)));
        let values: HashMap<&str, Option<&str>> = (0..entries.len()).filter_map(entry).collect();
        let value = |column: &String| values.get(column.as_str()).copied().flatten().map(str::to_owned);
        partition_columns.iter().map(value).collect()
    }
}

/// The deletion vector that a row describes.
fn vector(vectors: &StructArray, row: usize) -> Result<Option<DeletionVectorDescriptor>> {
    let damaged = || damaged("deletionVector");
    let column = |name| vectors.column_by_name(name).ok_or_else(damaged);
    let Some(kind) = text(column("storageType")?, row) else { return Ok(None) };
    let whole = |name| {
        let values = column(name)?.as_primitive_opt::<Int32Type>().ok_or_else(damaged)?;
        Ok::<_, Error>(values.is_valid(row).then(|| values.value(row)))
    };
    Ok(Some(DeletionVectorDescriptor {
        storage_type: kind.parse().map_err(|cause| damaged().because(cause))?,
        path_or_inline_dv: text(column("pathOrInlineDv")?, row).ok_or_else(damaged)?.to_owned(),
        offset: whole("offset")?,
        size_in_bytes: whole("sizeInBytes")?.ok_or_else(damaged)?,
        cardinality: number(column("cardinality")?, row).ok_or_else(damaged)?,
    }))
}

fn text(values: &ArrayRef, row: usize) -> Option<&str> {
    let values = values.as_string_opt::<i32>()?;
    values.is_valid(row).then(|| values.value(row))
}

fn number(values: &ArrayRef, row: usize) -> Option<i64> {
    let values = values.as_primitive_opt::<Int64Type>()?;
    values.is_valid(row).then(|| values.value(row))
}
