//! The bytes of an IPC file by their places, on disk or in a store.

use std::fs::File;
use std::os::unix::fs::FileExt;

use arrow::buffer::Buffer;

use super::damaged;
use crate::client::file::Content;
use crate::client::object::ObjectContent;
use crate::error::{Error, Result};

/// What is fetched of an object at first: most footers, and schemas, are smaller.
const PART: u64 = 64 << 10;

/// Up to here one request is enough; more is fetched by several at once.
const SHORT: usize = 1 << 20;

/// A part of a file in which its columns are described.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Start,
    End,
}

/// A file, or one version of an object.
#[derive(Debug)]
pub(super) enum Bytes {
    Local(File, u64),
    Object(ObjectContent),
}

impl Bytes {
    pub(super) fn new(content: Content) -> Result<Self> {
        Ok(match content {
            Content::Local(file) => {
                let size = file.metadata().map_err(unreadable)?.len();
                Self::Local(file, size)
            }
            Content::Object(content) => Self::Object(content),
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Local(_, size) => *size,
            Self::Object(content) => content.len(),
        }
    }

    /// Fetches a part of an object, of which more will be asked for in pieces; at most as much as there is.
    ///
    /// # Errors
    ///
    /// `Conflict` if the object is no longer this version, `Io`.
    pub(super) fn hold(&self, part: Part) -> Result<()> {
        let Self::Object(content) = self else { return Ok(()) };
        let end = self.len();
        content.hold(vec![match part {
            Part::Start => 0..end.min(PART),
            Part::End => end.saturating_sub(PART)..end,
        }])
    }

    /// The `len` bytes from `at` on.
    ///
    /// # Errors
    ///
    /// `InvalidData` behind the end, and as [`Bytes::hold`].
    pub(super) fn get(&self, at: u64, len: u64) -> Result<Buffer> {
        let end = at.checked_add(len).filter(|end| *end <= self.len());
        let end = end.ok_or_else(|| damaged("the file ends before its content does"))?;
        let len = usize::try_from(len).map_err(damaged)?;
        match self {
            Self::Local(file, _) => {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, at).map_err(unreadable)?;
                Ok(Buffer::from_vec(bytes))
            }
            Self::Object(content) if len <= SHORT => Ok(Buffer::from(content.range(at, len)?)),
            Self::Object(content) => {
                let bytes = content.ranges(std::slice::from_ref(&(at..end)))?.into_iter().next();
                bytes
                    .map(Buffer::from)
                    .ok_or_else(|| Error::internal("bytes that were fetched are not there"))
            }
        }
    }
}

fn unreadable(cause: std::io::Error) -> Error {
    Error::io("cannot read the file", cause)
}
