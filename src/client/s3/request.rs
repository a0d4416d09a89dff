//! One request: signed, sent, tried again while that can help, and its failure told in keyfold's words.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse};
use url::Url;

use super::Inner;
use super::address::Target;
use super::fault::{Fault, Remedy};
use crate::client::credentials::Lease;
use crate::error::{Error, ErrorKind, Result};

/// Answers other than objects are read into memory, up to this size.
const LARGEST_ANSWER: usize = 64 << 20;

/// A peer that cannot be reached is tried this often: a wrong address has to be told within seconds.
const CONNECT_RETRIES: u32 = 3;

/// How often work is asked for again that failed after the answer had begun.
const RETRIES_OF_WORK: usize = 4;

/// Waits between attempts: 100 ms, doubled up to 10 s, each cut by chance so that many clients do not come at
/// once; two minutes in all.
fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(10))
        .with_factor(2.0)
        .with_jitter()
        .with_max_times(15)
        .build()
}

/// What is asked of the service. Every request can be sent again: those that change something say so by a
/// condition, or have the same effect twice.
#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    inner: &'a Inner,
    method: Method,
    target: Target<'a>,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Bytes,
}

/// A success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    response: HttpResponse,
}

/// A failure, and whether the request may have taken effect nevertheless.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) status: Option<u16>,
    pub(super) code: String,
    pub(super) ambiguous: bool,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl<'a> Request<'a> {
    pub(super) fn new(inner: &'a Inner, method: Method, target: Target<'a>) -> Self {
        Self { inner, method, target, query: Vec::new(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn maybe_query(self, name: &'static str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// # Errors
    ///
    /// `Usage` for a value that no header can carry.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Result<Self> {
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            Error::new(ErrorKind::Usage, "a header cannot hold this value").with("header", name.as_str())
        })?;
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(super) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and reads the answer whole.
    pub(super) async fn fetch(self) -> Result<Bytes, Failed> {
        let target = self.target;
        let answer = self.send().await?;
        answer.bytes().await.map_err(|error| Failed {
            error: about(error, target),
            status: None,
            code: String::new(),
            ambiguous: true,
        })
    }

    /// Sends it and reads the answer, which may begin as a success and have a failure in its body: the service
    /// answers before it is done with long work.
    pub(super) async fn fetch_result<T>(self, read: impl Fn(&[u8]) -> Result<T>) -> Result<T, Failed> {
        let mut waits = backoff().take(RETRIES_OF_WORK);
        loop {
            let body = self.clone().fetch().await?;
            let Some(fault) = Fault::in_success(&body) else {
                return read(&body).map_err(|error| Failed { ambiguous: true, ..Failed::before(error) });
            };
            let retry = fault.remedy() == Remedy::Retry;
            let failed = Failed::answered(fault, self.target, true);
            match waits.next().filter(|_| retry) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failed),
            }
        }
    }

    /// Sends it until it succeeds or trying again cannot help.
    pub(super) async fn send(self) -> Result<Answer, Failed> {
        let url = self.inner.endpoint.url(self.target, &self.query).map_err(Failed::before)?;
        let mut waits = backoff();
        let (mut ambiguous, mut unreachable, mut renewed) = (false, 0, false);
        let mut lease = self.lease().await.map_err(Failed::before)?;
        loop {
            let failed = match self.attempt(&url, lease.as_ref()).await {
                Ok(Ok(response)) => {
                    let headers = response.headers().clone();
                    return Ok(Answer { headers, response });
                }
                Ok(Err(fault)) => {
                    ambiguous |= fault.is_ambiguous();
                    let remedy = fault.remedy();
                    let failed = Failed::answered(fault, self.target, ambiguous);
                    match (remedy, &lease) {
                        (Remedy::NewKeys, Some(old)) if !renewed => {
                            renewed = true;
                            lease = self.renewed(old).await.map_err(Failed::before)?;
                            continue;
                        }
                        (Remedy::Retry, _) => failed,
                        _ => return Err(failed),
                    }
                }
                Err(cause) => {
                    let connected = cause.kind() != HttpErrorKind::Connect;
                    ambiguous |= connected;
                    unreachable += u32::from(!connected);
                    let failed = Failed::unanswered(cause, self.target, &url, ambiguous);
                    if unreachable > CONNECT_RETRIES {
                        return Err(failed);
                    }
                    failed
                }
            };
            let Some(wait) = waits.next() else { return Err(failed) };
            tracing::debug!(error = %failed.error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
            lease = self.lease().await.map_err(Failed::before)?;
        }
    }

    async fn lease(&self) -> Result<Option<Lease>> {
        match &self.inner.credentials {
            Some(credentials) => credentials.get().await.map(Some),
            None => Ok(None),
        }
    }

    async fn renewed(&self, old: &Lease) -> Result<Option<Lease>> {
        match &self.inner.credentials {
            Some(credentials) => credentials.renew(&old.credential).await.map(Some),
            None => Ok(None),
        }
    }

    async fn attempt(
        &self,
        url: &Url,
        lease: Option<&Lease>,
    ) -> Result<Result<HttpResponse, Fault>, HttpError> {
        let mut request = HttpRequest::new(self.body.clone().into());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        match url.as_str().parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(cause) => return Err(HttpError::new(HttpErrorKind::Unknown, cause)),
        }
        if let Some(lease) = lease {
            AwsAuthorizer::new(&lease.credential, "s3", &self.inner.endpoint.region)
                .authorize(&mut request, None);
        }
        let response = self.inner.http.execute(request).await?;
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if self.method == Method::HEAD { Bytes::new() } else { limited(response).await? };
        Ok(Err(Fault::new(status, &headers, &body)))
    }
}

