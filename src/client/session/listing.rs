//! Which files there are: below a folder, or by a pattern, on disk and in stores.

use std::io;
use std::path::{Path, PathBuf};

use super::Session;
use crate::client::file::DataFile;
use crate::client::store::Listed;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

impl Session {
    /// Opens all files that `locations` name, glob patterns expanded by name. Blocks.
    ///
    /// # Errors
    ///
    /// `NotFound` for a file that is not there or a pattern without a match, and as [`Session::open`].
    pub(crate) fn open_all(&self, locations: &[Location]) -> Result<Vec<DataFile>> {
        let mut files = Vec::with_capacity(locations.len());
        for location in locations {
            let file = self.open(location)?;
            if file.version()?.is_some() {
                files.push(file);
            } else if location.is_pattern() {
                // A file whose own name has a bracket or a star is meant before a pattern is.
                for location in self.expand(location)? {
                    files.push(self.open(&location)?);
                }
            } else {
                return Err(Error::new(ErrorKind::NotFound, "there is no such file")
                    .with("file", location)
                    .hint(match location.as_path() {
                        Some(_) => "check the path; relative paths start at the current folder",
                        None => "check bucket and key; both are case-sensitive",
                    }));
            }
        }
        Ok(files)
    }

    /// The objects whose keys begin with that of `location`. Blocks.
    pub(crate) fn list(&self, location: &Location) -> Result<Vec<Location>> {
        let (store, key) = self.0.stores.open(location)?;
        let found = self.0.io.wait(|| self.check(), async move { store.list(&key).await })?;
        Ok(found.iter().map(|object| location.with_key(&object.name)).collect())
    }

    /// The files or objects below a folder, however deep, by their names below it, in order; hidden ones too. A folder
    /// that is not there has none. Blocks.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`, `Unsupported` for a store that cannot be searched.
    pub(crate) fn files_below(&self, folder: &Location) -> Result<Vec<String>> {
        if let Some(path) = folder.as_path() {
            let mut names = Vec::new();
            walk(path, "", &mut names)?;
            names.sort();
            return Ok(names);
        }
        Ok(self.objects_below(folder)?.into_iter().map(|object| object.name).collect())
    }

    /// The same, with what a list tells of each.
    ///
    /// # Errors
    ///
    /// As [`Session::files_below`].
    pub(crate) fn listed_below(&self, folder: &Location) -> Result<Vec<Listed>> {
        let Some(path) = folder.as_path() else { return self.objects_below(folder) };
        let described = |name: String| match std::fs::metadata(path.join(&name)) {
            Ok(data) => Ok(Some(Listed {
                name,
                size: data.len(),
                modified: data.modified().ok().map(chrono::DateTime::from),
            })),
            // It has gone since.
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => {
                Err(Error::io("cannot look at a file", cause).with("file", path.join(&name).display()))
            }
        };
        self.files_below(folder)?.into_iter().filter_map(|name| described(name).transpose()).collect()
    }

    fn objects_below(&self, folder: &Location) -> Result<Vec<Listed>> {
        let (store, key) = self.0.stores.open(folder)?;
        if !store.abilities().list {
            return Err(Error::new(ErrorKind::Unsupported, "this store cannot be searched")
                .with("folder", folder)
                .hint("name each file"));
        }
        let prefix = format!("{}/", key.trim_end_matches('/'));
        let below = prefix.clone();
        let found = self.0.io.wait(|| self.check(), async move { store.list(&below).await });
        let found = found.map_err(|error| error.with_missing("folder", folder))?;
        let below = |object: Listed| {
            let name = object.name.strip_prefix(&prefix)?.to_owned();
            // Some programs mark a folder by an empty object.
            (!name.is_empty() && !name.ends_with('/')).then_some(Listed { name, ..object })
        };
        Ok(found.into_iter().filter_map(below).collect())
    }

