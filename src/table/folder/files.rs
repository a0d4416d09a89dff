//! A folder of Parquet files as it is now: which files it has, the columns of all of them, and those that the names of
//! its folders say (`day=2021-05-22/`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use super::names::{check_not_in_table, list, steps, told};
use crate::client::file::{Content, DataFile, Version};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::look_again;
use crate::table::parquet::{ParquetFile, Shape, behind, readable};
use crate::table::partition::{self, Values};
use crate::table::source::columns_of_folder;
use crate::table::{ParquetTable, StoredFile};

/// The files of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(super) location: Location,
    /// All columns: those of the first file, then those that only the names of folders say. What takes no nulls in the first
    /// file takes none.
    pub(super) stored_schema: SchemaRef,
    /// The same, as other files may have them: each may be null.
    schema: SchemaRef,
    /// The columns that stand in the first file. The others may lack the last ones, which came later.
    pub(super) file_schema: SchemaRef,
    pub(super) partition_columns: Vec<String>,
    pub(super) parts: Vec<Part>,
    met_more: Arc<AtomicBool>,
    /// The folder of each partition, with a slash at its end.
    folders: HashMap<Values, String>,
}

/// A file of a folder.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Below the folder.
    pub(super) path: String,
    pub(super) values: Values,
    /// Where its content is, if that was looked up before.
    file: Option<DataFile>,
}

impl Folder {
    /// Finds the files, and looks at the columns of the first one. `None` if there is none.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if folders name different columns, `InvalidData` for a damaged file.
    pub(crate) fn load(session: &Session, location: &Location) -> Result<Option<Self>> {
        check_not_in_table(session, location)?;
        let files = list(session, location)?.into_iter().map(|path| (path, None)).collect();
        Self::of(session, location, files)
    }

    /// The folder that has these files, with the content of those of which it is known.
    ///
    /// # Errors
    ///
    /// As [`Folder::load`].
    pub(super) fn of(
        session: &Session,
        location: &Location,
        files: BTreeMap<String, Option<DataFile>>,
    ) -> Result<Option<Self>> {
        let Some((first, content)) = files.first_key_value() else { return Ok(None) };
        let (first, content) = (first.clone(), content.clone());
        let (partition_columns, _) = steps(&first);
        let mut parts = Vec::with_capacity(files.len());
        for (path, file) in files {
            let (columns, values) = steps(&path);
            if columns != partition_columns {
                return Err(Error::new(ErrorKind::InvalidInput, "folders are named after different columns")
                    .with("folder", location)
                    .with("file", path)
                    .with("first", &first)
                    .hint("all files of a folder lie equally deep, below folders such as day=2021-05-22"));
            }
            parts.push(Part { path, values, file });
        }
        let file = content.map_or_else(|| session.open(&location.join(&first)?), Ok)?;
        let opened = look_again(session, || file.read().and_then(ParquetFile::open));
        let file_schema = opened.map_err(|error| error.with_missing("file", file.location()))?.schema();
        let folder = Self::new(location, file_schema, partition_columns, parts)?;
        Ok(Some(folder))
    }

