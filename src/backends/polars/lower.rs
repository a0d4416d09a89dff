//! A bound predicate as an expression of Polars, so that Polars can push it into its scans.
//!
//! Comparisons with literals are told in Polars' own terms: on values of one type it orders floats as
//! keyfold does (NaN equals NaN and is the greatest, -0.0 equals 0.0), and a filter drops what is
//! unknown. What Polars has no exact word for is evaluated by keyfold itself, batch by batch.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema};
use polars::prelude as pl;
use polars::prelude::Expr;

use super::{failed, ffi, through};
use crate::core::predicate::{Bound, Column, CompareOp, Test};
use crate::error::{Error, Result};

/// The expression that is true where `bound` holds; elsewhere it is false or null.
///
/// `bound` was bound to the Arrow schema that the frame has when it crosses.
///
/// # Errors
///
/// `Internal` for a literal of a type that does not cross.
pub(super) fn lower(bound: &Bound) -> Result<Expr> {
    lowered(&bound.test)
}

fn lowered(test: &Test) -> Result<Expr> {
    Ok(match test {
        Test::All(tests) => folded(tests, true, Expr::and)?,
        Test::Any(tests) => folded(tests, false, Expr::or)?,
        Test::Compare { column, op, value } => compared(*op, named(column), scalar(value)?),
        Test::In { column, values, negated } => {
            let values = pl::lit(ffi::series("", values)?).implode(true);
            let found = named(column).is_in(values, false);
            if *negated { found.not() } else { found }
        }
        Test::Null { column, negated: false } => named(column).is_null(),
        Test::Null { column, negated: true } => named(column).is_not_null(),
        Test::CompareColumns { left, right, .. } => evaluated(test.clone(), &[left.clone(), right.clone()])?,
        Test::Like { column, .. } => evaluated(test.clone(), std::slice::from_ref(column))?,
    })
}

fn folded(tests: &[Test], empty: bool, join: fn(Expr, Expr) -> Expr) -> Result<Expr> {
    let joined = tests.iter().map(lowered).reduce(|left, right| Ok(join(left?, right?)));
    joined.unwrap_or_else(|| Ok(pl::lit(empty)))
}

/// A column by its exact name: `pl::col` would take one such as `*` or `^a$` for a pattern.
fn named(column: &Column) -> Expr {
    Expr::Column(column.name.as_str().into())
}

fn compared(op: CompareOp, left: Expr, right: Expr) -> Expr {
    match op {
        CompareOp::Eq => left.eq(right),
        CompareOp::NotEq => left.neq(right),
        CompareOp::Lt => left.lt(right),
        CompareOp::LtEq => left.lt_eq(right),
        CompareOp::Gt => left.gt(right),
        CompareOp::GtEq => left.gt_eq(right),
    }
}

/// A literal in the type of its column, so that Polars does not look for a type common to both.
fn scalar(value: &ArrayRef) -> Result<Expr> {
    let series = ffi::series("", value)?;
    let first = series.get(0).map_err(failed)?.into_static();
    Ok(pl::lit(pl::Scalar::new(series.dtype().clone(), first)))
}

/// Leaves a test to [`Bound::evaluate`], on the columns that it looks at.
fn evaluated(test: Test, columns: &[Column]) -> Result<Expr> {
    let fields: Vec<_> = columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let bound = Bound { test: moved(test) };
    let evaluate = move |columns: &mut [pl::Column]| {
        // Named by place: a column may be compared with itself.
        let columns =
            columns.iter().enumerate().map(|(i, column)| column.clone().with_name(i.to_string().into()));
        let frame = pl::DataFrame::new_infer_height(columns.collect())?;
        let mut answer = pl::Series::new_empty("".into(), &pl::DataType::Boolean);
        for batch in ffi::record_batches(frame, &schema).map_err(through)? {
            let part: ArrayRef = Arc::new(bound.evaluate(&batch).map_err(through)?);
            answer.append(&ffi::series("", &part).map_err(through)?)?;
        }
        Ok(answer.into())
    };
    let mut inputs = columns.iter().map(named);
    let first = inputs.next().ok_or_else(|| Error::internal("a test looks at no column"))?;
    let rest: Vec<_> = inputs.collect();
    Ok(first.map_many(evaluate, &rest, |_, fields| {
        Ok(pl::Field::new(fields[0].name().clone(), pl::DataType::Boolean))
    }))
}

