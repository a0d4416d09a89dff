//! `keyfold upsert`: folds the rows of files into a target.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::cli::Context;
use crate::cli::args::{self, ReportFormat, SourceArgs, TargetArgs};
use crate::cli::changes;
use crate::cli::column_types::ColumnTypes;
use crate::cli::name::Name;
use crate::cli::output::{json_line, print_report};
use crate::cli::progress::Progress;
use crate::cli::rule_args::HARD_CASES;
use crate::cli::rule_words::{RuleWords, TypedRule};
use crate::cli::settings::Settings;
use crate::cli::stdin::Sources;
use crate::cli::summary;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::options::{Compression, MemoryLimit, ReadOptions, UpsertOptions};
use crate::core::report::{UpsertReport, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::factory::Backend;
use crate::ops::Upsert;

const SOURCES: &str = "Sources";
const TARGET: &str = "Target";
const RUNNING: &str = "Running";

const EXAMPLES: &str = "\
EXAMPLES:
  cp -r examples/data /tmp/shop && cd /tmp/shop
  keyfold upsert changes.csv orders.csv --id order_id --modified updated_at \\
      --dry-run
  keyfold upsert changes.csv orders.csv --id order_id --modified updated_at
  keyfold upsert *.csv new.parquet --id order_id --modified updated_at
  keyfold upsert - orders.csv --id order_id --modified updated_at < changes.csv
  keyfold upsert changes.csv orders.csv --rule orders.toml";

/// Fold new rows into a file or table: update what is there, insert what is not
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpsertArgs {
    /// Files or glob patterns with the new rows; - is standard input
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<Name>,

    /// File to fold them into; made if it does not exist
    #[arg(required = true, value_name = "TARGET")]
    target: Name,

    /// File that says what of the rule is not typed; see keyfold check
    #[arg(long = "rule", value_name = "FILE")]
    rule_file: Option<PathBuf>,

    #[command(flatten)]
    rule: TypedRule,

    /// Engine that reads the sources [default: polars]
    #[arg(long, value_name = "NAME", value_parser = args::backend(), ignore_case = true)]
    #[arg(env = "KEYFOLD_BACKEND", hide_env_values = true)]
    backend: Option<Backend>,

    /// Count what would change, write nothing
    #[arg(long)]
    dry_run: bool,

    /// Show so many of the rows that change, as they were and as they are
    #[arg(long, value_name = "ROWS")]
    diff: Option<usize>,

    /// File or table to which rows are added that --null-ids or --stale put into quarantine; made if it does not exist
    #[arg(long, value_name = "LOCATION", help_heading = HARD_CASES)]
    quarantine: Option<Name>,

    /// Print the report as text or as one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,

    /// Start again this often if someone else changes the target meanwhile [default: 10]
    #[arg(long, value_name = "N", help_heading = RUNNING)]
    #[arg(env = "KEYFOLD_MAX_RETRIES", hide_env_values = true)]
    max_retries: Option<u32>,

    /// Memory that the upsert may take, such as 512MiB; above it, incoming rows go to disk [default: a quarter of what there
    /// is]
    #[arg(long, value_name = "SIZE", help_heading = RUNNING, value_parser = args::parsed::<MemoryLimit>)]
    #[arg(env = "KEYFOLD_MEMORY_LIMIT", hide_env_values = true)]
    memory_limit: Option<MemoryLimit>,

    /// Time that is written for this run, such as 2026-01-31T03:00:00Z: as `now()`, for soft deletes, and in a history without
    /// --modified [default: when it begins]
    #[arg(long, value_name = "TIME", help_heading = RUNNING, value_parser = args::parsed::<RunTime>)]
    run_time: Option<RunTime>,

    /// Read these columns as these types: `order_id:string,total:decimal(10,2)`
    #[arg(long, value_name = "COL:TYPE,…", help_heading = SOURCES, value_parser = args::parsed::<ColumnTypes>)]
    schema: Option<ColumnTypes>,

    /// Compression of a new Parquet target, such as zstd:9 or snappy [default: zstd:3]
    #[arg(long, value_name = "CODEC", help_heading = TARGET, value_parser = args::parsed::<Compression>)]
    #[arg(env = "KEYFOLD_COMPRESSION", hide_env_values = true)]
    compression: Option<Compression>,

    #[command(flatten, next_help_heading = SOURCES)]
    source_layout: SourceArgs,

    #[command(flatten, next_help_heading = TARGET)]
    target_layout: TargetArgs,
}

/// The time at which a run is said to be.
#[derive(Debug, Clone, Copy)]
struct RunTime(DateTime<Utc>);

impl FromStr for RunTime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |_| {
            Error::new(ErrorKind::Usage, "this is no time with an offset")
                .with("found", text)
                .hint("write it as 2026-01-31T03:00:00Z, or with an offset, as 2026-01-31T05:00:00+02:00")
        };
        DateTime::parse_from_rfc3339(text).map(|time| Self(time.to_utc())).map_err(wrong)
    }
}

