//! The part of a table that an upsert is for: nothing outside of it is met, and no row is put there.

use arrow::datatypes::Schema;

use super::settle::{Incoming, row_number};
use crate::core::predicate::{Bound, Predicate};
use crate::core::schema::find_column;
use crate::error::{Error, Result};

/// A condition, of which all columns are stored and come in.
#[derive(Debug)]
pub(super) struct Scope<'a>(&'a Predicate);

impl<'a> Scope<'a> {
    pub(super) fn new(condition: &'a Predicate, incoming: &Incoming, stored: &Schema) -> Result<Self> {
        for column in condition.columns() {
            find_column(&incoming.batch().schema(), column, "scope column")?;
            find_column(stored, column, "scope column")?;
        }
        Ok(Self(condition))
    }

    /// The columns that it looks at.
    pub(super) fn columns(&self) -> impl Iterator<Item = String> {
        self.0.columns().into_iter().map(ToOwned::to_owned)
    }

    /// The incoming rows outside of it. A delete mark is not asked: it need not have more than an id.
    pub(super) fn rejected(&self, incoming: &Incoming) -> Result<Vec<u32>> {
        let batch = incoming.batch();
        let inside = self.0.bind(&batch.schema())?.evaluate(batch)?;
        let rows = 0..row_number(batch.num_rows());
        Ok(rows.filter(|row| !inside.value(*row as usize) && !incoming.is_mark(*row)).collect())
    }

    /// The condition on stored rows of which just the key columns are at hand.
    pub(super) fn on_keys(self, stored: &Schema, key_columns: &[String]) -> Result<Bound> {
        let field = |column: &String| Ok(stored.field(find_column(stored, column, "scope column")?).clone());
        let fields = key_columns.iter().map(field).collect::<Result<Vec<_>, Error>>()?;
        self.0.bind(&Schema::new(fields))
    }
}
