//! `keyfold vacuum`: files that no version of a Delta table needs any more are named, and then deleted.

use clap::Args;

use crate::cli::Context;
use crate::cli::amounts::Span;
use crate::cli::args::{self, ReportFormat};
use crate::cli::output::{json_line, one_line, print_report};
use crate::cli::progress::Progress;
use crate::cli::settings::Settings;
use crate::core::options::VacuumOptions;
use crate::core::report::VacuumReport;
use crate::error::Result;
use crate::ops::DataReaderWriter;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold vacuum lake/orders                  name the files
  keyfold vacuum lake/orders --delete         delete them
  keyfold vacuum s3://lake/orders --retention 30d --delete";

/// Name, or delete, files that no version of a Delta table has needed for some time
///
/// These are files that an upsert or an optimize has replaced, and what runs that failed have left. Versions that had them can
/// no longer be read or restored. Nothing is deleted without --delete.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VacuumArgs {
    /// The folder of the table
    #[arg(value_name = "TABLE")]
    table: String,

    /// For how long such files stay, such as 12h or 30d [default: what the table says, or 7d]
    #[arg(long, value_name = "TIME", value_parser = args::parsed::<Span>)]
    retention: Option<Span>,

    /// Allow a shorter time than the table says: nobody is reading or writing it
    #[arg(long, requires = "retention")]
    allow_early: bool,

    /// Delete the files
    #[arg(long)]
    delete: bool,

    /// Print text or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

pub(crate) async fn run(args: VacuumArgs, settings: &Settings, context: &Context) -> Result<()> {
    let data = DataReaderWriter::builder().session(context.session.clone()).build()?;
    let options = VacuumOptions {
        retention: args.retention.map(|span| span.0),
        allow_early: args.allow_early,
        dry_run: !args.delete,
    };
    let progress = Progress::show(&context.session);
    let report = data.vacuum(&args.table, options).await;
    drop(progress);
    let report = report?;
    let text = match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Text => told(&report),
        ReportFormat::Json => json_line(&report)?,
    };
    print_report(&text, if args.delete { "the files are deleted" } else { "nothing was deleted" })
}

fn told(report: &VacuumReport) -> String {
    let VacuumReport { target, files, bytes, .. } = report;
    let since = report.older_than.format("%Y-%m-%d %H:%M:%SZ");
    if files.is_empty() {
        return format!("{target}: no file that nobody needed since {since}\n");
    }
    let end = if report.dry_run { "; nothing is deleted without --delete" } else { "" };
    let done = if report.dry_run { "would go" } else { "deleted" };
    let names = files.iter().map(|name| one_line(name) + "\n").collect::<String>();
    format!("{names}{target}: {} files, {bytes} bytes, {done}{end}\n", files.len())
}
