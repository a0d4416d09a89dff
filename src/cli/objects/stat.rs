//! `keyfold stat`: what is known of an object without reading it.

use std::fmt::Write;

use clap::Args;

use super::{Spot, described, missing, moment};
use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::name::Name;
use crate::cli::output::{one_line, print, print_json};
use crate::cli::settings::Settings;
use crate::error::Result;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold stat s3://lake/raw/orders.csv
  keyfold stat s3://lake/raw/orders.csv --output json | jq -r .e_tag";

/// Print what is known of an object: size, time, `ETag`, media type, metadata
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatArgs {
    /// The object
    #[arg(value_name = "LOCATION")]
    location: Name,

    /// Print as text or as one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

pub(crate) async fn run(args: StatArgs, settings: &Settings, context: &Context) -> Result<()> {
    let (client, key) = Spot::object(&args.location, context)?;
    let info = client.head(&key).await?.ok_or_else(|| missing(&args.location))?;
    let bucket = client.bucket()?;
    if args.output.or(settings.output).unwrap_or_default() == ReportFormat::Json {
        return print_json(&described(bucket, &info));
    }
    let key = one_line(&key);
    let mut text = format!("location       s3://{bucket}/{key}\nsize           {} bytes\n", info.size);
    let facts = [
        ("last modified", moment(info.last_modified)),
        ("etag", info.e_tag),
        ("content type", info.content_type),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:13}  {}", one_line(&value));
        }
    }
    for (name, value) in info.metadata {
        let _ = writeln!(text, "metadata       {name}={value}");
    }
    print(&text)
}
