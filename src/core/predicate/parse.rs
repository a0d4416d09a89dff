//! SQL text to a predicate, by the one SQL parser that both engines use; what is not covered is refused by
//! name.

use std::str::FromStr;

use sqlparser::ast::{BinaryOperator, DataType, Expr, UnaryOperator, Value, ValueWithSpan};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::ALL_KEYWORDS;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::literal::{Literal, is_number};
use super::{CompareOp, Node, Predicate};
use crate::error::{Error, ErrorKind, Result};

const SUPPORTED: &str = "supported: = <> < <= > >= between a column and a literal or a column, IN, BETWEEN, \
                         LIKE, IS NULL, AND, OR, NOT, DATE '…', TIMESTAMP '…'; names with other than \
                         letters, digits and _ stand in double quotes, texts in single ones";

/// Whether SQL gives the word a meaning of its own.
pub(super) fn is_keyword(word: &str) -> bool {
    ALL_KEYWORDS.binary_search(&word.to_ascii_uppercase().as_str()).is_ok()
}

impl FromStr for Predicate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(Self(node(expression(text)?)?))
    }
}

/// The whole of `text` as one expression.
pub(super) fn expression(text: &str) -> Result<Expr> {
    let malformed = |cause: ParserError| {
        let problem = match cause {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
        };
        usage("not a condition in SQL").with("filter", text).with("problem", problem)
    };
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(malformed)?;
    let expr = parser.parse_expr().map_err(malformed)?;
    match parser.next_token().token {
        Token::EOF => Ok(expr),
        token => Err(usage("not a condition in SQL")
            .with("filter", text)
            .with("problem", format!("did not expect {token} there"))),
    }
}

fn usage(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Usage, message).hint(SUPPORTED)
}

fn unsupported(what: &str, found: &Expr) -> Error {
    usage(format!("{what} not supported in a filter")).with("found", found)
}

fn node(expr: Expr) -> Result<Node> {
    match expr {
        Expr::Nested(inner) => node(*inner),
        Expr::Identifier(name) => Ok(Node::Flag(name.value)),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Node::Not(Box::new(node(*expr)?))),
        Expr::IsNull(inner) => Ok(Node::Null { column: column(*inner)?, negated: false }),
        Expr::IsNotNull(inner) => Ok(Node::Null { column: column(*inner)?, negated: true }),
        Expr::InList { expr, list, negated } => Ok(Node::In {
            column: column(*expr)?,
            literals: list.into_iter().map(literal).collect::<Result<_>>()?,
            negated,
        }),
        Expr::Between { expr, negated, low, high } => between(*expr, negated, *low, *high),
        Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
            like(*expr, &pattern, negated)
        }
        Expr::BinaryOp { op: BinaryOperator::And, .. } => Ok(Node::All(chain(expr, &BinaryOperator::And)?)),
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => Ok(Node::Any(chain(expr, &BinaryOperator::Or)?)),
        Expr::BinaryOp { left, op, right } => match compare_op(&op) {
            Some(op) => compare(*left, op, *right),
            None => Err(refused(&Expr::BinaryOp { left, op, right })),
        },
        other => Err(refused(&other)),
    }
}

/// The terms of a chain of one operator. The chain leans left and can be thousands of terms long, which is
/// why it is walked and not recursed into.
fn chain(expr: Expr, by: &BinaryOperator) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut pending = vec![expr];
    while let Some(next) = pending.pop() {
        match next {
            Expr::BinaryOp { left, op, right } if op == *by => pending.extend([*right, *left]),
            Expr::Nested(inner) => pending.push(*inner),
            other => nodes.push(node(other)?),
        }
    }
    Ok(nodes)
}

fn between(expr: Expr, negated: bool, low: Expr, high: Expr) -> Result<Node> {
    let column = column(expr)?;
    let both = Node::All(vec![
        Node::Compare { column: column.clone(), op: CompareOp::GtEq, literal: literal(low)? },
        Node::Compare { column, op: CompareOp::LtEq, literal: literal(high)? },
    ]);
    Ok(if negated { Node::Not(Box::new(both)) } else { both })
}

