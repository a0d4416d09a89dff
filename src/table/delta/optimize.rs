//! Small files of a table become larger ones, or all of them are sorted (`z_order.rs`). No row changes: the new version says so, so that who follows the changes
//! of the table sees none, and writers meanwhile need not lose: what they left alone is still put together.

use std::collections::BTreeMap;
use std::time::Instant;

use arrow::array::RecordBatch;
use chrono::Utc;
use deltalake_core::kernel::{Action, Add, Remove};
use deltalake_core::protocol::DeltaOperation;
use serde_json::json;

use super::commit::{NewVersion, checkpoint};
use super::log::{At, Snapshot};
use super::new_file::{Layout, NewFile, discard};
use super::part::StoredPart;
use super::z_order;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::OptimizeOptions;
use crate::core::report::OptimizeReport;
use crate::error::{Error, Result};
use crate::table::again::pause;
use crate::table::parquet::FileLayout;
use crate::table::parquet::ParquetFile;
use crate::table::partition::{self, Values};
use crate::table::table_scan::live;
use crate::table::upkeep::{Candidate, TARGET_BYTES, groups, until_done};

/// How often a version is tried that someone else has committed meanwhile.
const RETRIES: u32 = 20;

/// Puts small files together.
///
/// # Errors
///
/// `Unsupported` for a table that asks for what is not honoured, `Conflict` if others kept changing the same files.
pub(crate) fn optimize(
    session: &Session,
    location: &Location,
    options: &OptimizeOptions,
) -> Result<OptimizeReport> {
    let mut done: Option<OptimizeReport> = None;
    // The partitions of which others have changed files meanwhile.
    let mut left: Option<Vec<Values>> = None;
    let ended = until_done(session, options, || {
        let work = Work::plan(session, location, options, left.as_deref())?;
        let (report, lost) = work.run(session, options)?;
        done = together(done.take(), report);
        let is_done = lost.is_empty();
        left = Some(lost);
        Ok(if is_done { done.clone() } else { None })
    });
    match (ended, done) {
        (Err(error), Some(done)) => Err(error
            .with("committed", done.version_after.unwrap_or_default())
            .hint("some partitions were written anew as that version, others kept changing: run it again for those")),
        (ended, _) => ended,
    }
}

/// What two attempts have done, one after the other.
fn together(first: Option<OptimizeReport>, then: Option<OptimizeReport>) -> Option<OptimizeReport> {
    let (mut all, then) = match (first, then) {
        (Some(first), Some(then)) => (first, then),
        (first, then) => return first.or(then),
    };
    if then.files_removed > 0 {
        all.version_after = then.version_after;
    }
    all.files_removed += then.files_removed;
    all.files_added += then.files_added;
    all.bytes_removed += then.bytes_removed;
    all.bytes_added = all.bytes_added.zip(then.bytes_added).map(|(all, then)| all + then);
    Some(all)
}

/// Files of one partition that are written anew.
#[derive(Clone)]
struct Group {
    values: Values,
    parts: Vec<StoredPart>,
    /// The new files; none if all of their rows were deleted.
    adds: Vec<Add>,
}

pub(super) struct Work {
    pub(super) snapshot: Snapshot,
    pub(super) layout: Layout,
    pub(super) target: u64,
    groups: Vec<Group>,
    /// The columns of the curve along which rows are put.
    z_order: Option<Vec<String>>,
}

impl Work {
    /// Which files are to be written anew, in the partitions that are `left`, or all.
    fn plan(
        session: &Session,
        location: &Location,
        options: &OptimizeOptions,
        left: Option<&[Values]>,
    ) -> Result<Self> {
        let snapshot = Snapshot::required(session, location, At::Latest)?;
        snapshot.demands.check_writable()?;
        let said = snapshot.demands.property("delta.targetFileSize").and_then(|bytes| bytes.parse().ok());
        let target = options.target_bytes.or(said).unwrap_or(TARGET_BYTES);
        let (schema, columns) = (&snapshot.schema, &snapshot.partition_columns);
        let layout = Layout::new(location, schema, columns, &snapshot.demands, FileLayout::default())?;
        let values = |part: &StoredPart| partition::normal(schema, columns, &part.values);
        let candidate = |part: &StoredPart| {
            let candidate = Candidate { bytes: part.size, is_worn: part.deletion_vector.is_some() };
            Ok((values(part)?, candidate))
        };
        let candidates = snapshot.parts.iter().map(candidate).collect::<Result<Vec<_>>>()?;
        let places: Vec<Vec<usize>> = match &options.z_order {
            None => groups(&candidates, target),
            Some(columns) => {
                z_order::check(&layout, columns)?;
                let mut partitions: BTreeMap<&Values, Vec<usize>> = BTreeMap::new();
                for (place, (values, _)) in candidates.iter().enumerate() {
                    partitions.entry(values).or_default().push(place);
                }
                partitions.into_values().collect()
            }
        };
        let group = |places: Vec<usize>| Group {
            values: candidates[places[0]].0.clone(),
            parts: places.iter().map(|place| snapshot.parts[*place].clone()).collect(),
            adds: Vec::new(),
        };
        let mut groups: Vec<Group> = places.into_iter().map(group).collect();
        groups.retain(|group| left.is_none_or(|left| left.contains(&group.values)));
        Ok(Self { snapshot, layout, target, groups, z_order: options.z_order.clone() })
    }

