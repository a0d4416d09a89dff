//! What outlives one call: the run's name, cancellation, progress, and the stores behind locations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::client::file::DataFile;
use crate::client::io::{Io, blocking};
use crate::client::local::LocalFile;
use crate::client::object::ObjectFile;
use crate::client::s3_settings::S3Settings;
use crate::client::store::Listed;
use crate::client::stores::Stores;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

/// Opens locations, and holds what several calls share. Cheap to clone; all clones are one session.
#[derive(Debug, Clone)]
pub struct Session(Arc<State>);

#[derive(Debug)]
struct State {
    run_id: String,
    cancelled: AtomicBool,
    progress: Progress,
    stores: Stores,
    io: Arc<Io>,
}

impl Default for Session {
    fn default() -> Self {
        Self::with_s3_over(S3Settings::default(), S3Settings::default())
    }
}

/// How far the work at hand has come, for whoever wants to show it. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Starts a piece of work of `total` bytes.
    pub fn start(&self, total: u64) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
    }

    /// Says that `bytes` more are done.
    pub fn advance(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes done, and bytes in all; both 0 before anything has started.
    #[must_use]
    pub fn get(&self) -> (u64, u64) {
        (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed))
    }
}

impl Session {
    /// A session with the settings of the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::default()
    }

    /// A session that reaches S3 by `settings`; what they leave open, the environment says.
    #[must_use]
    pub fn with_s3(settings: S3Settings) -> Self {
        Self::with_s3_over(settings, S3Settings::default())
    }

    /// The same, with `file` for what neither `settings` nor the environment say.
    pub(crate) fn with_s3_over(settings: S3Settings, file: S3Settings) -> Self {
        let progress = Progress::default();
        Self(Arc::new(State {
            run_id: uuid::Uuid::now_v7().to_string(),
            cancelled: AtomicBool::new(false),
            stores: Stores::new(settings, file, progress.clone()),
            progress,
            io: Arc::default(),
        }))
    }

    /// The S3 service of this session.
    ///
    /// # Errors
    ///
    /// As [`S3Client::new`](crate::S3Client::new).
    #[cfg(feature = "s3")]
    pub fn s3(&self) -> Result<crate::client::s3::S3Client> {
        self.0.stores.s3()
    }

    /// Names this session's run in logs and reports.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.0.run_id
    }

    /// How far the work at hand has come.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.0.progress
    }

    /// Asks all work of this session to stop; what is not committed yet never will be.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Fails if the session was cancelled; long work asks between batches.
    ///
    /// # Errors
    ///
    /// `Cancelled`.
    pub fn check(&self) -> Result<()> {
        if self.0.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled").hint("nothing was changed"));
        }
        Ok(())
    }

    /// Opens what `location` names, whether or not it exists yet. Blocks.
    ///
    /// # Errors
    ///
    /// `Unsupported` for storage that this build does not know, `InvalidInput` for a folder.
    pub(crate) fn open(&self, location: &Location) -> Result<DataFile> {
        if let Some(path) = location.as_path() {
            return LocalFile::open(location, path).map(DataFile::Local);
        }
        let (store, key) =
            self.0.stores.open(location).map_err(|error| error.with_missing("location", location))?;
        if key.is_empty() || key.ends_with('/') {
            return Err(Error::new(ErrorKind::InvalidInput, "this is a folder, not a file")
                .with("file", location)
                .hint("name an object in it; to read several, use a pattern such as s3://bucket/folder/*.parquet"));
        }
        Ok(DataFile::Object(ObjectFile::new(self, Arc::clone(&self.0.io), location, store, &key)))
    }

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

    /// The objects or files below a folder, for code that wants a store of `object_store`. Blocks.
    ///
    /// # Errors
    ///
    /// `Unsupported` for storage that this build does not know, or that holds no folders; `Io` for a local folder
    /// that is not there.
    #[cfg(feature = "delta")]
    pub(crate) fn folder(&self, location: &Location) -> Result<Arc<dyn object_store::ObjectStore>> {
        if let Some(path) = location.as_path() {
            return Ok(Arc::new(crate::client::store::LocalObjects::new(path)?));
        }
        let (store, key) = self.0.stores.open(location)?;
        store.objects(key.trim_end_matches('/')).map_err(|error| error.with_missing("location", location))
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

    /// Deletes a file or an object that nobody needs; one that is not there counts as deleted. Blocks.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub(crate) fn delete(&self, location: &Location) -> Result<()> {
        if let Some(path) = location.as_path() {
            return match std::fs::remove_file(path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io("cannot delete the file", cause).with("file", location))
                }
                _ => Ok(()),
            };
        }
        let (store, key) = self.0.stores.open(location)?;
        // Whoever cleans up does so although the work was cancelled.
        self.0.io.wait(|| Ok(()), async move { store.delete(&key).await })
    }

    /// Waits for `work`, which runs on threads of the session's own, unless the session is cancelled.
    ///
    /// # Errors
    ///
    /// What `work` fails with, and `Cancelled`.
    pub(crate) fn wait<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.0.io.wait(|| self.check(), work)
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

    /// Runs blocking work on a thread that may block.
    ///
    /// # Errors
    ///
    /// What `work` fails with.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Session) -> Result<T> + Send + 'static,
    {
        let session = self.clone();
        blocking(move || work(&session)).await
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
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
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
    use crate::client::file::Commit;

    #[test]
    fn memory_lives_as_long_as_its_session() {
        let location = "memory://a/b.csv".parse().expect("a location");
        let session = Session::default();
        let mut stage = session.open(&location).expect("opens").stage().expect("stages");
        std::io::Write::write_all(stage.file(), b"id\n1\n").expect("written");
        assert!(matches!(stage.commit(None).expect("commits"), Commit::Committed(_)));
        let version = |session: &Session| session.open(&location).expect("opens").version().expect("looks");
        assert_eq!(version(&session.clone()).map(|version| version.size()), Some(5));
        assert_eq!(version(&Session::default()), None);
        let found = session.open_all(&["memory://a/*.csv".parse().expect("a location")]).expect("found");
        assert_eq!(found[0].location(), &location);
        assert!(session.open_all(&["memory://*.csv".parse().expect("a location")]).is_err());
    }

    #[test]
    fn a_folder_in_a_store_is_no_file() {
        for location in ["memory://", "memory://a/"] {
            let refused = Session::default().open(&location.parse().expect("a location"));
            assert_eq!(refused.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
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

    #[test]
    fn a_cancelled_session_says_so() {
        let session = Session::default();
        assert!(session.check().is_ok());
        session.clone().cancel();
        assert_eq!(session.check().map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
    }
}
