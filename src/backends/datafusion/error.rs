//! What went wrong in DataFusion, in keyfold's words: the root of it, without plans and backtraces.

use std::error::Error as StdError;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::object_store;
use datafusion::parquet::errors::ParquetError;

use crate::error::{Error, ErrorKind};
use crate::table::parquet::undecodable;

/// A failure of DataFusion; an error of keyfold's own that went through it comes out as it was.
pub(super) fn from_datafusion(cause: DataFusionError) -> Error {
    match cause {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_datafusion(*inner),
        DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(inner) => from_datafusion(inner),
            Err(shared) => from_shared(&shared),
        },
        DataFusionError::Collection(errors) => {
            errors.into_iter().next().map_or_else(|| engine("it did not say why"), from_datafusion)
        }
        DataFusionError::External(inner) => from_external(inner),
        DataFusionError::ArrowError(inner, _) => from_arrow(*inner),
        DataFusionError::ParquetError(inner) => from_parquet(*inner),
        DataFusionError::IoError(inner) => Error::io("reading or writing failed in datafusion", inner),
        DataFusionError::ObjectStore(inner) => from_store(*inner),
        DataFusionError::ResourcesExhausted(text) => {
            engine(&text).hint("give the session more memory, or fewer partitions")
        }
        other => engine(&other.strip_backtrace()),
    }
}

/// An error of ours on its way through DataFusion.
pub(super) fn into_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Several streams were told of one failure, so it cannot be taken apart: its root is put in words.
fn from_shared(shared: &DataFusionError) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(shared);
    while let Some(next) = cause {
        if let Some(own) = next.downcast_ref::<Error>() {
            return copy(own);
        }
        cause = next.source();
    }
    engine(&shared.find_root().strip_backtrace())
}

fn copy(own: &Error) -> Error {
    let copy = Error::new(own.kind(), format!("{own}"));
    match own.hint_text() {
        Some(hint) => copy.hint(hint.to_owned()),
        None => copy,
    }
}

fn from_external(cause: Box<dyn StdError + Send + Sync>) -> Error {
    let cause = match cause.downcast::<Error>() {
        Ok(own) => return *own,
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<DataFusionError>() {
        Ok(inner) => return from_datafusion(*inner),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<ArrowError>() {
        Ok(inner) => return from_arrow(*inner),
        Err(cause) => cause,
    };
    match cause.downcast::<ParquetError>() {
        Ok(inner) => from_parquet(*inner),
        Err(cause) => engine(&cause.to_string()),
    }
}

fn from_arrow(cause: ArrowError) -> Error {
    match cause {
        ArrowError::ExternalError(inner) => from_external(inner),
        ArrowError::IoError(_, inner) => Error::io("reading or writing failed in datafusion", inner),
        ArrowError::CastError(text) | ArrowError::ParseError(text) => {
            Error::new(ErrorKind::InvalidInput, "a value does not fit its new type")
                .with("problem", first_line(&text))
                .hint("choose a wider type, or read the column as it is stored")
        }
        other @ ArrowError::ParquetError(_) => undecodable(other),
        other => engine(&other.to_string()),
    }
}

fn from_parquet(cause: ParquetError) -> Error {
    match cause {
        ParquetError::External(inner) => from_external(inner),
        other => undecodable(other),
    }
}

fn from_store(cause: object_store::Error) -> Error {
    let kind = match cause {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } => ErrorKind::PermissionDenied,
        _ => ErrorKind::Io,
    };
    Error::new(kind, "a file cannot be read").because(cause)
}

fn engine(problem: &str) -> Error {
    Error::new(ErrorKind::Engine, "datafusion failed").with("problem", first_line(problem))
}

/// Later lines of DataFusion's messages are plans.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Error {
        Error::new(ErrorKind::InvalidData, "line 7 is broken").hint("mend it")
    }

    #[test]
    fn an_error_of_ours_comes_out_as_it_went_in() {
        let wrapped = DataFusionError::Context("while scanning".into(), Box::new(into_datafusion(own())));
        let arrow = DataFusionError::ArrowError(
            Box::new(ArrowError::ExternalError(Box::new(wrapped))),
            Some("backtrace".into()),
        );
        let shared = Arc::new(into_datafusion(own()));
        for error in [arrow, DataFusionError::Shared(Arc::clone(&shared)), DataFusionError::Shared(shared)] {
            let back = from_datafusion(error);
            assert_eq!(back.kind(), ErrorKind::InvalidData);
            assert_eq!(back.to_string(), "line 7 is broken");
            assert_eq!(back.hint_text(), Some("mend it"));
        }
    }

    #[test]
    fn plans_and_backtraces_are_left_out() {
        let text = format!("no such thing\nProjection: a{}frames", DataFusionError::BACK_TRACE_SEP);
        let error = from_datafusion(DataFusionError::Execution(text));
        assert_eq!(error.kind(), ErrorKind::Engine);
        assert_eq!(error.to_string(), "datafusion failed (problem: Execution error: no such thing)");
    }

    #[test]
    fn kinds_that_have_a_word_of_their_own_keep_it() {
        let io = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(from_datafusion(DataFusionError::IoError(io)).kind(), ErrorKind::PermissionDenied);
        let parquet = ParquetError::EOF("eof".into());
        assert_eq!(from_datafusion(parquet.into()).kind(), ErrorKind::InvalidData);
        let cast = ArrowError::CastError("Can't cast value 300 to type Int8".into());
        assert_eq!(from_datafusion(cast.into()).kind(), ErrorKind::InvalidInput);
    }
}
