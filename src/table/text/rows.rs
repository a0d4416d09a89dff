//! Some records of one block as text: their raw fields, and their lines for messages.

use std::ops::Range;

use super::fault::{Fault, Span};
use super::layout::Layout;
use crate::core::location::Location;
use crate::error::Error;

/// Some records of one block, with their raw fields.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) text: &'a str,
    /// Where `text` starts in the block.
    pub(super) base: usize,
    pub(super) records: &'a [Span],
    pub(super) fields: &'a [Span],
    pub(super) width: usize,
    pub(super) names: &'a [String],
    pub(super) location: &'a Location,
    pub(super) layout: &'a Layout,
    /// The block before `text`, to count lines in.
    pub(super) before: &'a [u8],
    pub(super) line: u64,
}

impl<'a> Rows<'a> {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The raw field of a row: with its quotes for CSV, a token for NDJSON; `None` for a missing key, and behind the last field.
    pub(super) fn raw(&self, row: usize, slot: usize) -> Option<&'a str> {
        if slot >= self.width {
            return None;
        }
        let span = self.fields[row * self.width + slot];
        (span != Span::MISSING).then(|| self.cut(span))
    }

    /// A whole record with its line end.
    pub(super) fn record(&self, row: usize) -> &'a str {
        self.cut(self.records[row])
    }

    /// What stands behind the last field of a row: its line end, if it has one.
    pub(super) fn line_end(&self, row: usize) -> &'a str {
        let end = self.records[row].range().end;
        let fields = self.fields[row * self.width..(row + 1) * self.width].last();
        self.cut(Span::new(fields.map_or(end, |field| field.range().end), end))
    }

    fn cut(&self, span: Span) -> &'a str {
        let Range { start, end } = span.range();
        &self.text[start - self.base..end - self.base]
    }

    /// An error about a row.
    pub(super) fn error(&self, row: usize, fault: Fault) -> Error {
        let end = self.records.get(row).map_or(self.base, |span| span.range().start) - self.base;
        let lines = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
        let line = self.line + lines(self.before) + lines(&self.text.as_bytes()[..end]);
        fault.into_error(self.location, (self.layout.unit(), line), self.names)
    }
}
