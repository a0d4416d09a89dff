//! Reading objects: what is known of one, all of its bytes, or some. A body that breaks off is asked for again
//! from where it broke, if the object is still the same.

use std::ops::Range;

use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use http::header::{self, HeaderMap};
use http::{Method, StatusCode};
use object_store::client::HttpError;

use super::request::{Answer, Failed};
use super::{ObjectInfo, S3Client};
use crate::error::{Error, ErrorKind, Result};

/// How often in a row a body may break off without a single byte between.
const BREAKS: u32 = 5;

const METADATA: &str = "x-amz-meta-";

/// An object that is being read.
pub struct Download {
    info: ObjectInfo,
    body: BoxStream<'static, Result<Bytes>>,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Download {
    /// What is known of the object; `size` is that of the whole object.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// The bytes, as they come.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        self.body
    }

    /// All bytes, in memory.
    ///
    /// # Errors
    ///
    /// `Io` if the connection fails too often, `Conflict` if the object changes meanwhile.
    pub async fn bytes(self) -> Result<Bytes> {
        let pieces: Vec<Bytes> = self.body.try_collect().await?;
        Ok(match <[Bytes; 1]>::try_from(pieces) {
            Ok([whole]) => whole,
            Err(pieces) => pieces.concat().into(),
        })
    }
}

impl S3Client {
    /// What is known of an object; `None` if there is none.
    ///
    /// # Errors
    ///
    /// `NotFound` if the bucket does not exist, `PermissionDenied` or `Io`.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let head = || async { self.request(Method::HEAD, key).map_err(Failed::before)?.send().await };
        let failed = match head().await {
            Ok(answer) => return info(key, &answer.headers).map(Some),
            Err(failed) if failed.is(StatusCode::NOT_FOUND) => return self.missing().await,
            Err(failed) if !failed.is_refusal() => return Err(failed.into()),
            Err(failed) => failed,
        };
        // An answer without a body says that it is refused, not why. A read of one byte is told, and gets new keys if
        // it is because of them.
        match self.start(key, Some(0..1), None).await {
            Ok(answer) => info(key, &answer.headers).map(Some),
            Err(told) if told.is(StatusCode::RANGE_NOT_SATISFIABLE) => {
                info(key, &head().await?.headers).map(Some)
            }
            Err(told) if told.is(StatusCode::NOT_FOUND) => self.missing().await,
            Err(told) if told.error.kind() == ErrorKind::Io => Err(failed.into()),
            Err(told) => Err(told.into()),
        }
    }

    /// Tells a missing object from a missing bucket.
    async fn missing(&self) -> Result<Option<ObjectInfo>> {
        let request = self.bucket_request(Method::HEAD)?;
        match request.send().await {
            Err(failed) if failed.is(StatusCode::NOT_FOUND) => Err(failed.into()),
            _ => Ok(None),
        }
    }

    /// Whether there is an object.
    ///
    /// # Errors
    ///
    /// As [`S3Client::head`].
    pub async fn exists(&self, key: &str) -> Result<bool> {
        self.head(key).await.map(|info| info.is_some())
    }

    /// Starts to read an object.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` or `Io`.
    pub async fn get(&self, key: &str) -> Result<Download> {
        self.download(key, None, None).await
    }

    /// Reads the bytes of `range`, if the object is still the one with `e_tag`.
    ///
    /// # Errors
    ///
    /// `Conflict` if it is another one, `InvalidInput` for a range that begins behind its end, and as [`S3Client::get`].
    pub async fn get_range(&self, key: &str, range: Range<u64>, e_tag: Option<&str>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let bytes = self.download(key, Some(range), e_tag).await?.bytes().await?;
        if bytes.len() as u64 == wanted {
            return Ok(bytes);
        }
        Err(Error::new(ErrorKind::Io, "the service sent another number of bytes than it was asked for")
            .with("object", self.named(key))
            .with("asked", wanted)
            .with("sent", bytes.len()))
    }

    async fn download(&self, key: &str, range: Option<Range<u64>>, e_tag: Option<&str>) -> Result<Download> {
        let answer = self.start(key, range.clone(), e_tag).await?;
        let info = info(key, &answer.headers)?;
        let end = range.as_ref().map_or(info.size, |range| range.end.min(info.size));
        let reading = Reading {
            client: self.clone(),
            key: key.to_owned(),
            e_tag: info.e_tag.clone(),
            next: range.map_or(0, |range| range.start),
            end,
            body: answer.stream(),
            breaks: 0,
        };
        Ok(Download { info, body: stream::try_unfold(reading, Reading::piece).boxed() })
    }

    async fn start(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        e_tag: Option<&str>,
    ) -> Result<Answer, Failed> {
        let request = || {
            let mut request = self.request(Method::GET, key)?;
            if let Some(range) = &range {
                let last = range.end.saturating_sub(1);
                request = request.header(header::RANGE, &format!("bytes={}-{last}", range.start))?;
            }
            match e_tag {
                Some(e_tag) => request.header(header::IF_MATCH, e_tag),
                None => Ok(request),
            }
        };
        let answer = request().map_err(Failed::before)?.send().await?;
        // Not every service looks at the condition of a read.
        if e_tag.is_some_and(|wanted| answer.header("etag").is_some_and(|found| found != wanted)) {
            return Err(Failed::before(
                Error::new(ErrorKind::Conflict, "the object has changed meanwhile")
                    .with("object", self.named(key))
                    .hint("read it again"),
            ));
        }
        let whole =
            range.as_ref().is_some_and(|range| range.start > 0) && answer.header("content-range").is_none();
        if whole {
            return Err(Failed::before(
                Error::new(ErrorKind::Unsupported, "the service sends whole objects only")
                    .with("object", self.named(key))
                    .hint("download the object, and work on the file"),
            ));
        }
        Ok(answer)
    }

    /// The object as users know it.
    pub(super) fn named(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket.as_deref().unwrap_or_default())
    }
}

