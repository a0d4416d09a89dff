//! Where rows stand on a Z-order curve: rows that are near each other there are near in each of some columns, so that the
//! statistics of files along it rule many of them out, whichever of the columns is asked for.
//!
//! A value counts by its place among all values, not by its size, so that columns weigh the same however their values are
//! spread. See Morton, "A computer oriented geodetic data base and a new technique in file sequencing" (1966).

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};

use crate::error::{Error, Result};

/// So many values of a column tell the places of all others; up to twice as many are held.
const SAMPLE: usize = 1 << 14;

/// As much of a value is compared, in bytes.
const PREFIX: usize = 128;

/// More do not help: the place in one column is told with this many.
const BITS: u32 = 16;

/// As many columns as the curve may go through: each takes some bits of a place, and more than four hardly help.
pub(super) const COLUMNS: usize = 8;

/// Values of some columns, of which a curve is made.
pub(super) struct Sample {
    columns: Vec<Column>,
    /// One row of so many is taken: more and more, for nobody knows how many there will be.
    every: u64,
    /// Rows that were looked at.
    seen: u64,
}

/// A curve through the values of some columns.
pub(super) struct Curve(Vec<Column>);

struct Column {
    rows: RowConverter,
    /// Some of its values, sorted in a curve.
    values: Vec<Box<[u8]>>,
}

/// Whether rows can be put in order by values of a type.
pub(super) fn has_order(data_type: &DataType) -> bool {
    !data_type.is_nested() && RowConverter::supports_fields(&[SortField::new(data_type.clone())])
}

impl Sample {
    /// Of columns of these types, at most [`COLUMNS`].
    ///
    /// # Errors
    ///
    /// `Internal` for a type without an order.
    pub(super) fn new<'a>(types: impl Iterator<Item = &'a DataType>) -> Result<Self> {
        let column = |data_type: &DataType| {
            let rows = RowConverter::new(vec![SortField::new(data_type.clone())])
                .map_err(|cause| Error::internal("values have no order").because(cause))?;
            Ok(Column { rows, values: Vec::new() })
        };
        let columns = types.map(column).collect::<Result<_>>()?;
        Ok(Self { columns, every: 1, seen: 0 })
    }

    /// Looks at more rows.
    ///
    /// # Errors
    ///
    /// `Internal` if they have other types.
    pub(super) fn add(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len() as u64);
        let (first, end) = (self.seen, self.seen + rows);
        let taken = (first / self.every..=end / self.every)
            .map(|block| block * self.every + scattered(block) % self.every)
            .filter(|row| (first..end).contains(row));
        let places: UInt64Array = taken.map(|row| row - first).collect();
        for (column, values) in self.columns.iter_mut().zip(columns) {
            let values = take(values, &places, None)
                .map_err(|cause| Error::internal("values could not be taken").because(cause))?;
            let rows = column.encoded(&values)?;
            column.values.extend(rows.iter().map(|row| prefix(row.as_ref()).into()));
        }
        self.seen = end;
        while self.columns.iter().any(|column| column.values.len() >= 2 * SAMPLE) {
            self.halve();
        }
        Ok(())
    }

    /// Keeps one of two neighbours each.
    fn halve(&mut self) {
        self.every *= 2;
        for column in &mut self.columns {
            let mut place = 0;
            column.values.retain(|_| {
                place += 1;
                scattered((place - 1) / 2) % 2 == (place - 1) % 2
            });
        }
    }

    /// The curve.
    pub(super) fn curve(mut self) -> Curve {
        for column in &mut self.columns {
            column.values.sort_unstable();
        }
        Curve(self.columns)
    }
}

impl Curve {
    /// The place of each row.
    ///
    /// # Errors
    ///
    /// `Internal` if the columns have other types than those of the sample.
    pub(super) fn places(&self, columns: &[ArrayRef]) -> Result<Vec<u128>> {
        let bits = (128 / u32::try_from(self.0.len().max(1)).unwrap_or(128)).min(BITS);
        let mut places = vec![0_u128; columns.first().map_or(0, |column| column.len())];
        let encoded = self.0.iter().zip(columns).map(|(column, values)| column.encoded(values));
        let encoded = encoded.collect::<Result<Vec<_>>>()?;
        for (row, place) in places.iter_mut().enumerate() {
            let near =
                self.0.iter().zip(&encoded).map(|(column, rows)| column.near(rows.row(row).as_ref(), bits));
            *place = interleaved(near.collect::<Vec<_>>().as_slice(), bits);
        }
        Ok(places)
    }
}

