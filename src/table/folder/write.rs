//! Writing a whole frame into a folder of Parquet files: a new one, or as more files of one that is there.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;

use super::control::Control;
use super::draft::{Begun, Draft, Fresh};
use super::files::Folder;
use super::record::{End, Operation, Recorded};
use super::upsert::settled;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::{WriteMode, WriteOptions};
use crate::core::report::{WriteReport, millis};
use crate::core::schema::check_names;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::ParquetTable;
use crate::table::again::pause;
use crate::table::fit::Fit;
use crate::table::parquet::{FileLayout, NewPart, check_missing, widen};
use crate::table::partition::{self, Part, Values};
use crate::table::source::check_new_name;
use crate::table::spill::Spilled;
use crate::table::write::left_alone;

/// Files of partitions that are written at the same time; one more closes the one that was begun first.
const OPEN_FILES: usize = 64;

/// Bytes after which another file is begun.
const FILE_BYTES: usize = 256 << 20;

/// How often it is tried while someone else changes the folder.
const ATTEMPTS: u32 = 11;

/// Writes the rows of `stream` as new files, as `options` say. Up to `held` bytes of them are in memory at a time.
///
/// # Errors
///
/// `AlreadyExists` in mode `error`, `Unsupported` in mode `overwrite`, `InvalidInput` for rows that do not fit.
pub(crate) async fn write_stream(
    session: &Session,
    stream: BatchStream,
    location: &Location,
    options: &WriteOptions,
    backend: &'static str,
    held: usize,
) -> Result<WriteReport> {
    let started = Instant::now();
    options.validate()?;
    check_names(&stream.schema())?;
    let (place, asked) = (location.clone(), options.clone());
    let check = move |session: &Session| check(session, &place, &asked);
    let exists = session.run(check).await?;
    if exists && options.mode == WriteMode::Ignore {
        return Ok(left_alone(location, options, backend));
    }
    let rows = Spilled::write(stream, held).await?;
    let (place, options) = (location.clone(), options.clone());
    let written = session.run(move |session| add(session, &rows, &place, &options)).await;
    let (rows, bytes_written) = written.map_err(|error| error.with_missing("target", location))?;
    Ok(WriteReport {
        target: location.to_string(),
        format: Format::Parquet,
        backend: backend.to_owned(),
        written: true,
        rows,
        bytes_written,
        elapsed_ms: millis(started.elapsed()),
    })
}

/// Whether there are files already.
fn check(session: &Session, location: &Location, options: &WriteOptions) -> Result<bool> {
    check_new_name(location)?;
    let exists = Folder::load(session, location)?.is_some();
    let refused = |kind, message: &'static str| Error::new(kind, message).with("folder", location);
    match options.mode {
        WriteMode::Error if exists => Err(refused(ErrorKind::AlreadyExists, "the folder has files already")
            .hint("choose mode append or ignore, or another name")),
        WriteMode::Overwrite if exists => {
            Err(refused(ErrorKind::Unsupported, "a folder of files cannot be replaced in one step")
                .hint("write to a new folder, or a Delta table; nothing is ever deleted from a folder"))
        }
        _ => Ok(exists),
    }
}

