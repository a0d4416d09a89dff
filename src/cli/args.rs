//! What can be typed, as far as commands share it: names, flags, variables.

use std::path::PathBuf;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use clap::builder::{PossibleValuesParser, Resettable, TypedValueParser};
use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use strum::VariantNames;

use crate::cli::column_types::ColumnTypes;
use crate::cli::logging::{LogFormat, LogLevel};
use crate::cli::name::Name;
use crate::cli::objects::{bucket, cat, cp, ls, presign, put, rm, stat};
use crate::cli::s3_args::S3Args;
use crate::cli::{
    check, completions, count, history, optimize, read, restore, schema, upsert, vacuum, write,
};
use crate::core::format::Format;
use crate::core::options::{CsvOptions, ReadOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::factory::Backend;

const COMMON: &str = "Common options";
const CSV: &str = "CSV options";

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold upsert changes.csv orders.parquet --id order_id --modified updated_at
  keyfold read orders.parquet --where \"status = 'open'\"
  keyfold write orders.csv orders.parquet

SETTINGS:
  A flag wins over its KEYFOLD_ variable, which wins over keyfold.toml in the current folder.

EXIT CODES:
  0 done   1 failed   2 wrong usage   130 interrupted";

/// Folds new rows into data at rest: newest row wins, nothing is lost
#[derive(Debug, Parser)]
#[command(name = "keyfold", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl Cli {
    /// What was typed, and what variables say where nothing was.
    pub(crate) fn from_process() -> Result<Self, clap::Error> {
        let mut command = without_empty_variables(Self::command());
        let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }
}

/// A variable that is empty counts as unset: it is how a script or a container clears one.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let clear = |argument: Arg| {
        let empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { argument.env(Resettable::Reset) } else { argument }
    };
    command.mut_args(clear).mut_subcommands(without_empty_variables)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Upsert(Box<upsert::UpsertArgs>),
    Check(Box<check::CheckArgs>),
    Read(Box<read::ReadArgs>),
    Write(Box<write::WriteArgs>),
    Schema(schema::SchemaArgs),
    Count(count::CountArgs),
    History(history::HistoryArgs),
    Restore(restore::RestoreArgs),
    Optimize(optimize::OptimizeArgs),
    Vacuum(vacuum::VacuumArgs),
    Ls(ls::LsArgs),
    Cp(cp::CpArgs),
    /// Move one object or file: copy it, then remove the source
    #[command(after_help = cp::MOVES)]
    Mv(cp::CpArgs),
    Rm(rm::RmArgs),
    Cat(cat::CatArgs),
    Put(Box<put::PutArgs>),
    Stat(stat::StatArgs),
    Presign(presign::PresignArgs),
    Bucket(bucket::BucketArgs),
    Completions(completions::CompletionsArgs),
}

/// The flags of every command.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Read settings from FILE instead of keyfold.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = COMMON)]
    #[arg(env = "KEYFOLD_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,

    /// Log what is at least this important [default: warn]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = COMMON, hide_possible_values = false)]
    #[arg(env = "KEYFOLD_LOG", hide_env_values = true)]
    log_level: Option<LogLevel>,

    /// Log more: -v is info, -vv is debug
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = COMMON)]
    verbose: u8,

    /// Log lines, and the error, as text or as JSON [default: text]
    #[arg(long, global = true, value_name = "FORMAT", help_heading = COMMON)]
    #[arg(env = "KEYFOLD_LOG_FORMAT", hide_env_values = true)]
    pub(crate) log_format: Option<LogFormat>,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

impl CommonArgs {
    /// `-v` is said for this one run, so it wins over a level that may come from a variable.
    pub(crate) fn log_level(&self, from_file: Option<LogLevel>) -> LogLevel {
        match self.verbose {
            0 => self.log_level.or(from_file).unwrap_or_default(),
            1 => LogLevel::Info,
            _ => LogLevel::Debug,
        }
    }
}

