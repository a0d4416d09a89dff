//! One way to ask a service for keys: bounded in time and size, tried again where that can help, and silent about
//! what was sent and answered.

use std::time::Duration;

pub(super) use ::http::Method;
use ::http::{StatusCode, header};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use object_store::client::{HttpClient, HttpRequest, HttpResponse};
use url::{Host, Url};

use super::Lease;
use super::answer::{self, Fields};
use crate::client::http;
use crate::core::location::redacted;
use crate::error::{Error, ErrorKind, Result};

/// No answer with keys is longer.
const LONGEST: usize = 1 << 20;

/// How long and how often a service is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) tries: usize,
    pub(super) total: Duration,
}

impl Patience {
    /// For a service that somebody said is there.
    pub(super) const SOME: Self = Self { tries: 5, total: Duration::from_secs(10) };
    /// For a service that may not be there.
    pub(super) const NONE: Self = Self { tries: 1, total: Duration::from_secs(1) };
}

/// What a service said. Its body may hold keys, and does not print.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// The time on the service's clock.
    pub(super) at: DateTime<Utc>,
    pub(super) skew: TimeDelta,
}

impl Answer {
    /// The keys in it.
    ///
    /// # Errors
    ///
    /// `InvalidData`, without anything of the body.
    pub(super) fn lease(&self, fields: &Fields) -> Result<Lease> {
        Ok(Lease { skew: self.skew, ..answer::lease(&self.body, self.at, fields)? })
    }

    /// The answer itself if it is what was asked for.
    ///
    /// # Errors
    ///
    /// The status in words; nothing of the body.
    pub(super) fn good(self, service: &'static str) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (kind, message) = match self.status.as_u16() {
            401 | 403 => (ErrorKind::PermissionDenied, "the service lends no keys to this caller"),
            404 => (ErrorKind::NotFound, "the service that lends keys has nothing at this URL"),
            300..=399 => {
                (ErrorKind::Io, "the service that lends keys answers with a redirect, which is not followed")
            }
            _ => (ErrorKind::Io, "the service that lends keys did not understand"),
        };
        Err(Error::new(kind, message).with("service", service).with("status", self.status))
    }
}

/// A try that failed, and whether another may succeed.
struct Failure {
    error: Error,
    passing: bool,
}

/// The connections for `url`: what is beside this machine is never asked through a proxy.
pub(super) fn client_for(http: &HttpClient, url: &Url) -> Result<HttpClient> {
    if url.scheme() == "http" && (http::is_loopback(url) || is_link_local(url)) {
        http::connect_near()
    } else {
        Ok(http.clone())
    }
}

/// The addresses at which clouds lend keys to what runs in them.
pub(super) fn is_link_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_link_local(),
        Some(Host::Ipv6(address)) => address.segments()[..2] == [0xfd00, 0x0ec2],
        _ => false,
    }
}

/// Sends `request`, and again while the service is out of order.
///
/// # Errors
///
/// `Io` if no answer came in time. An answer that says no is an answer.
pub(super) async fn fetch(
    client: &HttpClient,
    service: &'static str,
    request: HttpRequest,
    patience: Patience,
) -> Result<Answer> {
    let host = request.uri().authority().map_or_else(String::new, |authority| redacted(authority.as_str()));
    let delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(3))
        .with_max_times(patience.tries - 1)
        .with_jitter();
    let asked = (|| once(client, request.clone())).retry(delays).when(|failure| failure.passing);
    let error = match tokio::time::timeout(patience.total, asked).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(failure)) => failure.error,
        Err(_) => Error::new(ErrorKind::Io, "the service that lends keys did not answer in time"),
    };
    Err(error.with("service", service).with("host", host))
}

async fn once(client: &HttpClient, request: HttpRequest) -> Result<Answer, Failure> {
    let response = client.execute(request).await.map_err(|cause| Failure {
        error: Error::new(ErrorKind::Io, "the service that lends keys cannot be reached").because(cause),
        passing: true,
    })?;
    let status = response.status();
    if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
        let error = Error::new(ErrorKind::Io, "the service that lends keys is out of order or busy");
        return Err(Failure { error: error.with("status", status), passing: true });
    }
    let now = Utc::now();
    let at = date(&response).unwrap_or(now);
    // The header has whole seconds, and the answer was on its way: less than this is no difference.
    let skew = Some(at - now).filter(|skew| skew.abs() > TimeDelta::seconds(5)).unwrap_or_default();
    Ok(Answer { status, body: body(response).await?, at: now + skew, skew })
}

fn date(response: &HttpResponse) -> Option<DateTime<Utc>> {
    let text = response.headers().get(header::DATE)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc())
}

async fn body(response: HttpResponse) -> Result<Bytes, Failure> {
    let mut body = Vec::new();
    let mut stream = response.into_body().bytes_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|cause| Failure {
            error: Error::new(ErrorKind::Io, "the answer with keys broke off").because(cause),
            passing: true,
        })?;
        if body.len() + part.len() > LONGEST {
            let error = Error::new(ErrorKind::InvalidData, "the answer is too long for one with keys");
            return Err(Failure { error, passing: false });
        }
        body.extend_from_slice(&part);
    }
    Ok(body.into())
}

/// A request without a body.
///
/// # Errors
///
/// `Usage` if a header cannot be sent, without its value.
pub(super) fn get(url: &Url, headers: &[(&'static str, &str)]) -> Result<HttpRequest> {
    request(Method::GET, url, headers, Vec::new())
}

/// A request with headers whose values may be secret.
///
/// # Errors
///
/// `Usage` if a header cannot be sent, without its value.
pub(super) fn request(
    method: Method,
    url: &Url,
    headers: &[(&'static str, &str)],
    body: Vec<u8>,
) -> Result<HttpRequest> {
    let unfit = |what: &'static str| {
        Error::new(ErrorKind::Usage, "a request for keys cannot be made").with("because", what)
    };
    let mut request = HttpRequest::new(body.into());
    *request.method_mut() = method;
    *request.uri_mut() = url.as_str().parse().map_err(|_| unfit("the URL does not fit"))?;
    for (name, value) in headers {
        let mut value = header::HeaderValue::from_str(value)
            .map_err(|_| unfit("the token has characters that a header cannot carry"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(*name, value);
    }
    Ok(request)
}
