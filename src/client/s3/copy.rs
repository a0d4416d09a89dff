//! Copies that the service makes by itself, without the bytes coming here.

use http::Method;
use http::header::HeaderName;

use super::address::copy_source;
use super::put::PutOptions;
use super::source::{CopiedRange, starts};
use super::{ObjectInfo, S3Client, xml};
use crate::error::{Error, ErrorKind, Result};

/// What one request can copy.
const LARGEST_SINGLE: u64 = 5 << 30;

/// Parts of a larger copy: the service makes them, so they can be large.
const PART: u64 = 1 << 30;

pub(super) const SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
pub(super) const SOURCE_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
pub(super) const SOURCE_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");

impl S3Client {
    /// An object of the bucket, as a header names the source of a copy.
    pub(crate) fn copy_source(&self, key: &str) -> Result<String> {
        Ok(copy_source(self.bucket()?, key))
    }

    /// Copies an object of this bucket or another one of the service to `key`, with its media type and metadata.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no source, `Conflict` if it changes meanwhile, `PermissionDenied` or `Io`.
    pub async fn copy_from(&self, from: &S3Client, from_key: &str, key: &str) -> Result<ObjectInfo> {
        let source = from.head(from_key).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such object").with("object", from.named(from_key))
        })?;
        let name = from.copy_source(from_key)?;
        let e_tag = if source.size <= LARGEST_SINGLE {
            self.copy_whole(&name, &source, key).await?
        } else {
            self.copy_parts(&name, &source, key).await?
        };
        Ok(ObjectInfo { key: key.to_owned(), e_tag: Some(e_tag), last_modified: None, ..source })
    }

    async fn copy_whole(&self, name: &str, source: &ObjectInfo, key: &str) -> Result<String> {
        let mut request = self.request(Method::PUT, key)?.header(SOURCE, name)?;
        if let Some(e_tag) = &source.e_tag {
            request = request.header(SOURCE_IF_MATCH, e_tag)?;
        }
        let copied =
            request.fetch_result(|body| xml::read::<xml::CopyObjectResult>(body).map(|done| done.e_tag));
        Ok(copied.await?)
    }

    async fn copy_parts(&self, name: &str, source: &ObjectInfo, key: &str) -> Result<String> {
        let options = PutOptions {
            content_type: source.content_type.clone(),
            metadata: source.metadata.clone(),
            ..PutOptions::default()
        };
        let mut upload = self.start_upload(key, options).await?;
        self.progress.start(source.size);
        for range in starts(0..source.size, PART) {
            let copy = CopiedRange {
                at: range.start,
                len: range.end - range.start,
                source: name.into(),
                e_tag: source.e_tag.clone(),
                start: range.start,
            };
            if let Err(error) = upload.queue_copy(copy).await {
                return Err(upload.give_up(error).await);
            }
        }
        let done = upload.finish().await?.into_result()?;
        Ok(done.e_tag.unwrap_or_default())
    }
}
