//! What is done to incoming columns before anything else, as it is typed: their names, and values that they are set to.

use std::str::FromStr;

use clap::Args;
use strum::VariantNames;

use crate::cli::args::{one_of, parsed};
use crate::core::merge::{IncomingColumns, NameCase};
use crate::core::predicate::Assignment;
use crate::error::{Error, ErrorKind, Result};

pub(super) const COLUMNS: &str = "Columns";

#[derive(Debug, Args)]
pub(super) struct ColumnArgs {
    /// Give incoming columns other names, before anything else; all other flags but --schema mean the new ones
    #[arg(long, value_name = "OLD=NEW,…", value_delimiter = ',', help_heading = COLUMNS)]
    #[arg(value_parser = parsed::<Rename>)]
    rename: Vec<Rename>,

    /// Set a column in all incoming rows: to a number, a 'text', TRUE, NULL, DATE '…', TIMESTAMP '…', `now()`, or another column;
    /// may be said several times
    #[arg(long, value_name = "COL = VALUE", help_heading = COLUMNS, value_parser = parsed::<Assignment>)]
    set: Vec<Assignment>,

    /// Whether incoming columns, and those that flags name, are the stored ones that differ in their case alone (fold) [default:
    /// exact]
    #[arg(long, value_name = "HOW", help_heading = COLUMNS)]
    #[arg(value_parser = one_of::<NameCase>(NameCase::VARIANTS))]
    case: Option<NameCase>,
}

impl ColumnArgs {
    pub(super) fn columns(self) -> IncomingColumns {
        let columns = IncomingColumns::default().with_case(self.case.unwrap_or_default());
        let rename = |columns: IncomingColumns, Rename(old, new)| columns.with_rename(old, new);
        let columns = self.rename.into_iter().fold(columns, rename);
        self.set.into_iter().fold(columns, IncomingColumns::with_set)
    }
}

/// An old name and a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rename(String, String);

impl FromStr for Rename {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((old, new)) if !old.is_empty() && !new.is_empty() && !new.contains('=') => {
                Ok(Self(old.to_owned(), new.to_owned()))
            }
            _ => Err(Error::new(ErrorKind::Usage, "not an old name and a new one")
                .with("found", text)
                .hint("write them as OLD=NEW")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_has_two_names() {
        assert_eq!("No=id".parse::<Rename>().ok(), Some(Rename("No".to_owned(), "id".to_owned())));
        for text in ["", "No", "No=", "=id", "a=b=c"] {
            assert_eq!(text.parse::<Rename>().map_err(|e| e.kind()), Err(ErrorKind::Usage), "{text}");
        }
    }
}
