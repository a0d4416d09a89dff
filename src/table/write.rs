//! Writing a whole frame to one file, atomically, as a write mode says.
//!
//! Nothing is locked while a frame runs: a frame may need threads that wait for the same lock, and it takes as
//! long as it takes. New content is written aside without a lock, and put in place under one; rows to append
//! are at hand before the stored ones are locked.

use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::client::file::{Commit, DataFile, Stage};
use crate::client::local::{NewFolders, check_parent};
use crate::client::session::Session;
use crate::core::format::{Format, no_file, unchangeable};
use crate::core::location::Location;
use crate::core::options::{WriteMode, WriteOptions};
use crate::core::report::{WriteReport, millis};
use crate::core::text_codec::TextCodec;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::again::{look_again, pause};
use crate::table::handover::on_own_thread;
use crate::table::spill::{MEMORY_BYTES, Spilled};
use crate::table::target::{Kind, appendable, check_bloom_filter, new_format, will_stand};
use crate::table::text::{NewText, TextFile};
use crate::table::{delta, folder, ipc, parquet};

/// How often rows are added to what someone else changes all the time.
const ATTEMPTS: u32 = 11;

/// A file that is to be written.
#[derive(Debug)]
pub(crate) struct Target {
    session: Session,
    file: DataFile,
    format: Format,
    mode: WriteMode,
    codec: TextCodec,
    exists: bool,
    started: Instant,
    backend: &'static str,
}

