//! Delimited text, RFC 4180: where records and fields end, what a raw field says, how one is written.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::fault::{Fault, Span};
use super::layout::Layout;

/// Splits bytes into records and fields.
#[derive(Debug, Clone)]
pub(super) struct Splitter {
    delimiter: u8,
    quote: u8,
}

/// What a pass over some bytes has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Whole records with their line ends.
    pub(super) records: Vec<Span>,
    /// Their raw fields, quotes included, record after record.
    pub(super) fields: Vec<Span>,
    /// Where the first blank line stands that is no record.
    pub(super) blank: Option<usize>,
}

impl Found {
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.fields.clear();
        self.blank = None;
    }
}

/// A field and what follows it.
struct Field {
    end: usize,
    /// Where the next field or record starts.
    next: usize,
    last: bool,
}

impl Splitter {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { delimiter: layout.delimiter, quote: layout.quote }
    }

    /// Splits `bytes` from `from` on into whole records of `width` fields. Gives where the first record
    /// starts that is not whole; with `ended` there is none.
    pub(super) fn split(
        &self,
        bytes: &[u8],
        from: usize,
        width: usize,
        ended: bool,
        found: &mut Found,
    ) -> Result<usize, Fault> {
        let mut at = from;
        while at < bytes.len() {
            let first = found.fields.len();
            let Some(next) = self.record(bytes, at, ended, &mut found.fields)? else {
                found.fields.truncate(first);
                break;
            };
            let fields = found.fields.len() - first;
            if fields == width {
                if let Some(blank) = found.blank {
                    return Err(blank_line(blank));
                }
                found.records.push(Span::new(at, next));
            } else if is_blank(&found.fields[first..]) {
                found.fields.truncate(first);
                found.blank.get_or_insert(at);
            } else {
                return Err(wrong_width(found.blank.unwrap_or(at), found.blank.is_some(), width, fields));
            }
            at = next;
        }
        Ok(at)
    }

    /// Takes the record that starts at `start` apart. Gives where the next one starts; `None` if this
    /// one goes on behind the bytes at hand.
    pub(super) fn record(
        &self,
        bytes: &[u8],
        start: usize,
        ended: bool,
        fields: &mut Vec<Span>,
    ) -> Result<Option<usize>, Fault> {
        let first = fields.len();
        let mut at = start;
        loop {
            let field = match self.field(bytes, at, ended) {
                Ok(Some(field)) => field,
                Ok(None) => return Ok(None),
                Err(message) => {
                    return Err(Fault::new(start, message).in_column(fields.len() - first).hint(
                        "a quote inside a quoted field is written twice, and a quoted field ends at the delimiter",
                    ));
                }
            };
            fields.push(Span::new(at, field.end));
            at = field.next;
            if field.last {
                return Ok(Some(at));
            }
        }
    }

    fn field(&self, bytes: &[u8], start: usize, ended: bool) -> Result<Option<Field>, &'static str> {
        if bytes.get(start) == Some(&self.quote) {
            return self.quoted(bytes, start, ended);
        }
        let Some(length) = find(self.delimiter, b'\n', &bytes[start..]) else {
            let end = bytes.len();
            return Ok(ended.then_some(Field { end, next: end, last: true }));
        };
        let stop = start + length;
        if bytes[stop] == self.delimiter {
            return Ok(Some(Field { end: stop, next: stop + 1, last: false }));
        }
        let returned = length > 0 && bytes[stop - 1] == b'\r';
        Ok(Some(Field { end: stop - usize::from(returned), next: stop + 1, last: true }))
    }

    fn quoted(&self, bytes: &[u8], start: usize, ended: bool) -> Result<Option<Field>, &'static str> {
        let mut at = start + 1;
        let end = loop {
            let Some(length) = memchr(self.quote, &bytes[at..]) else {
                return if ended { Err("a quote is not closed") } else { Ok(None) };
            };
            at += length + 1;
            if bytes.get(at) != Some(&self.quote) {
                break at;
            }
            at += 1;
        };
        match &bytes[end..] {
            // The next byte decides: it may be a second quote, or the second half of a line end.
            [] | [b'\r'] if !ended => Ok(None),
            [] => Ok(Some(Field { end, next: end, last: true })),
            [byte, ..] if *byte == self.delimiter => Ok(Some(Field { end, next: end + 1, last: false })),
            [b'\n', ..] => Ok(Some(Field { end, next: end + 1, last: true })),
            [b'\r', b'\n', ..] => Ok(Some(Field { end, next: end + 2, last: true })),
            _ => Err("there is text after a closing quote"),
        }
    }
}

