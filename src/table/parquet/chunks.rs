//! Reads ranges of a file by position and counts the bytes: column readers do not share a cursor, and
//! a report can say what was read.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};

/// A file to read Parquet from. Clones read the same file and count together.
#[derive(Debug, Clone)]
pub(crate) struct Chunks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    size: u64,
    read: AtomicU64,
}

impl Chunks {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self(Arc::new(Inner { file, size, read: AtomicU64::new(0) })))
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.size
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<Cursor>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(Cursor { chunks: self.clone(), position: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.0.file.read_exact_at(&mut bytes, start)?;
        self.0.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(bytes.into())
    }
}

/// Reads on from a position.
#[derive(Debug)]
pub(crate) struct Cursor {
    chunks: Chunks,
    position: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.chunks.0.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        self.chunks.0.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
