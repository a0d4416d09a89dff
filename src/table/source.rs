//! Files to read rows from: which they are, their format, their columns. Both backends start here, so
//! that both say the same of a file that is missing or damaged.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use crate::client::file::DataFile;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::ReadOptions;
use crate::core::schema::{find_column, type_name};
use crate::core::text_codec::TextCodec;
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::look_again;
use crate::table::delta::{At, Snapshot};
use crate::table::folder;
use crate::table::target::{Kind, stands};
use crate::table::text::{self, TextScan};
use crate::table::{ParquetTable, ipc, parquet};

/// As many bytes at the start of a file tell its format.
const HEAD: usize = 512;

/// Files of one format and the same columns.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) files: Vec<DataFile>,
    pub(crate) format: Format,
    /// The columns of the first file, for formats that store them.
    pub(crate) schema: Option<SchemaRef>,
    /// A table, which has no files to be named one by one.
    pub(crate) table: Option<Arc<dyn ParquetTable>>,
    rows: u64,
}

impl Source {
    /// Finds the files and, for formats that store their columns, looks at those.
    ///
    /// # Errors
    ///
    /// `NotFound`, `InvalidInput` if they differ in format or columns, `InvalidData` for a damaged file.
    pub(crate) fn open(session: &Session, locations: &[Location], options: &ReadOptions) -> Result<Self> {
        options.validate()?;
        let mut folders = Vec::new();
        for location in locations {
            match stands(session, location, options.format)? {
                Kind::Delta => return Self::open_delta(session, locations, location, options),
                Kind::Folder => folders.push(location),
                Kind::File => {}
            }
        }
        if let Some(folder) = folders.first() {
            return Self::open_folder(session, locations, folder, options);
        }
        if options.asks_for_version() {
            return Err(no_versions());
        }
        let files = session.open_all(locations)?;
        let first = files.first().ok_or_else(|| Error::new(ErrorKind::Usage, "no file is named"))?;
        let format = format_of(first, options.format)?;
        for file in &files[1..] {
            let other = format_of(file, options.format)?;
            if other != format {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    "files of different formats cannot be read together",
                )
                .with("file", file.location())
                .with("format", other)
                .with("first", format));
            }
        }
        let mut source = Self { files, format, schema: None, table: None, rows: 0 };
        if !format.is_text() {
            source
                .read_columns(session, options, |first, other| same_columns(first, other).map(|()| false))?;
        }
        Ok(source)
    }

    fn open_delta(
        session: &Session,
        locations: &[Location],
        location: &Location,
        options: &ReadOptions,
    ) -> Result<Self> {
        if locations.len() > 1 {
            return Err(Error::new(ErrorKind::Unsupported, "a Delta table is read alone")
                .with("table", location)
                .hint("read the sources one by one"));
        }
        let at = match (options.version, options.timestamp) {
            (Some(version), _) => At::Version(version),
            (None, Some(time)) => At::Time(time),
            (None, None) => At::Latest,
        };
        let snapshot = Snapshot::required(session, location, at)?;
        Self::of_table(Arc::new(snapshot), Format::Delta, options)
    }

    fn open_folder(
        session: &Session,
        locations: &[Location],
        location: &Location,
        options: &ReadOptions,
    ) -> Result<Self> {
        if locations.len() > 1 {
            return Err(Error::new(ErrorKind::Unsupported, "a folder is read alone")
                .with("folder", location)
                .hint("read the sources one by one, or name the files by a pattern"));
        }
        if options.asks_for_version() {
            return Err(no_versions());
        }
        let mut folder = folder::view(session, location)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the folder has no Parquet files").with("folder", location)
        })?;
        if !folder.has_partitions() {
            let files = folder.data_files(session)?;
            let mut source = Self { files, format: Format::Parquet, schema: None, table: None, rows: 0 };
            // To engines all files have the same columns.
            match source.read_columns(session, options, columns_of_folder) {
                Ok(true) => return Ok(source),
                Err(error) if !folder.learn_columns(session)? => return Err(error),
                _ => {}
            }
        } else if location.as_path().is_some() {
            // On a disk it costs little to look at all files, of which the first may not be the one that says all columns.
            folder.learn_columns(session)?;
        }
        Self::of_table(Arc::new(folder), Format::Parquet, options)
    }

    fn of_table(table: Arc<dyn ParquetTable>, format: Format, options: &ReadOptions) -> Result<Self> {
        options.check_named(table.schema())?;
        let schema = Some(Arc::clone(table.schema()));
        Ok(Self { files: Vec::new(), format, schema, table: Some(table), rows: 0 })
    }

    /// Looks at the columns of all files, each of which `lacks` none, or some, of those of the first. Whether all have the same.
    fn read_columns(
        &mut self,
        session: &Session,
        options: &ReadOptions,
        lacks: fn(&Schema, &Schema) -> Result<bool>,
    ) -> Result<bool> {
        let mut is_same = true;
        for file in &self.files {
            let schema = if self.format == Format::Parquet {
                let (schema, rows) = look_again(session, || parquet::describe(file))?;
                self.rows += rows;
                schema
            } else {
                look_again(session, || ipc::describe(file, self.format))?
            };
            self.schema = Some(match self.schema.take() {
                None => schema,
                Some(first) => {
                    is_same &= !lacks(&first, &schema).map_err(|e| e.with("file", file.location()))?;
                    with_nulls_of(&first, &schema)
                }
            });
        }
        self.schema.iter().try_for_each(|schema| options.check_named(schema))?;
        Ok(is_same)
    }

    /// Neighbours of one format, in the order they were named.
    pub(crate) fn group_by_format(
        session: &Session,
        locations: Vec<Location>,
        options: &ReadOptions,
    ) -> Result<Vec<(Format, Vec<Location>)>> {
        let mut groups: Vec<(Format, Vec<Location>)> = Vec::new();
        // Tables and folders are read alone.
        let mut is_open = false;
        for location in locations {
            let format = match stands(session, &location, options.format)? {
                Kind::Delta => Some(Format::Delta),
                Kind::Folder => Some(Format::Parquet),
                Kind::File => None,
            };
            if let Some(format) = format {
                groups.push((format, vec![location]));
                is_open = false;
                continue;
            }
            let files = session.open_all(std::slice::from_ref(&location))?;
            for file in files {
                let format = format_of(&file, options.format)?;
                match groups.last_mut() {
                    Some((last, group)) if is_open && *last == format => group.push(file.location().clone()),
                    _ => groups.push((format, vec![file.location().clone()])),
                }
                is_open = true;
            }
        }
        Ok(groups)
    }

    /// The columns that a read with `options` gives.
    pub(crate) fn read_schema(&self, session: &Session, options: &ReadOptions) -> Result<SchemaRef> {
        match &self.schema {
            Some(schema) => stored_schema(schema, options),
            None => Ok(TextScan::open(session, self.files.clone(), self.format, options)?.schema()),
        }
    }

    /// The number of rows in all files.
    pub(crate) fn count(&self, session: &Session, options: &ReadOptions) -> Result<u64> {
        let count = |file| match self.format {
            Format::Arrow | Format::ArrowStream => ipc::count(session, file, self.format),
            format => text::count(session, file, format, &options.csv),
        };
        match (&self.table, self.format) {
            (Some(table), _) => table.count(session),
            (None, Format::Parquet) => Ok(self.rows),
            _ => self.files.iter().map(count).sum(),
        }
    }
}

