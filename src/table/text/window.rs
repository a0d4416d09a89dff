//! A window that moves over a file: the bytes at hand, where they stand, and in which line.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::client::session::Session;

/// Bytes that are read at a time, unless a record is longer.
pub(super) const BLOCK: usize = 4 << 20;

/// One pass over a file, with a position of its own however many passes share the handle.
#[derive(Debug)]
pub(super) struct Pass {
    file: Arc<File>,
    at: u64,
}

impl Pass {
    /// A pass from the start; it is the work at hand of `session` from now on.
    pub(super) fn start(session: &Session, file: &Arc<File>) -> Self {
        session.progress().start(file.metadata().map_or(0, |metadata| metadata.len()));
        Self { file: Arc::clone(file), at: 0 }
    }
}

impl Read for Pass {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The part of `source` that is in memory.
#[derive(Debug)]
pub(super) struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    consumed: usize,
    line: u64,
    ended: bool,
    block: usize,
}

impl<R: Read> Window<R> {
    /// An empty window at the start of `source`; it reads `block` bytes at a time.
    pub(super) fn new(source: R, block: usize) -> Self {
        Self { source, buffer: Vec::new(), consumed: 0, line: 1, ended: false, block }
    }

    /// The bytes at hand that are not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    /// The line, from 1, of the first of them.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whether there is nothing behind them.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Leaves `count` bytes behind.
    pub(super) fn consume(&mut self, count: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.bytes()[..count]).count() as u64;
        self.consumed += count;
    }

    /// Reads one more block; gives the number of bytes read.
    ///
    /// What is at hand and not consumed stays. It is doubled rather than added to if it is more than a
    /// block: then one record is long, and is looked through again from its start each time.
    pub(super) fn fill(&mut self) -> io::Result<u64> {
        if self.ended {
            return Ok(0);
        }
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        let wanted = self.block.max(self.buffer.len()) as u64;
        let read = self.source.by_ref().take(wanted).read_to_end(&mut self.buffer)? as u64;
        self.ended = read < wanted;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_consumed_stays_and_lines_are_counted() {
        let mut window = Window::new(&b"a\nb\nc"[..], 4);
        assert_eq!(window.fill().ok(), Some(4));
        window.consume(2);
        assert_eq!((window.bytes(), window.line(), window.ended()), (&b"b\n"[..], 2, false));
        assert_eq!(window.fill().ok(), Some(1));
        assert_eq!((window.bytes(), window.line(), window.ended()), (&b"b\nc"[..], 2, true));
    }

    #[test]
    fn a_window_without_room_doubles() {
        let mut window = Window::new(&b"abcdefghij"[..], 2);
        let read: Vec<_> = (0..4).map(|_| window.fill().unwrap_or(99)).collect();
        assert_eq!(read, [2, 2, 4, 2]);
        assert_eq!(window.bytes(), b"abcdefghij");
    }

    #[test]
    fn two_passes_over_one_handle_do_not_disturb_each_other() {
        let mut file = tempfile::tempfile().expect("a file");
        io::Write::write_all(&mut file, b"abc").expect("written");
        let file = Arc::new(file);
        let session = Session::default();
        let (mut first, mut second) = (Pass::start(&session, &file), Pass::start(&session, &file));
        let mut text = [String::new(), String::new()];
        first.read_to_string(&mut text[0]).expect("read");
        second.read_to_string(&mut text[1]).expect("read");
        assert_eq!(text, ["abc", "abc"]);
    }
}
