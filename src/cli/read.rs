//! `keyfold read`: prints the rows of files.

use clap::{Args, ValueEnum};

use crate::cli::Context;
use crate::cli::args::{self, SourceArgs};
use crate::cli::column_types::ColumnTypes;
use crate::cli::name::Name;
use crate::cli::output::{print, say};
use crate::cli::progress::Progress;
use crate::cli::rows::{self, NonFinite};
use crate::cli::settings::Settings;
use crate::cli::stdin::Sources;
use crate::cli::summary::counted;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::options::{CsvOptions, ReadOptions};
use crate::core::predicate::Predicate;
use crate::error::Result;
use crate::factory::Backend;
use crate::interfaces::Frame;
use crate::ops::DataReaderWriter;

/// Rows of a table on a terminal, where nothing else is said.
const SCREEN: usize = 20;

const EXAMPLES: &str = "\
EXAMPLES:
  cd examples/data
  keyfold read orders.csv --limit 5
  keyfold read orders.csv --where \"status = 'shipped' AND total >= 100\"
  keyfold read orders.csv --columns order_id,total --output ndjson
  keyfold read orders.csv --schema 'total:decimal(10,2)' --backend datafusion
  cat changes.csv | keyfold read - --output csv";

/// Print the rows of files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReadArgs {
    /// Files or glob patterns of one format and the same columns (in NDJSON, of any keys); - is standard input
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<Name>,

    /// Columns wanted, in this order [default: all]
    #[arg(long, value_name = "COL,…", value_delimiter = ',')]
    columns: Option<Vec<String>>,

    /// Only rows for which this SQL condition holds
    #[arg(long = "where", value_name = "SQL", value_parser = args::parsed::<Predicate>)]
    filter: Option<Predicate>,

    /// At most this many rows, the first ones [default: 20 for a table on a terminal]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Print a table, or text for the next program
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: ReadOutput,

    /// Engine that reads [default: polars]
    #[arg(long, value_name = "NAME", value_parser = args::backend(), ignore_case = true)]
    #[arg(env = "KEYFOLD_BACKEND", hide_env_values = true)]
    backend: Option<Backend>,

    /// Read these columns as these types: `order_id:string,total:decimal(10,2)`
    #[arg(long, value_name = "COL:TYPE,…", value_parser = args::parsed::<ColumnTypes>)]
    schema: Option<ColumnTypes>,

    #[command(flatten)]
    source_layout: SourceArgs,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReadOutput {
    Table,
    Csv,
    Ndjson,
}

/// What will be read and how it is shown.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    sources: Vec<Name>,
    read: ReadOptions,
    backend: Option<Backend>,
    show: Show,
}

/// How rows are shown.
#[derive(Debug, PartialEq, Eq)]
enum Show {
    Table,
    /// A table of as many rows as fit a screen; one more is read to know whether there are more.
    Screen(usize),
    Text {
        format: Format,
        terminal: bool,
    },
}

pub(crate) fn plan(args: ReadArgs, settings: &Settings, terminal: bool) -> Result<ReadPlan> {
    args::check_sources(&args.sources)?;
    let show = match args.output {
        ReadOutput::Table if terminal && args.limit.is_none() => Show::Screen(SCREEN),
        ReadOutput::Table => Show::Table,
        ReadOutput::Csv => Show::Text { format: Format::Csv, terminal },
        ReadOutput::Ndjson => Show::Text { format: Format::Ndjson, terminal },
    };
    let limit = match show {
        Show::Screen(rows) => Some(rows + 1),
        _ => args.limit,
    };
    let layout = args.source_layout.options(args.schema);
    let read = ReadOptions { columns: args.columns, filter: args.filter, limit, ..layout };
    read.validate()?;
    Ok(ReadPlan { sources: args.sources, read, backend: args.backend.or(settings.backend), show })
}

pub(crate) async fn run(plan: ReadPlan, context: &Context) -> Result<()> {
    tracing::debug!(?plan, "read");
    let session = &context.session;
    let sources = Sources::open(plan.sources, context).await?;
    let data = reader(plan.backend, session)?;
    let progress = match plan.show {
        Show::Text { terminal: true, .. } => Progress::none(),
        _ => Progress::show(session),
    };
    let frame = data.read_opts(sources.names(), plan.read).await?;
    match plan.show {
        Show::Table => print_table(frame, progress, session).await,
        Show::Screen(limit) => print_screen(frame, limit, progress, session).await,
        Show::Text { format, .. } => {
            // Plain CSV whatever the sources look like: the next program expects commas.
            let csv = CsvOptions::default().with_delimiter(b',');
            rows::print_text(frame, format, &csv, NonFinite::Null, session).await
        }
    }
}

/// The front door for a backend, or for the one this build prefers.
pub(crate) fn reader(backend: Option<Backend>, session: &Session) -> Result<DataReaderWriter> {
    let door = DataReaderWriter::builder().session(session.clone());
    match backend {
        Some(backend) => door.backend(backend.to_string()).build(),
        None => door.build(),
    }
}

async fn print_table(frame: Frame, progress: Progress, session: &Session) -> Result<()> {
    let stream = frame.into_arrow().await?;
    let schema = stream.schema();
    let (rows, _) = rows::first_rows(stream, usize::MAX, session).await?;
    drop(progress);
    print(&(rows::table(schema, rows)? + "\n"))
}

async fn print_screen(frame: Frame, limit: usize, progress: Progress, session: &Session) -> Result<()> {
    let stream = frame.into_arrow().await?;
    let schema = stream.schema();
    let (rows, more) = rows::first_rows(stream, limit, session).await?;
    drop(progress);
    print(&(rows::table(schema, rows)? + "\n"))?;
    if more {
        let shown = counted(limit as u64, "row");
        say(&format!("showing the first {shown}; --limit N or --output csv for more"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    fn planned(more: &[&str], terminal: bool) -> Result<ReadPlan> {
        let arguments = ["keyfold", "read", "a.csv"].iter().chain(more);
        let Command::Read(args) = Cli::try_parse_from(arguments).expect("parses").command else {
            unreachable!("a read")
        };
        plan(*args, &Settings::default(), terminal)
    }

    #[test]
    fn a_table_on_a_terminal_is_cut_to_the_screen_unless_told_otherwise() {
        let shown = |more: &[&str], terminal| {
            let plan = planned(more, terminal).expect("plans");
            (plan.show, plan.read.limit)
        };
        assert_eq!(shown(&[], true), (Show::Screen(20), Some(21)));
        assert_eq!(shown(&["--limit", "50"], true), (Show::Table, Some(50)));
        assert_eq!(shown(&[], false), (Show::Table, None));
        let csv = Show::Text { format: Format::Csv, terminal: true };
        assert_eq!(shown(&["--output", "csv"], true), (csv, None));
    }

    #[test]
    fn columns_and_condition_are_taken_over() {
        let plan =
            planned(&["--columns", "b,a", "--where", "a = 1", "--schema", "a:int8"], false).expect("plans");
        assert_eq!(plan.read.columns, Some(vec!["b".to_owned(), "a".to_owned()]));
        assert!(plan.read.filter.is_some() && plan.read.schema.is_some());
        assert!(planned(&["--columns", "a,a"], false).is_err());
    }

    #[test]
    fn a_condition_that_does_not_parse_is_wrong_usage() {
        let error = Cli::try_parse_from(["keyfold", "read", "a.csv", "--where", "a ="]).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
    }
}