    /// Whether there is anything below a folder. Blocks.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(crate) fn has_any(&self, folder: &Location) -> Result<bool> {
        if let Some(path) = folder.as_path() {
            return Ok(std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()));
        }
        let (store, key) = self.0.stores.open(folder)?;
        let key = format!("{}/", key.trim_end_matches('/'));
        self.wait(async move { store.has_any(&key).await })
            .map_err(|error| error.with_missing("location", folder))
    }

    fn expand(&self, location: &Location) -> Result<Vec<Location>> {
        if let Some(path) = location.as_path() {
            return Ok(expand(location, path)?.into_iter().map(Location::from_path).collect());
        }
        let (store, key) = self.0.stores.open(location)?;
        if !store.abilities().list {
            return Err(Error::new(ErrorKind::Unsupported, "this store cannot be searched")
                .with("pattern", location)
                .hint("name each file"));
        }
        let pattern = compile(location, &key)?;
        let fixed = key.find(['*', '?', '[']).map_or(key.as_str(), |special| &key[..special]).to_owned();
        let keys = self.0.io.wait(|| self.check(), async move { store.list(&fixed).await });
        let keys = keys.map_err(|error| error.with_missing("pattern", location))?;
        let keys = keys.iter().map(|object| object.name.as_str());
        let found: Vec<_> = keys.filter(|key| pattern(key)).map(|key| location.with_key(key)).collect();
        if found.is_empty() { Err(no_match(location)) } else { Ok(found) }
    }
}

/// How patterns match: a star does not reach over a slash, nor to hidden files.
const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

fn compile(location: &Location, pattern: &str) -> Result<impl Fn(&str) -> bool> {
    let pattern = glob::Pattern::new(pattern).map_err(|cause| no_pattern(location, cause))?;
    Ok(move |key: &str| pattern.matches_with(key, MATCHING) && !key.ends_with('/'))
}

fn no_pattern(location: &Location, cause: glob::PatternError) -> Error {
    Error::new(ErrorKind::Usage, "not a glob pattern").with("pattern", location).because(cause)
}

fn no_match(location: &Location) -> Error {
    Error::new(ErrorKind::NotFound, "no file matches the pattern")
        .with("pattern", location)
        .hint("quote the pattern if the shell is not to expand it")
}

/// How deep folders are looked into: links may lead in a circle.
const DEEPEST: usize = 64;

fn walk(folder: &Path, below: &str, names: &mut Vec<String>) -> Result<()> {
    let failed = |cause| Error::io("cannot look into a folder", cause).with("folder", folder.display());
    if below.matches('/').count() > DEEPEST {
        return Err(Error::new(ErrorKind::InvalidInput, "folders lie too deep in each other")
            .with("folder", folder.display())
            .hint("a link may lead in a circle"));
    }
    let entries = match std::fs::read_dir(folder) {
        // Also if a file has come into its place just now.
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().map_err(|name| {
            Error::new(ErrorKind::Unsupported, "a name is not valid UTF-8")
                .with("file", folder.join(name).display())
                .hint("rename it")
        })?;
        let path = entry.path();
        if path.is_dir() {
            walk(&path, &format!("{below}{name}/"), names)?;
        } else {
            names.push(format!("{below}{name}"));
        }
    }
    Ok(())
}

fn expand(location: &Location, pattern: &Path) -> Result<Vec<PathBuf>> {
    let options = glob::MatchOptions { require_literal_separator: false, ..MATCHING };
    let mut paths = Vec::new();
    let entries = glob::glob_with(&pattern.to_string_lossy(), options);
    for entry in entries.map_err(|cause| no_pattern(location, cause))? {
        let path = entry.map_err(|cause| {
            Error::io("cannot look into a folder", cause.into()).with("pattern", location)
        })?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(no_match(location));
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_files_below_what_is_a_file_by_now() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("t.parquet");
        std::fs::write(&file, "x").expect("written");
        for path in [file, folder.path().join("nothing")] {
            let found = Session::default().files_below(&Location::from_path(path));
            assert_eq!(found.expect("looks"), Vec::<String>::new());
        }
    }

    #[test]
    fn a_pattern_gives_files_by_name_and_never_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.csv", "a.csv", ".hidden.csv", "a.txt"] {
            std::fs::write(folder.path().join(name), "x").expect("written");
        }
        let session = Session::default();
        let all = session.open_all(&[Location::from_path(folder.path().join("*.csv"))]).expect("files");
        let names: Vec<_> = all.iter().map(|file| file.location().name()).collect();
        assert_eq!(names, ["a.csv", "b.csv"]);
        let none = session.open_all(&[Location::from_path(folder.path().join("*.parquet"))]);
        assert_eq!(none.map_err(|e| e.kind()).err(), Some(ErrorKind::NotFound));
    }
}