impl Column {
    fn encoded(&self, values: &ArrayRef) -> Result<arrow::row::Rows> {
        self.rows
            .convert_columns(&[Arc::clone(values)])
            .map_err(|cause| Error::internal("values could not be compared").because(cause))
    }

    /// Where a value stands among all others, from 0 to `1 << bits`, that not included.
    fn near(&self, value: &[u8], bits: u32) -> u64 {
        let less = self.values.partition_point(|other| **other < *prefix(value)) as u64;
        let all = self.values.len().max(1) as u64;
        ((less << bits) / all).min((1 << bits) - 1)
    }
}

fn prefix(value: &[u8]) -> &[u8] {
    &value[..value.len().min(PREFIX)]
}

/// The bits of all numbers, first the highest of each, then the next ones.
fn interleaved(numbers: &[u64], bits: u32) -> u128 {
    let bit = |at: u32| numbers.iter().map(move |number| u128::from(number >> at & 1));
    (0..bits).rev().flat_map(bit).fold(0, |place, bit| place << 1 | bit)
}

/// A number without any order, the same each time (`SplitMix64`).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};

    use super::*;

    fn curve(columns: &[ArrayRef]) -> Curve {
        let mut sample = Sample::new(columns.iter().map(|c| c.data_type())).expect("ordered");
        sample.add(columns).expect("adds");
        sample.curve()
    }

    #[test]
    fn bits_take_turns_from_the_highest() {
        assert_eq!(interleaved(&[0b101, 0b011], 3), 0b10_01_11);
        assert_eq!(interleaved(&[0b1111], 4), 0b1111);
    }

    #[test]
    fn along_the_curve_a_square_is_gone_through_quarter_by_quarter() {
        let x: ArrayRef = Arc::new((0..4096).map(|i| i / 64 * 1000).collect::<Int64Array>());
        let y: ArrayRef = Arc::new((0..4096).map(|i| f64::from(i % 64) / 7.0).collect::<Float64Array>());
        let columns = [x, y];
        let places = curve(&columns).places(&columns).expect("places");
        let mut rows: Vec<usize> = (0..4096).collect();
        rows.sort_by_key(|row| places[*row]);
        let seen: Vec<_> = rows
            .chunks(1024)
            .map(|quarter| {
                let x: Vec<_> = quarter.iter().map(|row| row / 64).collect();
                let y: Vec<_> = quarter.iter().map(|row| row % 64).collect();
                (
                    x.iter().min().copied(),
                    x.iter().max().copied(),
                    y.iter().min().copied(),
                    y.iter().max().copied(),
                )
            })
            .collect();
        let of = |x: (usize, usize), y: (usize, usize)| (Some(x.0), Some(x.1), Some(y.0), Some(y.1));
        let (low, high) = ((0, 31), (32, 63));
        assert_eq!(seen, [of(low, low), of(low, high), of(high, low), of(high, high)]);
    }

    #[test]
    fn a_column_of_few_values_weighs_as_much_as_one_of_many() {
        let flag: ArrayRef = Arc::new((0..1000).map(|i| Some(i % 2)).collect::<Int64Array>());
        let name: ArrayRef = Arc::new((0..1000).map(|i| Some(format!("{i:04}"))).collect::<StringArray>());
        let columns = [flag, name];
        let places = curve(&columns).places(&columns).expect("places");
        let highest = |row: usize| places[row] >> 31;
        assert!((0..1000).all(|row| highest(row) == (row % 2) as u128));
    }

    #[test]
    fn nulls_come_first_and_a_sample_is_enough() {
        let values: ArrayRef =
            Arc::new((0..200_000).map(|i| (i > 9).then_some(i64::from(i))).collect::<Int64Array>());
        let columns = [values];
        let curve = curve(&columns);
        assert!((SAMPLE..2 * SAMPLE).contains(&curve.0[0].values.len()), "{}", curve.0[0].values.len());
        let places = curve.places(&columns).expect("places");
        assert!(places.is_sorted() && places[0] == 0);
        assert!(places[199_999] > places[100_000] && places[100_000] > places[50_000]);
        let none = Sample::new([DataType::Int64].iter()).expect("ordered").curve();
        assert!(none.places(&columns).expect("places").iter().all(|place| *place == 0));
    }
}