/// The test on a batch that holds nothing but its own columns.
fn moved(test: Test) -> Test {
    let at = |index, column: Column| Column { index, ..column };
    match test {
        Test::CompareColumns { left, op, right, common } => {
            Test::CompareColumns { left: at(0, left), op, right: at(1, right), common }
        }
        Test::Like { column, pattern, negated } => Test::Like { column: at(0, column), pattern, negated },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::polars::{bring, crossing, ffi};
    use crate::core::predicate::Predicate;
    use arrow::array::*;
    use arrow::compute::filter_record_batch;
    use polars::prelude::IntoLazy;
    use proptest::prelude::*;
    use proptest::sample::select;

    type Row =
        (Option<i64>, Option<u8>, Option<f64>, Option<f32>, Option<&'static str>, Option<bool>, Option<i64>);

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let nan = -f64::NAN;
        let floats = vec![0.0, -0.0, 1.0, 1.5, f64::NAN, nan, f64::INFINITY, f64::NEG_INFINITY, 0.1];
        let small = vec![0.0_f32, -0.0, 1.0, f32::NAN, -f32::NAN, f32::INFINITY, 0.1];
        let words = vec!["", "a", "ab", "b%", "B", "a longer text than is kept inline", "é"];
        let row = (
            proptest::option::of(select(vec![-1_i64, 0, 1, 2, i64::MAX, i64::MIN])),
            proptest::option::of(select(vec![0_u8, 1, 2, 255])),
            proptest::option::of(select(floats)),
            proptest::option::of(select(small)),
            proptest::option::of(select(words)),
            proptest::option::of(any::<bool>()),
            proptest::option::of(select(vec![-1_i64, 0, 1, 86_400_000])),
        );
        proptest::collection::vec(row, 0..12)
    }

    fn batch(rows: &[Row]) -> RecordBatch {
        let times = || rows.iter().map(|row| row.6);
        let decimals: Decimal128Array = rows.iter().map(|row| row.0.map(|v| i128::from(v % 1000))).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
            ("u", Arc::new(rows.iter().map(|row| row.1).collect::<UInt8Array>())),
            ("f", Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>())),
            ("g", Arc::new(rows.iter().map(|row| row.3).collect::<Float32Array>())),
            ("s", Arc::new(rows.iter().map(|row| row.4).collect::<StringArray>())),
            ("*", Arc::new(rows.iter().map(|row| row.4).collect::<StringViewArray>())),
            ("b", Arc::new(rows.iter().map(|row| row.5).collect::<BooleanArray>())),
            ("t", Arc::new(times().collect::<TimestampMillisecondArray>())),
            ("z", Arc::new(times().collect::<TimestampMillisecondArray>().with_timezone("+02:00"))),
            (
                "y",
                Arc::new(times().map(|t| t.map(|t| i32::try_from(t % 5).unwrap())).collect::<Date32Array>()),
            ),
            ("d", Arc::new(decimals.with_precision_and_scale(10, 2).unwrap())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
    }

    fn test() -> impl Strategy<Value = String> {
        let numbers =
            || select(vec!["0", "-0.0", "1", "1.5", "2", "300", "0.1", "9223372036854775807", "-3"]);
        let number_columns = || select(vec!["n", "u", "f", "g", "d"]);
        let text_columns = || select(vec!["s", "\"*\""]);
        let texts = || select(vec!["''", "'a'", "'ab'", "'é'"]);
        let time_columns = || select(vec!["t", "z", "y"]);
        let instants = || {
            select(vec![
                "'1970-01-01'",
                "'1970-01-01T00:00:00.0005'",
                "'1970-01-02T00:00:00'",
                "'1969-12-31'",
            ])
        };
        let ops = || select(vec!["=", "<>", "<", "<=", ">", ">="]);
        let all = || select(vec!["n", "u", "f", "g", "s", "\"*\"", "b", "t", "z", "y", "d"]);
        prop_oneof![
            (number_columns(), ops(), numbers()).prop_map(|(c, o, v)| format!("{c} {o} {v}")),
            (number_columns(), numbers(), numbers()).prop_map(|(c, v, w)| format!("{c} IN ({v}, {w})")),
            (number_columns(), ops(), number_columns()).prop_map(|(c, o, d)| format!("{c} {o} {d}")),
            (text_columns(), ops(), texts()).prop_map(|(c, o, v)| format!("{c} {o} {v}")),
            (text_columns(), texts(), texts()).prop_map(|(c, v, w)| format!("{c} NOT IN ({v}, {w})")),
            (text_columns(), select(vec!["a%", "%", "_", "b\\%", "%é"]))
                .prop_map(|(c, p)| format!("{c} LIKE '{p}'")),
            (time_columns(), ops(), instants()).prop_map(|(c, o, v)| format!("{c} {o} {v}")),
            (time_columns(), instants(), instants()).prop_map(|(c, v, w)| format!("{c} IN ({v}, {w})")),
            (ops(), any::<bool>()).prop_map(|(o, v)| format!("b {o} {v}")),
            all().prop_map(|c| format!("{c} IS NULL")),
            Just("s < \"*\"".to_owned()),
            Just("b".to_owned()),
        ]
    }

    fn condition() -> impl Strategy<Value = String> {
        test().prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
                inner.prop_map(|a| format!("NOT ({a})")),
            ]
        })
    }

    fn by_polars(batch: &RecordBatch, sql: &str) -> Result<RecordBatch> {
        let frame = ffi::data_frame(&batch.schema(), std::slice::from_ref(batch))?;
        let schema = crossing::arrow_schema(frame.schema())?;
        let bound = sql.parse::<Predicate>()?.bind(&schema)?;
        let kept = frame.lazy().filter(lower(&bound)?).collect_with_engine(pl::Engine::Streaming);
        let kept = ffi::record_batches(kept.map_err(failed)?.unwrap_single(), &schema)?;
        Ok(arrow::compute::concat_batches(&schema, &kept).unwrap())
    }

    fn by_keyfold(batch: &RecordBatch, sql: &str) -> Result<RecordBatch> {
        let bound = sql.parse::<Predicate>()?.bind(&batch.schema())?;
        let border = crossing::border_schema(&batch.schema())?;
        let kept = filter_record_batch(batch, &bound.evaluate(batch)?).unwrap();
        bring::to_border(&kept, &border)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn polars_selects_what_the_predicate_selects(rows in rows(), sql in condition()) {
            let batch = batch(&rows);
            match (by_polars(&batch, &sql), by_keyfold(&batch, &sql)) {
                (Ok(polars), Ok(keyfold)) => {
                    // Debug text: NaN is not equal to itself, and its sign is to be kept.
                    prop_assert_eq!(format!("{polars:?}"), format!("{keyfold:?}"), "{}", sql);
                }
                (polars, keyfold) => {
                    let kinds = (polars.map_err(|e| e.kind()).err(), keyfold.map_err(|e| e.kind()).err());
                    prop_assert_eq!(kinds.0, kinds.1, "{}", sql);
                }
            }
        }
    }
}
