//! Stored rows that have one id become one: the newest stays, and the others go.
//!
//! There may be more stored rows than memory holds ids. So their keys are looked at twice. At first a table of fixed size says
//! which ids could be stored more than once; then just the rows of these are gathered and put in the order of their hashes, by
//! someone who sorts more than memory holds, so that rows of one id are neighbours and can be compared in full.

use std::cmp::Ordering;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array,
    new_empty_array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::row::Rows;
use foldhash::fast::FixedState;

use super::canonical::{RowEncoder, canonical};
use super::ids::Ids;
use super::order::{as_text, compare_alike, nan_to_null};
use super::settle::id_types;
use super::{MergeRule, NullIds};
use crate::core::schema::find_column;
use crate::error::{Error, Result};

/// Reads the keys of stored rows: ids, then the modification column, if there is one.
#[derive(Debug)]
pub(crate) struct StoredKeys {
    encoder: RowEncoder,
    ids: usize,
    /// Whether a null is an id, that equals a null.
    has_nulls: bool,
    /// The modification column, and the type its values are compared in.
    modified: Option<(String, DataType)>,
    hasher: FixedState,
    /// The bits of a hash that count.
    bits: u64,
}

impl StoredKeys {
    /// Keys of rows with `stored` columns.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a key is not stored.
    pub(crate) fn new(stored: &Schema, rule: &MergeRule) -> Result<Self> {
        let names = rule.ids().iter().map(String::as_str);
        let encoder = RowEncoder::new(names.zip(id_types(stored, rule)?))?;
        let modified = rule.modified().map(|column| -> Result<_> {
            let place = find_column(stored, column, "modification column")?;
            let compared = canonical(&new_empty_array(stored.field(place).data_type()))?;
            Ok((column.to_owned(), compared.data_type().clone()))
        });
        Ok(Self {
            encoder,
            ids: rule.ids().len(),
            has_nulls: rule.null_ids() == NullIds::Match,
            modified: modified.transpose()?,
            hasher: FixedState::default(),
            bits: u64::MAX,
        })
    }

    /// The rows that have an id, and its hash: the same for equal ids.
    pub(super) fn hashes(&self, keys: &RecordBatch) -> Result<Vec<(u32, u64)>> {
        let columns = &keys.columns()[..self.ids];
        let nulls = columns.iter().filter(|_| !self.has_nulls).filter_map(Array::logical_nulls);
        let nulls: Vec<_> = nulls.collect();
        let hashes: Vec<u64> = match Ids::new(&self.encoder, columns, self.has_nulls)? {
            Ids::Numbers(numbers) => numbers.iter().map(|id| self.hasher.hash_one(id)).collect(),
            Ids::Rows(rows) => rows.iter().map(|id| self.hasher.hash_one(id.data())).collect(),
        };
        let numbered = (0_u32..).zip(hashes);
        let has_id = |row: u32| nulls.iter().all(|nulls| nulls.is_valid(row as usize));
        Ok(numbered.filter(|(row, _)| has_id(*row)).map(|(row, hash)| (row, hash & self.bits)).collect())
    }

    /// The columns of gathered rows: the id as bytes, its hash, the number of the row, and its modification value.
    pub(crate) fn gathered_schema(&self) -> SchemaRef {
        let modified = self.modified.iter().map(|(_, data_type)| Field::new("at", data_type.clone(), true));
        let own = [
            Field::new("id", DataType::Binary, false),
            Field::new("hash", DataType::UInt64, false),
            Field::new("row", DataType::UInt64, false),
        ];
        Arc::new(Schema::new(own.into_iter().chain(modified).collect::<Vec<_>>()))
    }

    /// Some rows of `keys`, each with the place by which it stands beside those of its id, in their order.
    fn gathered(
        &self,
        keys: &RecordBatch,
        rows: &[(u32, u64)],
        first_row: u64,
    ) -> Result<(RecordBatch, Vec<u128>)> {
        let picked: UInt32Array = rows.iter().map(|(row, _)| *row).collect();
        let keys = take_record_batch(keys, &picked).map_err(failed)?;
        let ids = self.encoder.encode(&keys.columns()[..self.ids])?;
        let number = |row: u32| first_row + u64::from(row);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from_iter_values(ids.iter().map(|id| id.data().to_vec()))),
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, hash)| *hash))),
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(row, _)| number(*row)))),
        ];
        if self.modified.is_some() {
            columns.push(canonical(keys.column(self.ids))?);
        }
        let places =
            rows.iter().map(|(row, hash)| u128::from(*hash) << 64 | u128::from(number(*row))).collect();
        Ok((RecordBatch::try_new(self.gathered_schema(), columns).map_err(failed)?, places))
    }
}

