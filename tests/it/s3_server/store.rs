//! What the server holds, in memory: buckets, objects and uploads that are not complete yet. One lock guards it
//! all, so that a condition and the write that depends on it are one step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    CacheControl, Checksum, ChecksumAlgorithm, ChecksumType, ContentDisposition, ContentEncoding,
    ContentLanguage, ContentType, ETag, Expires, Metadata, SSEKMSKeyId, ServerSideEncryption, StorageClass,
};
use s3s::{S3Result, s3_error};

/// Locks, also after a test has failed while it held the lock.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is said of an object beside its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) cache_control: Option<CacheControl>,
    pub(crate) content_disposition: Option<ContentDisposition>,
    pub(crate) content_encoding: Option<ContentEncoding>,
    pub(crate) content_language: Option<ContentLanguage>,
    pub(crate) content_type: Option<ContentType>,
    pub(crate) expires: Option<Expires>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) server_side_encryption: Option<ServerSideEncryption>,
    pub(crate) ssekms_key_id: Option<SSEKMSKeyId>,
    pub(crate) storage_class: Option<StorageClass>,
}

/// The attributes in a request, whose fields have the same names in all that bring some.
macro_rules! attributes {
    ($input:expr) => {
        Attributes {
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_language: $input.content_language.clone(),
            content_type: $input.content_type.clone(),
            expires: $input.expires.clone(),
            metadata: $input.metadata.clone(),
            server_side_encryption: $input.server_side_encryption.clone(),
            ssekms_key_id: $input.ssekms_key_id.clone(),
            storage_class: $input.storage_class.clone(),
        }
    };
}
pub(crate) use attributes;

/// An object; never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) modified: SystemTime,
    pub(crate) attributes: Attributes,
    pub(crate) sums: Checksum,
}

impl Object {
    pub(crate) fn new(bytes: Bytes, attributes: Attributes, sums: Checksum) -> Self {
        let etag = hex(Md5::checksum(&bytes).as_ref());
        Self { bytes, etag, modified: now(), attributes, sums }
    }

    pub(crate) fn e_tag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }
}

/// A part of an upload.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) md5: [u8; 16],
    pub(crate) modified: SystemTime,
    pub(crate) sums: Checksum,
}

impl Part {
    pub(crate) fn new(bytes: Bytes, sums: Checksum) -> Self {
        let md5 = Md5::checksum(&bytes);
        Self { bytes, md5, modified: now(), sums }
    }

    pub(crate) fn e_tag(&self) -> ETag {
        ETag::Strong(hex(&self.md5))
    }
}

/// An upload that is neither complete nor aborted.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) initiated: SystemTime,
    pub(crate) attributes: Attributes,
    pub(crate) algorithm: Option<ChecksumAlgorithm>,
    pub(crate) kind: Option<ChecksumType>,
    pub(crate) parts: BTreeMap<i32, Part>,
}

/// A bucket; keys and uploads in the order of their bytes, as S3 lists them.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) region: String,
    pub(crate) created: SystemTime,
    pub(crate) objects: BTreeMap<String, Arc<Object>>,
    pub(crate) uploads: BTreeMap<String, Upload>,
}

impl Bucket {
    pub(crate) fn new(region: &str) -> Self {
        Self { region: region.to_owned(), created: now(), objects: BTreeMap::new(), uploads: BTreeMap::new() }
    }

    pub(crate) fn object(&self, key: &str) -> S3Result<&Arc<Object>> {
        self.objects.get(key).ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    pub(crate) fn upload(&mut self, id: &str, key: &str) -> S3Result<&mut Upload> {
        let upload = self.uploads.get_mut(id).filter(|upload| upload.key == key);
        upload.ok_or_else(|| s3_error!(NoSuchUpload, "The specified multipart upload does not exist."))
    }
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) buckets: BTreeMap<String, Bucket>,
}

impl Store {
    pub(crate) fn bucket(&mut self, name: &str) -> S3Result<&mut Bucket> {
        let bucket = self.buckets.get_mut(name);
        bucket.ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }
}

/// The time, in whole seconds: `Last-Modified` cannot say more.
pub(crate) fn now() -> SystemTime {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
