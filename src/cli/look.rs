//! What `count` and `schema` share: they look at sources and print one answer.

use clap::Args;

use crate::cli::Context;
use crate::cli::args::{self, ReportFormat, SourceArgs};
use crate::cli::name::Name;
use crate::cli::progress::Progress;
use crate::cli::settings::Settings;
use crate::cli::stdin::Sources;
use crate::core::options::ReadOptions;
use crate::error::Result;
use crate::ops::DataReaderWriter;

/// The arguments of a command that looks.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// Files or glob patterns; - is standard input
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<Name>,

    /// Print the answer as text or as one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,

    #[command(flatten)]
    source_layout: SourceArgs,
}

/// What will be looked at.
#[derive(Debug)]
pub(crate) struct LookPlan {
    sources: Vec<Name>,
    pub(crate) read: ReadOptions,
    pub(crate) output: ReportFormat,
}

pub(crate) fn plan(args: LookArgs, settings: &Settings) -> Result<LookPlan> {
    args::check_sources(&args.sources)?;
    let read = args.source_layout.options(None);
    read.validate()?;
    Ok(LookPlan { sources: args.sources, read, output: args.output.or(settings.output).unwrap_or_default() })
}

/// Looks at the sources with `ask`, and shows how far it has come meanwhile.
pub(crate) async fn look<T, F>(plan: LookPlan, context: &Context, ask: F) -> Result<T>
where
    F: AsyncFnOnce(&DataReaderWriter, &[Name], ReadOptions) -> Result<T>,
{
    let sources = Sources::open(plan.sources, context).await?;
    let data = DataReaderWriter::builder().session(context.session.clone()).build()?;
    let _progress = Progress::show(&context.session);
    ask(&data, sources.names(), plan.read).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::core::format::Format;
    use clap::Parser;

    fn planned(arguments: &str, settings: &Settings) -> Result<LookPlan> {
        let parsed = |command: &str| {
            let arguments = ["keyfold", command].into_iter().chain(arguments.split(' '));
            match Cli::try_parse_from(arguments).expect("parses").command {
                Command::Count(args) => args.look,
                Command::Schema(args) => args.look,
                _ => unreachable!("one of the two"),
            }
        };
        let (count, schema) = (parsed("count"), parsed("schema"));
        assert_eq!(format!("{count:?}"), format!("{schema:?}"));
        plan(count, settings)
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