/// What an upsert will do.
#[derive(Debug)]
pub(crate) struct UpsertPlan {
    sources: Vec<Name>,
    target: Name,
    rule: MergeRule,
    backend: Option<Backend>,
    read: ReadOptions,
    options: UpsertOptions,
    output: ReportFormat,
}

pub(crate) fn plan(args: UpsertArgs, settings: &Settings) -> Result<UpsertPlan> {
    args::check_sources(&args.sources)?;
    if args.target.is_standard() {
        return Err(Error::new(ErrorKind::Usage, "an upsert cannot go to standard output")
            .hint("name a file; its rows are needed to know what changes"));
    }
    let (rule, if_missing) = RuleWords::new(&args.rule, args.rule_file.as_deref())?.rule()?;
    let defaults = UpsertOptions::default();
    let options = UpsertOptions {
        format: args.target_layout.target_format,
        dry_run: args.dry_run,
        diff: args.diff,
        max_retries: args.max_retries.or(settings.max_retries).unwrap_or(defaults.max_retries),
        csv: args.target_layout.csv(&args.source_layout.csv),
        compression: args.compression.or(settings.compression).unwrap_or(defaults.compression),
        partition_by: args.target_layout.partition_by.clone(),
        memory_limit: args.memory_limit.or(settings.memory_limit),
        deletion_vectors: args.target_layout.deletion_vectors,
        bloom_filter: args.target_layout.bloom_filter,
        if_missing,
        mkdir: args.target_layout.mkdir,
        run_time: args.run_time.map(|RunTime(time)| time),
        quarantine: args.quarantine.as_ref().map(quarantine).transpose()?,
    };
    options.check_rule(&rule)?;
    let read = args.source_layout.options(args.schema);
    read.validate()?;
    options.validate()?;
    Ok(UpsertPlan {
        rule,
        sources: args.sources,
        target: args.target,
        backend: args.backend.or(settings.backend),
        read,
        options,
        output: args.output.or(settings.output).unwrap_or_default(),
    })
}

fn quarantine(name: &Name) -> Result<Location> {
    if name.is_standard() {
        return Err(Error::new(ErrorKind::Usage, "rows in quarantine cannot go to standard output")
            .with("flag", "--quarantine")
            .hint("name a file or a table"));
    }
    name.as_ref().parse()
}

pub(crate) async fn run(plan: UpsertPlan, context: &Context) -> Result<()> {
    tracing::debug!(?plan, "upsert");
    let started = Instant::now();
    let sources = Sources::open(plan.sources, context).await?;
    let mut door = Upsert::builder().session(context.session.clone());
    if let Some(backend) = plan.backend {
        door = door.backend(backend.to_string());
    }
    let door = door.build()?;
    let progress = Progress::show(&context.session);
    let target = plan.target.as_ref();
    let report = door.upsert_files(sources.names(), plan.read, target, &plan.rule, plan.options).await;
    drop(progress);
    let mut report = report?;
    report.elapsed_ms = millis(started.elapsed());
    print_report(&told(&mut report, plan.output)?, done(&report))
}

/// The rows that change, if they were asked for, and then the report.
fn told(report: &mut UpsertReport, output: ReportFormat) -> Result<String> {
    let changes = report.diff.take().unwrap_or_default();
    Ok(match output {
        ReportFormat::Text => changes::table(&changes, report.changed_rows)? + &summary::upsert(report),
        ReportFormat::Json => {
            let lines = changes.iter().map(json_line).collect::<Result<String>>()?;
            lines + &json_line(report)?
        }
    })
}

