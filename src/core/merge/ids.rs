//! An index of the ids that come in, in which every stored id is looked for: most are not there, and that is to be seen fast.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::row::Rows;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::canonical::RowEncoder;
use super::settle::{Twins, row_number};
use crate::error::{Error, Result};

/// Bits of the filter for each id: of those that are not there, one in so many gets through.
const FILTER_BITS: usize = 16;

/// Ids in a form in which equal ones are equal.
#[derive(Debug)]
pub(super) enum Ids {
    /// One column of fixed width: the bits of its values.
    Numbers(Vec<u64>),
    /// Anything else: rows of bytes.
    Rows(Rows),
}

impl Ids {
    /// Numbers know no nulls: these have to be left out, unless they are ids and all are to be rows.
    pub(super) fn new(encoder: &RowEncoder, columns: &[ArrayRef], has_nulls: bool) -> Result<Self> {
        if let [column] = columns
            && is_number(column.data_type())
            && !has_nulls
        {
            return numbers(column).map(Self::Numbers);
        }
        encoder.encode(columns).map(Self::Rows)
    }

    fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Rows(rows) => rows.num_rows(),
        }
    }
}

/// Types whose values are equal if their bits are.
fn is_number(data_type: &DataType) -> bool {
    let is_wide =
        matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Interval(_));
    data_type.is_primitive() && !data_type.is_floating() && !is_wide
}

fn numbers(column: &ArrayRef) -> Result<Vec<u64>> {
    let data = column.to_data();
    let len = data.len();
    let values = |values: &mut dyn Iterator<Item = u64>| values.take(len).collect();
    Ok(match column.data_type().primitive_width() {
        Some(8) => data.buffer::<u64>(0)[..len].to_vec(),
        Some(4) => values(&mut data.buffer::<u32>(0).iter().map(|value| u64::from(*value))),
        Some(2) => values(&mut data.buffer::<u16>(0).iter().map(|value| u64::from(*value))),
        Some(1) => values(&mut data.buffer::<u8>(0).iter().map(|value| u64::from(*value))),
        _ => return Err(Error::internal("ids are not as wide as their type says")),
    })
}

/// Finds a settled row by its id.
#[derive(Debug)]
pub(super) struct IdIndex {
    encoder: RowEncoder,
    ids: Ids,
    table: HashTable<u32>,
    hasher: RandomState,
    /// A bit for each hash that is there, at a place that the hash says.
    filter: Vec<u64>,
    /// For each entry's row, the settled row; `None` while both are the same.
    settled: Option<Vec<u32>>,
    /// Whether a null is an id, that equals a null.
    has_nulls: bool,
}

impl IdIndex {
    pub(super) fn build(encoder: RowEncoder, columns: &[ArrayRef], has_nulls: bool) -> Result<(Self, Twins)> {
        let ids = Ids::new(&encoder, columns, has_nulls)?;
        let words = (ids.len() * FILTER_BITS).div_ceil(64).next_power_of_two();
        let mut index = Self {
            encoder,
            table: HashTable::with_capacity(ids.len()),
            hasher: RandomState::default(),
            filter: vec![0; words],
            settled: None,
            has_nulls,
            ids,
        };
        let twins = index.fill();
        Ok((index, twins))
    }

    fn fill(&mut self) -> Twins {
        let mut twins = Twins::new();
        let Self { ids, table, hasher, filter, .. } = self;
        for number in 0..row_number(ids.len()) {
            let hash = hash_of(ids, hasher, number);
            let (word, bit) = place(filter, hash);
            filter[word] |= bit;
            let is_same = |other: &u32| match &*ids {
                Ids::Numbers(numbers) => numbers[*other as usize] == numbers[number as usize],
                Ids::Rows(rows) => rows.row(*other as usize) == rows.row(number as usize),
            };
            match table.entry(hash, is_same, |other| hash_of(ids, hasher, *other)) {
                Entry::Occupied(first) => twins.entry(*first.get()).or_default().push(number),
                Entry::Vacant(place) => drop(place.insert(number)),
            }
        }
        twins
    }

    /// Lets the entry of `row` stand for its twin `winner`.
    pub(super) fn rename(&mut self, row: u32, winner: u32) {
        let hash = hash_of(&self.ids, &self.hasher, row);
        if let Some(entry) = self.table.find_mut(hash, |entry| *entry == row) {
            *entry = winner;
        }
    }

    pub(super) fn settle(&mut self, source_rows: &[u32]) {
        let mut settled = vec![0; self.ids.len()];
        for (place, row) in source_rows.iter().enumerate() {
            settled[*row as usize] = row_number(place);
        }
        self.settled = Some(settled);
    }

