//! Row groups of a stored file folded into a new one: some at the same time, each a column at a time.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;

use parquet::arrow::ProjectionMask;

use super::as_bytes::{StoredGroup, can_leaves_stand, whole_footer};
use super::columns::{Fold, Made, MadeValues, Piece};
use super::groups::Copying;
use super::verify::CopiedChunk;
use super::writer::unwritable;
use crate::error::{Error, Result};
use crate::table::cores::{Rounds, in_rounds};

/// Row groups that are encoded at the same time: the next begins while the last columns of one are not done.
const OPEN_GROUPS: usize = 2;

impl Copying<'_, '_> {
    /// Writes row groups that follow each other with `fold` done to their rows.
    pub(super) fn fold(&mut self, groups: Range<usize>, fold: &Fold<'_>) -> Result<()> {
        // The rows before are a row group of their own.
        self.encoder.flush()?;
        let (session, opened) = (self.session, self.opened);
        let before = &opened.metadata.metadata().row_groups()[..groups.start];
        let start = before.iter().map(|group| group.num_rows().unsigned_abs()).sum();
        let row_bytes = match fold.folded.filter(|_| !fold.pairs.is_empty()) {
            Some(folded) => folded.row_bytes()?,
            None => 0,
        };
        let mut folding =
            Folding { copying: self, fold, row_bytes, groups, start, rows: start, open: VecDeque::new() };
        in_rounds(&mut folding, |piece: Piece| piece.make(session, opened, fold))
    }

    /// Writes a row group of the columns that were made.
    fn put(&mut self, done: &OpenGroup, made: Vec<Made>) -> Result<()> {
        let file = self.encoder.file()?;
        let number = file.flushed_row_groups().len();
        let mut out = file.next_row_group().map_err(unwritable)?;
        let (mut leaf, mut same) = (0, Vec::new());
        for made in made {
            match made.values {
                MadeValues::Encoded(chunks) => {
                    leaf += chunks.len();
                    chunks
                        .into_iter()
                        .try_for_each(|chunk| chunk.append_to_row_group(&mut out))
                        .map_err(unwritable)?;
                }
                MadeValues::Same(leaves) => {
                    let footer =
                        self.footer.as_ref().ok_or_else(|| Error::internal("the footer was not read"))?;
                    let from = StoredGroup {
                        opened: self.opened,
                        footer,
                        group: done.group,
                        is_indexed: self.is_indexed,
                    };
                    for _ in 0..leaves {
                        from.append(leaf, false, &mut out)?;
                        same.push(leaf);
                        leaf += 1;
                    }
                }
                MadeValues::Open(_) => return Err(Error::internal("a column was left open")),
            }
        }
        let closed = out.close().map_err(unwritable)?;
        let stored = self.opened.metadata.metadata().row_group(done.group);
        for leaf in same {
            let start = closed.column(leaf).byte_range().0;
            let chunk =
                CopiedChunk::new((number, leaf), start, stored.column(leaf), Some(&self.opened.chunks))?;
            self.written.chunks.push(chunk);
        }
        self.written.rows += done.kept;
        Ok(())
    }
}

/// Row groups that are being folded; each round is one of the new file.
struct Folding<'f, 'c, 'a, 's> {
    copying: &'c mut Copying<'a, 's>,
    fold: &'f Fold<'f>,
    /// Bytes of a row that comes in, about.
    row_bytes: u64,
    /// Those that are left; the first may have begun.
    groups: Range<usize>,
    /// Where that one begins, and what of it is left, in rows of the file.
    start: u64,
    rows: u64,
    open: VecDeque<OpenGroup>,
}

/// A row group of the new file that is being made.
struct OpenGroup {
    /// The stored one that its rows come from.
    group: usize,
    start: u64,
    rows: Range<u64>,
    /// Rows that stay.
    kept: u64,
    /// Bytes when it is done, about.
    bytes: u64,
    stays_open: bool,
}

impl Folding<'_, '_, '_, '_> {
    /// The next row group of the new file. One that would take too much memory becomes several.
    fn next(&mut self) -> Option<OpenGroup> {
        while !self.groups.is_empty() {
            let group = self.groups.start;
            let stored = self.copying.opened.metadata.metadata().row_group(group);
            let end = self.start + stored.num_rows().unsigned_abs();
            let whole = self.start..end;
            let new = self.fold.pairs_of(&whole).len() as u64 * self.row_bytes;
            let bytes = stored.compressed_size().unsigned_abs() + new;
            let parts = bytes.div_ceil(self.copying.group_bytes).max(1);
            let rows = self.rows..end.min(self.rows + (end - self.start).div_ceil(parts));
            self.rows = rows.end;
            let is_last = rows.end == end;
            if is_last {
                self.start = end;
                self.groups.start += 1;
            }
            let kept = rows.end - rows.start - self.fold.leaving_of(&rows).len() as u64;
            if kept > 0 {
                let stays_open = is_last && self.copying.joined == Some(group);
                return Some(OpenGroup {
                    group,
                    start: whole.start,
                    rows,
                    kept,
                    bytes: bytes / parts,
                    stays_open,
                });
            }
        }
        None
    }

