//! Log lines on standard error; each carries the id of the run, because all of it happens in one span.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How important a line must be to be logged.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    ValueEnum,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum LogLevel {
    Off,
    Error,
    #[default]
    Warn,
    Info,
    Debug,
    Trace,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogLevel {
    /// More talk is wanted from keyfold, not from every engine below it.
    fn directives(self) -> String {
        match self {
            Self::Off => self.to_string(),
            // What ails a log of Delta is an error of ours, and said once.
            Self::Error | Self::Warn => format!("{self},buoyant_kernel=off"),
            Self::Info | Self::Debug | Self::Trace => format!("warn,buoyant_kernel=off,keyfold={self}"),
        }
    }
}

/// Starts logging. Does nothing if the process logs already.
pub(crate) fn init(level: LogLevel, format: LogFormat) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level.directives()))
        .with_writer(std::io::stderr)
        .with_ansi(colour);
    // The only failure is a subscriber that is already there.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

/// Whether JSON lines are asked for, by arguments that could not be parsed.
pub(crate) fn json_is_asked(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut said = std::env::var("KEYFOLD_LOG_FORMAT").ok();
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--log-format") {
            Some("") => said = arguments.next(),
            Some(value) => said = value.strip_prefix('=').map(ToOwned::to_owned),
            None => {}
        }
    }
    said.as_deref() == Some("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_stay_quiet_when_keyfold_talks() {
        assert_eq!(LogLevel::Debug.directives(), "warn,buoyant_kernel=off,keyfold=debug");
        assert_eq!(LogLevel::Error.directives(), "error,buoyant_kernel=off");
        assert_eq!(LogLevel::Off.directives(), "off");
    }

    #[test]
    fn json_is_recognised_where_nothing_else_is() {
        let asked = |args: &[&str]| json_is_asked(args.iter().map(Into::into));
        assert!(asked(&["keyfold", "--log-format", "json", "oops"]));
        assert!(asked(&["keyfold", "--log-format=json"]));
        assert!(!asked(&["keyfold", "--log-format=text", "json"]));
    }
}