/// How sources are read.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// Format of the sources [default: told from name and content; .gz and .zst are read as what they hold]
    #[arg(long, value_name = "FORMAT", value_parser = one_of::<Format>(Format::VARIANTS))]
    source_format: Option<Format>,

    /// Read this version of a Delta table [default: the last one]
    #[arg(long, value_name = "N", conflicts_with = "timestamp")]
    version: Option<u64>,

    /// Read the version of a Delta table that was the last one at this time, such as 2026-11-21T16:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    timestamp: Option<DateTime<Utc>>,

    #[command(flatten)]
    pub(crate) csv: CsvArgs,
}

impl SourceArgs {
    pub(crate) fn options(&self, types: Option<ColumnTypes>) -> ReadOptions {
        ReadOptions {
            format: self.source_format,
            schema: types.map(ColumnTypes::into_schema),
            csv: self.csv.options(),
            version: self.version,
            timestamp: self.timestamp,
            ..ReadOptions::default()
        }
    }
}

/// How delimited text is laid out.
#[derive(Debug, Args)]
pub(crate) struct CsvArgs {
    /// Character between fields, or `tab` [default: a comma; a tab for .tsv]
    #[arg(long, value_name = "CHAR", value_parser = parse_byte, help_heading = CSV)]
    pub(crate) delimiter: Option<u8>,

    /// The first record is data: columns get the names `column_1`, `column_2`, …
    #[arg(long, help_heading = CSV)]
    no_header: bool,

    /// Character around fields that hold a delimiter or a line end [default: "]
    #[arg(long, value_name = "CHAR", value_parser = parse_byte, help_heading = CSV)]
    quote: Option<u8>,

    /// Unquoted fields that mean null, beside the empty one
    #[arg(long, value_name = "TEXT,…", value_delimiter = ',', help_heading = CSV)]
    null_values: Vec<String>,

    /// Pattern of timestamps and dates that are not in ISO 8601, such as `%d.%m.%Y %H:%M`
    #[arg(long, value_name = "PATTERN", help_heading = CSV)]
    timestamp_format: Option<String>,
}

impl CsvArgs {
    pub(crate) fn options(&self) -> CsvOptions {
        let defaults = CsvOptions::default();
        CsvOptions {
            delimiter: self.delimiter,
            header: !self.no_header,
            quote: self.quote.unwrap_or(defaults.quote),
            null_values: self.null_values.clone(),
            timestamp_format: self.timestamp_format.clone(),
        }
    }
}

/// How the target of a write or an upsert is laid out.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Format of the target [default: told from its name; text with .gz or .zst behind it is compressed]
    #[arg(long, value_name = "FORMAT", value_parser = one_of::<Format>(Format::VARIANTS))]
    pub(crate) target_format: Option<Format>,

    /// Character between fields of the target [default: as --delimiter]
    #[arg(long, value_name = "CHAR", value_parser = parse_byte, help_heading = CSV)]
    target_delimiter: Option<u8>,

    /// Columns by which a new Delta table or folder is partitioned
    #[arg(long, value_name = "COL,…", value_delimiter = ',')]
    pub(crate) partition_by: Option<Vec<String>>,

    /// Columns of which new Parquet files keep a bloom filter, by which upserts rule row groups out: ids in no order, such as
    /// UUIDs
    #[arg(long, value_name = "COL,…", value_delimiter = ',')]
    pub(crate) bloom_filter: Vec<String>,

    /// Let a new Delta table mark replaced rows in deletion vectors, so that upserts leave its files as they are; not all
    /// readers know them
    #[arg(long)]
    pub(crate) deletion_vectors: bool,

    /// Make the missing folders above a new target on a local disk
    #[arg(long)]
    pub(crate) mkdir: bool,
}

impl TargetArgs {
    /// The layout of the target: that of the sources, but for what is said apart.
    pub(crate) fn csv(&self, sources: &CsvArgs) -> CsvOptions {
        let csv = sources.options();
        CsvOptions { delimiter: self.target_delimiter.or(csv.delimiter), ..csv }
    }
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum ReportFormat {
    #[default]
    Text,
    Json,
}

/// A value out of a closed list, which `--help`, completions and the error name.
pub(crate) fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

/// The parser of `--backend`.
pub(crate) fn backend() -> impl TypedValueParser<Value = Backend> {
    one_of(Backend::names())
}

/// A value with a grammar of its own; clap's message gets our context and our hint.
pub(crate) fn parsed<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| match error.hint_text() {
        Some(hint) => format!("{error}\n  hint: {hint}"),
        None => error.to_string(),
    })
}

