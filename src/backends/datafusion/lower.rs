//! A bound predicate as an expression of DataFusion, with the same answer as keyfold's own evaluation.
//!
//! DataFusion compares floats by their bits: -0.0 below 0.0, NaN above or, with the sign bit set, below
//! all numbers. Here there is one zero and one NaN; the sign of a zero is chosen for each operator so that
//! a comparison stays one that statistics can be pruned by.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Column as Named, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast, in_list, lit, when};

use crate::core::predicate::{Column, CompareOp, Test};

/// The expression that is true for the rows for which `test` holds, and false or null for others.
pub(super) fn lower(test: &Test) -> EngineResult<Expr> {
    match test {
        Test::All(tests) => Ok(joined(lowered(tests)?, Operator::And, true)),
        Test::Any(tests) => Ok(joined(lowered(tests)?, Operator::Or, false)),
        Test::Compare { column, op, value } => compare(column, *op, ScalarValue::try_from_array(value, 0)?),
        Test::CompareColumns { left, op, right, common } => {
            let side = |column| canonical(cast(named(column), common.clone()), common);
            Ok(binary_expr(side(left)?, operator(*op), side(right)?))
        }
        Test::In { column, values, negated } => within(column, values, *negated),
        Test::Like { column, pattern, negated } => {
            let pattern = text(pattern, &column.data_type);
            Ok(if *negated { named(column).not_like(pattern) } else { named(column).like(pattern) })
        }
        Test::Null { column, negated } => {
            Ok(if *negated { named(column).is_not_null() } else { named(column).is_null() })
        }
    }
}

fn lowered(tests: &[Test]) -> EngineResult<Vec<Expr>> {
    tests.iter().map(lower).collect()
}

/// Joins as a balanced tree: DataFusion recurses into expressions, and a chain of thousands would overflow
/// its stack.
fn joined(mut exprs: Vec<Expr>, by: Operator, empty: bool) -> Expr {
    while exprs.len() > 1 {
        let mut pairs = exprs.into_iter();
        let mut next = Vec::new();
        while let Some(left) = pairs.next() {
            next.push(match pairs.next() {
                Some(right) => binary_expr(left, by, right),
                None => left,
            });
        }
        exprs = next;
    }
    exprs.pop().unwrap_or_else(|| lit(empty))
}

/// By its exact name: what parses names would fold their case.
fn named(column: &Column) -> Expr {
    Expr::Column(Named::from_name(&column.name))
}

fn operator(op: CompareOp) -> Operator {
    match op {
        CompareOp::Eq => Operator::Eq,
        CompareOp::NotEq => Operator::NotEq,
        CompareOp::Lt => Operator::Lt,
        CompareOp::LtEq => Operator::LtEq,
        CompareOp::Gt => Operator::Gt,
        CompareOp::GtEq => Operator::GtEq,
    }
}

fn text(text: &str, data_type: &DataType) -> Expr {
    let text = Some(text.to_owned());
    lit(match data_type {
        DataType::LargeUtf8 => ScalarValue::LargeUtf8(text),
        DataType::Utf8View => ScalarValue::Utf8View(text),
        _ => ScalarValue::Utf8(text),
    })
}

fn compare(column: &Column, op: CompareOp, value: ScalarValue) -> EngineResult<Expr> {
    let test = |value: ScalarValue| binary_expr(named(column), operator(op), lit(value));
    if !column.data_type.is_floating() {
        return Ok(test(value));
    }
    let below_all = float(f64::NEG_INFINITY, &column.data_type)?;
    let (low, high) = zeros(&value)?;
    Ok(match op {
        CompareOp::Eq if low != high => test(low).or(test(high)),
        CompareOp::NotEq if low != high => test(low).and(test(high)),
        CompareOp::Eq | CompareOp::NotEq => test(value),
        // Below minus infinity there are only NaNs with the sign bit set.
        CompareOp::Lt => test(low).and(named(column).gt_eq(lit(below_all))),
        CompareOp::LtEq => test(high).and(named(column).gt_eq(lit(below_all))),
        CompareOp::Gt => test(high).or(named(column).lt(lit(below_all))),
        CompareOp::GtEq => test(low).or(named(column).lt(lit(below_all))),
    })
}

/// The least and the greatest value that equal `value`: two for zero, and one for any other.
fn zeros(value: &ScalarValue) -> EngineResult<(ScalarValue, ScalarValue)> {
    let zero = float(0.0, &value.data_type())?;
    if *value == zero {
        Ok((float(-0.0, &value.data_type())?, zero))
    } else {
        Ok((value.clone(), value.clone()))
    }
}

