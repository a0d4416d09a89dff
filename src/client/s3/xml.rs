//! The bodies that S3 sends and takes.

use std::fmt::Write;

use quick_xml::escape::escape;
use quick_xml::events::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// Why a request failed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) region: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListBucketResult {
    #[serde(default)]
    pub(super) contents: Vec<Contents>,
    #[serde(default)]
    pub(super) common_prefixes: Vec<Prefix>,
    pub(super) next_continuation_token: Option<String>,
    pub(super) is_truncated: Option<bool>,
    /// `url` if keys are escaped.
    pub(super) encoding_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Contents {
    pub(super) key: String,
    pub(super) last_modified: String,
    #[serde(rename = "ETag")]
    pub(super) e_tag: Option<String>,
    pub(super) size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Prefix {
    pub(super) prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAllMyBucketsResult {
    #[serde(default)]
    pub(super) buckets: Buckets,
    pub(super) continuation_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Buckets {
    #[serde(default)]
    pub(super) bucket: Vec<Bucket>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) creation_date: Option<String>,
}

/// Empty for us-east-1; `EU` is an old name of eu-west-1.
#[derive(Debug, Deserialize)]
pub(super) struct LocationConstraint {
    #[serde(rename = "$text")]
    pub(super) region: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InitiateMultipartUploadResult {
    pub(super) upload_id: String,
}

/// A completion answers 200 before it is done, and may have an error in its body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CompleteMultipartUploadResult {
    #[serde(rename = "ETag")]
    pub(super) e_tag: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CopyObjectResult {
    #[serde(rename = "ETag")]
    pub(super) e_tag: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMultipartUploadsResult {
    #[serde(default)]
    pub(super) upload: Vec<Upload>,
    pub(super) is_truncated: Option<bool>,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_upload_id_marker: Option<String>,
    pub(super) encoding_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Upload {
    pub(super) key: String,
    #[serde(rename = "UploadId")]
    pub(super) id: String,
    pub(super) initiated: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListPartsResult {
    #[serde(default)]
    pub(super) part: Vec<ListedPart>,
    pub(super) is_truncated: Option<bool>,
    pub(super) next_part_number_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedPart {
    pub(super) size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteResult {
    #[serde(default)]
    pub(super) error: Vec<DeleteError>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteError {
    pub(super) key: String,
    pub(super) code: String,
    pub(super) message: Option<String>,
}

/// An answer in XML, which is known by its outermost element: many of them may be empty, and a web page would be read
/// as one that is.
pub(super) trait Document: DeserializeOwned {
    const ROOTS: &'static [&'static str];
}

macro_rules! documents {
    ($($document:ty: $($root:literal)+;)+) => {
        $(impl Document for $document {
            const ROOTS: &'static [&'static str] = &[$($root),+];
        })+
    };
}

documents! {
    ListBucketResult: "ListBucketResult";
    ListAllMyBucketsResult: "ListAllMyBucketsResult";
    LocationConstraint: "LocationConstraint";
    InitiateMultipartUploadResult: "InitiateMultipartUploadResult";
    CompleteMultipartUploadResult: "CompleteMultipartUploadResult";
    CopyObjectResult: "CopyObjectResult" "CopyPartResult";
    ListMultipartUploadsResult: "ListMultipartUploadsResult";
    ListPartsResult: "ListPartsResult";
    DeleteResult: "DeleteResult";
}

/// Reads an answer.
///
/// # Errors
///
/// `InvalidData` if it is not what S3 answers.
pub(super) fn read<T: Document>(body: &[u8]) -> Result<T> {
    if !T::ROOTS.contains(&root(body).unwrap_or_default().as_str()) {
        return Err(foreign());
    }
    quick_xml::de::from_reader(body).map_err(|cause| foreign().because(cause))
}

fn root(body: &[u8]) -> Option<String> {
    let mut reader = quick_xml::Reader::from_reader(body);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                return std::str::from_utf8(element.local_name().as_ref()).ok().map(str::to_owned);
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// The error for what is not S3.
pub(super) fn foreign() -> Error {
    Error::new(ErrorKind::InvalidData, "the service gave an answer that S3 does not give")
        .hint("check the endpoint URL")
}

/// The failure in a body, if there is one.
pub(super) fn failure(body: &[u8]) -> Option<Failure> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.contains("<Error") {
        return None;
    }
    quick_xml::de::from_str::<Failure>(text).ok().filter(|failure| !failure.code.is_empty())
}

pub(super) fn create_bucket(region: &str) -> String {
    format!(
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
        escape(region)
    )
}

/// Parts are numbered from 1, in order.
pub(super) fn complete(e_tags: &[String]) -> String {
    let mut body = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    for (e_tag, number) in e_tags.iter().zip(1..) {
        let _ = write!(body, "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", escape(e_tag));
    }
    body + "</CompleteMultipartUpload>"
}

pub(super) fn delete(keys: &[String]) -> String {
    let mut body = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>".to_owned();
    for key in keys {
        let _ = write!(body, "<Object><Key>{}</Key></Object>", escape(key));
    }
    body + "</Delete>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_may_be_empty() {
        let region = |body: &str| read::<LocationConstraint>(body.as_bytes()).expect("reads").region;
        assert_eq!(
            region("<LocationConstraint xmlns=\"x\">eu-west-1</LocationConstraint>").as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(region("<LocationConstraint xmlns=\"x\"/>"), None);
    }

    #[test]
    fn a_failure_is_found_in_a_body_and_rubbish_is_none() {
        let body = b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>x</Message></Error>";
        assert_eq!(failure(body).map(|failure| failure.code).as_deref(), Some("NoSuchKey"));
        assert!(failure(b"<html><Error").is_none());
        assert!(failure(b"\xff").is_none());
    }

    #[test]
    fn a_list_may_be_empty_and_keys_keep_their_spaces_when_escaped() {
        let empty = b"<ListBucketResult><Name>b</Name><KeyCount>0</KeyCount></ListBucketResult>";
        assert!(read::<ListBucketResult>(empty).expect("reads").contents.is_empty());
        for foreign in ["{}", "", "<html/>", "<!DOCTYPE html><html><body>x</body></html>"] {
            assert!(read::<ListBucketResult>(foreign.as_bytes()).is_err(), "{foreign}");
            assert!(read::<DeleteResult>(foreign.as_bytes()).is_err(), "{foreign}");
            assert!(read::<LocationConstraint>(foreign.as_bytes()).is_err(), "{foreign}");
        }
    }

    #[test]
    fn keys_are_escaped_in_bodies() {
        assert!(delete(&["a&<b".to_owned()]).contains("<Key>a&amp;&lt;b</Key>"));
        assert!(complete(&["\"x\"".to_owned()]).contains("<PartNumber>1</PartNumber>"));
    }
}
