//! A table as it was at an earlier version: a new version that has the files of that one.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use chrono::Utc;
use deltalake_core::kernel::Action;
use deltalake_core::protocol::DeltaOperation;

use super::commit::{NewVersion, checkpoint};
use super::log::{At, Snapshot};
use super::part::StoredPart;
use super::vacuum::vector_of;
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::report::{RestoreReport, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::table::again::pause;

/// How often a version is tried that someone else has committed meanwhile.
const RETRIES: u32 = 20;

/// Makes the table at `location` as it was at `at`; counts what that would take if it is a dry run.
///
/// # Errors
///
/// `NotFound` if there is no table or no such version, or if files of it are gone; `Unsupported` if the table had other
/// columns then, or asks for what is not honoured.
pub(crate) fn restore(
    session: &Session,
    location: &Location,
    at: At,
    dry_run: bool,
) -> Result<RestoreReport> {
    let started = Instant::now();
    for attempt in 0..RETRIES {
        session.check()?;
        let begun = Instant::now();
        let now = Snapshot::required(session, location, At::Latest)?;
        let then = Snapshot::required(session, location, at)?;
        if let Some(mut report) = to(session, &now, &then, dry_run)? {
            report.elapsed_ms = millis(started.elapsed());
            return Ok(report);
        }
        pause(session, begun.elapsed(), attempt)?;
    }
    Err(Error::new(ErrorKind::Conflict, "someone else changed the table every time")
        .with("attempts", RETRIES)
        .hint("nothing of this run was written; run it again"))
}

/// One attempt; `None` if someone else came first.
fn to(session: &Session, now: &Snapshot, then: &Snapshot, dry_run: bool) -> Result<Option<RestoreReport>> {
    now.demands.check_writable()?;
    if now.schema != then.schema || now.partition_columns != then.partition_columns {
        return Err(Error::new(ErrorKind::Unsupported, "the Delta table had other columns at that version")
            .with("version", then.version)
            .hint("read that version, and write it to another table"));
    }
    let (here, there) = (keys(now), keys(then));
    let gone: Vec<&StoredPart> = now.parts.iter().filter(|part| !there.contains(&part.key())).collect();
    let back: Vec<&StoredPart> = then.parts.iter().filter(|part| !here.contains(&part.key())).collect();
    if !gone.is_empty() {
        now.demands.check_removable()?;
    }
    check_there(session, now, then.version, &back)?;
    let mut report = RestoreReport {
        target: now.location.to_string(),
        restored_version: then.version,
        version_before: now.version,
        version_after: now.version,
        files_added: back.len() as u64,
        files_removed: gone.len() as u64,
        dry_run,
        elapsed_ms: 0,
    };
    if dry_run || back.is_empty() && gone.is_empty() {
        return Ok(Some(report));
    }
    let time = Utc::now().timestamp_millis();
    let removes = gone.iter().map(|part| Action::Remove(part.remove(&now.partition_columns, time)));
    let adds = back.iter().map(|part| Action::Add(part.add(&now.partition_columns)));
    let actions: Vec<Action> = removes.chain(adds).collect();
    let version = NewVersion {
        location: &now.location,
        read: Some(now.version),
        operation: DeltaOperation::Restore { version: Some(then.version), datetime: None },
        parameters: BTreeMap::new(),
        metrics: BTreeMap::from([
            ("numRestoredFiles", report.files_added),
            ("numRemovedFiles", report.files_removed),
        ]),
        is_blind: false,
    };
    let staged = version.stage(session, &actions)?;
    let number = staged.number;
    if !staged.commit(session)? {
        return Ok(None);
    }
    checkpoint(session, &now.location, number, Some(&now.demands));
    // A vacuum that was at work did not know that they are needed again.
    check_there(session, now, then.version, &back).map_err(|error| {
        error.hint("a vacuum was at work; restore another version, such as the one before this run")
    })?;
    report.version_after = number;
    Ok(Some(report))
}

/// Refuses to go back to files that are gone, or whose deletion vectors are.
fn check_there(session: &Session, now: &Snapshot, version: u64, back: &[&StoredPart]) -> Result<()> {
    for part in back {
        for file in [Some(part.path.clone()), vector_of(part)?].into_iter().flatten() {
            if session.open(&now.location.join(&file)?)?.version()?.is_none() {
                return Err(Error::new(ErrorKind::NotFound, "a file of that version is gone")
                    .with("version", version)
                    .with("file", file)
                    .hint("it was vacuumed; restore a later version"));
            }
        }
    }
    Ok(())
}

fn keys(snapshot: &Snapshot) -> HashSet<(String, Option<String>)> {
    snapshot.parts.iter().map(StoredPart::key).collect()
}
