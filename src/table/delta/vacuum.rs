//! Files below a table that no version of it needs which somebody may still read: those that were taken out of the table
//! long enough ago, and what runs that failed have left.
//!
//! Not by the vacuum of `deltalake-core`: what may go is decided here by the very names by which files are read, a file
//! that the table has and the list has not ends it, and nothing goes that no writer of tables could have made.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use deltalake_core::DeltaTable;
use deltalake_core::kernel::{DeletionVectorDescriptor, StorageType};
use futures::TryStreamExt;
use serde_json::Value;

use super::log::{At, Snapshot, log_store, root};
use super::part::StoredPart;
use super::{failed, version_file};
use crate::client::file::Content;
use crate::client::session::Session;
use crate::client::store::Listed;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::VacuumOptions;
use crate::core::report::{VacuumReport, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::table::upkeep::{RETENTION, cutoff};

/// How many files are deleted before the last version is looked at again.
const AT_ONCE: usize = 100;

/// Deletes files that nobody needs any more, or names them.
///
/// # Errors
///
/// `Usage` if files are to go earlier than the table says, `Unsupported` for a table that asks for what is not honoured,
/// `InvalidData` if a file of the table is missing.
pub(crate) fn vacuum(
    session: &Session,
    location: &Location,
    options: &VacuumOptions,
) -> Result<VacuumReport> {
    let started = Instant::now();
    let snapshot = Snapshot::required(session, location, At::Latest)?;
    snapshot.demands.check_writable()?;
    let cutoff = cutoff(options, retention(&snapshot)?)?;
    let needed = needed(session, &snapshot, cutoff)?;
    let found = session.listed_below(location)?;
    check_all_there(&snapshot, &found)?;
    let goes = |file: &&Listed| {
        let is_old = file.modified.is_some_and(|modified| modified < cutoff);
        is_old && is_data(&file.name, &snapshot.partition_columns) && !needed.has(&file.name)
    };
    let mut files: Vec<&Listed> = found.iter().filter(goes).collect();
    files.retain(|file| !is_linked(location, &file.name));
    if !options.dry_run {
        session.progress().start(files.len() as u64);
        for some in files.chunks(AT_ONCE) {
            // A version that was brought back meanwhile needs its files again.
            let now = part_names(&Snapshot::required(session, location, At::Latest)?)?;
            for file in some.iter().filter(|file| !now.contains(&file.name)) {
                session.check()?;
                session
                    .delete(&location.join(&file.name)?)
                    .map_err(|e| e.with_missing("file", &file.name))?;
            }
            session.progress().advance(some.len() as u64);
        }
    }
    Ok(VacuumReport {
        target: location.to_string(),
        format: Format::Delta,
        older_than: cutoff,
        bytes: files.iter().map(|file| file.size).sum(),
        files: files.into_iter().map(|file| file.name.clone()).collect(),
        dry_run: options.dry_run,
        elapsed_ms: millis(started.elapsed()),
    })
}

/// How long files stay that were taken out of the table.
///
/// # Errors
///
/// `Unsupported` if what the table says cannot be understood.
fn retention(snapshot: &Snapshot) -> Result<Duration> {
    let Some(said) = snapshot.demands.property("delta.deletedFileRetentionDuration") else {
        return Ok(RETENTION);
    };
    interval(said).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "how long deleted files stay cannot be understood")
            .with("delta.deletedFileRetentionDuration", said)
            .hint("write it like `interval 7 days`")
    })
}

/// A time as properties of tables say it: `interval 7 days`.
fn interval(text: &str) -> Option<Duration> {
    let mut words = text.split_whitespace().map(str::to_ascii_lowercase).peekable();
    words.next_if(|word| word == "interval");
    let mut total = None;
    while let Some(number) = words.next() {
        let number: u64 = number.parse().ok()?;
        let unit = words.next()?;
        let seconds = match unit.strip_suffix('s').unwrap_or(&unit) {
            "week" => 7 * 24 * 3_600,
            "day" => 24 * 3_600,
            "hour" => 3_600,
            "minute" => 60,
            "second" => 1,
            _ => return None,
        };
        let time = Duration::from_secs(number.checked_mul(seconds)?);
        total = Some(total.unwrap_or(Duration::ZERO).checked_add(time)?);
    }
    total
}

/// Files that stay.
struct Needed {
    names: HashSet<String>,
    /// Whether it cannot be told which deletion vectors are needed.
    all_vectors: bool,
}

