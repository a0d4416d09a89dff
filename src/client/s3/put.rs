//! Writing and deleting objects. A conditional put carries the name of its writer, so that after an answer that
//! leaves open whether it took effect, the object itself tells.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::header::{self, HeaderName};
use http::{Method, StatusCode};

use super::request::{Failed, Request};
use super::source::Source;
use super::{ObjectInfo, S3Client, xml};
use crate::client::media_type;
use crate::error::{Error, ErrorKind, Result};

/// What is larger goes up in parts.
const LARGEST_SINGLE: u64 = 32 << 20;

/// Keys that one request deletes.
const KEYS_PER_DELETE: usize = 1_000;

/// The user metadata that names the writer of a conditional put.
pub(super) const WRITER: &str = "keyfold-writer";

/// The message of a write that someone else has replaced since, if it was there at all.
pub(crate) const UNKNOWN: &str = "an answer was lost, and someone else has written since";

const LOOK: &str = "whether the object was written is not known; look at it before you try again";

/// Under which condition an object is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutCondition {
    /// Whatever is there is replaced.
    #[default]
    Overwrite,
    /// There must be no object.
    IfAbsent,
    /// The object must still be the one with this `ETag`.
    IfMatch(String),
}

/// How an object is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOptions {
    /// Under which condition.
    pub condition: PutCondition,
    /// The media type; told from the key if not said.
    pub content_type: Option<String>,
    /// User metadata: ASCII, names are not case-sensitive.
    pub metadata: BTreeMap<String, String>,
    /// Bytes of a part, 5 MiB to 5 GiB; chosen by the length if not said. Streams have no length: their parts have
    /// 16 MiB, so that 156 GiB fit into the 10,000 that are allowed.
    pub part_size: Option<u64>,
}

impl PutOptions {
    /// Sets the condition.
    #[must_use]
    pub fn with_condition(mut self, condition: PutCondition) -> Self {
        self.condition = condition;
        self
    }

    /// Sets the media type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Adds user metadata.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into().to_ascii_lowercase(), value.into());
        self
    }

    /// Sets the size of parts in bytes.
    #[must_use]
    pub fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_size = Some(bytes);
        self
    }

    /// The options with a writer's name among the metadata.
    pub(super) fn signed_by_writer(mut self) -> Self {
        let writer = uuid::Uuid::now_v7().simple().to_string();
        self.metadata.insert(WRITER.to_owned(), writer);
        self
    }

    /// What is known of the object that was written with these.
    pub(super) fn written(self, key: &str, size: u64, e_tag: String) -> ObjectInfo {
        let content_type = self.content_type.unwrap_or_else(|| media_type::of_name(key));
        ObjectInfo {
            key: key.to_owned(),
            size,
            last_modified: None,
            e_tag: Some(e_tag),
            content_type: Some(content_type),
            metadata: self.metadata,
        }
    }

    /// The headers that describe the object.
    pub(super) fn describe<'a>(&self, mut request: Request<'a>, key: &str) -> Result<Request<'a>> {
        let content_type = self.content_type.clone().unwrap_or_else(|| media_type::of_name(key));
        request = request.header(header::CONTENT_TYPE, &content_type)?;
        for (name, value) in &self.metadata {
            let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            let header = HeaderName::from_bytes(format!("x-amz-meta-{name}").as_bytes());
            let (Ok(header), true) = (header, plain) else {
                return Err(Error::new(ErrorKind::Usage, "user metadata must be plain ASCII")
                    .with("name", name)
                    .hint("encode it, for example percent-encoded"));
            };
            request = request.header(header, value)?;
        }
        Ok(request)
    }
}

impl PutCondition {
    /// The header that says it.
    pub(super) fn demand<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        match self {
            Self::Overwrite => Ok(request),
            Self::IfAbsent => request.header(header::IF_NONE_MATCH, "*"),
            Self::IfMatch(e_tag) => request.header(header::IF_MATCH, e_tag),
        }
    }

    /// The error if `failed` is because of the condition.
    fn broken(&self, failed: &Failed) -> Option<Error> {
        let refused = failed.is(StatusCode::PRECONDITION_FAILED);
        match self {
            Self::IfAbsent if refused => Some(
                Error::new(ErrorKind::AlreadyExists, "the object exists already")
                    .hint("choose another key, or allow to overwrite it"),
            ),
            // An object that has gone is not the one that was read.
            Self::IfMatch(_) if refused || failed.code == "NoSuchKey" => Some(
                Error::new(ErrorKind::Conflict, "the object has changed meanwhile")
                    .hint("nothing was written; read it again"),
            ),
            _ => None,
        }
    }
}

impl S3Client {
    /// Writes an object; large ones go up in parts, several at once.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `Conflict` if the condition does not hold; nothing is visible then. `NotFound` if the bucket
    /// does not exist, `PermissionDenied`, `Io`.
    pub async fn put(&self, key: &str, body: impl Into<Bytes>, options: PutOptions) -> Result<ObjectInfo> {
        let body = body.into();
        if body.len() as u64 > LARGEST_SINGLE {
            return self.put_parts(key, Source::Memory(body), options).await;
        }
        self.put_whole(key, body, options).await
    }

