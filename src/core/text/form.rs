//! The form that dates have in a stored column: that of ISO 8601, or that of the pattern beside it, which may
//! be that of the source alone.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::StringArray;

use super::TextRules;
use super::time::{Pattern, is_iso};

/// Tells the form of dates from all fields of a column, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pattern: Arc<Pattern>,
    /// Some field is a date or a timestamp of ISO 8601.
    iso: bool,
    /// Some field fits the pattern, and is not in ISO 8601.
    foreign: bool,
}

impl Form {
    /// Nothing yet; `None` without a pattern that there could be another form by.
    pub(crate) fn new(rules: &TextRules) -> Option<Self> {
        let pattern = Arc::new(Pattern::new(rules.timestamp_format.as_deref()?)?);
        Some(Self { pattern, iso: false, foreign: false })
    }

    /// Takes one more field that is not null.
    pub(crate) fn observe(&mut self, text: &str) {
        if is_iso(text) {
            self.iso = true;
        } else if !self.foreign {
            self.foreign = self.is_foreign(text);
        }
    }

    /// Whether a text fits the pattern, and is not in ISO 8601.
    pub(crate) fn is_foreign(&self, text: &str) -> bool {
        !is_iso(text) && self.pattern.to_iso(text).is_some()
    }

    /// Joins what was seen in two parts of a column.
    pub(crate) fn merge(&mut self, part: &Self) {
        self.iso |= part.iso;
        self.foreign |= part.foreign;
    }

    /// The texts in the form of the column: what fits the pattern is brought into ISO 8601 if dates are in
    /// that form, and no other. Whether it is must not depend on what else comes in: the same rows come in again
    /// when that is stored.
    pub(crate) fn apply(&self, texts: &StringArray) -> StringArray {
        if !self.iso || self.foreign {
            return texts.clone();
        }
        let iso = |text| match self.pattern.to_iso(text) {
            Some(iso) => Cow::Owned(iso),
            None => Cow::Borrowed(text),
        };
        texts.iter().map(|text| text.map(iso)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(pattern: &str, stored: &[&str], text: &str) -> String {
        let rules = TextRules { timestamp_format: Some(pattern.to_owned()), ..TextRules::default() };
        let parts = stored.iter().map(|field| {
            let mut part = Form::new(&rules).expect("a pattern");
            part.observe(field);
            part
        });
        let form = parts.reduce(|mut form, part| {
            form.merge(&part);
            form
        });
        form.expect("a field").apply(&StringArray::from(vec![text])).value(0).to_owned()
    }

    #[test]
    fn what_fits_the_pattern_is_brought_into_iso() {
        let iso = |pattern, text| applied(pattern, &["2021-01-01"], text);
        assert_eq!(iso("%d/%m/%Y", "22/05/2021"), "2021-05-22");
        assert_eq!(iso("%d/%m/%Y %H:%M", "22/05/2021 02:51"), "2021-05-22T02:51:00");
        assert_eq!(
            iso("%d/%m/%Y %H:%M:%S%.f %z", "22/05/2021 02:51:15.25 +0200"),
            "2021-05-22T00:51:15.250Z"
        );
        for text in ["2021-05-22T02:51:15+02:00", "soon", ""] {
            assert_eq!(iso("%d/%m/%Y", text), text);
        }
    }

    #[test]
    fn only_a_column_of_iso_dates_gets_them() {
        let kept = |stored: &[&str]| applied("%d/%m/%Y", stored, "22/05/2021");
        assert_eq!(kept(&["2021-05-22T02:51:15+02:00", "soon"]), "2021-05-22");
        assert_eq!(kept(&["2021-05-22", "01/01/2021"]), "22/05/2021");
        assert_eq!(kept(&["soon"]), "22/05/2021");
    }

    #[test]
    fn without_a_pattern_there_is_one_form() {
        assert!(Form::new(&TextRules::default()).is_none());
    }
}