impl Needed {
    fn has(&self, name: &str) -> bool {
        self.names.contains(name) || self.all_vectors && !name.ends_with(".parquet")
    }
}

/// All files that are a part of the table, or were since `cutoff`.
fn needed(session: &Session, snapshot: &Snapshot, cutoff: DateTime<Utc>) -> Result<Needed> {
    let mut needed = part_names(snapshot)?;
    let mut first = 0;
    match Snapshot::load(session, &snapshot.location, At::Time(cutoff)) {
        Ok(Some(then)) => {
            first = then.version + 1;
            needed.extend(part_names(&then)?);
        }
        Ok(None) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // What the checkpoint says of files that were taken out leaves their deletion vectors away.
    let vectors = if snapshot.demands.knows_vectors() {
        vectors_since(session, snapshot, first)?
    } else {
        Some(HashSet::new())
    };
    let log = log_store(session, &snapshot.location)?;
    let version = snapshot.version;
    let taken_out = session.wait(async move {
        let mut table = DeltaTable::new(std::sync::Arc::clone(&log));
        table.load_version(version).await.map_err(failed)?;
        let state = table.snapshot().map_err(failed)?;
        let since = cutoff.timestamp_millis();
        let recent = state.all_tombstones(log.as_ref()).try_filter_map(|file| async move {
            // Some writers do not say when.
            let is_recent = file.deletion_timestamp().is_none_or(|time| time == 0 || time >= since);
            Ok(is_recent.then(|| file.path().into_owned()))
        });
        recent.try_collect::<Vec<String>>().await.map_err(failed)
    });
    needed.extend(taken_out?);
    let all_vectors = vectors.is_none();
    needed.extend(vectors.unwrap_or_default());
    Ok(Needed { names: needed, all_vectors })
}

/// The deletion vectors that were taken out by a version from `first` on; `None` if the log no longer says it.
fn vectors_since(session: &Session, snapshot: &Snapshot, first: u64) -> Result<Option<HashSet<String>>> {
    let mut names = HashSet::new();
    for version in first..=snapshot.version {
        session.check()?;
        let file = session.open(&version_file(&snapshot.location, version)?)?;
        let content = match file.read().and_then(Content::into_file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            content => content?,
        };
        let damaged = |cause: String| {
            Error::new(ErrorKind::InvalidData, "a version of the Delta table cannot be read")
                .with("file", file.location())
                .hint("nothing was deleted; restore the file from a backup")
                .because(cause)
        };
        for line in BufReader::new(content).lines() {
            let line = line.map_err(|cause| damaged(cause.to_string()))?;
            let action: Value = serde_json::from_str(&line).map_err(|cause| damaged(cause.to_string()))?;
            let vector = action.get("remove").and_then(|file| file.get("deletionVector"));
            if let Some(vector) = vector.filter(|vector| !vector.is_null()) {
                let vector: DeletionVectorDescriptor =
                    serde_json::from_value(vector.clone()).map_err(|cause| damaged(cause.to_string()))?;
                names.extend(file_of(vector).map_err(|cause| damaged(cause.to_string()))?);
            }
        }
    }
    Ok(Some(names))
}

/// The names of the files that a version has, and of their deletion vectors.
fn part_names(snapshot: &Snapshot) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    for part in snapshot.parts.iter() {
        names.insert(part.path.clone());
        names.extend(vector_of(part)?);
    }
    Ok(names)
}

/// Whether a file, or a folder it stands in, is a link to another place on the disk.
fn is_linked(location: &Location, name: &str) -> bool {
    let Some(mut place) = location.as_path().map(std::path::Path::to_path_buf) else { return false };
    name.split('/').any(|step| {
        place.push(step);
        place.is_symlink()
    })
}

/// The file in which the deletion vector of a file is, if it has one of its own.
pub(super) fn vector_of(part: &StoredPart) -> Result<Option<String>> {
    let Some(vector) = part.deletion_vector.clone() else { return Ok(None) };
    file_of(vector).map_err(|error| error.with("file", &part.path))
}

fn file_of(vector: DeletionVectorDescriptor) -> Result<Option<String>> {
    if vector.storage_type == StorageType::Inline {
        return Ok(None);
    }
    let unknown = |cause: delta_kernel::Error| {
        Error::new(ErrorKind::InvalidData, "where a deletion vector of the Delta table is cannot be told")
            .because(cause)
    };
    let vector: delta_kernel::actions::deletion_vector::DeletionVectorDescriptor =
        vector.try_into().map_err(unknown)?;
    let url = vector.absolute_path(&root()?).map_err(unknown)?;
    let path = url.map(|url| url.path().trim_start_matches('/').to_owned());
    Ok(path.map(|path| percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned()))
}

