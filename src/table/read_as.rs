//! Stored columns that a reader asks for, as the types that it asks for: exactly, or not at all, in the same words
//! whichever engine reads them.

use std::iter::FusedIterator;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::core::cast::{CastRefused, exact};
use crate::core::options::ReadOptions;
use crate::core::predicate::Bound;
use crate::core::schema::{find_column, type_name};
use crate::error::{Error, ErrorKind, Result};

/// What a read asks for of files that store their columns: which of them, in which types, which rows.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The columns to read, as they are stored: those of the result, followed by those that only the filter looks at.
    stored: SchemaRef,
    /// The same in the types that are asked for.
    read: SchemaRef,
    schema: SchemaRef,
    filter: Option<Bound>,
}

impl Asked {
    /// What `options` ask for of files with the columns of `stored`, in any order.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a column that is wanted and not there, or a filter that makes no sense of its columns.
    pub(crate) fn new(stored: &SchemaRef, options: &ReadOptions) -> Result<Self> {
        let stored = needed(stored, options)?;
        let read = asked_schema(&stored, options);
        let wanted = options.columns.as_ref().map_or(read.fields().len(), Vec::len);
        let schema = read.project(&(0..wanted).collect::<Vec<_>>()).map_err(mismatch)?;
        let filter = options.filter.as_ref().map(|filter| filter.bind(&read)).transpose()?;
        Ok(Self { stored, read, schema: Arc::new(schema), filter })
    }

    /// The columns to read, as they are stored.
    pub(crate) fn stored(&self) -> &SchemaRef {
        &self.stored
    }

    /// The columns of the result.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The rows of a stored batch that are wanted, as they are wanted; the batch has the stored columns in any order.
    ///
    /// # Errors
    ///
    /// `Conflict` if one is missing, as the file had it before; `InvalidInput` for a value that does not survive.
    pub(crate) fn of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.stored.fields().iter().zip(self.read.fields()).map(|(stored, read)| {
            let column = batch.column_by_name(stored.name()).ok_or_else(changed)?;
            if column.data_type() == read.data_type() {
                Ok(Arc::clone(column))
            } else {
                read_as(column, read)
            }
        });
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(&self.read), columns, &rows).map_err(mismatch)?;
        let Some(filter) = &self.filter else { return Ok(batch) };
        let found = filter_record_batch(&batch, &filter.evaluate(&batch)?).map_err(mismatch)?;
        found.project(&(0..self.schema.fields().len()).collect::<Vec<_>>()).map_err(mismatch)
    }
}

fn mismatch(cause: ArrowError) -> Error {
    Error::internal("rows are not of the schema they were to have").because(cause)
}

/// A file whose columns are no longer those that it had when it was described.
pub(crate) fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "the file changed while it was read").hint("read it again")
}

/// The first `limit` rows of `batches`, none of which is empty; nothing is pulled behind them, or behind an error.
pub(crate) fn limited<I>(batches: I, limit: Option<usize>) -> Limited<I> {
    Limited { batches: Some(batches), left: limit }
}

/// What [`limited`] gives.
#[derive(Debug)]
pub(crate) struct Limited<I> {
    batches: Option<I>,
    left: Option<usize>,
}

impl<I: Iterator<Item = Result<RecordBatch>>> Iterator for Limited<I> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left != Some(0) {
            let batch = match self.batches.as_mut()?.next() {
                Some(Ok(batch)) => batch,
                end => {
                    // What failed once would fail for ever.
                    self.batches = None;
                    return end;
                }
            };
            let batch = batch.slice(0, self.left.map_or(batch.num_rows(), |left| left.min(batch.num_rows())));
            self.left = self.left.map(|left| left - batch.num_rows());
            if batch.num_rows() > 0 {
                return Some(Ok(batch));
            }
        }
        self.batches = None;
        None
    }
}

impl<I: Iterator<Item = Result<RecordBatch>>> FusedIterator for Limited<I> {}

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
            CastRefused::Lossy(cell) | CastRefused::Local(cell) => {
                error.with("value", cell.value).hint("ask for a wider type")
            }
            CastRefused::Zone => error.hint("ask for a timestamp that has a zone where the stored one has"),
            CastRefused::Types => error.hint("ask for a type of the same kind"),
        }
    })
}
