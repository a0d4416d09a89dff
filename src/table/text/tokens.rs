//! JSON on its way to a file of JSON: a column of tokens is one of text to every engine, so its field is
//! marked, and marked again when it leaves an engine that forgets.
//!
//! Only so does each value keep its kind: the number 1 and the string "1" are the same text.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use futures::StreamExt;

use super::ndjson;
use crate::core::options::ReadOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::{BatchStream, EngineFrame, Frame};

const MARK: (&str, &str) = ("keyfold.holds", "json");

/// The field of a column of tokens.
pub(crate) fn marked(field: Field) -> Field {
    let (key, value) = MARK;
    field.with_metadata([(key.to_owned(), value.to_owned())].into())
}

/// Whether a column holds tokens.
pub(crate) fn is_marked(field: &Field) -> bool {
    field.metadata().get(MARK.0).is_some_and(|value| value == MARK.1)
}

/// What tokens of a column say, as text. `first_row` rows came in before them.
///
/// # Errors
///
/// `InvalidData` for a string that has half a character.
pub(crate) fn said(tokens: &StringArray, column: &str, first_row: usize) -> Result<StringArray> {
    let mut texts = Vec::with_capacity(tokens.len());
    for (row, token) in tokens.iter().enumerate() {
        let text = token.map(ndjson::text).transpose().map_err(|cause| {
            Error::new(ErrorKind::InvalidData, ndjson::NO_CHARACTER)
                .with("column", column)
                .with("row", first_row + row + 1)
                .hint(ndjson::ONE_CHARACTER)
                .because(cause)
        })?;
        texts.push(text.flatten());
    }
    Ok(texts.into_iter().collect())
}

/// Refuses tokens for a target that has not been one of JSON all along.
pub(crate) fn check_unmarked(schema: &Schema) -> Result<()> {
    if schema.fields().iter().any(|field| is_marked(field)) {
        return Err(Error::new(ErrorKind::Conflict, "the target changed its format meanwhile")
            .hint("nothing of this run was written; run it again"));
    }
    Ok(())
}

/// A frame that was read with `options`, its columns of tokens marked.
pub(crate) async fn with_marks(frame: Frame, options: &ReadOptions) -> Result<Frame> {
    let own = frame.schema().await?;
    let mark = |field: &FieldRef| {
        if options.reads_tokens(field.name()) && !is_marked(field) {
            Arc::new(marked(Field::clone(field)))
        } else {
            Arc::clone(field)
        }
    };
    let schema: Vec<FieldRef> = own.fields().iter().map(mark).collect();
    let schema = Arc::new(Schema::new_with_metadata(schema, own.metadata().clone()));
    Ok(if schema == own { frame } else { Frame::new(TokenFrame { schema, frame }) })
}

/// A frame whose columns get the marks of `schema`.
#[derive(Debug)]
struct TokenFrame {
    schema: SchemaRef,
    frame: Frame,
}

#[async_trait]
impl EngineFrame for TokenFrame {
    fn engine(&self) -> &'static str {
        self.frame.engine()
    }

    async fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(&self.schema))
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        let rows = self.frame.into_arrow().await?;
        let schema = Arc::clone(&self.schema);
        let batches = rows.map(move |batch| with_schema(&batch?, &schema));
        Ok(BatchStream::new(self.schema, batches))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &rows)
        .map_err(|cause| Error::internal("a frame is not of its own schema").because(cause))
}
