//! What comes into a CSV column: compared in a type that holds it and all that is stored, and written so
//! that the file tells the same type again.
//!
//! Any text fits a CSV file. But a stray `01` in a column of integers would make it a column of strings
//! for the next run, in which `1` is another id; so a value that would upset the type is written in the
//! canonical form of that type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::DataType;

use super::{Fitted, Role, one_kind};
use crate::core::cast::exact;
use crate::core::schema::type_name;
use crate::core::text::{Guess, float_keeps, instant, number, parse, print};
use crate::error::{Error, ErrorKind, Result};
use crate::table::fit::shown;
use crate::table::text::cells::Cells;
use crate::table::text::file::is_text;
use crate::table::text::layout::Layout;
use crate::table::text::text_types::TextTypes;

/// A stored column that values come into.
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) stored: &'a TextTypes,
    /// The type that stored values are compared in so far.
    pub(super) view: &'a DataType,
    pub(super) role: Role,
    pub(super) layout: &'a Layout,
}

impl Column<'_> {
    /// Takes in `values`, which are not in a dictionary.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a modification column whose order would become that of text.
    pub(super) fn fit(&self, values: &ArrayRef) -> Result<Fitted> {
        let sent = Cells::new(self.name, values, self.layout)?;
        let texts = &self.stored.in_form(sent.texts());
        for view in self.views(values.data_type(), texts) {
            let Some(column) = self.read(values, texts, &view) else { continue };
            let Some(written) = self.written(texts, &column)? else { continue };
            self.check_order(texts, &view)?;
            return Ok(Fitted { column, cells: Cells::Field(written) });
        }
        Err(Error::internal("text was not taken as text").with("column", self.name))
    }

    /// The types to compare in, those preferred first; the last one holds any text.
    fn views(&self, own: &DataType, texts: &StringArray) -> [DataType; 3] {
        let mut both = self.stored.clone();
        texts.iter().flatten().for_each(|text| both.observe(text));
        let both = both.data_type();
        let first = match own {
            _ if self.stored.seen() => self.view.clone(),
            own if is_text(own) => both.clone(),
            // Where nothing is stored, types of a frame are better than a guess from its text.
            own => own.clone(),
        };
        let views = [first, both, DataType::Utf8];
        if self.role == Role::Id { views.map(|view| id_view(view, own)) } else { views }
    }

    /// The values as `view`, if every one survives.
    fn read(&self, values: &ArrayRef, texts: &StringArray, view: &DataType) -> Option<ArrayRef> {
        if let Some(read) = read(texts, view, self.layout) {
            return Some(read);
        }
        // A frame has whole floats where integers are meant, and prints them otherwise.
        if is_text(values.data_type()) { None } else { exact(values, view).ok() }
    }

    /// What to write for `texts`, whose values are `column`, so that the column still tells the type
    /// of `column`; `None` if there is no way.
    fn written(&self, texts: &StringArray, column: &ArrayRef) -> Result<Option<StringArray>> {
        let view = column.data_type();
        let keeps = |guess: &Guess| guess.data_type() == *view;
        // In a column without values there is nothing to upset, nor in one of strings; ids that are floats
        // still are refused.
        let stored = self.stored.to_keep();
        let refused = self.role == Role::Id && view.is_floating();
        if refused || *view == DataType::Utf8 || !self.stored.seen() || keeps(&seen(stored, texts)) {
            return Ok(Some(texts.clone()));
        }
        let canonical = print(column)?;
        let safe = seen(stored, &canonical);
        if !keeps(&safe) {
            return Ok(None);
        }
        let cells = texts.iter().zip(&canonical).map(|(text, canonical)| {
            let stays = text.is_some_and(|text| {
                let mut with = safe.clone();
                with.observe(text);
                keeps(&with)
            });
            if stays { text } else { canonical }
        });
        Ok(Some(cells.collect()))
    }

    /// Refuses a modification column that had an order of its own, and would now be ordered as text.
    fn check_order(&self, texts: &StringArray, view: &DataType) -> Result<()> {
        if self.role != Role::Modification || *view != DataType::Utf8 {
            return Ok(());
        }
        let stored = self.stored.data_type();
        let misfit = (stored != DataType::Utf8).then(|| self.misfit(texts, &stored)).flatten();
        let Some(misfit) = misfit else {
            return one_kind(self.name, texts.iter().flatten().map(|text| (self.kind(text), text)));
        };
        Err(Error::new(ErrorKind::InvalidInput, "a modification value is not of the stored kind")
            .with("column", self.name)
            .with("stored", type_name(&stored))
            .with("value", shown(misfit))
            .hint("correct the value: with it the column would be ordered as text, where 9 is after 10"))
    }

    /// What a text is, in a column of nothing else.
    fn kind(&self, text: &str) -> Kind {
        if let Some((_, zoned)) = instant(text) {
            return Kind::Instant { zoned };
        }
        if number(text).is_some() {
            return Kind::Number;
        }
        let mut alone = TextTypes::new(self.layout);
        alone.observe(text);
        Kind::Other(alone.data_type())
    }

    /// The first text for which the order of `stored` values would be lost.
    fn misfit<'t>(&self, texts: &'t StringArray, stored: &DataType) -> Option<&'t str> {
        let mut texts_at_hand = texts.iter().flatten();
        if let DataType::Timestamp(_, zone) = stored {
            // Instants in text keep their order, with any offset and any number of digits.
            return texts_at_hand.find(|text| instant(text).map(|(_, zoned)| zoned) != Some(zone.is_some()));
        }
        if stored.is_numeric() {
            // So do numbers.
            return texts_at_hand.find(|text| number(text).is_none());
        }
        let mut both = self.stored.clone();
        let upsets = |text: &&str| {
            both.observe(text);
            both.data_type() == DataType::Utf8
                && read(&StringArray::from(vec![*text]), stored, self.layout).is_none()
        };
        texts_at_hand.find(upsets).or_else(|| texts.iter().flatten().next())
    }
}

/// What a modification value is. Text keeps the order of instants with any offset and any number of digits,
/// and that of numbers.
#[derive(PartialEq)]
enum Kind {
    Instant { zoned: bool },
    Number,
    Other(DataType),
}

/// An id that looks like a float is compared as the text it is: floats that print the same may differ,
/// and a CSV file has no type that could be changed. A frame with floats is left to be refused, for that
/// can be cast.
fn id_view(view: DataType, own: &DataType) -> DataType {
    match view {
        view if own.is_floating() => {
            if view.is_integer() {
                view
            } else {
                own.clone()
            }
        }
        view if view.is_floating() => DataType::Utf8,
        view => view,
    }
}

/// The texts as `view`, if every one survives.
fn read(texts: &StringArray, view: &DataType, layout: &Layout) -> Option<ArrayRef> {
    if *view == DataType::Utf8 {
        return Some(Arc::new(texts.clone()));
    }
    // Reading a float takes the nearest one, which is not what was sent.
    let keeps = *view != DataType::Float64 || texts.iter().flatten().all(float_keeps);
    if keeps { parse(texts, view, &layout.rules).ok() } else { None }
}

/// `guess`, with more fields.
fn seen(guess: &Guess, texts: &StringArray) -> Guess {
    let mut guess = guess.clone();
    texts.iter().flatten().for_each(|text| guess.observe(text));
    guess
}