fn float(value: f64, data_type: &DataType) -> EngineResult<ScalarValue> {
    ScalarValue::Float64(Some(value)).cast_to(data_type)
}

fn within(column: &Column, values: &ArrayRef, negated: bool) -> EngineResult<Expr> {
    let mut list = Vec::with_capacity(values.len());
    for row in 0..values.len() {
        let value = ScalarValue::try_from_array(values, row)?;
        if column.data_type.is_floating() {
            let (low, high) = zeros(&value)?;
            if low != high {
                list.push(lit(low));
            }
            list.push(lit(high));
        } else {
            list.push(lit(value));
        }
    }
    Ok(in_list(named(column), list, negated))
}

/// One zero and one NaN, as a value: there is no sign to choose when both sides are columns.
fn canonical(expr: Expr, data_type: &DataType) -> EngineResult<Expr> {
    if !data_type.is_floating() {
        return Ok(expr);
    }
    let constant = |value| float(value, data_type).map(lit);
    let is_nan = expr.clone().lt(constant(f64::NEG_INFINITY)?).or(expr.clone().gt(constant(f64::INFINITY)?));
    when(is_nan, constant(f64::NAN)?).when(expr.clone().eq(constant(-0.0)?), constant(0.0)?).otherwise(expr)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
        Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
        TimestampMicrosecondArray, UInt8Array,
    };
    use arrow::compute::{cast, concat_batches};
    use arrow::datatypes::{Int32Type, UInt32Type};
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::core::predicate::Predicate;

    /// Rows of edge values, a null among them, numbered in column `row`.
    fn batch() -> RecordBatch {
        let wrong_nan = f64::from_bits(f64::NAN.to_bits() | (1 << 63));
        let doubles =
            [Some(-0.0), Some(0.0), Some(f64::NAN), Some(wrong_nan), Some(-1.5), Some(f64::INFINITY), None];
        let floats = [0.0, -0.0, f32::NAN, 1.5, -1.5, f32::NEG_INFINITY, 2.0];
        let numbers = [Some(0), Some(1), Some(i64::MAX), Some(i64::MIN), None, Some(5), Some(2)];
        let words = [Some("a"), Some("b"), None, Some("100%"), Some("ab"), Some(""), Some("A_c")];
        let coded: DictionaryArray<Int32Type> = words.into_iter().collect();
        let times = [Some(-1), Some(0), Some(1), Some(86_400_000_000), None, Some(1_500), Some(2_000)];
        let half = cast(&Float32Array::from(floats.to_vec()), &DataType::Float16).unwrap();
        let decimals =
            Decimal128Array::from(vec![Some(150), Some(-150), None, Some(0), Some(1), Some(99), Some(200)]);
        RecordBatch::try_from_iter_with_nullable([
            ("row", Arc::new(arrow::array::UInt32Array::from_iter_values(0..7)) as ArrayRef, true),
            ("f", Arc::new(Float64Array::from(doubles.to_vec())) as ArrayRef, true),
            ("g", Arc::new(Float32Array::from(floats.to_vec())) as ArrayRef, true),
            ("h", half, true),
            ("n", Arc::new(Int64Array::from(numbers.to_vec())) as ArrayRef, true),
            ("u", Arc::new(UInt8Array::from(vec![0, 1, 2, 3, 4, 5, 255])) as ArrayRef, true),
            ("d", Arc::new(decimals.with_precision_and_scale(5, 2).unwrap()) as ArrayRef, true),
            ("s", Arc::new(StringArray::from(words.to_vec())) as ArrayRef, true),
            ("S", Arc::new(LargeStringArray::from(words.to_vec())) as ArrayRef, true),
            ("v.w", Arc::new(StringViewArray::from(words.to_vec())) as ArrayRef, true),
            ("k", Arc::new(coded) as ArrayRef, true),
            (
                "b",
                Arc::new(BooleanArray::from(vec![
                    Some(true),
                    Some(false),
                    None,
                    Some(true),
                    None,
                    Some(false),
                    None,
                ])) as ArrayRef,
                true,
            ),
            ("t", Arc::new(TimestampMicrosecondArray::from(times.to_vec())) as ArrayRef, true),
            (
                "z",
                Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("Europe/Paris"))
                    as ArrayRef,
                true,
            ),
            (
                "e",
                Arc::new(Date32Array::from(vec![Some(-1), Some(0), Some(1), None, Some(2), Some(3), Some(4)]))
                    as ArrayRef,
                true,
            ),
        ])
        .unwrap()
    }

    const LEAVES: &[&str] = &[
        "f = 0",
        "f <> 0",
        "f < 0",
        "f <= 0",
        "f > 0",
        "f >= 0",
        "f > -1.5",
        "f <= 1e308",
        "f = -1.5",
        "f IN (0)",
        "f NOT IN (0, -1.5, 7)",
        "f IN (1, 2, 3, 4, 5, 6, 7, 0)",
        "g < 0",
        "g >= 0",
        "g <> 1.5",
        "g IN (0, 1.5)",
        "h > 0",
        "h <= 0",
        "h = 0",
        "f = g",
        "f < g",
        "f >= g",
        "f <> g",
        "g = h",
        "n = f",
        "n > f",
        "n > u",
        "n <= d",
        "n = 1.5",
        "n <> 1.5",
        "n < 1.5",
        "n >= 9223372036854775807",
        "n > 9223372036854775807",
        "n < 1e30",
        "n NOT IN (1, 1.5)",
        "n IN (1.5)",
        "n NOT IN (1.5)",
        "n BETWEEN 1 AND 5",
        "n NOT BETWEEN 1 AND 5",
        "u > 254.5",
        "u = 300",
        "d = 1.5",
        "d > 0.005",
        "d < 0.015",
        "d IN (1.5, 2)",
        "d <> 1000",
        "s = 'a'",
        "s < 'b'",
        "S <> 'a'",
        "S IN ('a', '')",
        "\"v.w\" >= 'a'",
        "\"v.w\" LIKE 'a%'",
        "k = 'b'",
        "k <> 'b'",
        "k IN ('a', 'b', 'c', 'd')",
        "k NOT IN ('a')",
        "k LIKE '%b'",
        "s LIKE '%'",
        "s LIKE '100\\%'",
        "s NOT LIKE '_'",
        "S LIKE 'A\\_c'",
        "s LIKE 'ab'",
        "k NOT LIKE 'a%'",
        "s = S",
        "s <> \"v.w\"",
        "k = \"v.w\"",
        "b",
        "b = FALSE",
        "b <> TRUE",
        "b > FALSE",
        "t = '1970-01-01'",
        "t > TIMESTAMP '1970-01-01T00:00:00.0000005'",
        "t < '1970-01-02'",
        "z <= '1970-01-01T01:00:00+01:00'",
        "z >= DATE '1970-01-02'",
        "e <= '1970-01-01T12:00:00'",
        "e > DATE '1970-01-02'",
        "e = t",
        "e < t",
        "n IS NULL",
        "b IS NOT NULL",
        "f IS NULL",
    ];

    fn evaluated(sql: &str, batch: &RecordBatch) -> Vec<u32> {
        let bound = sql.parse::<Predicate>().unwrap().bind(&batch.schema()).unwrap();
        bound.evaluate(batch).unwrap().values().set_indices().map(|row| u32::try_from(row).unwrap()).collect()
    }

    async fn lowered(sql: &str, batch: &RecordBatch) -> Vec<u32> {
        let bound = sql.parse::<Predicate>().unwrap().bind(&batch.schema()).unwrap();
        let frame = SessionContext::new().read_batch(batch.clone()).unwrap();
        let frame = frame.filter(lower(&bound.test).unwrap()).unwrap();
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let rows = concat_batches(&schema, &frame.collect().await.expect(sql)).unwrap();
        rows.column(0).as_primitive::<UInt32Type>().values().to_vec()
    }

    #[tokio::test]
    async fn every_test_answers_as_evaluation_does_and_so_does_its_opposite() {
        let batch = batch();
        for leaf in LEAVES {
            for sql in [(*leaf).to_owned(), format!("NOT ({leaf})")] {
                assert_eq!(lowered(&sql, &batch).await, evaluated(&sql, &batch), "{sql}");
            }
        }
    }

    #[tokio::test]
    async fn combined_tests_answer_as_evaluation_does() {
        let batch = batch();
        for (i, left) in LEAVES.iter().enumerate() {
            let (right, third) = (LEAVES[(i * 7 + 3) % LEAVES.len()], LEAVES[(i * 13 + 5) % LEAVES.len()]);
            for sql in [
                format!("{left} AND {right}"),
                format!("({left} OR {right}) AND NOT ({third})"),
                format!("NOT ({left} AND ({right} OR NOT {third}))"),
            ] {
                assert_eq!(lowered(&sql, &batch).await, evaluated(&sql, &batch), "{sql}");
            }
        }
    }

    #[tokio::test]
    async fn a_chain_of_thousands_is_planned() {
        let sql = (0..3_000).map(|i| format!("n = {i}")).collect::<Vec<_>>().join(" OR ");
        assert_eq!(lowered(&sql, &batch()).await, [0, 1, 5, 6]);
    }
}
