//! The type of a column of JSON tokens, told from all of them.

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Fields};
use serde_json::value::RawValue;

use super::layout::Layout;
use super::ndjson::entries;
use crate::core::text::{Form, Guess};

/// Deeper values are taken as text: each level is looked at by a call of its own.
const DEEPEST: usize = 48;

/// What has been seen in a column.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the column")]
pub(super) struct JsonTypes {
    bools: bool,
    strings: bool,
    /// What the strings could be if they were read as text: JSON writes timestamps as strings.
    texts: Guess,
    form: Option<Form>,
    ints: bool,
    floats: bool,
    /// Some integer is not a float exactly.
    long_ints: bool,
    /// Some number is neither an integer of ours nor a float.
    wide: bool,
    /// Some value has no type of ours: an object without keys.
    other: bool,
    items: Option<Box<JsonTypes>>,
    fields: Option<Vec<(String, JsonTypes)>>,
}

impl JsonTypes {
    /// Nothing yet.
    pub(super) fn new(layout: &Layout) -> Self {
        Self { form: Form::new(&layout.rules), ..Self::default() }
    }

    /// Takes one more valid token.
    pub(super) fn observe(&mut self, token: &str) {
        self.observe_at(token, 0);
    }

    /// Joins what was seen in two parts of a column.
    pub(super) fn merge(&mut self, part: &Self) {
        self.bools |= part.bools;
        self.strings |= part.strings;
        self.texts.merge(&part.texts);
        if let (Some(form), Some(more)) = (&mut self.form, &part.form) {
            form.merge(more);
        }
        self.ints |= part.ints;
        self.floats |= part.floats;
        self.long_ints |= part.long_ints;
        self.wide |= part.wide;
        self.other |= part.other;
        if let Some(items) = &part.items {
            self.items.get_or_insert_default().merge(items);
        }
        if let Some(fields) = &part.fields {
            self.fields.get_or_insert_default();
            for (name, types) in fields {
                self.field(name).merge(types);
            }
        }
    }

