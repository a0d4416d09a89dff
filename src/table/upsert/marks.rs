//! Which incoming rows are delete marks. It is told once, when they come in, by all of their columns; from then on it stands
//! behind the columns, also on disk.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use futures::StreamExt;

use crate::core::merge::MergeRule;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;

/// The name of the column, which no other one has.
const NAME: &str = "\u{0}mark";

/// `stream` with the marks that `rule` asks for behind its columns.
///
/// # Errors
///
/// `InvalidInput` for a condition that does not fit the columns.
pub(super) fn marked(stream: BatchStream, rule: &MergeRule) -> Result<BatchStream> {
    let schema = stream.schema();
    // Nothing came in, not even names.
    let Some(asked) = rule.marks_of(&schema).filter(|_| !schema.fields().is_empty()) else {
        return Ok(stream);
    };
    let condition = asked.bind(&schema).map_err(|error| error.with("delete-where", &asked))?;
    // Text of a file may be numbers: one that is to be below 5 must not go because it begins with 1.
    if let Some(column) = condition.orders_text() {
        return Err(Error::new(ErrorKind::InvalidInput, "delete marks are not told by the order of text")
            .with("column", column)
            .with("delete-where", &asked)
            .hint("as text, 10 comes before 9: ask whether it is equal, or read the column as what it is (--schema)"));
    }
    let with_marks = with_marks(&schema);
    let behind = Arc::clone(&with_marks);
    let batches = stream.map(move |batch| {
        let batch = batch?;
        let marks: ArrayRef = Arc::new(condition.evaluate(&batch)?);
        let columns = batch.columns().iter().cloned().chain([marks]).collect();
        RecordBatch::try_new(Arc::clone(&behind), columns).map_err(failed)
    });
    Ok(BatchStream::new(with_marks, batches))
}

fn with_marks(schema: &Schema) -> SchemaRef {
    let mark = Arc::new(Field::new(NAME, DataType::Boolean, false));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([mark]).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn has_marks(schema: &Schema) -> bool {
    schema.fields().last().is_some_and(|field| field.name() == NAME)
}

/// The columns without the marks.
///
/// # Errors
///
/// `Internal` if they cannot be told apart.
pub(super) fn columns_of(schema: &SchemaRef) -> Result<SchemaRef> {
    if !has_marks(schema) {
        return Ok(Arc::clone(schema));
    }
    let columns: Vec<usize> = (0..schema.fields().len() - 1).collect();
    schema.project(&columns).map(Arc::new).map_err(failed)
}

/// A batch without its marks, and these.
///
/// # Errors
///
/// `Internal` if they cannot be told apart.
pub(super) fn split(mut batch: RecordBatch) -> Result<(RecordBatch, Option<BooleanArray>)> {
    if !has_marks(batch.schema_ref()) {
        return Ok((batch, None));
    }
    let columns: Vec<usize> = (0..batch.num_columns() - 1).collect();
    let marks = batch.column(columns.len()).as_boolean().clone();
    batch = batch.project(&columns).map_err(failed)?;
    Ok((batch, Some(marks)))
}

/// The marks of several batches as one.
pub(super) fn together(marks: &[BooleanArray]) -> Option<BooleanArray> {
    let all = || marks.iter().flat_map(|marks| marks.values().iter()).map(Some).collect();
    (!marks.is_empty()).then(all)
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("delete marks could not be put beside their rows").because(cause)
}
