//! Standard output: where data goes. Who reads it may stop reading; that ends the work and fails nothing.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;

use crate::error::{Error, Result};

/// Writes data out; `Break` if nobody reads any more.
pub(crate) fn emit(bytes: &[u8]) -> Result<ControlFlow<()>> {
    emit_to(&mut io::stdout().lock(), bytes)
}

/// Writes text of which nothing depends on being read.
pub(crate) fn print(text: &str) -> Result<()> {
    emit(text.as_bytes()).map(|_| ())
}

/// Writes one JSON object on a line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    print(&json_line(value)?)
}

/// Writes the report of work that is `done`: whoever does not get it must not take the work for failed.
pub(crate) fn print_report(text: &str, done: &'static str) -> Result<()> {
    print(text).map_err(|cause| not_told(cause, done))
}

fn not_told(cause: Error, done: &'static str) -> Error {
    Error::new(cause.kind(), format!("{done}, but the report cannot be printed"))
        .hint("there is no need to run it again")
        .because(cause)
}

/// Talks to the user, on standard error. There is no better place to tell of a failure to do so.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The text with its control characters escaped: a line stays one, and a terminal takes no orders from a name.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

pub(crate) fn json_line(value: &impl Serialize) -> Result<String> {
    let mut line = serde_json::to_string(value)
        .map_err(|cause| Error::internal("a report cannot be written as JSON").because(cause))?;
    line.push('\n');
    Ok(line)
}

fn emit_to(out: &mut impl Write, bytes: &[u8]) -> Result<ControlFlow<()>> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(cause) => Err(Error::io("cannot write to standard output", cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(io::ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_ends_the_work_and_a_full_disk_fails_it() {
        let mut out = Vec::new();
        assert_eq!(emit_to(&mut out, b"x").ok(), Some(ControlFlow::Continue(())));
        assert_eq!(out, b"x");
        assert_eq!(emit_to(&mut Fails(io::ErrorKind::BrokenPipe), b"x").ok(), Some(ControlFlow::Break(())));
        assert!(emit_to(&mut Fails(io::ErrorKind::StorageFull), b"x").is_err());
    }

    #[test]
    fn a_report_that_is_lost_says_that_the_work_is_not() {
        let full = emit_to(&mut Fails(io::ErrorKind::StorageFull), b"x").expect_err("full");
        let error = not_told(full, "the rows are committed");
        assert_eq!(error.to_string(), "the rows are committed, but the report cannot be printed");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("no need to run it again")));
    }

    #[test]
    fn a_json_object_is_one_line() {
        assert_eq!(json_line(&serde_json::json!({"rows": 1})).expect("json"), "{\"rows\":1}\n");
    }
}