fn no_versions() -> Error {
    Error::new(ErrorKind::Usage, "only tables have versions")
        .hint("leave the version out, or name the folder of a Delta table")
}

/// The columns that files store, as `options` want them.
fn stored_schema(schema: &SchemaRef, options: &ReadOptions) -> Result<SchemaRef> {
    let indices = match &options.columns {
        None => (0..schema.fields().len()).collect(),
        Some(columns) => {
            columns.iter().map(|c| find_column(schema, c, "column")).collect::<Result<Vec<_>>>()?
        }
    };
    let field = |index: &usize| {
        let own = schema.field(*index);
        let wanted = options.type_of(own.name());
        wanted.map_or_else(|| own.clone(), |wanted| Field::new(own.name(), wanted, own.is_nullable()))
    };
    Ok(Arc::new(Schema::new(indices.iter().map(field).collect::<Vec<_>>())))
}

/// The format that was said, else the one the name tells, else the one the content tells; of two that share their
/// names, the content tells always.
///
/// # Errors
///
/// As [`Format::from_content`], and `Unsupported` for a file compressed as a whole that is not text.
pub(crate) fn format_of(file: &DataFile, said: Option<Format>) -> Result<Format> {
    let name = file.location().name();
    let told = || match said.or_else(|| Format::from_name(&name)) {
        Some(format) if !format.has_twin() => Ok((format, TextCodec::from_name(&name))),
        known => {
            let (codec, head) = text::head(&file.read()?, HEAD)?;
            let format = known.map_or_else(|| Format::from_content(&head), |format| format.or_twin(&head));
            format.map(|format| (format, codec))
        }
    };
    match told().map_err(|e: Error| e.with_missing("file", file.location()))? {
        (format, codec) if codec != TextCodec::None && !format.is_text() => {
            Err(Error::new(ErrorKind::Unsupported, "only text is read from a compressed file")
                .with("file", file.location())
                .with("format", format)
                .with("compression", codec)
                .hint("decompress it first"))
        }
        (format, _) => Ok(format),
    }
}

