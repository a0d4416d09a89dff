//! What a request asks for, told from its method, path and query, so that faults and counts can speak of it
//! before the request is checked.

use std::collections::BTreeSet;

use http::{HeaderMap, Method, Uri};

/// One operation of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    ListBuckets,
    CreateBucket,
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    ListObjects,
    ListObjectsV2,
    ListMultipartUploads,
    DeleteObjects,
    PutObject,
    CopyObject,
    GetObject,
    HeadObject,
    DeleteObject,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    /// What this server does not know.
    Other,
}

/// Where a request points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) operation: Operation,
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Target {
    /// Reads path-style requests, the only ones this server is asked.
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = uri.path().strip_prefix('/').unwrap_or(uri.path());
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let asked: BTreeSet<String> =
            query_pairs(uri).into_iter().map(|(name, value)| flag(&name, &value)).collect();
        let has = |name: &str| asked.contains(name);
        let copied = headers.contains_key("x-amz-copy-source");
        let operation = match (bucket.is_empty(), key.is_empty()) {
            (true, _) if method == Method::GET => Operation::ListBuckets,
            (true, _) => Operation::Other,
            (false, true) => on_bucket(method, &has),
            (false, false) => on_object(method, &has, copied),
        };
        Self { operation, bucket: percent_decoded(bucket), key: percent_decoded(key) }
    }
}

/// The name of a query parameter; of the one whose value decides the operation, both.
fn flag(name: &str, value: &str) -> String {
    if name == "list-type" { format!("{name}={value}") } else { name.to_owned() }
}

fn on_bucket(method: &Method, has: &dyn Fn(&str) -> bool) -> Operation {
    match *method {
        Method::PUT => Operation::CreateBucket,
        Method::HEAD => Operation::HeadBucket,
        Method::DELETE => Operation::DeleteBucket,
        Method::POST if has("delete") => Operation::DeleteObjects,
        Method::GET if has("location") => Operation::GetBucketLocation,
        Method::GET if has("uploads") => Operation::ListMultipartUploads,
        Method::GET if has("list-type=2") => Operation::ListObjectsV2,
        Method::GET => Operation::ListObjects,
        _ => Operation::Other,
    }
}

fn on_object(method: &Method, has: &dyn Fn(&str) -> bool, copied: bool) -> Operation {
    match *method {
        Method::PUT if has("uploadId") && copied => Operation::UploadPartCopy,
        Method::PUT if has("uploadId") => Operation::UploadPart,
        Method::PUT if copied => Operation::CopyObject,
        Method::PUT => Operation::PutObject,
        Method::HEAD => Operation::HeadObject,
        Method::GET if has("uploadId") => Operation::ListParts,
        Method::GET => Operation::GetObject,
        Method::DELETE if has("uploadId") => Operation::AbortMultipartUpload,
        Method::DELETE => Operation::DeleteObject,
        Method::POST if has("uploads") => Operation::CreateMultipartUpload,
        Method::POST if has("uploadId") => Operation::CompleteMultipartUpload,
        _ => Operation::Other,
    }
}

/// The parameters of a query, decoded.
pub(crate) fn query_pairs(uri: &Uri) -> Vec<(String, String)> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The text that a part of a path stands for; a plus sign in a path is a plus sign.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2).and_then(hex_byte)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
