//! Where AWS keys come from: chosen once as other tools choose, lent anew before they end, never printed.

mod answer;
mod chain;
mod container;
mod environment;
mod fetch;
mod ini;
mod instance;
mod process;
mod profile;
mod profile_lender;
mod renewal;
mod sso;
mod sts;
mod vending;

#[cfg(test)]
mod canary;
#[cfg(test)]
mod server;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use object_store::client::HttpClient;

use self::chain::Ground;
pub(crate) use self::environment::Environment;
use self::renewal::{Clock, Renewal};
use super::s3_settings::S3Settings;
use crate::error::{Error, ErrorKind, Result};

/// Keys, and until when they can be used.
#[derive(Clone)]
pub(crate) struct Lease {
    pub(crate) credential: Arc<AwsCredential>,
    /// By the clock of whoever lent them; `None` if they said nothing.
    pub(crate) expires: Option<DateTime<Utc>>,
    /// How far that clock is ahead of this machine's.
    pub(crate) skew: TimeDelta,
    /// What the keys are for, where the lender says so.
    pub(crate) place: Place,
}

/// The storage that keys were lent for; the client refuses to use them for another bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: Option<String>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) region: Option<String>,
}

/// Not even the access key prints: with some lenders it is a secret of its own.
impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Lease {
    /// Keys without an end.
    ///
    /// # Errors
    ///
    /// `InvalidData` for keys that no request can carry.
    fn of(key: &str, secret: &str, token: Option<&str>) -> Result<Self> {
        let token = token.filter(|token| !token.is_empty());
        for (name, value) in [("access key", Some(key)), ("secret key", Some(secret)), ("token", token)] {
            if value.is_some_and(|value| value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic())) {
                return Err(Error::new(
                    ErrorKind::InvalidData,
                    "a key is empty or has characters that keys have not",
                )
                .with("which", name));
            }
        }
        let credential = AwsCredential {
            key_id: key.to_owned(),
            secret_key: secret.to_owned(),
            token: token.map(str::to_owned),
        };
        Ok(Self {
            credential: Arc::new(credential),
            expires: None,
            skew: TimeDelta::zero(),
            place: Place::default(),
        })
    }
}

/// One source of keys.
#[async_trait]
pub(crate) trait Lender: fmt::Debug + Send + Sync {
    /// What the source is called in messages.
    fn name(&self) -> &'static str;

    /// Lends keys, always new ones if the source has new ones.
    async fn lend(&self) -> Result<Lease>;
}

/// Keys of one source, lent anew before they end; single flight.
#[derive(Debug)]
pub(crate) struct Credentials {
    source: String,
    renewal: Renewal,
}

impl Credentials {
    /// The source that `settings` name, else the first that the environment has, as other tools look for it;
    /// `None` if requests are not to be signed. No source is asked yet.
    ///
    /// # Errors
    ///
    /// `Usage`, `NotFound` or `InvalidData` if the source that is named is not there or badly described,
    /// `PermissionDenied` if there is none.
    pub(crate) fn new(settings: &S3Settings, http: &HttpClient) -> Result<Option<Self>> {
        Self::in_environment(settings, http, Environment::of_process(), Arc::new(Utc::now))
    }

    fn in_environment(
        settings: &S3Settings,
        http: &HttpClient,
        environment: Environment,
        clock: Clock,
    ) -> Result<Option<Self>> {
        if settings.no_sign_request == Some(true) {
            return Ok(None);
        }
        let choice = chain::choose(settings, &Ground::new(settings, http, environment))?;
        tracing::debug!(source = choice.source, "credentials");
        Ok(Some(Self { source: choice.source, renewal: Renewal::new(choice.lender, clock) }))
    }

    /// Keys that hold, lent anew if they are near their end.
    ///
    /// # Errors
    ///
    /// What the source says, if no keys are at hand that still hold.
    pub(crate) async fn get(&self) -> Result<Lease> {
        self.renewal.get().await
    }

    /// Other keys than `seen`, after the service said that those have expired. All who wait get the same new keys.
    ///
    /// # Errors
    ///
    /// What the source says; `PermissionDenied` if it lends the same keys again.
    pub(crate) async fn renew(&self, seen: &AwsCredential) -> Result<Lease> {
        self.renewal.renew(seen).await
    }

    /// Where the keys come from, to be told to people.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match self.get().await {
            Ok(lease) => Ok(lease.credential),
            Err(error) => Err(object_store::Error::Generic { store: "S3", source: Box::new(error) }),
        }
    }
}

/// Region and endpoint that the profile gives, for where `settings` say none.
///
/// # Errors
///
/// `NotFound` if the profile that is named does not exist, `InvalidData` if the files cannot be read.
pub(crate) fn profile_settings(settings: &S3Settings) -> Result<S3Settings> {
    profile::settings(settings, &Environment::of_process())
}
