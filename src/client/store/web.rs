//! A file on a web server, for reading: by range where the server gives ranges.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{self, HeaderName};
use http::{Method, StatusCode};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody, HttpResponse};
use url::Url;

use super::{Abilities, Body, Expected, Listed, ObjectVersion, Put, Store};
use crate::client::http::{Plain, connect_patient, service_url};
use crate::error::{Error, ErrorKind, Result};

/// As many redirects are followed; nothing secret is sent along.
const REDIRECTS: usize = 5;

/// How often a request is made again that was not answered, or with a failure of the server.
const RETRIES: u32 = 3;

/// One file. Its URL may hold a secret, and is never shown.
pub(crate) struct WebStore {
    url: Url,
    plain: Plain,
    http: HttpClient,
}

impl std::fmt::Debug for WebStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebStore").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl WebStore {
    /// # Errors
    ///
    /// `Usage` for a URL that cannot be read, or without encryption where that is not allowed.
    pub(crate) fn new(url: &str, plain: Plain) -> Result<Self> {
        Ok(Self { url: service_url(url, "location", plain)?, plain, http: connect_patient()? })
    }

    /// Asks for the file, or bytes of it; follows redirects.
    async fn get(&self, headers: &[(HeaderName, String)]) -> Result<HttpResponse> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.ask(&url, headers).await?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let next = response.headers().get(header::LOCATION).and_then(|next| next.to_str().ok());
            let next = next.and_then(|next| url.join(next).ok()).ok_or_else(|| {
                Error::new(ErrorKind::InvalidData, "the server redirects to nowhere").with("host", host(&url))
            })?;
            url = service_url(next.as_str(), "location", self.plain)?;
        }
        Err(Error::new(ErrorKind::InvalidData, "the server redirects again and again")
            .with("host", host(&url)))
    }

    async fn ask(&self, url: &Url, headers: &[(HeaderName, String)]) -> Result<HttpResponse> {
        let mut attempt = 0;
        loop {
            let answer = self.http.execute(request(url, headers)?).await;
            let busy =
                |status: StatusCode| status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            let failed = match answer {
                Ok(response) if !busy(response.status()) => return Ok(response),
                Ok(response) => {
                    Error::new(ErrorKind::Io, "the server failed").with("status", response.status().as_u16())
                }
                Err(cause) => Error::new(ErrorKind::Io, "the server cannot be reached").because(cause),
            };
            attempt += 1;
            if attempt > RETRIES {
                return Err(failed
                    .with("host", host(url))
                    .hint("check the URL and the network, or try again later"));
            }
            tokio::time::sleep(std::time::Duration::from_millis(200) * attempt).await;
        }
    }

    fn refused(&self, status: StatusCode) -> Error {
        let error = match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Error::new(ErrorKind::NotFound, "the server has no such file").hint("check the URL")
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Error::new(ErrorKind::PermissionDenied, "the server refused access").hint(
                    "a presigned URL may have ended, or it was cut when it was pasted: put it in quotes",
                )
            }
            StatusCode::PRECONDITION_FAILED => {
                Error::new(ErrorKind::Conflict, "the file has changed meanwhile").hint("run it again")
            }
            _ => Error::new(ErrorKind::Io, "the server refused the request").hint("check the URL"),
        };
        error.with("host", host(&self.url)).with("status", status.as_u16())
    }

    /// Not every server looks at conditions, and some give no `ETag`: then the size has to do.
    fn same(&self, response: &HttpResponse, version: &ObjectVersion) -> Result<()> {
        let size = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                text(response, header::CONTENT_RANGE).and_then(|range| range.rsplit('/').next())
            }
            StatusCode::OK => text(response, header::CONTENT_LENGTH),
            _ => return Ok(()),
        };
        let size = size.and_then(|size| size.parse::<u64>().ok());
        let e_tag = text(response, header::ETAG);
        let other_tag =
            version.e_tag.as_deref().is_some_and(|wanted| e_tag.is_some_and(|found| found != wanted));
        if other_tag || size.is_some_and(|size| size != version.size) {
            return Err(self.refused(StatusCode::PRECONDITION_FAILED));
        }
        Ok(())
    }

    fn cannot_write(&self) -> Error {
        Error::new(ErrorKind::Unsupported, "a web server can only be read").with("host", host(&self.url))
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn request(url: &Url, headers: &[(HeaderName, String)]) -> Result<HttpRequest> {
    let wrong = || Error::new(ErrorKind::Usage, "this URL cannot be asked for").with("host", host(url));
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = url.as_str().parse().map_err(|_| wrong())?;
    for (name, value) in headers {
        request.headers_mut().insert(name.clone(), value.parse().map_err(|_| wrong())?);
    }
    Ok(request)
}

fn text(response: &HttpResponse, name: HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

#[async_trait]
impl Store for WebStore {
    fn abilities(&self) -> Abilities {
        Abilities { write: false, list: false, copies: None }
    }

    /// Asks for one byte: a presigned URL is good for reading only, not for asking about the file.
    async fn head(&self, _: &str) -> Result<Option<ObjectVersion>> {
        let response = self.get(&[(header::RANGE, "bytes=0-0".to_owned())]).await?;
        let size = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                text(&response, header::CONTENT_RANGE).and_then(|range| range.rsplit('/').next())
            }
            StatusCode::OK => text(&response, header::CONTENT_LENGTH),
            // A file without bytes has no first one.
            StatusCode::RANGE_NOT_SATISFIABLE => Some("0"),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status => return Err(self.refused(status)),
        };
        let size = size.and_then(|size| size.parse().ok()).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the server does not tell the size of the file")
                .with("host", host(&self.url))
                .hint("download it, and work on the file")
        })?;
        let e_tag = text(&response, header::ETAG).filter(|e_tag| !e_tag.starts_with("W/")).map(str::to_owned);
        Ok(Some(ObjectVersion { size, e_tag, generation: None }))
    }

    async fn range(&self, _: &str, version: &ObjectVersion, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let mut headers = vec![(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1))];
        headers.extend(version.e_tag.iter().map(|e_tag| (header::IF_MATCH, e_tag.clone())));
        let response = self.get(&headers).await?;
        self.same(&response, version)?;
        let broken =
            |cause| Error::new(ErrorKind::Io, "the connection broke off").hint("try again").because(cause);
        match response.status() {
            // If it sends all, the head of it is at hand anyway.
            status
                if status == StatusCode::PARTIAL_CONTENT || status == StatusCode::OK && range.start == 0 =>
            {
                let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let mut head = Vec::new();
                let mut pieces = response.into_body().bytes_stream();
                while head.len() < len
                    && let Some(piece) = pieces.next().await
                {
                    head.extend_from_slice(&piece.map_err(broken)?);
                }
                head.truncate(len);
                Ok(head.into())
            }
            StatusCode::OK => Err(Error::new(ErrorKind::Unsupported, "the server sends whole files only")
                .with("host", host(&self.url))
                .hint("download the file, and work on that")),
            status => Err(self.refused(status)),
        }
    }

    async fn fill(&self, _: &str, version: &ObjectVersion, file: File) -> Result<()> {
        let headers: Vec<_> = version.e_tag.iter().map(|e_tag| (header::IF_MATCH, e_tag.clone())).collect();
        let response = self.get(&headers).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response.status()));
        }
        self.same(&response, version)?;
        let mut at = 0;
        let mut pieces = response.into_body().bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|cause| {
                Error::new(ErrorKind::Io, "the connection broke off").hint("try again").because(cause)
            })?;
            file.write_all_at(&piece, at).map_err(|cause| {
                Error::io("cannot write a temporary file", cause).hint("is the disk full?")
            })?;
            at += piece.len() as u64;
        }
        if at == version.size {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Io, "the server sent another number of bytes than it said")
            .with("host", host(&self.url))
            .hint("try again"))
    }

    async fn check_conditions(&self, _: &str) -> Result<()> {
        Err(self.cannot_write())
    }

    async fn put(&self, _: &str, _: Body, _: &Expected) -> Result<Put> {
        Err(self.cannot_write())
    }

    async fn list(&self, _: &str) -> Result<Vec<Listed>> {
        Err(Error::new(ErrorKind::Unsupported, "a web server cannot be searched")
            .with("host", host(&self.url)))
    }

    async fn has_any(&self, _: &str) -> Result<bool> {
        Ok(false)
    }

    async fn delete(&self, _: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a web server can only be read").with("host", host(&self.url)))
    }

    #[cfg(feature = "delta")]
    fn objects(self: std::sync::Arc<Self>, _: &str) -> Result<std::sync::Arc<dyn object_store::ObjectStore>> {
        Err(Error::new(ErrorKind::Unsupported, "a web server cannot hold a table")
            .with("host", host(&self.url)))
    }
}
