//! The bytes of one version of an object: fetched by range, several neighbours at once, and counted.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::ObjectFile;
use crate::client::store::{ObjectVersion, Store};
use crate::error::{Error, ErrorKind, Result};

/// Ranges with no more than this between them are fetched as one: a request costs about as much.
const GAP: u64 = 256 << 10;

/// The longest range that is fetched by one request.
const LONGEST: u64 = 8 << 20;

/// Requests at a time.
const IN_FLIGHT: usize = 8;

/// One version of an object. Clones share what was fetched, and count together.
#[derive(Debug, Clone)]
pub(crate) struct ObjectContent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    object: ObjectFile,
    version: ObjectVersion,
    fetched: AtomicU64,
    held: Mutex<Vec<(u64, Bytes)>>,
}

impl ObjectContent {
    pub(super) fn new(object: ObjectFile, version: ObjectVersion) -> Self {
        Self(Arc::new(Inner { object, version, fetched: AtomicU64::new(0), held: Mutex::default() }))
    }

    /// The version.
    pub(crate) fn version(&self) -> &ObjectVersion {
        &self.0.version
    }

    /// Where it is kept.
    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.0.object.store
    }

    /// The name it is kept under.
    pub(super) fn key(&self) -> &Arc<str> {
        &self.0.object.key
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.0.version.size
    }

    /// Bytes fetched so far.
    pub(crate) fn fetched(&self) -> u64 {
        self.0.fetched.load(Ordering::Relaxed)
    }

    /// Some bytes: from what is held, else from the store.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a range behind the end, `Conflict` if the object is no longer this version, `Io`.
    pub(crate) fn range(&self, start: u64, len: usize) -> Result<Bytes> {
        let end = start.checked_add(len as u64).filter(|end| *end <= self.len());
        let end = end.ok_or_else(|| self.too_short())?;
        if let Some(bytes) = self.held(start, end) {
            return Ok(bytes);
        }
        let content = self.clone();
        self.0.object.wait(|_, _| async move { content.fetch(start..end).await })
    }

    /// Several ranges, in the order they are asked for.
    ///
    /// # Errors
    ///
    /// As [`ObjectContent::range`].
    pub(crate) fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fetched = self.fetch_all(ranges.to_vec())?;
        let cut = |range: &Range<u64>| {
            slice(&fetched, range.start, range.end)
                .ok_or_else(|| Error::internal("bytes that were fetched are not there"))
        };
        ranges.iter().map(cut).collect()
    }

    /// Fetches ranges and holds them, until others are held.
    ///
    /// # Errors
    ///
    /// As [`ObjectContent::range`].
    pub(crate) fn hold(&self, ranges: Vec<Range<u64>>) -> Result<()> {
        if ranges.iter().all(|range| self.held(range.start, range.end).is_some()) {
            return Ok(());
        }
        self.replace(Vec::new());
        let fetched = self.fetch_all(ranges)?;
        self.replace(fetched);
        Ok(())
    }

    fn too_short(&self) -> Error {
        Error::new(ErrorKind::InvalidData, "the file ends before its content does")
            .with("file", self.0.object.location())
            .hint("it may be truncated or damaged; restore it")
    }

    fn fetch_all(&self, ranges: Vec<Range<u64>>) -> Result<Vec<(u64, Bytes)>> {
        if ranges.iter().any(|range| range.end > self.len()) {
            return Err(self.too_short());
        }
        let content = self.clone();
        let parts = split(merged(ranges));
        let fetched = self.0.object.wait(|_, _| async move {
            let parts = stream::iter(parts).map(|range| {
                let content = content.clone();
                async move { content.fetch(range.clone()).await.map(|bytes| (range, bytes)) }
            });
            parts.buffered(IN_FLIGHT).try_collect::<Vec<_>>().await
        })?;
        Ok(joined(fetched))
    }

    /// Forgets what is held, unless it is a small object as a whole: then all is there already.
    pub(crate) fn release(&self) {
        if self.held(0, self.len()).is_none() {
            self.replace(Vec::new());
        }
    }

    /// All bytes, in a temporary file that has no name.
    ///
    /// # Errors
    ///
    /// As [`ObjectContent::range`], and `Io` for the file.
    pub(crate) fn to_file(&self) -> Result<File> {
        let file = tempfile::tempfile().map_err(|cause| {
            Error::io("cannot make a temporary file", cause)
                .with("folder", std::env::temp_dir().display())
                .hint("set TMPDIR to a folder that can be written")
        })?;
        let out = file.try_clone().map_err(|cause| Error::io("cannot open a temporary file", cause))?;
        let version = self.0.version.clone();
        self.0.object.wait(|store, key| async move { store.fill(&key, &version, out).await })?;
        self.0.fetched.fetch_add(self.len(), Ordering::Relaxed);
        Ok(file)
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let object = &self.0.object;
        let wanted = range.end - range.start;
        let bytes = object.store.range(&object.key, &self.0.version, range).await?;
        if bytes.len() as u64 != wanted {
            return Err(Error::new(
                ErrorKind::Io,
                "the store sent another number of bytes than it was asked for",
            )
            .with("file", object.location())
            .with("asked", wanted)
            .with("sent", bytes.len())
            .hint("try again"));
        }
        self.0.fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    fn held(&self, start: u64, end: u64) -> Option<Bytes> {
        slice(&self.0.held.lock().unwrap_or_else(PoisonError::into_inner), start, end)
    }

    fn replace(&self, ranges: Vec<(u64, Bytes)>) {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = ranges;
    }
}

