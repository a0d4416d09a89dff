//! `keyfold schema`: the columns of files and their types.

use arrow::datatypes::Schema;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::args::{self, ReportFormat, SourceArgs};
use crate::cli::name::Name;
use crate::cli::output::{print, print_json};
use crate::cli::progress::Progress;
use crate::cli::settings::Settings;
use crate::cli::stdin::Sources;
use crate::core::options::ReadOptions;
use crate::core::schema::type_name;
use crate::error::Result;
use crate::ops::DataReaderWriter;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold schema examples/data/orders.csv
  keyfold schema 'examples/data/*.csv' --output json
  cat examples/data/orders.csv | keyfold schema -";

/// Show the columns of files and their types
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SchemaArgs {
    /// Files or glob patterns; - is standard input
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<Name>,

    /// Print lines or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,

    #[command(flatten)]
    source_layout: SourceArgs,
}

/// What will be looked at.
#[derive(Debug)]
pub(crate) struct SchemaPlan {
    sources: Vec<Name>,
    read: ReadOptions,
    output: ReportFormat,
}

pub(crate) fn plan(args: SchemaArgs, settings: &Settings) -> Result<SchemaPlan> {
    args::check_sources(&args.sources)?;
    let read = args.source_layout.options(None);
    read.validate()?;
    Ok(SchemaPlan {
        sources: args.sources,
        read,
        output: args.output.or(settings.output).unwrap_or_default(),
    })
}

pub(crate) async fn run(plan: SchemaPlan, context: &Context) -> Result<()> {
    tracing::debug!(?plan, "schema");
    let sources = Sources::open(plan.sources, context).await?;
    let data = DataReaderWriter::builder().session(context.session.clone()).build()?;
    let progress = Progress::show(&context.session);
    let schema = data.schema(sources.names(), plan.read).await;
    drop(progress);
    let schema = schema?;
    match plan.output {
        ReportFormat::Text => print(&text(&schema)),
        ReportFormat::Json => print_json(&json(&schema)),
    }
}

/// A line for each column: its name, and its type as `--schema` takes it.
fn text(schema: &Schema) -> String {
    let width = schema.fields().iter().map(|field| field.name().chars().count()).max().unwrap_or(0);
    let line = |name: &str, data_type: &str| format!("{name:<width$}  {data_type}\n");
    schema.fields().iter().map(|field| line(field.name(), &type_name(field.data_type()))).collect()
}

fn json(schema: &Schema) -> Value {
    let columns = schema.fields().iter().map(|field| {
        json!({
            "name": field.name(),
            "type": type_name(field.data_type()),
            "nullable": field.is_nullable(),
        })
    });
    json!({ "columns": columns.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    fn schema() -> Schema {
        let id = Field::new("id", DataType::Int64, false);
        Schema::new(vec![id, Field::new("größe", DataType::Utf8View, true)])
    }

    #[test]
    fn types_stand_in_one_column() {
        assert_eq!(text(&schema()), "id     int64\ngröße  string\n");
        assert_eq!(text(&Schema::empty()), "");
    }

    #[test]
    fn json_has_columns_in_order() {
        let expected = r#"{"columns":[{"name":"id","type":"int64","nullable":false},{"name":"größe","type":"string","nullable":true}]}"#;
        assert_eq!(json(&schema()).to_string(), expected);
    }
}
