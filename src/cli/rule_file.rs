//! A rule kept in a file: the words of the flags as keys of TOML, each told with its place if it is wrong.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::rule_flags::{Flag, Takes};
use crate::cli::rule_words::{Word, parse};
use crate::cli::toml_place::Place;
use crate::error::{Error, ErrorKind, Result};

/// The words of a file, in its order.
///
/// # Errors
///
/// `Usage` if it cannot be read, is not TOML, or says what no flag can.
pub(crate) fn read(path: &Path, definition: &Command) -> Result<Vec<Word>> {
    let text = std::fs::read_to_string(path).map_err(|cause| usage("cannot read the rule").because(cause));
    let words = text.and_then(|text| words(&text, definition));
    words.map_err(|error| error.with("file", path.display()))
}

/// The words of the text of a file.
pub(crate) fn words(text: &str, definition: &Command) -> Result<Vec<Word>> {
    let table = DeTable::parse(text).map_err(|cause| {
        let place = Place::of(text, cause.span().map_or(0, |span| span.start));
        place.told(usage("the rule is not TOML")).hint(cause.message().to_owned())
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut words: Vec<Word> = Vec::new();
    for (key, value) in entries {
        let place = Place::of(text, key.span().start);
        let name = key.get_ref().replace('_', "-");
        let wrong = |message| place.told(usage(message).with("key", key.get_ref()));
        let Some(flag) = Flag::all(definition).find(|flag| flag.name() == name) else {
            return Err(wrong("unknown key").hint(known_keys(definition, &name)));
        };
        if words.iter().any(|word| word.flag == name) {
            return Err(wrong("a key is there twice").hint("- and _ are the same in a key"));
        }
        let entry = Entry { text, definition, key: key.get_ref(), flag };
        if let Some(values) = entry.values(value)? {
            words.push(Word { flag: name, values, place: Some(place) });
        }
    }
    Ok(words)
}

fn usage(message: &'static str) -> Error {
    Error::new(ErrorKind::Usage, message)
}

fn known_keys(definition: &Command, name: &str) -> String {
    let known: Vec<_> = Flag::all(definition).map(Flag::name).collect();
    let known = format!("known keys: {}", known.join(", "));
    let said = Word { flag: name.to_owned(), values: Vec::new(), place: None };
    let near = parse(definition, &[said]).err();
    match near.as_ref().and_then(|error| suggested(error, ContextKind::SuggestedArg)) {
        Some(near) => format!("did you mean {}? {known}", near.trim_start_matches('-')),
        None => known,
    }
}

fn suggested(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(one) => Some(one),
        ContextValue::Strings(all) => all.first().map(String::as_str),
        _ => None,
    }
}

/// A key of the file, and the flag it stands for.
struct Entry<'a> {
    text: &'a str,
    definition: &'a Command,
    key: &'a str,
    flag: Flag<'a>,
}

