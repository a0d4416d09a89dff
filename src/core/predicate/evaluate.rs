//! What a predicate says of the rows of a batch. Engines that lower it must come to the same answer.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Datum, Float32Array, Float64Array, RecordBatch, Scalar,
};
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, and, cast_with_options, is_not_null, is_null, like, nlike, or};
use arrow::compute::{cast, prep_null_mask_filter};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::literal::text_array;
use super::{Bound, Column, CompareOp, Test};
use crate::error::{Error, ErrorKind, Result};

impl Bound {
    /// Tells for each row of `batch` whether it is selected; there are no nulls in the answer.
    ///
    /// `batch` has the schema that the predicate was bound to.
    ///
    /// # Errors
    ///
    /// `InvalidData` if two columns are compared and a value is beyond their common type.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        evaluate(&self.test, batch)
    }
}

fn evaluate(test: &Test, batch: &RecordBatch) -> Result<BooleanArray> {
    let answer = match test {
        Test::All(tests) => return fold(tests, batch, true, and),
        Test::Any(tests) => return fold(tests, batch, false, or),
        Test::Compare { column, op, value } => {
            compare(*op, &canonical(column_of(batch, column)).map_err(failed)?, &scalar(value)?)
        }
        Test::CompareColumns { left, op, right, common } => {
            let (left, right) = (widened(batch, left, common)?, widened(batch, right, common)?);
            compare(*op, &left, &right)
        }
        Test::In { column, values, negated } => within(column_of(batch, column), column, values, *negated),
        Test::Like { column, pattern, negated } => {
            let pattern = Scalar::new(text_array(pattern, &column.data_type)?);
            let texts = column_of(batch, column);
            if *negated { nlike(texts, &pattern) } else { like(texts, &pattern) }
        }
        Test::Null { column, negated } => {
            let values = column_of(batch, column);
            if *negated { is_not_null(values) } else { is_null(values) }
        }
    };
    let answer = answer.map_err(failed)?;
    Ok(if answer.null_count() == 0 { answer } else { prep_null_mask_filter(&answer) })
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("a filter that was bound does not apply").because(cause)
}

fn fold(
    tests: &[Test],
    batch: &RecordBatch,
    empty: bool,
    join: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, ArrowError>,
) -> Result<BooleanArray> {
    let mut answer: Option<BooleanArray> = None;
    for test in tests {
        let next = evaluate(test, batch)?;
        answer = Some(match answer {
            Some(so_far) => join(&so_far, &next).map_err(failed)?,
            None => next,
        });
    }
    Ok(answer.unwrap_or_else(|| BooleanArray::from(vec![empty; batch.num_rows()])))
}

fn column_of<'a>(batch: &'a RecordBatch, column: &Column) -> &'a ArrayRef {
    batch.column(column.index)
}

fn scalar(value: &ArrayRef) -> Result<Scalar<ArrayRef>> {
    canonical(value).map(Scalar::new).map_err(failed)
}

fn compare(op: CompareOp, left: &dyn Datum, right: &dyn Datum) -> Result<BooleanArray, ArrowError> {
    match op {
        CompareOp::Eq => cmp::eq(left, right),
        CompareOp::NotEq => cmp::neq(left, right),
        CompareOp::Lt => cmp::lt(left, right),
        CompareOp::LtEq => cmp::lt_eq(left, right),
        CompareOp::Gt => cmp::gt(left, right),
        CompareOp::GtEq => cmp::gt_eq(left, right),
    }
}

fn widened(batch: &RecordBatch, column: &Column, common: &DataType) -> Result<ArrayRef> {
    // Not the lenient cast: it would make a null, and so "not selected", of what does not fit.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let values = cast_with_options(column_of(batch, column), common, &strict).map_err(|cause| {
        Error::new(ErrorKind::InvalidData, "a value cannot be compared with another column")
            .with("column", &column.name)
            .because(cause)
    })?;
    canonical(&values).map_err(failed)
}

/// Arrow compares floats by their total order: with one NaN, positive, and one zero it is ours.
fn canonical(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match values.data_type() {
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>();
            let one: Float64Array = values.unary(|v| if v.is_nan() { f64::NAN } else { v + 0.0 });
            Arc::new(one)
        }
        DataType::Float32 => {
            let values = values.as_primitive::<Float32Type>();
            let one: Float32Array = values.unary(|v| if v.is_nan() { f32::NAN } else { v + 0.0 });
            Arc::new(one)
        }
        DataType::Float16 => canonical(&cast(values, &DataType::Float32)?)?,
        DataType::Dictionary(_, of) if of.is_floating() => canonical(&cast(values, of)?)?,
        _ => Arc::clone(values),
    })
}

