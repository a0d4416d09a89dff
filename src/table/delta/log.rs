//! One version of a Delta table, as its log says: its columns, its files, and what it asks of us.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake_core::kernel::{Metadata, Snapshot as LogSnapshot};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::{DeltaTable, DeltaTableError, checkpoints};
use futures::TryStreamExt;
use object_store::path::Path;
use serde_json::Value;
use url::Url;

use super::features::Demands;
use super::part::{StoredPart, files_of};
use super::{LOG, failed};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};
use crate::table::ParquetTable;
use crate::table::parquet::{ParquetFile, Shape};
use crate::table::partition;

/// Which version is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum At {
    /// The last one.
    #[default]
    Latest,
    /// This one.
    Version(u64),
    /// The last one at this time.
    Time(DateTime<Utc>),
}

/// One version of a table.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(super) location: Location,
    pub(super) version: u64,
    /// All columns, those of partitions too, where the table has them.
    pub(super) schema: SchemaRef,
    pub(super) partition_columns: Vec<String>,
    /// In the order in which they were written.
    pub(super) parts: Arc<Vec<StoredPart>>,
    pub(super) demands: Demands,
    /// What the log says of the table as a whole.
    pub(super) metadata: Metadata,
}

/// The log is shown to its reader as if the table stood at the root of a place of its own: keys in which a URL would
/// see something else never reach it.
pub(super) fn root() -> Result<Url> {
    Url::parse("memory:///").map_err(|cause| Error::internal("a URL of our own is none").because(cause))
}

pub(super) fn log_store(session: &Session, location: &Location) -> Result<LogStoreRef> {
    let store = session.folder(location)?;
    Ok(default_logstore(Arc::clone(&store), store, &root()?, &StorageConfig::default()))
}

impl Snapshot {
    /// Reads a version; `None` if there is no table.
    ///
    /// # Errors
    ///
    /// `NotFound` for a version that there is not, `Unsupported` for a table that we would misread, `InvalidData` for
    /// a damaged log.
    pub(crate) fn load(session: &Session, location: &Location, at: At) -> Result<Option<Self>> {
        let named = |error: Error| error.with_missing("table", location);
        let log = match log_store(session, location) {
            // Where there is no folder, there is no table.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            log => log?,
        };
        let place = location.clone();
        let loaded = session.wait(async move { load(log, place, at).await }).map_err(named)?;
        if let Some(snapshot) = &loaded {
            snapshot.parts.iter().try_for_each(StoredPart::check).map_err(named)?;
        }
        Ok(loaded)
    }

    /// The same of a table that has to be there.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::load`], and `NotFound` if there is no table.
    pub(crate) fn required(session: &Session, location: &Location, at: At) -> Result<Self> {
        Self::load(session, location, at)?.ok_or_else(|| super::missing(location))
    }

    /// Opens a data file, of which the rows `deleted` do not count; its rows are numbered from `first`.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it is missing or damaged.
    pub(super) fn open_part(
        &self,
        session: &Session,
        part: &StoredPart,
        first: u64,
        deleted: &[u64],
    ) -> Result<ParquetFile> {
        let location = self.location.join(&part.path)?;
        let named = |error: Error| error.with_missing("file", &location);
        let content = session.open(&location).and_then(|file| file.read()).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                return Error::new(ErrorKind::InvalidData, "a file of the Delta table is missing")
                    .hint(
                        "it may have been vacuumed, or deleted by hand; an older version cannot be read then",
                    )
                    .because(error);
            }
            error
        });
        let constants = self.constants(part)?;
        let shape = |file: &SchemaRef| {
            Shape::of_table(&self.schema, file, |column| {
                let place = self.partition_columns.iter().position(|known| known == column)?;
                Some(Arc::clone(&constants[place]))
            })
        };
        content
            .and_then(|content| ParquetFile::part(content, &self.schema, first, deleted, shape))
            .map_err(named)
    }

    fn constants(&self, part: &StoredPart) -> Result<Vec<ArrayRef>> {
        let value = |(column, value): (&String, &Option<String>)| {
            let field = self.schema.field_with_name(column).map_err(|_| no_such_partition(column))?;
            partition::parse(column, value.as_deref(), field.data_type())
        };
        self.partition_columns.iter().zip(&part.values).map(value).collect()
    }

    /// Writes a checkpoint of this version's log.
    ///
    /// # Errors
    ///
    /// `Io`, `PermissionDenied` or `InvalidData`.
    pub(super) fn checkpoint(session: &Session, location: &Location, version: u64) -> Result<()> {
        let log = log_store(session, location)?;
        session.wait(async move {
            let mut table = DeltaTable::new(log);
            table.load_version(version).await.map_err(failed)?;
            checkpoints::create_checkpoint(&table, None).await.map_err(failed)
        })
    }
}

impl ParquetTable for Snapshot {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn files(&self) -> usize {
        self.parts.len()
    }

    fn name(&self, file: usize) -> &str {
        &self.parts[file].path
    }

    fn open(&self, session: &Session, file: usize) -> Result<ParquetFile> {
        let part = &self.parts[file];
        let deleted = self.deleted(session, part)?;
        self.open_part(session, part, 0, &deleted)
    }

