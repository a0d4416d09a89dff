//! Which rows of a stored file the incoming ones meet.
//!
//! Only id and modification columns are read at first, and only of row groups and pages that could hold an incoming id, on
//! all cores; other columns are read for just those rows on which the keys do not decide.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use parquet::arrow::arrow_reader::RowSelection;

use super::prune::{self, Candidate};
use super::stored::{selection, short, within};
use super::{ParquetFile, undecodable};
use crate::client::session::Session;
use crate::core::merge::kernel::{Matcher, Pair};
use crate::core::report::WorkCounts;
use crate::error::{Error, Result};
use crate::table::cores::{on_all_cores, threads};

/// Keys of fewer rows are looked at sooner than a thread is started.
const PIECE_ROWS: usize = 32 * 1024;

impl ParquetFile {
    /// Shows the rows that could meet incoming ones to the matcher.
    ///
    /// # Errors
    ///
    /// `InvalidData` if they cannot be decoded, and as [`Matcher::probe`].
    pub(crate) fn find_rows(
        &self,
        session: &Session,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let groups = self.opened().metadata.metadata().row_groups();
        let candidates = match matcher.pruning_ids() {
            None => prune::all(self.opened()),
            Some(ids) => {
                let ids: Vec<&String> = ids.iter().filter(|id| self.shape.is_in_file(id)).collect();
                prune::candidates(self.opened(), matcher.incoming(), &ids)?
            }
        };
        for Candidate { group, rows } in &candidates {
            self.find_in(session, *group, rows.as_deref(), matcher, work)?;
            session.progress().advance(groups[*group].compressed_size().unsigned_abs());
        }
        work.row_groups_read += candidates.len() as u64;
        work.row_groups_skipped += (groups.len() - candidates.len()) as u64;
        if candidates.is_empty() && !groups.is_empty() {
            work.files_skipped += 1;
        } else {
            work.files_read += 1;
        }
        work.bytes_read += self.bytes_read();
        Ok(())
    }

    /// Reads the keys of some rows of one row group, or of all of them, then the values of those that the keys leave open.
    fn find_in(
        &self,
        session: &Session,
        group: usize,
        rows: Option<&[Range<usize>]>,
        matcher: &mut Matcher<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let before = self.opened().chunks.bytes_read();
        let whole = 0..within(self.starts[group + 1] - self.starts[group]);
        let selection =
            rows.map(|rows| RowSelection::from_consecutive_ranges(rows.iter().cloned(), whole.end));
        let keys = Keys { file: self, group, all: whole.end, columns: matcher.key_columns().to_vec() };
        self.hold(group, &keys.columns, selection.as_ref())?;
        let probe = Mutex::new((matcher, Vec::new()));
        on_all_cores(pieces(rows.unwrap_or(std::slice::from_ref(&whole))), |piece| {
            session.check()?;
            keys.show(&piece, &probe)
        })?;
        let (matcher, mut open) = probe.into_inner().unwrap_or_else(PoisonError::into_inner);
        open.sort_unstable_by_key(|pair: &Pair| pair.stored_row);
        let keys = self.opened().chunks.bytes_read();
        self.compare(group, &open, matcher)?;
        work.key_bytes_read += keys - before;
        work.value_bytes_read += self.opened().chunks.bytes_read() - keys;
        self.opened().chunks.release();
        Ok(())
    }

    fn compare(&self, group: usize, open: &[Pair], matcher: &mut Matcher<'_>) -> Result<()> {
        if open.is_empty() || matcher.value_columns().is_empty() {
            return Ok(());
        }
        let rows = selection(open, self.starts[group]);
        let mut left = open;
        for batch in self.read(group, matcher.value_columns(), Some(rows))? {
            let batch = batch?;
            let Some((pairs, rest)) = left.split_at_checked(batch.num_rows()) else { break };
            matcher.decide(pairs, &batch)?;
            left = rest;
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(Error::internal("stored rows were lost while they were compared"))
        }
    }
}

/// The key columns of a row group.
struct Keys<'a> {
    file: &'a ParquetFile,
    group: usize,
    /// Rows in the row group.
    all: usize,
    columns: Vec<String>,
}

/// The matcher, and the pairs that the keys leave open.
type Probe<'a, 'b> = Mutex<(&'a mut Matcher<'b>, Vec<Pair>)>;

impl Keys<'_> {
    /// Shows some rows to the matcher, but for deleted ones.
    fn show(&self, rows: &[Range<usize>], probe: &Probe<'_, '_>) -> Result<()> {
        let (look, shows_all) = {
            let (matcher, _) = &*locked(probe);
            (matcher.look(), matcher.pruning_ids().is_none())
        };
        let is_all = rows.iter().map(Range::len).sum::<usize>() == self.all;
        let selection =
            (!is_all).then(|| RowSelection::from_consecutive_ranges(rows.iter().cloned(), self.all));
        let mut runs = rows.iter().cloned();
        let mut run = 0..0;
        for batch in self.file.read_held(self.group, &self.columns, selection)? {
            let batch = batch?;
            let mut seen = 0;
            while seen < batch.num_rows() {
                if run.is_empty() {
                    run = runs
                        .next()
                        .ok_or_else(|| undecodable("a row group has more rows than its footer says"))?;
                }
                let part = run.len().min(batch.num_rows() - seen);
                let keys = batch.slice(seen, part);
                let first = self.file.starts[self.group] + run.start as u64;
                let seen_here = look.at(&keys)?;
                if shows_all || !seen_here.is_empty() {
                    let (matcher, open) = &mut *locked(probe);
                    open.extend(matcher.join(&keys, &seen_here, first, self.file.deleted(first, part))?);
                }
                (seen, run.start) = (seen + part, run.start + part);
            }
        }
        if !run.is_empty() || runs.any(|run| !run.is_empty()) {
            return Err(short().with("row group", self.group));
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ascending ranges in as many even pieces as there are cores. Not in more: a reader has to go through the headers of the
/// pages before its piece, if there is no index of them.
fn pieces(ranges: &[Range<usize>]) -> Vec<Vec<Range<usize>>> {
    let rows: usize = ranges.iter().map(Range::len).sum();
    let size = rows.div_ceil(threads()).max(PIECE_ROWS);
    let mut pieces = vec![Vec::new()];
    let mut room = size;
    for range in ranges {
        let mut rest = range.clone();
        while !rest.is_empty() {
            if room == 0 {
                pieces.push(Vec::new());
                room = size;
            }
            let end = rest.end.min(rest.start + room);
            let last = pieces.len() - 1;
            pieces[last].push(rest.start..end);
            room -= end - rest.start;
            rest.start = end;
        }
    }
    pieces
}
