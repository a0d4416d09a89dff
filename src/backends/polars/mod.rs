//! The Polars backend: user frames run in Polars, lazily and streaming; what an upsert means is
//! decided elsewhere.

mod crossing;
mod ffi;

use polars::error::PolarsError;

use crate::error::{Error, ErrorKind};

/// An error of Polars in keyfold's words: kind by variant, the message without the query plan that
/// Polars appends to it.
fn failed(cause: PolarsError) -> Error {
    use PolarsError as P;
    let cause = unwrapped(cause);
    let (kind, hint) = match &cause {
        P::IO { error, .. } => (Error::io("", clone_io(error)).kind(), None),
        P::ColumnNotFound(_) | P::SchemaFieldNotFound(_) | P::StructFieldNotFound(_) => {
            (ErrorKind::InvalidInput, Some("names of columns are matched exactly"))
        }
        P::SchemaMismatch(_) | P::Duplicate(_) | P::ShapeMismatch(_) => {
            (ErrorKind::InvalidInput, Some("check names and types of the columns"))
        }
        _ => (ErrorKind::Engine, None),
    };
    let error = Error::new(kind, first_line(&cause.to_string())).because(cause);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn unwrapped(mut cause: PolarsError) -> PolarsError {
    while let PolarsError::Context { error, .. } | PolarsError::ExprContext { error, .. } = cause {
        cause = *error;
    }
    cause
}

fn clone_io(error: &std::io::Error) -> std::io::Error {
    error.kind().into()
}

fn first_line(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("polars failed");
    line.trim().trim_end_matches('.').to_owned()
}
