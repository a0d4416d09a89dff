//! The first rows that a change touches, as they are stored and as they will be.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::client::session::Session;
use crate::core::merge::cells::Cells;
use crate::core::merge::kernel::Pair;
use crate::core::row_change::{ChangeKind, RowChange, RowValues};
use crate::error::{Error, Result};
use crate::table::text::json_tokens;
use crate::table::{Change, StoredTable};

/// At most `most` rows: those that are replaced or go, as they are stored, then new ones as they came in. `stored` was looked
/// through for the change already.
///
/// # Errors
///
/// As [`StoredTable::rows_at`], and `Io` if new rows on disk cannot be read.
pub(super) fn first_changes(
    session: &Session,
    stored: &mut dyn StoredTable,
    change: &Change<'_>,
    ids: &[String],
    most: usize,
) -> Result<Vec<RowChange>> {
    let (outcome, schema) = (change.outcome, stored.schema());
    let replaced = outcome.replaced.iter().take(most).map(|pair| (pair.stored_row, Some(*pair)));
    let deleted = outcome.deleted.iter().take(most).map(|row| (*row, None));
    let mut touched: Vec<(u64, Option<Pair>)> = replaced.chain(deleted).collect();
    touched.sort_unstable_by_key(|(row, _)| *row);
    touched.truncate(most);
    let mut changes = Vec::with_capacity(touched.len());
    if !touched.is_empty() {
        let rows: Vec<u64> = touched.iter().map(|(row, _)| *row).collect();
        let before = together(&schema, &stored.rows_at(session, &rows)?)?;
        if before.num_rows() != rows.len() {
            return Err(Error::internal("stored rows were lost while they were looked at"));
        }
        let (places, pairs): (Vec<u32>, Vec<Pair>) =
            (0..).zip(&touched).filter_map(|(place, (_, pair))| pair.map(|pair| (place, pair))).unzip();
        let own = take_record_batch(&before, &UInt32Array::from(places)).map_err(failed)?;
        let new = change.rows.take(pairs.iter().map(|pair| pair.incoming))?;
        let mut after = values_of(&overlaid(&own, &new, &pairs, &outcome.cells)?)?.into_iter();
        for ((_, incoming), before) in touched.iter().zip(values_of(&before)?) {
            let after = incoming.and_then(|_| after.next());
            let kind = if after.is_some() { ChangeKind::Update } else { ChangeKind::Delete };
            changes.push(changed(kind, Some(before), after, ids));
        }
    }
    let left = most - changes.len();
    let inserted = &outcome.inserted[..outcome.inserted.len().min(left)];
    if !inserted.is_empty() {
        let new = in_columns(&schema, &change.rows.take(inserted.iter().copied())?)?;
        let inserts = values_of(&new)?.into_iter();
        changes.extend(inserts.map(|after| changed(ChangeKind::Insert, None, Some(after), ids)));
    }
    Ok(changes)
}

fn changed(
    kind: ChangeKind,
    before: Option<RowValues>,
    after: Option<RowValues>,
    ids: &[String],
) -> RowChange {
    let named = after.as_ref().or(before.as_ref());
    let value = |id: &String| Some((id.clone(), named?.get(id)?.to_owned()));
    RowChange { kind, id: RowValues::new(ids.iter().filter_map(value)), before, after }
}

/// Batches of some columns as one; each of these may hold nulls.
fn together(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let own = |batch: &RecordBatch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec());
    let batches = batches.iter().map(own).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    concat_batches(&schema, &batches).map_err(failed)
}

/// Stored rows with the values of those that take their place.
fn overlaid(stored: &RecordBatch, new: &RecordBatch, pairs: &[Pair], cells: &Cells) -> Result<RecordBatch> {
    let column = |(place, name): (usize, &String)| match new.column_by_name(name) {
        Some(new) => cells.merged(name, stored.column(place), new, pairs),
        None => Ok(ArrayRef::clone(stored.column(place))),
    };
    let names: Vec<String> = stored.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    let columns = names.iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(stored.schema(), columns).map_err(failed)
}

/// New rows in the columns that are stored.
fn in_columns(schema: &SchemaRef, new: &RecordBatch) -> Result<RecordBatch> {
    let null = |data_type| new_null_array(data_type, new.num_rows());
    let columns = schema
        .fields()
        .iter()
        .map(|field| new.column_by_name(field.name()).cloned().unwrap_or_else(|| null(field.data_type())));
    let named = schema.fields().iter().map(|field| field.name().as_str()).zip(columns);
    RecordBatch::try_from_iter(named).map_err(failed)
}

fn values_of(rows: &RecordBatch) -> Result<Vec<RowValues>> {
    let names: Vec<&String> = rows.schema_ref().fields().iter().map(|field| field.name()).collect();
    let columns = rows.columns().iter().map(json_tokens).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| {
        let values = names.iter().zip(&columns).map(|(name, values)| ((*name).clone(), values[row].clone()));
        RowValues::new(values)
    };
    Ok((0..rows.num_rows()).map(row).collect())
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("changed rows could not be gathered").because(cause)
}
