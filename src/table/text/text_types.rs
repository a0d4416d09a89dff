//! The type of a column of CSV fields, told from all of them: what the text says now, and what it must
//! still say after an upsert.

use arrow::array::StringArray;
use arrow::datatypes::DataType;

use super::layout::Layout;
use crate::core::text::{Form, Guess, TextRules};

/// What has been seen in a column.
#[derive(Debug, Clone)]
pub(super) struct TextTypes {
    told: Guess,
    /// What ISO 8601 alone tells, if there is a pattern beside it.
    plain: Option<Guess>,
    form: Option<Form>,
    seen: bool,
}

impl TextTypes {
    /// Nothing yet.
    pub(super) fn new(layout: &Layout) -> Self {
        let pattern = layout.rules.timestamp_format.as_ref();
        let plain = pattern.map(|_| Guess::new(&TextRules::default()));
        Self { told: Guess::new(&layout.rules), plain, form: Form::new(&layout.rules), seen: false }
    }

    /// Takes one more field that is not null.
    pub(super) fn observe(&mut self, text: &str) {
        self.told.observe(text);
        if let Some(plain) = &mut self.plain {
            plain.observe(text);
        }
        if let Some(form) = &mut self.form {
            form.observe(text);
        }
        self.seen = true;
    }

    /// Joins what was seen in two parts of a column.
    pub(super) fn merge(&mut self, part: &Self) {
        self.told.merge(&part.told);
        if let (Some(plain), Some(more)) = (&mut self.plain, &part.plain) {
            plain.merge(more);
        }
        if let (Some(form), Some(more)) = (&mut self.form, &part.form) {
            form.merge(more);
        }
        self.seen |= part.seen;
    }

    /// Whether there was a field that is not null.
    pub(super) fn seen(&self) -> bool {
        self.seen
    }

    /// The narrowest type in which every field survives.
    pub(super) fn data_type(&self) -> DataType {
        self.told.data_type()
    }

    /// Texts in the form that dates have in this column.
    pub(super) fn in_form(&self, texts: &StringArray) -> StringArray {
        self.form.as_ref().map_or_else(|| texts.clone(), |form| form.apply(texts))
    }

    /// The guess that new fields must not upset. A column that says what it is without the pattern has to
    /// go on doing so: the pattern may be that of the source, and the next reader need not know it.
    pub(super) fn to_keep(&self) -> &Guess {
        match &self.plain {
            Some(plain) if plain.data_type() == self.told.data_type() => plain,
            _ => &self.told,
        }
    }
}
