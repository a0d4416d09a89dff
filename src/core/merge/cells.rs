//! How the stored and the incoming value of a row become one, column by column.

use std::fmt;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::kernels::zip::zip;

use super::ColumnPolicy;
use super::canonical::RowEncoder;
use super::order::{nan_to_null, no_order};
use crate::core::schema::type_name;
use crate::error::{Error, Result};

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
                    return Err(no_order(column).with("type", type_name(stored.data_type())));
                }
                let encoder = RowEncoder::new([(column, stored.data_type())])?;
                let (stored, new) = (nan_to_null(stored)?, nan_to_null(new)?);
                let (old, nulls) = (encoder.encode(&[ArrayRef::clone(&stored)])?, new.logical_nulls());
                let (new, old_nulls) = (encoder.encode(&[new])?, stored.logical_nulls());
                let is_null = |nulls: &Option<arrow::buffer::NullBuffer>, row| {
                    nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
                };
                // A null is neither the greatest value nor the least.
                all(&|row| match (is_null(&old_nulls, row), is_null(&nulls, row)) {
                    (_, true) => true,
                    (true, false) => false,
                    (false, false) if policy == ColumnPolicy::Max => old.row(row) >= new.row(row),
                    (false, false) => old.row(row) <= new.row(row),
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
