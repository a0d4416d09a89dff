//! New data files of a Delta table: written aside and put in place under names that nobody else has. Nobody sees
//! their rows before a version of the log names them.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake_core::kernel::Add;

use super::features::Demands;
use super::stats::{self, Statistics};
use crate::client::file::{Commit, Sink, Stage};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};
use crate::table::parquet::{Encoder, FileLayout, Ways};
use crate::table::partition::{self, Values};

/// How the files of a table are written.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) location: Location,
    /// All columns of the table.
    pub(super) schema: SchemaRef,
    pub(super) partition_columns: Vec<String>,
    files: FileLayout,
    /// Whether replaced rows are marked in deletion vectors.
    pub(super) deletion_vectors: bool,
    /// The columns that stand in the files, by their places in `schema`.
    places: Vec<usize>,
    /// Their types.
    pub(super) data_schema: SchemaRef,
    stats_columns: Vec<usize>,
}

impl Layout {
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported` for a column by which a table cannot be partitioned.
    pub(super) fn new(
        location: &Location,
        schema: &SchemaRef,
        partition_columns: &[String],
        demands: &Demands,
        files: FileLayout,
    ) -> Result<Self> {
        for column in partition_columns {
            let index = crate::core::schema::find_column(schema, column, "partition column")?;
            partition::check_type(column, schema.field(index).data_type())?;
        }
        let is_data = |place: &usize| !partition_columns.contains(schema.field(*place).name());
        let places: Vec<usize> = (0..schema.fields().len()).filter(is_data).collect();
        if places.is_empty() && !partition_columns.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a Delta table needs a column that it is not partitioned by",
            )
            .with("columns", partition_columns.join(", "))
            .hint("partition by fewer columns"));
        }
        let fields: Vec<Field> = places.iter().map(|place| schema.field(*place).clone()).collect();
        let data_schema = Arc::new(Schema::new(fields));
        files.check(&data_schema)?;
        Ok(Self {
            location: location.clone(),
            schema: Arc::clone(schema),
            partition_columns: partition_columns.to_vec(),
            files,
            deletion_vectors: demands.wants_vectors(),
            places,
            stats_columns: stats::columns(&data_schema, demands),
            data_schema,
        })
    }

    /// Whether the least and the greatest value of a column are kept for each file.
    pub(super) fn has_bounds(&self, column: &str) -> bool {
        let fields = self.stats_columns.iter().map(|place| self.data_schema.field(*place));
        fields.into_iter().any(|field| field.name() == column && stats::is_ordered(field.data_type()))
    }

    /// Says it of a new table.
    pub(super) fn with_deletion_vectors(mut self, deletion_vectors: bool) -> Self {
        self.deletion_vectors = deletion_vectors;
        self
    }
}

/// A file that is being written.
pub(super) struct NewFile<'a> {
    draft: Draft<'a>,
    writer: Encoder<File>,
}

/// The place of a new file, and what the log is to say of it.
pub(super) struct Draft<'a> {
    layout: &'a Layout,
    path: String,
    values: Values,
    stage: Stage,
    pub(super) statistics: Statistics,
}

impl<'a> Draft<'a> {
    /// A file for rows of one partition.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn new(session: &Session, layout: &'a Layout, values: Values) -> Result<Self> {
        let folder = partition::folder(&layout.partition_columns, &values);
        let path = format!("{folder}part-{}.parquet", uuid::Uuid::now_v7());
        let location = layout.location.join(&path)?;
        if let Some(path) = location.as_path() {
            make_parent(path)?;
        }
        let stage = session.open(&location)?.stage()?;
        let statistics = Statistics::new(&layout.data_schema, &layout.stats_columns);
        Ok(Self { layout, path, values, stage, statistics })
    }

    /// What is to be written, and the statistics that go with it.
    pub(super) fn parts(&mut self) -> (Sink<'_>, &mut Statistics) {
        (self.stage.sink(), &mut self.statistics)
    }

    /// Puts the file in place; the action that makes it a part of the table, and how many of its bytes the store copied.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn finish(self) -> Result<(Add, u64)> {
        let stats = self.statistics.to_json()?;
        let Commit::Committed { version, copied } = self.stage.commit(None)? else {
            return Err(Error::internal("a new file has the name of another").with("file", self.path));
        };
        let values: HashMap<_, _> = self.layout.partition_columns.iter().cloned().zip(self.values).collect();
        let add = Add {
            path: self.path,
            partition_values: values,
            size: i64::try_from(version.size()).unwrap_or(i64::MAX),
            modification_time: chrono::Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(stats),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        };
        Ok((add, copied))
    }
}

impl<'a> NewFile<'a> {
    /// Starts a file for rows of one partition, in the `ways` of a stored one if there is one.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn start(
        session: &Session,
        layout: &'a Layout,
        values: Values,
        ways: Option<&Ways>,
    ) -> Result<Self> {
        let mut draft = Draft::new(session, layout, values)?;
        let options = match ways {
            Some(ways) => layout.files.properties_like(&layout.data_schema, ways)?,
            None => layout.files.properties(&layout.data_schema)?,
        };
        let file = draft.stage.file().try_clone();
        let file = file.map_err(|cause| Error::io("cannot open the new file", cause))?;
        let writer = Encoder::create(file, &layout.data_schema, options.build())?;
        Ok(Self { draft, writer })
    }

    /// Writes rows with all columns of the table.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let layout = self.draft.layout;
        let rows = rows
            .project(&layout.places)
            .and_then(|rows| rows.with_schema(Arc::clone(&layout.data_schema)))
            .map_err(|cause| {
                Error::internal("new rows do not fit the columns of the table").because(cause)
            })?;
        self.draft.statistics.add(&rows);
        self.writer.write(&rows)
    }

    pub(super) fn rows(&self) -> u64 {
        self.draft.statistics.rows()
    }

    /// Bytes so far, about.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes()
    }

    /// Puts the file in place; the action that makes it a part of the table.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(super) fn finish(self) -> Result<Add> {
        self.writer.finish()?;
        self.draft.finish().map(|(add, _)| add)
    }
}

/// Whether a file goes by a name that we give, or is hidden, as those are that are staged or ask a store what it can do.
pub(super) fn is_name(name: &str) -> bool {
    let id = name.strip_prefix("part-").and_then(|rest| rest.get(..36));
    name.starts_with('.') || id.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok())
}

/// Makes the folder that a file is to stand in.
pub(super) fn make_parent(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|cause| {
        Error::io("cannot make a folder of the table", cause).with("folder", folder.display())
    })
}

/// Deletes new files that no version names, as far as that can be done.
pub(super) fn discard(session: &Session, location: &Location, adds: &[Add]) {
    delete(session, location, adds.iter().map(|add| &add.path));
}

/// The same, by their paths below the folder of the table.
pub(super) fn delete<'a>(
    session: &Session,
    location: &Location,
    paths: impl IntoIterator<Item = &'a String>,
) {
    for path in paths {
        let deleted = location.join(path).and_then(|file| session.delete(&file));
        if let Err(error) = deleted {
            tracing::warn!(file = path, %error, "a file that no version names is left behind");
        }
    }
}
