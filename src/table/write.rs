//! Writing a whole frame to one file, atomically, as a write mode says.

use std::fs::File;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use tokio::runtime::Handle;

use crate::client::local::{Commit, LocalFile, Locked, Stage};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::{WriteMode, WriteOptions};
use crate::core::report::WriteReport;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::source::format_of;
use crate::table::{parquet, text};

/// A file that is to be written, locked if it exists.
#[derive(Debug)]
pub(crate) struct Target {
    file: LocalFile,
    format: Format,
    locked: Option<Locked>,
    appends: bool,
    started: Instant,
    backend: &'static str,
}

impl Target {
    /// Finds out what is to be done; `None` if the target exists and is to be left alone.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` in mode `error`, `InvalidInput` if no format can be told.
    pub(crate) fn open(
        session: &Session,
        location: &Location,
        options: &WriteOptions,
        backend: &'static str,
    ) -> Result<Option<Self>> {
        options.validate()?;
        let started = Instant::now();
        let file = session.open(location)?;
        let locked = match (file.version()?, options.mode) {
            (None, _) => None,
            (Some(_), WriteMode::Ignore) => return Ok(None),
            (Some(_), WriteMode::Error) => return Err(exists(location)),
            (Some(_), WriteMode::Overwrite | WriteMode::Append) => file.lock(session)?,
        };
        let appends = locked.is_some() && options.mode == WriteMode::Append;
        let format = if appends { format_of(&file, options.format)? } else { new_format(&file, options)? };
        Ok(Some(Self { file, format, locked, appends, started, backend }))
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether rows that are there stay.
    pub(crate) fn appends(&self) -> bool {
        self.appends
    }

    /// A new file to write to.
    pub(crate) fn stage(&self) -> Result<Stage> {
        self.file.stage(self.locked.as_ref())
    }

    /// The stored file, when rows are appended to it.
    fn stored(&self) -> Result<Option<File>> {
        self.locked.as_ref().filter(|_| self.appends).map(Locked::file).transpose()
    }

    /// Puts the new file in place.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `Conflict` if someone else came first; nothing has changed then.
    pub(crate) fn commit(self, stage: Stage, rows: u64) -> Result<WriteReport> {
        let location = self.file.location().clone();
        match stage.commit(self.locked.as_ref().map(Locked::version))? {
            Commit::Committed(version) => Ok(WriteReport {
                target: location.to_string(),
                format: self.format,
                backend: self.backend.to_owned(),
                written: true,
                rows,
                bytes_written: version.size(),
                elapsed_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
            Commit::Conflict if self.locked.is_none() => Err(exists(&location)),
            Commit::Conflict => {
                Err(Error::new(ErrorKind::Conflict, "someone else changed the file meanwhile")
                    .with("file", location)
                    .hint("nothing of this run was written; run it again"))
            }
        }
    }
}

fn exists(location: &Location) -> Error {
    Error::new(ErrorKind::AlreadyExists, "the file exists already")
        .with("file", location)
        .hint("choose mode overwrite, append or ignore, or another name")
}

fn new_format(file: &LocalFile, options: &WriteOptions) -> Result<Format> {
    options.format.or_else(|| Format::from_name(&file.location().name())).ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the format of the new file cannot be told from its name")
            .with("file", file.location())
            .hint("say the format, or use the extension .parquet, .csv, .tsv or .ndjson")
    })
}

/// The report of a write that left an existing file alone.
pub(crate) fn left_alone(location: &Location, options: &WriteOptions, backend: &'static str) -> WriteReport {
    WriteReport {
        target: location.to_string(),
        format: options.format.or_else(|| Format::from_name(&location.name())).unwrap_or(Format::Parquet),
        backend: backend.to_owned(),
        written: false,
        rows: 0,
        bytes_written: 0,
        elapsed_ms: 0,
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
    let runtime = Handle::current();
    let (location, options) = (location.clone(), options.clone());
    session
        .run(move |session| {
            let Some(target) = Target::open(session, &location, &options, backend)? else {
                return Ok(left_alone(&location, &options, backend));
            };
            let schema = stream.schema();
            let batches = Pulled { stream, runtime };
            let mut stage = target.stage()?;
            let rows = write(session, &target, &schema, batches, &options, stage.file())
                .map_err(|e| e.with_missing("file", &location))?;
            session.check()?;
            target.commit(stage, rows)
        })
        .await
}

fn write(
    session: &Session,
    target: &Target,
    schema: &SchemaRef,
    batches: Pulled,
    options: &WriteOptions,
    out: &mut File,
) -> Result<u64> {
    let location = target.file.location();
    match (target.stored()?, target.format()) {
        (None, Format::Parquet) => parquet::write(session, schema, batches, options, out),
        (Some(stored), Format::Parquet) => parquet::append(session, stored, schema, batches, out),
        (None, format) => text::write(session, format, &options.csv, location, schema, batches, out),
        (Some(stored), format) => {
            text::append(session, stored, location, format, &options.csv, schema, batches, out)
        }
    }
}

/// Pulls a stream from a thread that may block.
struct Pulled {
    stream: BatchStream,
    runtime: Handle,
}

impl Iterator for Pulled {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.stream.next())
    }
}