/// The bytes from `start` to `end`, if one of the ranges has them.
fn slice(ranges: &[(u64, Bytes)], start: u64, end: u64) -> Option<Bytes> {
    if start == end {
        return Some(Bytes::new());
    }
    ranges.iter().find_map(|(first, bytes)| {
        let from = usize::try_from(start.checked_sub(*first)?).ok()?;
        let to = usize::try_from(end - first).ok()?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    })
}

/// Neighbours as one, in order.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end + GAP => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Long ranges as several.
fn split(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let pieces = |range: Range<u64>| {
        let count = (range.end - range.start).div_ceil(LONGEST);
        (0..count).map(move |i| range.start + i * LONGEST..range.end.min(range.start + (i + 1) * LONGEST))
    };
    ranges.into_iter().flat_map(pieces).collect()
}

/// Pieces that touch, as one again: a column is read across them.
fn joined(pieces: Vec<(Range<u64>, Bytes)>) -> Vec<(u64, Bytes)> {
    let mut groups: Vec<(u64, u64, Vec<Bytes>)> = Vec::new();
    for (range, bytes) in pieces {
        match groups.last_mut() {
            Some((_, end, group)) if *end == range.start => {
                *end = range.end;
                group.push(bytes);
            }
            _ => groups.push((range.start, range.end, vec![bytes])),
        }
    }
    let whole = |group: Vec<Bytes>| match <[Bytes; 1]>::try_from(group) {
        Ok([bytes]) => bytes,
        Err(group) => group.concat().into(),
    };
    groups.into_iter().map(|(start, _, group)| (start, whole(group))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_are_fetched_as_one_and_long_ones_as_several() {
        let far = 10 * GAP;
        let near = [5..9, 0..2, far..far + 1, 3..3];
        assert_eq!(merged(near.to_vec()), [0..9, far..far + 1]);
        let long = 0..2 * LONGEST + 1;
        let parts = split(vec![long.clone()]);
        assert_eq!(parts, [0..LONGEST, LONGEST..2 * LONGEST, 2 * LONGEST..2 * LONGEST + 1]);
        let bytes = |range: &Range<u64>| {
            (range.clone(), Bytes::from(vec![0; usize::try_from(range.end - range.start).expect("fits")]))
        };
        let whole = joined(parts.iter().map(bytes).collect());
        assert_eq!(
            whole.iter().map(|(start, bytes)| (*start, bytes.len() as u64)).collect::<Vec<_>>(),
            [(0, long.end)]
        );
    }
}
