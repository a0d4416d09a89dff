//! Where relative paths start, and how that storage is reached.

use std::fmt;

use secrecy::SecretString;

use crate::core::location::{Location, redacted};
use crate::error::{Error, ErrorKind, Result};

/// The settings of a store. Secrets are held in a type that does not print them.
#[derive(Clone, Default)]
pub(crate) struct StoreSettings {
    pub(crate) folder: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) access_key: Option<SecretString>,
    pub(crate) secret_key: Option<SecretString>,
}

/// URLs print without user information and query, keys not at all.
impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Option<String>| text.as_deref().map(redacted);
        f.debug_struct("StoreSettings")
            .field("folder", &shown(&self.folder))
            .field("bucket", &shown(&self.bucket))
            .field("endpoint_url", &shown(&self.endpoint_url))
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl StoreSettings {
    /// The location that relative paths are joined to; `None` is the current folder.
    ///
    /// # Errors
    ///
    /// `Usage` if both a folder and a bucket are given, or half a pair of keys.
    pub(crate) fn root(&self) -> Result<Option<Location>> {
        let usage = |message: &'static str| Err(Error::new(ErrorKind::Usage, message));
        if self.access_key.is_some() != self.secret_key.is_some() {
            return usage("access key and secret key go together");
        }
        let remote = self.endpoint_url.is_some() || self.region.is_some() || self.access_key.is_some();
        match (&self.folder, &self.bucket) {
            (Some(_), Some(_)) => usage("a folder and a bucket exclude each other"),
            (_, None) if remote => usage("an endpoint, a region or keys need a bucket"),
            (None, None) => Ok(None),
            (Some(folder), None) => folder.parse().map(Some),
            (None, Some(bucket)) if bucket.contains("://") => bucket.parse().map(Some),
            (None, Some(bucket)) => format!("s3://{bucket}").parse().map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_print() {
        let settings = StoreSettings {
            access_key: Some("canary".to_owned().into()),
            secret_key: Some("canary".to_owned().into()),
            endpoint_url: Some("https://user:canary@host?canary".to_owned()),
            ..StoreSettings::default()
        };
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn choices_that_exclude_each_other_are_refused() {
        let folder = Some("data".to_owned());
        let both = StoreSettings { folder: folder.clone(), bucket: folder.clone(), ..Default::default() };
        assert!(both.root().is_err());
        let half = StoreSettings {
            bucket: folder.clone(),
            access_key: Some("a".to_owned().into()),
            ..Default::default()
        };
        assert!(half.root().is_err());
        let nowhere = StoreSettings { region: folder, ..Default::default() };
        assert!(nowhere.root().is_err());
    }

    #[test]
    fn a_bucket_is_on_s3_unless_it_says_otherwise() {
        let at =
            |bucket: &str| StoreSettings { bucket: Some(bucket.to_owned()), ..Default::default() }.root();
        assert_eq!(at("lake").ok().flatten().map(|l| l.to_string()).as_deref(), Some("s3://lake"));
        assert_eq!(at("gs://lake").ok().flatten().map(|l| l.to_string()).as_deref(), Some("gs://lake"));
    }
}
