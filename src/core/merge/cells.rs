//! How the stored and the incoming value of a row become one, column by column.

use std::fmt;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::kernels::zip::zip;

use super::ColumnPolicy;
use super::canonical::RowEncoder;
use super::order::{as_text, compare_texts, nan_to_null};
use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};

/// What is said of columns; of others the incoming value is taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cells(Vec<(String, ColumnPolicy)>);

/// As it is said behind `--policy`.
impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (column, policy)) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{column}={policy}")?;
        }
        Ok(())
    }
}

impl Cells {
    pub(super) fn set(&mut self, column: String, policy: ColumnPolicy) {
        self.0.retain(|(other, _)| *other != column);
        if policy != ColumnPolicy::Newest {
            self.0.push((column, policy));
        }
    }

    /// The columns of which something is said.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(column, _)| column.as_str())
    }

    /// What is said of a column.
    pub(crate) fn policy(&self, column: &str) -> ColumnPolicy {
        let said = self.0.iter().find(|(other, _)| other == column);
        said.map_or(ColumnPolicy::Newest, |(_, policy)| *policy)
    }

    /// Which rows keep the stored value of a column when they are replaced; `None` if none does.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the greater value is asked for and there is no order.
    pub(crate) fn keeps(
        &self,
        column: &str,
        stored: &ArrayRef,
        new: &ArrayRef,
    ) -> Result<Option<BooleanArray>> {
        let all = |keep: &dyn Fn(usize) -> bool| Some((0..new.len()).map(|row| Some(keep(row))).collect());
        Ok(match self.policy(column) {
            ColumnPolicy::Newest => None,
            ColumnPolicy::InsertOnly => all(&|_| true),
            ColumnPolicy::KeepIfNull => {
                let nulls = new.logical_nulls();
                all(&|row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)))
            }
            policy @ (ColumnPolicy::Max | ColumnPolicy::Min) => {
                if stored.data_type().is_nested() {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        "the values of the column have no order",
                    )
                    .with("column", column)
                    .with("type", type_name(stored.data_type()))
                    .hint("the greater or the lesser value is one of numbers, text, dates or timestamps"));
                }
                let texts = as_text(stored)?.zip(as_text(new)?);
                let encoder = RowEncoder::new([(column, stored.data_type())])?;
                let (stored, new) = (nan_to_null(stored)?, nan_to_null(new)?);
                let nulls = [stored.logical_nulls(), new.logical_nulls()];
                let is_null = |side: usize, row| nulls[side].as_ref().is_some_and(|nulls| nulls.is_null(row));
                let (old, new) = (encoder.encode(&[stored])?, encoder.encode(&[new])?);
                let order = |row: usize| match &texts {
                    Some((old, new)) => compare_texts(old.value(row), new.value(row)),
                    None => old.row(row).cmp(&new.row(row)),
                };
                // A null is neither the greatest value nor the least.
                all(&|row| match (is_null(0, row), is_null(1, row)) {
                    (_, true) => true,
                    (true, false) => false,
                    (false, false) if policy == ColumnPolicy::Max => order(row).is_ge(),
                    (false, false) => order(row).is_le(),
                })
            }
        })
    }

    /// The values that rows have when they are replaced.
    ///
    /// # Errors
    ///
    /// As [`Cells::keeps`].
    pub(crate) fn merged(&self, column: &str, stored: &ArrayRef, new: &ArrayRef) -> Result<ArrayRef> {
        let Some(keeps) = self.keeps(column, stored, new)? else { return Ok(ArrayRef::clone(new)) };
        zip(&keeps, stored, new)
            .map_err(|cause| Error::internal("values could not be brought together").because(cause))
    }
}
