//! Stored columns that a reader asks for, as the types that it asks for: exactly, or not at all, in the same words
//! whichever engine reads them.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use crate::core::cast::{CastRefused, exact};
use crate::core::options::ReadOptions;
use crate::core::schema::{find_column, type_name};
use crate::error::{Error, ErrorKind, Result};

/// The columns of `stored` with the types that `options` ask for.
pub(crate) fn asked_schema(stored: &Schema, options: &ReadOptions) -> SchemaRef {
    let asked = |field: &FieldRef| match options.type_of(field.name()) {
        Some(asked) => Arc::new(Field::clone(field).with_data_type(asked)),
        None => Arc::clone(field),
    };
    Arc::new(Schema::new(stored.fields().iter().map(asked).collect::<Vec<_>>()))
}

/// The columns that a read looks at: those it gives, then those that only the filter wants.
///
/// # Errors
///
/// `InvalidInput` for a column that is not there.
pub(crate) fn needed(schema: &SchemaRef, options: &ReadOptions) -> Result<SchemaRef> {
    let Some(columns) = &options.columns else { return Ok(Arc::clone(schema)) };
    let mut indices = Vec::with_capacity(columns.len());
    for column in columns {
        indices.push(find_column(schema, column, "column")?);
    }
    for column in options.filter.iter().flat_map(|filter| filter.columns()) {
        let index = find_column(schema, column, "filter column")?;
        if !indices.contains(&index) {
            indices.push(index);
        }
    }
    let fields: Vec<_> = indices.into_iter().map(|index| Arc::clone(&schema.fields()[index])).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// The values of a column in the type of `asked`.
///
/// # Errors
///
/// `InvalidInput` that names the column, both types, and the first value that does not survive.
pub(crate) fn read_as(values: &ArrayRef, asked: &Field) -> Result<ArrayRef> {
    exact(values, asked.data_type()).map_err(|refused| {
        let error = Error::new(ErrorKind::InvalidInput, "a column cannot be read as the type asked for")
            .with("column", asked.name())
            .with("type", type_name(values.data_type()))
            .with("asked", type_name(asked.data_type()));
        match refused {
            CastRefused::Lossy(cell) => error.with("value", cell.value).hint("ask for a wider type"),
            CastRefused::Zone => error.hint("ask for a timestamp that has a zone where the stored one has"),
            CastRefused::Types => error.hint("ask for a type of the same kind"),
        }
    })
}
