//! Which row groups, and which pages of them, could hold an incoming id: by statistics, by the index of pages, and by bloom
//! filters. In doubt rows are read.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::ColumnOrder;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::core::merge::kernel::Incoming;
use crate::error::Result;
use crate::table::parquet::bloom::Probes;
use crate::table::parquet::{Opened, own};
use crate::table::ranges::Ranges;

/// A row group that could hold an incoming id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) group: usize,
    /// The rows that could, counted from its first one; `None` for all.
    pub(crate) rows: Option<Vec<Range<usize>>>,
}

/// All row groups, with all of their rows.
pub(super) fn all(opened: &Opened) -> Vec<Candidate> {
    let groups = 0..opened.metadata.metadata().num_row_groups();
    groups.map(|group| Candidate { group, rows: None }).collect()
}

/// The row groups that could hold one of the incoming ids, ascending.
///
/// # Errors
///
/// What the store fails with.
pub(crate) fn candidates(opened: &Opened, incoming: &Incoming, ids: &[&String]) -> Result<Vec<Candidate>> {
    let groups = opened.metadata.metadata().row_groups();
    if incoming.batch().num_rows() == 0 {
        return Ok(Vec::new());
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
    let possible = (0..groups.len()).filter(|group| possible[*group]);
    let possible: Vec<usize> = match Probes::new(opened, incoming, ids) {
        None => possible.collect(),
        Some(probes) => {
            let mut left = Vec::new();
            for group in possible {
                if probes.may_be_in(opened, group)? {
                    left.push(group);
                }
            }
            left
        }
    };
    by_pages(opened, incoming, ids, &possible)
}

/// The incoming values of an id column, and the bounds of every row group; `None` if they cannot be compared.
fn ranges<'a>(opened: &Opened, incoming: &'a Incoming, id: &str) -> Option<Ranges<'a>> {
    let metadata = opened.metadata.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(id, opened.schema(), schema).ok()?;
    let column = converter.parquet_column_index()?;
    let groups = metadata.row_groups();
    let is_decimal = opened.schema().field_with_name(id).ok()?.data_type().is_decimal();
    if is_decimal && !groups.iter().all(|group| is_decodable(group, column)) {
        return None;
    }
    let lower = converter.row_group_mins(groups).ok()?;
    let upper = converter.row_group_maxes(groups).ok()?;
    let believed = groups.iter().map(|group| trusted(group, column)).collect();
    Ranges::new(incoming.sorted(id)?, &lower, &upper, believed)
}

/// Old writers put bounds in a field without a defined order; those are not believed.
fn trusted(group: &RowGroupMetaData, column: usize) -> bool {
    group.column(column).statistics().is_some_and(|statistics| !statistics.is_min_max_deprecated())
}

/// Whether the bounds of a decimal have a length at which they can be decoded: at others the decoder would panic.
pub(crate) fn is_decodable(group: &RowGroupMetaData, column: usize) -> bool {
    let statistics = group.column(column).statistics();
    let bounds = statistics.map(|statistics| [statistics.min_bytes_opt(), statistics.max_bytes_opt()]);
    bounds.into_iter().flatten().flatten().all(|bound| (1..=16).contains(&bound.len()))
}

/// The same row groups, with those of their rows whose pages could hold an id; without those of which no page could.
fn by_pages(
    opened: &Opened,
    incoming: &Incoming,
    ids: &[&String],
    groups: &[usize],
) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::with_capacity(groups.len());
    for group in groups {
        let mut rows: Option<Vec<Range<usize>>> = None;
        for id in ids {
            if let Some(own) = rows_in_pages(opened, incoming, id, *group)? {
                rows = Some(rows.map_or_else(|| own.clone(), |rows| both(&rows, &own)));
            }
        }
        let all = opened.metadata.metadata().row_group(*group).num_rows().unsigned_abs();
        let left = rows.as_ref().map_or(all, |rows| rows.iter().map(|run| run.len() as u64).sum());
        if left > 0 || rows.is_none() {
            candidates.push(Candidate { group: *group, rows: rows.filter(|_| left < all) });
        }
    }
    Ok(candidates)
}

/// The rows of a row group whose pages could hold an id; `None` if that cannot be told, or is not worth a look.
fn rows_in_pages(
    opened: &Opened,
    incoming: &Incoming,
    id: &str,
    group: usize,
) -> Result<Option<Vec<Range<usize>>>> {
    let metadata = opened.metadata.metadata();
    let Some(leaf) = leaf_of(opened, id) else { return Ok(None) };
    let places = metadata.offset_index().and_then(|index| index.get(group)?.get(leaf));
    let Some(places) = places.filter(|places| places.page_locations().len() > 1) else { return Ok(None) };
    if !opened.chunks.is_worth_a_look(metadata.row_group(group).column(leaf)) {
        return Ok(None);
    }
    let Some(bounds) = bounds_of(opened, leaf, group)? else { return Ok(None) };
    let rows = metadata.row_group(group).num_rows();
    Ok(usize::try_from(rows).ok().and_then(|end| rows_between(opened, incoming, id, &bounds, places, end)))
}

