//! Records of a text file, block by block, with the place of each raw field: the one stream that reading,
//! matching and rewriting go through.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::fault::{Fault, Span};
use super::layout::{Layout, nameless};
use super::rows::Rows;
use super::window::{BLOCK, Window};
use super::{csv, ndjson};
use crate::client::session::Session;
use crate::core::format::{BYTE_ORDER_MARK, Format};
use crate::core::location::Location;
use crate::core::schema::check_names;
use crate::error::{Error, ErrorKind, Result};

/// A longer record is refused: it is an unclosed quote, and places are kept in 32 bits.
const LONGEST: usize = 1 << 30;

/// Streams the records of one file.
#[derive(Debug)]
pub(super) struct Records<R> {
    session: Session,
    location: Location,
    layout: Arc<Layout>,
    window: Window<R>,
    splitter: csv::Splitter,
    slots: ndjson::Slots,
    found: csv::Found,
    /// Bytes of the block at hand.
    block: usize,
    /// Bytes at its start that are no record: byte-order mark and header.
    head: usize,
    /// The line of the first blank line, in this block or an earlier one.
    blank: Option<u64>,
}

impl<R: Read> Records<R> {
    /// Opens a file for one pass. `wanted` are the keys that an NDJSON file is looked through for; a CSV
    /// file has the columns that its header names.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a CSV file without a header, `InvalidInput` for names that collide.
    pub(super) fn open(
        session: &Session,
        location: &Location,
        layout: &Arc<Layout>,
        source: R,
        wanted: &[String],
    ) -> Result<Self> {
        Self::with_block(session, location, layout, source, wanted, BLOCK)
    }

    /// The same, with blocks of `block` bytes.
    pub(super) fn with_block(
        session: &Session,
        location: &Location,
        layout: &Arc<Layout>,
        source: R,
        wanted: &[String],
        block: usize,
    ) -> Result<Self> {
        let mut records = Self {
            session: session.clone(),
            location: location.clone(),
            layout: Arc::clone(layout),
            window: Window::new(source, block),
            splitter: csv::Splitter::new(layout),
            slots: ndjson::Slots::default(),
            found: csv::Found::default(),
            block: 0,
            head: 0,
            blank: None,
        };
        records.read_head()?;
        if layout.format == Format::Ndjson {
            records.slots = ndjson::Slots::new(wanted);
        }
        Ok(records)
    }

    /// The columns, by slot.
    pub(super) fn names(&self) -> &[String] {
        self.slots.names()
    }

