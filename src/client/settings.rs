//! Where relative paths start, and how that storage is reached.

use std::fmt;

use crate::client::s3_settings::S3Settings;
use crate::client::session::Session;
use crate::core::location::{Location, redacted};
use crate::error::{Error, ErrorKind, Result};

/// The settings of a store. Secrets are held in a type that does not print them.
#[derive(Clone, Default)]
pub(crate) struct StoreSettings {
    pub(crate) folder: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) s3: S3Settings,
}

/// URLs print without user information and query, keys not at all.
impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Option<String>| text.as_deref().map(redacted);
        f.debug_struct("StoreSettings")
            .field("folder", &shown(&self.folder))
            .field("bucket", &shown(&self.bucket))
            .field("s3", &self.s3)
            .finish()
    }
}

impl StoreSettings {
    /// The location that relative paths are joined to; `None` is the current folder.
    ///
    /// # Errors
    ///
    /// `Usage` if both a folder and a bucket are given.
    pub(crate) fn root(&self) -> Result<Option<Location>> {
        match (&self.folder, &self.bucket) {
            (Some(_), Some(_)) => {
                Err(Error::new(ErrorKind::Usage, "a folder and a bucket exclude each other"))
            }
            (None, None) => Ok(None),
            (Some(folder), None) => folder.parse().map(Some),
            (None, Some(bucket)) if bucket.contains("://") => bucket.parse().map(Some),
            (None, Some(bucket)) => format!("s3://{bucket}").parse().map(Some),
        }
    }

    /// `session`, or one that reaches S3 as these settings say.
    ///
    /// # Errors
    ///
    /// `Usage` for half a pair of keys, and for a session that has settings of its own already.
    pub(crate) fn session(&self, session: Option<Session>) -> Result<Session> {
        self.s3.key_pair()?;
        let said = S3Settings::ALL.iter().find(|setting| self.s3.has(setting.name));
        match (session, said) {
            (Some(session), None) => Ok(session),
            (Some(_), Some(setting)) => {
                Err(Error::new(ErrorKind::Usage, "a session that is shared has its own way to S3")
                    .with("setting", setting.name)
                    .hint("give the settings to Session::with_s3"))
            }
            (None, _) => Ok(Session::with_s3(self.s3.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_print() {
        let s3 = S3Settings::default()
            .with_access_key_id("canary")
            .with_secret_access_key("canary")
            .with_endpoint_url("https://user:canary@host?canary");
        let settings = StoreSettings { s3, ..StoreSettings::default() };
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn choices_that_exclude_each_other_are_refused() {
        let folder = Some("data".to_owned());
        let both = StoreSettings { folder: folder.clone(), bucket: folder, ..Default::default() };
        assert!(both.root().is_err());
        let half = StoreSettings { s3: S3Settings::default().with_access_key_id("a"), ..Default::default() };
        assert!(half.session(None).is_err());
        let twice = StoreSettings { s3: S3Settings::default().with_region("a"), ..Default::default() };
        assert!(twice.session(Some(Session::default())).is_err());
        assert!(twice.session(None).is_ok());
    }

    #[test]
    fn a_bucket_is_on_s3_unless_it_says_otherwise() {
        let at =
            |bucket: &str| StoreSettings { bucket: Some(bucket.to_owned()), ..Default::default() }.root();
        assert_eq!(at("lake").ok().flatten().map(|l| l.to_string()).as_deref(), Some("s3://lake"));
        assert_eq!(at("gs://lake").ok().flatten().map(|l| l.to_string()).as_deref(), Some("gs://lake"));
    }
}