/// Adds files; again, if someone else changes the folder meanwhile. The number of rows, and that of bytes.
fn add(session: &Session, rows: &Spilled, location: &Location, options: &WriteOptions) -> Result<(u64, u64)> {
    for attempt in 0..ATTEMPTS {
        let begun = Instant::now();
        let control = Control::of(location)?;
        let last = settled(session, &control, false)?;
        match add_after(session, rows, location, options, &control, last.as_ref()) {
            Ok(Some(written)) => return Ok(written),
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
        tracing::info!(attempt, "someone else changed the target");
        pause(session, begun.elapsed(), attempt)?;
    }
    Err(Error::new(ErrorKind::Conflict, "someone else changed the folder every time")
        .hint("nothing of this run was written; run it again"))
}

fn add_after(
    session: &Session,
    rows: &Spilled,
    location: &Location,
    options: &WriteOptions,
    control: &Control,
    last: Option<&Recorded>,
) -> Result<Option<(u64, u64)>> {
    let (schema, batches) = rows.batches()?;
    let folder = match Folder::load(session, location)? {
        Some(_) if options.mode != WriteMode::Append => {
            check(session, location, options)?;
            return Ok(None);
        }
        Some(folder) => folder,
        None => Folder::empty(location, &schema, options.partition_by.clone().unwrap_or_default())?,
    };
    folder.check_partitions(options.partition_by.as_deref())?;
    control.make()?;
    let mut new = NewFiles {
        folder: &folder,
        options,
        draft: control.draft(session, Operation::Append, last),
        open: Vec::new(),
    };
    let mut fit = Fit::new(&folder.stored_schema, &schema)?;
    check_missing(&folder.stored_schema, fit.schema())?;
    let mut written = 0;
    for batch in batches {
        session.check()?;
        let batch = widen(&folder.stored_schema, &fit.batch(&batch?)?)?;
        written += batch.num_rows() as u64;
        for part in partition::split(&batch, &folder.partition_columns)? {
            new.write(&part)?;
        }
    }
    // A new folder has a file even if there are no rows: it says the columns.
    if written == 0 && folder.files() == 0 && !folder.has_partitions() {
        new.write(&Part {
            values: Vec::new(),
            rows: RecordBatch::new_empty(Arc::clone(&folder.stored_schema)),
        })?;
    }
    let draft = new.finish()?;
    let bytes = draft.bytes();
    session.check()?;
    match draft.begin(last)? {
        Begun::Yes(begun, staged) => match control.end(session, &begun, staged).map_err(not_in_place)? {
            End::Whole => Ok(Some((written, bytes))),
            End::Partly | End::GivenUp => Err(Error::internal("a new file has the name of another")),
        },
        Begun::No => Ok(None),
        Begun::Unknown => Err(Error::new(ErrorKind::Io, "whether the rows were added is not known")
            .hint("the answer of the store was lost; look whether they are there before you run it again")),
    }
}

/// What went wrong once it was certain that the rows will be there.
fn not_in_place(error: Error) -> Error {
    Error::new(error.kind(), "the rows are added, but not all of their files are in place yet")
        .hint("do not run it again: the next upsert or append into the folder puts them there first")
        .because(error)
}

/// The files that a frame is written to, some of them at the same time.
struct NewFiles<'a> {
    folder: &'a Folder,
    options: &'a WriteOptions,
    draft: Draft<'a>,
    open: Vec<(Values, Fresh, NewPart)>,
}

impl<'a> NewFiles<'a> {
    fn write(&mut self, part: &Part) -> Result<()> {
        let known = self.open.iter().position(|(values, ..)| *values == part.values);
        let place = known.map_or_else(|| self.start(&part.values), Ok)?;
        let (.., file) = &mut self.open[place];
        file.write(&self.folder.in_files(&part.rows)?)?;
        if file.bytes() >= FILE_BYTES { self.close(place) } else { Ok(()) }
    }

    /// Starts a file; its place among those that are open.
    fn start(&mut self, values: &Values) -> Result<usize> {
        if self.open.len() == OPEN_FILES {
            self.close(0)?;
        }
        let mut fresh = self.draft.fresh()?;
        let mark = fresh.mark().to_owned();
        let layout = FileLayout::of_write(self.options);
        let file = NewPart::start(&self.folder.file_schema, &layout, &mark, fresh.file())?;
        self.open.push((values.clone(), fresh, file));
        Ok(self.open.len() - 1)
    }

    fn close(&mut self, place: usize) -> Result<()> {
        let (values, fresh, file) = self.open.remove(place);
        file.finish()?;
        self.draft.add(self.folder.new_path(&values), None, fresh)
    }

    fn finish(mut self) -> Result<Draft<'a>> {
        while !self.open.is_empty() {
            self.close(0)?;
        }
        Ok(self.draft)
    }
}