    /// The stored rows, of which these are the id columns, that have the id of an incoming one, and which. A null
    /// has none, unless it is an id.
    pub(super) fn find(&self, columns: &[ArrayRef]) -> Result<Vec<(u32, u32)>> {
        let found = match (Ids::new(&self.encoder, columns, self.has_nulls)?, &self.ids) {
            (Ids::Numbers(stored), Ids::Numbers(own)) => self
                .find_each(stored.iter().map(|id| self.hasher.hash_one(id)), |row, entry| {
                    own[entry as usize] == stored[row]
                }),
            (Ids::Rows(stored), Ids::Rows(own)) => self
                .find_each(stored.iter().map(|id| self.hasher.hash_one(id.data())), |row, entry| {
                    own.row(entry as usize) == stored.row(row)
                }),
            _ => return Err(Error::internal("stored ids are not in the form of the incoming ones")),
        };
        if self.has_nulls {
            return Ok(found);
        }
        let nulls: Vec<_> = columns.iter().filter_map(Array::logical_nulls).collect();
        let is_null = |row: u32| nulls.iter().any(|nulls| nulls.is_null(row as usize));
        Ok(found.into_iter().filter(|(row, _)| !is_null(*row)).collect())
    }

    fn find_each(
        &self,
        hashes: impl Iterator<Item = u64>,
        is_same: impl Fn(usize, u32) -> bool,
    ) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        for (row, hash) in hashes.enumerate() {
            let (word, bit) = place(&self.filter, hash);
            if self.filter[word] & bit == 0 {
                continue;
            }
            if let Some(entry) = self.table.find(hash, |entry| is_same(row, *entry)) {
                let settled = self.settled.as_ref().map_or(*entry, |settled| settled[*entry as usize]);
                found.push((row_number(row), settled));
            }
        }
        found
    }
}

fn hash_of(ids: &Ids, hasher: &RandomState, row: u32) -> u64 {
    match ids {
        Ids::Numbers(numbers) => hasher.hash_one(numbers[row as usize]),
        Ids::Rows(rows) => hasher.hash_one(rows.row(row as usize).data()),
    }
}

/// The word and the bit of a hash. The table uses its lowest bits, and the highest.
fn place(filter: &[u64], hash: u64) -> (usize, u64) {
    let word = (hash >> 22) as usize & (filter.len() - 1);
    (word, 1 << (hash >> 16 & 63))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Date32Array, Int8Array, Int64Array, StringArray, TimestampNanosecondArray, UInt16Array,
    };

    use super::*;

    fn check(incoming: ArrayRef, stored: ArrayRef, expected: &[(u32, u32)]) {
        let encoder = RowEncoder::new([("id", incoming.data_type())]).expect("an encoder");
        let (index, twins) = IdIndex::build(encoder, &[incoming], false).expect("an index");
        assert!(twins.is_empty());
        assert_eq!(index.find(&[stored]).expect("found"), expected);
    }

    #[test]
    fn ids_of_every_width_are_found_and_null_never_is() {
        check(
            Arc::new(Int64Array::from(vec![0, -1, i64::MIN])),
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(5), Some(-1)])),
            &[(0, 2), (3, 1)],
        );
        check(
            Arc::new(Int8Array::from(vec![-1, 0])),
            Arc::new(Int8Array::from(vec![None, Some(-1)])),
            &[(1, 0)],
        );
        check(
            Arc::new(UInt16Array::from(vec![65_535])),
            Arc::new(UInt16Array::from(vec![1, 65_535])),
            &[(1, 0)],
        );
        check(Arc::new(Date32Array::from(vec![0, -5])), Arc::new(Date32Array::from(vec![-5])), &[(0, 1)]);
        let times = |times: Vec<i64>| Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC"));
        check(times(vec![3, 1 << 60]), times(vec![1 << 60, 4]), &[(0, 1)]);
        check(
            Arc::new(StringArray::from(vec!["a", "b"])),
            Arc::new(StringArray::from(vec![Some("b"), None, Some("ab")])),
            &[(0, 1)],
        );
    }

    #[test]
    fn a_slice_is_looked_through_from_where_it_starts() {
        let stored = Int64Array::from_iter_values(0..100).slice(40, 20);
        check(Arc::new(Int64Array::from(vec![41, 70])), Arc::new(stored), &[(1, 0)]);
    }

    #[test]
    fn of_many_ids_just_those_are_found_that_are_there() {
        let own = Arc::new(Int64Array::from_iter_values((0..50_000).map(|id| id * 3)));
        let stored = Arc::new(Int64Array::from_iter_values(0..150_000));
        let expected: Vec<(u32, u32)> = (0..50_000).map(|id| (id * 3, id)).collect();
        check(own, stored, &expected);
    }
}
