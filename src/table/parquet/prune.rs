//! Which row groups, and which pages of them, could hold an incoming id: by statistics, by the index of pages, and by bloom
//! filters. In doubt rows are read.

use std::ops::Range;

use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::ColumnOrder;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

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

/// The same row groups, with those of their rows whose pages could hold an id; without those of which no page could.
fn by_pages(
    opened: &Opened,
    incoming: &Incoming,
    ids: &[&String],
    groups: &[usize],
) -> Result<Vec<Candidate>> {
    let mut candidates: Vec<Candidate> =
        groups.iter().map(|group| Candidate { group: *group, rows: None }).collect();
    let mut indexed = None;
    for id in ids {
        if !has_pages(opened, id, groups) {
            continue;
        }
        let footer = match indexed.take() {
            Some(footer) => footer,
            None => match with_index(opened)? {
                Some(footer) => footer,
                None => return Ok(candidates),
            },
        };
        for candidate in &mut candidates {
            if let Some(rows) = rows_in_pages(opened, &footer, incoming, id, candidate.group) {
                candidate.rows = Some(match candidate.rows.take() {
                    None => rows,
                    Some(other) => both(&other, &rows),
                });
            }
        }
        indexed = Some(footer);
    }
    candidates.retain(|candidate| candidate.rows.as_ref().is_none_or(|rows| !rows.is_empty()));
    for candidate in &mut candidates {
        let all = opened.metadata.metadata().row_group(candidate.group).num_rows();
        let is_all = |rows: &Vec<Range<usize>>| {
            rows.iter().map(|run| run.len() as u64).sum::<u64>() == all.unsigned_abs()
        };
        candidate.rows = candidate.rows.take().filter(|rows| !is_all(rows));
    }
    Ok(candidates)
}

/// Whether a column has several pages in one of these row groups, and it is known where.
fn has_pages(opened: &Opened, id: &str, groups: &[usize]) -> bool {
    let metadata = opened.metadata.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let Some(leaf) = schema.columns().iter().position(|leaf| leaf.path().parts() == [id]) else {
        return false;
    };
    let order = metadata.file_metadata().column_orders().and_then(|orders| orders.get(leaf));
    let pages = |group: &usize| Some(metadata.offset_index()?.get(*group)?.get(leaf)?.page_locations().len());
    matches!(order, Some(ColumnOrder::TYPE_DEFINED_ORDER(_)))
        && groups.iter().any(|group| pages(group) > Some(1))
}

/// The footer with the bounds of all pages; `None` if they cannot be read.
fn with_index(opened: &Opened) -> Result<Option<ParquetMetaData>> {
    let footer = ParquetMetaData::clone(opened.metadata.metadata());
    let mut reader =
        ParquetMetaDataReader::new_with_metadata(footer).with_page_index_policy(PageIndexPolicy::Optional);
    match reader.read_page_indexes(&opened.chunks).and_then(|()| reader.finish()) {
        Ok(footer) => Ok(Some(footer)),
        Err(cause) => match own(cause.into()) {
            Ok(error) => Err(error),
            Err(cause) => {
                tracing::debug!(%cause, "the index of pages cannot be read");
                Ok(None)
            }
        },
    }
}

/// The rows of a row group whose pages could hold an id; `None` if that cannot be told.
fn rows_in_pages(
    opened: &Opened,
    footer: &ParquetMetaData,
    incoming: &Incoming,
    id: &str,
    group: usize,
) -> Option<Vec<Range<usize>>> {
    let schema = footer.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(id, opened.schema(), schema).ok()?;
    let leaf = converter.parquet_column_index()?;
    let (bounds, places) = (footer.column_index()?, footer.offset_index()?);
    let lower = converter.data_page_mins(bounds, places, [&group]).ok()?;
    let upper = converter.data_page_maxes(bounds, places, [&group]).ok()?;
    let pages = places.get(group)?.get(leaf)?.page_locations();
    if lower.len() != pages.len() || upper.len() != pages.len() {
        return None;
    }
    let ranges = Ranges::new(incoming.batch().column_by_name(id)?, &lower, &upper, vec![true; pages.len()])?;
    let end = usize::try_from(footer.row_group(group).num_rows()).ok()?;
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
