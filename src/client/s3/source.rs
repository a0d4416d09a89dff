//! What an upload is made of: bytes in memory or in a file, and ranges of other objects, which the service copies by
//! itself.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::client::io::blocking;
use crate::error::{Error, ErrorKind, Result};

/// What S3 allows.
pub(super) const MOST_PARTS: u64 = 10_000;
pub(crate) const SMALLEST_PART: u64 = 5 << 20;
pub(super) const LARGEST_PART: u64 = 5 << 30;

/// The smallest part that is chosen: fewer requests, and a few of them fit into memory.
const DEFAULT_PART: u64 = 8 << 20;

/// The largest part that the service is asked to copy: several are copied at once.
const COPIED_PART: u64 = 64 << 20;

/// Bytes that lie somewhere, to be sent in parts.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Memory(Bytes),
    File(Arc<File>, u64),
    /// A file with gaps, into which the service copies.
    Pieced(Arc<File>, u64, Arc<[CopiedRange]>),
}

/// A range of a version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopiedRange {
    /// Where it comes to stand.
    pub(crate) at: u64,
    pub(crate) len: u64,
    /// The object, as the header names it.
    pub(crate) source: Arc<str>,
    pub(crate) e_tag: Option<String>,
    /// Where it stands.
    pub(crate) start: u64,
}

/// One part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes that are sent.
    Sent(Range<u64>),
    /// Bytes that the service copies.
    Copied(CopiedRange),
}

impl Source {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, len) | Self::Pieced(_, len, _) => *len,
        }
    }

    /// Whether an upload can have so many parts.
    pub(super) fn is_possible(&self) -> bool {
        part_size(self.len(), None).is_ok_and(|size| self.pieces(size).len() as u64 <= MOST_PARTS)
    }

    /// The parts of an upload: what is sent in parts of `size`.
    pub(super) fn pieces(&self, size: u64) -> Vec<Piece> {
        let Self::Pieced(_, len, copies) = self else {
            return starts(0..self.len(), size).map(Piece::Sent).collect();
        };
        let mut pieces = Vec::new();
        let mut end = 0;
        for copy in copies.iter() {
            pieces.extend(even(end..copy.at, size).map(Piece::Sent));
            pieces.extend(even(0..copy.len, COPIED_PART.max(size)).map(|range| {
                Piece::Copied(CopiedRange {
                    at: copy.at + range.start,
                    len: range.end - range.start,
                    start: copy.start + range.start,
                    ..copy.clone()
                })
            }));
            end = copy.at + copy.len;
        }
        pieces.extend(even(end..*len, size).map(Piece::Sent));
        pieces
    }

    /// The bytes from `start` on, at most `len`.
    pub(super) async fn part(&self, start: u64, len: u64) -> Result<Bytes> {
        let end = (start + len).min(self.len());
        let size =
            usize::try_from(end - start).map_err(|_| Error::internal("a part is too large for memory"))?;
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                Ok(bytes.slice(start..start + size))
            }
            Self::File(file, _) | Self::Pieced(file, _, _) => {
                let file = Arc::clone(file);
                let changed = |cause| {
                    Error::io("cannot read the file", cause).hint("it may have changed while it was uploaded")
                };
                blocking(move || {
                    let mut buffer = vec![0; size];
                    file.read_exact_at(&mut buffer, start).map(|()| buffer.into()).map_err(changed)
                })
                .await
            }
        }
    }
}

/// The size of parts for an upload of `len` bytes: equal parts, as few as fit, the last one may be smaller.
///
/// # Errors
///
/// `Unsupported` for what no upload can hold.
pub(super) fn part_size(len: u64, asked: Option<u64>) -> Result<u64> {
    let refused = |message: &'static str, hint: &'static str| {
        Error::new(ErrorKind::Unsupported, message).with("bytes", len).hint(hint)
    };
    let least = len.div_ceil(MOST_PARTS);
    let size = asked.unwrap_or_else(|| least.max(DEFAULT_PART).next_multiple_of(1 << 20));
    if asked.is_some() && size < least {
        return Err(refused("the parts are too small for the object", "an upload has at most 10,000 parts"));
    }
    if size > LARGEST_PART {
        return Err(refused("the object is too large", "an object has at most 10,000 parts of 5 GiB"));
    }
    Ok(size)
}

/// Ranges of `size`, of which the last one may be smaller.
pub(super) fn starts(range: Range<u64>, size: u64) -> impl Iterator<Item = Range<u64>> {
    let count = (range.end - range.start).div_ceil(size);
    (0..count).map(move |part| {
        let start = range.start + part * size;
        start..range.end.min(start + size)
    })
}

/// Ranges that are about equal, none of them smaller than `size`, but for a few bytes, if there are several.
fn even(range: Range<u64>, size: u64) -> impl Iterator<Item = Range<u64>> {
    let len = range.end - range.start;
    let count = (len / size).max(1);
    starts(range, len.div_ceil(count).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_large_as_the_length_needs() {
        assert_eq!(part_size(100, None).expect("a size"), 8 << 20);
        assert_eq!(part_size(100 << 30, None).expect("a size"), 11 << 20);
        let tib: u64 = 5 << 40;
        assert!(tib.div_ceil(part_size(tib, None).expect("a size")) <= MOST_PARTS);
        assert!(part_size(100 << 30, Some(5 << 20)).is_err());
        assert!(part_size(60 << 40, None).is_err());
    }

    #[test]
    fn gaps_are_parts_that_the_service_copies() {
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        let copy =
            |at: u64, len: u64| CopiedRange { at, len, source: "/b/a".into(), e_tag: None, start: at + 7 };
        let copies = [copy(0, 300 << 20), copy(320 << 20, 20 << 20)];
        let source = Source::Pieced(file, 341 << 20, copies.into());
        let pieces = source.pieces(8 << 20);
        let mut end = 0;
        for (number, piece) in pieces.iter().enumerate() {
            let (start, len) = match piece {
                Piece::Sent(range) => (range.start, range.end - range.start),
                Piece::Copied(copy) => {
                    assert_eq!(copy.start, copy.at + 7);
                    (copy.at, copy.len)
                }
            };
            assert_eq!(start, end, "nothing is left out");
            assert!(len >= SMALLEST_PART || number + 1 == pieces.len(), "{piece:?}");
            end += len;
        }
        assert_eq!(end, source.len());
        let by_service = pieces.iter().filter(|piece| matches!(piece, Piece::Copied(_))).count();
        assert_eq!((by_service, pieces.len()), (5, 8));
    }

    #[test]
    fn what_is_sent_goes_in_parts_of_one_size() {
        let source = Source::Memory(vec![0; 25].into());
        assert_eq!(source.pieces(10), [Piece::Sent(0..10), Piece::Sent(10..20), Piece::Sent(20..25)]);
        assert!(Source::Memory(Bytes::new()).pieces(10).is_empty());
    }
}