impl Answer {
    /// The body, in pieces as they come.
    pub(super) fn stream(self) -> BoxStream<'static, Result<Bytes, HttpError>> {
        self.response.into_body().bytes_stream()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    async fn bytes(self) -> Result<Bytes> {
        limited(self.response).await.map_err(|cause| {
            Error::new(ErrorKind::Io, "the answer of the service broke off").hint("try again").because(cause)
        })
    }
}

impl Failed {
    /// A failure before anything was sent.
    pub(super) fn before(error: Error) -> Self {
        Self { error, status: None, code: String::new(), ambiguous: false }
    }

    fn answered(fault: Fault, target: Target<'_>, ambiguous: bool) -> Self {
        let (status, code) = (Some(fault.status.as_u16()), fault.code().to_owned());
        Self { error: fault.into_error(target), status, code, ambiguous }
    }

    fn unanswered(cause: HttpError, target: Target<'_>, url: &Url, ambiguous: bool) -> Self {
        let (message, hint) = match cause.kind() {
            HttpErrorKind::Connect => {
                ("the service cannot be reached", "check the endpoint URL, the region and the network")
            }
            HttpErrorKind::Timeout => ("the service did not answer in time", "try again later"),
            _ => ("the connection to the service broke off", "try again"),
        };
        let host = url.host_str().unwrap_or_default();
        let error = Error::new(ErrorKind::Io, message).with("host", host).hint(hint).because(cause);
        Self { error: about(error, target), status: None, code: String::new(), ambiguous }
    }

    pub(super) fn is(&self, status: http::StatusCode) -> bool {
        self.status == Some(status.as_u16())
    }
}

fn about(error: Error, target: Target<'_>) -> Error {
    match target {
        Target::Service => error,
        Target::Bucket(bucket) => error.with_missing("bucket", bucket),
        Target::Object(bucket, key) => error.with_missing("object", format!("s3://{bucket}/{key}")),
    }
}

/// The body of an answer that is not an object.
async fn limited(response: HttpResponse) -> Result<Bytes, HttpError> {
    let mut body = Vec::new();
    let mut pieces = response.into_body().bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece?);
        if body.len() > LARGEST_ANSWER {
            break;
        }
    }
    Ok(body.into())
}
