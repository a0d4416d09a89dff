//! Rows put into parts by their ids, so that rows with one id are in one part and each part can be merged by itself.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

use super::canonical::RowEncoder;
use super::order::{Order, lowest};
use super::settle::{check_id, check_modified, null_ids};
use super::share::{Division, Share};
use super::{MergeRule, Newest, NullIds, NullModified};
use crate::core::schema::{check_names, find_column};
use crate::error::{Error, Result};

/// Tells the part of each row.
#[derive(Debug)]
pub(crate) struct Scatter {
    division: Arc<Division>,
    /// The id columns: where they are, and how many nulls were seen in each.
    ids: Vec<(usize, usize)>,
    /// Whether a null is an id.
    has_null_ids: bool,
    /// The modification column if it takes no nulls, its place, and how many were seen.
    modified: Option<(String, usize, usize)>,
    /// The column of which the greatest value is asked for, and that of each batch.
    latest: Option<(String, Vec<RecordBatch>)>,
}

impl Scatter {
    /// Puts rows with the columns of `schema`, in the stored types, into so many parts, at least one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a missing or unfit id column.
    pub(crate) fn new(schema: &Schema, rule: &MergeRule, parts: u64) -> Result<Self> {
        check_names(schema)?;
        let places = rule.ids().iter().map(|id| check_id(schema, id, rule)).collect::<Result<Vec<_>>>()?;
        let types = places.iter().map(|place| schema.field(*place));
        let encoder = RowEncoder::new(types.map(|field| (field.name().as_str(), field.data_type())))?;
        let ids = places.into_iter().map(|place| (place, 0)).collect();
        let modified = rule.newest().filter(|newest| newest.nulls == NullModified::Error);
        let place = |newest: &Newest| -> Result<_> {
            let place = find_column(schema, &newest.column, "modification column")?;
            Ok((newest.column.clone(), place, 0))
        };
        let modified = modified.map(place).transpose()?;
        let has_null_ids = rule.null_ids() == NullIds::Match;
        let latest = rule.modified().filter(|_| rule.closes_missing());
        let latest = latest.map(|column| (column.to_owned(), Vec::new()));
        Ok(Self { division: Arc::new(Division::new(encoder, parts)), ids, has_null_ids, modified, latest })
    }

    /// The part of each row of a batch.
    ///
    /// # Errors
    ///
    /// `Internal` if ids cannot be compared.
    pub(crate) fn parts(&mut self, batch: &RecordBatch) -> Result<Vec<u64>> {
        let mut columns = Vec::with_capacity(self.ids.len());
        for (place, nulls) in &mut self.ids {
            *nulls += if self.has_null_ids { 0 } else { batch.column(*place).logical_null_count() };
            columns.push(batch.column(*place).clone());
        }
        if let Some((_, place, nulls)) = &mut self.modified {
            *nulls += lowest(batch.column(*place))?;
        }
        if let Some((column, latest)) = &mut self.latest {
            let (order, ranks) = Order::of(batch, column)?;
            latest.push(order.latest(batch, &ranks)?);
        }
        self.division.parts(&columns)
    }

    /// Refuses rows without an id, or without a modification value where one is asked for, once all were seen. Gives the parts.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are some.
    pub(crate) fn finish(self, schema: &Schema) -> Result<Shares> {
        let with_nulls = self.ids.iter().find(|(_, nulls)| *nulls > 0);
        if let Some((place, nulls)) = with_nulls {
            return Err(null_ids(schema.field(*place).name(), *nulls));
        }
        if let Some((column, _, nulls)) = self.modified {
            check_modified(&column, nulls)?;
        }
        let latest = match self.latest {
            Some((column, all)) => {
                let place = find_column(schema, &column, "modification column")?;
                let column_alone = schema.project(&[place]).map_err(apart)?;
                let all = concat_batches(&Arc::new(column_alone), &all).map_err(apart)?;
                let (order, ranks) = Order::of(&all, &column)?;
                Some(order.latest(&all, &ranks)?)
            }
            None => None,
        };
        Ok(Shares { division: self.division, latest })
    }
}

/// The parts that rows were put into.
#[derive(Debug)]
pub(crate) struct Shares {
    division: Arc<Division>,
    latest: Option<RecordBatch>,
}

fn apart(cause: ArrowError) -> Error {
    Error::internal("modification values could not be put together").because(cause)
}

impl Shares {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.division.count()
    }

    /// The part of this number.
    pub(crate) fn part(&self, number: u64) -> Share {
        Share::new(&self.division, number)
    }

    /// The greatest modification value of all rows, if it was asked for.
    pub(crate) fn latest(&self) -> Option<RecordBatch> {
        self.latest.clone()
    }
}
