//! The one place where it is decided what becomes of each row, for every engine, format and store.
//!
//! A [`Matcher`] is shown the keys of stored rows, batch by batch, and probes a hash table of the
//! incoming ids. Rows on which the keys alone do not decide come back to be compared in their other
//! columns. Memory grows with the incoming rows only.

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema};
use std::cmp::Ordering;

pub(crate) use super::settle::Incoming;
use super::settle::{id_types, row_number};
use super::{MergeRule, Winner};
use crate::core::merge::canonical::{RowEncoder, columns_of};
use crate::core::report::RowCounts;
use crate::core::schema::find_column;
use crate::error::{Error, ErrorKind, Result};

/// A stored row and the incoming row with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The row of the stored file, from 0.
    pub(crate) stored_row: u64,
    /// Index into [`Incoming::batch`].
    pub(crate) incoming: u32,
}

/// What became of an incoming row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// No stored row with its id was seen.
    Unseen,
    /// The stored row is equal; also what a row is until [`Matcher::decide`] says otherwise.
    Unchanged,
    /// It replaces the stored row.
    Updated,
    /// The stored row is newer.
    Stale,
}

/// What is to be done with the stored rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Stored rows to replace, ascending by `stored_row`.
    pub(crate) replaced: Vec<Pair>,
    /// Incoming rows (indices into [`Incoming::batch`]) to add at the end, in this order.
    pub(crate) inserted: Vec<u32>,
    /// The counts.
    pub(crate) rows: RowCounts,
}

/// Finds which stored rows the incoming ones meet, and what becomes of them.
#[derive(Debug)]
pub(crate) struct Matcher<'a> {
    incoming: &'a Incoming,
    rule: &'a MergeRule,
    key_columns: Vec<String>,
    value_columns: Vec<String>,
    values: RowEncoder,
    verdicts: Vec<Verdict>,
    tied: Vec<bool>,
    replaced: Vec<Pair>,
    /// Incoming rows whose id is stored more than once.
    doubled: Vec<u32>,
}

impl<'a> Matcher<'a> {
    /// A matcher against rows with `stored` columns, which have the incoming types.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an id column or the modification column is not stored, `Unsupported` for a
    /// column whose values cannot be compared.
    pub(crate) fn new(incoming: &'a Incoming, stored: &Schema, rule: &'a MergeRule) -> Result<Self> {
        let schema = incoming.batch().schema();
        let own = id_types(&schema, rule)?;
        if id_types(stored, rule)? != own {
            return Err(Error::internal("incoming ids are not in the stored types"));
        }
        let mut key_columns = rule.ids().to_vec();
        if let (Winner::Newest(_), Some((order, _))) = (rule.winner(), &incoming.order) {
            order.check_stored(stored)?;
            key_columns.push(order.column().to_owned());
        }
        let values = schema.fields().iter().filter(|field| !rule.ids().contains(field.name()));
        let value_columns: Vec<String> = values.map(|field| field.name().clone()).collect();
        let mut types: Vec<(&str, &DataType)> = Vec::with_capacity(value_columns.len());
        for name in &value_columns {
            types.push((name, stored.field(find_column(stored, name, "column")?).data_type()));
        }
        Ok(Self {
            values: RowEncoder::new(types)?,
            verdicts: vec![Verdict::Unseen; incoming.batch().num_rows()],
            tied: vec![false; incoming.batch().num_rows()],
            replaced: Vec::new(),
            doubled: Vec::new(),
            incoming,
            rule,
            key_columns,
            value_columns,
        })
    }

