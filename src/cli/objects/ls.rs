//! `keyfold ls`: what is in a bucket, or which buckets there are.

use clap::Args;
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::{Spot, listed, moment};
use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::name::Name;
use crate::cli::output::{emit, one_line, print, print_json};
use crate::cli::settings::Settings;
use crate::client::s3::{ListEntry, S3Client};
use crate::error::{Error, ErrorKind, Result};

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold ls                          the buckets of the account
  keyfold ls s3://lake/raw/           what stands directly below raw/
  keyfold ls s3://lake/raw/ --recursive --output json";

/// List the objects of a bucket, or the buckets of the account
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LsArgs {
    /// A bucket and a prefix; none lists the buckets
    #[arg(value_name = "LOCATION")]
    location: Option<Name>,

    /// List all objects below the prefix, not only those up to the next slash
    #[arg(long, short = 'r')]
    recursive: bool,

    /// Print a line an entry, or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

pub(crate) async fn run(args: LsArgs, settings: &Settings, context: &Context) -> Result<()> {
    let output = args.output.or(settings.output).unwrap_or_default();
    let whole = args.location.as_ref().is_none_or(|name| name.as_ref() == "s3://");
    if whole {
        return buckets(&context.session.s3()?, output).await;
    }
    let Some(name) = &args.location else { return Ok(()) };
    match Spot::of(name, context)? {
        Spot::S3(client, prefix) => objects(&client, &prefix, args.recursive, output).await,
        Spot::Local(_) => Err(Error::new(ErrorKind::Usage, "this is a local path")
            .with("location", format!("{name:?}"))
            .hint("keyfold ls lists buckets: name one as s3://bucket/prefix")),
    }
}

pub(super) async fn buckets(client: &S3Client, output: ReportFormat) -> Result<()> {
    let all = client.list_buckets().await?;
    match output {
        ReportFormat::Text => {
            let line = |bucket: &crate::client::s3::BucketInfo| {
                format!("{:20}  s3://{}\n", moment(bucket.created).unwrap_or_default(), bucket.name)
            };
            print(&all.iter().map(line).collect::<String>())
        }
        ReportFormat::Json => {
            let shown = all.iter().map(|b| json!({ "name": b.name, "created": moment(b.created) }));
            print_json(&json!({ "buckets": shown.collect::<Vec<Value>>() }))
        }
    }
}

async fn objects(client: &S3Client, prefix: &str, recursive: bool, output: ReportFormat) -> Result<()> {
    let bucket = client.bucket()?;
    let mut entries = if recursive {
        Box::pin(client.list(prefix).map_ok(ListEntry::Object))
    } else {
        client.list_folder(prefix)
    };
    let (mut found, mut objects, mut prefixes) = (false, Vec::new(), Vec::new());
    while let Some(entry) = entries.try_next().await? {
        found = true;
        match (output, entry) {
            (ReportFormat::Text, entry) => {
                if emit(line(bucket, &entry).as_bytes())?.is_break() {
                    return Ok(());
                }
            }
            (ReportFormat::Json, ListEntry::Object(object)) => objects.push(listed(bucket, &object)),
            (ReportFormat::Json, ListEntry::Prefix(prefix)) => prefixes.push(prefix),
        }
    }
    if output == ReportFormat::Json {
        return print_json(
            &json!({ "bucket": bucket, "prefix": prefix, "objects": objects, "prefixes": prefixes }),
        );
    }
    if !found && !prefix.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "no object begins with this prefix")
            .with("location", format!("s3://{bucket}/{prefix}"))
            .hint("a prefix is compared as it is, slashes and case included"));
    }
    Ok(())
}

/// Size, time, name; control characters escaped, so that a line stays one.
fn line(bucket: &str, entry: &ListEntry) -> String {
    let (size, modified, key) = match entry {
        ListEntry::Object(object) => (object.size.to_string(), moment(object.last_modified), &object.key),
        ListEntry::Prefix(prefix) => ("-".to_owned(), None, prefix),
    };
    format!("{size:>14}  {:20}  s3://{bucket}/{}\n", modified.unwrap_or_default(), one_line(key))
}
