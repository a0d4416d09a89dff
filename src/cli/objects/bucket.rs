//! `keyfold bucket`: make, list, find and remove buckets.

use clap::{Args, Subcommand};
use serde_json::json;

use super::ls;
use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::output::{print, print_json, say};
use crate::cli::settings::Settings;
use crate::error::Result;

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold bucket create lake --region eu-west-1
  keyfold bucket ls
  keyfold bucket location lake
  keyfold bucket rm lake --force";

/// Make, list, find and remove buckets
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BucketArgs {
    #[command(subcommand)]
    action: Action,

    /// Print as text or as one JSON object [default: text]
    #[arg(long, global = true, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a bucket in the region of --region
    Create {
        /// The bucket
        #[arg(value_name = "BUCKET", value_parser = bare)]
        name: String,
    },
    /// List the buckets of the account
    Ls,
    /// Remove an empty bucket
    Rm {
        /// The bucket
        #[arg(value_name = "BUCKET", value_parser = bare)]
        name: String,

        /// Delete the objects and the unfinished uploads in it first
        #[arg(long)]
        force: bool,
    },
    /// Print the region of a bucket
    Location {
        /// The bucket
        #[arg(value_name = "BUCKET", value_parser = bare)]
        name: String,
    },
}

/// The name of a bucket, which may be written as a URL.
fn bare(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("s3://").unwrap_or(text).trim_end_matches('/');
    if name.is_empty() || name.contains('/') {
        return Err("name a bucket, without a key".to_owned());
    }
    Ok(name.to_owned())
}

pub(crate) async fn run(args: BucketArgs, settings: &Settings, context: &Context) -> Result<()> {
    let output = args.output.or(settings.output).unwrap_or_default();
    let client = context.session.s3()?;
    let told = |text: String, json: serde_json::Value| match output {
        ReportFormat::Text => {
            say(&text);
            Ok(())
        }
        ReportFormat::Json => print_json(&json),
    };
    match args.action {
        Action::Create { name } => {
            client.create_bucket(&name).await?;
            let region = client.region();
            told(format!("made s3://{name} in {region}"), json!({ "bucket": name, "region": region }))
        }
        Action::Ls => ls::buckets(&client, output).await,
        Action::Rm { name, force: false } => {
            client.delete_bucket(&name).await?;
            told(format!("removed s3://{name}"), json!({ "bucket": name, "objects": 0 }))
        }
        Action::Rm { name, force: true } => {
            let objects = client.delete_bucket_and_objects(&name).await?;
            told(
                format!("removed s3://{name} and {objects} objects"),
                json!({ "bucket": name, "objects": objects }),
            )
        }
        Action::Location { name } => {
            let region = client.bucket_location(&name).await?;
            match output {
                ReportFormat::Text => print(&format!("{region}\n")),
                ReportFormat::Json => print_json(&json!({ "bucket": name, "region": region })),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_may_be_written_as_a_url() {
        assert_eq!(bare("s3://lake/").as_deref(), Ok("lake"));
        assert_eq!(bare("lake").as_deref(), Ok("lake"));
        assert!(bare("s3://lake/key").is_err() && bare("s3://").is_err());
    }
}
