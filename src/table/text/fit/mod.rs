//! Incoming values meet the types of a stored text file: exactly, or by a wider look at what is stored.
//!
//! A CSV file holds text and nothing else, so any value fits it; the types are for comparing. NDJSON has
//! types of its own, and keeps them.

mod csv;
mod json;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::cells::{Cells, plain};
use super::file::TextFile;
use super::json_types::JsonTypes;
use super::tell::Types;
use super::text_types::TextTypes;
use super::tokens::{check_unmarked, is_marked};
use crate::core::format::Format;
use crate::core::merge::kernel::Made;
use crate::core::merge::order::mixed;
use crate::core::merge::{Lossy, MergeRule};
use crate::error::{Error, ErrorKind, Result};
use crate::table::StoredFile;
use crate::table::fit::{check_extra, shown};

/// An incoming column, in the type that it is compared in and as it is to be written.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) column: ArrayRef,
    pub(super) cells: Cells,
}

/// What a column is for, where incoming rows meet stored ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Id,
    Modification,
    Value,
}

impl Role {
    fn of(name: &str, rule: Option<&MergeRule>) -> Self {
        match rule {
            // Where floats may be ids, an id is a value like any other.
            Some(rule) if rule.ids().iter().any(|id| id == name) && !rule.allows_float_ids() => Self::Id,
            Some(rule) if rule.compares_modified() && rule.modified() == Some(name) => Self::Modification,
            _ => Self::Value,
        }
    }
}