/// A time in ISO 8601; without a zone it is one in UTC.
fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let naive = || {
        let patterns = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        let time = patterns.iter().find_map(|pattern| NaiveDateTime::parse_from_str(text, pattern).ok());
        time.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
    };
    let told = zoned.ok().or_else(|| naive().map(|time| time.and_utc()));
    told.ok_or_else(|| "it must be a time in ISO 8601, such as 2026-11-21T16:00:00Z".to_owned())
}

fn parse_byte(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        _ => Err("it must be one ASCII character, or tab".to_owned()),
    }
}

/// Refuses to read standard input twice.
pub(crate) fn check_sources(sources: &[Name]) -> Result<()> {
    if sources.iter().filter(|source| source.is_standard()).count() > 1 {
        return Err(Error::new(ErrorKind::Usage, "standard input is named twice")
            .hint("- can stand for one source only"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn examples_are_not_broken_by_a_narrow_terminal() {
        for command in std::iter::once(&Cli::command()).chain(Cli::command().get_subcommands()) {
            let examples = command.get_after_help().expect("examples").to_string();
            for line in examples.lines().filter(|line| !line.contains("keyfold.toml")) {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn verbose_wins_over_a_level_from_elsewhere() {
        let level = |args: &[&str], file| {
            let args = ["keyfold", "count", "x.csv"].iter().chain(args);
            Cli::try_parse_from(args).expect("parses").common.log_level(file)
        };
        assert_eq!(level(&[], None), LogLevel::Warn);
        assert_eq!(level(&[], Some(LogLevel::Error)), LogLevel::Error);
        assert_eq!(level(&["--log-level", "off"], Some(LogLevel::Error)), LogLevel::Off);
        assert_eq!(level(&["-v"], Some(LogLevel::Error)), LogLevel::Info);
        assert_eq!(level(&["-vv", "--log-level", "off"], None), LogLevel::Debug);
    }

    #[test]
    fn a_time_without_a_zone_is_one_in_utc() {
        let noon = parse_time("2026-11-21T12:00:00Z").expect("a time");
        for same in ["2026-11-21 12:00:00", "2026-11-21T14:00:00+02:00", "2026-11-21T12:00:00.000"] {
            assert_eq!(parse_time(same), Ok(noon), "{same}");
        }
        assert_eq!(parse_time("2026-11-21"), parse_time("2026-11-21T00:00:00Z"));
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn a_delimiter_is_one_ascii_character_or_tab() {
        assert_eq!(parse_byte(";"), Ok(b';'));
        assert_eq!(parse_byte("tab"), Ok(b'\t'));
        assert_eq!(parse_byte("\\t"), Ok(b'\t'));
        for wrong in ["", "ab", "é"] {
            assert!(parse_byte(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_can_be_said_by_variables() {
        let command = Cli::command();
        let upsert = command.find_subcommand("upsert").expect("a command");
        let variable = |command: &clap::Command, id: &str| {
            let mut arguments = command.get_arguments();
            let found = arguments.find(|argument| argument.get_id() == id)?;
            Some(found.get_env()?.to_string_lossy().into_owned())
        };
        for id in ["backend", "output", "max_retries", "compression"] {
            let expected = format!("KEYFOLD_{}", id.to_uppercase());
            assert_eq!(variable(upsert, id), Some(expected));
        }
        assert_eq!(variable(&command, "log_level").as_deref(), Some("KEYFOLD_LOG"));
        assert_eq!(variable(&command, "log_format").as_deref(), Some("KEYFOLD_LOG_FORMAT"));
        assert_eq!(variable(&command, "config").as_deref(), Some("KEYFOLD_CONFIG"));
    }

    #[test]
    fn standard_input_is_named_once() {
        let name = |name: &&str| Name::from((*name).to_owned());
        let check = |names: &[&str]| check_sources(&names.iter().map(name).collect::<Vec<_>>());
        assert!(check(&["-", "a.csv"]).is_ok());
        assert_eq!(check(&["-", "-"]).map_err(|e| e.kind()), Err(ErrorKind::Usage));
    }
}
