//! The text files of one read: what their columns are, all of them taken together, and each file held as it
//! was when that was told.

use std::fs::File;
use std::sync::Arc;

use super::layout::Layout;
use super::records::Records;
use super::tell::{Told, Types, tell};
use super::window::Pass;
use crate::client::file::{DataFile, Version};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::ReadOptions;
use crate::error::{Error, ErrorKind, Result};

/// As many files are held open between the two passes, so that both see the same content even if the
/// file is replaced meanwhile. A process may open about a thousand.
const HELD: usize = 128;

/// A file whose types have been told.
#[derive(Debug)]
pub(super) struct Source {
    file: DataFile,
    version: Option<Version>,
    held: Option<Arc<File>>,
}

impl Source {
    fn new(file: DataFile) -> Result<Self> {
        Ok(Self { version: file.version()?, held: Some(Arc::new(file.read()?.into_file()?)), file })
    }

    /// Starts a pass over the content whose types were told.
    pub(super) fn records(
        &self,
        session: &Session,
        layout: &Arc<Layout>,
        wanted: &[String],
    ) -> Result<Records<Pass>> {
        let file = match &self.held {
            Some(file) => Arc::clone(file),
            None if self.file.version()? == self.version => Arc::new(self.file.read()?.into_file()?),
            None => {
                return Err(Error::new(ErrorKind::Conflict, "the file changed while it was read")
                    .with("file", self.file.location())
                    .hint("read it again"));
            }
        };
        Records::open(session, self.file.location(), layout, Pass::start(session, &file), wanted)
    }
}

/// What was seen in the columns of all files, in the order they first appear.
pub(super) type Columns = Vec<(String, Types)>;

/// Looks at the columns that are wanted, in every file.
pub(super) fn tell_all(
    session: &Session,
    files: Vec<DataFile>,
    layout: &Arc<Layout>,
    options: &ReadOptions,
) -> Result<(Vec<Source>, Columns)> {
    let mut all: Option<Columns> = None;
    let mut sources = Vec::with_capacity(files.len());
    for file in files {
        let mut source = Source::new(file)?;
        let told = tell_one(session, &source, layout, options)?;
        match &mut all {
            None => all = Some(told.names.into_iter().zip(told.types).collect()),
            Some(all) => join(all, &told, layout.format, source.file.location())?,
        }
        if sources.len() >= HELD {
            source.held = None;
        }
        sources.push(source);
    }
    Ok((sources, all.unwrap_or_default()))
}

fn tell_one(session: &Session, source: &Source, layout: &Arc<Layout>, options: &ReadOptions) -> Result<Told> {
    let mut records = source.records(session, layout, &[])?;
    let untold = |name: &str| is_read(options, name) && options.text_type_of(name).is_none();
    if layout.format == Format::Csv && !records.names().iter().any(|name| untold(name)) {
        let names = records.names().to_vec();
        let types = names.iter().map(|_| Types::new(layout)).collect();
        return Ok(Told { names, types, line_end: "\n" });
    }
    tell(&mut records, layout, untold)
}

fn is_read(options: &ReadOptions, name: &str) -> bool {
    let Some(columns) = &options.columns else { return true };
    columns.iter().any(|column| column == name) || options.is_filtered(name)
}

/// Adds what another file tells, by name. An NDJSON file lacks a column whenever none of its records happens
/// to have the key; in CSV, a header that differs is that of another table.
fn join(all: &mut Columns, told: &Told, format: Format, location: &Location) -> Result<()> {
    let differ = |message: &'static str, column: &str| {
        Error::new(ErrorKind::InvalidInput, message)
            .with("column", column)
            .with("file", location)
            .hint("files that are read together must have the same columns")
    };
    for (name, types) in told.names.iter().zip(&told.types) {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.merge(types),
            None if format == Format::Csv => {
                return Err(differ("a file has a column that the first file lacks", name));
            }
            None => all.push((name.clone(), types.clone())),
        }
    }
    match all.iter().find(|(name, _)| format == Format::Csv && !told.names.contains(name)) {
        Some((name, _)) => Err(differ("a file lacks a column of the first file", name)),
        None => Ok(()),
    }
}
