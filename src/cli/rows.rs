//! Rows on standard output: as a table for people, or as text in pieces, so that a large result needs
//! little memory and a reader that stops early stops the work.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float16Array, Float32Array, Float64Array, RecordBatch, RecordBatchOptions,
};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;
use futures::TryStreamExt;

use crate::cli::output::emit;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::options::CsvOptions;
use crate::error::{Error, Result};
use crate::interfaces::{BatchStream, Frame};
use crate::table::text::TextEncoder;

/// Rows encoded at a time: an engine may give all of its rows in one batch.
const PIECE: usize = 8_192;

/// What is done with NaN and infinities where a format has no word for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NonFinite {
    /// The encoder refuses them, as it does for a file.
    Refused,
    /// They print as null.
    Null,
}

/// Prints `frame` as text, piece by piece.
pub(crate) async fn print_text(
    frame: Frame,
    format: Format,
    csv: &CsvOptions,
    numbers: NonFinite,
    session: &Session,
) -> Result<()> {
    let mut rows = frame.into_arrow().await?;
    let mut encoder = TextEncoder::new(format, &rows.schema(), csv)?;
    let mut text = Vec::new();
    encoder.header(&mut text);
    while let Some(batch) = rows.try_next().await? {
        for piece in pieces(&batch) {
            session.check()?;
            encoder.encode(&numbers.settle(piece)?, &mut text)?;
            if emit(&text)?.is_break() {
                return Ok(());
            }
            text.clear();
        }
    }
    encoder.footer(&mut text);
    emit(&text).map(|_: ControlFlow<()>| ())
}

/// Draws `rows` as a table, without a line end. Its columns are as wide as the widest value, so all rows
/// are in memory.
pub(crate) fn table(schema: SchemaRef, mut rows: Vec<RecordBatch>) -> Result<String> {
    // The header is drawn from a batch; without any there would be none.
    rows.push(RecordBatch::new_empty(schema));
    let options = FormatOptions::default().with_null("null");
    pretty_format_batches_with_options(&rows, &options)
        .map(|table| table.to_string())
        .map_err(|cause| Error::internal("rows cannot be drawn as a table").because(cause))
}

/// The first `limit` rows, and whether there are more.
pub(crate) async fn first_rows(
    mut rows: BatchStream,
    limit: usize,
    session: &Session,
) -> Result<(Vec<RecordBatch>, bool)> {
    let (mut taken, mut left) = (Vec::new(), limit);
    while let Some(batch) = rows.try_next().await? {
        session.check()?;
        if batch.num_rows() > left {
            taken.push(batch.slice(0, left));
            return Ok((taken, true));
        }
        left -= batch.num_rows();
        taken.push(batch);
    }
    Ok((taken, false))
}

impl NonFinite {
    fn settle(self, batch: RecordBatch) -> Result<RecordBatch> {
        match self {
            Self::Refused => Ok(batch),
            Self::Null => non_finite_as_null(&batch),
        }
    }
}

fn pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let starts = (0..batch.num_rows()).step_by(PIECE);
    starts.map(|start| batch.slice(start, PIECE.min(batch.num_rows() - start)))
}

fn non_finite_as_null(batch: &RecordBatch) -> Result<RecordBatch> {
    let fields = batch.schema_ref().fields().iter().map(|field| Field::clone(field).with_nullable(true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let columns = batch.columns().iter().map(finite).collect::<Result<_>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &rows)
        .map_err(|cause| Error::internal("numbers cannot be made fit for JSON").because(cause))
}

fn finite(column: &ArrayRef) -> Result<ArrayRef> {
    let Some(wrong) = non_finite(column.as_ref()) else { return Ok(ArrayRef::clone(column)) };
    nullif(column.as_ref(), &wrong)
        .map_err(|cause| Error::internal("numbers cannot be made fit for JSON").because(cause))
}

/// Which values are NaN or infinite, if the column has any such.
fn non_finite(column: &dyn Array) -> Option<BooleanArray> {
    let any = column.as_any();
    let wrong = match column.data_type() {
        DataType::Float16 => {
            BooleanArray::from_unary(any.downcast_ref::<Float16Array>()?, |value| !value.is_finite())
        }
        DataType::Float32 => {
            BooleanArray::from_unary(any.downcast_ref::<Float32Array>()?, |value| !value.is_finite())
        }
        DataType::Float64 => {
            BooleanArray::from_unary(any.downcast_ref::<Float64Array>()?, |value| !value.is_finite())
        }
        _ => return None,
    };
    (wrong.true_count() > 0).then_some(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{Float64Type, Int64Type};

    fn numbers(count: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
        RecordBatch::try_from_iter([("n", column)]).expect("a batch")
    }

    #[test]
    fn a_batch_is_cut_into_pieces_that_lose_nothing() {
        let batch = numbers(20_000);
        let sizes: Vec<_> = pieces(&batch).map(|piece| piece.num_rows()).collect();
        assert_eq!(sizes, [8_192, 8_192, 3_616]);
        let last = pieces(&batch).last().expect("a piece");
        assert_eq!(last.column(0).as_primitive::<Int64Type>().value(3_615), 19_999);
        assert_eq!(pieces(&numbers(0)).count(), 0);
    }

    #[test]
    fn nan_and_infinities_print_as_null() {
        let column: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), None, Some(f64::INFINITY)]));
        let batch = RecordBatch::try_from_iter([("x", column)]).expect("a batch");
        let settled = NonFinite::Null.settle(batch.clone()).expect("settles");
        let values: Vec<_> = settled.column(0).as_primitive::<Float64Type>().iter().collect();
        assert_eq!(values, [Some(1.5), None, None, None]);
        assert_eq!(NonFinite::Refused.settle(batch).expect("settles").column(0).null_count(), 1);
    }

    #[test]
    fn a_table_shows_its_columns_even_without_rows() {
        let batch = numbers(0);
        assert!(table(batch.schema(), Vec::new()).expect("a table").contains("| n |"));
        let column: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(7)]));
        let batch = RecordBatch::try_from_iter([("n", column)]).expect("a batch");
        let drawn = table(batch.schema(), vec![batch]).expect("a table");
        assert!(drawn.contains("| null |") && drawn.contains("| 7    |"), "{drawn}");
    }

    #[tokio::test]
    async fn the_first_rows_tell_whether_there_are_more() {
        let take = async |limit| {
            let batches = [numbers(3), numbers(2)].map(Ok);
            let stream = BatchStream::from_iter(numbers(0).schema(), batches);
            let (rows, more) = first_rows(stream, limit, &Session::default()).await.expect("rows");
            (rows.iter().map(RecordBatch::num_rows).sum::<usize>(), more)
        };
        assert_eq!(take(2).await, (2, true));
        assert_eq!(take(4).await, (4, true));
        assert_eq!(take(5).await, (5, false));
        assert_eq!(take(9).await, (5, false));
    }
}
