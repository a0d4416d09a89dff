//! The bytes of a temporary file as the body of one request: memory does not hold them, the system may drop what it has
//! read of them.

#![expect(unsafe_code, reason = "a file that is mapped must not be cut short, which no type can promise")]

use std::fs::File;

use bytes::Bytes;
use memmap2::MmapOptions;

use crate::error::{Error, Result};

/// The first `len` bytes of `file`, which nobody writes to any more.
///
/// # Errors
///
/// `Io` if it cannot be mapped.
pub(super) fn bytes(file: &File, len: u64) -> Result<Bytes> {
    let size = usize::try_from(len).map_err(|_| Error::internal("an object is too large to be mapped"))?;
    if size == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the file is a stage of ours, whole, and nobody else is told of it; it stays as it is until it is dropped.
    let map = unsafe { MmapOptions::new().len(size).map(file) };
    map.map(Bytes::from_owner).map_err(|cause| Error::io("cannot map a temporary file", cause))
}