    /// What was done, and the partitions in which others have changed files that were to be written anew.
    fn run(
        &self,
        session: &Session,
        options: &OptimizeOptions,
    ) -> Result<(Option<OptimizeReport>, Vec<Values>)> {
        let before = &self.snapshot;
        let mut report = OptimizeReport {
            target: before.location.to_string(),
            format: Format::Delta,
            version_before: Some(before.version.to_string()),
            version_after: Some(before.version.to_string()),
            files_before: before.parts.len() as u64,
            files_removed: self.groups.iter().map(|group| group.parts.len() as u64).sum(),
            files_added: self.groups.iter().map(|group| self.files_of(&group.parts)).sum(),
            bytes_removed: self.groups.iter().flat_map(|group| &group.parts).map(|part| part.size).sum(),
            bytes_added: None,
            dry_run: options.dry_run,
            conflicts: 0,
            elapsed_ms: 0,
        };
        if options.dry_run || self.groups.is_empty() {
            report.bytes_added = (!options.dry_run).then_some(0);
            return Ok((Some(report), Vec::new()));
        }
        let times = if self.z_order.is_some() { 2 } else { 1 };
        session.progress().start(times * report.bytes_removed);
        let mut done: Vec<Group> = Vec::new();
        let written: Result<()> = self.groups.iter().try_for_each(|group| {
            let adds = match &self.z_order {
                None => self.write(session, &group.parts)?.into_iter().collect(),
                Some(columns) => self.write_sorted(session, &group.parts, columns)?,
            };
            done.push(Group { adds, ..group.clone() });
            Ok(())
        });
        written.inspect_err(|_| give_up(session, &self.snapshot.location, &done))?;
        let (version, done, lost) = self.commit(session, done)?;
        let Some(version) = version else { return Ok((None, lost)) };
        report.version_after = Some(version.to_string());
        report.files_removed = done.iter().map(|group| group.parts.len() as u64).sum();
        report.bytes_removed = done.iter().flat_map(|group| &group.parts).map(|part| part.size).sum();
        let adds = || done.iter().flat_map(|group| &group.adds);
        report.files_added = adds().count() as u64;
        report.bytes_added = Some(adds().map(|add| add.size.unsigned_abs()).sum());
        Ok((Some(report), lost))
    }

    /// How many files the rows of some are to have, about.
    pub(super) fn files_of(&self, parts: &[StoredPart]) -> u64 {
        match &self.z_order {
            None => 1,
            Some(_) => parts.iter().map(|part| part.size).sum::<u64>().div_ceil(self.target).max(1),
        }
    }

    /// Writes the rows of some files into a new one.
    fn write(&self, session: &Session, parts: &[StoredPart]) -> Result<Option<Add>> {
        let mut out: Option<NewFile<'_>> = None;
        let expected = self.rows_of(session, parts, &self.columns(), |part, file, rows| {
            let mut new = match out.take() {
                Some(new) => new,
                None => NewFile::start(session, &self.layout, part.values.clone(), file.ways().as_ref())?,
            };
            new.write(&rows)?;
            out = Some(new);
            Ok(())
        })?;
        check_rows(out.as_ref().map_or(0, NewFile::rows), expected)?;
        let add = out.map(NewFile::finish).transpose()?;
        Ok(add.map(|add| Add { data_change: false, ..add }))
    }

