//! A quarantine is none where it is the target, or a part of it: rows that are left out would come in by the back door.

use std::path::{Path, PathBuf};

use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

/// Refuses a quarantine that is the target, lies in it, or holds it.
///
/// # Errors
///
/// `Usage`.
pub(super) fn check_apart(target: &Location, quarantine: &Location) -> Result<()> {
    let (own, other) = (steps(quarantine), steps(target));
    let shorter = own.len().min(other.len());
    if own[..shorter] != other[..shorter] && !is_same_file(target, quarantine) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "the quarantine is the target, or one of them lies in the other")
        .with("quarantine", quarantine)
        .with("target", target)
        .hint("name another place for the rows that are left out"))
}

/// The steps of a path or a key, the same for whatever names it.
fn steps(location: &Location) -> Vec<String> {
    let texts = |path: &str| -> Vec<String> {
        path.split('/').filter(|step| !step.is_empty()).map(ToOwned::to_owned).collect()
    };
    match (location.as_path(), location.as_object()) {
        (Some(path), _) => texts(&resolved(path).to_string_lossy()),
        (None, Some((bucket, key))) => {
            let store = format!("{}://{bucket}", location.scheme());
            std::iter::once(store).chain(texts(key)).collect()
        }
        (None, None) => vec![location.to_string()],
    }
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let known = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match known.and_then(|(above, real)| Some((path.strip_prefix(above).ok()?, real))) {
        Some((rest, real)) => real.join(rest),
        None => path,
    }
}

/// Whether two names on a disk are one file, as hard links are.
fn is_same_file(one: &Location, other: &Location) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = |location: &Location| location.as_path()?.metadata().ok().map(|file| (file.dev(), file.ino()));
    file(one).is_some_and(|one| file(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_place_by_any_name_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("t.csv"), "id\n").expect("written");
        std::fs::create_dir(at("t")).expect("made");
        std::os::unix::fs::symlink(at("t.csv"), at("link.csv")).expect("linked");
        std::os::unix::fs::symlink(folder.path(), at("here")).expect("linked");
        std::fs::hard_link(at("t.csv"), at("hard.csv")).expect("linked");
        let check = |target: &str, quarantine: &str| {
            let locate = |name: &str| match name.split_once("://") {
                Some(_) => name.parse().expect("a location"),
                None => Location::from_path(at(name)),
            };
            check_apart(&locate(target), &locate(quarantine)).map_err(|error| error.kind())
        };
        for (target, quarantine) in [
            ("t.csv", "t.csv"),
            ("t.csv", "./t.csv"),
            ("t.csv", "link.csv"),
            ("t.csv", "here/t.csv"),
            ("t.csv", "hard.csv"),
            ("t", "t/q.parquet"),
            ("t", "t/"),
            ("t/a.parquet", "t"),
            ("new", "here/new/q.csv"),
            ("s3://a/t", "s3a://a/t/"),
            ("s3://a/t", "s3://a/t/q.csv"),
            ("memory://t.csv", "memory:///t.csv"),
        ] {
            assert_eq!(check(target, quarantine), Err(ErrorKind::Usage), "{target} {quarantine}");
        }
        for (target, quarantine) in [
            ("t.csv", "q.csv"),
            ("t", "t.csv"),
            ("s3://a/t", "s3://a/tt"),
            ("s3://a/t", "s3://b/t"),
            ("s3://a/t", "t"),
        ] {
            assert_eq!(check(target, quarantine), Ok(()), "{target} {quarantine}");
        }
    }
}
