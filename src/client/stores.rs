//! The stores behind the locations of one session: each is opened once, when it is first needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::client::s3_settings::S3Settings;
use crate::client::session::Progress;
use crate::client::store::{Adapter, Store};
use crate::core::location::{Location, Scheme};
use crate::error::{Error, ErrorKind, Result};

#[cfg(feature = "s3")]
use crate::client::s3::S3Client;

/// What was opened so far, and how to open more.
#[derive(Debug)]
pub(crate) struct Stores {
    settings: S3Settings,
    /// For what neither the settings nor the environment say.
    fallback: S3Settings,
    /// Of transfers.
    #[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "only transfers of S3 are counted"))]
    progress: Progress,
    opened: Mutex<HashMap<(Scheme, String), Arc<dyn Store>>>,
    #[cfg(feature = "s3")]
    client: OnceLock<S3Client>,
}

impl Stores {
    pub(crate) fn new(settings: S3Settings, fallback: S3Settings, progress: Progress) -> Self {
        Self {
            settings,
            fallback,
            progress,
            opened: Mutex::default(),
            #[cfg(feature = "s3")]
            client: OnceLock::new(),
        }
    }

    /// The store that holds `location`, and the key there.
    ///
    /// # Errors
    ///
    /// `Unsupported` for storage that this build does not know, and what opening a store fails with.
    pub(crate) fn open(&self, location: &Location) -> Result<(Arc<dyn Store>, String)> {
        let scheme = location.scheme();
        #[cfg(feature = "http")]
        if let Some(url) = location.exposed_web_url() {
            return Ok((
                Arc::new(crate::client::store::web::WebStore::new(url, self.plain()?)?),
                location.name(),
            ));
        }
        let (bucket, key) = location.as_object().ok_or_else(|| unknown(location))?;
        let known = (scheme, bucket.to_owned());
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(&known) {
            return Ok((Arc::clone(store), key.to_owned()));
        }
        let store: Arc<dyn Store> = match scheme {
            Scheme::Memory => Arc::new(Adapter::memory()),
            #[cfg(feature = "s3")]
            Scheme::S3 => Arc::new(crate::client::store::S3Store::new(self.s3()?.with_bucket(bucket))),
            #[cfg(feature = "gcs")]
            Scheme::Gs => Arc::new(crate::client::store::cloud::google(bucket, self.plain()?)?),
            #[cfg(feature = "azure")]
            Scheme::Az => Arc::new(crate::client::store::cloud::azure(location, self.plain()?)?),
            _ => return Err(unknown(location)),
        };
        opened.insert(known, Arc::clone(&store));
        Ok((store, key.to_owned()))
    }

    /// Which hosts may be spoken to without encryption.
    #[cfg(feature = "_network")]
    fn plain(&self) -> Result<crate::client::http::Plain> {
        use crate::client::http::Plain;
        Ok(if self.settings()?.allow_http == Some(true) { Plain::Anywhere } else { Plain::Loopback })
    }

    /// What was said, then what the environment says, then the rest.
    #[cfg(feature = "_network")]
    fn settings(&self) -> Result<S3Settings> {
        Ok(self.settings.clone().or(S3Settings::from_env()?).or(self.fallback.clone()))
    }

    /// The S3 service.
    ///
    /// # Errors
    ///
    /// As [`S3Client::new`].
    #[cfg(feature = "s3")]
    pub(crate) fn s3(&self) -> Result<S3Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = S3Client::new(self.settings()?)?.with_progress(self.progress.clone());
        Ok(self.client.get_or_init(|| client).clone())
    }
}

fn unknown(location: &Location) -> Error {
    let scheme = location.scheme();
    Error::new(ErrorKind::Unsupported, "this build of keyfold does not know this kind of storage")
        .with("location", location)
        .hint(format!("copy the data to a local path, or build keyfold with the feature for {scheme}"))
}