    /// The slot of a column.
    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        self.slots.get(name)
    }

    /// Goes on to the next block; `false` behind the last one.
    pub(super) fn advance(&mut self) -> Result<bool> {
        self.window.consume(self.block);
        // What the opening read for the header is looked at before more is read.
        let mut full = self.block == 0 && !self.window.bytes().is_empty();
        if self.block > 0 {
            self.head = 0;
        }
        self.block = 0;
        loop {
            if !full {
                self.fill()?;
            }
            full = false;
            if self.window.bytes().is_empty() {
                return Ok(false);
            }
            self.found.clear();
            let end = self.split()?;
            if end > self.head || self.window.ended() {
                self.block = end;
                return Ok(true);
            }
        }
    }

    /// The bytes of the block, head and blank lines included.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.window.bytes()[..self.block]
    }

    /// Bytes at the start of the block that stand before the first record of the file.
    pub(super) fn head(&self) -> usize {
        self.head
    }

    /// How the first line of the block ends; `None` if it has no end.
    pub(super) fn line_end(&self) -> Option<&'static str> {
        let head = self.bytes()[..self.head].ends_with(b"\n").then_some(self.head);
        let end = head.or_else(|| self.found.records.first().map(|span| span.range().end))?;
        let line = &self.bytes()[..end];
        if line.ends_with(b"\r\n") { Some("\r\n") } else { line.ends_with(b"\n").then_some("\n") }
    }

    /// The number of records in the block.
    pub(super) fn len(&self) -> usize {
        self.found.records.len()
    }

    /// Where record `row` of the block stands, its line end included.
    pub(super) fn record(&self, row: usize) -> Range<usize> {
        self.found.records[row].range()
    }

    /// Looks at some records of the block.
    ///
    /// # Errors
    ///
    /// `InvalidData` for bytes that are not UTF-8 and lines that are not JSON.
    pub(super) fn rows(&mut self, rows: Range<usize>) -> Result<Rows<'_>> {
        let from_json = self.layout.format == Format::Ndjson && !self.slots.names().is_empty();
        if from_json {
            let read = self.read_objects(rows.clone());
            read.map_err(|fault| self.error(fault))?;
        }
        let spans = self.found.records.get(rows.clone()).unwrap_or_default();
        let base = spans.first().map_or(0, |span| span.range().start);
        let text = self.text(rows.clone())?;
        let width = self.slots.names().len();
        let fields = if from_json { 0..rows.len() * width } else { rows.start * width..rows.end * width };
        Ok(Rows {
            text,
            base,
            records: spans,
            fields: self.found.fields.get(fields).unwrap_or_default(),
            width,
            names: self.slots.names(),
            location: &self.location,
            layout: &self.layout,
            before: &self.window.bytes()[..base],
            line: self.window.line(),
        })
    }

    fn text(&self, rows: Range<usize>) -> Result<&str> {
        let spans = self.found.records.get(rows).unwrap_or_default();
        let start = spans.first().map_or(0, |span| span.range().start);
        let end = spans.last().map_or(start, |span| span.range().end);
        std::str::from_utf8(&self.window.bytes()[start..end]).map_err(|cause| {
            let bad = start + cause.valid_up_to();
            let row = spans.partition_point(|span| span.range().end <= bad);
            self.not_utf8(spans.get(row).map_or(start, |span| span.range().start), bad)
        })
    }

    fn not_utf8(&self, record: usize, bad: usize) -> Error {
        let fault = Fault::new(record, "the file is not UTF-8 text").hint("convert the file to UTF-8");
        let column = self.found.fields.iter().position(|span| span.range().contains(&bad));
        let width = self.slots.names().len().max(1);
        self.error(match column {
            Some(field) => fault.in_column(field % width),
            None => fault,
        })
    }

    fn read_objects(&mut self, rows: Range<usize>) -> Result<(), Fault> {
        let width = self.slots.names().len();
        self.found.fields.clear();
        self.found.fields.resize(rows.len() * width, Span::MISSING);
        let rows = self.found.records.get(rows).unwrap_or_default();
        for (span, fields) in rows.iter().zip(self.found.fields.chunks_exact_mut(width.max(1))) {
            let start = span.range().start;
            let line = std::str::from_utf8(&self.window.bytes()[span.range()]).map_err(|_| {
                Fault::new(start, "the file is not UTF-8 text").hint("convert the file to UTF-8")
            })?;
            let place = |token: &str| {
                let at = start + (token.as_ptr().addr() - line.as_ptr().addr());
                Span::new(at, at + token.len())
            };
            let read =
                ndjson::entries(line, |key| self.slots.find(key), |slot, token| fields[slot] = place(token));
            read.map_err(|fault| fault.at(start))?;
        }
        Ok(())
    }

    fn split(&mut self) -> Result<usize> {
        let (bytes, ended) = (self.window.bytes(), self.window.ended());
        if self.layout.format == Format::Ndjson {
            return Ok(ndjson::split(bytes, self.head, ended, &mut self.found.records));
        }
        let width = self.slots.names().len();
        let split = self.splitter.split(bytes, self.head, width, ended, &mut self.found);
        let end = split.map_err(|fault| self.error(fault))?;
        self.check_blank()?;
        Ok(end)
    }

    /// Refuses a blank line of an earlier block that has records after it.
    fn check_blank(&mut self) -> Result<()> {
        if let Some(line) = self.blank
            && !self.found.records.is_empty()
        {
            return Err(csv::blank_line(0).into_error(&self.location, ("line", line), &[]));
        }
        let here = self.found.blank.map(|at| self.line_of(at));
        self.blank = self.blank.or(here);
        Ok(())
    }

    /// Reads on; the head, if there was one, is behind.
    fn fill(&mut self) -> Result<()> {
        self.session.check()?;
        if self.window.bytes().len() > LONGEST {
            return Err(self.error(
                Fault::new(0, "a record is longer than 1 GiB").hint("look for a quote that is not closed"),
            ));
        }
        let read = self
            .window
            .fill()
            .map_err(|cause| Error::io("cannot read the file", cause).with("file", &self.location))?;
        self.session.progress().advance(read);
        Ok(())
    }

    fn read_head(&mut self) -> Result<()> {
        self.fill()?;
        if self.window.bytes().starts_with(BYTE_ORDER_MARK) {
            self.head = BYTE_ORDER_MARK.len();
        }
        if self.layout.format == Format::Ndjson {
            return Ok(());
        }
        let mut fields = Vec::new();
        let end = loop {
            if self.window.ended() && self.window.bytes().len() == self.head {
                return Err(Error::new(ErrorKind::InvalidData, "the file is empty and has no header")
                    .with("file", &self.location)
                    .hint("a CSV file starts with a line that names its columns"));
            }
            fields.clear();
            let (bytes, ended) = (self.window.bytes(), self.window.ended());
            match self.splitter.record(bytes, self.head, ended, &mut fields) {
                Ok(Some(end)) => break end,
                Ok(None) => self.fill()?,
                Err(fault) => return Err(self.error(fault)),
            }
        };
        self.slots = ndjson::Slots::new(self.header(&fields)?);
        if self.layout.header {
            self.head = end;
        }
        Ok(())
    }

    fn header(&self, fields: &[Span]) -> Result<Vec<String>> {
        if !self.layout.header {
            return Ok((0..fields.len()).map(nameless).collect());
        }
        let names = fields.iter().map(|span| {
            let raw = std::str::from_utf8(&self.window.bytes()[span.range()])
                .map_err(|_| self.not_utf8(self.head, span.range().start))?;
            if !raw.as_bytes().starts_with(&[self.layout.quote]) && raw.contains('\r') {
                return Err(Error::new(ErrorKind::InvalidData, "lines end with a carriage return alone")
                    .with("file", &self.location)
                    .hint("convert the line ends: LF and CRLF are read"));
            }
            Ok(csv::unquote(raw, &self.layout).into_owned())
        });
        let names = names.collect::<Result<Vec<_>>>()?;
        self.check_names(&names)?;
        Ok(names)
    }

    /// Refuses columns that are equal, or equal but for case.
    pub(super) fn check_names(&self, names: &[String]) -> Result<()> {
        let fields = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>();
        check_names(&Schema::new(fields)).map_err(|error| error.with_missing("file", &self.location))
    }

    fn line_of(&self, at: usize) -> u64 {
        let before = self.window.bytes().get(..at).unwrap_or_default();
        self.window.line() + memchr::memchr_iter(b'\n', before).count() as u64
    }

    fn error(&self, fault: Fault) -> Error {
        let line = self.line_of(fault.at);
        fault.into_error(&self.location, (self.layout.unit(), line), self.slots.names())
    }
}

#[cfg(test)]
pub(super) mod tests;