impl Entry<'_> {
    /// The values of the flag; `None` if the key says no more than its absence would.
    fn values(&self, value: &Spanned<DeValue>) -> Result<Option<Vec<OsString>>> {
        match (self.flag.takes(), value.get_ref()) {
            (Takes::Nothing, DeValue::Boolean(is_said)) => Ok(is_said.then(Vec::new)),
            (Takes::Nothing, _) => Err(self.wrong_type(value, "boolean")),
            // In an array each string is one value; a string by itself is what is typed behind the flag.
            (takes, DeValue::Array(items)) if self.flag.is_list() => {
                let values = items.iter().map(|item| self.value(&takes, item, "array of strings"));
                let values = values.collect::<Result<Vec<_>>>()?;
                Ok((!values.is_empty()).then_some(values))
            }
            (takes, DeValue::String(text)) if self.flag.is_list() => {
                let values = self.flag.split(text).into_iter().map(OsString::from).collect();
                self.checked(values, &takes, value).map(Some)
            }
            (takes, _) => {
                let expected = match takes {
                    _ if self.flag.is_list() => "string or array of strings",
                    Takes::Other => "string or number",
                    _ => "string",
                };
                self.value(&takes, value, expected).map(|value| Some(vec![value]))
            }
        }
    }

    fn value(&self, takes: &Takes, value: &Spanned<DeValue>, expected: &'static str) -> Result<OsString> {
        let text = match (takes, value.get_ref()) {
            (_, DeValue::String(text)) => text.to_string(),
            (Takes::Other, DeValue::Integer(number)) => number.to_string(),
            (Takes::Other, DeValue::Float(number)) => number.to_string(),
            _ => return Err(self.wrong_type(value, expected)),
        };
        let mut checked = self.checked(vec![text.into()], takes, value)?;
        Ok(checked.swap_remove(0))
    }

    /// The values, if the flag takes them. What it needs of other flags is asked when all are known.
    fn checked(&self, values: Vec<OsString>, takes: &Takes, at: &Spanned<DeValue>) -> Result<Vec<OsString>> {
        let word = Word { flag: self.flag.name().to_owned(), values, place: None };
        let Err(error) = parse(self.definition, std::slice::from_ref(&word)) else { return Ok(word.values) };
        if !matches!(error.kind(), ClapKind::InvalidValue | ClapKind::ValueValidation) {
            return Ok(word.values);
        }
        Err(self.placed(self.refused(&error, takes), at))
    }

    /// What clap says of a value, in the words of a file.
    fn refused(&self, error: &clap::Error, takes: &Takes) -> Error {
        let found = error.get(ContextKind::InvalidValue).map(ToString::to_string);
        let wrong = |message| usage(message).with("key", self.key).with("value", found.unwrap_or_default());
        let Takes::OneOf(known) = takes else {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            return wrong("a key has a value that it does not take").hint(cause.unwrap_or_default());
        };
        let known = format!("known values: {}", known.join(", "));
        wrong("a key has an unknown value").hint(match suggested(error, ContextKind::SuggestedValue) {
            Some(near) => format!("did you mean {near}? {known}"),
            None => known,
        })
    }

    fn wrong_type(&self, found: &Spanned<DeValue>, expected: &'static str) -> Error {
        let error = usage("a key has the wrong type")
            .with("key", self.key)
            .with("found", found.get_ref().type_str())
            .with("expected", expected);
        self.placed(error, found)
    }

    fn placed(&self, error: Error, at: &Spanned<DeValue>) -> Error {
        Place::of(self.text, at.span().start).told(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rule_flags::definition;
    use crate::cli::rule_flags::tests::of_every_kind;

    /// What is told of a text that is wrong: the message, and the hint.
    fn told(definition: &Command, text: &str) -> (String, String) {
        let error = words(text, definition).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
        (error.to_string(), error.hint_text().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_would_be_right() {
        let told = |text| told(&definition(), text);
        let (message, hint) = told("id = 'a'\n[xyz]\nx = 1\n");
        assert_eq!(message, "unknown key (key: xyz, line: 2, column: 2)");
        assert!(hint.starts_with("known keys: id, modified, method, "), "{hint}");
        let (message, hint) = told("null_modifid = 'lowest'");
        assert_eq!(message, "unknown key (key: null_modifid, line: 1, column: 1)");
        assert!(hint.starts_with("did you mean null-modified? known keys: "), "{hint}");
        let (message, hint) = told("id = 'a'\nties = 'kep'");
        assert_eq!(message, "a key has an unknown value (key: ties, value: kep, line: 2, column: 8)");
        assert_eq!(hint, "did you mean keep? known values: incoming, keep, error");
        assert_eq!(told("ties = ''").1, "known values: incoming, keep, error");
        let wrong = |text| told(text).0;
        assert_eq!(
            wrong("id = ['a', 7]"),
            "a key has the wrong type (key: id, found: integer, expected: array of strings, line: 1, column: 12)"
        );
        assert_eq!(
            wrong("id = true"),
            "a key has the wrong type (key: id, found: boolean, expected: string or array of strings, line: 1, column: 6)"
        );
        assert_eq!(
            wrong("modified = ['at']"),
            "a key has the wrong type (key: modified, found: array, expected: string, line: 1, column: 12)"
        );
        assert_eq!(
            wrong("null-modified = 'error'\nnull_modified = 'error'"),
            "a key is there twice (key: null_modified, line: 2, column: 1)"
        );
        let (message, hint) = told("id = 'a'\nid = 'b'");
        assert_eq!(message, "the rule is not TOML (line: 2, column: 1)");
        assert_eq!(hint, "duplicate key");
    }

    #[test]
    fn flags_that_no_rule_has_yet_are_told_of_in_the_same_way() {
        let definition = of_every_kind();
        let told = |text| told(&definition, text);
        assert_eq!(
            told("allow-empty = 'yes'").0,
            "a key has the wrong type (key: allow-empty, found: string, expected: boolean, line: 1, column: 15)"
        );
        let (message, hint) = told("max-delete = 300");
        assert_eq!(
            message,
            "a key has a value that it does not take (key: max-delete, value: 300, line: 1, column: 14)"
        );
        assert_eq!(hint, "300 is not in 0..=255");
        assert_eq!(
            told("max-delete = true").0,
            "a key has the wrong type (key: max-delete, found: boolean, expected: string or number, line: 1, column: 14)"
        );
    }

    #[test]
    fn what_says_no_more_than_its_absence_is_no_word() {
        let words = words("allow-empty = false\npolicy = []\n", &of_every_kind());
        assert_eq!(words.expect("words"), []);
    }
}