/// Where a column of the file is, if its pages have bounds whose order and form are known.
fn leaf_of(opened: &Opened, id: &str) -> Option<usize> {
    use DataType as D;
    let file = opened.metadata.metadata().file_metadata();
    let leaf = file.schema_descr().columns().iter().position(|leaf| leaf.path().parts() == [id])?;
    let order = file.column_orders()?.get(leaf)?;
    // Decimals among them have bounds of any length, at some of which the decoder would panic.
    let is_plain = matches!(
        opened.schema().field_with_name(id).ok()?.data_type(),
        D::Int8
            | D::Int16
            | D::Int32
            | D::Int64
            | D::UInt8
            | D::UInt16
            | D::UInt32
            | D::UInt64
            | D::Date32
            | D::Timestamp(..)
            | D::Utf8
            | D::LargeUtf8
            | D::Utf8View
            | D::Binary
            | D::LargeBinary
            | D::BinaryView
            | D::FixedSizeBinary(_)
    );
    (is_plain && matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_))).then_some(leaf)
}

/// The bounds of the pages of one column in one row group, as the footer of a file that has nothing else: those of all
/// columns may be larger than what they save. `None` if they cannot be read.
fn bounds_of(opened: &Opened, leaf: usize, group: usize) -> Result<Option<ParquetMetaData>> {
    let read = || {
        let metadata = opened.metadata.metadata();
        let (file, stored) = (metadata.file_metadata(), metadata.row_group(group));
        let field = file.schema_descr().column(leaf).self_type_ptr();
        let root = Type::group_type_builder("schema").with_fields(vec![field]).build()?;
        let columns = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        let part = RowGroupMetaData::builder(Arc::clone(&columns))
            .set_num_rows(stored.num_rows())
            .set_column_metadata(vec![stored.column(leaf).clone()])
            .build()?;
        let file = FileMetaData::new(file.version(), stored.num_rows(), None, None, columns, None);
        let mut reader = ParquetMetaDataReader::new_with_metadata(ParquetMetaData::new(file, vec![part]))
            .with_column_index_policy(PageIndexPolicy::Optional);
        reader.read_page_indexes(&opened.chunks)?;
        reader.finish()
    };
    match read() {
        Ok(footer) => Ok(Some(footer)),
        Err(cause) => match own(ParquetError::into(cause)) {
            Ok(error) => Err(error),
            Err(cause) => {
                tracing::debug!(%cause, "the index of pages cannot be read");
                Ok(None)
            }
        },
    }
}

/// The rows of pages that could hold an id, of a row group of `end` rows.
fn rows_between(
    opened: &Opened,
    incoming: &Incoming,
    id: &str,
    bounds: &ParquetMetaData,
    places: &OffsetIndexMetaData,
    end: usize,
) -> Option<Vec<Range<usize>>> {
    let field = opened.schema().field_with_name(id).ok()?.clone();
    let schema = Schema::new(vec![field]);
    let converter = StatisticsConverter::try_new(id, &schema, bounds.file_metadata().schema_descr()).ok()?;
    let pages = places.page_locations();
    let (bounds, places) = (bounds.column_index()?, vec![vec![places.clone()]]);
    let lower = converter.data_page_mins(bounds, &places, [&0]).ok()?;
    let upper = converter.data_page_maxes(bounds, &places, [&0]).ok()?;
    if lower.len() != pages.len() || upper.len() != pages.len() {
        return None;
    }
    let ranges = Ranges::new(incoming.sorted(id)?, &lower, &upper, vec![true; pages.len()])?;
    let first = |page: usize| match pages.get(page) {
        Some(page) => usize::try_from(page.first_row_index).ok(),
        None => Some(end),
    };
    if first(0)? != 0 {
        return None;
    }
    let mut rows: Vec<Range<usize>> = Vec::new();
    for page in 0..pages.len() {
        let (start, end) = (first(page)?, first(page + 1)?);
        if start > end {
            return None;
        }
        match rows.last_mut() {
            _ if !ranges.may_hold(page) => {}
            Some(last) if last.end == start => last.end = end,
            _ => rows.push(start..end),
        }
    }
    Some(rows)
}

/// What is in both of two lists of ranges, each ascending.
fn both(one: &[Range<usize>], other: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut found = Vec::new();
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        let (start, end) = (a.start.max(b.start), a.end.min(b.end));
        if start < end {
            found.push(start..end);
        }
        if a.end <= b.end {
            one.next();
        } else {
            other.next();
        }
    }
    found
}

#[cfg(test)]
mod tests;