    /// Writes an object in one request, however large it is (the service takes up to 5 GiB).
    pub(crate) async fn put_whole(&self, key: &str, body: Bytes, options: PutOptions) -> Result<ObjectInfo> {
        // Without a condition a second attempt has the effect of the first.
        let unconditional = options.condition == PutCondition::Overwrite;
        let options = if unconditional { options } else { options.signed_by_writer() };
        let size = body.len() as u64;
        let request = options.describe(self.request(Method::PUT, key)?, key)?.body(body);
        match options.condition.demand(request)?.send().await {
            Ok(answer) => {
                // Whatever is at the other end, without one it has not stored an object.
                let e_tag = answer.header("etag").map(str::to_owned).ok_or_else(xml::foreign)?;
                Ok(options.written(key, size, e_tag))
            }
            Err(failed) => self.settle(key, &options, failed).await,
        }
    }

    /// Whether a put that failed took effect all the same, or why it did not.
    pub(super) async fn settle(&self, key: &str, options: &PutOptions, failed: Failed) -> Result<ObjectInfo> {
        let object = self.named(key);
        if failed.ambiguous
            && let Some(writer) = options.metadata.get(WRITER)
        {
            let found = self.head(key).await;
            if let Ok(Some(found)) = &found
                && found.metadata.get(WRITER) == Some(writer)
            {
                tracing::debug!(key, "the put took effect, although the answer did not say so");
                return Ok(found.clone());
            }
            let lost = options.condition.broken(&failed).is_some();
            if lost && matches!(found, Ok(Some(_))) {
                return Err(Error::new(ErrorKind::Conflict, UNKNOWN).with("object", object).hint(LOOK));
            }
            if !lost || found.is_err() {
                return Err(failed.error.hint(LOOK));
            }
        }
        Err(options.condition.broken(&failed).map_or(failed.error, |error| error.with("object", object)))
    }

    /// Deletes an object; one that is not there counts as deleted.
    ///
    /// # Errors
    ///
    /// `NotFound` if the bucket does not exist, `PermissionDenied` or `Io`.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.request(Method::DELETE, key)?.fetch().await {
            Ok(_) => Ok(()),
            Err(failed) if failed.code == "NoSuchKey" => Ok(()),
            Err(failed) => Err(failed.into()),
        }
    }

    /// Deletes objects, a thousand with each request.
    ///
    /// # Errors
    ///
    /// The first failure, with the number of objects that could not be deleted; the others are gone.
    pub async fn delete_many(&self, keys: &[String]) -> Result<()> {
        // XML has no way to write a control character.
        let (odd, plain): (Vec<_>, Vec<_>) =
            keys.iter().cloned().partition(|key| key.contains(char::is_control));
        for key in odd {
            self.delete(&key).await?;
        }
        let chunks = futures::stream::iter(plain.chunks(KEYS_PER_DELETE));
        let failures: Vec<Vec<xml::DeleteError>> =
            chunks.map(|keys| self.delete_some(keys)).buffered(4).try_collect().await?;
        let failures: Vec<_> = failures.into_iter().flatten().collect();
        let Some(first) = failures.first() else { return Ok(()) };
        let kind = if first.code == "AccessDenied" { ErrorKind::PermissionDenied } else { ErrorKind::Io };
        Err(Error::new(kind, "some objects could not be deleted")
            .with("first", self.named(&first.key))
            .with("code", &first.code)
            .with("message", first.message.as_deref().unwrap_or_default())
            .with("objects", failures.len())
            .hint("the others are gone; run it again for the rest"))
    }

    /// Deletes an object if it is still the one with `e_tag`.
    ///
    /// # Errors
    ///
    /// `Conflict` if it is another one, and as [`S3Client::delete`].
    pub async fn delete_if(&self, key: &str, e_tag: &str) -> Result<()> {
        let changed = || {
            Error::new(ErrorKind::Conflict, "the object has changed meanwhile")
                .with("object", self.named(key))
                .hint("it was not deleted")
        };
        // Not every service looks at the condition of a delete.
        match self.head(key).await? {
            Some(found) if found.e_tag.as_deref() == Some(e_tag) => {}
            Some(_) => return Err(changed()),
            None => return Ok(()),
        }
        match self.request(Method::DELETE, key)?.header(header::IF_MATCH, e_tag)?.fetch().await {
            Ok(_) => Ok(()),
            Err(failed) if failed.code == "NoSuchKey" => Ok(()),
            Err(failed) if failed.is(StatusCode::PRECONDITION_FAILED) => Err(changed()),
            // Nor does every service take one.
            Err(failed) if failed.is(StatusCode::NOT_IMPLEMENTED) => self.delete(key).await,
            Err(failed) => Err(failed.into()),
        }
    }

    async fn delete_some(&self, keys: &[String]) -> Result<Vec<xml::DeleteError>> {
        let body = xml::delete(keys);
        let digest = base64_sha256(body.as_bytes());
        let request = self
            .bucket_request(Method::POST)?
            .query("delete", "")
            .header(header::CONTENT_TYPE, "application/xml")?
            // This operation wants a checksum of its own.
            .header(HeaderName::from_static("x-amz-checksum-sha256"), &digest)?
            .body(body);
        let answer: xml::DeleteResult = xml::read(&request.fetch().await?)?;
        Ok(answer.error.into_iter().filter(|error| error.code != "NoSuchKey").collect())
    }
}

fn base64_sha256(body: &[u8]) -> String {
    use base64::Engine;
    use sha2::Digest;
    base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(body))
}
