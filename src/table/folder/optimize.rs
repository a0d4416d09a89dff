//! Small files of a folder become larger ones: their rows are put into a new file, and they stay without rows, because
//! nothing is deleted from under readers. Later upserts put new rows into such files.

use super::control::Control;
use super::draft::{Begun, Draft};
use super::files::Folder;
use super::reader::view;
use super::record::{End, Operation, Recorded};
use super::upsert::settled;
use crate::client::file::{Content, Version};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::OptimizeOptions;
use crate::core::report::OptimizeReport;
use crate::error::{Error, ErrorKind, Result};
use crate::table::parquet::{self, Layout};
use crate::table::upkeep::{Candidate, TARGET_BYTES, groups, until_done};

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
    until_done(session, options, || Work::plan(session, location, options)?.run(session, options))
}

/// A file with rows.
struct Filled {
    place: usize,
    version: Version,
    /// The folder it stands in, and how its columns are written: files are put together that have both in common.
    like: (String, Layout),
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
        let load = if options.dry_run { view } else { Folder::load };
        let folder = load(session, location)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the folder has no files").with("folder", location)
        })?;
        let mut filled = Vec::new();
        for (place, part) in folder.parts.iter().enumerate() {
            session.check()?;
            let (file, version) = folder.open_part(session, place, 0)?;
            if file.rows() == 0 || folder.is_linked(&part.path) {
                continue;
            }
            let parent = part.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            match file.layout() {
                Ok(layout) => filled.push(Filled { place, version, like: (parent.to_owned(), layout) }),
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    tracing::warn!(file = part.path, %error, "left as it is");
                }
                Err(error) => return Err(error),
            }
        }
        let candidate = |file: &Filled| Candidate { bytes: file.version.size(), is_worn: false };
        let candidates: Vec<_> = filled.iter().map(|file| (file.like.clone(), candidate(file))).collect();
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
        self.control.make()?;
        let mut draft = self.control.draft(session, Operation::Optimize, self.last.as_ref());
        draft.moves_rows();
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
        match self.control.end(session, &begun, staged)? {
            End::Whole => Ok(Some(report)),
            End::GivenUp => Ok(None),
            End::Partly => Err(not_whole(&self.folder.location)),
        }
    }

    /// Writes the rows of some files into a new one beside the folder, and what will stand in their places.
    fn stage(&self, session: &Session, files: &[Filled], draft: &mut Draft<'_>) -> Result<()> {
        let content = |file: &Filled| {
            let part = &self.folder.parts[file.place];
            let (content, version) = self.folder.file(session, part)?.read_version()?;
            if version != file.version {
                return Err(Error::new(ErrorKind::Conflict, "someone else changed the folder meanwhile"));
            }
            Ok::<Content, Error>(content)
        };
        let mut fresh = draft.fresh()?;
        let mark = fresh.mark().to_owned();
        let columns = &self.folder.file_schema;
        parquet::concat(session, files.iter().map(content), columns, &mark, fresh.file())?;
        draft.add(Folder::new_path_beside(&self.folder.parts[files[0].place].path), None, fresh)?;
        for file in files {
            let mut fresh = draft.fresh()?;
            let mark = fresh.mark().to_owned();
            parquet::emptied(session, content(file)?, columns, &mark, fresh.file())?;
            draft.add(self.folder.parts[file.place].path.clone(), Some(&file.version), fresh)?;
        }
        Ok(())
    }
}

/// A program that knows nothing of the record has changed a file that was being put together with others.
pub(super) fn not_whole(folder: &Location) -> Error {
    Error::new(ErrorKind::InvalidData, "another program changed a file while it was put together with others")
        .with("folder", folder)
        .hint("the file is as that program left it; rows that it kept may stand in a larger file as well")
}
