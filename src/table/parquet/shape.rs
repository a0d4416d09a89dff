//! A Parquet file as part of a table that says itself which columns it has: a column may stand in the file under
//! another type, be the same value in every row, or not be there at all.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::schema::types::SchemaDescriptor;

use super::more::behind;
use super::undecodable;
use crate::core::cast::{CastRefused, exact};
use crate::core::schema::{find_column, type_name};
use crate::error::{Error, ErrorKind, Result};

/// Where the columns of a table are found.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    schema: SchemaRef,
    origins: Vec<Origin>,
}

#[derive(Debug, Clone)]
enum Origin {
    /// A column of the file, by its place there.
    File(usize),
    /// One value that every row has.
    Constant(ArrayRef),
}

impl Shape {
    /// The columns of the file itself.
    pub(super) fn own(file: &SchemaRef) -> Self {
        Self { schema: Arc::clone(file), origins: (0..file.fields().len()).map(Origin::File).collect() }
    }

    /// The columns of `table`, of which each has a `constant`, stands in `file`, or is null.
    pub(crate) fn of_table(
        table: &SchemaRef,
        file: &Schema,
        constant: impl Fn(&str) -> Option<ArrayRef>,
    ) -> Self {
        let origin = |field: &FieldRef| match (constant(field.name()), file.index_of(field.name())) {
            (Some(value), _) => Origin::Constant(value),
            (None, Ok(index)) => Origin::File(index),
            (None, Err(_)) => Origin::Constant(new_null_array(field.data_type(), 1)),
        };
        Self { schema: Arc::clone(table), origins: table.fields().iter().map(origin).collect() }
    }

    /// The same table with more columns, all of which are null in this file.
    pub(super) fn with_nulls(mut self, columns: &[FieldRef]) -> Self {
        self.schema = behind(&self.schema, columns);
        let null = |field: &FieldRef| Origin::Constant(new_null_array(field.data_type(), 1));
        self.origins.extend(columns.iter().map(null));
        self
    }

    /// The columns of the table.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether a column stands in the file.
    pub(super) fn is_in_file(&self, column: &str) -> bool {
        self.schema.index_of(column).is_ok_and(|index| matches!(self.origins[index], Origin::File(_)))
    }

    /// Some of the columns, in this order.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a column that the table does not have.
    pub(super) fn select(&self, columns: &[String]) -> Result<Selection> {
        let indices = columns
            .iter()
            .map(|column| find_column(&self.schema, column, "stored column"))
            .collect::<Result<Vec<_>>>()?;
        let fields: Vec<FieldRef> =
            indices.iter().map(|index| Arc::clone(&self.schema.fields()[*index])).collect();
        let origins: Vec<Origin> = indices.iter().map(|index| self.origins[*index].clone()).collect();
        let mut roots: Vec<usize> = origins
            .iter()
            .filter_map(|origin| match origin {
                Origin::File(root) => Some(*root),
                Origin::Constant(_) => None,
            })
            .collect();
        roots.sort_unstable();
        roots.dedup();
        Ok(Selection { schema: Arc::new(Schema::new(fields)), origins, roots })
    }
}

/// Some columns of a table, and which ones of the file are read for them.
#[derive(Debug)]
pub(super) struct Selection {
    schema: SchemaRef,
    origins: Vec<Origin>,
    /// Ascending: a reader gives columns in the order of the file.
    roots: Vec<usize>,
}

impl Selection {
    pub(super) fn mask(&self, file: &SchemaDescriptor) -> ProjectionMask {
        ProjectionMask::roots(file, self.roots.iter().copied())
    }

    /// The columns of a batch that was read with the mask.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a value that is none of the table's type.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let column = |(field, origin): (&FieldRef, &Origin)| match origin {
            Origin::Constant(value) => repeated(value, rows),
            Origin::File(root) => {
                let place =
                    self.roots.binary_search(root).map_err(|_| Error::internal("a column was not read"))?;
                let column = batch.column(place);
                if column.data_type() == field.data_type() {
                    return Ok(ArrayRef::clone(column));
                }
                exact(column, field.data_type()).map_err(|why| foreign(why, field, column))
            }
        };
        let columns =
            self.schema.fields().iter().zip(&self.origins).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(undecodable)
    }
}

fn repeated(value: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    if value.is_null(0) {
        return Ok(new_null_array(value.data_type(), rows));
    }
    take(value, &UInt32Array::from(vec![0; rows]), None).map_err(undecodable)
}

fn foreign(why: CastRefused, field: &FieldRef, column: &ArrayRef) -> Error {
    let error =
        Error::new(ErrorKind::InvalidData, "a data file has a column of another type than its table says")
            .with("column", field.name())
            .with("table", type_name(field.data_type()))
            .with("file", type_name(column.data_type()));
    match why {
        CastRefused::Lossy(cell) | CastRefused::Local(cell) => error.with("value", cell.value),
        CastRefused::Zone | CastRefused::Types => error,
    }
}