    fn count(&self, session: &Session) -> Result<u64> {
        let count = |part: &StoredPart| {
            if let Some(rows) = part.rows() {
                return Ok(rows);
            }
            let deleted = self.deleted(session, part)?;
            Ok(self.open_part(session, part, 0, &deleted)?.rows() - deleted.len() as u64)
        };
        self.parts.iter().map(count).sum()
    }
}

fn no_such_partition(column: &str) -> Error {
    Error::new(ErrorKind::InvalidData, "the Delta table is partitioned by a column that it has not")
        .with("column", column)
}

async fn load(log: LogStoreRef, location: Location, at: At) -> Result<Option<Snapshot>> {
    let latest = match LogSnapshot::try_new(log.as_ref(), None).await {
        Err(DeltaTableError::NotATable(_)) => return Ok(None),
        found => found.map_err(failed)?,
    };
    let wanted = match at {
        At::Latest => None,
        At::Version(version) => Some(version),
        At::Time(time) => {
            demands_of(&latest)?.check_times()?;
            Some(version_at(&log, time).await?)
        }
    };
    let log_snapshot = match wanted.filter(|version| *version != latest.version()) {
        None => latest,
        Some(version) => at_version(&log, version, latest.version()).await?,
    };
    let demands = demands_of(&log_snapshot)?;
    // Before the files are looked for, which would fail in other words.
    demands.check_readable()?;
    let partition_columns: Vec<String> =
        log_snapshot.metadata().partition_columns().iter().map(ToString::to_string).collect();
    // Statistics stay the text that they are: they are parsed where somebody asks for them.
    let scan = log_snapshot.scan_builder().build().map_err(failed)?;
    let mut scanned = scan.scan_metadata(log.engine(None));
    let mut parts = Vec::new();
    while let Some(piece) = scanned.try_next().await.map_err(failed)? {
        parts.extend(files_of(piece, &partition_columns)?);
    }
    parts.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    Ok(Some(Snapshot {
        location,
        version: log_snapshot.version(),
        schema: arrow_schema(&log_snapshot)?,
        partition_columns,
        parts: Arc::new(parts),
        demands,
        metadata: log_snapshot.metadata().clone(),
    }))
}

async fn at_version(log: &LogStoreRef, version: u64, latest: u64) -> Result<LogSnapshot> {
    let missing = |message: &'static str, hint: &'static str| {
        Error::new(ErrorKind::NotFound, message).with("version", version).with("latest", latest).hint(hint)
    };
    if version > latest {
        return Err(missing("the Delta table has no such version", "versions are counted from 0"));
    }
    LogSnapshot::try_new(log.as_ref(), Some(version)).await.map_err(failed).map_err(|error| {
        match error.kind() {
            ErrorKind::InvalidData => {
                missing("this version of the Delta table is no longer there", "its log was cleaned up")
                    .because(error)
            }
            _ => error,
        }
    })
}

/// The last version that was there at a time, by the times of the files in the log.
async fn version_at(log: &LogStoreRef, time: DateTime<Utc>) -> Result<u64> {
    let store = log.object_store(None);
    let found: Vec<_> = store
        .list(Some(&Path::from(LOG)))
        .try_collect()
        .await
        .map_err(|cause| failed(DeltaTableError::from(cause)))?;
    let mut versions: Vec<(u64, DateTime<Utc>)> = found
        .iter()
        .filter_map(|meta| {
            let name = meta.location.filename()?.strip_suffix(".json")?;
            let digits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
            Some((name.parse().ok().filter(|_| digits)?, meta.last_modified))
        })
        .collect();
    versions.sort_unstable();
    let version = versions.iter().rev().find(|(_, written)| *written <= time).map(|(version, _)| *version);
    version.ok_or_else(|| {
        let error =
            Error::new(ErrorKind::NotFound, "the Delta table has no version of that time").with("time", time);
        match versions.first() {
            Some((version, written)) => error.with("first", version).with("written", written),
            None => error,
        }
    })
}

fn demands_of(snapshot: &LogSnapshot) -> Result<Demands> {
    let unreadable =
        |cause| Error::internal("the log of the Delta table cannot be understood").because(cause);
    let protocol: Value = serde_json::to_value(snapshot.protocol()).map_err(unreadable)?;
    let schema = serde_json::to_value(snapshot.schema().as_ref()).map_err(unreadable)?;
    Ok(Demands::new(protocol, schema, snapshot.metadata().configuration().clone()))
}

fn arrow_schema(snapshot: &LogSnapshot) -> Result<SchemaRef> {
    let schema: Schema = snapshot.schema().as_ref().try_into_arrow().map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "the Delta table has columns of types that keyfold does not know")
            .because(cause)
    })?;
    let fields: Vec<Field> = schema.fields().iter().map(|field| bare(field)).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// A column without what the log says about it beside its type.
fn bare(field: &Field) -> Field {
    let inner = |field: &Field| Arc::new(bare(field));
    let data_type = match field.data_type() {
        DataType::List(item) => DataType::List(inner(item)),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| inner(field)).collect::<Fields>())
        }
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}
