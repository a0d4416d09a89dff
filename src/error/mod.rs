//! The one error type: what failed, where, and what to do next.
//!
//! Callers match [`ErrorKind`], people read the message, its context and the hint. An error speaks
//! for its own layer; the cause is kept behind [`std::error::Error::source`] and is not repeated in
//! the text.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// The result of everything in keyfold that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What kind of failure this is, for callers who act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display)]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call itself is wrong: an unknown name, options that exclude each other. Known without
    /// touching any data.
    Usage,
    /// The incoming rows, or what was asked of them, do not fit: nulls in ids, a missing column.
    InvalidInput,
    /// Data at rest cannot be understood: a truncated file, a line that does not parse.
    InvalidData,
    /// The location does not exist.
    NotFound,
    /// The location exists and was to be created.
    AlreadyExists,
    /// The operating system or the store refused access.
    PermissionDenied,
    /// Someone else changed the target meanwhile, more often than was allowed to retry.
    Conflict,
    /// keyfold, this build of it, or this store cannot do what was asked.
    Unsupported,
    /// The work was cancelled before it was committed.
    Cancelled,
    /// Reading or writing failed underneath.
    Io,
    /// An engine failed in a way that keyfold has no better word for.
    Engine,
    /// A promise of keyfold's own was about to be broken; nothing was committed.
    Internal,
}

/// What failed, where, and what to do about it.
///
/// ```
/// use keyfold::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::InvalidInput, "id column has nulls")
///     .with("column", "order_id")
///     .with("rows", 3)
///     .hint("drop or fill them");
/// assert_eq!(error.to_string(), "id column has nulls (column: order_id, rows: 3)");
/// assert_eq!(error.hint_text(), Some("drop or fill them"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    hint: Option<Cow<'static, str>>,
    source: Option<Cause>,
}

impl Error {
    /// Makes an error; `message` is lower case, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), context: Vec::new(), hint: None, source: None }))
    }

    /// Adds a fact about where it happened: a column, a file, a line.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Adds a fact unless one of that name is there already, for outer layers that know less.
    #[must_use]
    pub fn with_missing(self, name: &'static str, value: impl fmt::Display) -> Self {
        if self.0.context.iter().any(|(known, _)| *known == name) { self } else { self.with(name, value) }
    }

    /// Says what the reader can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the cause for whoever walks the chain.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts that were added, in order.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the same call may succeed when it is simply made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Conflict)
    }

    /// An error of the operating system, its kind taken over.
    #[must_use]
    pub fn io(message: impl Into<Cow<'static, str>>, cause: io::Error) -> Self {
        let kind = match cause.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::PermissionDenied
            }
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).because(cause)
    }

    /// The same for the next one who asked for the same work; the cause stays with the first.
    #[must_use]
    pub(crate) fn again(&self) -> Self {
        let Inner { kind, message, context, hint, source: _ } = &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            message: message.clone(),
            context: context.clone(),
            hint: hint.clone(),
            source: None,
        }))
    }

    /// A broken promise of keyfold's own.
    #[must_use]
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
            .hint("nothing was committed; please report this with the command that led to it")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (i, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name}: {value}", if i == 0 { " (" } else { ", " })?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind)?;
        if let Some(hint) = &self.0.hint {
            write!(f, "; {hint}")?;
        }
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            write!(f, "; because {next}")?;
            cause = next.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_kept_and_not_repeated() {
        let error = Error::io("cannot open the file", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "cannot open the file");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn an_outer_layer_does_not_overwrite_what_an_inner_one_said() {
        let error =
            Error::new(ErrorKind::InvalidData, "x").with("file", "inner").with_missing("file", "outer");
        assert_eq!(error.to_string(), "x (file: inner)");
    }
}
