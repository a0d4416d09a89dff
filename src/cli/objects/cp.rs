//! `keyfold cp` and `keyfold mv`: one object or file to another place.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Spot;
use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::name::Name;
use crate::cli::output::{one_line, print_json, say};
use crate::cli::progress::Progress;
use crate::cli::settings::Settings;
use crate::client::local::{LocalFile, Version};
use crate::client::s3::PutOptions;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold cp orders.csv s3://lake/raw/
  keyfold cp s3://lake/raw/orders.csv .
  keyfold cp s3://lake/raw/orders.csv s3://backup/2024/

  A target that ends with a slash is a folder. From object to object, the
  service copies by itself.";

pub(crate) const MOVES: &str = "\
EXAMPLES:
  keyfold mv orders.csv s3://lake/raw/
  keyfold mv s3://lake/raw/orders.csv s3://lake/done/

  A target that ends with a slash is a folder. The source is removed only if
  it is still what was copied.";

/// Copy one object or file
///
/// Large ones go in parts, several at once. A file is there whole or not at all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CpArgs {
    /// An object or a file
    #[arg(value_name = "SOURCE")]
    source: Name,

    /// Where to: an object, a file, or a folder
    #[arg(value_name = "TARGET")]
    target: Name,

    /// Print a line, or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

pub(crate) async fn run(args: CpArgs, moves: bool, settings: &Settings, context: &Context) -> Result<()> {
    let (source, target) = (Spot::of(&args.source, context)?, Spot::of(&args.target, context)?);
    if let Spot::S3(_, key) = &source
        && (key.is_empty() || key.ends_with('/'))
    {
        return Err(Error::new(ErrorKind::Usage, "this is a folder, not an object")
            .with("source", format!("{:?}", args.source))
            .hint("copy objects one by one"));
    }
    let target = below(target, &source);
    let seen = if moves { Some(Seen::of(&source).await?) } else { None };
    let progress = Progress::show(&context.session);
    let (size, to) = context.signals.interrupt_changes(copy(&source, &target, moves)).await?;
    drop(progress);
    if let Some(seen) = seen {
        remove(&source, &seen).await?;
    }
    let from = format!("{:?}", args.source);
    match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Json => {
            print_json(&json!({ "source": from, "target": to, "bytes": size, "moved": moves }))
        }
        ReportFormat::Text => {
            say(&one_line(&format!("{size} bytes from {from} to {to}")));
            Ok(())
        }
    }
}

/// The target, with the name of the source if it is a folder.
fn below(target: Spot, source: &Spot) -> Spot {
    let name = match source {
        Spot::Local(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Spot::S3(_, key) => key.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    match target {
        Spot::Local(path) if path.is_dir() => Spot::Local(path.join(name)),
        Spot::S3(client, key) if key.is_empty() || key.ends_with('/') => {
            Spot::S3(client, format!("{key}{name}"))
        }
        other => other,
    }
}

async fn copy(source: &Spot, target: &Spot, moves: bool) -> Result<(u64, String)> {
    match (source, target) {
        (Spot::Local(path), Spot::S3(client, key)) => {
            let info = client.put_file(key, path, PutOptions::default()).await?;
            Ok((info.size, format!("s3://{}/{key}", client.bucket()?)))
        }
        (Spot::S3(client, key), Spot::Local(path)) => {
            let path = named(path, key)?;
            let info = client.get_file(key, &path).await?;
            Ok((info.size, path.display().to_string()))
        }
        (Spot::S3(from, key), Spot::S3(to, new)) => {
            if from.bucket()? == to.bucket()? && key == new {
                let verb = if moves { "moved" } else { "copied" };
                return Err(Error::new(ErrorKind::Usage, format!("an object cannot be {verb} onto itself"))
                    .with("object", format!("s3://{}/{key}", from.bucket()?)));
            }
            let info = to.copy_from(from, key, new).await?;
            Ok((info.size, format!("s3://{}/{new}", to.bucket()?)))
        }
        (Spot::Local(_), Spot::Local(_)) => Err(Error::new(ErrorKind::Usage, "both are local paths")
            .hint("the system's own cp and mv do that; here one of the two is s3://bucket/key")),
    }
}

/// A name that an object brings along must be the name of a file, nothing more.
fn named(path: &Path, key: &str) -> Result<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    if name.as_deref().is_none_or(|name| name.is_empty() || name.contains('\0')) {
        return Err(Error::new(ErrorKind::Usage, "the key is not the name of a file")
            .with("key", key)
            .hint("say the name of the file as well"));
    }
    Ok(path.to_owned())
}

/// What a source was before it was copied: only that may be removed afterwards.
enum Seen {
    Local(Option<Version>),
    S3(Option<String>),
}

impl Seen {
    async fn of(source: &Spot) -> Result<Self> {
        Ok(match source {
            Spot::Local(path) => Self::Local(LocalFile::open(&Location::from_path(path), path)?.version()?),
            Spot::S3(client, key) => Self::S3(client.head(key).await?.and_then(|info| info.e_tag)),
        })
    }
}

async fn remove(source: &Spot, seen: &Seen) -> Result<()> {
    let left = |error: Error| error.hint("the copy is there, and the source as well; look at both");
    match (source, seen) {
        (Spot::S3(client, key), Seen::S3(Some(e_tag))) => client.delete_if(key, e_tag).await.map_err(left),
        (Spot::S3(client, key), _) => client.delete(key).await.map_err(left),
        (Spot::Local(path), seen) => {
            let now = LocalFile::open(&Location::from_path(path), path)?.version()?;
            if !matches!(seen, Seen::Local(before) if *before == now) {
                let changed = Error::new(ErrorKind::Conflict, "the file has changed while it was copied");
                return Err(left(changed.with("file", path.display())));
            }
            std::fs::remove_file(path).map_err(|cause| {
                left(Error::io("the file cannot be removed", cause).with("file", path.display()))
            })
        }
    }
}