impl Target {
    /// Finds out what is to be done; `None` if the target exists and is to be left alone.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` in mode `error`, `InvalidInput` if no format can be told, `Unsupported` if rows are to be
    /// added to a file of a format that takes none, `Usage` for a compression that the format does not know.
    pub(crate) fn open(
        session: &Session,
        location: &Location,
        options: &WriteOptions,
        backend: &'static str,
    ) -> Result<Option<Self>> {
        options.validate()?;
        let started = Instant::now();
        let (file, mode) = (session.open(location)?, options.mode);
        let exists = file.version()?.is_some();
        match mode {
            WriteMode::Ignore if exists => return Ok(None),
            WriteMode::Error if exists => return Err(already_there(location)),
            _ => {}
        }
        let appends = exists && mode == WriteMode::Append;
        let tell = || if appends { appendable(&file, options) } else { new_format(&file, options) };
        let (format, codec) = look_again(session, tell)?;
        check_bloom_filter(&options.bloom_filter, format)?;
        let session = session.clone();
        Ok(Some(Self { session, file, format, mode, codec, exists, started, backend }))
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Refuses a file to which rows could not be added another time.
    ///
    /// # Errors
    ///
    /// `Unsupported`.
    pub(crate) fn check_changeable(&self) -> Result<()> {
        let changeable = match self.codec {
            TextCodec::None => self.format.check_changeable(),
            codec => Err(unchangeable().with("compression", codec)),
        };
        changeable.map_err(|error| error.with("file", self.file.location()))
    }

    /// Whether rows stay that are there, or that someone else writes first.
    pub(crate) fn appends(&self) -> bool {
        self.mode == WriteMode::Append
    }

    /// A new file to write to, like the one that is there.
    ///
    /// # Errors
    ///
    /// `NotFound` if the folder is missing, `PermissionDenied` or `Io`.
    pub(crate) fn stage(&self) -> Result<Stage> {
        self.file.stage()
    }

    /// Puts the new file in place; the report says whether it was, if the mode leaves alone what someone else
    /// created meanwhile.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `Conflict` if someone else came first; nothing has changed then.
    pub(crate) fn commit(self, stage: Stage, rows: u64) -> Result<WriteReport> {
        let commit = match self.mode {
            WriteMode::Overwrite => stage.replace(&self.session, &self.file)?,
            _ => stage.commit(None)?,
        };
        self.finish(commit, rows)
    }

    fn finish(self, commit: Commit, rows: u64) -> Result<WriteReport> {
        let (written, rows, bytes_written) = match (commit, self.mode) {
            (Commit::Committed { version, .. }, _) => (true, rows, version.size()),
            (Commit::Unknown, _) => {
                return Err(Error::new(ErrorKind::Io, "whether the file was written is not known")
                    .with("file", self.file.location())
                    .hint("an answer was lost, and someone else has written since; look at it before you try again"));
            }
            (Commit::Conflict, WriteMode::Ignore) => (false, 0, 0),
            (Commit::Conflict, WriteMode::Error) => return Err(already_there(self.file.location())),
            (Commit::Conflict, WriteMode::Overwrite | WriteMode::Append) => return Err(self.lost()),
        };
        Ok(WriteReport {
            target: self.file.location().to_string(),
            format: self.format,
            backend: self.backend.to_owned(),
            written,
            rows,
            bytes_written,
            elapsed_ms: millis(self.started.elapsed()),
        })
    }

    fn lost(&self) -> Error {
        Error::new(ErrorKind::Conflict, "someone else changed the file meanwhile")
            .with("file", self.file.location())
            .hint("nothing of this run was written; run it again")
    }

    /// Writes a new file.
    fn create(
        self,
        session: &Session,
        schema: &SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch>>,
        options: &WriteOptions,
    ) -> Result<WriteReport> {
        let (stage, rows) = self.fill(session, schema, batches, options)?;
        self.commit(stage, rows)
    }

    /// New content with the rows of `batches`, and their number.
    fn fill(
        &self,
        session: &Session,
        schema: &SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch>>,
        options: &WriteOptions,
    ) -> Result<(Stage, u64)> {
        let mut stage = self.stage()?;
        let (out, location) = (stage.file(), self.file.location());
        let batches = checked(session, batches);
        let rows = match self.format {
            Format::Parquet => parquet::write(session, schema, batches, options, out),
            Format::Delta => Err(no_file()),
            format @ (Format::Arrow | Format::ArrowStream) => {
                ipc::write(format, schema, batches, options.compression, out)
            }
            format => NewText { format, csv: &options.csv, codec: self.codec, location }
                .write(session, schema, batches, out),
        }?;
        session.check()?;
        Ok((stage, rows))
    }

    /// Adds rows to what is there, or makes the file; how that ended, and how many rows there were.
    fn add(&self, session: &Session, rows: &Spilled, options: &WriteOptions) -> Result<(Commit, u64)> {
        if !self.exists {
            let (schema, batches) = rows.batches()?;
            let (stage, rows) = self.fill(session, &schema, batches, options)?;
            return Ok((stage.commit(None)?, rows));
        }
        let Some(locked) = self.file.lock(&self.session)? else { return Ok((Commit::Conflict, 0)) };
        let stored = locked.content()?;
        let mut stage = self.file.stage()?;
        let (mut out, location) = (stage.sink(), self.file.location());
        let (schema, batches) = rows.batches()?;
        let batches = checked(session, batches);
        let rows = match self.format {
            Format::Parquet => parquet::append(session, stored, &schema, batches, &mut out),
            Format::Delta => Err(no_file()),
            format => TextFile::open(session, stored.into_file()?, location, format, &options.csv)
                .and_then(|stored| stored.append(session, &schema, batches, out.file())),
        }?;
        session.check()?;
        Ok((stage.commit(Some(locked.version()))?, rows))
    }
}

fn already_there(location: &Location) -> Error {
    Error::new(ErrorKind::AlreadyExists, "the file exists already")
        .with("file", location)
        .hint("choose mode overwrite, append or ignore, or another name")
}

/// Asks before each batch whether the work is still wanted.
fn checked(
    session: &Session,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> impl Iterator<Item = Result<RecordBatch>> {
    batches.map(|batch| {
        session.check()?;
        batch
    })
}

/// Adds rows to what is there; again, if someone else changes it meanwhile.
fn append(
    session: &Session,
    mut target: Target,
    rows: &Spilled,
    options: &WriteOptions,
) -> Result<WriteReport> {
    let (started, mut attempt) = (target.started, 1);
    loop {
        let begun = Instant::now();
        match target.add(session, rows, options) {
            Ok((Commit::Conflict, _)) => {}
            Ok((commit, rows)) => return target.finish(commit, rows),
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
        if attempt == ATTEMPTS {
            return Err(target.lost());
        }
        tracing::info!(attempt, "someone else changed the target");
        pause(session, begun.elapsed(), attempt)?;
        attempt += 1;
        let again = Target::open(session, target.file.location(), options, target.backend)?;
        target = again.map_or(target, |again| Target { started, ..again });
    }
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

/// What the target is, or becomes.
///
/// # Errors
///
/// As [`Kind::check`], `NotFound` if the folder for it is missing, `PermissionDenied` or `Io`.
pub(crate) async fn kind_written(
    session: &Session,
    location: &Location,
    options: &WriteOptions,
) -> Result<Kind> {
    let (place, asked) = (location.clone(), options.clone());
    let look = move |session: &Session| {
        if !asked.mkdir {
            check_parent(&place)?;
        }
        will_stand(session, &place, asked.format)
    };
    let kind = session.run(look).await?;
    kind.check(options.partition_by.as_deref(), options.deletion_vectors)?;
    Ok(kind)
}

/// Writes the batches of `stream` as `options` say.
///
/// What it is dropped in the middle of writes nothing.
pub(crate) async fn write_stream(
    session: &Session,
    stream: BatchStream,
    location: &Location,
    options: &WriteOptions,
    backend: &'static str,
) -> Result<WriteReport> {
    write_within(session, stream, location, options, backend, MEMORY_BYTES).await
}

/// The same, with so many bytes of rows in memory at most, where they have to be at hand before they are written.
pub(crate) async fn write_within(
    session: &Session,
    stream: BatchStream,
    location: &Location,
    options: &WriteOptions,
    backend: &'static str,
    held: usize,
) -> Result<WriteReport> {
    let kind = kind_written(session, location, options).await?;
    let folders = folders_above(session, location, options).await?;
    let report = match kind {
        Kind::Delta => delta::write_stream(session, stream, location, options, backend).await,
        Kind::Folder => folder::write_stream(session, stream, location, options, backend, held).await,
        Kind::File => write_file(session, stream, location, options, backend, held).await,
    }?;
    folders.keep();
    Ok(report)
}

/// The folders above a new target that are made for it.
///
/// # Errors
///
/// `PermissionDenied` or `Io`.
pub(crate) async fn folders_above(
    session: &Session,
    location: &Location,
    options: &WriteOptions,
) -> Result<NewFolders> {
    if !options.mkdir {
        return Ok(NewFolders::default());
    }
    let place = location.clone();
    session.run(move |_| NewFolders::above(&place)).await
}

async fn write_file(
    session: &Session,
    stream: BatchStream,
    location: &Location,
    options: &WriteOptions,
    backend: &'static str,
    held: usize,
) -> Result<WriteReport> {
    let (place, asked) = (location.clone(), options.clone());
    let open = move |session: &Session| Target::open(session, &place, &asked, backend);
    let Some(target) = session.run(open).await? else {
        return Ok(left_alone(location, options, backend));
    };
    let (own, options) = (session.clone(), options.clone());
    let report = if target.appends() {
        let rows = Spilled::write(stream, held).await?;
        session.run(move |session| append(session, target, &rows, &options)).await
    } else {
        let schema = stream.schema();
        on_own_thread(stream, move |batches| target.create(&own, &schema, batches, &options)).await
    };
    report.map_err(|e| e.with_missing("file", location))
}

#[cfg(test)]
mod tests;
