//! Which row groups could hold an incoming id, by their statistics. In doubt a row group is read.

use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;

use crate::core::merge::kernel::Incoming;
use crate::table::parquet::Opened;
use crate::table::ranges::Ranges;

/// The row groups that could hold one of the incoming ids, ascending.
pub(crate) fn candidates<'a>(
    opened: &Opened,
    incoming: &Incoming,
    ids: impl IntoIterator<Item = &'a String>,
) -> Vec<usize> {
    let groups = opened.metadata.metadata().row_groups();
    if incoming.batch().num_rows() == 0 {
        return Vec::new();
    }
    let mut possible = vec![true; groups.len()];
    for id in ids {
        // A column whose statistics cannot be used rules nothing out.
        if let Some(ranges) = ranges(opened, incoming, id) {
            for (group, possible) in possible.iter_mut().enumerate() {
                *possible &= ranges.may_hold(group);
            }
        }
    }
    (0..groups.len()).filter(|group| possible[*group]).collect()
}

/// The incoming values of an id column, and the bounds of every row group; `None` if they cannot be compared.
fn ranges(opened: &Opened, incoming: &Incoming, id: &str) -> Option<Ranges> {
    let metadata = opened.metadata.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(id, opened.schema(), schema).ok()?;
    let column = converter.parquet_column_index()?;
    let groups = metadata.row_groups();
    let lower = converter.row_group_mins(groups).ok()?;
    let upper = converter.row_group_maxes(groups).ok()?;
    let believed = groups.iter().map(|group| trusted(group, column)).collect();
    Ranges::new(incoming.batch().column_by_name(id)?, &lower, &upper, believed)
}

/// Old writers put bounds in a field without a defined order; those are not believed.
fn trusted(group: &RowGroupMetaData, column: usize) -> bool {
    group.column(column).statistics().is_some_and(|statistics| !statistics.is_min_max_deprecated())
}
