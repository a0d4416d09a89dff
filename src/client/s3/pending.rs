//! Uploads that nobody has completed: found, and aborted.

use chrono::{DateTime, Utc};
use http::Method;

use super::list::{timestamp, unescaped};
use super::{S3Client, xml};
use crate::error::Result;

/// An upload that nobody has completed: its parts cost storage until it is aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingUpload {
    /// The key it is for.
    pub key: String,
    /// The name of the upload.
    pub upload_id: String,
    /// When it began.
    pub started: Option<DateTime<Utc>>,
}

impl S3Client {
    /// Uploads to keys that begin with `prefix` which nobody has completed.
    ///
    /// # Errors
    ///
    /// `NotFound` if the bucket does not exist, `PermissionDenied`, `Unsupported` or `Io`.
    pub async fn pending_uploads(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let (mut all, mut marker) = (Vec::new(), None::<(String, String)>);
        loop {
            let (key, id) = marker.take().unzip();
            let request = self
                .bucket_request(Method::GET)?
                .query("uploads", "")
                .query("encoding-type", "url")
                .query("prefix", prefix)
                .maybe_query("key-marker", key)
                .maybe_query("upload-id-marker", id);
            let page: xml::ListMultipartUploadsResult = xml::read(&request.fetch().await?)?;
            let escaped = page.encoding_type.as_deref() == Some("url");
            for upload in page.upload {
                all.push(PendingUpload {
                    key: unescaped(&upload.key, escaped)?,
                    upload_id: upload.id,
                    started: upload.initiated.as_deref().and_then(timestamp),
                });
            }
            match (page.is_truncated, page.next_key_marker, page.next_upload_id_marker) {
                (Some(true), Some(key), Some(id)) => marker = Some((unescaped(&key, escaped)?, id)),
                _ => return Ok(all),
            }
        }
    }

    /// Aborts an upload that nobody has completed; its parts are gone then.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub async fn abort_upload(&self, upload: &PendingUpload) -> Result<()> {
        self.abort(&upload.key, &upload.upload_id).await
    }
}