/// What has come of the upsert, for whoever does not get its report.
fn done(report: &UpsertReport) -> &'static str {
    if report.dry_run {
        "the changes are counted and nothing is written"
    } else if report.rows.is_no_change() {
        "nothing had to change"
    } else {
        "the rows are committed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::core::merge::{Duplicates, UpsertMethod};
    use crate::core::options::IfMissing;
    use clap::Parser;

    fn planned(arguments: &[&str], settings: &Settings) -> Result<UpsertPlan> {
        let arguments = ["keyfold", "upsert"].iter().chain(arguments);
        let Command::Upsert(args) = Cli::try_parse_from(arguments).expect("parses").command else {
            unreachable!("an upsert")
        };
        plan(*args, settings)
    }

    #[test]
    fn the_last_path_is_the_target() {
        let plan =
            planned(&["a.csv", "b.csv", "t.parquet", "--id", "x,y"], &Settings::default()).expect("plans");
        assert_eq!(plan.sources, ["a.csv", "b.csv"].map(|name| Name::from(name.to_owned())));
        assert_eq!(plan.target.as_ref(), "t.parquet");
        assert_eq!(plan.rule.ids(), ["x", "y"]);
    }

    #[test]
    fn a_modification_column_chooses_the_method() {
        let method = |more: &[&str]| {
            let arguments = [&["a.csv", "t.csv", "--id", "x"], more].concat();
            planned(&arguments, &Settings::default()).map(|plan| plan.rule.method())
        };
        assert_eq!(method(&[]).ok(), Some(UpsertMethod::Id));
        assert_eq!(method(&["--modified", "at"]).ok(), Some(UpsertMethod::Modified));
        assert_eq!(method(&["--modified", "at", "--method", "id"]).ok(), Some(UpsertMethod::Id));
        assert_eq!(method(&["--method", "modified"]).map_err(|e| e.kind()), Err(ErrorKind::Usage));
    }

    #[test]
    fn choices_that_do_not_fit_together_are_wrong_usage() {
        let plan = |flags: &str| {
            let arguments = format!("a.csv t.csv --id x {flags}");
            planned(&arguments.split_whitespace().collect::<Vec<_>>(), &Settings::default())
        };
        for (flags, told) in [
            ("--ties keep", "there is no modification column to compare (flag: --ties)"),
            (
                "--stale error --method update-only",
                "there is no modification column to compare (flag: --stale)",
            ),
            (
                "--modified at --method insert-only --stale error",
                "this method does not compare modification values with stored ones (method: insert-only)",
            ),
        ] {
            let error = plan(flags).expect_err("refused");
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Usage, told.to_owned()));
        }
        let rule = plan("--duplicates first --modified at --method insert-only").expect("plans").rule;
        assert_eq!((rule.method(), rule.duplicates()), (UpsertMethod::InsertOnly, Duplicates::First));
        assert_eq!(plan("--if-missing error").expect("plans").options.if_missing, IfMissing::Error);
    }

    #[test]
    fn standard_output_is_no_target() {
        let error = planned(&["a.csv", "-", "--id", "x"], &Settings::default()).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }

    #[test]
    fn a_flag_wins_over_the_settings_file() {
        let settings = Settings {
            backend: Some(Backend::DataFusion),
            output: Some(ReportFormat::Json),
            max_retries: Some(3),
            compression: Some(Compression::Snappy),
            ..Settings::default()
        };
        let plan = planned(&["a.csv", "t.csv", "--id", "x"], &settings).expect("plans");
        assert_eq!((plan.backend, plan.output), (Some(Backend::DataFusion), ReportFormat::Json));
        assert_eq!((plan.options.max_retries, plan.options.compression), (3, Compression::Snappy));
        let flags = "--backend Polars --output text --max-retries 0 --compression none";
        let arguments: Vec<_> = "a.csv t.csv --id x".split(' ').chain(flags.split(' ')).collect();
        let plan = planned(&arguments, &settings).expect("plans");
        assert_eq!((plan.backend, plan.output), (Some(Backend::Polars), ReportFormat::Text));
        assert_eq!((plan.options.max_retries, plan.options.compression), (0, Compression::None));
    }

    #[test]
    fn the_target_has_the_layout_of_the_sources_unless_told_otherwise() {
        let delimiters = |more: &str| {
            let arguments = format!("a.csv t.csv --id x --no-header --null-values NA,- {more}");
            let arguments: Vec<_> = arguments.split_whitespace().collect();
            let plan = planned(&arguments, &Settings::default()).expect("plans");
            assert_eq!(plan.options.csv.null_values, ["NA", "-"]);
            assert!(!plan.options.csv.header && !plan.read.csv.header);
            (plan.read.csv.delimiter, plan.options.csv.delimiter)
        };
        assert_eq!(delimiters(""), (None, None));
        assert_eq!(delimiters("--delimiter ;"), (Some(b';'), Some(b';')));
        assert_eq!(delimiters("--delimiter ; --target-delimiter tab"), (Some(b';'), Some(b'\t')));
    }

    #[test]
    fn names_that_are_not_known_are_refused_with_those_that_are() {
        for (flag, name, known) in [("--backend", "spark", "datafusion"), ("--method", "newest", "modified")]
        {
            let arguments = ["keyfold", "upsert", "a.csv", "t.csv", "--id", "x", flag, name];
            let error = Cli::try_parse_from(arguments).expect_err("refused");
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(known), "{error}");
        }
    }
}