    /// All columns, by name.
    pub(super) fn columns(&self) -> Vec<String> {
        self.layout.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Shows the rows of some files that were not deleted, with these columns; how many there should be.
    pub(super) fn rows_of(
        &self,
        session: &Session,
        parts: &[StoredPart],
        columns: &[String],
        mut show: impl FnMut(&StoredPart, &ParquetFile, RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let mut expected = 0;
        for part in parts {
            let named = |error: Error| error.with_missing("file", &part.path);
            let deleted = self.snapshot.deleted(session, part)?;
            let file = self.snapshot.open_part(session, part, 0, &deleted)?;
            expected += file.rows() - deleted.len() as u64;
            for group in 0..file.groups() {
                for rows in file.group_rows(group, columns).map_err(named)? {
                    session.check()?;
                    let (first, rows) = rows.map_err(named)?;
                    let rows = live(&file, first, rows)?;
                    if rows.num_rows() > 0 {
                        show(part, &file, rows)?;
                    }
                }
            }
            session.progress().advance(part.size);
        }
        Ok(expected)
    }

    /// Commits what others have left alone meanwhile: the version, if that is anything, what it is, and the partitions of
    /// the rest. If that fails, a version may name the new files all the same: they stay.
    fn commit(
        &self,
        session: &Session,
        mut done: Vec<Group>,
    ) -> Result<(Option<u64>, Vec<Group>, Vec<Values>)> {
        let mut left = Vec::new();
        let location = &self.snapshot.location;
        let mut now = self.snapshot.clone();
        for attempt in 0..RETRIES {
            let begun = Instant::now();
            let staged = self.version(now.version, &done).stage(session, &actions(&now, &done));
            let staged = staged.inspect_err(|_| give_up(session, location, &done))?;
            let number = staged.number;
            if staged.commit(session)? {
                checkpoint(session, location, number, Some(&now.demands));
                return Ok((Some(number), done, left));
            }
            let looked = pause(session, begun.elapsed(), attempt)
                .and_then(|()| Snapshot::required(session, location, At::Latest))
                .and_then(|snapshot| snapshot.demands.check_writable().map(|()| snapshot));
            now = looked.inspect_err(|_| give_up(session, location, &done))?;
            let is_same = now.schema == self.snapshot.schema
                && now.partition_columns == self.snapshot.partition_columns;
            let stays = |group: &Group| is_same && group.parts.iter().all(|part| has(&now, part));
            let (kept, lost): (Vec<_>, Vec<_>) = done.into_iter().partition(stays);
            give_up(session, location, &lost);
            left.extend(lost.into_iter().map(|group| group.values));
            done = kept;
            if done.is_empty() {
                return Ok((None, done, left));
            }
        }
        give_up(session, location, &done);
        left.extend(done.into_iter().map(|group| group.values));
        Ok((None, Vec::new(), left))
    }

    fn version(&self, read: u64, done: &[Group]) -> NewVersion<'_> {
        let adds = || done.iter().flat_map(|group| &group.adds);
        let parts = || done.iter().flat_map(|group| &group.parts);
        NewVersion {
            location: &self.snapshot.location,
            read: Some(read),
            operation: DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(self.target).unwrap_or(i64::MAX),
            },
            parameters: self
                .z_order
                .iter()
                .map(|columns| ("zOrderBy", json!(json!(columns).to_string())))
                .collect(),
            metrics: BTreeMap::from([
                ("numAddedFiles", adds().count() as u64),
                ("numRemovedFiles", parts().count() as u64),
                ("numAddedBytes", adds().map(|add| add.size.unsigned_abs()).sum()),
                ("numRemovedBytes", parts().map(|part| part.size).sum()),
            ]),
            is_blind: false,
        }
    }
}

/// # Errors
///
/// `Internal` if not all rows were written.
pub(super) fn check_rows(written: u64, expected: u64) -> Result<()> {
    if written == expected {
        return Ok(());
    }
    Err(Error::internal("files that were written anew have another number of rows than before")
        .with("before", expected)
        .with("now", written))
}

fn actions(now: &Snapshot, done: &[Group]) -> Vec<Action> {
    let time = Utc::now().timestamp_millis();
    let remove =
        |part: &StoredPart| Remove { data_change: false, ..part.remove(&now.partition_columns, time) };
    let removes = done.iter().flat_map(|group| &group.parts).map(|part| Action::Remove(remove(part)));
    let adds = done.iter().flat_map(|group| group.adds.clone()).map(Action::Add);
    removes.chain(adds).collect()
}

/// Whether a file is a part of the table as it was.
fn has(now: &Snapshot, part: &StoredPart) -> bool {
    now.parts.iter().any(|other| other.key() == part.key())
}

/// Deletes new files that no version names.
fn give_up(session: &Session, location: &Location, groups: &[Group]) {
    let adds: Vec<Add> = groups.iter().flat_map(|group| group.adds.clone()).collect();
    discard(session, location, &adds);
}
