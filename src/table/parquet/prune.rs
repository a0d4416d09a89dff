//! Which row groups could hold an incoming id, by their statistics. In doubt a row group is read.

use arrow::array::{Array, ArrayRef};
use arrow::row::{RowConverter, Rows, SortField};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;

use crate::core::merge::canonical::canonical;
use crate::core::merge::kernel::Incoming;
use crate::table::parquet::Opened;

/// The row groups that could hold one of the incoming ids, ascending.
pub(crate) fn candidates(opened: &Opened, incoming: &Incoming, ids: &[String]) -> Vec<usize> {
    let groups = opened.metadata.metadata().row_groups();
    if incoming.batch().num_rows() == 0 {
        return Vec::new();
    }
    let mut possible = vec![true; groups.len()];
    for id in ids {
        // A column whose statistics cannot be used rules nothing out.
        if let Some(ranges) = Ranges::of(opened, incoming, id) {
            for (group, possible) in possible.iter_mut().enumerate() {
                *possible &= ranges.may_hold(group);
            }
        }
    }
    (0..groups.len()).filter(|group| possible[*group]).collect()
}

/// The incoming values of one id column, sorted, and the bounds of every row group.
struct Ranges {
    values: Vec<Box<[u8]>>,
    lower: Rows,
    upper: Rows,
    known: Vec<bool>,
}

impl Ranges {
    fn of(opened: &Opened, incoming: &Incoming, id: &str) -> Option<Self> {
        let metadata = opened.metadata.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let converter = StatisticsConverter::try_new(id, opened.schema(), schema).ok()?;
        let column = converter.parquet_column_index()?;
        let groups = metadata.row_groups();
        let lower = canonical(&converter.row_group_mins(groups).ok()?).ok()?;
        let upper = canonical(&converter.row_group_maxes(groups).ok()?).ok()?;
        let values = canonical(incoming.batch().column_by_name(id)?).ok()?;
        if lower.data_type() != values.data_type() || upper.data_type() != values.data_type() {
            return None;
        }
        let known = |(group, metadata): (usize, &RowGroupMetaData)| {
            trusted(metadata, column) && lower.is_valid(group) && upper.is_valid(group)
        };
        let known = groups.iter().enumerate().map(known).collect();
        let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())]).ok()?;
        let rows = |array: ArrayRef| converter.convert_columns(&[array]).ok();
        let mut values: Vec<Box<[u8]>> = rows(values)?.iter().map(|row| row.as_ref().into()).collect();
        values.sort_unstable();
        Some(Self { values, lower: rows(lower)?, upper: rows(upper)?, known })
    }

    fn may_hold(&self, group: usize) -> bool {
        if !self.known[group] {
            return true;
        }
        let (lower, upper) = (self.lower.row(group), self.upper.row(group));
        let first = self.values.partition_point(|value| value.as_ref() < lower.as_ref());
        self.values.get(first).is_some_and(|value| value.as_ref() <= upper.as_ref())
    }
}

/// Old writers put bounds in a field without a defined order; those are not believed.
fn trusted(group: &RowGroupMetaData, column: usize) -> bool {
    group.column(column).statistics().is_some_and(|statistics| !statistics.is_min_max_deprecated())
}