fn within(
    rows: &ArrayRef,
    column: &Column,
    values: &ArrayRef,
    negated: bool,
) -> Result<BooleanArray, ArrowError> {
    let rows =
        if rows.data_type() == &column.data_type { Arc::clone(rows) } else { cast(rows, &column.data_type)? };
    let (rows, values) = (canonical(&rows)?, canonical(values)?);
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let wanted = converter.convert_columns(&[values])?;
    let wanted: HashSet<&[u8]> = wanted.iter().map(|row| row.data()).collect();
    let keys = converter.convert_columns(&[Arc::clone(&rows)])?;
    let found = keys.iter().map(|row| wanted.contains(row.data()) != negated);
    Ok(BooleanArray::new(found.collect(), rows.logical_nulls()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::predicate::Predicate;
    use arrow::array::{
        DictionaryArray, Int64Array, StringArray, StringViewArray, TimestampMillisecondArray,
    };
    use arrow::datatypes::Int32Type;

    fn batch() -> RecordBatch {
        let negative_nan = f64::from_bits(f64::NAN.to_bits() | (1 << 63));
        let words = ["a", "b", "100%", "ab", "B"];
        let dictionary: DictionaryArray<Int32Type> = words.iter().map(|word| Some(*word)).collect();
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4), Some(5)])) as ArrayRef),
            ("m", Arc::new(Int64Array::from(vec![Some(1), None, None, Some(5), Some(4)])) as ArrayRef),
            ("f", Arc::new(Float64Array::from(vec![-0.0, 0.0, f64::NAN, negative_nan, -1.0])) as ArrayRef),
            ("g", Arc::new(Float32Array::from(vec![0.0, -0.0, f32::NAN, 1.5, -1.0])) as ArrayRef),
            ("s", Arc::new(StringArray::from(words.to_vec())) as ArrayRef),
            ("v", Arc::new(StringViewArray::from(words.to_vec())) as ArrayRef),
            ("k", Arc::new(dictionary) as ArrayRef),
            (
                "b",
                Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None, Some(true)]))
                    as ArrayRef,
            ),
            ("t", Arc::new(TimestampMillisecondArray::from(vec![-1, 0, 1, 86_400_000, 2])) as ArrayRef),
        ])
        .unwrap()
    }

    fn selected(sql: &str) -> Vec<usize> {
        let batch = batch();
        let bound = sql.parse::<Predicate>().unwrap().bind(&batch.schema()).unwrap();
        let answer = bound.evaluate(&batch).unwrap();
        assert_eq!((answer.len(), answer.null_count()), (5, 0), "{sql}");
        answer.values().set_indices().collect()
    }

    #[test]
    fn a_null_is_never_selected_unless_asked_for() {
        assert_eq!(selected("n > 1"), [1, 3, 4]);
        assert_eq!(selected("NOT n > 1"), [0]);
        assert_eq!(selected("n <> 1"), [1, 3, 4]);
        assert_eq!(selected("n IN (1, 7)"), [0]);
        assert_eq!(selected("n NOT IN (1, 7)"), [1, 3, 4]);
        assert_eq!(selected("n IS NULL"), [2]);
        assert_eq!(selected("NOT (n IS NULL)"), [0, 1, 3, 4]);
        assert_eq!(selected("n < 1.5 OR n NOT IN (1.5)"), [0, 1, 3, 4]);
    }

    #[test]
    fn unknown_is_three_valued() {
        // Row 1: m is null; unknown OR true is true, unknown AND true is not.
        assert_eq!(selected("m = 9 OR n = 2"), [1]);
        assert_eq!(selected("m = 9 AND n = 2"), Vec::<usize>::new());
        assert_eq!(selected("NOT (m = 9 AND n = 2)"), [0, 3, 4]);
        assert_eq!(selected("NOT (m = 9 OR n = 2)"), [0, 3, 4]);
        assert_eq!(selected("NOT (m = 9 AND n = 3)"), [0, 1, 3, 4]);
    }

    #[test]
    fn zero_has_no_sign_and_nan_is_the_greatest() {
        assert_eq!(selected("f = 0"), [0, 1]);
        assert_eq!(selected("f < 0"), [4]);
        assert_eq!(selected("f <= -0.0"), [0, 1, 4]);
        assert_eq!(selected("f > 0"), [2, 3]);
        assert_eq!(selected("f >= 0"), [0, 1, 2, 3]);
        assert_eq!(selected("f <> 0"), [2, 3, 4]);
        assert_eq!(selected("f IN (0, 7)"), [0, 1]);
        assert_eq!(selected("f NOT IN (0, 7)"), [2, 3, 4]);
        assert_eq!(selected("f = g"), [0, 1, 2, 4]);
    }

    #[test]
    fn columns_are_compared_with_columns() {
        assert_eq!(selected("n = m"), [0]);
        assert_eq!(selected("n < m"), [3]);
        assert_eq!(selected("m > n OR n > m"), [3, 4]);
        assert_eq!(selected("f < n"), [0, 1, 4]);
        assert_eq!(selected("s = v AND v = k"), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn every_kind_of_text_column_answers_alike() {
        for column in ["s", "v", "k"] {
            assert_eq!(selected(&format!("{column} = 'b'")), [1], "{column}");
            assert_eq!(selected(&format!("{column} IN ('b', 'B')")), [1, 4], "{column}");
            assert_eq!(selected(&format!("{column} LIKE 'a%'")), [0, 3], "{column}");
            assert_eq!(selected(&format!("{column} LIKE '_'")), [0, 1, 4], "{column}");
            assert_eq!(selected(&format!("{column} NOT LIKE '%\\%'")), [0, 1, 3, 4], "{column}");
        }
    }

    #[test]
    fn a_boolean_column_stands_alone() {
        assert_eq!(selected("b"), [0, 4]);
        assert_eq!(selected("NOT b"), [1]);
        assert_eq!(selected("b <> TRUE"), [1]);
    }

    #[test]
    fn times_finer_than_the_column_are_not_rounded() {
        assert_eq!(selected("t < TIMESTAMP '1970-01-01T00:00:00.0015'"), [0, 1, 2]);
        assert_eq!(selected("t > '1970-01-01T00:00:00.0015'"), [3, 4]);
        assert_eq!(selected("t >= DATE '1970-01-02'"), [3]);
        assert_eq!(selected("t BETWEEN '1970-01-01' AND '1970-01-01T00:00:00.0019'"), [1, 2]);
    }
}
