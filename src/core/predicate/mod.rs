//! The condition of a filter: one small closed language, so that every engine gives one answer.
//!
//! A [`Predicate`] is parsed once from SQL text. Bound to a schema it holds only literals in the
//! types of their columns, and no `NOT`: what is left of three-valued logic is that no test holds for a
//! null, so an engine that lowers it needs no rules of its own.

mod assign;
mod bind;
mod evaluate;
mod literal;
mod parse;

use std::fmt;

pub(crate) use assign::Assigned;
pub use assign::Assignment;
pub(crate) use bind::{Bound, Column, Test};
pub(crate) use literal::Literal;

/// A condition on the columns of one row.
///
/// Parsed from SQL: comparisons (`= <> < <= > >=`) of a column with a literal or another column, `IN`,
/// `BETWEEN`, `LIKE` (`%`, `_`, and `\` before either to mean itself), `IS NULL`, a boolean column
/// alone, `AND`, `OR`, `NOT`, parentheses, and the literals `1`, `1.5`, `'text'`, `TRUE`,
/// `DATE '2021-05-22'` and `TIMESTAMP '2021-05-22T10:00:00Z'`. Column names are matched exactly;
/// `"in quotes"` they may hold anything.
///
/// Rows are selected where it is true, so not where a null leaves it unknown. NaN equals NaN and is the
/// greatest number, -0.0 equals 0.0. A literal keeps its exact value beside integers, decimals and
/// times, and is the nearest value of the type beside floats. A time without zone is UTC beside a
/// column with one.
///
/// ```
/// use keyfold::Predicate;
///
/// let filter: Predicate = r#"total >= 10 AND NOT (state IN ('new', 'void') OR "paid at" IS NULL)"#.parse()?;
/// assert_eq!(filter.columns(), ["total", "state", "paid at"]);
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate(Node);

/// A predicate as it was written, except that literals stand right of columns, `BETWEEN` is two
/// comparisons, and chains of `AND` or `OR` are flat.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare { column: String, op: CompareOp, literal: Literal },
    CompareColumns { left: String, op: CompareOp, right: String },
    In { column: String, literals: Vec<Literal>, negated: bool },
    Like { column: String, pattern: String, negated: bool },
    Null { column: String, negated: bool },
    Flag(String),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompareOp {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

impl CompareOp {
    /// The operator with its sides changed over.
    fn flipped(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::NotEq => Self::NotEq,
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
        }
    }

    /// The operator that holds where this one does not.
    fn negated(self) -> Self {
        match self {
            Self::Eq => Self::NotEq,
            Self::NotEq => Self::Eq,
            Self::Lt => Self::GtEq,
            Self::LtEq => Self::Gt,
            Self::Gt => Self::LtEq,
            Self::GtEq => Self::Lt,
        }
    }
}

impl fmt::Display for CompareOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "=",
            Self::NotEq => "<>",
            Self::Lt => "<",
            Self::LtEq => "<=",
            Self::Gt => ">",
            Self::GtEq => ">=",
        })
    }
}

impl Predicate {
    /// The columns it looks at, each once, in the order in which they are named.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.0.visit_columns(&mut |column| {
            if !found.contains(&column) {
                found.push(column);
            }
        });
        found
    }

    /// The same condition on columns of other names.
    pub(crate) fn renamed(&self, name: &impl Fn(&str) -> String) -> Self {
        Self(self.0.renamed(name))
    }
}

impl Node {
    fn renamed(&self, name: &impl Fn(&str) -> String) -> Self {
        let all = |nodes: &[Self]| nodes.iter().map(|node| node.renamed(name)).collect();
        match self.clone() {
            Self::All(nodes) => Self::All(all(&nodes)),
            Self::Any(nodes) => Self::Any(all(&nodes)),
            Self::Not(node) => Self::Not(Box::new(node.renamed(name))),
            Self::CompareColumns { left, op, right } => {
                Self::CompareColumns { left: name(&left), op, right: name(&right) }
            }
            Self::Compare { column, op, literal } => Self::Compare { column: name(&column), op, literal },
            Self::In { column, literals, negated } => Self::In { column: name(&column), literals, negated },
            Self::Like { column, pattern, negated } => Self::Like { column: name(&column), pattern, negated },
            Self::Null { column, negated } => Self::Null { column: name(&column), negated },
            Self::Flag(column) => Self::Flag(name(&column)),
        }
    }

