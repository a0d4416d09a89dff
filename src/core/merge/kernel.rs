//! The one place where it is decided what becomes of each row, for every engine, format and store.
//!
//! A [`Matcher`] is shown the keys of stored rows, batch by batch, and probes a hash table of the
//! incoming ids. Rows on which the keys alone do not decide come back to be compared in their other
//! columns. Memory grows with the incoming rows only.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema};
use std::cmp::Ordering;

use super::rule::Fate;
pub(crate) use super::settle::Incoming;
use super::settle::id_types;
use super::{MergeRule, Stale, Ties, Winner};
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
    /// The stored row is as new, and stays.
    Kept,
    /// The stored row stays whatever comes in.
    Ignored,
}

/// What is to be done with the stored rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Stored rows to replace, ascending by `stored_row`.
    pub(crate) replaced: Vec<Pair>,
    /// Incoming rows (indices into [`Incoming::batch`]) to add at the end, in this order.
    pub(crate) inserted: Vec<u32>,
    /// Columns in which the rows of a pair are equal to the bit: the ids, for floats are none.
    pub(crate) ids: Vec<String>,
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
    /// Incoming rows that are as new as the stored ones and differ, where that is refused.
    refused: Vec<u32>,
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
        if let (true, Some((order, _))) = (rule.compares_modified(), &incoming.order) {
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
            refused: Vec::new(),
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
        let met = self.incoming.meet(&keys.columns()[..self.rule.ids().len()])?;
        self.join(keys, &met, first_row)
    }

    /// The same once it is known which rows of `keys` have an incoming partner: what [`Incoming::meet`] gives, of which
    /// those may be left out that do not count. Rows may be shown in any order.
    ///
    /// # Errors
    ///
    /// As [`Matcher::probe`].
    pub(crate) fn join(
        &mut self,
        keys: &RecordBatch,
        met: &[(u32, u32)],
        first_row: u64,
    ) -> Result<Vec<Pair>> {
        let met = self.unseen(met, first_row);
        if self.rule.matched() == Fate::Leave {
            for (_, pair) in met {
                self.verdicts[pair.incoming as usize] = Verdict::Ignored;
            }
            return Ok(Vec::new());
        }
        let Some((order, ranks)) = self.incoming.order.as_ref().filter(|_| self.rule.compares_modified())
        else {
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
            if incoming.row(row) == stored.row(row) {
                continue;
            }
            match self.rule.winner() {
                Winner::Incoming => self.replace(*pair),
                Winner::Newest(newest) => {
                    self.tied[pair.incoming as usize] = true;
                    match newest.ties {
                        Ties::Keep => self.verdicts[pair.incoming as usize] = Verdict::Kept,
                        Ties::Incoming => self.replace(*pair),
                        Ties::Error => self.refused.push(pair.incoming),
                    }
                }
            }
        }
        Ok(())
    }

    /// What becomes of all rows; `rows_before` is the number of stored rows.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an id that came in is stored more than once, or if there are stale rows or ties that the rule does not
    /// allow, `Internal` if the counts do not add up.
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
        self.check_versions()?;
        let count = |verdict| self.rows_with(verdict).count() as u64;
        let is_inserted = self.rule.only_incoming() == Fate::Write;
        let inserted: Vec<u32> = self.rows_with(Verdict::Unseen).filter(|_| is_inserted).collect();
        let settled = self.verdicts.len() as u64;
        let rows = RowCounts {
            incoming: self.incoming.total,
            inserted: inserted.len() as u64,
            updated: count(Verdict::Updated),
            unchanged: count(Verdict::Unchanged),
            stale: count(Verdict::Stale) + count(Verdict::Kept),
            ignored: count(Verdict::Ignored) + if is_inserted { 0 } else { count(Verdict::Unseen) },
            duplicates: self.incoming.total - settled,
            ties: self.tied.iter().filter(|tied| **tied).count() as u64,
            rows_before,
            rows_after: rows_before.map(|rows| rows + inserted.len() as u64),
            ..RowCounts::default()
        };
        rows.verify()?;
        self.replaced.sort_unstable_by_key(|pair| pair.stored_row);
        Ok(Outcome { replaced: self.replaced, inserted, ids: self.rule.ids().to_vec(), rows })
    }

    /// The incoming rows of which this has become, ascending.
    fn rows_with(&self, verdict: Verdict) -> impl Iterator<Item = u32> {
        (0..).zip(&self.verdicts).filter(move |(_, own)| **own == verdict).map(|(row, _)| row)
    }

    /// Refuses stale rows and ties where the rule says so.
    fn check_versions(&self) -> Result<()> {
        let Some(newest) = self.rule.newest() else { return Ok(()) };
        let stale: Vec<u32> = self.rows_with(Verdict::Stale).collect();
        if newest.stale == Stale::Error && !stale.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "incoming rows are older than the stored ones")
                .with("ids", stale.len())
                .with("sample", self.incoming.name_ids(stale, self.rule)?)
                .hint("leave them out of the source, or let them be ignored"));
        }
        if !self.refused.is_empty() {
            let mut refused = self.refused.clone();
            refused.sort_unstable();
            let message = "incoming rows are as new as the stored ones and differ";
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with("ids", refused.len())
                .with("sample", self.incoming.name_ids(refused, self.rule)?)
                .hint("give the versions of a row different modification values, or say which one wins"));
        }
        Ok(())
    }

    /// Those whose incoming row was not met before, each with its row in the batch.
    fn unseen(&mut self, met: &[(u32, u32)], first_row: u64) -> Vec<(u32, Pair)> {
        let mut unseen = Vec::with_capacity(met.len());
        for (row, incoming) in met {
            match &mut self.verdicts[*incoming as usize] {
                verdict @ Verdict::Unseen => {
                    *verdict = Verdict::Unchanged;
                    let stored_row = first_row + u64::from(*row);
                    unseen.push((*row, Pair { stored_row, incoming: *incoming }));
                }
                _ => self.doubled.push(*incoming),
            }
        }
        unseen
    }

    fn replace(&mut self, pair: Pair) {
        self.verdicts[pair.incoming as usize] = Verdict::Updated;
        self.replaced.push(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::super::settle::row_number;
    use super::*;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::SchemaRef;

    fn table(ids: &[Option<i64>], values: &[&str], at: &[Option<i64>]) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef, true),
            ("value", Arc::new(StringArray::from(values.to_vec())) as ArrayRef, true),
            ("at", Arc::new(Int64Array::from(at.to_vec())) as ArrayRef, true),
        ])
        .expect("a table")
    }

    fn rows(rows: &[(i64, &str, i64)]) -> RecordBatch {
        let ids: Vec<_> = rows.iter().map(|row| Some(row.0)).collect();
        let values: Vec<_> = rows.iter().map(|row| row.1).collect();
        let at: Vec<_> = rows.iter().map(|row| Some(row.2)).collect();
        table(&ids, &values, &at)
    }

    fn fold(stored: &RecordBatch, incoming: &RecordBatch, rule: &MergeRule) -> Result<Outcome> {
        let schema: SchemaRef = incoming.schema();
        let incoming = Incoming::settle(&schema, std::slice::from_ref(incoming), rule)?;
        let mut matcher = Matcher::new(&incoming, &stored.schema(), rule)?;
        // Two batches, so that row numbers must carry over.
        let half = stored.num_rows() / 2;
        for (start, part) in
            [(0, stored.slice(0, half)), (half, stored.slice(half, stored.num_rows() - half))]
        {
            let columns = |names: &[String]| {
                let indices: Vec<_> =
                    names.iter().map(|n| part.schema().index_of(n).expect("a column")).collect();
                part.project(&indices).expect("projected")
            };
            let open = matcher.probe(&columns(matcher.key_columns()), start as u64)?;
            let at = open.iter().map(|p| u32::try_from(p.stored_row).expect("small") - row_number(start));
            let values = columns(matcher.value_columns());
            let values = take_record_batch(&values, &UInt32Array::from_iter_values(at)).expect("taken");
            matcher.decide(&open, &values)?;
        }
        matcher.finish(Some(stored.num_rows() as u64))
    }

    fn by_id() -> MergeRule {
        MergeRule::by_id(["id"]).expect("a rule")
    }

    fn newest() -> MergeRule {
        MergeRule::by_modified(["id"], "at").expect("a rule")
    }

    #[test]
    fn matched_rows_are_replaced_where_they_stand_and_others_come_last() {
        let stored = rows(&[(1, "a", 1), (2, "b", 1), (3, "c", 1)]);
        let outcome =
            fold(&stored, &rows(&[(9, "z", 1), (3, "C", 1), (1, "a", 1)]), &by_id()).expect("folds");
        assert_eq!(outcome.replaced, [Pair { stored_row: 2, incoming: 1 }]);
        assert_eq!(outcome.inserted, [0]);
        let counts = &outcome.rows;
        assert_eq!(
            (counts.updated, counts.unchanged, counts.inserted, counts.rows_after),
            (1, 1, 1, Some(4))
        );
    }

    #[test]
    fn the_newer_version_stays_and_an_equal_one_that_differs_is_a_tie() {
        let stored = rows(&[(1, "a", 5), (2, "b", 5), (3, "c", 5), (4, "d", 5)]);
        let incoming = rows(&[(1, "A", 6), (2, "B", 4), (3, "C", 5), (4, "d", 5)]);
        let outcome = fold(&stored, &incoming, &newest()).expect("folds");
        let counts = &outcome.rows;
        assert_eq!((counts.updated, counts.stale, counts.unchanged, counts.ties), (2, 1, 1, 1));
        assert_eq!(outcome.replaced.iter().map(|p| p.stored_row).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn twins_are_settled_before_anything_is_matched() {
        let incoming =
            rows(&[(1, "x", 1), (7, "old", 1), (7, "new", 2), (1, "x", 1), (8, "p", 3), (8, "q", 3)]);
        let outcome = fold(&rows(&[(1, "a", 0)]), &incoming, &newest()).expect("folds");
        assert_eq!((outcome.rows.duplicates, outcome.rows.ties), (3, 1));
        let settled = Incoming::settle(&incoming.schema(), std::slice::from_ref(&incoming), &newest())
            .expect("settles");
        assert_eq!(settled.source_rows(), [2, 3, 5]);
    }

    #[test]
    fn twins_that_differ_are_refused_by_name_where_nothing_decides() {
        let incoming = rows(&[(7, "x", 1), (7, "y", 2), (8, "z", 1), (8, "z", 1)]);
        let error = fold(&rows(&[]), &incoming, &by_id()).expect_err("ambiguous");
        assert_eq!(error.to_string(), "several incoming rows have one id and differ (ids: 1, sample: 7)");
    }

    #[test]
    fn an_id_stored_twice_is_refused_only_when_it_comes_in() {
        let stored = rows(&[(1, "a", 1), (2, "b", 1), (1, "c", 1)]);
        assert!(fold(&stored, &rows(&[(2, "B", 1)]), &by_id()).is_ok());
        let error = fold(&stored, &rows(&[(1, "B", 1)]), &by_id()).expect_err("doubled");
        assert_eq!(error.to_string(), "ids are stored more than once (ids: 1, sample: 1)");
    }

    #[test]
    fn a_null_modification_value_beats_nothing() {
        let stored = table(&[Some(1), Some(2)], &["a", "b"], &[Some(0), None]);
        let incoming = table(&[Some(1), Some(2)], &["A", "B"], &[None, None]);
        let outcome = fold(&stored, &incoming, &newest()).expect("folds");
        assert_eq!((outcome.rows.stale, outcome.rows.updated, outcome.rows.ties), (1, 1, 1));
    }

    #[test]
    fn stored_null_ids_match_nothing_and_incoming_ones_are_refused() {
        let stored = table(&[None, None], &["a", "b"], &[Some(1), Some(1)]);
        let outcome = fold(&stored, &rows(&[(0, "x", 1)]), &by_id()).expect("folds");
        assert_eq!(outcome.rows.inserted, 1);
        let error = fold(&stored, &stored, &by_id()).expect_err("null ids");
        assert_eq!(error.to_string(), "id column has nulls (column: id, rows: 2)");
    }
}
