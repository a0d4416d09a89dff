//! `keyfold presign`: a URL that lets anybody read or write one object for a while.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Spot, moment};
use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::name::Name;
use crate::cli::output::{print, print_json, say};
use crate::cli::settings::Settings;
use crate::error::Result;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold presign s3://lake/report.pdf --expires-in 86400
  curl --upload-file new.csv \"$(keyfold presign s3://lake/new.csv --method put)\"";

/// Print a URL that lets anybody read or write one object for a while
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PresignArgs {
    /// The object; it need not exist
    #[arg(value_name = "LOCATION")]
    location: Name,

    /// What the URL is for
    #[arg(long, value_name = "METHOD", default_value = "get")]
    method: Method,

    /// How long it can be used: 1 second to 7 days, and no longer than the keys that sign it
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    expires_in: u64,

    /// Print the bare URL, or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Get,
    Put,
}

pub(crate) async fn run(args: PresignArgs, settings: &Settings, context: &Context) -> Result<()> {
    let (client, key) = Spot::object(&args.location, context)?;
    let life = Duration::from_secs(args.expires_in);
    let signed = match args.method {
        Method::Get => client.presign_get(&key, life).await?,
        Method::Put => client.presign_put(&key, life).await?,
    };
    let until = moment(Some(signed.expires()));
    match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Json => {
            print_json(&json!({ "url": signed.expose(), "expires": until, "clamped": signed.is_clamped() }))
        }
        ReportFormat::Text => {
            if signed.is_clamped() {
                say(&format!(
                    "note: the URL ends at {}, with the keys that signed it",
                    until.unwrap_or_default()
                ));
            }
            print(&format!("{}\n", signed.expose()))
        }
    }
}