fn is_blank(fields: &[Span]) -> bool {
    matches!(fields, [only] if only.is_empty())
}

pub(super) fn blank_line(at: usize) -> Fault {
    Fault::new(at, "there is a blank line between records").hint("remove the line")
}

fn wrong_width(at: usize, blank: bool, expected: usize, found: usize) -> Fault {
    if blank {
        return blank_line(at);
    }
    let fields = if expected == 1 { "field" } else { "fields" };
    Fault::new(at, format!("expected {expected} {fields}, found {found}"))
        .hint("put quotes around fields that hold a delimiter or a line end, or choose another delimiter")
}

/// Where the first `a` or `b` is.
///
/// Most fields are short: looking at them a word at a time costs less than setting up a wide search.
#[inline]
fn find(a: u8, b: u8, bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const NEAR: usize = 4;
    let (words, _) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().take(NEAR).enumerate() {
        let word = u64::from_le_bytes(*word);
        let zeros = |x: u64| x.wrapping_sub(ONES) & !x & (ONES << 7);
        // The lowest bit that is set is exact; only bits above it may be false.
        let hits = zeros(word ^ (ONES * u64::from(a))) | zeros(word ^ (ONES * u64::from(b)));
        if hits != 0 {
            return Some(i * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let near = words.len().min(NEAR) * 8;
    memchr2(a, b, &bytes[near..]).map(|far| near + far)
}

/// What a raw field says, without its quotes.
pub(super) fn unquote<'a>(raw: &'a str, layout: &Layout) -> Cow<'a, str> {
    let quote = layout.quote;
    if raw.as_bytes().first() != Some(&quote) {
        return Cow::Borrowed(raw);
    }
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if memchr(quote, inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let quote = char::from(quote);
    Cow::Owned(inner.replace(&format!("{quote}{quote}"), quote.encode_utf8(&mut [0; 4])))
}

/// The value of a raw field; `None` is null.
pub(super) fn value<'a>(raw: &'a str, layout: &Layout) -> Option<Cow<'a, str>> {
    if raw.as_bytes().first() == Some(&layout.quote) {
        return Some(unquote(raw, layout));
    }
    (!layout.is_null(raw)).then_some(Cow::Borrowed(raw))
}

/// Writes a value so that [`value`] gives it back.
pub(super) fn write(value: Option<&str>, layout: &Layout, out: &mut Vec<u8>) {
    let Some(text) = value else { return };
    if !needs_quotes(text, layout) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(layout.quote);
    for part in text.as_bytes().split_inclusive(|byte| *byte == layout.quote) {
        out.extend_from_slice(part);
        if part.ends_with(&[layout.quote]) {
            out.push(layout.quote);
        }
    }
    out.push(layout.quote);
}