impl TextFile {
    /// Brings incoming rows into the types of the stored columns, and keeps them as they are to be written.
    /// Gives one batch, whose rows are those of all batches in order. Without a `rule` no row is matched.
    pub(super) fn fit_batches(
        &mut self,
        schema: &SchemaRef,
        incoming: &[RecordBatch],
        rule: Option<&MergeRule>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        if self.layout.format == Format::Csv {
            check_unmarked(schema)?;
        }
        self.take_columns(schema);
        self.take_ends(rule);
        let slots = self.slots(schema)?;
        self.sent.iter_mut().for_each(|sent| *sent = None);
        let mut fields = Vec::with_capacity(slots.len());
        let mut columns = Vec::with_capacity(slots.len());
        for (index, slot) in slots.into_iter().enumerate() {
            let field = schema.field(index);
            let values = plain(&whole(field, index, incoming)?)?;
            let fitted = match &self.types[slot] {
                Types::Json(stored) if is_marked(field) => self.json(slot, stored, rule).fit_tokens(&values),
                Types::Json(stored) => self.json(slot, stored, rule).fit(&values),
                Types::Text(stored) => self.csv(slot, stored, rule).fit(&values),
            }?;
            self.view[slot] = fitted.column.data_type().clone();
            fields.push(Field::new(&self.names[slot], self.view[slot].clone(), true));
            columns.push(Arc::clone(&fitted.column));
            self.sent[slot] = Some(fitted);
        }
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|cause| Error::internal("incoming columns differ in length").because(cause))?;
        Ok((schema, vec![batch]))
    }

    /// Takes rows that were made of those that were sent, and gives what is computed in them the types of the stored columns.
    pub(super) fn remade(&mut self, made: &mut Made) -> Result<()> {
        let sources: UInt32Array = made.sources.iter().copied().collect();
        let mut fields = made.batch.schema().fields().to_vec();
        let mut columns = made.batch.columns().to_vec();
        for slot in 0..self.names.len() {
            let name = &self.names[slot];
            let place = fields.iter().position(|field| field.name() == name);
            let Some(place) = place.filter(|_| made.computed.contains(name)) else {
                if let Some(sent) = self.sent[slot].take() {
                    self.sent[slot] = Some(Fitted {
                        column: take(&sent.column, &sources, None).map_err(apart)?,
                        cells: sent.cells.take(&sources)?,
                    });
                }
                continue;
            };
            let values = &columns[place];
            let fitted = match &self.types[slot] {
                Types::Json(stored) if is_marked(&fields[place]) => {
                    self.json(slot, stored, None).fit_tokens(values)
                }
                Types::Json(stored) => self.json(slot, stored, None).fit(values),
                Types::Text(stored) => self.csv(slot, stored, None).fit(values),
            }?;
            fields[place] = Arc::new(Field::new(name, fitted.column.data_type().clone(), true));
            columns[place] = Arc::clone(&fitted.column);
            self.sent[slot] = Some(fitted);
        }
        made.batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(apart)?;
        Ok(())
    }

    fn csv<'a>(&'a self, slot: usize, stored: &'a TextTypes, rule: Option<&MergeRule>) -> csv::Column<'a> {
        let (name, view) = (&self.names[slot], &self.view[slot]);
        csv::Column { name, stored, view, role: Role::of(name, rule), layout: &self.layout }
    }

    fn json<'a>(&'a self, slot: usize, stored: &'a JsonTypes, rule: Option<&MergeRule>) -> json::Column<'a> {
        let (name, view) = (&self.names[slot], &self.view[slot]);
        json::Column {
            name,
            stored,
            view,
            role: Role::of(name, rule),
            layout: &self.layout,
            or_null: rule.is_some_and(|rule| rule.casting().lossy == Lossy::Null && !rule.is_key(name)),
            first_row: self.rows_before,
        }
    }

    /// A file without a single record has no columns to defend.
    fn take_columns(&mut self, schema: &SchemaRef) {
        if self.layout.format == Format::Ndjson && self.names.is_empty() {
            self.names = schema.fields().iter().map(|field| field.name().clone()).collect();
            self.types = self.names.iter().map(|_| Types::new(&self.layout)).collect();
            self.view = self.types.iter().map(Types::data_type).collect();
            self.sent = self.names.iter().map(|_| None).collect();
        }
    }

    /// Versions of a history end in the type in which they begin, also while none has ended.
    fn take_ends(&mut self, rule: Option<&MergeRule>) {
        let Some(history) = rule.and_then(MergeRule::kept_history) else { return };
        let slot = |name: &str| self.names.iter().position(|known| known == name);
        let [valid_from, valid_to, _] = history.columns.all();
        if let (Some(from), Some(to)) = (slot(valid_from), slot(valid_to)) {
            let begins = self.types[from].clone();
            self.types[to].merge(&begins);
            self.view[to] = self.types[to].compared();
        }
    }

    /// Where each incoming column is stored.
    fn slots(&self, schema: &SchemaRef) -> Result<Vec<usize>> {
        check_extra(&self.schema(), schema)?;
        let slot = |field: &FieldRef| self.names.iter().position(|known| known == field.name());
        Ok(schema.fields().iter().filter_map(slot).collect())
    }
}

/// Refuses modification values that are not all of one kind. It is asked of all that come in, for those that
/// lose to another are not stored: the same rows must be taken again beside those that are.
fn one_kind<'a, K: PartialEq>(column: &str, mut values: impl Iterator<Item = (K, &'a str)>) -> Result<()> {
    let Some((first, _)) = values.next() else { return Ok(()) };
    let other = values.find(|(kind, _)| *kind != first);
    other.map_or(Ok(()), |(_, value)| Err(mixed(&shown(value)).with("column", column)))
}

fn apart(cause: ArrowError) -> Error {
    Error::internal("rows to be written could not be gathered").because(cause)
}

/// A column of all batches.
fn whole(field: &Field, index: usize, incoming: &[RecordBatch]) -> Result<ArrayRef> {
    let parts: Vec<&dyn Array> = incoming.iter().map(|batch| batch.column(index).as_ref()).collect();
    if parts.is_empty() {
        return Ok(new_empty_array(field.data_type()));
    }
    concat(&parts).map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "a column of incoming rows is too long to be held in memory")
            .with("column", field.name())
            .hint("upsert in several smaller parts")
            .because(cause)
    })
}

#[cfg(test)]
mod tests;
