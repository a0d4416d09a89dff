//! What is asked of stored ids before the matcher is shown their rows: cores find it out side by side, each for some rows.

use arrow::array::RecordBatch;

use super::repair::StoredKeys;
use super::settle::Incoming;
use crate::error::Result;

/// What to find out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look<'a> {
    /// Which rows meet an incoming one; the ids are so many columns.
    Met(&'a Incoming, usize),
    /// Which rows could have one id.
    Alike(&'a StoredKeys),
}

/// What was found out of some rows.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Rows that meet an incoming one, and which.
    Met(Vec<(u32, u32)>),
    /// Rows that have an id, and its hash.
    Alike(Vec<(u32, u64)>),
}

impl Look<'_> {
    /// Looks at the keys of some rows.
    ///
    /// # Errors
    ///
    /// `Internal` if ids cannot be compared.
    pub(crate) fn at(self, keys: &RecordBatch) -> Result<Seen> {
        match self {
            Self::Met(incoming, ids) => incoming.meet(&keys.columns()[..ids]).map(Seen::Met),
            Self::Alike(stored) => stored.hashes(keys).map(Seen::Alike),
        }
    }
}

impl Seen {
    /// Whether none of the rows is one that was looked for.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Met(met) => met.is_empty(),
            Self::Alike(alike) => alike.is_empty(),
        }
    }
}