    /// The settled incoming rows.
    pub(crate) fn incoming(&self) -> &'a Incoming {
        self.incoming
    }

    /// The id columns.
    pub(crate) fn ids(&self) -> &'a [String] {
        self.rule.ids()
    }

    /// The columns that [`Matcher::probe`] wants, in this order: ids, then the modification column if it
    /// decides between stored and incoming rows.
    pub(crate) fn key_columns(&self) -> &[String] {
        &self.key_columns
    }

    /// The columns that [`Matcher::decide`] wants, in this order: every incoming one that is not an id.
    pub(crate) fn value_columns(&self) -> &[String] {
        &self.value_columns
    }

    /// Probes stored rows by their key columns; `first_row` is the row of the file that comes first.
    /// Gives the pairs that are still to be compared, ascending by stored row.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a stored modification value cannot be compared with the incoming ones.
    pub(crate) fn probe(&mut self, keys: &RecordBatch, first_row: u64) -> Result<Vec<Pair>> {
        let met = self.meet(keys, first_row)?;
        let Some((order, ranks)) = self.incoming.order.as_ref().filter(|_| self.decides_by_order()) else {
            return Ok(met.into_iter().map(|(_, pair)| pair).collect());
        };
        let at: Vec<u32> = met.iter().map(|(row, _)| *row).collect();
        // Only rows that met one are ordered: values of other rows need not even be comparable.
        let stored = take_record_batch(keys, &UInt32Array::from(at))
            .and_then(|rows| rows.project(&[self.key_columns.len() - 1]))
            .map_err(|cause| Error::internal("stored keys could not be gathered").because(cause))?;
        let stored = order.rows(&stored)?;
        let mut open = Vec::new();
        for (place, (_, pair)) in met.into_iter().enumerate() {
            let source = self.incoming.source_rows()[pair.incoming as usize];
            match ranks.row(source as usize).cmp(&stored.row(place)) {
                Ordering::Greater => self.replace(pair),
                Ordering::Less => self.verdicts[pair.incoming as usize] = Verdict::Stale,
                Ordering::Equal => open.push(pair),
            }
        }
        Ok(open)
    }

    /// Decides pairs by their values: row i of `values`, in the order of
    /// [`Matcher::value_columns`], is the stored row of `pairs[i]`.
    ///
    /// # Errors
    ///
    /// `Internal` if the columns are not the ones asked for.
    pub(crate) fn decide(&mut self, pairs: &[Pair], values: &RecordBatch) -> Result<()> {
        if pairs.is_empty() || self.value_columns.is_empty() {
            return Ok(());
        }
        let incoming = UInt32Array::from(pairs.iter().map(|pair| pair.incoming).collect::<Vec<_>>());
        let incoming = take_record_batch(self.incoming.batch(), &incoming)
            .map_err(|cause| Error::internal("incoming rows could not be gathered").because(cause))?;
        let incoming = self.values.encode(&columns_of(&incoming, &self.value_columns)?)?;
        let stored = self.values.encode(&columns_of(values, &self.value_columns)?)?;
        for (row, pair) in pairs.iter().enumerate() {
            if incoming.row(row) != stored.row(row) {
                self.replace(*pair);
                self.tied[pair.incoming as usize] |= self.decides_by_order();
            }
        }
        Ok(())
    }

    /// What becomes of all rows; `rows_before` is the number of stored rows.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an id that came in is stored more than once, `Internal` if the counts do not
    /// add up.
    pub(crate) fn finish(mut self, rows_before: Option<u64>) -> Result<Outcome> {
        if !self.doubled.is_empty() {
            self.doubled.sort_unstable();
            self.doubled.dedup();
            let count = self.doubled.len();
            return Err(Error::new(ErrorKind::InvalidInput, "ids are stored more than once")
                .with("ids", count)
                .with("sample", self.incoming.name_ids(self.doubled, self.rule)?)
                .hint("remove the stored duplicates first: an upsert cannot tell which row is meant"));
        }
        for row in &self.incoming.tied {
            self.tied[*row as usize] = true;
        }
        let count = |verdict| self.verdicts.iter().filter(|v| **v == verdict).count() as u64;
        let inserted: Vec<u32> =
            (0..).zip(&self.verdicts).filter(|(_, v)| **v == Verdict::Unseen).map(|(row, _)| row).collect();
        let settled = self.verdicts.len() as u64;
        let rows = RowCounts {
            incoming: self.incoming.total,
            inserted: inserted.len() as u64,
            updated: count(Verdict::Updated),
            unchanged: count(Verdict::Unchanged),
            stale: count(Verdict::Stale),
            duplicates: self.incoming.total - settled,
            ties: self.tied.iter().filter(|tied| **tied).count() as u64,
            rows_before,
            rows_after: rows_before.map(|rows| rows + inserted.len() as u64),
            ..RowCounts::default()
        };
        rows.verify()?;
        self.replaced.sort_unstable_by_key(|pair| pair.stored_row);
        Ok(Outcome { replaced: self.replaced, inserted, rows })
    }

    fn decides_by_order(&self) -> bool {
        matches!(self.rule.winner(), Winner::Newest(_))
    }

    fn replace(&mut self, pair: Pair) {
        self.verdicts[pair.incoming as usize] = Verdict::Updated;
        self.replaced.push(pair);
    }

    /// Rows of `keys` that have an incoming partner, each with its row in the batch.
    fn meet(&mut self, keys: &RecordBatch, first_row: u64) -> Result<Vec<(u32, Pair)>> {
        let ids = &keys.columns()[..self.rule.ids().len()];
        let nulls: Vec<_> = ids.iter().filter_map(|id| id.logical_nulls()).collect();
        let encoded = self.incoming.ids.encode(ids)?;
        let mut met = Vec::new();
        for (row, id) in encoded.iter().enumerate() {
            // A null id never matches: incoming ones are refused, stored ones are left alone.
            if nulls.iter().any(|nulls| nulls.is_null(row)) {
                continue;
            }
            let Some(incoming) = self.incoming.ids.find(id.data()) else { continue };
            match &mut self.verdicts[incoming as usize] {
                unseen @ Verdict::Unseen => {
                    *unseen = Verdict::Unchanged;
                    met.push((row_number(row), Pair { stored_row: first_row + row as u64, incoming }));
                }
                _ => self.doubled.push(incoming),
            }
        }
        Ok(met)
    }
}
