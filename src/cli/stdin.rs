//! `-` as a source: standard input is spooled to a temporary file, because text is read twice (for its
//! types, then for its rows) and Parquet from its end.

use std::io;

use tempfile::{NamedTempFile, TempPath};

use crate::cli::Context;
use crate::cli::name::Name;
use crate::error::{Error, Result};

/// Sources as the front doors take them. The spooled one is deleted when this is dropped.
#[derive(Debug)]
pub(crate) struct Sources {
    names: Vec<Name>,
    _spooled: Option<TempPath>,
}

impl Sources {
    /// Reads standard input to its end if it is one of `names`.
    pub(crate) async fn open(names: Vec<Name>, context: &Context) -> Result<Self> {
        if names.iter().any(Name::is_standard) {
            spool(names, context, io::stdin()).await
        } else {
            Ok(Self { names, _spooled: None })
        }
    }

    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }
}

async fn spool(
    names: Vec<Name>,
    context: &Context,
    input: impl io::Read + Send + 'static,
) -> Result<Sources> {
    let (file, path) = temporary("keyfold-stdin-", "")?.into_parts();
    context.signals.interrupt(context.session.run(move |_| copy(input, file))).await?;
    let place = Name::from(path.to_string_lossy().into_owned());
    let names = names.into_iter().map(|name| if name.is_standard() { place.clone() } else { name }).collect();
    Ok(Sources { names, _spooled: Some(path) })
}

/// A new file in the system's temporary folder.
pub(crate) fn temporary(prefix: &str, suffix: &str) -> Result<NamedTempFile> {
    tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile().map_err(|cause| {
        Error::io("cannot make a temporary file", cause)
            .with("folder", std::env::temp_dir().display())
            .hint("set TMPDIR to a folder with room")
    })
}

fn copy(mut input: impl io::Read, mut file: std::fs::File) -> Result<u64> {
    io::copy(&mut input, &mut file).map_err(|cause| {
        Error::io("cannot spool standard input", cause).hint("is there room in the temporary folder?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::signals::Signals;
    use crate::client::session::Session;

    fn context() -> Context {
        let session = Session::default();
        Context { signals: Signals::new(session.clone()), session }
    }

    #[tokio::test]
    async fn a_dash_stands_for_a_file_that_lives_as_long_as_the_sources() {
        let names = ["a.csv", "-"].map(|name| Name::from(name.to_owned())).to_vec();
        let sources = spool(names, &context(), &b"id\n1\n"[..]).await.expect("spools");
        let [first, second] = sources.names() else { unreachable!("two sources") };
        assert_eq!(first.as_ref(), "a.csv");
        let place = std::path::PathBuf::from(second.as_ref());
        assert_eq!(std::fs::read(&place).expect("reads"), b"id\n1\n");
        drop(sources);
        assert!(!place.exists());
    }
}
