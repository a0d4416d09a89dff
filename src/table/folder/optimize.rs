//! Small files of a folder become larger ones: their rows are put into a new file, and they stay without rows. Nobody ever
//! puts rows into such a file again, so that a vacuum may delete it whenever no reader can have it on its list any more.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::control::Control;
use super::draft::{Begun, Draft};
use super::files::Folder;
use super::record::Recorded;
use super::upsert::settled;
use crate::client::file::Version;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::{Compression, OptimizeOptions};
use crate::core::report::{OptimizeReport, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::pause;
use crate::table::parquet::{GROUP_ROWS, NewPart, properties};
use crate::table::upkeep::{Candidate, TARGET_BYTES, groups};

/// Puts small files together.
///
/// # Errors
///
/// `NotFound` if there is no file, `Conflict` if others kept changing the folder.
pub(crate) fn optimize(
    session: &Session,
    location: &Location,
    options: &OptimizeOptions,
) -> Result<OptimizeReport> {
    let started = Instant::now();
    for conflicts in 0..=options.max_retries {
        let begun = Instant::now();
        let done = Work::plan(session, location, options).and_then(|work| work.run(session, options));
        match done {
            Ok(Some(mut report)) => {
                report.conflicts = conflicts;
                report.elapsed_ms = millis(started.elapsed());
                return Ok(report);
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
        tracing::info!(attempt = conflicts + 1, "someone else changed the folder");
        pause(session, begun.elapsed(), conflicts)?;
    }
    Err(Error::new(ErrorKind::Conflict, "someone else changed the folder every time")
        .with("attempts", options.max_retries + 1)
        .hint("nothing of this run was written; run it again when less is written to the folder"))
}

/// A file with rows.
struct Filled {
    place: usize,
    version: Version,
}

struct Work {
    control: Control,
    last: Option<Recorded>,
    folder: Folder,
    groups: Vec<Vec<Filled>>,
}

impl Work {
    fn plan(session: &Session, location: &Location, options: &OptimizeOptions) -> Result<Self> {
        let control = Control::of(location)?;
        let last = settled(session, &control, options.dry_run)?;
        let folder = Folder::load(session, location)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the folder has no files").with("folder", location)
        })?;
        let mut filled = Vec::new();
        for place in 0..folder.parts.len() {
            session.check()?;
            let (file, version) = folder.open_part(session, place, 0)?;
            if file.rows() > 0 {
                filled.push(Filled { place, version });
            }
        }
        let candidate = |file: &Filled| Candidate {
            values: &folder.parts[file.place].values,
            bytes: file.version.size(),
            is_worn: false,
        };
        let candidates: Vec<_> = filled.iter().map(candidate).collect();
        let places = groups(&candidates, options.target_bytes.unwrap_or(TARGET_BYTES));
        let mut filled: Vec<_> = filled.into_iter().map(Some).collect();
        let mut take = |places: Vec<usize>| places.iter().filter_map(|place| filled[*place].take()).collect();
        let groups = places.into_iter().map(&mut take).collect();
        Ok(Self { control, last, folder, groups })
    }

    /// `None` if somebody else has changed the folder.
    fn run(self, session: &Session, options: &OptimizeOptions) -> Result<Option<OptimizeReport>> {
        let sequence = self.last.as_ref().map_or(0, Recorded::sequence).to_string();
        let mut report = OptimizeReport {
            target: self.folder.location.to_string(),
            format: Format::Parquet,
            version_before: Some(sequence.clone()),
            version_after: Some(sequence),
            files_before: self.folder.parts.len() as u64,
            files_removed: self.groups.iter().map(|files| files.len() as u64).sum(),
            files_added: self.groups.len() as u64,
            bytes_removed: self.groups.iter().flatten().map(|file| file.version.size()).sum(),
            bytes_added: None,
            dry_run: options.dry_run,
            conflicts: 0,
            elapsed_ms: 0,
        };
        if options.dry_run || self.groups.is_empty() {
            report.bytes_added = (!options.dry_run).then_some(0);
            return Ok(Some(report));
        }
        session.progress().start(report.bytes_removed);
        self.control.make()?;
        let mut draft = self.control.draft(session, self.last.as_ref());
        for files in &self.groups {
            self.stage(session, files, &mut draft)?;
        }
        report.bytes_added = Some(draft.bytes());
        session.check()?;
        let Begun::Yes(begun, staged) = draft.begin(self.last.as_ref())? else {
            // It may have begun, if that is not known. Then nothing is left to put together.
            return Ok(None);
        };
        report.version_after = Some(begun.sequence().to_string());
        if self.control.end(session, &begun, staged)? {
            return Ok(Some(report));
        }
        Err(Error::new(
            ErrorKind::InvalidData,
            "a program that knows nothing of keyfold has changed a file meanwhile",
        )
        .with("folder", &self.folder.location)
        .hint("the file is as that program left it; rows that it has kept stand in the new file as well"))
    }

    /// Writes the rows of some files into a new one beside the folder, and what will stand in their places.
    fn stage(&self, session: &Session, files: &[Filled], draft: &mut Draft<'_>) -> Result<()> {
        let folder = &self.folder;
        let columns: Vec<String> =
            folder.stored_schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut opened = Vec::new();
        for file in files {
            let (part, version) = folder.open_part(session, file.place, 0)?;
            if version != file.version {
                return Err(Error::new(ErrorKind::Conflict, "someone else changed the folder meanwhile"));
            }
            opened.push((&folder.parts[file.place].path, part));
        }
        let mut schema = Arc::clone(&folder.file_schema);
        let mut expected = 0;
        for (_, part) in &opened {
            schema = nullable_like(&schema, part.columns());
            expected += part.rows();
        }
        let mut properties = properties(Compression::default())?;
        if let Some(codec) = opened.first().and_then(|(_, part)| part.codec()) {
            properties = properties.set_compression(codec);
        }
        let mut fresh = draft.fresh()?;
        let mark = fresh.mark().to_owned();
        let mut out = NewPart::start(&schema, properties, GROUP_ROWS, &mark, fresh.file())?;
        let mut written = 0;
        for ((path, part), file) in opened.iter().zip(files) {
            let named = |error: Error| error.with_missing("file", path);
            for group in 0..part.groups() {
                for rows in part.group_rows(group, &columns).map_err(named)? {
                    session.check()?;
                    let (_, rows) = rows.map_err(named)?;
                    written += rows.num_rows() as u64;
                    out.write(&folder.in_files(&rows, &schema)?)?;
                }
            }
            session.progress().advance(file.version.size());
        }
        out.finish()?;
        if written != expected {
            return Err(Error::internal("files that were put together have another number of rows"));
        }
        draft.add(folder.new_path(&folder.parts[files[0].place].values), None, fresh)?;
        for ((path, part), file) in opened.iter().zip(files) {
            let mut fresh = draft.fresh()?;
            let mark = fresh.mark().to_owned();
            let mut empty = NewPart::start(
                part.columns(),
                crate::table::parquet::properties(Compression::default())?,
                GROUP_ROWS,
                &mark,
                fresh.file(),
            )?;
            empty.write(&RecordBatch::new_empty(Arc::clone(part.columns())))?;
            empty.finish()?;
            draft.add((*path).clone(), Some(&file.version), fresh)?;
        }
        Ok(())
    }
}

/// The columns of `schema`; each may be null that may be so in `other`.
fn nullable_like(schema: &Schema, other: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let takes_null = other.field_with_name(field.name()).is_ok_and(Field::is_nullable);
        Field::clone(field).with_nullable(field.is_nullable() || takes_null)
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}
