//! A client for S3 and what speaks its protocol: buckets, objects, multipart uploads, presigned URLs.
//!
//! Requests are signed with `object_store`'s signer and sent over its HTTP types, but made here: its paths
//! cannot hold keys such as `a//b`, and it has no buckets, no conditional multipart and no redirect policy.

mod address;
mod buckets;
mod copy;
mod disk;
mod fault;
mod get;
mod list;
mod multipart;
mod pending;
mod presign;
mod put;
mod request;
mod source;
mod stream;
mod waits;
mod xml;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::http::Method;
use chrono::{DateTime, Utc};
use object_store::client::HttpClient;

use crate::client::credentials::{self, Credentials, Lease};
use crate::client::http;
use crate::client::s3_settings::S3Settings;
use crate::client::session::Progress;
use crate::error::{Error, ErrorKind, Result};
use address::{Endpoint, Target};
use request::Request;

pub use buckets::BucketInfo;
pub(crate) use disk::Pieced;
pub use get::Download;
pub use list::ListEntry;
pub use multipart::MultipartUpload;
pub(crate) use multipart::aborts_done;
pub use pending::PendingUpload;
pub use presign::PresignedUrl;
pub(crate) use put::UNKNOWN;
pub use put::{PutCondition, PutOptions};
pub(crate) use source::{CopiedRange, SMALLEST_PART};

/// A client for one S3 service, and perhaps one bucket of it. Cheap to clone; connections are shared, and
/// opened when they are first used.
///
/// Requests that can be tried again are, with growing pauses; keys that are about to end are renewed.
///
/// ```no_run
/// # async fn run() -> Result<(), keyfold::Error> {
/// use keyfold::{PutOptions, S3Client, S3Settings};
///
/// let lake = S3Client::new(S3Settings::from_env()?)?.with_bucket("lake");
/// lake.put("raw/orders.csv", "id,total\n1,9.5\n", PutOptions::default()).await?;
/// let text = lake.get("raw/orders.csv").await?.bytes().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct S3Client {
    inner: Arc<Inner>,
    bucket: Option<Arc<str>>,
    progress: Progress,
}

#[derive(Debug, Clone)]
pub(super) struct Inner {
    http: HttpClient,
    endpoint: Endpoint,
    credentials: Option<Arc<Credentials>>,
    single_writer: bool,
    silence: Duration,
}

/// How long a service may be silent. There is no limit for a whole answer: a large part on a slow line takes as long
/// as it takes.
const SILENCE: Duration = Duration::from_secs(30);

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// The key, exactly.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// When it was written.
    pub last_modified: Option<DateTime<Utc>>,
    /// Changes with the content; goes into [`PutCondition::IfMatch`] as it is.
    pub e_tag: Option<String>,
    /// Its media type; a list does not tell.
    pub content_type: Option<String>,
    /// User metadata, names in lower case; a list does not tell.
    pub metadata: BTreeMap<String, String>,
}

impl S3Client {
    /// A client with these settings. What they leave open, a profile in `~/.aws` may say; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// `Usage` for settings that cannot be used, `PermissionDenied` if there are no credentials to be found.
    pub fn new(settings: S3Settings) -> Result<Self> {
        let profile = credentials::profile_settings(&settings)?;
        let settings = settings.or(profile);
        let http = http::connect()?;
        let credentials = Credentials::new(&settings, &http)?.map(Arc::new);
        let endpoint = Endpoint::new(&settings)?;
        let single_writer = settings.single_writer == Some(true);
        let inner = Inner { http, endpoint, credentials, single_writer, silence: SILENCE };
        Ok(Self { inner: Arc::new(inner), bucket: None, progress: Progress::default() })
    }

    /// A client with the settings of the environment.
    ///
    /// # Errors
    ///
    /// As [`S3Client::new`].
    pub fn from_env() -> Result<Self> {
        Self::new(S3Settings::from_env()?)
    }

    /// The same client for the objects of `bucket`.
    #[must_use]
    pub fn with_bucket(&self, bucket: impl Into<String>) -> Self {
        Self { bucket: Some(bucket.into().into()), ..self.clone() }
    }

    /// The same client, for which a service that is silent for `silence` (30 seconds unless said) has not answered.
    /// The time that it takes to send a large body does not count.
    #[must_use]
    pub fn with_read_timeout(&self, silence: Duration) -> Self {
        let inner = Inner { silence, ..Inner::clone(&self.inner) };
        Self { inner: Arc::new(inner), ..self.clone() }
    }

    /// The same client, which tells `progress` how far an upload, a download or a copy has come.
    #[must_use]
    pub fn with_progress(&self, progress: Progress) -> Self {
        Self { progress, ..self.clone() }
    }

    /// The bucket whose objects this client is for.
    ///
    /// # Errors
    ///
    /// `Usage` if there is none.
    pub fn bucket(&self) -> Result<&str> {
        self.bucket.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "no bucket is named").hint("choose one by with_bucket")
        })
    }

    /// The region that requests are signed for, if it is not the lender of the keys that names one.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.inner.endpoint.region
    }

    /// Whether the conditions of a request are known to be kept, so that nobody has to find out.
    pub(crate) async fn keeps_conditions(&self) -> Result<bool> {
        let lease = self.inner.lease().await?;
        Ok(self.inner.endpoint(lease.as_ref())?.is_aws)
    }

    /// Whether the user vouches that nobody else writes.
    pub(crate) fn single_writer(&self) -> bool {
        self.inner.single_writer
    }

    fn request<'a>(&'a self, method: Method, key: &'a str) -> Result<Request<'a>> {
        Ok(Request::new(&self.inner, method, Target::Object(self.bucket()?, key)))
    }

    fn bucket_request(&self, method: Method) -> Result<Request<'_>> {
        Ok(Request::new(&self.inner, method, Target::Bucket(self.bucket()?)))
    }
}

impl Inner {
    /// Keys that hold; `None` if requests are not to be signed.
    async fn lease(&self) -> Result<Option<Lease>> {
        match &self.credentials {
            Some(credentials) => credentials.get().await.map(Some),
            None => Ok(None),
        }
    }

    /// The service that the keys are for.
    fn endpoint(&self, lease: Option<&Lease>) -> Result<Cow<'_, Endpoint>> {
        lease.map_or(Ok(Cow::Borrowed(&self.endpoint)), |lease| self.endpoint.lent(&lease.place))
    }
}

/// Keys for one bucket are not tried on another: the service would only say that access is denied.
fn check_place(lease: Option<&Lease>, target: Target<'_>) -> Result<()> {
    let (Target::Bucket(asked) | Target::Object(asked, _)) = target else { return Ok(()) };
    let lent = lease.and_then(|lease| lease.place.bucket.as_deref()).filter(|lent| *lent != asked);
    lent.map_or(Ok(()), |lent| {
        Err(Error::new(ErrorKind::PermissionDenied, "the keys were lent for another bucket")
            .with("bucket", asked)
            .with("lent for", lent)
            .hint("use that bucket, or ask for keys for this one in credentials_params"))
    })
}
