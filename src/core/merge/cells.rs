//! How the stored and the incoming value of a row become one, column by column.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, or};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::ColumnPolicy;
use super::canonical::RowEncoder;
use super::order::{as_text, compare_texts, nan_to_null};
use super::outcome::Pair;
use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};

/// What is said of columns; of others the incoming value is taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cells {
    policies: Vec<(String, ColumnPolicy)>,
    stamp: Option<Stamp>,
}

/// How it is said of a stored row that it is deleted, or that it has ended.
#[derive(Debug, Clone, PartialEq)]
struct Stamp {
    /// The column that says that it is deleted.
    flag: Option<String>,
    /// The others that are set then.
    columns: Vec<String>,
    /// Whether it is said of a row at all.
    is_used: bool,
}

/// As it is said behind `--policy`.
impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (column, policy)) in self.policies.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{column}={policy}")?;
        }
        Ok(())
    }
}

impl Cells {
    pub(super) fn set(&mut self, column: String, policy: ColumnPolicy) {
        self.policies.retain(|(other, _)| *other != column);
        if policy != ColumnPolicy::Newest {
            self.policies.push((column, policy));
        }
    }

    /// The same where some of the rows just say in the column `flag` that they are deleted. Of these, the column `modified` is
    /// taken as well, and no other.
    pub(super) fn with_stamps(mut self, flag: &str, modified: Option<&str>, is_used: bool) -> Self {
        let columns = modified.map(ToOwned::to_owned).into_iter().collect();
        self.stamp = Some(Stamp { flag: Some(flag.to_owned()), columns, is_used });
        self
    }

    /// The same where some of the rows just say in `columns` that the stored ones have ended. Other rows take all that comes in.
    pub(super) fn with_ends(mut self, columns: [&str; 2], is_used: bool) -> Self {
        self.stamp = Some(Stamp { flag: None, columns: columns.map(ToOwned::to_owned).to_vec(), is_used });
        self
    }

    /// Becomes the same as `other`; whether there are rows that just say that they are deleted, both know together.
    pub(crate) fn join(&mut self, other: &Self) {
        let is_used = self.stamp.as_ref().is_some_and(|stamp| stamp.is_used);
        self.clone_from(other);
        if let Some(stamp) = &mut self.stamp {
            stamp.is_used |= is_used;
        }
    }

    /// The columns that have a policy.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|(column, _)| column.as_str())
    }

    /// The columns that depend on what is stored, even where no row is a stamp.
    pub(crate) fn dependent(&self) -> impl Iterator<Item = &str> {
        self.columns().chain(self.stamp.as_ref().and_then(|stamp| stamp.flag.as_deref()))
    }

    /// What is said of a column.
    pub(crate) fn policy(&self, column: &str) -> ColumnPolicy {
        let said = self.policies.iter().find(|(other, _)| other == column);
        said.map_or(ColumnPolicy::Newest, |(_, policy)| *policy)
    }

    /// Whether it says of rows that they are deleted.
    pub(crate) fn is_flag(&self, column: &str) -> bool {
        self.stamp.as_ref().is_some_and(|stamp| stamp.flag.as_deref() == Some(column))
    }

    /// Whether it takes more than the incoming values of a column to know what is written.
    pub(crate) fn depend_on_stored(&self, column: &str) -> bool {
        self.dependent().any(|other| other == column)
            || self.stamp.as_ref().is_some_and(|stamp| stamp.is_used) && !self.is_stamped(column)
    }

    /// Whether a row that is deleted, or has ended, takes the incoming value.
    pub(crate) fn is_stamped(&self, column: &str) -> bool {
        self.is_flag(column)
            || self.stamp.as_ref().is_some_and(|stamp| stamp.columns.iter().any(|other| other == column))
    }

    /// Which rows keep the stored value of a column, whatever it is, because they just say that they are deleted or have ended.
    pub(crate) fn stays(&self, column: &str, pairs: &[Pair]) -> Option<BooleanArray> {
        let any = !self.is_stamped(column) && pairs.iter().any(|pair| pair.is_stamp);
        any.then(|| pairs.iter().map(|pair| Some(pair.is_stamp)).collect())
    }

    /// Which rows, of `pairs`, keep the stored value of a column when they are replaced; `None` if none does.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the greater value is asked for and there is no order.
    pub(crate) fn keeps(
        &self,
        column: &str,
        stored: &ArrayRef,
        new: &ArrayRef,
        pairs: &[Pair],
    ) -> Result<Option<BooleanArray>> {
        if self.is_flag(column) {
            // Who is deleted stays so, and who is not needs no clearing.
            let nulls = stored.logical_nulls();
            let (flags, texts) = (stored.as_boolean_opt(), texts_of(stored)?);
            // A text says no as a file without types would: nothing, or false.
            let says_no = |text: &str| text.is_empty() || text.eq_ignore_ascii_case("false");
            let is_set = |row: usize| {
                nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
                    && flags.is_none_or(|flags| flags.value(row))
                    && texts.as_ref().is_none_or(|texts| !says_no(texts.value(row)))
            };
            return Ok(Some(
                pairs.iter().enumerate().map(|(row, pair)| Some(pair.is_stamp == is_set(row))).collect(),
            ));
        }
        let keeps = self.keeps_by_policy(column, stored, new)?;
        Ok(match (keeps, self.stays(column, pairs)) {
            (Some(keeps), Some(stays)) => Some(or(&keeps, &stays).map_err(apart)?),
            (keeps, stays) => keeps.or(stays),
        })
    }

    fn keeps_by_policy(
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

    /// The values that rows, of `pairs`, have when they are replaced.
    ///
    /// # Errors
    ///
    /// As [`Cells::keeps`].
    pub(crate) fn merged(
        &self,
        column: &str,
        stored: &ArrayRef,
        new: &ArrayRef,
        pairs: &[Pair],
    ) -> Result<ArrayRef> {
        let Some(keeps) = self.keeps(column, stored, new, pairs)? else { return Ok(ArrayRef::clone(new)) };
        zip(&keeps, stored, new).map_err(apart)
    }
}

/// The values of a column of text.
fn texts_of(values: &ArrayRef) -> Result<Option<StringArray>> {
    let is_text = matches!(values.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let texts = is_text.then(|| cast(values, &DataType::Utf8)).transpose().map_err(apart)?;
    Ok(texts.and_then(|texts| texts.as_string_opt().cloned()))
}

fn apart(cause: ArrowError) -> Error {
    Error::internal("values could not be brought together").because(cause)
}
