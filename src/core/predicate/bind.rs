//! A predicate beside a schema: columns found, literals in the types of their columns, `NOT` gone.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema, TimeUnit};

use super::literal::{Literal, Place, place};
use super::{CompareOp, Node, Predicate};
use crate::core::schema::{find_column, type_name};
use crate::error::{Error, ErrorKind, Result};

/// A predicate bound to a schema, for batches and scans that have it.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    /// What must hold of a row.
    pub(crate) test: Test,
}

/// A column of the schema that a predicate is bound to.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its place in the schema.
    pub(crate) index: usize,
    /// Its name.
    pub(crate) name: String,
    /// Its type; of a dictionary, the type of the values.
    pub(crate) data_type: DataType,
}

/// What must hold of a row. A test never holds for a null, negated or not, [`Test::Null`] apart; so
/// "unknown" may be taken for "false" anywhere in the tree.
///
/// NaN equals NaN and is the greatest number, whatever its sign; -0.0 equals 0.0. Literals are never NaN
/// and never -0.0.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// All of these; an empty one always holds.
    All(Vec<Test>),
    /// One of these; an empty one never holds.
    Any(Vec<Test>),
    /// A column beside one value of its own type.
    Compare { column: Column, op: CompareOp, value: ArrayRef },
    /// Two columns, both cast to `common` first.
    CompareColumns { left: Column, op: CompareOp, right: Column, common: DataType },
    /// A column that is one of `values`, which are of its own type and at least one; or, negated,
    /// something else.
    In { column: Column, values: ArrayRef, negated: bool },
    /// A text column that matches an SQL pattern, with `\` to escape; or, negated, does not.
    Like { column: Column, pattern: String, negated: bool },
    /// A column that is null; or, negated, is not.
    Null { column: Column, negated: bool },
}

impl Test {
    fn never() -> Self {
        Self::Any(Vec::new())
    }
}

impl Bound {
    /// Whether a float column is compared in a way that NaN can satisfy. Statistics leave NaN out, so
    /// they must not be trusted to rule out rows then.
    pub(crate) fn may_select_nan(&self) -> bool {
        fn search(test: &Test) -> bool {
            match test {
                Test::All(tests) | Test::Any(tests) => tests.iter().any(search),
                Test::Compare { column, op, .. } => {
                    column.data_type.is_floating()
                        && matches!(op, CompareOp::NotEq | CompareOp::Gt | CompareOp::GtEq)
                }
                Test::CompareColumns { common, .. } => common.is_floating(),
                Test::In { column, negated, .. } => *negated && column.data_type.is_floating(),
                Test::Like { .. } | Test::Null { .. } => false,
            }
        }
        search(&self.test)
    }

    /// A text column of which it is asked what comes before what: as text, 10 is before 9.
    pub(crate) fn orders_text(&self) -> Option<&str> {
        fn search(test: &Test) -> Option<&str> {
            let is_order = |op: &CompareOp| !matches!(op, CompareOp::Eq | CompareOp::NotEq);
            match test {
                Test::All(tests) | Test::Any(tests) => tests.iter().find_map(search),
                Test::Compare { column, op, .. } => {
                    (is_order(op) && column.data_type.is_string()).then_some(column.name.as_str())
                }
                Test::CompareColumns { left, op, common, .. } => {
                    (is_order(op) && common.is_string()).then_some(left.name.as_str())
                }
                Test::In { .. } | Test::Like { .. } | Test::Null { .. } => None,
            }
        }
        search(&self.test)
    }
}

impl Predicate {
    /// Binds to `schema`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a column that is not there and for a literal or column that cannot be compared
    /// with it.
    pub(crate) fn bind(&self, schema: &Schema) -> Result<Bound> {
        Ok(Bound { test: bind(&self.0, schema, false)? })
    }
}

