//! Ids in parts, so that each part of the incoming rows can be merged by itself; a stored row is of one part, too.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::ArrayRef;
use foldhash::fast::FixedState;

use super::canonical::RowEncoder;
use crate::error::Result;

/// Tells the part of each id.
#[derive(Debug)]
pub(super) struct Division {
    encoder: RowEncoder,
    /// The same in each run, so that each says the same.
    hasher: FixedState,
    parts: u64,
}

impl Division {
    /// Divides ids into so many parts, at least one.
    pub(super) fn new(encoder: RowEncoder, parts: u64) -> Self {
        Self { encoder, hasher: FixedState::default(), parts: parts.max(1) }
    }

    pub(super) fn count(&self) -> u64 {
        self.parts
    }

    /// The part of each row, of which these are the id columns.
    pub(super) fn parts(&self, ids: &[ArrayRef]) -> Result<Vec<u64>> {
        let ids = self.encoder.encode(ids)?;
        Ok(ids.iter().map(|id| self.hasher.hash_one(id.data()) % self.parts).collect())
    }
}

/// One of the parts.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    division: Arc<Division>,
    part: u64,
}

impl Share {
    pub(super) fn new(division: &Arc<Division>, part: u64) -> Self {
        Self { division: Arc::clone(division), part }
    }

    /// Which rows are of this part.
    pub(super) fn holds(&self, ids: &[ArrayRef]) -> Result<Vec<bool>> {
        Ok(self.division.parts(ids)?.into_iter().map(|part| part == self.part).collect())
    }
}