/// Refuses to delete anything if a file of the table is not among those that were found: it is missing, or names are not
/// what they are taken for.
fn check_all_there(snapshot: &Snapshot, found: &[Listed]) -> Result<()> {
    let found: HashSet<&str> = found.iter().map(|file| file.name.as_str()).collect();
    match snapshot.parts.iter().find(|part| !found.contains(part.path.as_str())) {
        None => Ok(()),
        Some(part) => Err(Error::new(ErrorKind::InvalidData, "a file of the Delta table is missing")
            .with("file", &part.path)
            .hint("nothing was deleted; restore an earlier version of the table, or the file from a backup")),
    }
}

/// Whether a writer of this table could have made a file by this name: data, a deletion vector, or what a failed run of ours
/// has left; in the table's own folder, in those of its partitions, or in a short one that spreads files in a store. Other
/// folders, which may be tables of their own, hidden ones and the log are never touched.
fn is_data(name: &str, partition_columns: &[String]) -> bool {
    let (folders, file) = name.rsplit_once('/').unwrap_or(("", name));
    let is_spread =
        |folder: &str| folder.len() == 2 && folder.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_partition(folders, partition_columns) && !folders.is_empty() && !is_spread(folders) {
        return false;
    }
    let ours =
        file.starts_with(".part-") && file.ends_with(".keyfold-stage") || file.starts_with(".keyfold-probe-");
    let has_extension = |extension: &str| {
        std::path::Path::new(file).extension().is_some_and(|own| own.eq_ignore_ascii_case(extension))
    };
    ours || !file.starts_with(['.', '_'])
        && (has_extension("parquet") || has_extension("bin") && file.starts_with("deletion_vector_"))
}

/// Whether folders are named after all partition columns, in their order.
fn is_partition(folders: &str, partition_columns: &[String]) -> bool {
    let steps: Vec<&str> = folders.split('/').collect();
    let is_of = |(step, column): (&&str, &String)| {
        let named = step.split_once('=').map(|(named, _)| named);
        named.is_some_and(|named| percent_encoding::percent_decode_str(named).eq(column.bytes()))
    };
    steps.len() == partition_columns.len() && steps.iter().zip(partition_columns).all(is_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_writer_of_tables_has_made_is_ever_deleted() {
        let columns = ["_day".to_owned(), "p".to_owned()];
        for name in [
            "part-1.parquet",
            "_day=1/p=a/part-1.PARQUET",
            "_day=1/p=_x/part-1.snappy.parquet",
            "deletion_vector_1.bin",
            "ab/deletion_vector_1.bin",
            ".part-1.parquet.0198.keyfold-stage",
            "_day=1/p=a/.keyfold-probe-1",
        ] {
            assert!(is_data(name, &columns), "{name}");
        }
        for name in [
            "_delta_log/00000000000000000000.json",
            "_delta_log/00000000000000000010.checkpoint.parquet",
            "_other/part-1.parquet",
            "_x=1/part-1.parquet",
            "p=a/part-1.parquet",
            "_day=1/part-1.parquet",
            "p=1/_day=a/part-1.parquet",
            "archive/part-1.parquet",
            "ab/cd/part-1.parquet",
            "ab/_delta_log/00000000000000000010.checkpoint.parquet",
            ".hidden/part-1.parquet",
            ".part-1.parquet.crc",
            "_metadata.parquet",
            "notes.txt",
            "model.bin",
        ] {
            assert!(!is_data(name, &columns), "{name}");
        }
    }

    #[test]
    fn times_are_understood_as_tables_say_them() {
        let hours = |text: &str| interval(text).map(|time| time.as_secs() / 3_600);
        assert_eq!(hours("interval 1 week"), Some(168));
        assert_eq!(hours("INTERVAL 2 DAYS"), Some(48));
        assert_eq!(hours("interval 1 day 12 hours"), Some(36));
        assert_eq!(hours("0 hours"), Some(0));
        for other in ["interval", "interval 1", "interval x days", "interval 1 month"] {
            assert_eq!(hours(other), None, "{other}");
        }
    }
}
