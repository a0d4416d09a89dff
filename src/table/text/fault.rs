//! What is wrong with the bytes of a file, said before it is known in which file and line they stand.

use std::borrow::Cow;
use std::ops::Range;

use crate::core::location::Location;
use crate::error::{Error, ErrorKind};

/// A range of bytes in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Stands for a field that is not there.
    pub(super) const MISSING: Self = Self { start: u32::MAX, end: 0 };

    /// A span of a block, which is never longer than 4 GiB.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end) }
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// What is wrong with some bytes, before file and line are known.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where the record starts.
    pub(super) at: usize,
    pub(super) column: Option<usize>,
    pub(super) message: Cow<'static, str>,
    hint: Option<&'static str>,
    cause: Option<serde_json::Error>,
}

impl Fault {
    pub(super) fn new(at: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self { at, column: None, message: message.into(), hint: None, cause: None }
    }

    /// Moves it to where the record starts.
    pub(super) fn at(mut self, start: usize) -> Self {
        self.at = start;
        self
    }

    pub(super) fn in_column(mut self, column: usize) -> Self {
        self.column = Some(column);
        self
    }

    pub(super) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(super) fn because(mut self, cause: serde_json::Error) -> Self {
        self.cause = Some(cause);
        self
    }

    /// The error, in its place.
    pub(super) fn into_error(self, location: &Location, line: u64, names: &[String]) -> Error {
        let mut error =
            Error::new(ErrorKind::InvalidData, self.message).with("file", location).with("line", line);
        if let Some(name) = self.column.and_then(|column| names.get(column)) {
            error = error.with("column", name);
        }
        if let Some(cause) = self.cause {
            error = error.because(cause);
        }
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