/// Which hashes there are more than once, in a table of fixed size: hashes that share a place look like one.
#[derive(Debug)]
pub(crate) struct Doubles {
    /// Two bits a place: it is taken, and it is taken more than once.
    words: Vec<u64>,
    any: bool,
}

impl Doubles {
    /// A table of so many bytes at most, but for the least one.
    pub(crate) fn new(bytes: usize) -> Self {
        let words = (bytes / 8).max(1);
        let words = if words.is_power_of_two() { words } else { words.next_power_of_two() / 2 };
        Self { words: vec![0; words], any: false }
    }

    /// A table of just these.
    pub(crate) fn of(hashes: &[u64]) -> Self {
        let mut doubles = Self::new((hashes.len() * 8).clamp(1 << 12, 64 << 20));
        for hash in hashes {
            doubles.mark(*hash);
            doubles.mark(*hash);
        }
        doubles
    }

    /// Whether there are some.
    pub(crate) fn any(&self) -> bool {
        self.any
    }

    fn mark(&mut self, hash: u64) {
        let (word, shift) = self.place(hash);
        let is_taken = self.words[word] >> shift & 1 > 0;
        self.any |= is_taken;
        self.words[word] |= if is_taken { 2 } else { 1 } << shift;
    }

    fn has(&self, hash: u64) -> bool {
        let (word, shift) = self.place(hash);
        self.words[word] >> shift & 2 > 0
    }

    /// The word and the first bit of a place.
    fn place(&self, hash: u64) -> (usize, u64) {
        ((hash >> 5) as usize & (self.words.len() - 1), (hash & 31) * 2)
    }
}

/// The ids of rows that go because they do not come in. No two of them may have one, but for that it would have to be looked at
/// all of them: what is kept is a hash of each.
#[derive(Debug)]
pub(super) struct Leaving {
    keys: StoredKeys,
    hashes: Vec<u64>,
}

impl Leaving {
    /// Of rows with `stored` columns.
    pub(super) fn new(stored: &Schema, rule: &MergeRule) -> Result<Self> {
        Ok(Self { keys: StoredKeys::new(stored, rule)?, hashes: Vec::new() })
    }

    /// Takes note of some rows of `keys`.
    pub(super) fn see(&mut self, keys: &RecordBatch, rows: &[u32]) -> Result<()> {
        let own = take_record_batch(keys, &UInt32Array::from(rows.to_vec())).map_err(failed)?;
        self.hashes.extend(self.keys.hashes(&own)?.into_iter().map(|(_, hash)| hash));
        Ok(())
    }

    /// The hashes that there are more than once: of ids that are stored twice, or that just share one.
    pub(super) fn alike(mut self) -> Vec<u64> {
        self.hashes.sort_unstable();
        let mut alike: Vec<u64> =
            self.hashes.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect();
        alike.dedup();
        alike
    }
}

/// Takes gathered rows, with the place of each.
pub(crate) type Taker<'a> = &'a mut (dyn FnMut(&RecordBatch, &[u128]) -> Result<()> + Send);

/// What a matcher looks for among stored rows, instead of those that incoming rows meet.
pub(crate) enum Search<'a> {
    /// Which ids could be there more than once.
    Mark(&'a StoredKeys, &'a mut Doubles),
    /// The rows of these.
    Gather(&'a StoredKeys, &'a Doubles, Taker<'a>),
}

impl fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Mark(..)) { "Mark" } else { "Gather" })
    }
}

impl<'a> Search<'a> {
    /// What it reads keys with.
    pub(super) fn keys(&self) -> &'a StoredKeys {
        match self {
            Self::Mark(keys, _) | Self::Gather(keys, ..) => keys,
        }
    }

    /// Takes note of rows by their hashes, of which some may not count.
    pub(super) fn see(
        &mut self,
        keys: &RecordBatch,
        hashes: &[(u32, u64)],
        counts: Option<&[bool]>,
        first_row: u64,
    ) -> Result<()> {
        let counts = |row: u32| counts.is_none_or(|counts| counts[row as usize]);
        let mut own = hashes.iter().filter(|(row, _)| counts(*row));
        match self {
            Self::Mark(_, doubles) => own.for_each(|(_, hash)| doubles.mark(*hash)),
            Self::Gather(stored, doubles, taker) => {
                let rows: Vec<_> = own.by_ref().filter(|(_, hash)| doubles.has(*hash)).copied().collect();
                if !rows.is_empty() {
                    let (rows, places) = stored.gathered(keys, &rows, first_row)?;
                    taker(&rows, &places)?;
                }
            }
        }
        Ok(())
    }
}

