//! `keyfold schema`: the columns of files and their types.

use arrow::datatypes::Schema;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::look::{self, LookArgs};
use crate::cli::output::{print, print_json};
use crate::cli::settings::Settings;
use crate::core::schema::type_name;
use crate::error::Result;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold schema examples/data/orders.csv
  keyfold schema 'examples/data/*.csv' --output json
  cat examples/data/orders.csv | keyfold schema -";

/// Show the columns of files and their types
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SchemaArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

pub(crate) async fn run(args: SchemaArgs, settings: &Settings, context: &Context) -> Result<()> {
    let plan = look::plan(args.look, settings)?;
    tracing::debug!(?plan, "schema");
    let output = plan.output;
    let schema =
        look::look(plan, context, async |data, sources, read| data.schema(sources, read).await).await?;
    match output {
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
