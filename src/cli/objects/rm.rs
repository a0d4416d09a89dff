//! `keyfold rm`: removes objects.

use clap::Args;
use futures::TryStreamExt;
use serde_json::json;

use super::{Spot, missing};
use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::name::Name;
use crate::cli::output::{one_line, print_json, say};
use crate::cli::settings::Settings;
use crate::client::s3::S3Client;
use crate::error::{Error, ErrorKind, Result};

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold rm s3://lake/raw/orders.csv
  keyfold rm s3://lake/tmp/ --recursive --dry-run
  keyfold rm s3://lake/tmp/ --recursive";

/// Remove objects
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RmArgs {
    /// Objects, or prefixes with --recursive
    #[arg(required = true, value_name = "LOCATION")]
    locations: Vec<Name>,

    /// Remove all objects whose keys begin with the location; it must end with a slash
    #[arg(long, short = 'r')]
    recursive: bool,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// Print a line an object, or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

pub(crate) async fn run(args: RmArgs, settings: &Settings, context: &Context) -> Result<()> {
    // All are looked for before the first is removed: a name that is wrong changes nothing.
    let mut found = Vec::new();
    for name in &args.locations {
        let Spot::S3(client, key) = Spot::of(name, context)? else { return Err(local(name)) };
        let keys = keys(&client, &key, name, args.recursive).await?;
        found.push((client, keys));
    }
    let mut removed = Vec::new();
    for (client, keys) in found {
        if !args.dry_run {
            client.delete_many(&keys).await?;
        }
        let bucket = client.bucket()?;
        removed.extend(keys.iter().map(|key| format!("s3://{bucket}/{key}")));
    }
    match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Json => {
            print_json(&json!({ "dry_run": args.dry_run, "count": removed.len(), "removed": removed }))
        }
        ReportFormat::Text => {
            let verb = if args.dry_run { "would remove" } else { "removed" };
            for location in &removed {
                say(&one_line(&format!("{verb} {location}")));
            }
            Ok(())
        }
    }
}

/// What a name stands for; at least one object.
async fn keys(client: &S3Client, key: &str, name: &Name, recursive: bool) -> Result<Vec<String>> {
    let keys: Vec<String> = if !recursive {
        let (client, key) = (client, key);
        if key.is_empty() || key.ends_with('/') && !client.exists(key).await? {
            return Err(Error::new(ErrorKind::Usage, "this is a folder")
                .with("location", format!("{name:?}"))
                .hint("say --recursive to remove all that is in it"));
        }
        if client.exists(key).await? { vec![key.to_owned()] } else { Vec::new() }
    } else if key.is_empty() || key.ends_with('/') {
        client.list(key).map_ok(|object| object.key).try_collect().await?
    } else {
        // `raw` would remove `raw-2024/` as well.
        return Err(Error::new(ErrorKind::Usage, "a folder ends with a slash")
            .with("location", format!("{name:?}"))
            .hint("a prefix without one could begin the names of other folders"));
    };
    if keys.is_empty() { Err(missing(name)) } else { Ok(keys) }
}

fn local(name: &Name) -> Error {
    Error::new(ErrorKind::Usage, "this is a local path")
        .with("location", format!("{name:?}"))
        .hint("keyfold rm removes objects: name one as s3://bucket/key")
}
