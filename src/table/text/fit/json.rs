//! What comes into an NDJSON column: JSON has types of its own, and a column keeps its type.
//!
//! What was sent as a number is written as a number, and with the digits that were sent, unless they would
//! make the column one of another type.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field};

use super::{Fitted, Role, one_kind};
use crate::core::cast::{CastRefused, exact, or_null};
use crate::core::merge::order::no_order;
use crate::core::schema::type_name;
use crate::core::text::{BadCell, TextRules, float_keeps, parse, print};
use crate::error::{Error, Result};
use crate::table::casts::say_nulls;
use crate::table::fit::{refused, shown};
use crate::table::text::cells::Cells;
use crate::table::text::columns::decode;
use crate::table::text::file::is_text;
use crate::table::text::json_types::JsonTypes;
use crate::table::text::layout::Layout;
use crate::table::text::said;

/// A stored column that values come into.
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) stored: &'a JsonTypes,
    /// The type that stored values are compared in so far.
    pub(super) view: &'a DataType,
    pub(super) role: Role,
    pub(super) layout: &'a Layout,
    /// Whether values that do not fit become null.
    pub(super) or_null: bool,
    /// Rows that came in before these.
    pub(super) first_row: usize,
}

impl Column<'_> {
    /// Takes in `values`, which are not in a dictionary.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for values that do not fit the stored type.
    pub(super) fn fit(&self, values: &ArrayRef) -> Result<Fitted> {
        let plain = !values.data_type().is_nested();
        if !plain && self.role == Role::Modification {
            return Err(no_order(self.name).with("type", type_name(values.data_type())));
        }
        match self.stored.data_type() {
            // Strings are compared as they will be when they are stored.
            _ if !self.stored.seen() && !is_text(values.data_type()) => {
                Ok(Fitted { cells: self.cells(values)?, column: Arc::clone(values) })
            }
            None if self.stored.are_numbers() => self.long_numbers(values),
            // Among values of many kinds each keeps its own.
            None => {
                let cells = self.cells(values)?;
                Ok(Fitted { column: Arc::new(cells.texts().clone()), cells })
            }
            Some(DataType::Utf8) if plain => self.strings(values),
            Some(_) => self.typed(values),
        }
    }

    /// The same for the tokens of JSON.
    pub(super) fn fit_tokens(&self, tokens: &ArrayRef) -> Result<Fitted> {
        let tokens = print(tokens.as_ref())?;
        let texts = said(&tokens, self.name, self.first_row)?;
        self.check_kinds(&tokens)?;
        self.check_forms(&texts)?;
        let texts: ArrayRef = Arc::new(texts);
        let mut both = self.stored.clone();
        tokens.iter().flatten().for_each(|token| both.observe(token));
        let column = match (self.stored.data_type(), both.data_type()) {
            (_, told) if !self.stored.seen() => {
                self.read(&tokens, texts, both.instants(std::iter::empty()).or(told))?
            }
            (None, _) if !self.stored.are_numbers() => texts,
            (Some(stored), Some(wider)) if stored.is_nested() => self.read(&tokens, texts, Some(wider))?,
            (Some(stored), None) if stored.is_nested() => {
                return Err(self.refused(CastRefused::Types, texts.data_type()));
            }
            // Values without parts are what they say, whatever kind of token says it.
            _ => return self.fit(&texts),
        };
        Ok(Fitted { column, cells: Cells::Token(tokens) })
    }

    /// Refuses tokens as modification values that have no order, whatever is stored beside them.
    fn check_kinds(&self, tokens: &StringArray) -> Result<()> {
        if self.role != Role::Modification {
            return Ok(());
        }
        if let Some(nested) = tokens.iter().flatten().find(|token| token.starts_with(['[', '{'])) {
            return Err(no_order(self.name).with("value", shown(nested)));
        }
        one_kind(self.name, tokens.iter().flatten().map(|token| (token.starts_with(['t', 'f']), token)))
    }

    /// Refuses dates as modification values of which some are in ISO 8601: all of them would be if one was
    /// stored.
    fn check_forms(&self, texts: &StringArray) -> Result<()> {
        if self.role != Role::Modification {
            return Ok(());
        }
        let texts = self.stored.in_form(texts);
        one_kind(self.name, texts.iter().flatten().map(|text| (self.stored.is_foreign(text), text)))
    }

    fn cells(&self, column: &ArrayRef) -> Result<Cells> {
        Cells::new(self.name, column, self.layout)
    }

    fn refused(&self, why: CastRefused, from: &DataType) -> Error {
        let field = Field::new(self.name, self.view.clone(), true);
        refused(why, from, &field, self.first_row)
    }

    /// The tokens, which say `texts`, as the type that was told of them; as text if there is none.
    fn read(&self, tokens: &StringArray, texts: ArrayRef, told: Option<DataType>) -> Result<ArrayRef> {
        let unread = |error: Error| error.with("column", self.name);
        match told {
            Some(told) if told.is_nested() => {
                let tokens = tokens.iter().map(|token| token.unwrap_or("null"));
                decode(tokens, &told)
                    .map_err(|cause| unread(Error::internal("JSON was not read").because(cause)))
            }
            Some(told) => parse(texts.as_string(), &told, &TextRules::default())
                .map_err(|bad| unread(Error::internal("JSON was not read").with("value", bad.value))),
            None => Ok(texts),
        }
    }

    /// Whatever comes into a column of strings is one. Timestamps are compared as instants as long as all of
    /// them are.
    fn strings(&self, values: &ArrayRef) -> Result<Fitted> {
        let cells = self.cells(values)?;
        self.check_forms(cells.texts())?;
        let texts = self.stored.in_form(cells.texts());
        let told = self.stored.instants(texts.iter().flatten());
        let instants = told.and_then(|told| parse(&texts, &told, &TextRules::default()).ok());
        let column = instants.unwrap_or_else(|| Arc::new(texts.clone()));
        Ok(Fitted { column, cells: Cells::String(texts) })
    }

    /// Numbers among which some are too long for any type of ours: compared as text, and written as numbers.
    fn long_numbers(&self, values: &ArrayRef) -> Result<Fitted> {
        let own = values.data_type();
        let fits = |values: &ArrayRef| match is_text(own).then(|| print(values)) {
            Some(Ok(texts)) => number_tokens(&texts).map(drop).map_err(CastRefused::Lossy),
            Some(Err(_)) => Err(CastRefused::Types),
            None => Ok(()),
        };
        let values = &self.fitting(values, &fits)?;
        let sent = self.cells(values)?;
        let tokens = match own {
            _ if own.is_numeric() || values.null_count() == values.len() => Ok(sent.texts().clone()),
            _ if is_text(own) => number_tokens(sent.texts()).map_err(CastRefused::Lossy),
            _ => Err(CastRefused::Types),
        };
        let tokens = tokens.map_err(|why| self.refused(why, own))?;
        Ok(Fitted { column: Arc::new(tokens.clone()), cells: Cells::Token(tokens) })
    }

    /// The values as [`Self::cast`] has them, with the digits that were sent.
    fn typed(&self, values: &ArrayRef) -> Result<Fitted> {
        let own = values.data_type();
        let values = &self.fitting(values, &|values: &ArrayRef| self.cast(values).map(drop))?;
        if values.null_count() == values.len() {
            let column = new_null_array(self.view, values.len());
            return Ok(Fitted { cells: self.cells(&column)?, column });
        }
        let column = self.cast(values).map_err(|why| self.refused(why, own))?;
        let canonical = self.cells(&column)?;
        let numbers = is_text(own) && column.data_type().is_numeric();
        let cells =
            if numbers { Cells::Token(as_sent(&print(values)?, &column, &canonical)) } else { canonical };
        Ok(Fitted { column, cells })
    }

    /// The values that fit one by one, and null for the others, if the rule says so.
    fn fitting(
        &self,
        values: &ArrayRef,
        fits: &impl Fn(&ArrayRef) -> Result<(), CastRefused>,
    ) -> Result<ArrayRef> {
        if !self.or_null || values.null_count() == values.len() {
            return Ok(Arc::clone(values));
        }
        let (left, nulls) = or_null(values, fits).map_err(|why| self.refused(why, values.data_type()))?;
        say_nulls(std::iter::once((self.name, nulls)));
        Ok(left)
    }

    /// The values in the stored type, or in the wider one of both.
    fn cast(&self, values: &ArrayRef) -> Result<ArrayRef, CastRefused> {
        match self.view {
            DataType::Int64 => exact(values, self.view).or_else(|why| self.as_floats(values, why)),
            DataType::Float64 if is_text(values.data_type()) => self.as_floats(values, CastRefused::Types),
            _ => exact(values, self.view),
        }
    }

    /// Numbers, or the text of some, where all that are stored are floats as well; else refused as it was
    /// already.
    fn as_floats(&self, values: &ArrayRef, why: CastRefused) -> Result<ArrayRef, CastRefused> {
        let own = values.data_type();
        if !own.is_numeric() && !is_text(own) {
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

/// The texts of numbers as they were sent where they are JSON and leave `column` of its type; else in the
/// `canonical` form.
fn as_sent(texts: &StringArray, column: &ArrayRef, canonical: &Cells) -> StringArray {
    let integers = *column.data_type() == DataType::Int64;
    let stays = |text: &&str| is_number(text) && (!integers || text.parse::<i64>().is_ok());
    let cells = texts.iter().zip(canonical.texts());
    cells.map(|(text, canonical)| text.filter(stays).or(canonical)).collect()
}

/// The texts as JSON numbers.
fn number_tokens(texts: &StringArray) -> Result<StringArray, BadCell> {
    let token = |(row, text): (usize, Option<&str>)| match text.map(|text| (text, number_token(text))) {
        None => Ok(None),
        Some((_, Some(token))) => Ok(Some(token.into_owned())),
        Some((text, None)) => Err(BadCell { row, value: text.to_owned() }),
    };
    texts.iter().enumerate().map(token).collect()
}

/// The JSON number that a text is: `007` is 7.
fn number_token(text: &str) -> Option<Cow<'_, str>> {
    if is_number(text) {
        return Some(Cow::Borrowed(text));
    }
    let texts = StringArray::from(vec![text]);
    let types = [DataType::Int64, DataType::Float64];
    let read = types.iter().find_map(|to| parse(&texts, to, &TextRules::default()).ok())?;
    let printed = print(&read).ok()?;
    let token = printed.value(0);
    (is_number(token) && float_keeps(text)).then(|| Cow::Owned(token.to_owned()))
}

/// Whether a text is a JSON number.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