fn like(expr: Expr, pattern: &Expr, negated: bool) -> Result<Node> {
    let column = column(expr)?;
    match literal(pattern.clone())? {
        Literal::Text(pattern) => Ok(Node::Like { column, pattern, negated }),
        _ => Err(unsupported("patterns other than texts are", pattern)),
    }
}

fn compare(left: Expr, op: CompareOp, right: Expr) -> Result<Node> {
    match (is_column(&left), is_column(&right)) {
        (true, true) => Ok(Node::CompareColumns { left: column(left)?, op, right: column(right)? }),
        (true, false) => Ok(Node::Compare { column: column(left)?, op, literal: literal(right)? }),
        (false, true) => {
            Ok(Node::Compare { column: column(right)?, op: op.flipped(), literal: literal(left)? })
        }
        (false, false) => {
            // A side that is neither says better what is wrong than "no column" does.
            literal(left.clone())?;
            literal(right)?;
            Err(unsupported("comparisons without a column are", &left))
        }
    }
}

fn compare_op(op: &BinaryOperator) -> Option<CompareOp> {
    Some(match op {
        BinaryOperator::Eq => CompareOp::Eq,
        BinaryOperator::NotEq => CompareOp::NotEq,
        BinaryOperator::Lt => CompareOp::Lt,
        BinaryOperator::LtEq => CompareOp::LtEq,
        BinaryOperator::Gt => CompareOp::Gt,
        BinaryOperator::GtEq => CompareOp::GtEq,
        _ => return None,
    })
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => is_column(inner),
        _ => false,
    }
}

pub(super) fn column(expr: Expr) -> Result<String> {
    match expr {
        Expr::Identifier(name) => Ok(name.value),
        Expr::Nested(inner) => column(*inner),
        Expr::CompoundIdentifier(_) => Err(unsupported("fields of a column are", &expr)
            .hint("a column whose name has a dot stands in double quotes: \"a.b\"")),
        Expr::Value(_) | Expr::TypedString(_) => Err(unsupported("conditions without a column are", &expr)),
        Expr::BinaryOp { ref op, .. } if compare_op(op).is_some() => {
            Err(unsupported("conditions where a column belongs are", &expr))
        }
        other => Err(refused(&other)),
    }
}

pub(super) fn literal(expr: Expr) -> Result<Literal> {
    match expr {
        Expr::Nested(inner) => literal(*inner),
        Expr::Value(ValueWithSpan { value: Value::Boolean(value), .. }) => Ok(Literal::Bool(value)),
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Ok(Literal::Text(text)),
        Expr::Value(ValueWithSpan { value: Value::Number(number, false), .. }) => signed("", &number),
        Expr::UnaryOp { op, expr } => match (op, *expr) {
            (
                op @ (UnaryOperator::Minus | UnaryOperator::Plus),
                Expr::Value(ValueWithSpan { value: Value::Number(number, false), .. }),
            ) => signed(if op == UnaryOperator::Minus { "-" } else { "" }, &number),
            (op, inner) => Err(refused(&Expr::UnaryOp { op, expr: Box::new(inner) })),
        },
        Expr::TypedString(typed) => match (&typed.data_type, &typed.value.value) {
            (DataType::Date, Value::SingleQuotedString(text)) => Literal::date(text),
            (DataType::Timestamp(None, _), Value::SingleQuotedString(text)) => Literal::timestamp(text),
            _ => Err(unsupported("literals of this type are", &Expr::TypedString(typed))),
        },
        other => Err(refused(&other)),
    }
}

fn signed(sign: &str, number: &str) -> Result<Literal> {
    let text = format!("{sign}{number}");
    if is_number(&text) {
        return Ok(Literal::Number(text));
    }
    Err(usage("not a number").with("found", text))
}

