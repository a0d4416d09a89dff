//! `keyfold put`: one object from a file or from standard input, under a condition if asked.

use std::io::{self, Read};

use clap::Args;
use futures::stream;

use super::{Spot, described};
use crate::cli::Context;
use crate::cli::args::ReportFormat;
use crate::cli::name::Name;
use crate::cli::output::{one_line, print_json, say};
use crate::cli::progress::Progress;
use crate::cli::settings::Settings;
use crate::client::s3::{ObjectInfo, PutCondition, PutOptions, S3Client};
use crate::error::{Error, ErrorKind, Result};

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold put orders.csv s3://lake/raw/orders.csv --metadata owner=etl
  pg_dump shop | zstd | keyfold put - s3://lake/backup/shop.sql.zst
  keyfold put lock.json s3://lake/lock.json --if-absent";

/// Bytes that are read from standard input at a time.
const PIECE: usize = 1 << 20;

/// Write one object from a file or from standard input
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PutArgs {
    /// A file, or - for standard input
    #[arg(value_name = "FILE")]
    source: Name,

    /// The object
    #[arg(value_name = "LOCATION")]
    target: Name,

    /// Media type [default: told from the name]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// User metadata
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,

    /// Write only if there is no such object
    #[arg(long, conflicts_with = "if_match")]
    if_absent: bool,

    /// Write only if the object still has this `ETag`
    #[arg(long, value_name = "ETAG", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    if_match: Option<String>,

    /// Print nothing, or one JSON object [default: text]
    #[arg(long, value_name = "FORMAT", env = "KEYFOLD_OUTPUT", hide_env_values = true)]
    output: Option<ReportFormat>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How the object is written.
fn options(args: &PutArgs) -> PutOptions {
    let condition = match (&args.if_match, args.if_absent) {
        (Some(e_tag), _) => PutCondition::IfMatch(e_tag.clone()),
        (None, true) => PutCondition::IfAbsent,
        (None, false) => PutCondition::Overwrite,
    };
    let mut options = PutOptions::default().with_condition(condition);
    options.content_type.clone_from(&args.content_type);
    args.metadata.iter().fold(options, |options, (name, value)| options.with_metadata(name, value))
}

pub(crate) async fn run(args: PutArgs, settings: &Settings, context: &Context) -> Result<()> {
    let (client, key) = Spot::object(&args.target, context)?;
    if key.ends_with('/') {
        return Err(Error::new(ErrorKind::Usage, "this is a folder, not an object")
            .with("target", format!("{:?}", args.target))
            .hint("say the name of the object as well; keyfold cp takes it from the file"));
    }
    let options = options(&args);
    let progress = Progress::show(&context.session);
    let info = if args.source.is_standard() {
        context.signals.interrupt_changes(from_stdin(&client, &key, options)).await?
    } else {
        context.signals.interrupt_changes(client.put_file(&key, args.source.as_ref(), options)).await?
    };
    drop(progress);
    match args.output.or(settings.output).unwrap_or_default() {
        ReportFormat::Json => print_json(&described(client.bucket()?, &info)),
        ReportFormat::Text => {
            say(&one_line(&format!("{} bytes to s3://{}/{key}", info.size, client.bucket()?)));
            Ok(())
        }
    }
}

/// The next bytes of standard input; none at its end.
fn piece() -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE);
    io::stdin().lock().take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

async fn from_stdin(client: &S3Client, key: &str, options: PutOptions) -> Result<ObjectInfo> {
    let body = stream::try_unfold((), |()| async {
        let piece = tokio::task::spawn_blocking(piece).await;
        let piece =
            piece.map_err(|cause| Error::internal("a worker thread did not finish").because(cause))?;
        let piece = piece.map_err(|cause| Error::io("cannot read standard input", cause))?;
        Ok((!piece.is_empty()).then(|| (piece.into(), ())))
    });
    client.put_stream(key, body, options).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    fn typed(arguments: &str) -> PutArgs {
        let arguments = ["keyfold", "put"].into_iter().chain(arguments.split(' '));
        match Cli::try_parse_from(arguments).expect("parses").command {
            Command::Put(args) => *args,
            _ => unreachable!("a put"),
        }
    }

    #[test]
    fn what_is_typed_becomes_options() {
        let options = options(&typed("- s3://b/k --content-type a/b --metadata Owner=e=f --if-match \"x\""));
        assert_eq!(options.condition, PutCondition::IfMatch("\"x\"".to_owned()));
        assert_eq!(options.content_type.as_deref(), Some("a/b"));
        assert_eq!(options.metadata.get("owner").map(String::as_str), Some("e=f"));
        let both = ["keyfold", "put", "-", "s3://b/k", "--if-absent", "--if-match", "x"];
        assert!(Cli::try_parse_from(both).is_err());
    }
}
