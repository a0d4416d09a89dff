//! How a failure is told on standard error: what failed and where, why, and what to do about it.

use std::error::Error as _;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::cli::logging::LogFormat;
use crate::cli::output::say;
use crate::error::{Error, ErrorKind};

/// Tells the user of `error`.
pub(crate) fn tell(error: &Error, format: LogFormat, run_id: &str) {
    match format {
        LogFormat::Text => say(&text(error)),
        LogFormat::Json => {
            let mut line = json(error);
            line["span"] = json!({ "name": "run", "id": run_id });
            say(&line.to_string());
        }
    }
}

/// Tells, as JSON, of arguments that could not be parsed.
pub(crate) fn tell_usage(error: &clap::Error) {
    let error = Error::new(ErrorKind::Usage, usage_message(&error.to_string())).hint("see keyfold --help");
    say(&json(&error).to_string());
}

/// What clap says is wrong, on one line, without the usage and the advice that it adds.
pub(crate) fn usage_message(text: &str) -> String {
    let said = text.strip_prefix("error: ").unwrap_or(text);
    let wrong = said.split("\n\nUsage:").next().unwrap_or(said);
    let wrong = wrong.split("\n\nFor more information").next().unwrap_or(wrong);
    wrong.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(error: &Error) -> String {
    let mut text = format!("error: {error}");
    for cause in causes(error) {
        let _ = write!(text, "\n  caused by: {}", cause.replace('\n', "\n    "));
    }
    if let Some(hint) = error.hint_text() {
        let _ = write!(text, "\n  hint: {hint}");
    }
    text
}

/// One object in the form of the log lines around it.
fn json(error: &Error) -> Value {
    let context: Map<_, _> = error.context().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "timestamp": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        "level": "ERROR",
        "message": error.message(),
        "kind": error.kind().to_string(),
        "context": context,
        "causes": causes(error),
        "hint": error.hint_text(),
    })
}

/// The causes, outermost first. Foreign errors often repeat their own cause; it is told once.
fn causes(error: &Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !causes.last().is_some_and(|last| last.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Error {
        Error::io("cannot open the file", std::io::Error::other("disk on fire"))
            .with("file", "a.csv")
            .hint("call for help")
    }

    #[test]
    fn text_says_what_why_and_what_next() {
        let expected =
            "error: cannot open the file (file: a.csv)\n  caused by: disk on fire\n  hint: call for help";
        assert_eq!(text(&failure()), expected);
    }

    #[test]
    fn json_says_the_same_in_one_line() {
        let line = json(&failure());
        assert_eq!(line["message"], "cannot open the file");
        assert_eq!(line["kind"], "io");
        assert_eq!(line["context"], json!({ "file": "a.csv" }));
        assert_eq!(line["causes"], json!(["disk on fire"]));
        assert_eq!(line["hint"], "call for help");
        assert!(!line.to_string().contains('\n'));
    }

    #[test]
    fn wrong_usage_is_told_in_full_on_one_line() {
        let text = "error: these arguments are missing:\n  --id <COL>\n\nUsage: keyfold\n\nFor more information, try\n";
        assert_eq!(usage_message(text), "these arguments are missing: --id <COL>");
        assert_eq!(usage_message("error: no\n\nFor more information, try '--help'.\n"), "no");
    }

    #[test]
    fn a_cause_that_repeats_its_own_is_told_once() {
        let inner = Error::new(ErrorKind::Io, "inner");
        let middle = Error::new(ErrorKind::Io, "middle: inner").because(inner);
        assert_eq!(causes(&Error::new(ErrorKind::Io, "outer").because(middle)), ["middle: inner"]);
    }
}