/// Binds `node`, or its opposite if `negated`. By De Morgan's laws, which hold for unknown as well.
fn bind(node: &Node, schema: &Schema, negated: bool) -> Result<Test> {
    let all = |nodes: &[Node]| nodes.iter().map(|node| bind(node, schema, negated)).collect::<Result<_>>();
    match (node, negated) {
        (Node::All(nodes), false) | (Node::Any(nodes), true) => Ok(Test::All(all(nodes)?)),
        (Node::Any(nodes), false) | (Node::All(nodes), true) => Ok(Test::Any(all(nodes)?)),
        (Node::Not(node), _) => bind(node, schema, !negated),
        (Node::Compare { column, op, literal }, _) => {
            compare(find(schema, column)?, if negated { op.negated() } else { *op }, literal)
        }
        (Node::CompareColumns { left, op, right }, _) => {
            let op = if negated { op.negated() } else { *op };
            compare_columns(find(schema, left)?, op, find(schema, right)?)
        }
        (Node::In { column, literals, negated: not }, _) => {
            within(find(schema, column)?, literals, *not != negated)
        }
        (Node::Like { column, pattern, negated: not }, _) => {
            like(find(schema, column)?, pattern, *not != negated)
        }
        (Node::Null { column, negated: not }, _) => {
            Ok(Test::Null { column: find(schema, column)?, negated: *not != negated })
        }
        (Node::Flag(column), _) => compare(find(schema, column)?, CompareOp::Eq, &Literal::Bool(!negated)),
    }
}

fn find(schema: &Schema, name: &str) -> Result<Column> {
    let index = find_column(schema, name, "filter column")?;
    let data_type = match schema.field(index).data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    };
    Ok(Column { index, name: name.to_owned(), data_type })
}

fn placed(column: &Column, literal: &Literal) -> Result<Place<ArrayRef>> {
    let place =
        place(literal, &column.data_type).map_err(|error| error.with_missing("column", &column.name))?;
    place.ok_or_else(|| {
        cannot_compare(column).with("with", literal).hint(match column.data_type {
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => {
                "compare it with a date or timestamp without zone"
            }
            DataType::Timestamp(_, Some(_)) => "compare it with a date or timestamp",
            DataType::Time32(_) | DataType::Time64(_) => "compare it with a time of day: '10:00:00'",
            DataType::Boolean => "compare it with TRUE or FALSE",
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                "it is text, of which 10 comes before 9: compare it for equality with a text in single quotes, or read the column as what it is (--schema)"
            }
            ref other if other.is_numeric() => "compare it with a number, without quotes",
            _ => "only IS NULL and IS NOT NULL can be asked of this type",
        })
    })
}

fn cannot_compare(column: &Column) -> Error {
    Error::new(ErrorKind::InvalidInput, "cannot compare")
        .with("column", &column.name)
        .with("type", type_name(&column.data_type))
}

fn compare(column: Column, op: CompareOp, literal: &Literal) -> Result<Test> {
    use CompareOp as Op;
    if column.data_type == DataType::Null {
        return Ok(Test::never());
    }
    let (op, value) = match (placed(&column, literal)?, op) {
        (Place::On(value), op) => (op, value),
        (Place::After(value), Op::Lt | Op::LtEq) => (Op::LtEq, value),
        (Place::After(value), Op::Gt | Op::GtEq) => (Op::Gt, value),
        (Place::Below, Op::Lt | Op::LtEq) | (Place::Above, Op::Gt | Op::GtEq) | (_, Op::Eq) => {
            return Ok(Test::never());
        }
        (Place::Below, Op::Gt | Op::GtEq) | (Place::Above, Op::Lt | Op::LtEq) | (_, Op::NotEq) => {
            return Ok(Test::Null { column, negated: true });
        }
    };
    Ok(Test::Compare { column, op, value })
}

fn within(column: Column, literals: &[Literal], negated: bool) -> Result<Test> {
    if column.data_type == DataType::Null {
        return Ok(Test::never());
    }
    let mut values = Vec::with_capacity(literals.len());
    for literal in literals {
        // A literal that no value of the type equals changes nothing in a list.
        if let Place::On(value) = placed(&column, literal)? {
            values.push(value);
        }
    }
    if values.is_empty() {
        return Ok(if negated { Test::Null { column, negated: true } } else { Test::never() });
    }
    let values: Vec<_> = values.iter().map(AsRef::as_ref).collect();
    let values = concat(&values)
        .map_err(|cause| Error::internal("literals of one list differ in type").because(cause))?;
    Ok(Test::In { column, values, negated })
}

