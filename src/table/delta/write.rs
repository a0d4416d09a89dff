//! Writing a whole frame to a Delta table: made, added to, or with all of its rows replaced, in one version.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use chrono::Utc;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Action, Add, StructType};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use serde_json::{Value, json};

use super::commit::{NewVersion, checkpoint};
use super::features::Demands;
use super::log::{At, Snapshot};
use super::new_file::{self, Layout, discard};
use super::new_files::write_files;
use super::types;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::{WriteMode, WriteOptions};
use crate::core::report::{WriteReport, millis};
use crate::core::schema::check_names;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::again::pause;
use crate::table::handover::on_own_thread;
use crate::table::parquet::FileLayout;
use crate::table::source::check_new_name;
use crate::table::write::left_alone;

/// How often a version is tried that someone else has committed meanwhile.
const RETRIES: u32 = 20;

/// What a table that is not there yet asks of us.
pub(super) fn no_demands() -> Demands {
    Demands::new(json!({}), json!({}), HashMap::new())
}

/// Refuses a place in which no table can be made. Files of ours may be there already: someone else is making the table
/// in this moment, or has failed to.
///
/// # Errors
///
/// `Usage` for a pattern, `InvalidInput` for a folder that holds other things.
pub(super) fn check_new(session: &Session, location: &Location) -> Result<()> {
    check_new_name(location)?;
    let Some(path) = location.as_path() else { return check_keys(session, location) };
    if path.is_dir() { check_folder(location, path) } else { Ok(()) }
}

fn check_folder(location: &Location, path: &Path) -> Result<()> {
    let unreadable = |cause| Error::io("cannot look into the folder", cause).with("folder", path.display());
    for entry in std::fs::read_dir(path).map_err(unreadable)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.path() {
            _ if name == super::LOG || new_file::is_name(&name) => {}
            folder if name.contains('=') && folder.is_dir() => check_folder(location, &folder)?,
            _ => return Err(occupied(location, &name)),
        }
    }
    Ok(())
}

fn check_keys(session: &Session, location: &Location) -> Result<()> {
    if !session.has_any(location)? {
        return Ok(());
    }
    let ours = |key: &str| {
        let (folders, name) = key.rsplit_once('/').unwrap_or(("", key));
        folders.split('/').next() == Some(super::LOG)
            || new_file::is_name(name) && folders.split('/').all(|step| step.is_empty() || step.contains('='))
    };
    let prefix = location.join("")?.to_string();
    let found = session.list(&location.join("")?)?;
    let names = found.iter().map(|key| key.to_string().strip_prefix(&prefix).unwrap_or_default().to_owned());
    match names.into_iter().find(|name| !name.is_empty() && !ours(name)) {
        None => Ok(()),
        Some(other) => Err(occupied(location, &other)),
    }
}

fn occupied(location: &Location, name: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, "the folder holds something, and is no Delta table")
        .with("folder", location)
        .with("holds", name)
        .hint("name a new folder for the table")
}

/// Refuses partitions that an existing table does not have.
///
/// # Errors
///
/// `InvalidInput`.
pub(super) fn check_partitions(asked: Option<&[String]>, snapshot: &Snapshot) -> Result<()> {
    match asked.filter(|asked| *asked != snapshot.partition_columns) {
        None => Ok(()),
        Some(asked) => {
            Err(Error::new(ErrorKind::InvalidInput, "the Delta table is partitioned in another way")
                .with("asked", asked.join(", "))
                .with("table", snapshot.partition_columns.join(", "))
                .hint("leave the partitions out, or write another table"))
        }
    }
}

/// Refuses deletion vectors for an existing table that does not have them.
///
/// # Errors
///
/// `InvalidInput`.
pub(super) fn check_vectors(asked: bool, snapshot: &Snapshot) -> Result<()> {
    if !asked || snapshot.demands.wants_vectors() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, "the Delta table has no deletion vectors switched on")
        .with("table", &snapshot.location)
        .hint("they are chosen when a table is made; leave the option out, or write another table"))
}

