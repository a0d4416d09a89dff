//! Delta tables: many Parquet files, and a log that says which of them are the table.
//!
//! What the log says is read by `deltalake-core`. Data files are read and written by keyfold's own code, and a version
//! is committed by the same create-only write as a new single file, so that credentials, conditions and lost answers
//! are treated alike everywhere.

mod add_columns;
mod commit;
mod features;
mod group_stats;
mod history;
mod known;
mod log;
mod new_file;
mod new_files;
mod optimize;
mod part;
mod prune;
mod restore;
mod rewrite;
mod stats;
mod types;
mod upsert;
mod vacuum;
mod vectors;
mod write;
mod written;
mod z_order;

use std::io::ErrorKind::PermissionDenied;

use deltalake_core::DeltaTableError;

use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

pub(crate) use history::history;
pub(crate) use log::{At, Snapshot};
pub(crate) use optimize::optimize;
pub(crate) use restore::restore;
pub(super) use upsert::DeltaTarget;
pub(crate) use vacuum::vacuum;
pub(super) use write::write_stream;

/// Whether this build knows Delta tables.
pub(crate) const IS_KNOWN: bool = true;

/// The folder of the log, below that of the table.
pub(super) const LOG: &str = "_delta_log";

/// Whether `location` is the folder of a Delta table: it has a log with something in it.
///
/// # Errors
///
/// `PermissionDenied` or `Io`.
pub(crate) fn is_table(session: &Session, location: &Location) -> Result<bool> {
    session.has_any(&location.join(LOG)?)
}

/// The file of the log that makes a version, in the table at `location`.
fn version_file(location: &Location, version: u64) -> Result<Location> {
    location.join(&format!("{LOG}/{version:020}.json"))
}

fn missing(location: &Location) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such Delta table")
        .with("table", location)
        .hint("its folder has no _delta_log, or an empty one")
}

/// What went wrong while a log was read. An error of keyfold's own that came through the reader is given as it was.
fn failed(cause: DeltaTableError) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&cause);
    while let Some(inner) = source {
        if let Some(own) = inner.downcast_ref::<Error>() {
            return own.again();
        }
        if inner.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == PermissionDenied) {
            return Error::new(ErrorKind::PermissionDenied, "the log of the Delta table cannot be read")
                .hint("its folder _delta_log and the files in it must be readable")
                .because(cause);
        }
        source = inner.source();
    }
    let text = cause.to_string();
    if text.to_lowercase().contains("unsupported") {
        return Error::new(ErrorKind::Unsupported, "the Delta table cannot be read").because(cause);
    }
    Error::new(ErrorKind::InvalidData, "the log of the Delta table cannot be read")
        .hint("a file of its _delta_log may be missing or damaged")
        .because(cause)
}
