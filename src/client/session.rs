//! What outlives one call: the run's name, cancellation, progress, and the stores behind locations.

mod listing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::client::file::DataFile;
use crate::client::io::{Io, blocking};
use crate::client::local::LocalFile;
use crate::client::object::ObjectFile;
use crate::client::s3_settings::S3Settings;
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
        assert!(matches!(stage.commit(None).expect("commits"), Commit::Committed { .. }));
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
    fn a_cancelled_session_says_so() {
        let session = Session::default();
        assert!(session.check().is_ok());
        session.clone().cancel();
        assert_eq!(session.check().map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
    }
}