/// The actions that make a table.
///
/// # Errors
///
/// `Internal` if its columns have no words in the log.
pub(super) fn table_actions(layout: &Layout) -> Result<Vec<Action>> {
    let wordless = |cause: serde_json::Error| {
        Error::internal("the columns of the new table have no words in its log").because(cause)
    };
    let schema: StructType = layout.schema.as_ref().try_into_kernel().map_err(|cause| {
        Error::internal("the columns of the new table have no types in Delta").because(cause)
    })?;
    let naive = layout.schema.fields().iter().any(|field| holds_naive(field.data_type()));
    let features = [("deletionVectors", layout.deletion_vectors), ("timestampNtz", naive)];
    let features: Vec<&str> =
        features.iter().filter(|(_, is_used)| *is_used).map(|(name, _)| *name).collect();
    let properties =
        if layout.deletion_vectors { json!({ "delta.enableDeletionVectors": "true" }) } else { json!({}) };
    let protocol = if features.is_empty() {
        json!({ "minReaderVersion": 1, "minWriterVersion": 2 })
    } else {
        json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features })
    };
    let metadata = json!({
        "id": uuid::Uuid::now_v7().to_string(),
        "format": { "provider": "parquet", "options": {} },
        "schemaString": serde_json::to_string(&schema).map_err(wordless)?,
        "partitionColumns": layout.partition_columns,
        "configuration": properties,
        "createdTime": Utc::now().timestamp_millis(),
    });
    let action = |value: Value| serde_json::from_value::<Action>(value).map_err(wordless);
    Ok(vec![action(json!({ "protocol": protocol }))?, action(json!({ "metaData": metadata }))?])
}

/// Whether there are timestamps without a zone in a type.
pub(super) fn holds_naive(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::List(item) | DataType::Map(item, _) => holds_naive(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_naive(field.data_type())),
        _ => false,
    }
}

/// Writes the batches of `stream` as `options` say.
pub(crate) async fn write_stream(
    session: &Session,
    stream: BatchStream,
    location: &Location,
    options: &WriteOptions,
    backend: &'static str,
) -> Result<WriteReport> {
    let (place, asked, schema) = (location.clone(), options.clone(), stream.schema());
    let open = move |session: &Session| Target::open(session, &place, &asked, schema);
    let named = |error: Error| error.with_missing("table", location);
    let Some(target) = session.run(open).await.map_err(named)? else {
        return Ok(WriteReport { format: Format::Delta, ..left_alone(location, options, backend) });
    };
    let own = session.clone();
    let started = Instant::now();
    let report = on_own_thread(stream, move |batches| target.write(&own, batches)).await.map_err(named)?;
    Ok(WriteReport { backend: backend.to_owned(), elapsed_ms: millis(started.elapsed()), ..report })
}

/// A table that is to be written.
struct Target {
    layout: Layout,
    snapshot: Option<Snapshot>,
    schema: SchemaRef,
    mode: WriteMode,
}

fn already_there(location: &Location) -> Error {
    Error::new(ErrorKind::AlreadyExists, "the Delta table exists already")
        .with("table", location)
        .hint("choose mode overwrite, append or ignore, or another name")
}

impl Target {
    fn open(
        session: &Session,
        location: &Location,
        options: &WriteOptions,
        schema: SchemaRef,
    ) -> Result<Option<Self>> {
        options.validate()?;
        check_names(&schema)?;
        let mode = options.mode;
        let is_there = super::is_table(session, location)?;
        let snapshot = if is_there { Snapshot::load(session, location, At::Latest)? } else { None };
        let files = FileLayout::of_write(options);
        let layout = match &snapshot {
            Some(_) if mode == WriteMode::Ignore => return Ok(None),
            Some(_) if mode == WriteMode::Error => return Err(already_there(location)),
            Some(snapshot) => {
                snapshot.demands.check_writable()?;
                if mode == WriteMode::Overwrite {
                    snapshot.demands.check_removable()?;
                }
                check_partitions(options.partition_by.as_deref(), snapshot)?;
                check_vectors(options.deletion_vectors, snapshot)?;
                let (schema, columns) = (&snapshot.schema, &snapshot.partition_columns);
                Layout::new(location, schema, columns, &snapshot.demands, files)?
            }
            None => {
                check_new(session, location)?;
                let columns = options.partition_by.clone().unwrap_or_default();
                Layout::new(location, &types::table_schema(&schema)?, &columns, &no_demands(), files)?
                    .with_deletion_vectors(options.deletion_vectors)
            }
        };
        Ok(Some(Self { layout, snapshot, schema, mode }))
    }

