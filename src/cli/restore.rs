//! `keyfold restore`: a table as it was at an earlier version.

use chrono::{DateTime, Utc};
use clap::Args;

use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::output::{json_line, print_report};
use crate::cli::settings::Settings;
use crate::core::options::ReadOptions;
use crate::core::report::RestoreReport;
use crate::error::Result;
use crate::ops::DataReaderWriter;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold history lake/orders
  keyfold restore lake/orders --version 7 --dry-run
  keyfold restore lake/orders --version 7
  keyfold restore s3://lake/orders --timestamp 2026-11-21T03:00:00Z";

/// Make a Delta table as it was at an earlier version
///
/// It is a new version: what was written since stays in the log, and can be restored as well.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("at").required(true).args(["version", "timestamp"]))]
pub(crate) struct RestoreArgs {
    /// The folder of the table
    #[arg(value_name = "TABLE")]
    table: String,

    /// The version to go back to
    #[arg(long, value_name = "N")]
    version: Option<u64>,

    /// The version that was the last one at this time, such as 2026-11-21T16:00:00Z
    #[arg(long, value_name = "TIME")]
    timestamp: Option<DateTime<Utc>>,

    /// Count what it would take, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Print text or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

pub(crate) async fn run(args: RestoreArgs, settings: &Settings, context: &Context) -> Result<()> {
    let data = DataReaderWriter::builder().session(context.session.clone()).build()?;
    let at = match (args.version, args.timestamp) {
        (Some(version), _) => ReadOptions::default().with_version(version),
        (None, Some(time)) => ReadOptions::default().with_timestamp(time),
        (None, None) => ReadOptions::default(),
    };
    let report = data.restore(&args.table, at, args.dry_run).await?;
    let text = match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Text => told(&report),
        ReportFormat::Json => json_line(&report)?,
    };
    print_report(&text, if args.dry_run { "nothing was changed" } else { "the table is restored" })
}

fn told(report: &RestoreReport) -> String {
    let RestoreReport { target, restored_version, version_before, version_after, .. } = report;
    let files = format!("{} files back, {} out", report.files_added, report.files_removed);
    if report.dry_run {
        format!("{target}: would be as it was at version {restored_version}: {files}\n")
    } else if version_after == version_before {
        format!("{target}: is as it was at version {restored_version} already\n")
    } else {
        format!("{target}: as it was at version {restored_version}, now version {version_after}: {files}\n")
    }
}
