//! Which format a target has or will have, how it is compressed, and whether rows go into it: known before any row is.

use crate::client::file::DataFile;
use crate::client::local::check_parent;
use crate::client::session::Session;
use crate::core::format::{Format, unchangeable};
use crate::core::location::{Location, Scheme};
use crate::core::options::{IfMissing, UpsertOptions, WriteOptions};
use crate::core::text_codec::TextCodec;
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::look_again;
use crate::table::source::{check_new_name, format_of};
use crate::table::{delta, folder, ipc, text};

/// Whether a Delta table stands at `location`, or is said to. The store is looked into only if the name does not say
/// that it is one of a file.
///
/// # Errors
///
/// `PermissionDenied` or `Io`.
fn is_delta(session: &Session, location: &Location, said: Option<Format>) -> Result<bool> {
    if let Some(said) = said {
        return Ok(said == Format::Delta);
    }
    if let Some(path) = location.as_path() {
        return Ok(path.is_dir() && delta::is_table(session, location)?);
    }
    if may_be_file(location) {
        return Ok(false);
    }
    delta::is_table(session, location)
}

/// What rows are read from or go into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One file or object.
    File,
    /// A folder of Parquet files.
    Folder,
    Delta,
}

impl Kind {
    /// Refuses what is asked of a table and can only be had of another kind.
    ///
    /// # Errors
    ///
    /// `Usage` for partitions of one file, and for deletion vectors of what is no Delta table.
    pub(crate) fn check(self, partition_by: Option<&[String]>, deletion_vectors: bool) -> Result<()> {
        if let (Self::File, Some(columns)) = (self, partition_by) {
            return Err(Error::new(ErrorKind::Usage, "only a table has partitions, and the target is one file")
                .with("columns", columns.join(", "))
                .hint("name a target without an extension: it becomes a Delta table, or a folder if the format parquet is said"));
        }
        if deletion_vectors && self != Self::Delta {
            return Err(Error::new(ErrorKind::Usage, "only a Delta table has deletion vectors").hint(
                "a new target without an extension becomes one, if no other format is said; a file or a folder cannot have them",
            ));
        }
        Ok(())
    }
}

/// Refuses bloom filters of a file of another format than Parquet.
///
/// # Errors
///
/// `Usage`.
pub(crate) fn check_bloom_filter(columns: &[String], format: Format) -> Result<()> {
    if columns.is_empty() || format == Format::Parquet {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "only Parquet files have bloom filters")
        .with("format", format)
        .hint("write Parquet, a folder of it or a Delta table, or leave the option out"))
}

/// What stands at `location`; a file if nothing does.
///
/// # Errors
///
/// `PermissionDenied` or `Io`.
pub(crate) fn stands(session: &Session, location: &Location, said: Option<Format>) -> Result<Kind> {
    if is_delta(session, location, said)? {
        return Ok(Kind::Delta);
    }
    Ok(if is_folder(session, location, said)? { Kind::Folder } else { Kind::File })
}

fn is_folder(session: &Session, location: &Location, said: Option<Format>) -> Result<bool> {
    if said.is_some_and(|said| said != Format::Parquet) {
        return Ok(false);
    }
    match location.as_path() {
        Some(path) if path.is_file() => Ok(false),
        None if may_be_file(location) => Ok(false),
        _ => folder::is_folder(session, location, said),
    }
}

/// Whether the name of an object says that it is a file, or no store can be searched for more.
fn may_be_file(location: &Location) -> bool {
    let names_file = !location.is_folder_name() && Format::from_name(&location.name()).is_some();
    names_file || location.is_pattern() || location.scheme() == Scheme::Https
}

/// What stands at `location`, or will: a new target whose name has no extension becomes a Delta table; where Parquet is
/// said, a folder.
///
/// # Errors
///
/// As [`stands`].
pub(crate) fn will_stand(session: &Session, location: &Location, said: Option<Format>) -> Result<Kind> {
    let kind = match (stands(session, location, said)?, said) {
        (Kind::File, None) if delta::IS_KNOWN => Kind::Delta,
        (Kind::File, Some(Format::Parquet)) => Kind::Folder,
        (stands, _) => return Ok(stands),
    };
    if location.is_pattern() || location.scheme() == Scheme::Https {
        return Ok(Kind::File);
    }
    let is_dir = location.as_path().is_some_and(std::path::Path::is_dir);
    if location.is_folder_name() || is_dir && kind == Kind::Folder {
        return Ok(kind);
    }
    if location.name().contains('.') {
        return Ok(Kind::File);
    }
    let exists = match location.as_path() {
        Some(path) => path.exists() && !is_dir,
        None => session.open(location)?.version()?.is_some(),
    };
    Ok(if exists { Kind::File } else { kind })
}

/// The format of a file to which rows are added; it is not compressed.
///
/// # Errors
///
/// `Unsupported` if the file is of a kind that can only be written whole.
pub(super) fn appendable(file: &DataFile, options: &WriteOptions) -> Result<(Format, TextCodec)> {
    let format = format_of(file, options.format)?;
    format.check_changeable().map_err(|error| error.with("file", file.location()))?;
    let codec = match TextCodec::from_name(&file.location().name()) {
        TextCodec::None if format.is_text() => text::head(&file.read()?, TextCodec::MAGIC)?.0,
        named => named,
    };
    match codec {
        TextCodec::None => Ok((format, codec)),
        _ => Err(unchangeable().with("file", file.location()).with("compression", codec)),
    }
}

