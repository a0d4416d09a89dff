//! Rows put into parts by their ids, so that rows with one id are in one part and each part can be merged by itself.

use std::hash::BuildHasher;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use foldhash::fast::FixedState;

use super::MergeRule;
use super::canonical::RowEncoder;
use super::settle::{check_id, null_ids};
use crate::core::schema::check_names;
use crate::error::Result;

/// Tells the part of each row.
#[derive(Debug)]
pub(crate) struct Scatter {
    encoder: RowEncoder,
    /// The id columns: where they are, and how many nulls were seen in each.
    ids: Vec<(usize, usize)>,
    /// The same in each run, so that each says the same.
    hasher: FixedState,
    parts: u64,
}

impl Scatter {
    /// Puts rows with the columns of `schema`, in the stored types, into so many parts, at least one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a missing or unfit id column.
    pub(crate) fn new(schema: &Schema, rule: &MergeRule, parts: u64) -> Result<Self> {
        check_names(schema)?;
        let places = rule.ids().iter().map(|id| check_id(schema, id)).collect::<Result<Vec<_>>>()?;
        let types = places.iter().map(|place| schema.field(*place));
        let encoder = RowEncoder::new(types.map(|field| (field.name().as_str(), field.data_type())))?;
        let ids = places.into_iter().map(|place| (place, 0)).collect();
        Ok(Self { encoder, ids, hasher: FixedState::default(), parts: parts.max(1) })
    }

    /// The part of each row of a batch.
    ///
    /// # Errors
    ///
    /// `Internal` if ids cannot be compared.
    pub(crate) fn parts(&mut self, batch: &RecordBatch) -> Result<Vec<u64>> {
        let mut columns = Vec::with_capacity(self.ids.len());
        for (place, nulls) in &mut self.ids {
            *nulls += batch.column(*place).logical_null_count();
            columns.push(batch.column(*place).clone());
        }
        let ids = self.encoder.encode(&columns)?;
        Ok(ids.iter().map(|id| self.hasher.hash_one(id.data()) % self.parts).collect())
    }

    /// Refuses rows without an id, once all were seen.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are some.
    pub(crate) fn finish(self, schema: &Schema) -> Result<()> {
        let with_nulls = self.ids.iter().find(|(_, nulls)| *nulls > 0);
        with_nulls.map_or(Ok(()), |(place, nulls)| Err(null_ids(schema.field(*place).name(), *nulls)))
    }
}