    fn write(
        mut self,
        session: &Session,
        batches: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<WriteReport> {
        let (rows, adds) = write_files(session, &self.layout, &self.schema, batches)?;
        let is_written = self.commit(session, rows, &adds)?;
        Ok(WriteReport {
            target: self.layout.location.to_string(),
            format: Format::Delta,
            backend: String::new(),
            written: is_written,
            rows: if is_written { rows } else { 0 },
            bytes_written: if is_written { size_of(&adds) } else { 0 },
            elapsed_ms: 0,
        })
    }

    /// Commits a version with the new files; whether that was wanted still.
    fn commit(&mut self, session: &Session, rows: u64, adds: &[Add]) -> Result<bool> {
        if self.mode == WriteMode::Append && self.snapshot.is_some() && adds.is_empty() {
            return Ok(true);
        }
        for attempt in 0..RETRIES {
            let begun = Instant::now();
            let staged =
                self.actions(adds).and_then(|actions| self.version(rows, adds).stage(session, &actions));
            let staged = staged.inspect_err(|_| discard(session, &self.layout.location, adds))?;
            let number = staged.number;
            // If this fails, a version may name the files all the same: they stay.
            if staged.commit(session)? {
                let demands = self.snapshot.as_ref().map(|snapshot| &snapshot.demands);
                checkpoint(session, &self.layout.location, number, demands);
                return Ok(true);
            }
            let again = pause(session, begun.elapsed(), attempt).and_then(|()| self.look_again(session));
            match again {
                Ok(true) => {}
                Ok(false) => {
                    discard(session, &self.layout.location, adds);
                    return Ok(false);
                }
                Err(error) => {
                    discard(session, &self.layout.location, adds);
                    return Err(error);
                }
            }
        }
        discard(session, &self.layout.location, adds);
        Err(Error::new(ErrorKind::Conflict, "someone else changed the Delta table every time")
            .hint("nothing of this run was written; run it again"))
    }

    fn version(&self, rows: u64, adds: &[Add]) -> NewVersion<'_> {
        let columns = &self.layout.partition_columns;
        let mode = match self.mode {
            WriteMode::Append => SaveMode::Append,
            WriteMode::Overwrite => SaveMode::Overwrite,
            WriteMode::Error => SaveMode::ErrorIfExists,
            WriteMode::Ignore => SaveMode::Ignore,
        };
        let partition_by = (!columns.is_empty()).then(|| columns.clone());
        NewVersion {
            location: &self.layout.location,
            read: self.snapshot.as_ref().map(|snapshot| snapshot.version),
            operation: DeltaOperation::Write { mode, partition_by, predicate: None },
            parameters: BTreeMap::new(),
            metrics: BTreeMap::from([
                ("numFiles", adds.len() as u64),
                ("numOutputRows", rows),
                ("numOutputBytes", size_of(adds)),
            ]),
            is_blind: self.mode == WriteMode::Append,
        }
    }

    fn actions(&self, adds: &[Add]) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        match &self.snapshot {
            None => actions = table_actions(&self.layout)?,
            Some(snapshot) if self.mode == WriteMode::Overwrite => {
                let now = Utc::now().timestamp_millis();
                let removes = snapshot.parts.iter().map(|part| part.remove(&snapshot.partition_columns, now));
                actions.extend(removes.map(Action::Remove));
            }
            Some(_) => {}
        }
        actions.extend(adds.iter().cloned().map(Action::Add));
        Ok(actions)
    }

    /// Reads the version that someone else has committed; whether there still is something to do.
    fn look_again(&mut self, session: &Session) -> Result<bool> {
        let location = &self.layout.location;
        match self.mode {
            WriteMode::Ignore => return Ok(false),
            WriteMode::Error => return Err(already_there(location)),
            WriteMode::Append | WriteMode::Overwrite => {}
        }
        let snapshot = Snapshot::load(session, location, At::Latest)?.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "the Delta table has gone").with("table", location)
        })?;
        snapshot.demands.check_writable()?;
        if self.mode == WriteMode::Overwrite {
            snapshot.demands.check_removable()?;
        }
        let same = snapshot.schema == self.layout.schema
            && snapshot.partition_columns == self.layout.partition_columns;
        if !same {
            return Err(Error::new(
                ErrorKind::Conflict,
                "someone else changed the columns of the Delta table",
            )
            .with("table", location)
            .hint("nothing of this run was written; run it again"));
        }
        self.snapshot = Some(snapshot);
        Ok(true)
    }
}

fn size_of(adds: &[Add]) -> u64 {
    adds.iter().map(|add| add.size.unsigned_abs()).sum()
}
