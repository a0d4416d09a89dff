//! What comes into an NDJSON column: JSON has types of its own, and a column keeps its type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::datatypes::{DataType, Field};

use super::Fitted;
use crate::core::cast::{CastRefused, exact};
use crate::core::text::{BadCell, parse, print};
use crate::error::Result;
use crate::table::fit::refused;
use crate::table::text::encode::Cells;
use crate::table::text::file::is_text;
use crate::table::text::json_types::JsonTypes;
use crate::table::text::layout::Layout;

/// A stored column that values come into.
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) stored: &'a JsonTypes,
    /// The type that stored values are compared in so far.
    pub(super) view: &'a DataType,
    pub(super) layout: &'a Layout,
}

impl Column<'_> {
    /// Takes in `values`, which are not in a dictionary.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for values that do not fit the stored type.
    pub(super) fn fit(&self, values: &ArrayRef) -> Result<Fitted> {
        if !self.stored.seen() {
            return Ok(Fitted { cells: self.cells(values)?, column: Arc::clone(values) });
        }
        if self.stored.instants(std::iter::empty()).is_some() {
            return self.instants(values);
        }
        let mixed = self.stored.data_type().is_none();
        let own = values.data_type();
        if mixed || (*self.view == DataType::Utf8 && !is_text(own) && !own.is_nested()) {
            let sent = self.cells(values)?;
            let texts: ArrayRef = Arc::new(sent.texts().clone());
            // Among values of many kinds a number stays a number; a column of strings gets strings.
            let cells = if mixed { sent } else { self.cells(&texts)? };
            return Ok(Fitted { column: texts, cells });
        }
        let column = self.typed(values)?;
        Ok(Fitted { cells: self.cells(&column)?, column })
    }

    fn cells(&self, column: &ArrayRef) -> Result<Cells> {
        Cells::new(self.name, column, self.layout)
    }

    /// Strings where the stored ones are timestamps: compared as instants as long as all of them are,
    /// written as sent.
    fn instants(&self, values: &ArrayRef) -> Result<Fitted> {
        let texts: ArrayRef = Arc::new(self.cells(values)?.texts().clone());
        let sent = self.cells(&texts)?;
        let told = self.stored.instants(sent.texts().iter().flatten());
        let instants = told.and_then(|told| parse(sent.texts(), &told, &self.layout.rules).ok());
        Ok(Fitted { column: instants.unwrap_or(texts), cells: sent })
    }

    /// The values in the stored type, or in the wider one of both.
    fn typed(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if values.null_count() == values.len() {
            return Ok(new_null_array(self.view, values.len()));
        }
        let typed = exact(values, self.view).or_else(|why| self.as_numbers(values, why));
        typed.map_err(|why| {
            let field = Field::new(self.name, self.view.clone(), true);
            refused(why, values.data_type(), &field, 0)
        })
    }

    /// Numbers, or the text of some, where integers are stored that are all floats as well; else refused
    /// as it was already.
    fn as_numbers(&self, values: &ArrayRef, why: CastRefused) -> Result<ArrayRef, CastRefused> {
        let own = values.data_type();
        if *self.view != DataType::Int64 || !(own.is_numeric() || is_text(own)) {
            return Err(why);
        }
        let floats = exact(values, &DataType::Float64)?;
        let tokens = print(values).map_err(|_| CastRefused::Types)?;
        let mut both = self.stored.clone();
        for (row, token) in tokens.iter().enumerate() {
            both.observe(token.unwrap_or("null"));
            if !both.data_type().is_some_and(|told| told.is_numeric()) {
                let value = token.unwrap_or_default().to_owned();
                return Err(CastRefused::Lossy(BadCell { row, value }));
            }
        }
        // Text may spell integers as floats.
        Ok(exact(&floats, self.view).unwrap_or(floats))
    }
}
