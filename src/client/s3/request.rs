//! One request: signed, sent, tried again while that can help, and its failure told in keyfold's words.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::InvalidUri;
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse};

use super::address::Target;
use super::fault::{Fault, Remedy};
use super::waits::Waits;
use super::{Inner, check_place};
use crate::client::credentials::Lease;
use crate::error::{Error, ErrorKind, Result};

/// Answers other than objects are read into memory, up to this size.
const LARGEST_ANSWER: usize = 64 << 20;

/// A peer that cannot be reached is tried this often: a wrong address has to be told within seconds.
const CONNECT_RETRIES: u32 = 3;

/// How often a request is sent again at most; the waits between end earlier.
const RETRIES: usize = 15;

/// How often work is asked for again that failed after the answer had begun.
const RETRIES_OF_WORK: usize = 4;

/// The same for one that does not answer.
const TIMEOUT_RETRIES: u32 = 1;

/// No line is slower, in bytes per second: a body may take this long before the answer is waited for.
const SLOWEST: u64 = 16 << 10;

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
    /// The code of a failure after which it cannot succeed, whatever the code means for others.
    not_after: Option<&'static str>,
}

/// A success.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    body: BoxStream<'static, Result<Bytes, HttpError>>,
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
        Self {
            inner,
            method,
            target,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            not_after: None,
        }
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

    /// The same, not to be tried again after a failure of this code.
    pub(super) fn not_after(mut self, code: &'static str) -> Self {
        self.not_after = Some(code);
        self
    }

    fn retries(&self, fault: &Fault) -> bool {
        fault.remedy() == Remedy::Retry && self.not_after != Some(fault.code())
    }

    /// Sends it and reads the answer whole; again, if that breaks off.
    pub(super) async fn fetch(self) -> Result<Bytes, Failed> {
        let mut waits = Waits::of(RETRIES_OF_WORK);
        let mut ambiguous = false;
        loop {
            let answer = self.clone().send().await;
            let answer =
                answer.map_err(|failed| Failed { ambiguous: ambiguous || failed.ambiguous, ..failed })?;
            let cause = match limited(answer.body).await {
                Ok(body) => return Ok(body),
                Err(cause) => cause,
            };
            ambiguous = true;
            let is_late = cause.kind() == HttpErrorKind::Timeout;
            if let Some(wait) = waits.next(None).filter(|_| !is_late) {
                tokio::time::sleep(wait).await;
                continue;
            }
            let error = Error::new(ErrorKind::Io, "the answer of the service broke off")
                .hint("try again")
                .because(cause);
            return Err(Failed {
                error: about(error, self.target),
                status: None,
                code: String::new(),
                ambiguous,
            });
        }
    }

    /// Sends it and reads the answer, which may begin as a success and have a failure in its body: the service
    /// answers before it is done with long work.
    pub(super) async fn fetch_result<T>(self, read: impl Fn(&[u8]) -> Result<T>) -> Result<T, Failed> {
        let mut waits = Waits::of(RETRIES_OF_WORK);
        let mut ambiguous = false;
        loop {
            // What an earlier round may have done still counts.
            let fetched = self.clone().fetch().await;
            let body =
                fetched.map_err(|failed| Failed { ambiguous: ambiguous || failed.ambiguous, ..failed })?;
            let Some(fault) = Fault::in_success(&body) else {
                return read(&body).map_err(|error| Failed { ambiguous: true, ..Failed::before(error) });
            };
            ambiguous = true;
            let retry = self.retries(&fault);
            let failed = Failed::answered(fault, self.target, true);
            match waits.next(None).filter(|_| retry) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failed),
            }
        }
    }

    /// Sends it until it succeeds or trying again cannot help.
    pub(super) async fn send(self) -> Result<Answer, Failed> {
        let mut waits = Waits::of(RETRIES);
        let (mut ambiguous, mut unreachable, mut unanswered, mut renewed) = (false, 0, 0, false);
        let unsent = |ambiguous| move |error| Failed { ambiguous, ..Failed::before(error) };
        let mut lease = self.inner.lease().await.map_err(unsent(false))?;
        loop {
            let attempt = self.attempt(lease.as_ref()).await.map_err(unsent(ambiguous))?;
            let (failed, asked) = match attempt {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Answered(fault)) => {
                    ambiguous |= fault.is_ambiguous();
                    let (remedy, retry, asked) = (fault.remedy(), self.retries(&fault), fault.wait);
                    let failed = self.told(Failed::answered(fault, self.target, ambiguous));
                    match (remedy, &lease) {
                        (Remedy::NewKeys, Some(old)) if !renewed => {
                            renewed = true;
                            lease = self.renewed(old).await.map_err(unsent(ambiguous))?;
                            continue;
                        }
                        _ if retry => (failed, asked),
                        _ => return Err(failed),
                    }
                }
                Err(Attempt::Unanswered(cause, host)) => {
                    unreachable += u32::from(cause.kind() == HttpErrorKind::Connect);
                    unanswered += u32::from(cause.kind() == HttpErrorKind::Timeout);
                    ambiguous |= cause.kind() != HttpErrorKind::Connect;
                    let failed = Failed::unanswered(cause, self.target, &host, ambiguous);
                    if unreachable > CONNECT_RETRIES || unanswered > TIMEOUT_RETRIES {
                        return Err(failed);
                    }
                    (failed, None)
                }
            };
            let Some(wait) = waits.next(asked) else { return Err(failed) };
            tracing::debug!(error = %failed.error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
            lease = self.inner.lease().await.map_err(unsent(ambiguous))?;
        }
    }

    /// Says whose keys were refused, where that is what failed.
    fn told(&self, mut failed: Failed) -> Failed {
        if let Some(credentials) = &self.inner.credentials
            && failed.error.kind() == ErrorKind::PermissionDenied
        {
            failed.error = failed.error.with("keys from", credentials.source());
        }
        failed
    }

    async fn renewed(&self, old: &Lease) -> Result<Option<Lease>> {
        match &self.inner.credentials {
            Some(credentials) => credentials.renew(&old.credential).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends it once.
    ///
    /// # Errors
    ///
    /// What is known before anything is sent.
    async fn attempt(&self, lease: Option<&Lease>) -> Result<Result<Answer, Attempt>> {
        check_place(lease, self.target)?;
        let endpoint = self.inner.endpoint(lease)?;
        let url = endpoint.url(self.target, &self.query)?;
        let mut request = HttpRequest::new(self.body.clone().into());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|cause: InvalidUri| Error::internal("a URL cannot be sent to").because(cause))?;
        if let Some(lease) = lease {
            AwsAuthorizer::new(&lease.credential, "s3", &endpoint.region).authorize(&mut request, None);
        }
        let answered = self.exchange(request).await;
        Ok(answered.unwrap_or_else(|cause| {
            Err(Attempt::Unanswered(cause, url.host_str().unwrap_or_default().to_owned()))
        }))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<Result<Answer, Attempt>, HttpError> {
        let silence = self.inner.silence;
        let sending = Duration::from_secs(self.body.len() as u64 / SLOWEST);
        let response = within(silence + sending, self.inner.http.execute(request)).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = flowing(response, silence);
        if status.is_success() {
            return Ok(Ok(Answer { headers, body }));
        }
        let body = if self.method == Method::HEAD { Bytes::new() } else { limited(body).await? };
        Ok(Err(Attempt::Answered(Fault::new(status, &headers, &body))))
    }
}

/// One attempt that did not succeed.
enum Attempt {
    Answered(Fault),
    /// And the host that did not answer.
    Unanswered(HttpError, String),
}

impl Answer {
    /// The body, in pieces as they come.
    pub(super) fn stream(self) -> BoxStream<'static, Result<Bytes, HttpError>> {
        self.body
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
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

    fn unanswered(cause: HttpError, target: Target<'_>, host: &str, ambiguous: bool) -> Self {
        let (message, hint) = match cause.kind() {
            HttpErrorKind::Connect => {
                ("the service cannot be reached", "check the endpoint URL, the region and the network")
            }
            HttpErrorKind::Timeout => ("the service did not answer in time", "try again later"),
            _ => ("the connection to the service broke off", "try again"),
        };
        let error = Error::new(ErrorKind::Io, message).with("host", host).hint(hint).because(cause);
        Self { error: about(error, target), status: None, code: String::new(), ambiguous }
    }

    /// Whether the service understood, and said no.
    pub(super) fn is_refusal(&self) -> bool {
        self.status.is_some_and(|status| (400..500).contains(&status))
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
async fn limited(mut pieces: BoxStream<'static, Result<Bytes, HttpError>>) -> Result<Bytes, HttpError> {
    let mut body = Vec::new();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece?);
        if body.len() > LARGEST_ANSWER {
            break;
        }
    }
    Ok(body.into())
}

/// The body of an answer, which breaks off when the service is silent for too long.
fn flowing(response: HttpResponse, silence: Duration) -> BoxStream<'static, Result<Bytes, HttpError>> {
    let pieces = response.into_body().bytes_stream();
    let next = move |mut pieces: BoxStream<'static, Result<Bytes, HttpError>>| async move {
        let piece = within(silence, async { pieces.next().await.transpose() }).await?;
        Ok(piece.map(|piece| (piece, pieces)))
    };
    stream::try_unfold(pieces, next).boxed()
}

async fn within<T>(time: Duration, work: impl Future<Output = Result<T, HttpError>>) -> Result<T, HttpError> {
    match tokio::time::timeout(time, work).await {
        Ok(result) => result,
        Err(cause) => Err(HttpError::new(HttpErrorKind::Timeout, cause)),
    }
}
