//! How tables are kept in shape, whatever their kind: which small files become one, and which files nobody needs.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::options::{OptimizeOptions, VacuumOptions};
use crate::core::report::{OptimizeReport, VacuumReport, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::pause;
use crate::table::target::{Kind, stands};
use crate::table::{delta, folder};

/// Bytes up to which files are put together.
pub(super) const TARGET_BYTES: u64 = 128 << 20;

/// For how long a file stays that nobody needs.
pub(super) const RETENTION: Duration = Duration::from_hours(7 * 24);

/// Puts small files of a table together.
///
/// # Errors
///
/// `NotFound` if nothing is there, `Usage` for what is no table, `Conflict` if others kept changing the same files.
pub(crate) fn optimize(
    session: &Session,
    location: &Location,
    options: &OptimizeOptions,
) -> Result<OptimizeReport> {
    if options.target_bytes == Some(0) {
        return Err(Error::new(ErrorKind::Usage, "files of 0 bytes hold nothing")
            .hint("say a larger size, such as 134217728"));
    }
    match stands(session, location, None)? {
        Kind::Delta => delta::optimize(session, location, options),
        Kind::Folder if options.z_order.is_some() => Err(Error::new(
            ErrorKind::Unsupported,
            "rows of a folder of files cannot be put along a Z-order curve",
        )
        .with("folder", location)
        .hint("each file would change, and nothing is ever deleted from a folder; write the rows into a Delta table")),
        Kind::Folder => folder::optimize(session, location, options),
        Kind::File => Err(no_table(session, location)?),
    }
}

/// Deletes files that no version of a Delta table needs any more.
///
/// # Errors
///
/// `NotFound` if nothing is there, `Usage` for what is no table, or if files are to go earlier than the table says,
/// `Unsupported` for a folder of files.
pub(crate) fn vacuum(
    session: &Session,
    location: &Location,
    options: &VacuumOptions,
) -> Result<VacuumReport> {
    match stands(session, location, None)? {
        Kind::Delta => delta::vacuum(session, location, options),
        Kind::Folder => Err(Error::new(
            ErrorKind::Unsupported,
            "nothing is ever deleted from a folder of files",
        )
        .with("folder", location)
        .hint("readers may have any of its files on their lists; files without rows take the next new rows")),
        Kind::File => Err(no_table(session, location)?),
    }
}

/// What is wrong with a place where no table stands.
fn no_table(session: &Session, location: &Location) -> Result<Error> {
    let is_there = match location.as_path() {
        Some(path) => path.exists(),
        None => {
            !location.is_pattern()
                && !location.is_folder_name()
                && session.open(location)?.version()?.is_some()
        }
    };
    Ok(if is_there {
        Error::new(ErrorKind::Usage, "this is no table of many files")
            .with("location", location)
            .hint("name the folder of a Delta table, or one with Parquet files")
    } else {
        Error::new(ErrorKind::NotFound, "there is no such table")
            .with("table", location)
            .hint("name the folder of a Delta table, or one with Parquet files")
    })
}

/// Before which time a file must have been written, or left, to be deleted.
///
/// # Errors
///
/// `Usage` if that is later than what the table says, and was not allowed.
pub(super) fn cutoff(options: &VacuumOptions, least: Duration) -> Result<DateTime<Utc>> {
    let retention = options.retention.unwrap_or(least);
    if retention < least && !options.allow_early {
        return Err(Error::new(ErrorKind::Usage, "files of the table must stay for longer")
            .with("asked", hours(retention))
            .with("least", hours(least))
            .hint(
                "somebody may be about to read or commit them; if nobody is, say so (--allow-early on the command line)",
            ));
    }
    let retention = chrono::TimeDelta::from_std(retention).unwrap_or(chrono::TimeDelta::MAX);
    Ok(Utc::now().checked_sub_signed(retention).unwrap_or(DateTime::<Utc>::MIN_UTC))
}

fn hours(time: Duration) -> String {
    format!("{} hours", time.as_secs() / 3_600)
}

/// Makes attempts until one is done; each gives `None`, or fails with `Conflict`, if someone else came first.
///
/// # Errors
///
/// `Conflict` if that was so every time, and whatever else an attempt fails with.
pub(super) fn until_done(
    session: &Session,
    options: &OptimizeOptions,
    mut attempt: impl FnMut() -> Result<Option<OptimizeReport>>,
) -> Result<OptimizeReport> {
    let started = Instant::now();
    for conflicts in 0..=options.max_retries {
        let begun = Instant::now();
        match attempt() {
            Ok(Some(report)) => {
                return Ok(OptimizeReport { conflicts, elapsed_ms: millis(started.elapsed()), ..report });
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
        tracing::info!(attempt = conflicts + 1, "someone else changed the files");
        pause(session, begun.elapsed(), conflicts)?;
    }
    Err(Error::new(ErrorKind::Conflict, "someone else changed the same files every time")
        .with("attempts", options.max_retries + 1)
        .hint("nothing of this run was written; run it again when less is written to the table"))
}

/// A file, as far as it matters for putting files together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) bytes: u64,
    /// Whether it is to be written anew even by itself.
    pub(super) is_worn: bool,
}

/// Which files become one, by their places: files that are alike, in their order, up to `target` bytes together.
pub(super) fn groups<K: PartialEq>(files: &[(K, Candidate)], target: u64) -> Vec<Vec<usize>> {
    let mut open: Vec<(&K, Vec<usize>, u64)> = Vec::new();
    let mut groups = Vec::new();
    for (place, (like, file)) in files.iter().enumerate() {
        if file.bytes >= target {
            if file.is_worn {
                groups.push(vec![place]);
            }
            continue;
        }
        match open.iter_mut().find(|(other, ..)| *other == like) {
            Some((_, places, bytes)) if *bytes + file.bytes <= target => {
                places.push(place);
                *bytes += file.bytes;
            }
            Some((_, places, bytes)) => {
                groups.push(std::mem::replace(places, vec![place]));
                *bytes = file.bytes;
            }
            None => open.push((like, vec![place], file.bytes)),
        }
    }
    groups.extend(open.into_iter().map(|(_, places, _)| places));
    groups.retain(|places| places.len() > 1 || places.iter().any(|place| files[*place].1.is_worn));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_partition_are_put_together_in_their_order_up_to_the_target() {
        let file = |like: char, bytes| (like, Candidate { bytes, is_worn: false });
        let of = |files: &[(char, Candidate)]| groups(files, 10);
        assert_eq!(of(&[file('a', 4), file('b', 4), file('a', 6), file('b', 3)]), [[0, 2], [1, 3]]);
        assert_eq!(of(&[file('a', 4), file('a', 6), file('a', 1), file('a', 2)]), [[0, 1], [2, 3]]);
        assert_eq!(of(&[file('a', 10), file('a', 6), file('b', 1)]), Vec::<Vec<usize>>::new());
        assert_eq!(of(&[]), Vec::<Vec<usize>>::new());
        let worn = |like, bytes| (like, Candidate { bytes, is_worn: true });
        assert_eq!(of(&[worn('a', 100), file('a', 1), worn('b', 1)]), [[0], [2]]);
    }

    #[test]
    fn files_go_no_earlier_than_the_table_says_unless_that_is_allowed() {
        let hour = Duration::from_hours(1);
        let options = VacuumOptions::default().with_retention(hour);
        let error = cutoff(&options, 2 * hour).expect_err("too early");
        assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("least: 2 hours"), "{error}");
        let allowed = cutoff(&options.clone().with_allow_early(true), 2 * hour).expect("allowed");
        let age = Utc::now() - allowed;
        assert!(age >= chrono::TimeDelta::hours(1) && age < chrono::TimeDelta::hours(2), "{age}");
        assert!(cutoff(&VacuumOptions::default().with_retention(Duration::MAX), hour).is_ok());
    }
}