fn needs_quotes(text: &str, layout: &Layout) -> bool {
    // At the very start of a file a byte-order mark would be skipped.
    let special =
        |byte: &u8| *byte == layout.delimiter || *byte == layout.quote || matches!(byte, b'\n' | b'\r');
    layout.is_null(text) || text.as_bytes().iter().any(special) || text.starts_with('\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::format::Format;
    use crate::core::options::CsvOptions;

    fn layout() -> Layout {
        let csv = CsvOptions::default().with_null_values(["NA"]);
        Layout::new(Format::Csv, &csv, "a.csv").expect("a layout")
    }

    fn split(text: &str, width: usize, ended: bool) -> Result<(Vec<String>, usize), Fault> {
        let mut found = Found::default();
        let end = Splitter::new(&layout()).split(text.as_bytes(), 0, width, ended, &mut found)?;
        let fields = found.fields.iter().map(|span| text[span.range()].to_owned()).collect();
        Ok((fields, end))
    }

    #[test]
    fn the_first_of_two_bytes_is_found_wherever_it_stands() {
        for length in 0..80 {
            let mut text = vec![b'x'; length];
            assert_eq!(find(b',', b'\n', &text), None);
            for at in (0..length).rev() {
                text[at] = if at % 2 == 0 { b',' } else { b'\n' };
                assert_eq!(find(b',', b'\n', &text), Some(at), "{length}");
            }
        }
    }

    #[test]
    fn quoted_line_ends_and_doubled_quotes_are_part_of_a_field() {
        let (fields, end) = split("\"a\nb\",\"c\"\"d\"\r\ne,\r\n", 2, true).expect("splits");
        assert_eq!(fields, ["\"a\nb\"", "\"c\"\"d\"", "e", ""]);
        assert_eq!(end, 18);
    }

    #[test]
    fn a_record_that_may_go_on_is_left_for_later() {
        for tail in ["e", "e,", "\"e", "\"e\"", "e,\"f\"", "e,\"f\"\r"] {
            let (fields, end) = split(&format!("a,b\n{tail}"), 2, false).expect("splits");
            assert_eq!((fields.len(), end), (2, 4), "{tail}");
        }
    }

    #[test]
    fn the_last_line_end_may_be_missing() {
        assert_eq!(split("a,b\nc,", 2, true).expect("splits").0, ["a", "b", "c", ""]);
        assert_eq!(split("a,\"b\"", 2, true).expect("splits").0, ["a", "\"b\""]);
    }

    #[test]
    fn blank_lines_are_skipped_at_the_end_only() {
        assert_eq!(split("a,b\n\n\r\n", 2, true).expect("splits").0, ["a", "b"]);
        let fault = split("a,b\n\nc,d\n", 2, true).expect_err("a blank line");
        assert_eq!(fault.at, 4);
        assert_eq!(split("a\n\nb\n", 1, true).expect("splits").0, ["a", "", "b"]);
    }

    #[test]
    fn faults_say_what_and_where() {
        let message = |text: &str, width| {
            let fault = split(text, width, true).expect_err("a fault");
            (fault.message.into_owned(), fault.at, fault.column)
        };
        assert_eq!(message("a,b\nc\n", 2), ("expected 2 fields, found 1".into(), 4, None));
        assert_eq!(message("a,\"b\nc\n", 2), ("a quote is not closed".into(), 0, Some(1)));
        assert_eq!(message("\"a\" ,b\n", 2), ("there is text after a closing quote".into(), 0, Some(0)));
    }

    #[test]
    fn unquoted_empty_is_null_and_quoted_empty_is_not() {
        let layout = layout();
        assert_eq!(value("", &layout), None);
        assert_eq!(value("NA", &layout), None);
        assert_eq!(value("\"\"", &layout).as_deref(), Some(""));
        assert_eq!(value("\"NA\"", &layout).as_deref(), Some("NA"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let layout = layout();
        let values = [
            None,
            Some(""),
            Some("NA"),
            Some("a,b"),
            Some("\"a\"\"b\""),
            Some("a\r"),
            Some("\u{feff}x"),
            Some(" a "),
        ];
        for expected in values {
            let mut out = Vec::new();
            write(expected, &layout, &mut out);
            let raw = String::from_utf8(out).expect("text");
            assert_eq!(value(&raw, &layout).as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn quotes_are_written_only_where_they_are_needed() {
        let mut out = Vec::new();
        write(Some(" plain 'text'; "), &layout(), &mut out);
        assert_eq!(out, b" plain 'text'; ");
    }
}
