//! One builder for both front doors: backend, storage, session.

use std::fmt;
use std::marker::PhantomData;

use crate::client::s3_settings::S3Settings;
use crate::client::session::Session;
use crate::client::settings::StoreSettings;
use crate::core::location::Location;
use crate::error::Result;
use crate::factory::Backend;

/// Collects the settings of a front door; nothing is opened before the first call on it.
#[derive(Clone)]
pub struct Builder<T> {
    backend: Option<String>,
    settings: StoreSettings,
    session: Option<Session>,
    door: PhantomData<fn() -> T>,
}

/// What a front door is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    pub(crate) backend: String,
    pub(crate) root: Option<Location>,
    pub(crate) session: Session,
}

impl Parts {
    /// Where `path` is: below the root, or a full URL or an absolute path by itself.
    pub(crate) fn locate(&self, path: &str) -> Result<Location> {
        match &self.root {
            Some(root) => root.join(path),
            None => path.parse(),
        }
    }

    /// Where a place is that may be named by a relative path.
    pub(crate) fn located(&self, place: &Location) -> Result<Location> {
        match (place.as_path(), &self.root) {
            (Some(path), Some(_)) => self.locate(&path.to_string_lossy()),
            _ => Ok(place.clone()),
        }
    }

    pub(crate) fn locate_all(&self, paths: &[impl AsRef<str>]) -> Result<Vec<Location>> {
        paths.iter().map(|path| self.locate(path.as_ref())).collect()
    }
}

impl<T> Default for Builder<T> {
    fn default() -> Self {
        Self { backend: None, settings: StoreSettings::default(), session: None, door: PhantomData }
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("backend", &self.backend)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<T: From<Parts>> Builder<T> {
    /// The engine that runs frames; the first of this build if not said.
    #[must_use]
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backend = Some(name.into());
        self
    }

    /// The local folder in which relative paths start.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<String>) -> Self {
        self.settings.folder = Some(folder.into());
        self
    }

    /// The bucket in which relative paths start.
    #[must_use]
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.settings.bucket = Some(bucket.into());
        self
    }

    /// The server of the bucket, if it is not the vendor's own.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.settings.s3.endpoint_url = Some(url.into());
        self
    }

    /// The region of the bucket.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.settings.s3.region = Some(region.into());
        self
    }

    /// The access key id; goes with a secret key.
    #[must_use]
    pub fn access_key(mut self, key: impl Into<String>) -> Self {
        self.settings.s3.access_key_id = Some(key.into().into());
        self
    }

    /// The secret access key; never printed.
    #[must_use]
    pub fn secret_key(mut self, key: impl Into<String>) -> Self {
        self.settings.s3.secret_access_key = Some(key.into().into());
        self
    }

    /// The token of temporary keys; never printed.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.settings.s3.session_token = Some(token.into().into());
        self
    }

    /// Every setting of S3 at once; those that were said before and are not in `settings` stay.
    #[must_use]
    pub fn s3(mut self, settings: S3Settings) -> Self {
        self.settings.s3 = settings.or(self.settings.s3);
        self
    }

    /// The session to share; one with the settings of the environment if not said.
    #[must_use]
    pub fn session(mut self, session: Session) -> Self {
        self.session = Some(session);
        self
    }

    /// Checks the settings and makes the front door.
    ///
    /// # Errors
    ///
    /// `Usage` for an unknown backend, or settings that exclude each other.
    pub fn build(self) -> Result<T> {
        let backend = match self.backend {
            Some(name) => name.parse::<Backend>()?,
            None => Backend::first()?,
        };
        Ok(T::from(Parts {
            backend: backend.to_string(),
            root: self.settings.root()?,
            session: self.settings.session(self.session)?,
        }))
    }
}
