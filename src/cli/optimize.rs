//! `keyfold optimize`: small files of a table become larger ones.

use clap::Args;

use crate::cli::Context;
use crate::cli::amounts::Bytes;
use crate::cli::args::{self, ReportFormat};
use crate::cli::output::{json_line, print_report};
use crate::cli::progress::Progress;
use crate::cli::settings::Settings;
use crate::core::options::OptimizeOptions;
use crate::core::report::OptimizeReport;
use crate::error::Result;
use crate::ops::DataReaderWriter;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold optimize lake/orders --dry-run
  keyfold optimize lake/orders
  keyfold optimize lake/orders --z-order country,ordered_at
  keyfold optimize s3://lake/orders --target-size 256MiB --output json";

/// Put small files of a table together, partition by partition
///
/// No row changes, only where it stands: small files become larger ones, or, with --z-order, all rows of a partition are
/// sorted so that readers who look for values of some columns can skip files. Of a Delta table this is a new version; the old files stay until a vacuum. Of a folder of Parquet files
/// the old ones stay without rows, and take new ones later; run it when no other program reads the folder.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct OptimizeArgs {
    /// The folder of a Delta table, or one with Parquet files
    #[arg(value_name = "TABLE")]
    table: String,

    /// Put files together up to this size [default: what the table says, or 128MiB]
    #[arg(long, value_name = "BYTES", value_parser = args::parsed::<Bytes>)]
    target_size: Option<Bytes>,

    /// Sort all rows by these columns at once, along a Z-order curve, and write all files anew (Delta)
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', num_args = 1)]
    z_order: Option<Vec<String>>,

    /// Count what would change, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Start again this often if someone else changes the same files meanwhile [default: 10]
    #[arg(long, value_name = "N", env = "KEYFOLD_MAX_RETRIES", hide_env_values = true)]
    max_retries: Option<u32>,

    /// Print text or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

pub(crate) async fn run(args: OptimizeArgs, settings: &Settings, context: &Context) -> Result<()> {
    let data = DataReaderWriter::builder().session(context.session.clone()).build()?;
    let defaults = OptimizeOptions::default();
    let options = OptimizeOptions {
        target_bytes: args.target_size.map(|size| size.0),
        z_order: args.z_order,
        dry_run: args.dry_run,
        max_retries: args.max_retries.or(settings.max_retries).unwrap_or(defaults.max_retries),
    };
    let progress = Progress::show(&context.session);
    let report = data.optimize(&args.table, options).await;
    drop(progress);
    let report = report?;
    let text = match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Text => told(&report),
        ReportFormat::Json => json_line(&report)?,
    };
    print_report(&text, if args.dry_run { "nothing was changed" } else { "the files are put together" })
}

fn told(report: &OptimizeReport) -> String {
    let OptimizeReport { target, files_before, files_removed, files_added, .. } = report;
    if *files_removed == 0 {
        return format!("{target}: nothing to put together in {files_before} files\n");
    }
    let would = if report.dry_run { "would become" } else { "became" };
    let version = report.version_after.as_deref().filter(|_| !report.dry_run);
    let version = version.map_or_else(String::new, |version| format!(", now version {version}"));
    format!("{target}: {files_removed} of {files_before} files {would} {files_added}{version}\n")
}