fn like(column: Column, pattern: &str, negated: bool) -> Result<Test> {
    match column.data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Ok(Test::Like { column, pattern: pattern.to_owned(), negated })
        }
        DataType::Null => Ok(Test::never()),
        _ => Err(Error::new(ErrorKind::InvalidInput, "LIKE needs a text column")
            .with("column", &column.name)
            .with("type", type_name(&column.data_type))),
    }
}

fn compare_columns(left: Column, op: CompareOp, right: Column) -> Result<Test> {
    if left.data_type == DataType::Null || right.data_type == DataType::Null {
        return Ok(Test::never());
    }
    match common_type(&left.data_type, &right.data_type) {
        Some(common) => Ok(Test::CompareColumns { left, op, right, common }),
        None => Err(cannot_compare(&left)
            .with("with", format!("{}: {}", right.name, type_name(&right.data_type)))
            .hint("columns are compared within one kind: numbers, texts, dates and timestamps")),
    }
}

/// The type in which two columns are compared. Between integers or decimals and floats it is a
/// double, as SQL engines have it: integers lose digits above 2^53 there.
fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as D;
    let text = |t: &D| matches!(t, D::Utf8 | D::LargeUtf8 | D::Utf8View);
    let date = |t: &D| matches!(t, D::Date32 | D::Date64);
    match (left, right) {
        (l, r) if l == r => ordered(l).then(|| l.clone()),
        (l, r) if text(l) && text(r) => Some(D::LargeUtf8),
        (l, r) if l.is_numeric() && r.is_numeric() => {
            if l.is_floating() || r.is_floating() {
                return Some(D::Float64);
            }
            common_decimal(decimal_digits(l)?, decimal_digits(r)?)
        }
        (D::Timestamp(l, left_zone), D::Timestamp(r, right_zone)) => (left_zone.is_some()
            == right_zone.is_some())
        .then(|| D::Timestamp(*l.max(r), left_zone.as_ref().map(|_| Arc::from("UTC")))),
        (l, D::Timestamp(unit, None)) | (D::Timestamp(unit, None), l) if date(l) => {
            Some(D::Timestamp((*unit).max(TimeUnit::Millisecond), None))
        }
        (l, r) if date(l) && date(r) => Some(D::Date64),
        (D::Time32(_) | D::Time64(_), D::Time32(_) | D::Time64(_)) => Some(D::Time64(TimeUnit::Nanosecond)),
        _ => None,
    }
}

