//! `keyfold history`: what was done to a table, version by version.

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::output::{one_line, print, print_json};
use crate::cli::settings::Settings;
use crate::core::report::TableVersion;
use crate::error::Result;
use crate::ops::DataReaderWriter;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold history lake/orders
  keyfold history s3://lake/orders --limit 5 --output json";

/// List the versions of a Delta table, the newest first
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HistoryArgs {
    /// The folder of the table
    #[arg(value_name = "TABLE")]
    table: String,

    /// List only so many [default: all that the log still has]
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,

    /// Print text or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

pub(crate) async fn run(args: HistoryArgs, settings: &Settings, context: &Context) -> Result<()> {
    let data = DataReaderWriter::builder().session(context.session.clone()).build()?;
    let versions = data.history(&args.table, args.limit).await?;
    match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Text => print(&versions.iter().map(line).collect::<String>()),
        ReportFormat::Json => print_json(&serde_json::json!({ "versions": versions })),
    }
}

fn line(version: &TableVersion) -> String {
    let time =
        version.timestamp.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string());
    let operation = version.operation.as_deref().unwrap_or("-");
    let engine = version.engine.as_deref().unwrap_or("");
    let counts = counts(&version.metrics);
    one_line(&format!("{:>6}  {time:20}  {operation:16}  {counts}  {engine}", version.version))
        .trim_end()
        .to_owned()
        + "\n"
}

/// The counts that are not 0 and speak of rows or files.
fn counts(metrics: &Map<String, Value>) -> String {
    let told = |(name, value): (&String, &Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let speaks = name.contains("Rows") || name.contains("Files");
        (speaks && text != "0").then(|| format!("{name}={text}"))
    };
    metrics.iter().filter_map(told).collect::<Vec<_>>().join(" ")
}