    fn visit_columns<'a>(&'a self, visit: &mut impl FnMut(&'a str)) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|node| node.visit_columns(visit)),
            Self::Not(node) => node.visit_columns(visit),
            Self::CompareColumns { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Self::Compare { column, .. }
            | Self::In { column, .. }
            | Self::Like { column, .. }
            | Self::Null { column, .. }
            | Self::Flag(column) => visit(column),
        }
    }
}

/// Prints SQL that parses to the same predicate.
impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(nodes) => join(f, nodes, " AND "),
            Self::Any(nodes) => join(f, nodes, " OR "),
            Self::Not(node) => write!(f, "NOT ({node})"),
            Self::Compare { column, op, literal } => write!(f, "{} {op} {literal}", Name(column)),
            Self::CompareColumns { left, op, right } => write!(f, "{} {op} {}", Name(left), Name(right)),
            Self::In { column, literals, negated } => {
                write!(f, "{} {}IN (", Name(column), not(*negated))?;
                join(f, literals, ", ")?;
                f.write_str(")")
            }
            Self::Like { column, pattern, negated } => {
                write!(f, "{} {}LIKE {}", Name(column), not(*negated), literal::Quoted(pattern))
            }
            Self::Null { column, negated } => write!(f, "{} IS {}NULL", Name(column), not(*negated)),
            Self::Flag(column) => Name(column).fmt(f),
        }
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

fn join<T: fmt::Display + Parenthesised>(f: &mut fmt::Formatter<'_>, items: &[T], by: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { by })?;
        if item.parenthesised() { write!(f, "({item})")? } else { item.fmt(f)? }
    }
    Ok(())
}

/// Whether an item of a chain must stand in parentheses.
trait Parenthesised {
    fn parenthesised(&self) -> bool;
}

impl Parenthesised for Node {
    fn parenthesised(&self) -> bool {
        matches!(self, Self::All(_) | Self::Any(_))
    }
}

impl Parenthesised for Literal {
    fn parenthesised(&self) -> bool {
        false
    }
}

/// A column's name as SQL, in quotes unless it is plain.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !parse::is_keyword(name);
        if plain { f.write_str(name) } else { write!(f, "\"{}\"", name.replace('"', "\"\"")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_parses_to_the_same_predicate() {
        for (sql, printed) in [
            ("a=1", "a = 1"),
            ("-1.50 < \"a.b\"", "\"a.b\" > -1.50"),
            ("a = 1 and (b = 2 and c = 3) or d <> e", "(a = 1 AND b = 2 AND c = 3) OR d <> e"),
            ("a between 1 and 2", "a >= 1 AND a <= 2"),
            ("not between_ and NOT a", "NOT (between_) AND NOT (a)"),
            ("a NOT BETWEEN DATE '2021-01-01' AND DATE '2021-02-01'", ""),
            (
                "x in ('it''s', 'b') or x not in (1, -2, true)",
                "x IN ('it''s', 'b') OR x NOT IN (1, -2, TRUE)",
            ),
            ("x is null and X is not null", "x IS NULL AND X IS NOT NULL"),
            ("x not like '50\\%%'", "x NOT LIKE '50\\%%'"),
            ("t >= TIMESTAMP '2021-05-22 10:00:00+02'", "t >= TIMESTAMP '2021-05-22 10:00:00+02'"),
            ("\"select\" = \"a\"\"b\"", "\"select\" = \"a\"\"b\""),
        ] {
            let first: Predicate = sql.parse().unwrap();
            let text = first.to_string();
            assert_eq!(text.parse::<Predicate>().unwrap(), first, "{text}");
            if !printed.is_empty() {
                assert_eq!(text, printed);
            }
        }
    }

    #[test]
    fn columns_are_named_once_in_order() {
        let predicate: Predicate = "b = 1 AND (a = b OR \"c.d\" IS NULL) AND NOT flag".parse().unwrap();
        assert_eq!(predicate.columns(), ["b", "a", "c.d", "flag"]);
    }
}