/// The format of a file that is made, and how its text is compressed.
///
/// # Errors
///
/// `Usage` if no format can be told, or for a compression that it does not know or that its name contradicts.
pub(super) fn new_format(file: &DataFile, options: &WriteOptions) -> Result<(Format, TextCodec)> {
    check_new_name(file.location())?;
    let name = file.location().name();
    let format = options.format.or_else(|| Format::from_name(&name)).ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the format of the new file cannot be told from its name")
            .with("file", file.location())
            .hint(
                "say the format, or use the extension .parquet, .csv, .tsv, .ndjson, .json, .arrow or .arrows; text may \
                 have .gz or .zst behind it",
            )
    })?;
    if matches!(format, Format::Arrow | Format::ArrowStream) {
        ipc::check_compression(options.compression)?;
    }
    let codec = TextCodec::for_target(&name, format, options.compression);
    codec.map(|codec| (format, codec)).map_err(|error| error.with("file", file.location()))
}

/// The format that the target has, or will have.
///
/// # Errors
///
/// `Unsupported` if no rows can be folded into such a file, and whatever is wrong with the target.
pub(crate) fn target_format(session: &Session, target: &Location, options: &UpsertOptions) -> Result<Format> {
    check_name(target, options)?;
    match will_stand(session, target, options.format)? {
        Kind::Delta => return Ok(Format::Delta),
        Kind::Folder => return Ok(Format::Parquet),
        Kind::File => {}
    }
    let file = session.open(target)?;
    let look = || match file.version()? {
        Some(_) => format_of(&file, options.format),
        None => new_target_format(&file, options),
    };
    let format = look_again(session, look)?;
    format.check_changeable().map_err(|error| error.with("target", target))?;
    Ok(format)
}

/// Refuses a target into which no rows can be folded, before the frame runs.
///
/// # Errors
///
/// As [`target_format`].
pub(crate) async fn check_target(
    session: &Session,
    target: &Location,
    options: &UpsertOptions,
) -> Result<()> {
    check_named(session, target, options).await?;
    match options.format.or_else(|| Format::from_name(&target.name())) {
        Some(format) if format.is_text() => {
            let target = target.clone();
            session.run(move |session| check_content(session, &target)).await
        }
        _ => Ok(()),
    }
}

/// The same, before the sources are read.
///
/// # Errors
///
/// As [`target_format`], and `NotFound` if the folder for a new target is missing.
pub(crate) async fn check_named(session: &Session, target: &Location, options: &UpsertOptions) -> Result<()> {
    let (target, options) = (target.clone(), options.clone());
    let check = move |session: &Session| {
        if !options.mkdir && options.if_missing != IfMissing::Error {
            check_parent(&target)?;
        }
        check_format(session, &target, &options)
    };
    session.run(check).await
}

/// Refuses a target into which no rows can be folded, which is looked at only if its name does not say what it is.
fn check_format(session: &Session, target: &Location, options: &UpsertOptions) -> Result<()> {
    match options.format.or_else(|| Format::from_name(&target.name())) {
        Some(format) if !format.has_twin() => check_name(target, options),
        _ => target_format(session, target, options)
            .map(drop)
            .map_err(|error| error.with_missing("target", target)),
    }
}

/// Refuses text that is compressed, whatever it is called.
fn check_content(session: &Session, target: &Location) -> Result<()> {
    let file = session.open(target)?;
    let look = || match file.version()? {
        Some(_) => Ok(text::head(&file.read()?, TextCodec::MAGIC)?.0),
        None => Ok(TextCodec::None),
    };
    match look_again(session, look)? {
        TextCodec::None => Ok(()),
        codec => Err(unchangeable().with("target", target).with("compression", codec)),
    }
}

fn check_name(target: &Location, options: &UpsertOptions) -> Result<()> {
    let name = target.name();
    if let codec @ (TextCodec::Gzip(_) | TextCodec::Zstd(_)) = TextCodec::from_name(&name) {
        return Err(unchangeable().with("target", target).with("compression", codec));
    }
    // A file that is called .json may hold lines.
    match options.format.or_else(|| Format::from_name(&name)) {
        Some(Format::Json) | None => Ok(()),
        Some(format) => format.check_changeable().map_err(|error| error.with("target", target)),
    }
}

/// The format of a target that does not exist yet.
pub(super) fn new_target_format(file: &DataFile, options: &UpsertOptions) -> Result<Format> {
    check_new_name(file.location())?;
    let name = file.location().name();
    let by_name = Format::from_name(&name);
    if by_name.is_none() && !name.contains('.') {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a new target without an extension would be a table or a folder",
        )
        .with("target", file.location())
        .hint("for a folder of Parquet files say that format; for a file give the name an extension"));
    }
    options.format.or(by_name).ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the format of the new target cannot be told from its name")
            .with("target", file.location())
            .hint("say the format, or use the extension .parquet, .csv, .tsv or .ndjson")
    })
}