/// Tells which of the gathered rows go. They are shown in the order of their places.
#[derive(Debug)]
pub(crate) struct Survivors<'a> {
    keys: &'a StoredKeys,
    /// Brings modification values that are no text into their order.
    encoder: Option<RowEncoder>,
    hash: Option<u64>,
    /// The best row so far of each id that has the hash: one, as a rule.
    best: Vec<Best>,
    gone: Vec<u64>,
}

#[derive(Debug)]
struct Best {
    id: Vec<u8>,
    row: u64,
    rank: Rank,
}

/// A modification value, if there are any.
#[derive(Debug)]
enum Rank {
    None,
    Text(Option<String>),
    Value(Vec<u8>),
}

/// The modification values of some rows.
enum Ranks {
    None,
    Text(StringArray),
    Values(Rows),
}

impl Ranks {
    fn of(&self, row: usize) -> Rank {
        match self {
            Self::None => Rank::None,
            Self::Text(texts) => Rank::Text(texts.is_valid(row).then(|| texts.value(row).to_owned())),
            Self::Values(rows) => Rank::Value(rows.row(row).data().to_vec()),
        }
    }

    /// How a row compares with another one. Texts have to be of one kind.
    fn compare(&self, row: usize, other: &Rank) -> Result<Ordering> {
        match (self, other) {
            (Self::Text(texts), Rank::Text(Some(other))) if texts.is_valid(row) => {
                compare_alike(texts.value(row), other)
            }
            (Self::Text(texts), Rank::Text(other)) => Ok(texts.is_valid(row).cmp(&other.is_some())),
            (Self::Values(rows), Rank::Value(other)) => Ok(rows.row(row).data().cmp(other.as_slice())),
            _ => Ok(Ordering::Equal),
        }
    }
}

impl<'a> Survivors<'a> {
    /// Tells it of rows with these keys.
    ///
    /// # Errors
    ///
    /// `Unsupported` if modification values cannot be compared.
    pub(crate) fn new(keys: &'a StoredKeys) -> Result<Self> {
        let encoder = keys.modified.as_ref().map(|(column, t)| RowEncoder::new([(column.as_str(), t)]));
        Ok(Self { keys, encoder: encoder.transpose()?, hash: None, best: Vec::new(), gone: Vec::new() })
    }

    /// Looks at the next rows.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the modification values of one id are texts of different kinds.
    pub(crate) fn see(&mut self, rows: &RecordBatch) -> Result<()> {
        let ids = rows.column(0).as_binary::<i32>();
        let hashes = rows.column(1).as_primitive::<UInt64Type>().values();
        let numbers = rows.column(2).as_primitive::<UInt64Type>().values();
        let ranks = self.ranks(rows)?;
        for row in 0..rows.num_rows() {
            if self.hash != Some(hashes[row]) {
                self.hash = Some(hashes[row]);
                self.best.clear();
                // Most rows just share their place in the table with another id.
                if hashes.get(row + 1).is_some_and(|next| *next != hashes[row]) {
                    continue;
                }
            }
            let (id, number) = (ids.value(row), numbers[row]);
            let Some(best) = self.best.iter_mut().find(|best| best.id == id) else {
                self.best.push(Best { id: id.to_vec(), row: number, rank: ranks.of(row) });
                continue;
            };
            let compared = ranks.compare(row, &best.rank);
            let compared = compared.map_err(|error| match &self.keys.modified {
                Some((column, _)) => error.with_missing("column", column),
                None => error,
            });
            if compared?.is_lt() {
                self.gone.push(number);
            } else {
                self.gone.push(std::mem::replace(&mut best.row, number));
                best.rank = ranks.of(row);
            }
        }
        Ok(())
    }

    /// The rows that go, ascending.
    pub(crate) fn finish(mut self) -> Vec<u64> {
        self.gone.sort_unstable();
        self.gone
    }

    fn ranks(&self, rows: &RecordBatch) -> Result<Ranks> {
        let Some(encoder) = &self.encoder else { return Ok(Ranks::None) };
        let values = rows.column(3);
        Ok(match as_text(values)? {
            Some(texts) => Ranks::Text(texts),
            None => Ranks::Values(encoder.encode(&[nan_to_null(values)?])?),
        })
    }
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("stored rows of one id could not be gathered").because(cause)
}

#[cfg(test)]
mod tests;