    /// The columns of a row group, the largest first.
    fn pieces(&mut self, next: &OpenGroup) -> Result<Vec<Piece>> {
        let copying = &mut *self.copying;
        let opened = copying.opened;
        let stored = opened.metadata.metadata().row_group(next.group);
        let is_whole =
            next.rows.end - next.rows.start == next.kept && next.kept == stored.num_rows().unsigned_abs();
        let may_stay = is_whole && !next.stays_open && copying.is_index_kept;
        let descriptions = copying.encoder.columns();
        let mut pieces = Vec::with_capacity(opened.schema().fields().len());
        let mut writers = copying.encoder.leaves(self.open.len())?.into_iter().enumerate().peekable();
        while let Some((leaf, writer)) = writers.next() {
            let column = descriptions.get_column_root_idx(leaf);
            let is_own = |(leaf, _): &(usize, _)| descriptions.get_column_root_idx(*leaf) == column;
            let others = std::iter::from_fn(|| writers.next_if(is_own)).map(|(_, writer)| writer);
            let writers: Vec<_> = std::iter::once(writer).chain(others).collect();
            let leaves = leaf..leaf + writers.len();
            let size = stored.columns()[leaves.clone()].iter();
            pieces.push(Piece {
                column,
                size: size.map(|leaf| leaf.compressed_size().unsigned_abs()).sum(),
                group: next.group,
                start: next.start,
                rows: next.rows.clone(),
                may_stay: may_stay && can_leaves_stand(opened, descriptions, stored, leaves),
                stays_open: next.stays_open,
                writers,
            });
        }
        pieces.sort_by_key(|piece| Reverse(piece.size));
        Ok(pieces)
    }
}

impl Rounds for Folding<'_, '_, '_, '_> {
    type Piece = Piece;
    type Made = Made;

    fn may_begin(&self, open: usize) -> bool {
        // What is fetched of an object is one row group at a time.
        let most = if self.copying.opened.chunks.object().is_some() { 1 } else { OPEN_GROUPS };
        let next = self.copying.opened.metadata.metadata().row_groups().get(self.groups.start);
        let next = next.map_or(0, |group| group.compressed_size().unsigned_abs());
        let bytes = self.open.iter().map(|open| open.bytes).sum::<u64>();
        open < most && bytes + next <= self.copying.group_bytes
    }

    fn begin(&mut self) -> Result<Option<Vec<Piece>>> {
        let Some(next) = self.next() else { return Ok(None) };
        self.copying.session.check()?;
        let opened = self.copying.opened;
        let pieces = self.pieces(&next)?;
        if self.copying.footer.is_none() && pieces.iter().any(|piece| piece.may_stay) {
            self.copying.footer = Some(whole_footer(&opened.chunks)?);
        }
        opened.chunks.hold_group(opened.metadata.metadata(), next.group, &ProjectionMask::all(), None)?;
        self.open.push_back(next);
        Ok(Some(pieces))
    }

    fn end(&mut self, mut made: Vec<Made>) -> Result<()> {
        let done = self.open.pop_front().ok_or_else(|| Error::internal("no row group was begun"))?;
        made.sort_by_key(|made| made.column);
        if let Some(witness) = self.fold.witness {
            witness.rows(done.kept);
        }
        if done.stays_open {
            let leaves = made.into_iter().flat_map(|made| match made.values {
                MadeValues::Open(leaves) => leaves,
                MadeValues::Same(_) | MadeValues::Encoded(_) => Vec::new(),
            });
            self.copying.encoder.resume(leaves.collect(), done.kept)?;
        } else {
            self.copying.put(&done, made)?;
        }
        let stored = self.copying.opened.metadata.metadata().row_group(done.group);
        let share = u128::from(stored.compressed_size().unsigned_abs())
            * u128::from(done.rows.end - done.rows.start)
            / u128::from(stored.num_rows().unsigned_abs().max(1));
        self.copying.session.progress().advance(u64::try_from(share).unwrap_or(0));
        if self.open.is_empty() {
            self.copying.opened.chunks.release();
        }
        Ok(())
    }
}
