//! One JSON object a line: where lines end, which tokens an object holds, what a token says.

use std::borrow::Cow;
use std::fmt;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::{Fault, Span};

/// What ails a string that [`text`] cannot read, and what to do.
pub(super) const NO_CHARACTER: &str = "a string has an escape that is no character";
pub(super) const ONE_CHARACTER: &str =
    "write \\ud800 to \\udfff in pairs of a high and a low half, or as the character itself";

/// Splits `bytes` from `from` on into lines that are not blank. Gives where the first line starts that
/// is not whole; with `ended` there is none.
pub(super) fn split(bytes: &[u8], from: usize, ended: bool, records: &mut Vec<Span>) -> usize {
    let mut at = from;
    let mut line = |start: usize, end: usize| {
        if !bytes[start..end].trim_ascii_start().is_empty() {
            records.push(Span::new(start, end));
        }
    };
    for newline in memchr::memchr_iter(b'\n', &bytes[from..]) {
        line(at, from + newline + 1);
        at = from + newline + 1;
    }
    if ended && at < bytes.len() {
        line(at, bytes.len());
        at = bytes.len();
    }
    at
}

/// Keys and the column each stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    names: Vec<String>,
    places: HashMap<String, usize, RandomState>,
    next: usize,
}

impl Slots {
    /// The slots of `names`, in this order.
    pub(super) fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut slots = Self::default();
        for name in names {
            slots.add(&name.into());
        }
        slots
    }

    /// All names, by slot.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The slot of `name`.
    pub(super) fn get(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The slot of `name`, for keys that come in the order of an object.
    pub(super) fn find(&mut self, name: &str) -> Option<usize> {
        // Objects of one file mostly have the same keys in the same order.
        let expected = self.names.get(self.next).is_some_and(|next| next == name);
        let slot = if expected { Some(self.next) } else { self.get(name) };
        self.next = slot.map_or(self.next, |slot| if slot + 1 < self.names.len() { slot + 1 } else { 0 });
        slot
    }

    /// The same, with a new slot for a name that has none.
    pub(super) fn find_or_add(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| self.add(name))
    }

    fn add(&mut self, name: &str) -> usize {
        let slot = self.names.len();
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), slot);
        slot
    }
}

/// Calls `take` with the slot and raw token of each key that `resolve` gives a slot, in the order of the
/// object.
pub(super) fn entries<'a>(
    line: &'a str,
    resolve: impl FnMut(&str) -> Option<usize>,
    take: impl FnMut(usize, &'a str),
) -> Result<(), Fault> {
    let mut json = serde_json::Deserializer::from_str(line);
    let read = json.deserialize_map(Entries { resolve, take }).and_then(|()| json.end());
    read.map_err(|cause| {
        let value = line.trim_ascii_start();
        if !value.starts_with('{') && serde_json::from_str::<IgnoredAny>(value).is_ok() {
            return Fault::new(0, "a line is not a JSON object")
                .hint("each line must be one object: {\"column\": value, …}");
        }
        Fault::new(0, "a line is not valid JSON")
            .hint("each line must be one whole JSON object")
            .because(cause)
    })
}

struct Entries<N, T> {
    resolve: N,
    take: T,
}

impl<'de, N: FnMut(&str) -> Option<usize>, T: FnMut(usize, &'de str)> Visitor<'de> for Entries<N, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(slot) = map.next_key_seed(Key(&mut self.resolve))? {
            match slot {
                Some(slot) => (self.take)(slot, map.next_value::<&RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Looks a key up without keeping it.
struct Key<'n, N>(&'n mut N);

impl<'de, N: FnMut(&str) -> Option<usize>> DeserializeSeed<'de> for Key<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<N: FnMut(&str) -> Option<usize>> Visitor<'_> for Key<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok((self.0)(key))
    }
}

/// What a token says: strings without quotes and escapes, other values as they stand; `None` is null.
///
/// # Errors
///
/// If the string has an escape that names no character.
pub(super) fn text(token: &str) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    match token.as_bytes() {
        b"null" => Ok(None),
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => {
            Ok(token.get(1..token.len() - 1).map(Cow::Borrowed))
        }
        [b'"', ..] => serde_json::from_str::<String>(token).map(|text| Some(Cow::Owned(text))),
        _ => Ok(Some(Cow::Borrowed(token))),
    }
}

/// Writes `text` as a JSON string.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    // Control characters, quotes and backslashes are all that needs an escape.
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !plain(byte)) {
        out.extend_from_slice(&rest[..at]);
        write_escape(rest[at], out);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => return out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(line: &str) -> Result<Vec<(String, String)>, Fault> {
        let mut slots = Slots::default();
        let mut found = Vec::new();
        entries(
            line,
            |key| Some(slots.find_or_add(key)),
            |slot, token| found.push((slot, token.to_owned())),
        )?;
        Ok(found.into_iter().map(|(slot, token)| (slots.names()[slot].clone(), token)).collect())
    }

    #[test]
    fn blank_lines_are_no_records_and_a_last_line_may_go_on() {
        let mut records = Vec::new();
        assert_eq!(split(b"{}\n\r\n {}\n{", 0, false, &mut records), 9);
        assert_eq!(records, [Span::new(0, 3), Span::new(5, 9)]);
        assert_eq!(split(b"{}", 0, true, &mut records), 2);
        assert_eq!(records.len(), 3);
    }

    #[test]
    fn tokens_are_given_raw_and_keys_unescaped() {
        let found =
            tokens("{ \"a\\u0062\" : 1.50 , \"n\": { \"x\" : [1, 2] }, \"a\": \"\\n\" }\r\n").expect("reads");
        let expected = [("ab", "1.50"), ("n", "{ \"x\" : [1, 2] }"), ("a", "\"\\n\"")];
        assert_eq!(found, expected.map(|(key, token)| (key.to_owned(), token.to_owned())));
    }

    #[test]
    fn what_is_no_object_is_told_from_what_is_no_json() {
        let message = |line| tokens(line).expect_err("a fault").message.into_owned();
        assert_eq!(message("[1]"), "a line is not a JSON object");
        assert_eq!(message("{\"a\":}"), "a line is not valid JSON");
        assert_eq!(message("{\"a\":1} 2"), "a line is not valid JSON");
        assert_eq!(message("abc"), "a line is not valid JSON");
    }

    #[test]
    fn a_string_token_says_its_text() {
        let said = |token| text(token).ok().flatten().map(Cow::into_owned);
        assert_eq!(said("null"), None);
        assert_eq!(said("\"null\"").as_deref(), Some("null"));
        assert_eq!(said("\"a\\n\\u00e9\"").as_deref(), Some("a\né"));
        assert_eq!(said("1.50").as_deref(), Some("1.50"));
        assert!(text("\"\\ud800\"").is_err());
    }

    #[test]
    fn strings_are_escaped_so_that_they_read_back() {
        for expected in ["", "a\"b\\c\n\r\t\u{1}\u{7f}é\u{2028}"] {
            let mut out = Vec::new();
            write_string(expected, &mut out);
            assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), expected);
        }
    }
}
