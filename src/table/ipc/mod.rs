//! Arrow IPC at rest, files and streams: found message by message, so that an object is fetched in pieces, a limit ends
//! the reading, and rows are counted without their values.
//!
//! Arrow's own decoder works on each message. It trusts lengths that a damaged file may say, and would ask for that much
//! memory or panic; so they are compared with what is there first.

mod bytes;
mod check;
mod messages;
mod scan;
mod types;
mod write;

use std::cell::Cell;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::client::file::DataFile;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::error::{Error, ErrorKind, Result};
use messages::Messages;

pub(crate) use scan::IpcScan;
pub(crate) use write::{check_compression, write};

/// The columns of a file, without its rows.
///
/// # Errors
///
/// `NotFound`, `InvalidData` for a file that is not whole.
pub(crate) fn describe(file: &DataFile, format: Format) -> Result<SchemaRef> {
    Messages::describe(file.read()?, format).map_err(|error| error.with_missing("file", file.location()))
}

/// The number of rows, from the heads of their batches.
///
/// # Errors
///
/// As [`describe`].
pub(crate) fn count(session: &Session, file: &DataFile, format: Format) -> Result<u64> {
    let count = || -> Result<u64> {
        let mut messages = Messages::open(file.read()?, format)?;
        let mut rows = 0;
        while let Some(message) = messages.next()? {
            session.check()?;
            rows += messages.rows(&message)?;
        }
        Ok(rows)
    };
    count().map_err(|error| error.with_missing("file", file.location()))
}

/// A file that is not what its format says; names no file.
fn damaged(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::InvalidData, "the file is not whole Arrow IPC")
        .hint("it may be truncated, damaged, or of another format; restore it, or say its format")
        .because(cause)
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is expected, and told as an error: nobody has to print it.
#[cfg(feature = "cli")]
pub(crate) fn is_guarded() -> bool {
    GUARDED.get()
}

/// What `work` gives; damage that Arrow does not expect makes it panic.
fn guarded<T>(work: impl FnOnce() -> std::result::Result<T, ArrowError>) -> Result<T> {
    GUARDED.set(true);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    GUARDED.set(false);
    match done {
        Ok(done) => done.map_err(damaged),
        Err(_) => Err(damaged("the decoder gave up")),
    }
}

#[cfg(test)]
mod tests;