/// A body on its way.
struct Reading {
    client: S3Client,
    key: String,
    e_tag: Option<String>,
    next: u64,
    end: u64,
    body: BoxStream<'static, Result<Bytes, HttpError>>,
    breaks: u32,
}

impl Reading {
    /// The next piece; asks again for what is left if the body breaks off.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            let cause = match self.body.next().await {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(mut piece)) => {
                    // A service that ignores the end of a range sends on.
                    let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
                    piece.truncate(left);
                    self.next += piece.len() as u64;
                    self.breaks = 0;
                    return Ok((!piece.is_empty()).then_some((piece, self)));
                }
                None if self.next >= self.end => return Ok(None),
                None => None,
                Some(Err(cause)) => Some(cause),
            };
            self.breaks += 1;
            if self.breaks > BREAKS {
                let error = Error::new(ErrorKind::Io, "the connection broke off again and again")
                    .with("object", self.client.named(&self.key))
                    .with("bytes read", self.next)
                    .hint("try again later");
                return Err(match cause {
                    Some(cause) => error.because(cause),
                    None => error,
                });
            }
            tracing::debug!(key = self.key, at = self.next, "the body broke off, asking for the rest");
            let rest = Some(self.next..self.end);
            let answer = self.client.start(&self.key, rest, self.e_tag.as_deref()).await?;
            self.body = answer.stream();
        }
    }
}

/// What the headers of an answer tell of an object.
pub(super) fn info(key: &str, headers: &HeaderMap) -> Result<ObjectInfo> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Of a part, the size of the whole stands behind the slash.
    let size = match text("content-range") {
        Some(range) => range.rsplit('/').next(),
        None => text("content-length"),
    };
    let size = size.and_then(|size| size.parse().ok()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidData, "the service does not tell the size of the object")
            .with("key", key)
    })?;
    let metadata = headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().strip_prefix(METADATA)?.to_owned(), value.to_str().ok()?.to_owned()))
    });
    Ok(ObjectInfo {
        key: key.to_owned(),
        size,
        last_modified: text("last-modified")
            .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
            .map(|date| date.to_utc()),
        e_tag: text("etag").map(str::to_owned),
        content_type: text("content-type").map(str::to_owned),
        metadata: metadata.collect(),
    })
}
