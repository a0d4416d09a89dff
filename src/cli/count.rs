//! `keyfold count`: how many rows there are.

use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::look::{self, LookArgs};
use crate::cli::output::{print, print_json};
use crate::cli::settings::Settings;
use crate::error::Result;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold count examples/data/orders.csv
  keyfold count 'examples/data/*.csv'
  keyfold count examples/data/orders.csv --output json";

/// Count the rows of files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CountArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

pub(crate) async fn run(args: CountArgs, settings: &Settings, context: &Context) -> Result<()> {
    let plan = look::plan(args.look, settings)?;
    tracing::debug!(?plan, "count");
    let output = plan.output;
    let rows = look::look(plan, context, async |data, sources, read| data.count(sources, read).await).await?;
    match output {
        // A bare number, without commas: it is for scripts.
        ReportFormat::Text => print(&format!("{rows}\n")),
        ReportFormat::Json => print_json(&json!({ "rows": rows })),
    }
}