/// Refuses what the language does not have, by the name people know it by.
fn refused(expr: &Expr) -> Error {
    let what = match expr {
        Expr::Function(_)
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Extract { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Overlay { .. } => "functions are",
        Expr::Cast { .. } | Expr::Convert { .. } => "casts are",
        Expr::Case { .. } => "CASE is",
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => "subqueries are",
        Expr::BinaryOp { .. } | Expr::UnaryOp { .. } => "arithmetic and other operators are",
        Expr::Like { .. } => "LIKE ANY and ESCAPE are",
        Expr::ILike { .. } | Expr::SimilarTo { .. } | Expr::RLike { .. } => "patterns other than LIKE are",
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => "IS DISTINCT FROM is",
        Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_) => "IS TRUE, IS FALSE and IS UNKNOWN are",
        Expr::Interval(_) => "intervals are",
        Expr::AtTimeZone { .. } => "AT TIME ZONE is",
        Expr::Value(ValueWithSpan { value: Value::Null, .. }) => "NULL outside of IS NULL is",
        Expr::Value(ValueWithSpan { value: Value::Placeholder(_), .. }) => "placeholders are",
        Expr::Value(ValueWithSpan { value: Value::DoubleQuotedString(_), .. }) => {
            "texts in double quotes are"
        }
        Expr::Value(_) => "conditions without a column are",
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => "a column there is",
        _ => "such an expression is",
    };
    unsupported(what, expr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(sql: &str) -> Error {
        sql.parse::<Predicate>().expect_err(sql)
    }

    #[test]
    fn what_is_not_covered_is_refused_by_name() {
        for (sql, message) in [
            ("lower(x) = 'a'", "functions are not supported in a filter (found: lower(x))"),
            ("trim(x) = 'a'", "functions are not supported in a filter (found: TRIM(x))"),
            ("x = now()", "functions are not supported in a filter (found: now())"),
            ("CAST(x AS INT) = 1", "casts are not supported in a filter (found: CAST(x AS INT))"),
            ("x + 1 = 2", "arithmetic and other operators are not supported in a filter (found: x + 1)"),
            ("x = NULL", "NULL outside of IS NULL is not supported in a filter (found: NULL)"),
            ("x IN (1, NULL)", "NULL outside of IS NULL is not supported in a filter (found: NULL)"),
            ("x IN (SELECT 1)", "subqueries are not supported in a filter (found: x IN (SELECT 1))"),
            ("x ILIKE 'a'", "patterns other than LIKE are not supported in a filter (found: x ILIKE 'a')"),
            ("1 = 1", "comparisons without a column are not supported in a filter (found: 1)"),
            ("a.b = 1", "fields of a column are not supported in a filter (found: a.b)"),
            (
                "x = y IS NULL",
                "conditions where a column belongs are not supported in a filter (found: x = y)",
            ),
            ("true", "conditions without a column are not supported in a filter (found: true)"),
            (
                "x IS TRUE",
                "IS TRUE, IS FALSE and IS UNKNOWN are not supported in a filter (found: x IS TRUE)",
            ),
            ("x BETWEEN a AND 2", "a column there is not supported in a filter (found: a)"),
        ] {
            let error = error(sql);
            assert_eq!(error.kind(), ErrorKind::Usage, "{sql}");
            assert_eq!(error.to_string(), message, "{sql}");
            assert!(error.hint_text().is_some(), "{sql}");
        }
    }

    #[test]
    fn what_is_not_sql_is_refused_whole() {
        for sql in ["", "x =", "x = 1 garbage", "x = 1; DROP TABLE t", "x = 'open", "(x = 1", "x = 1 2"] {
            assert_eq!(error(sql).message(), "not a condition in SQL", "{sql}");
        }
    }

    #[test]
    fn a_literal_that_names_no_day_is_refused() {
        assert_eq!(error("x = DATE '2021-02-30'").message(), "not a date");
        assert_eq!(error("x = DATE '2021-02-03T10:00:00'").message(), "not a date");
        assert_eq!(error("x = TIMESTAMP 'noon'").message(), "not a timestamp");
    }

    #[test]
    fn a_long_chain_and_a_deep_nest_are_no_danger() {
        let long = vec!["x = 1"; 5_000].join(" OR ");
        assert_eq!(long.parse::<Predicate>().unwrap().columns(), ["x"]);
        let deep = format!("{}x = 1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert_eq!(error(&deep).message(), "not a condition in SQL");
    }
}
