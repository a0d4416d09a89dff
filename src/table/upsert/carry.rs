//! Columns that do not come in, where a table keeps history: a version has the values of the one in which it falls.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::Outcome;
use crate::core::schema::find_column;
use crate::error::{Error, Result};
use crate::table::StoredTable;
use crate::table::parquet::lacks_required;

/// The stored columns that versions have of others.
#[derive(Debug)]
pub(super) struct Carried {
    names: Vec<String>,
    /// Those of them that take no nulls.
    required: Vec<String>,
}

impl Carried {
    /// Those for rows with the columns of `incoming`; none if all come in, or no history is kept.
    pub(super) fn new(stored: &Schema, incoming: &Schema, rule: &MergeRule) -> Option<Self> {
        rule.kept_history()?;
        let fields = stored.fields().iter().filter(|field| incoming.field_with_name(field.name()).is_err());
        let fields: Vec<&FieldRef> = fields.collect();
        let named = |fields: &[&FieldRef]| fields.iter().map(|field| field.name().clone()).collect();
        let required: Vec<&FieldRef> = fields.iter().filter(|field| !field.is_nullable()).copied().collect();
        (!fields.is_empty()).then(|| Self { names: named(&fields), required: named(&required) })
    }

    /// The columns of rows that are written, where those of `stored` come in as `incoming`.
    ///
    /// # Errors
    ///
    /// `Internal` if they are not stored.
    pub(super) fn with(&self, incoming: &Schema, stored: &Schema) -> Result<SchemaRef> {
        let mut fields = incoming.fields().to_vec();
        for name in &self.names {
            fields.push(optional(&stored.fields()[find_column(stored, name, "column")?]));
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Whether some version falls in another.
    pub(super) fn is_needed(outcome: &Outcome) -> bool {
        outcome.made.as_ref().is_some_and(|made| made.bases.iter().any(Option::is_some))
    }

    /// Puts the columns behind those of the rows that are written.
    ///
    /// # Errors
    ///
    /// As [`StoredTable::rows_as_sent`], and `InvalidInput` if a first version lacks a column that takes no nulls.
    pub(super) fn fill(
        &self,
        session: &Session,
        stored: &mut dyn StoredTable,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let Some(made) = &mut outcome.made else { return Ok(()) };
        let is_first = |row: &u32| made.bases[*row as usize].is_none();
        if let Some(name) = self.required.first()
            && outcome.inserted.iter().any(is_first)
        {
            return Err(lacks_required(name));
        }
        let mut rows: Vec<u64> = made.bases.iter().flatten().copied().collect();
        rows.sort_unstable();
        rows.dedup();
        let batches = if rows.is_empty() { Vec::new() } else { stored.rows_as_sent(session, &rows)? };
        if batches.iter().map(RecordBatch::num_rows).sum::<usize>() != rows.len() {
            return Err(Error::internal("stored versions were lost while they were looked at"));
        }
        let place = |base: &Option<u64>| {
            let place = base.and_then(|row| rows.binary_search(&row).ok());
            place.and_then(|place| u32::try_from(place).ok())
        };
        let places: UInt32Array = made.bases.iter().map(place).collect();
        let mut fields = made.batch.schema().fields().to_vec();
        let mut columns = made.batch.columns().to_vec();
        let schema = stored.schema();
        for name in &self.names {
            let (field, values) = match batches.first() {
                None => {
                    let field = &schema.fields()[find_column(&schema, name, "column")?];
                    (Arc::clone(field), new_null_array(field.data_type(), places.len()))
                }
                Some(first) => {
                    let column = find_column(&first.schema(), name, "column")?;
                    let parts: Vec<_> = batches.iter().map(|batch| batch.column(column).as_ref()).collect();
                    let whole: ArrayRef = concat(&parts).map_err(failed)?;
                    (
                        Arc::clone(&first.schema().fields()[column]),
                        take(&whole, &places, None).map_err(failed)?,
                    )
                }
            };
            fields.push(optional(&field));
            columns.push(values);
        }
        made.batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)?;
        made.computed.extend(self.names.iter().cloned());
        Ok(())
    }
}

fn optional(field: &FieldRef) -> FieldRef {
    Arc::new(Field::clone(field).with_nullable(true))
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("versions could not be completed").because(cause)
}
