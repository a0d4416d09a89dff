//! Where new content is written: a file, and ranges of stored objects that need not come here, for their store copies them
//! into the new object by itself.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::early::Early;
use super::{ObjectContent, ObjectFile};
use crate::client::store::Copied;
use crate::error::{Error, Result};

/// A range that is shorter is fetched and sent: that takes no more time than to ask the store.
const LEAST_COPY: u64 = 8 << 20;

/// A range of an object that the store is to copy.
#[derive(Debug, Clone)]
pub(crate) struct CopiedRange {
    /// Where it comes to stand.
    at: u64,
    len: u64,
    from: ObjectContent,
    /// Where it stands.
    start: u64,
}

impl CopiedRange {
    fn end(&self) -> u64 {
        self.at + self.len
    }

    /// The same, for the store.
    pub(super) fn for_store(&self) -> Copied {
        Copied {
            at: self.at,
            len: self.len,
            key: Arc::clone(self.from.key()),
            version: self.from.version().clone(),
            start: self.start,
        }
    }
}

/// New content that is being written, from its start. Bytes that are written where the store copies are dropped.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    file: &'a mut File,
    /// Where the next byte goes.
    position: u64,
    object: Option<(&'a ObjectFile, &'a mut Vec<CopiedRange>)>,
    /// Of a file that is to be on disk in the end.
    early: Option<Early>,
}

impl<'a> Sink<'a> {
    /// A file that is written as a whole.
    pub(crate) fn plain(file: &'a mut File) -> Self {
        Self { file, position: 0, object: None, early: None }
    }

    /// The same of a file that has to be on disk when all is done; whoever writes to it has to [settle](Sink::settle) it.
    pub(crate) fn durable(file: &'a mut File) -> Self {
        Self { early: Some(Early::default()), ..Self::plain(file) }
    }

    pub(super) fn of_object(
        file: &'a mut File,
        target: &'a ObjectFile,
        copies: &'a mut Vec<CopiedRange>,
    ) -> Self {
        Self { file, position: 0, object: Some((target, copies)), early: None }
    }

    /// The file, to be written as a whole or to be read back.
    pub(crate) fn file(&mut self) -> &mut File {
        self.file
    }

    /// Whether the store can copy ranges of an object.
    pub(crate) fn can_copy(&self, from: &ObjectContent) -> bool {
        self.object.as_ref().is_some_and(|(target, _)| target.copies_from(from).is_some())
    }

    /// Has the store copy the bytes from `start` on, which will be written at `at`, behind all ranges before.
    pub(crate) fn copy(&mut self, at: u64, from: &ObjectContent, range: Range<u64>) {
        let Some((_, copies)) = &mut self.object else { return };
        let (start, len) = (range.start, range.end - range.start);
        match copies.last_mut() {
            Some(last)
                if last.end() == at && last.start + last.len == start && last.from.key() == from.key() =>
            {
                last.len += len;
            }
            _ => copies.push(CopiedRange { at, len, from: from.clone(), start }),
        }
    }

    /// Fetches what the store would not copy, when all is written: there must be enough bytes between two ranges, and a
    /// short one is not worth it.
    ///
    /// # Errors
    ///
    /// `Conflict` if an object is no longer what it was, `Io`.
    pub(crate) fn settle(&mut self) -> Result<()> {
        if let Some(early) = &mut self.early {
            early.end()?;
        }
        let Some((target, copies)) = &mut self.object else { return Ok(()) };
        let mut end = 0;
        for copy in std::mem::take(*copies) {
            let least = target.copies_from(&copy.from).unwrap_or(u64::MAX);
            let before = copy.at - end;
            let cut = if before == 0 { 0 } else { least.saturating_sub(before).min(copy.len) };
            let rest = copy.len - cut;
            let fetched = if rest < LEAST_COPY { copy.len } else { cut };
            fetch(self.file, &copy, fetched)?;
            if fetched < copy.len {
                end = copy.end();
                copies.push(CopiedRange {
                    at: copy.at + fetched,
                    len: copy.len - fetched,
                    start: copy.start + fetched,
                    ..copy
                });
            }
        }
        Ok(())
    }
}

/// Writes the first bytes of a range where they are to stand.
fn fetch(file: &File, copy: &CopiedRange, len: u64) -> Result<()> {
    if len == 0 {
        return Ok(());
    }
    let len = usize::try_from(len).map_err(|_| Error::internal("a range is too long for memory"))?;
    let bytes = copy.from.range(copy.start, len)?;
    file.write_all_at(&bytes, copy.at)
        .map_err(|cause| Error::io("cannot write a temporary file", cause).hint("is the disk full?"))
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let copies = self.object.as_ref().map_or(&[][..], |(_, copies)| copies.as_slice());
        let next = copies.get(copies.partition_point(|copy| copy.end() <= self.position));
        let room = |end: u64| usize::try_from(end - self.position).unwrap_or(usize::MAX).min(bytes.len());
        let written = match next {
            Some(copy) if copy.at <= self.position => room(copy.end()),
            Some(copy) => self.file.write_at(&bytes[..room(copy.at)], self.position)?,
            None => self.file.write_at(bytes, self.position)?,
        };
        self.position += written as u64;
        if let Some(early) = &mut self.early {
            early.wrote(self.file, written as u64);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
