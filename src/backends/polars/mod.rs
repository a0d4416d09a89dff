//! The Polars backend: user frames run in Polars, lazily and streaming; what an upsert means is
//! decided elsewhere.

mod bring;
mod crossing;
mod ffi;
mod frame;
mod lower;
mod reader;
mod scan;
mod spool;
mod upserter;
mod writer;

use std::any::Any;
use std::io;
use std::sync::Arc;

use polars::error::PolarsError;
use tokio::task::{JoinError, spawn_blocking};

use crate::error::{Error, ErrorKind, Result};
use crate::table::parquet::undecodable;

pub use frame::PolarsFrame;
pub use reader::PolarsReader;
pub use upserter::PolarsUpserter;
pub use writer::PolarsWriter;

/// The name by which reports and errors speak of this backend.
const NAME: &str = "polars";

/// Runs work of Polars on a thread that may block: Polars blocks on a runtime of its own, and panics
/// where it still finds itself inside another one.
async fn run<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    spawn_blocking(work).await.unwrap_or_else(|cause| Err(crash(cause)))
}

/// A panic inside Polars, as an error.
fn crash(cause: JoinError) -> Error {
    let message = match cause.try_into_panic() {
        Ok(panic) => first_line(&panic_text(&*panic)),
        Err(_) => "the runtime was shut down".to_owned(),
    };
    Error::new(ErrorKind::Engine, "polars stopped in the middle").with("message", message).hint(
        "nothing was committed; simplify the frame, or use the datafusion backend (--backend datafusion)",
    )
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// An error of Polars in keyfold's words: kind by variant, and the message without the query plan that
/// Polars appends to it.
fn failed(cause: PolarsError) -> Error {
    use PolarsError as P;
    let cause = unwrapped(cause);
    let (kind, hint) = match &cause {
        P::IO { error, .. } => match own(error) {
            Some(own) => return own,
            None => (Error::io("", error.kind().into()).kind(), "check that the files are still there"),
        },
        P::ColumnNotFound(_) | P::SchemaFieldNotFound(_) | P::StructFieldNotFound(_) => {
            (ErrorKind::InvalidInput, "names of columns are matched exactly")
        }
        P::SchemaMismatch(_) | P::Duplicate(_) | P::ShapeMismatch(_) => {
            (ErrorKind::InvalidInput, "check names and types of the columns")
        }
        P::InvalidOperation(_) | P::OutOfBounds(_) | P::NoData(_) | P::AssertionError(_) => {
            (ErrorKind::InvalidInput, "check what the frame does with its values")
        }
        // How all errors of Polars' reader of Parquet begin.
        P::ComputeError(text) if text.starts_with("parquet: ") => return undecodable(cause),
        _ => (ErrorKind::Engine, "run the frame by itself in polars to see where it fails"),
    };
    Error::new(kind, first_line(&cause.to_string())).hint(hint).because(cause)
}

fn unwrapped(mut cause: PolarsError) -> PolarsError {
    while let PolarsError::Context { error, .. } | PolarsError::ExprContext { error, .. } = cause {
        cause = *error;
    }
    cause
}

/// The error that [`through`] sent.
fn own(carrier: &io::Error) -> Option<Error> {
    let sent = carrier.get_ref()?.downcast_ref::<Error>()?;
    let error = Error::new(sent.kind(), sent.to_string());
    Some(match sent.hint_text() {
        Some(hint) => error.hint(hint.to_owned()),
        None => error,
    })
}

/// Sends an error of keyfold's own through Polars, which has no variant for those of others.
fn through(error: Error) -> PolarsError {
    PolarsError::IO { error: Arc::new(io::Error::other(error)), msg: None }
}

fn first_line(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("polars failed");
    line.trim().trim_end_matches('.').to_owned()
}
