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
use crate::table::cores::{Rounds, in_rounds, threads};

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
        let mut folding = Folding { copying: self, fold, groups, start, open: VecDeque::new() };
        in_rounds(&mut folding, threads(), |piece: Piece| piece.make(session, opened, fold))
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

/// Row groups that are being folded; each is a round.
struct Folding<'f, 'c, 'a, 's> {
    copying: &'c mut Copying<'a, 's>,
    fold: &'f Fold<'f>,
    /// Those that are left.
    groups: Range<usize>,
    /// The first row of these, counted from 0 in the file.
    start: u64,
    open: VecDeque<OpenGroup>,
}

/// A row group that is being made.
struct OpenGroup {
    /// The stored one that its rows come from.
    group: usize,
    rows: Range<u64>,
    /// Rows that stay.
    kept: u64,
    stays_open: bool,
}

impl Folding<'_, '_, '_, '_> {
    /// The next row group that keeps a row.
    fn next(&mut self) -> Option<OpenGroup> {
        for group in self.groups.by_ref() {
            let stored = self.copying.opened.metadata.metadata().row_group(group);
            let rows = self.start..self.start + stored.num_rows().unsigned_abs();
            self.start = rows.end;
            let kept = rows.end - rows.start - self.fold.leaving_of(&rows).len() as u64;
            if kept > 0 {
                return Some(OpenGroup { group, rows, kept, stays_open: self.copying.joined == Some(group) });
            }
            self.copying.session.progress().advance(stored.compressed_size().unsigned_abs());
        }
        None
    }

    /// The columns of a row group, the largest first.
    fn pieces(&self, next: &OpenGroup) -> Result<Vec<Piece>> {
        let copying = &*self.copying;
        let opened = copying.opened;
        let stored = opened.metadata.metadata().row_group(next.group);
        let is_whole = next.kept == next.rows.end - next.rows.start;
        let may_stay = is_whole && !next.stays_open && copying.is_index_kept;
        let descriptions = copying.encoder.columns();
        let mut pieces = Vec::with_capacity(opened.written.fields().len());
        let mut writers = copying.encoder.leaves(self.open.len())?.into_iter().enumerate().peekable();
        while let Some((leaf, writer)) = writers.next() {
            let root = descriptions.get_column_root_idx(leaf);
            let is_own = |(leaf, _): &(usize, _)| descriptions.get_column_root_idx(*leaf) == root;
            let others = std::iter::from_fn(|| writers.next_if(is_own)).map(|(_, writer)| writer);
            let writers: Vec<_> = std::iter::once(writer).chain(others).collect();
            let leaves = leaf..leaf + writers.len();
            // Nothing is stored of columns that the file has not yet.
            let size = stored.columns().get(leaves.clone()).unwrap_or_default().iter();
            pieces.push(Piece {
                // Arrow knows nothing of groups without a column.
                column: pieces.len(),
                root,
                size: size.map(|leaf| leaf.compressed_size().unsigned_abs()).sum(),
                group: next.group,
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
        open < most
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
            let mut leaves = Vec::new();
            for made in made {
                let MadeValues::Open(own) = made.values else {
                    return Err(Error::internal("a column was not left open"));
                };
                leaves.extend(own);
            }
            self.copying.encoder.resume(leaves, done.kept)?;
        } else {
            self.copying.put(&done, made)?;
        }
        let stored = self.copying.opened.metadata.metadata().row_group(done.group);
        self.copying.session.progress().advance(stored.compressed_size().unsigned_abs());
        if self.open.is_empty() {
            self.copying.opened.chunks.release();
        }
        Ok(())
    }
}
