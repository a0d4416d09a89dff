//! Brings incoming columns into the stored types: exactly, or not at all.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::core::cast::{CastRefused, exact};
use crate::core::schema::{check_names, type_name};
use crate::error::{Error, ErrorKind, Result};
use crate::table::text::check_unmarked;

/// Casts batches (all of `incoming`) to the types of `stored`, in the order of the stored columns.
///
/// # Errors
///
/// `InvalidInput` for columns that are not stored, values that do not survive, and nulls where none are
/// stored.
pub(crate) fn fit_batches(
    stored: &SchemaRef,
    incoming: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let mut fit = Fit::new(stored, incoming)?;
    let batches = batches.iter().map(|batch| fit.batch(batch)).collect::<Result<Vec<_>>>()?;
    Ok((fit.schema, batches))
}

/// Refuses incoming columns that are not stored, by name.
pub(crate) fn check_extra(stored: &Schema, incoming: &Schema) -> Result<()> {
    // Two names equal but for case are the case error, before one of them is an extra column.
    check_names(incoming)?;
    let extra: Vec<&str> = incoming
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .filter(|name| stored.field_with_name(name).is_err())
        .collect();
    if extra.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = stored.fields().iter().map(|field| field.name().as_str()).collect();
    let error = Error::new(ErrorKind::InvalidInput, "the target has no such columns")
        .with("columns", extra.join(", "));
    let slip = extra.iter().find_map(|extra| {
        names.iter().find(|name| name.to_lowercase() == extra.to_lowercase()).map(|name| (extra, name))
    });
    Err(match slip {
        Some((extra, name)) => error.hint(format!(
            "{extra} differs from {name} in its case alone, and is neither added nor left out: --case fold takes one for the other"
        )),
        None => {
            error.hint(format!("the target's columns are {}; rename or drop the others", names.join(", ")))
        }
    })
}

/// Where each stored column stands among the incoming ones, and how far it came.
#[derive(Debug)]
pub(crate) struct Fit {
    schema: SchemaRef,
    columns: Vec<(usize, Field)>,
    /// Rows of the batches so far: messages count all that come in.
    rows: usize,
}

impl Fit {
    pub(crate) fn new(stored: &Schema, incoming: &Schema) -> Result<Self> {
        check_unmarked(incoming)?;
        check_extra(stored, incoming)?;
        let mut columns = Vec::new();
        for field in stored.fields() {
            if let Some((index, _)) = incoming.column_with_name(field.name()) {
                columns.push((index, field.as_ref().clone()));
            }
        }
        let fields: Vec<Field> = columns.iter().map(|(_, field)| field.clone()).collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), columns, rows: 0 })
    }

    /// The stored columns that come in, in stored order and types.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Casts the next batch.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (index, field) in &self.columns {
            columns.push(fit_column(batch.column(*index), field, self.rows)?);
        }
        self.rows += batch.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
            .map_err(|cause| Error::internal("the incoming rows do not fit the stored types").because(cause))
    }
}

fn fit_column(values: &ArrayRef, field: &Field, first_row: usize) -> Result<ArrayRef> {
    let fitted =
        exact(values, field.data_type()).map_err(|why| refused(why, values.data_type(), field, first_row))?;
    let nulls = fitted.logical_null_count();
    if nulls > 0 && !field.is_nullable() {
        return Err(Error::new(ErrorKind::InvalidInput, "the stored column takes no nulls")
            .with("column", field.name())
            .with("rows", nulls)
            .hint("drop these rows, or fill the column"));
    }
    Ok(fitted)
}

/// Why a column does not fit the stored `field`; `first_row` rows came in before those that were cast.
pub(crate) fn refused(why: CastRefused, from: &DataType, field: &Field, first_row: usize) -> Error {
    let error = |message: &'static str| {
        Error::new(ErrorKind::InvalidInput, message)
            .with("column", field.name())
            .with("stored", type_name(field.data_type()))
            .with("incoming", type_name(from))
    };
    match why {
        CastRefused::Lossy(cell) => error("a value does not fit the stored type exactly")
            .with("row", first_row + cell.row + 1)
            .with("value", shown(&cell.value))
            .hint("change the value, or the type of the stored column"),
        CastRefused::Local(cell) => error("a local time does not exist in its zone, or twice")
            .with("row", first_row + cell.row + 1)
            .with("value", shown(&cell.value))
            .hint("clocks were set forward or back then; give the value an offset, as in 2026-10-25T02:30:00+02:00"),
        CastRefused::Zone => error("one side has timestamps with a zone, the other without")
            .hint("give the incoming timestamps a zone, or take it away, as the target has it"),
        CastRefused::Types => error("no value of the incoming type is one of the stored type")
            .hint("cast the incoming column first"),
    }
}

/// A value short enough for a message.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 60;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    #[test]
    fn a_value_that_does_not_fit_is_named_by_its_row_among_all() {
        let batch = |values: Vec<i64>| {
            let column: ArrayRef = Arc::new(Int64Array::from(values));
            RecordBatch::try_from_iter([("a", column)]).expect("a batch")
        };
        let batches = [batch(vec![1, 2]), batch(vec![3, 300])];
        let stored = Arc::new(Schema::new(vec![Field::new("a", DataType::Int8, true)]));
        let error = fit_batches(&stored, &batches[0].schema(), &batches).expect_err("too large");
        assert!(error.to_string().contains("row: 4, value: 300"), "{error}");
    }
}