    fn field(&mut self, name: &str) -> &mut Self {
        let fields = self.fields.get_or_insert_default();
        let at = fields.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            fields.push((name.to_owned(), Self::default()));
            fields.len() - 1
        });
        &mut fields[at].1
    }

    /// Whether there was a value that is not null.
    pub(super) fn seen(&self) -> bool {
        self.bools
            || self.strings
            || self.ints
            || self.floats
            || self.wide
            || self.other
            || self.items.is_some()
            || self.fields.is_some()
    }

    /// The kinds of values that were seen.
    fn kinds(&self) -> usize {
        let numbers = self.ints || self.floats || self.wide;
        let kinds = [self.bools, self.strings, numbers, self.items.is_some(), self.fields.is_some()];
        kinds.iter().filter(|kind| **kind).count() + usize::from(self.other)
    }

    /// Whether there are numbers and nothing else; some of them may be too long for any type of ours.
    pub(super) fn are_numbers(&self) -> bool {
        (self.ints || self.floats || self.wide) && self.kinds() == 1
    }

    /// Texts in the form that dates have in the strings of this column.
    pub(super) fn in_form(&self, texts: &StringArray) -> StringArray {
        self.form.as_ref().map_or_else(|| texts.clone(), |form| form.apply(texts))
    }

    /// Whether a text is a date in another form than ISO 8601.
    pub(super) fn is_foreign(&self, text: &str) -> bool {
        self.form.as_ref().is_some_and(|form| form.is_foreign(text))
    }

    /// The type that every token is of; `None` if they are of several, or numbers that no type of ours holds:
    /// they are read as text then.
    pub(super) fn data_type(&self) -> Option<DataType> {
        match self.kinds() {
            _ if self.other || self.wide => None,
            0 => Some(DataType::Utf8),
            1 => self.only_type(),
            _ => None,
        }
    }

    /// The type in which strings are compared that are timestamps, all of them and those of `more`.
    pub(super) fn instants<'a>(&self, more: impl Iterator<Item = &'a str>) -> Option<DataType> {
        let mut texts = self.texts.clone();
        more.for_each(|text| texts.observe(text));
        let told = texts.data_type();
        // A column without values is one of strings.
        let strings = self.data_type() == Some(DataType::Utf8);
        (strings && matches!(told, DataType::Timestamp(..))).then_some(told)
    }

    fn only_type(&self) -> Option<DataType> {
        if let Some(items) = &self.items {
            return items.data_type().map(|item| DataType::new_list(item, true));
        }
        if let Some(fields) = &self.fields {
            let typed = fields.iter().map(|(name, types)| Some(Field::new(name, types.data_type()?, true)));
            return typed.collect::<Option<Fields>>().map(DataType::Struct);
        }
        match (self.bools, self.strings, self.floats) {
            (true, ..) => Some(DataType::Boolean),
            (_, true, _) => Some(DataType::Utf8),
            (.., true) => (!self.long_ints).then_some(DataType::Float64),
            _ => Some(DataType::Int64),
        }
    }

    fn observe_at(&mut self, token: &str, depth: usize) {
        match token.as_bytes().first() {
            Some(b'n') | None => {}
            Some(b'"') => {
                self.strings = true;
                // An escape stays as it is: no timestamp has one.
                let text = token.trim_matches('"');
                self.texts.observe(text);
                if let Some(form) = &mut self.form {
                    form.observe(text);
                }
            }
            Some(b't' | b'f') => self.bools = true,
            Some(b'[') if depth < DEEPEST => self.observe_items(token, depth),
            Some(b'{') if depth < DEEPEST => self.observe_fields(token, depth),
            Some(b'[' | b'{') => self.other = true,
            Some(_) => self.observe_number(token),
        }
    }

    fn observe_number(&mut self, token: &str) {
        if token.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            self.floats = true;
            self.wide |= !token.parse::<f64>().is_ok_and(f64::is_finite);
        } else if let Ok(number) = token.parse::<i64>() {
            self.ints = true;
            self.long_ints |= number.unsigned_abs() > 1 << f64::MANTISSA_DIGITS;
        } else {
            self.wide = true;
        }
    }

    fn observe_items(&mut self, token: &str, depth: usize) {
        let items = self.items.get_or_insert_default();
        match serde_json::from_str::<Vec<&RawValue>>(token) {
            Ok(values) => values.iter().for_each(|value| items.observe_at(value.get(), depth + 1)),
            Err(_) => self.other = true,
        }
    }

    fn observe_fields(&mut self, token: &str, depth: usize) {
        let mut names: Vec<String> = Vec::new();
        let mut values = Vec::new();
        let read = entries(
            token,
            |key| {
                names.push(key.to_owned());
                Some(names.len() - 1)
            },
            |_, value| values.push(value),
        );
        // A struct without fields is a type that nothing downstream can hold.
        self.other |= read.is_err() || names.is_empty();
        self.fields.get_or_insert_default();
        for (name, value) in names.iter().zip(values) {
            self.field(name).observe_at(value, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema::type_name;

    fn told(tokens: &[&str]) -> Option<String> {
        let mut types = JsonTypes::default();
        for token in tokens {
            types.observe(token);
        }
        types.data_type().map(|told| type_name(&told))
    }

    #[test]
    fn a_column_has_the_type_that_json_gives_it() {
        assert_eq!(told(&["1", "null", "-2"]).as_deref(), Some("int64"));
        assert_eq!(told(&["1", "1e3"]).as_deref(), Some("float64"));
        assert_eq!(told(&["true", "false"]).as_deref(), Some("bool"));
        assert_eq!(told(&["\"1\""]).as_deref(), Some("string"));
        assert_eq!(told(&["null"]).as_deref(), Some("string"));
    }

    #[test]
    fn strings_that_are_all_timestamps_are_compared_as_instants() {
        let told = |tokens: &[&str], more: &str| {
            let mut types = JsonTypes::default();
            for token in tokens {
                types.observe(token);
            }
            types.instants([more].into_iter()).map(|told| type_name(&told))
        };
        let at = "\"2021-05-22T02:51:15Z\"";
        assert_eq!(told(&[at], "2021-05-22T02:51:15.5Z").as_deref(), Some("timestamp(ms, UTC)"));
        assert_eq!(told(&[at], "2021-05-22T02:51:15.123456Z").as_deref(), Some("timestamp(us, UTC)"));
        assert_eq!(told(&[at], "soon"), None);
        assert_eq!(told(&[at, "1"], "2021-05-22T02:51:15Z"), None);
    }

    #[test]
    fn values_of_several_kinds_are_text() {
        assert_eq!(told(&["1", "\"1\""]), None);
        assert_eq!(told(&["[1]", "[true]"]), None);
        assert_eq!(told(&["{}"]), None);
    }

    #[test]
    fn numbers_that_a_float_or_an_integer_cannot_hold_are_text() {
        assert_eq!(told(&["18446744073709551616"]), None);
        assert_eq!(told(&["1e999"]), None);
        assert_eq!(told(&["9007199254740993"]).as_deref(), Some("int64"));
        assert_eq!(told(&["9007199254740993", "0.5"]), None);
    }

    #[test]
    fn numbers_are_told_from_other_values_however_long_they_are() {
        let numbers = |tokens: &[&str]| {
            let mut types = JsonTypes::default();
            for token in tokens {
                types.observe(token);
            }
            types.are_numbers()
        };
        assert!(numbers(&["1"]) && numbers(&["18446744073709551616"]) && numbers(&["0.5", "1e999", "null"]));
        assert!(!numbers(&["null"]) && !numbers(&["1", "\"1\""]) && !numbers(&["1e999", "{}"]));
    }

    #[test]
    fn parts_of_a_column_join_as_if_they_were_one() {
        let tokens = ["{\"a\":[1]}", "null", "{\"b\":2,\"a\":[0.5]}"];
        let mut joined = JsonTypes::default();
        for token in tokens {
            let mut part = JsonTypes::default();
            part.observe(token);
            joined.merge(&part);
        }
        assert_eq!(joined.data_type().map(|told| type_name(&told)), told(&tokens));
    }

    #[test]
    fn lists_and_objects_nest() {
        let tokens = ["{\"a\":[1,null],\"b\":{\"c\":\"x\"}}", "{\"b\":null,\"d\":1.5}", "null"];
        let expected = "struct<a: list<int64>, b: struct<c: string>, d: float64>";
        assert_eq!(told(&tokens).as_deref(), Some(expected));
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(told(&[&deep]), None);
    }
}
