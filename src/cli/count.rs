//! `keyfold count`: how many rows there are.

use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::cli::args::{self, ReportFormat, SourceArgs};
use crate::cli::name::Name;
use crate::cli::output::{print, print_json};
use crate::cli::progress::Progress;
use crate::cli::settings::Settings;
use crate::cli::stdin::Sources;
use crate::core::options::ReadOptions;
use crate::error::Result;
use crate::ops::DataReaderWriter;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold count examples/data/orders.csv
  keyfold count 'examples/data/*.csv'
  keyfold count examples/data/orders.csv --output json";

/// Count the rows of files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CountArgs {
    /// Files or glob patterns; - is standard input
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<Name>,

    /// Print a number or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,

    #[command(flatten)]
    source_layout: SourceArgs,
}

/// What will be counted.
#[derive(Debug)]
pub(crate) struct CountPlan {
    sources: Vec<Name>,
    read: ReadOptions,
    output: ReportFormat,
}

pub(crate) fn plan(args: CountArgs, settings: &Settings) -> Result<CountPlan> {
    args::check_sources(&args.sources)?;
    let read = args.source_layout.options(None);
    read.validate()?;
    Ok(CountPlan { sources: args.sources, read, output: args.output.or(settings.output).unwrap_or_default() })
}

pub(crate) async fn run(plan: CountPlan, context: &Context) -> Result<()> {
    tracing::debug!(?plan, "count");
    let sources = Sources::open(plan.sources, context).await?;
    let data = DataReaderWriter::builder().session(context.session.clone()).build()?;
    let progress = Progress::show(&context.session);
    let rows = data.count(sources.names(), plan.read).await;
    drop(progress);
    let rows = rows?;
    match plan.output {
        // A bare number, without commas: it is for scripts.
        ReportFormat::Text => print(&format!("{rows}\n")),
        ReportFormat::Json => print_json(&json!({ "rows": rows })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::core::format::Format;
    use clap::Parser;

    fn planned(arguments: &str, settings: &Settings) -> Result<CountPlan> {
        let arguments = "keyfold count".split(' ').chain(arguments.split(' '));
        let Command::Count(args) = Cli::try_parse_from(arguments).expect("parses").command else {
            unreachable!("a count")
        };
        plan(args, settings)
    }

    #[test]
    fn the_settings_choose_the_output_where_no_flag_does() {
        let settings = Settings { output: Some(ReportFormat::Json), ..Settings::default() };
        assert_eq!(planned("a.csv", &settings).expect("plans").output, ReportFormat::Json);
        assert_eq!(planned("a.csv --output text", &settings).expect("plans").output, ReportFormat::Text);
    }

    #[test]
    fn the_layout_of_the_sources_is_taken_over() {
        let plan = planned("- b.csv --source-format csv --quote '", &Settings::default()).expect("plans");
        assert_eq!((plan.read.format, plan.read.csv.quote), (Some(Format::Csv), b'\''));
        assert!(planned("- -", &Settings::default()).is_err());
        assert!(planned("a.csv --quote ; --delimiter ;", &Settings::default()).is_err());
    }
}