    /// A folder with these columns and no files.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a partition column that there is not.
    pub(super) fn empty(
        location: &Location,
        schema: &SchemaRef,
        partition_columns: Vec<String>,
    ) -> Result<Self> {
        let (partitions, data): (Vec<Arc<Field>>, Vec<_>) =
            schema.fields().iter().cloned().partition(|field| partition_columns.contains(field.name()));
        for column in &partition_columns {
            let place = crate::core::schema::find_column(schema, column, "partition column")?;
            partition::check_type(column, schema.field(place).data_type())?;
        }
        if data.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a column is needed that the folder is not partitioned by",
            )
            .hint("partition by fewer columns"));
        }
        let partitions = partitions.iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
        let schema = Arc::new(Schema::new(data.iter().cloned().chain(partitions).collect::<Vec<_>>()));
        Ok(Self {
            location: location.clone(),
            schema: nullable(&schema),
            stored_schema: schema,
            file_schema: Arc::new(Schema::new(data)),
            partition_columns,
            parts: Vec::new(),
            met_more: Arc::default(),
            folders: HashMap::new(),
        })
    }

    fn new(
        location: &Location,
        file_schema: SchemaRef,
        partition_columns: Vec<String>,
        mut parts: Vec<Part>,
    ) -> Result<Self> {
        let mut fields: Vec<Arc<Field>> = file_schema.fields().iter().cloned().collect();
        for (place, column) in partition_columns.iter().enumerate() {
            if file_schema.index_of(column).is_err() {
                let told = told(parts.iter().filter_map(|part| part.values[place].as_deref()));
                fields.push(Arc::new(Field::new(column, told, true)));
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let mut folders = HashMap::new();
        for part in &mut parts {
            part.values = partition::normal(&schema, &partition_columns, &part.values)
                .map_err(|error| error.with("file", &part.path))?;
            let folder = part.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            folders.entry(part.values.clone()).or_insert(folder);
        }
        Ok(Self {
            location: location.clone(),
            schema: nullable(&schema),
            stored_schema: schema,
            file_schema,
            partition_columns,
            parts,
            met_more: Arc::default(),
            folders,
        })
    }

    /// Has these columns from now on, behind those that stand in the files.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a type that Parquet cannot hold.
    pub(super) fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()> {
        let own = self.file_schema.fields().len();
        self.file_schema = behind(&self.file_schema, &readable(columns)?);
        let told = self.stored_schema.fields()[own..].to_vec();
        self.stored_schema = behind(&self.file_schema, &told);
        self.schema = nullable(&self.stored_schema);
        Ok(())
    }

    /// Looks at all files for columns that the first one lacks, because what it stands for has gone or another file has come
    /// before it. Whether there are some: they are columns of the folder from now on.
    ///
    /// # Errors
    ///
    /// As [`Folder::open_part`].
    pub(crate) fn learn_columns(&mut self, session: &Session) -> Result<bool> {
        let own = self.file_schema.fields().len();
        for place in 0..self.parts.len() {
            session.check()?;
            let file = self.file(session, &self.parts[place])?;
            let opened = look_again(session, || file.read().and_then(ParquetFile::open));
            let schema = opened.map_err(|error| error.with_missing("file", file.location()))?.schema();
            if self.is_short(&schema) {
                let known = self.file_schema.fields().len();
                self.add_columns(&schema.fields()[known..])?;
            }
        }
        Ok(self.file_schema.fields().len() > own)
    }

    /// Whether a file has more columns behind those that are known.
    fn is_short(&self, file: &Schema) -> bool {
        let known = self.file_schema.fields();
        let are_first = || file.fields().iter().zip(known).all(|(own, known)| own.name() == known.name());
        file.fields().len() > known.len() && are_first() && columns_of_folder(file, &self.file_schema).is_ok()
    }

    /// Whether a file was met that has more columns than the first one.
    pub(super) fn has_met_more(&self) -> bool {
        self.met_more.load(Ordering::Relaxed)
    }

    /// Whether names of folders say columns.
    pub(crate) fn has_partitions(&self) -> bool {
        !self.partition_columns.is_empty()
    }

    /// The files.
    ///
    /// # Errors
    ///
    /// As [`Session::open`].
    pub(crate) fn data_files(&self, session: &Session) -> Result<Vec<DataFile>> {
        self.parts.iter().map(|part| self.file(session, part)).collect()
    }

    /// A name that nobody else gives, for a new file with rows of these values.
    pub(super) fn new_path(&self, values: &Values) -> String {
        let known = self.folders.get(values).cloned();
        let folder = known.unwrap_or_else(|| partition::folder(&self.partition_columns, values));
        format!("{folder}rows-{}.parquet", uuid::Uuid::now_v7())
    }

    /// The same, for a file in the folder of another one.
    pub(super) fn new_path_beside(path: &str) -> String {
        let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
        format!("{folder}rows-{}.parquet", uuid::Uuid::now_v7())
    }

    /// Refuses partitions that the folder does not have.
    ///
    /// # Errors
    ///
    /// `InvalidInput`.
    pub(super) fn check_partitions(&self, asked: Option<&[String]>) -> Result<()> {
        match asked.filter(|asked| *asked != self.partition_columns) {
            None => Ok(()),
            Some(asked) => {
                Err(Error::new(ErrorKind::InvalidInput, "the folder is partitioned in another way")
                    .with("asked", asked.join(", "))
                    .with("folder", self.partition_columns.join(", "))
                    .hint("leave the partitions out, or name another folder"))
            }
        }
    }

    /// The columns of rows that stand in files.
    pub(super) fn in_files(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.file_schema.fields().iter().map(|field| {
            rows.column_by_name(field.name())
                .map(Arc::clone)
                .ok_or_else(|| Error::internal("a column of the files is no column of the folder"))
        });
        RecordBatch::try_new(Arc::clone(&self.file_schema), columns.collect::<Result<Vec<_>>>()?)
            .map_err(|cause| Error::internal("new rows do not fit the columns of the files").because(cause))
    }

    pub(super) fn file(&self, session: &Session, part: &Part) -> Result<DataFile> {
        part.file.clone().map_or_else(|| session.open(&self.location.join(&part.path)?), Ok)
    }

    /// Opens a file, whose rows are numbered from `first`, and says which version of it.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a damaged file, `InvalidInput` if it has other columns than the first one, or lacks more than the last.
    pub(super) fn open_part(
        &self,
        session: &Session,
        place: usize,
        first: u64,
    ) -> Result<(ParquetFile, Version)> {
        let part = &self.parts[place];
        let file = self.file(session, part)?;
        let look = || {
            let (content, version) = file.read_version()?;
            Ok((self.opened(content, part, first)?, version))
        };
        look_again(session, look).map_err(|error| error.with_missing("file", file.location()))
    }

    /// Whether a file, or a folder it stands in, is a link to another place on the disk.
    pub(super) fn is_linked(&self, path: &str) -> bool {
        let Some(mut place) = self.location.as_path().map(std::path::Path::to_path_buf) else { return false };
        path.split('/').any(|step| {
            place.push(step);
            place.is_symlink()
        })
    }

    fn opened(&self, content: Content, part: &Part, first: u64) -> Result<ParquetFile> {
        let constants = self.constants(part)?;
        let mut differs = Ok(());
        let shape = |file: &SchemaRef| {
            differs = columns_of_folder(&self.file_schema, file).map(drop);
            if differs.is_err() && self.is_short(file) {
                self.met_more.store(true, Ordering::Relaxed);
                differs = Err(self.short(file));
            }
            Shape::of_table(&self.schema, file, |column| constants.get(column).cloned())
        };
        let opened = ParquetFile::part(content, &self.schema, first, &[], shape)?;
        differs.map(|()| opened)
    }

    fn short(&self, file: &Schema) -> Error {
        let more = &file.fields()[self.file_schema.fields().len()..];
        let more: Vec<&str> = more.iter().map(|field| field.name().as_str()).collect();
        let first = self.parts.first().map_or("", |part| part.path.as_str());
        Error::new(ErrorKind::InvalidInput, "the first file of the folder lacks columns of another")
            .with("first", first)
            .with("columns", more.join(", "))
            .hint("the first file by its path says which columns a folder has: an upsert that changes a row puts that right")
    }

    fn constants(&self, part: &Part) -> Result<HashMap<String, ArrayRef>> {
        let value = |(column, value): (&String, &Option<String>)| {
            let place = crate::core::schema::find_column(&self.schema, column, "partition column")?;
            let value = partition::parse(column, value.as_deref(), self.schema.field(place).data_type())?;
            Ok((column.clone(), value))
        };
        self.partition_columns.iter().zip(&part.values).map(value).collect()
    }
}

impl ParquetTable for Folder {
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
        self.open_part(session, file, 0).map(|(file, _)| file)
    }

    fn count(&self, session: &Session) -> Result<u64> {
        (0..self.parts.len()).map(|place| Ok(self.open_part(session, place, 0)?.0.rows())).sum()
    }
}

/// The columns, of which each may be null.
fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Field::clone(field).with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
