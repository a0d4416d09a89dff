//! `keyfold.toml`: settings for whoever runs the same command again. A flag and a `KEYFOLD_` variable
//! win over it; clap sees to these two.

use std::path::Path;
use std::str::FromStr;

use strum::VariantNames;
use toml::{Table, Value};

use crate::cli::args::ReportFormat;
use crate::cli::logging::{LogFormat, LogLevel};
use crate::cli::toml_place::Place;
use crate::client::s3_settings::S3Settings;
use crate::core::options::{Compression, MemoryLimit};
use crate::error::{Error, ErrorKind, Result};
use crate::factory::Backend;

const FILE: &str = "keyfold.toml";
const KEYS: [&str; 8] =
    ["backend", "output", "log_level", "log_format", "max_retries", "memory_limit", "compression", "s3"];

/// What the file says; each key has a flag of the same name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) backend: Option<Backend>,
    /// How reports are printed; what `read` prints is data, and has a flag of its own.
    pub(crate) output: Option<ReportFormat>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) memory_limit: Option<MemoryLimit>,
    pub(crate) compression: Option<Compression>,
    /// The section `[s3]`.
    pub(crate) s3: S3Settings,
}

impl Settings {
    /// Reads the file that was named; if none was, the one in the current folder, if there is one.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self> {
        let path = named.unwrap_or(Path::new(FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|error| error.with("file", path.display())),
            Err(cause) if named.is_none() && cause.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(cause) => Err(usage("cannot read the settings").with("file", path.display()).because(cause)),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse().map_err(|cause: toml::de::Error| {
            let place = Place::of(text, cause.span().map_or(0, |span| span.start));
            place.told(usage("the settings are not TOML")).hint(cause.message().to_owned())
        })?;
        let mut settings = Self::default();
        for (key, value) in &table {
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<()> {
        match key {
            "backend" => self.backend = Some(word(key, value, Backend::names())?),
            "output" => self.output = Some(listed(key, value)?),
            "log_level" => self.log_level = Some(listed(key, value)?),
            "log_format" => self.log_format = Some(listed(key, value)?),
            "compression" => self.compression = Some(string(key, value)?.parse()?),
            "memory_limit" => self.memory_limit = Some(string(key, value)?.parse()?),
            "max_retries" => self.max_retries = Some(count(key, value)?),
            "s3" => {
                let table = value.as_table().ok_or_else(|| wrong_type(key, value, "table"))?;
                for (key, value) in table {
                    let text = match value {
                        Value::Boolean(switch) => switch.to_string(),
                        other => string(key, other)?.to_owned(),
                    };
                    self.s3.set(key, &text)?;
                }
            }
            _ => {
                return Err(usage("unknown setting")
                    .with("key", key)
                    .hint(format!("known settings: {}", KEYS.join(", "))));
            }
        }
        Ok(())
    }
}

fn usage(message: &'static str) -> Error {
    Error::new(ErrorKind::Usage, message)
}

fn wrong_type(key: &str, value: &Value, expected: &'static str) -> Error {
    usage("a setting has the wrong type")
        .with("key", key)
        .with("found", value.type_str())
        .with("expected", expected)
}

fn string<'a>(key: &str, value: &'a Value) -> Result<&'a str> {
    value.as_str().ok_or_else(|| wrong_type(key, value, "string"))
}

fn count(key: &str, value: &Value) -> Result<u32> {
    let number = value.as_integer().ok_or_else(|| wrong_type(key, value, "integer"))?;
    u32::try_from(number).map_err(|_| {
        usage("a setting is out of range").with("key", key).with("value", number).hint("0 to 4294967295")
    })
}

fn listed<T: FromStr + VariantNames>(key: &str, value: &Value) -> Result<T> {
    word(key, value, T::VARIANTS)
}

fn word<T: FromStr>(key: &str, value: &Value, known: &[&str]) -> Result<T> {
    let text = string(key, value)?;
    text.parse().map_err(|_| {
        usage("a setting has an unknown value")
            .with("key", key)
            .with("value", text)
            .hint(format!("known values: {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let text = "backend = 'datafusion'\noutput = 'json'\nlog_level = 'info'\nlog_format = 'json'\n\
                    max_retries = 3\nmemory_limit = '1GiB'\ncompression = 'zstd:9'\n\
                    [s3]\nregion = 'eu-west-1'\nallow_http = true\n";
        let settings = Settings::parse(text).expect("settings");
        assert_eq!(
            (settings.backend, settings.output, settings.log_level),
            (Some(Backend::DataFusion), Some(ReportFormat::Json), Some(LogLevel::Info))
        );
        assert_eq!(
            (settings.log_format, settings.max_retries, settings.compression),
            (Some(LogFormat::Json), Some(3), Some(Compression::Zstd(9)))
        );
        assert_eq!((settings.s3.region.as_deref(), settings.s3.allow_http), (Some("eu-west-1"), Some(true)));
        let keys: Vec<_> = text
            .lines()
            .filter_map(|line| line.split(' ').next())
            .map(|key| key.trim_matches(['[', ']']))
            .collect();
        assert_eq!(keys[..KEYS.len()], KEYS);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text| Settings::parse(text).expect_err("refused");
        assert_eq!(error("bakcend = 'polars'").to_string(), "unknown setting (key: bakcend)");
        assert!(error("x = 1").hint_text().is_some_and(|hint| hint.contains("max_retries")));
        let wrong = error("max_retries = '3'").to_string();
        assert_eq!(
            wrong,
            "a setting has the wrong type (key: max_retries, found: string, expected: integer)"
        );
        assert!(error("max_retries = -1").to_string().starts_with("a setting is out of range"));
        assert_eq!(error("backend = 'spark'").hint_text(), Some("known values: polars, datafusion"));
        assert_eq!(
            error("output = 'text'\nlog_level = ").to_string(),
            "the settings are not TOML (line: 2, column: 13)"
        );
        for text in ["x = 1", "max_retries = '3'", "compression = 'lzo'", "=", "backend = 'spark'"] {
            assert_eq!(error(text).kind(), ErrorKind::Usage, "{text}");
        }
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mine.toml");
        assert_eq!(Settings::load(Some(&path)).map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::Usage));
        std::fs::write(&path, "colour = 'red'").expect("writes");
        let error = Settings::load(Some(&path)).expect_err("refused").to_string();
        assert!(error.contains("mine.toml"), "{error}");
    }
}
