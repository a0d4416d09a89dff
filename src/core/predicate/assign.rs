//! `COLUMN = VALUE`: what a column is set to, in the language of conditions.

use std::fmt;
use std::str::FromStr;

use sqlparser::ast::{BinaryOperator, Expr, FunctionArguments, Value, ValueWithSpan};

use super::parse::{column, expression, literal};
use super::{Literal, Name};
use crate::error::{Error, ErrorKind, Result};

/// A column, and what it is set to in every incoming row.
///
/// Parsed from SQL: `column = value`, where the value is a literal as in a [`Predicate`](crate::Predicate), `NULL`, another
/// column, or `now()`, which is one instant for a whole run.
///
/// ```
/// use keyfold::Assignment;
///
/// let set: Assignment = "source = 'web'".parse()?;
/// assert_eq!(set.column(), "source");
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    column: String,
    value: Assigned,
}

/// What a column is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assigned {
    Literal(Literal),
    Null,
    /// The time of the run.
    Now,
    /// The values of another column.
    Column(String),
}

impl Assignment {
    /// The column that is set.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// What it is set to.
    pub(crate) fn value(&self) -> &Assigned {
        &self.value
    }
}

/// Prints SQL that parses to the same assignment.
impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = ", Name(&self.column))?;
        match &self.value {
            Assigned::Literal(literal) => literal.fmt(f),
            Assigned::Null => f.write_str("NULL"),
            Assigned::Now => f.write_str("now()"),
            Assigned::Column(column) => Name(column).fmt(f),
        }
    }
}

impl FromStr for Assignment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let odd = || {
            Error::new(ErrorKind::Usage, "not an assignment")
                .with("found", text)
                .hint("write it as COLUMN = VALUE; a value is 1, 'text', TRUE, NULL, DATE '…', TIMESTAMP '…', now(), or a column")
        };
        match expression(text).map_err(|cause| odd().because(cause))? {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                let column = column(*left).map_err(|cause| odd().because(cause))?;
                let value = assigned(*right).map_err(|cause| odd().because(cause))?;
                Ok(Self { column, value })
            }
            _ => Err(odd()),
        }
    }
}

fn assigned(expr: Expr) -> Result<Assigned> {
    match expr {
        Expr::Nested(inner) => assigned(*inner),
        Expr::Value(ValueWithSpan { value: Value::Null, .. }) => Ok(Assigned::Null),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => column(expr).map(Assigned::Column),
        Expr::Function(ref call) => {
            let is_bare = match &call.args {
                FunctionArguments::List(list) => list.args.is_empty() && list.clauses.is_empty(),
                FunctionArguments::None | FunctionArguments::Subquery(_) => false,
            };
            let is_now = call.name.to_string().eq_ignore_ascii_case("now");
            if is_now && is_bare && call.over.is_none() && call.filter.is_none() {
                Ok(Assigned::Now)
            } else {
                literal(expr).map(Assigned::Literal)
            }
        }
        other => literal(other).map(Assigned::Literal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_set_to_a_literal_a_column_or_the_time() {
        let set = |text: &str| text.parse::<Assignment>().map(|set| (set.column, set.value)).expect(text);
        let number = |digits: &str| Assigned::Literal(Literal::Number(digits.to_owned()));
        assert_eq!(set("n = -1.50"), ("n".to_owned(), number("-1.50")));
        assert_eq!(set("t='it''s'").1, Assigned::Literal(Literal::Text("it's".to_owned())));
        assert_eq!(set("t = TRUE").1, Assigned::Literal(Literal::Bool(true)));
        assert_eq!(set("t = null").1, Assigned::Null);
        assert_eq!(set("at = NOW()").1, Assigned::Now);
        assert_eq!(set("\"paid at\" = (\"at\")"), ("paid at".to_owned(), Assigned::Column("at".to_owned())));
    }

    #[test]
    fn what_is_more_than_that_is_refused() {
        for text in [
            "",
            "n",
            "n = ",
            "1 = n",
            "n = 1 + 1",
            "n = m + 1",
            "n == 1 = 2",
            "n < 1",
            "n = upper(m)",
            "n = now(1)",
            "n = now",
            "a.b = 1",
            "n = 1, m = 2",
            "n = 'x' AND m = 1",
        ] {
            match text.parse::<Assignment>() {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Usage, "{text}"),
                Ok(set) => assert_eq!((text, set.value), ("n = now", Assigned::Column("now".to_owned()))),
            }
        }
    }
}
