//! A JSON array as one object a line, so that one reader serves both layouts. Elements pass through one at a time.

use std::fmt;
use std::io::{self, Cursor, Read, Write};

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::core::format::BYTE_ORDER_MARK;
use crate::error::{Error, ErrorKind, Result};

/// Writes the elements of the array that `input` holds to `out`, a line each; element n stands in line n.
///
/// # Errors
///
/// `InvalidData` with the number of the first element that is no object, or in which the text ceases to be JSON; what
/// `failed_read` and `failed_write` make of other failures.
pub(super) fn to_lines(
    input: impl Read,
    out: &mut impl Write,
    failed_read: impl FnOnce(io::Error) -> Error,
    failed_write: impl FnOnce(io::Error) -> Error,
) -> Result<()> {
    let (mut elements, mut fault) = (0, None);
    let input = match behind_mark(input) {
        Ok(input) => input,
        Err(cause) => return Err(failed_read(cause)),
    };
    let mut json = serde_json::Deserializer::from_reader(input);
    let copy = Elements { out, count: &mut elements, fault: &mut fault };
    let read = json.deserialize_seq(copy).and_then(|()| json.end());
    match (read, fault) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(Fault::NoObject)) => {
            Err(Error::new(ErrorKind::InvalidData, "an element is not a JSON object")
                .with("element", elements)
                .hint("each element must be one object: {\"column\": value, …}"))
        }
        (Err(_), Some(Fault::Write(cause))) => Err(failed_write(cause)),
        (Err(cause), None) if cause.is_io() => Err(failed_read(cause.into())),
        (Err(cause), None) => {
            Err(Error::new(ErrorKind::InvalidData, "the file is not a JSON array of objects")
                .with("line", cause.line())
                .with("element", elements + 1)
                .hint(
                    "it may be cut off, or have NaN, which JSON has not; one object a line is read as NDJSON",
                )
                .because(cause))
        }
    }
}

/// `input` without a byte-order mark at its start.
fn behind_mark(mut input: impl Read) -> io::Result<impl Read> {
    let mut start = Vec::with_capacity(BYTE_ORDER_MARK.len());
    input.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    Ok(Cursor::new(start).chain(input))
}

/// What ends the copying beside faults of the text.
enum Fault {
    NoObject,
    Write(io::Error),
}

struct Elements<'a, W> {
    out: &'a mut W,
    count: &'a mut u64,
    fault: &'a mut Option<Fault>,
}

impl<'de, W: Write> Visitor<'de> for Elements<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<Box<RawValue>>()? {
            *self.count += 1;
            let fault = if element.get().starts_with('{') {
                line(element.get(), self.out).err().map(Fault::Write)
            } else {
                Some(Fault::NoObject)
            };
            if fault.is_some() {
                *self.fault = fault;
                return Err(A::Error::custom("given up"));
            }
        }
        Ok(())
    }
}

/// Writes a JSON value in one line: inside strings there are no line ends, and elsewhere they are blanks.
fn line(value: &str, out: &mut impl Write) -> io::Result<()> {
    for (i, part) in value.split('\n').enumerate() {
        out.write_all(if i == 0 { b"" } else { b" " })?;
        out.write_all(part.as_bytes())?;
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Result<String> {
        let mut out = Vec::new();
        let failed = |cause| Error::io("failed", cause);
        to_lines(text, &mut out, failed, failed)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn each_element_is_one_line_whatever_its_own() {
        let text = "[{\"a\": 1,\n \"b]},{\": \"\\\"\\n[\"},\r\n\n{\"a\":{\"x\":\n[1,\n2]}} , {}]\n";
        let expected = "{\"a\": 1,  \"b]},{\": \"\\\"\\n[\"}\n{\"a\":{\"x\": [1, 2]}}\n{}\n";
        assert_eq!(lines(text.as_bytes()).expect("reads"), expected);
        assert_eq!(lines(b" [ ] ").expect("reads"), "");
        assert_eq!(lines(b"\xef\xbb\xbf[{}]").expect("reads"), "{}\n");
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = "[{\"a\":123456789012345678901234567890,\"b\":1.50}]";
        assert_eq!(lines(text.as_bytes()).expect("reads").trim_end(), &text[1..text.len() - 1]);
    }

    #[test]
    fn what_is_no_object_is_named_by_its_number() {
        for text in ["[{},1]", "[{},null]", "[{},[{}]]", "[{},\"{}\"]"] {
            let error = lines(text.as_bytes()).expect_err("no object");
            assert_eq!(error.to_string(), "an element is not a JSON object (element: 2)");
        }
    }

    #[test]
    fn a_text_that_is_not_one_whole_array_is_refused_where_it_goes_wrong() {
        for (text, element) in [
            (&b"[{\"a\":1},\n{\"a\":}]"[..], 2),
            (b"[{\"a\":1}", 2),
            (b"[{\"a\":1},", 2),
            (b"[{\"a\":1},]", 2),
            (b"[{\"a\":1}] x", 2),
            (b"[{\"a\":\"x\ny\"}]", 1),
            (b"[{\"a\":\"\xff\"}]", 1),
            (b"7", 1),
            (b"", 1),
        ] {
            let error = lines(text).expect_err("refused");
            assert_eq!(
                (error.kind(), error.message()),
                (ErrorKind::InvalidData, "the file is not a JSON array of objects")
            );
            assert!(error.context().any(|fact| fact == ("element", &element.to_string())), "{error}");
        }
    }

    #[test]
    fn failures_around_the_text_are_what_they_are() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let said = |message: &'static str| move |cause| Error::io(message, cause);
        let error = to_lines(Broken, &mut Vec::new(), said("read"), said("write")).expect_err("breaks");
        assert_eq!(error.message(), "read");
        let error = to_lines(&b"[{}]"[..], &mut Broken, said("read"), said("write")).expect_err("breaks");
        assert_eq!(error.message(), "write");
    }
}
