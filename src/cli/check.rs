//! `keyfold check`: whether a file of a rule is right, and what it says.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::args::ReportFormat;
use crate::cli::output::{one_line, print, print_json};
use crate::cli::rule_flags::{Flag, Takes, definition};
use crate::cli::rule_schema::schema;
use crate::cli::rule_words::{RuleWords, TypedRule};
use crate::cli::settings::Settings;
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold check orders.toml
  keyfold check common.toml --id order_id --output json
  keyfold check --json-schema > rule.schema.json

RULE FILES:
  Keys are the flags of a rule without their dashes, values as typed:
    id = [\"order_id\"]
    modified = \"updated_at\"
    ties = \"keep\"
  `keyfold upsert --rule orders.toml` takes from it what is not typed. With
  #:schema PATH in the first line, editors complete keys by the schema.";

/// Check a file with a rule for upserts, and print what it says
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    /// TOML file with flags of a rule as its keys
    #[arg(required_unless_present = "json_schema", value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print the JSON schema of such files, for editors
    #[arg(long, conflicts_with = "file")]
    json_schema: bool,

    /// Print what it says as text or as one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,

    #[command(flatten)]
    typed: TypedRule,
}

pub(crate) fn run(args: CheckArgs, settings: &Settings) -> Result<()> {
    if args.json_schema {
        let text = serde_json::to_string_pretty(&schema(&definition()));
        let text = text.map_err(|cause| Error::internal("the schema cannot be written").because(cause))?;
        return print(&format!("{text}\n"));
    }
    let words = RuleWords::new(&args.typed, args.file.as_deref())?;
    words.rule()?;
    let said = said(&words);
    match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Text => print(&text(&said)),
        ReportFormat::Json => {
            let file = args.file.map(|path| path.display().to_string());
            print_json(&json!({ "file": file, "rule": said }))
        }
    }
}

/// What is said, each as a file would say it.
fn said(words: &RuleWords) -> Map<String, Value> {
    let definition = definition();
    let said = words.said().filter_map(|(name, values)| {
        let flag = Flag::all(&definition).find(|flag| flag.name() == name)?;
        let mut values = values.iter().map(|value| value.to_string_lossy().into_owned());
        let value = match flag.takes() {
            Takes::Nothing => true.into(),
            _ if flag.is_list() => values.collect::<Vec<_>>().into(),
            _ => values.next().into(),
        };
        Some((name.to_owned(), value))
    });
    said.collect()
}

/// A line for each key.
fn text(said: &Map<String, Value>) -> String {
    let width = said.keys().map(|key| key.chars().count()).max().unwrap_or(0);
    let value = |value: &Value| match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = |key: &str, said: &str| format!("{key:<width$}  {said}\n");
    said.iter().map(|(key, said)| line(key, &one_line(&value(said)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_line() {
        let said = json!({ "id": ["a", "b\n"], "modified": "at", "allow-empty": true });
        let lines = "id           a, b\\n\nmodified     at\nallow-empty  true\n";
        assert_eq!(text(said.as_object().expect("an object")), lines);
        assert_eq!(text(&Map::new()), "");
    }
}