fn ordered(data_type: &DataType) -> bool {
    data_type.is_primitive() && !matches!(data_type, DataType::Interval(_))
        || data_type.is_binary()
        || matches!(data_type, DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Digits before and after the point of an integer or decimal type.
fn decimal_digits(data_type: &DataType) -> Option<(i16, i16)> {
    use DataType as D;
    Some(match data_type {
        D::Int8 | D::UInt8 => (3, 0),
        D::Int16 | D::UInt16 => (5, 0),
        D::Int32 | D::UInt32 => (10, 0),
        D::Int64 => (19, 0),
        D::UInt64 => (20, 0),
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) | D::Decimal256(p, s) => {
            (i16::from(*p) - i16::from(*s), i16::from(*s).max(0))
        }
        _ => return None,
    })
}

fn common_decimal(left: (i16, i16), right: (i16, i16)) -> Option<DataType> {
    let (whole, scale) = (left.0.max(right.0), left.1.max(right.1));
    let precision = u8::try_from(whole + scale).ok()?;
    let scale = i8::try_from(scale).ok()?;
    match precision {
        ..=18 if scale == 0 => Some(DataType::Int64),
        ..=38 => Some(DataType::Decimal128(precision, scale)),
        39..=76 => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, TimestampMillisecondArray, UInt8Array};
    use arrow::datatypes::Field;

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("u", DataType::UInt8, true),
            Field::new("f", DataType::Float64, true),
            Field::new("s", DataType::Utf8, true),
            Field::new("d", DataType::Decimal128(10, 2), true),
            Field::new("t", DataType::Timestamp(TimeUnit::Millisecond, None), true),
            Field::new("z", DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Paris".into())), true),
            Field::new("l", DataType::new_list(DataType::Int64, true), true),
        ])
    }

    fn bound(sql: &str) -> Result<Test> {
        sql.parse::<Predicate>().unwrap().bind(&schema()).map(|bound| bound.test)
    }

    fn compared(sql: &str) -> (CompareOp, ArrayRef) {
        match bound(sql).unwrap() {
            Test::Compare { op, value, .. } => (op, value),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_literal_takes_the_type_of_its_column() {
        let (_, value) = compared("u = 7");
        assert_eq!(value.as_ref(), &UInt8Array::from(vec![7]));
        let (_, value) = compared("d >= 1.5");
        let expected = Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(value.as_ref(), &expected);
        let (_, value) = compared("t < '2021-05-22'");
        assert_eq!(value.as_ref(), &TimestampMillisecondArray::from(vec![1_621_641_600_000]));
        let (_, value) = compared("z = TIMESTAMP '2021-05-22T02:00:00+02:00'");
        let expected = TimestampMillisecondArray::from(vec![1_621_641_600_000]).with_timezone("Europe/Paris");
        assert_eq!(value.as_ref(), &expected);
    }

    #[test]
    fn a_literal_between_two_values_moves_to_one_of_them_without_changing_the_answer() {
        assert_eq!(compared("n < 1.5").0, CompareOp::LtEq);
        assert_eq!(compared("n >= 1.5").0, CompareOp::Gt);
        assert!(matches!(bound("n = 1.5").unwrap(), Test::Any(none) if none.is_empty()));
        assert!(matches!(bound("n <> 1.5").unwrap(), Test::Null { negated: true, .. }));
        assert!(matches!(bound("u < 300").unwrap(), Test::Null { negated: true, .. }));
        assert!(matches!(bound("u > 300").unwrap(), Test::Any(none) if none.is_empty()));
    }

    #[test]
    fn what_cannot_be_compared_is_refused_and_named() {
        for (sql, text) in [
            ("n = 'a'", "cannot compare (column: n, type: int64, with: 'a')"),
            ("s = 1", "cannot compare (column: s, type: string, with: 1)"),
            ("n IN (1, TRUE)", "cannot compare (column: n, type: int64, with: TRUE)"),
            (
                "t = '2021-05-22T00:00:00Z'",
                "cannot compare (column: t, type: timestamp(ms), with: '2021-05-22T00:00:00Z')",
            ),
            ("n = s", "cannot compare (column: n, type: int64, with: s: string)"),
            (
                "t = z",
                "cannot compare (column: t, type: timestamp(ms), with: z: timestamp(ms, Europe/Paris))",
            ),
            ("l = 1", "cannot compare (column: l, type: list<int64>, with: 1)"),
            ("n LIKE 'a'", "LIKE needs a text column (column: n, type: int64)"),
            ("t = 'noon'", "not a date or timestamp (value: 'noon', column: t)"),
            ("NOT nothing", "filter column is missing (column: nothing)"),
            (
                "f < 1e999",
                "a number is out of the range of its column (value: 1e999, type: Float64, column: f)",
            ),
        ] {
            let error = bound(sql).expect_err(sql);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{sql}");
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn tests_that_nan_satisfies_are_known() {
        for (sql, may) in [
            ("f > 1", true),
            ("NOT (f < 1 OR n = 1)", true),
            ("f NOT IN (1)", true),
            ("f < 1 AND f = 2 AND n > 1", false),
        ] {
            assert_eq!(
                sql.parse::<Predicate>().unwrap().bind(&schema()).unwrap().may_select_nan(),
                may,
                "{sql}"
            );
        }
    }
}