/// The columns of `first`, which may have nulls where those of `other` may.
fn with_nulls_of(first: &SchemaRef, other: &Schema) -> SchemaRef {
    let nullable = |field: &FieldRef| {
        let nulls = other.field_with_name(field.name()).is_ok_and(Field::is_nullable);
        if nulls && !field.is_nullable() {
            Arc::new(Field::clone(field).with_nullable(true))
        } else {
            Arc::clone(field)
        }
    };
    let fields: Vec<FieldRef> = first.fields().iter().map(nullable).collect();
    Arc::new(Schema::new_with_metadata(fields, first.metadata().clone()))
}

/// Refuses a pattern as the name of what does not exist yet: a file of that name would hide what the pattern is for.
pub(crate) fn check_new_name(location: &Location) -> Result<()> {
    if location.is_pattern() {
        return Err(Error::new(ErrorKind::Usage, "a target cannot be a pattern")
            .with("target", location)
            .hint("name one file"));
    }
    Ok(())
}

/// Refuses a file of a folder that has other columns than the first one, but for those that came later: it may lack the last ones.
/// Dictionaries are as good as their values. Whether engines would see other columns than in the first one.
pub(super) fn columns_of_folder(first: &Schema, other: &Schema) -> Result<bool> {
    let differs = first.fields().iter().any(|field| {
        other.field_with_name(field.name()).is_ok_and(|found| found.data_type() != field.data_type())
    });
    let (first, other) = (parquet::plain(first), parquet::plain(other));
    let lacks = |field: &&FieldRef| field.is_nullable() && other.field_with_name(field.name()).is_err();
    let later = first.fields().iter().rev().take_while(lacks).count();
    let before = first.fields().len() - later;
    same_columns(&Schema::new(first.fields()[..before].to_vec()), &other)?;
    Ok(later > 0 || differs)
}

pub(super) fn same_columns(first: &Schema, other: &Schema) -> Result<()> {
    let differ = |message: &'static str, column: &str| {
        Error::new(ErrorKind::InvalidInput, message)
            .with("column", column)
            .hint("files that are read together must have the same columns; read them one by one")
    };
    for field in first.fields() {
        let (_, found) = other
            .column_with_name(field.name())
            .ok_or_else(|| differ("a file lacks a column of the first file", field.name()))?;
        if field.data_type() != found.data_type() {
            return Err(differ("a file has another type than the first file", field.name())
                .with("first", type_name(field.data_type()))
                .with("this", type_name(found.data_type())));
        }
    }
    match other.fields().iter().find(|field| first.field_with_name(field.name()).is_err()) {
        Some(extra) => Err(differ("a file has a column that the first file has not", extra.name())),
        None => Ok(()),
    }
}
