//! What outlives one call: the run's name, cancellation, progress, and the stores behind locations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::client::local::LocalFile;
use crate::core::location::{Location, Scheme};
use crate::error::{Error, ErrorKind, Result};

/// Opens locations, and holds what several calls share. Cheap to clone; all clones are one session.
#[derive(Debug, Clone, Default)]
pub struct Session(Arc<State>);

#[derive(Debug)]
struct State {
    run_id: String,
    cancelled: AtomicBool,
    progress: Progress,
}

impl Default for State {
    fn default() -> Self {
        Self {
            run_id: uuid::Uuid::now_v7().to_string(),
            cancelled: AtomicBool::new(false),
            progress: Progress::default(),
        }
    }
}

/// How far the work at hand has come, for whoever wants to show it.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Starts a piece of work of `total` bytes.
    pub fn start(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Says that `bytes` more are done.
    pub fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes done, and bytes in all; both 0 before anything has started.
    #[must_use]
    pub fn get(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

impl Session {
    /// A session with the settings of the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::default()
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

    /// Opens what `location` names, whether or not it exists yet.
    ///
    /// # Errors
    ///
    /// `Unsupported` for storage other than a local disk, `InvalidInput` for a directory.
    #[expect(
        clippy::unused_self,
        reason = "a session opens, a location only names: stores are the session's"
    )]
    pub(crate) fn open(&self, location: &Location) -> Result<LocalFile> {
        LocalFile::open(location, local_path(location)?)
    }

    /// Opens all files that `locations` name, glob patterns expanded by name.
    ///
    /// # Errors
    ///
    /// `NotFound` for a file that is not there or a pattern without a match, and as [`Session::open`].
    pub(crate) fn open_all(&self, locations: &[Location]) -> Result<Vec<LocalFile>> {
        let mut files = Vec::with_capacity(locations.len());
        for location in locations {
            let path = local_path(location)?;
            // A file whose own name has a bracket or a star is meant before a pattern is.
            if location.is_pattern() && !path.exists() {
                for path in expand(location, path)? {
                    files.push(self.open(&Location::from_path(path))?);
                }
            } else {
                let file = self.open(location)?;
                if file.version()?.is_none() {
                    return Err(Error::new(ErrorKind::NotFound, "there is no such file")
                        .with("file", location)
                        .hint("check the path; relative paths start at the current folder"));
                }
                files.push(file);
            }
        }
        Ok(files)
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
        tokio::task::spawn_blocking(move || work(&session))
            .await
            .map_err(|cause| Error::internal("a worker thread did not finish").because(cause))?
    }
}

fn local_path(location: &Location) -> Result<&Path> {
    location.as_path().ok_or_else(|| {
        let scheme = location.scheme();
        debug_assert_ne!(scheme, Scheme::File);
        Error::new(ErrorKind::Unsupported, "this version of keyfold works on local disks only")
            .with("location", location)
            .hint(format!("copy the data to a local path; {scheme} is not supported yet"))
    })
}

fn expand(location: &Location, pattern: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |cause: glob::PatternError| {
        Error::new(ErrorKind::Usage, "not a glob pattern").with("pattern", location).because(cause)
    };
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
    let mut paths = Vec::new();
    for entry in glob::glob_with(&pattern.to_string_lossy(), options).map_err(wrong)? {
        let path = entry.map_err(|cause| {
            Error::io("cannot look into a folder", cause.into()).with("pattern", location)
        })?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "no file matches the pattern")
            .with("pattern", location)
            .hint("quote the pattern if the shell is not to expand it"));
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_stores_are_refused_by_name() {
        let location = "s3://lake/a.parquet".parse().expect("a location");
        let error = Session::default().open(&location).expect_err("unsupported");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(format!("{error:?}").contains("s3 is not supported yet"), "{error:?}");
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
