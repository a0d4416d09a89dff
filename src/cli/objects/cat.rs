//! `keyfold cat`: the bytes of objects on standard output.

use clap::Args;
use futures::TryStreamExt;

use super::Spot;
use crate::cli::Context;
use crate::cli::name::Name;
use crate::cli::output::emit;
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
EXAMPLES:
  keyfold cat s3://lake/raw/orders.csv | head
  keyfold cat s3://lake/raw/a.csv s3://lake/raw/b.csv > both.csv";

/// Print objects or files as they are, one after the other
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CatArgs {
    /// Objects or files
    #[arg(required = true, value_name = "LOCATION")]
    locations: Vec<Name>,
}

pub(crate) async fn run(args: CatArgs, context: &Context) -> Result<()> {
    for name in &args.locations {
        match Spot::of(name, context)? {
            Spot::Local(path) => {
                let shown = path.display().to_string();
                let failed = |cause| Error::io("cannot read the file", cause).with("file", &shown);
                let mut file = std::fs::File::open(&path).map_err(failed)?;
                // A closed pipe ends this like anything else that writes.
                match std::io::copy(&mut file, &mut std::io::stdout().lock()) {
                    Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                    copied => drop(copied.map_err(failed)?),
                }
            }
            Spot::S3(..) => {
                let (client, key) = Spot::object(name, context)?;
                let mut body = client.get(&key).await?.into_stream();
                while let Some(piece) = body.try_next().await? {
                    if emit(&piece)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}
