//! Buckets: made in the right region, listed, and deleted only when they are empty.

use futures::TryStreamExt;
use http::{Method, StatusCode};

use chrono::{DateTime, Utc};

use super::address::Target;
use super::list::timestamp;
use super::request::Request;
use super::{S3Client, xml};
use crate::error::{ErrorKind, Result};

/// What a service tells of one of its buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketInfo {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Option<DateTime<Utc>>,
}

impl S3Client {
    /// Makes a bucket in the region of this client.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the name is taken, by you or by someone else.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        let request = Request::new(&self.inner, Method::PUT, Target::Bucket(name));
        // The first region is the one that must not be named.
        let request = match self.region() {
            "us-east-1" => request,
            region => request.body(xml::create_bucket(region)),
        };
        match request.fetch().await {
            // An earlier attempt made it, and its answer was lost.
            Err(failed) if !(failed.ambiguous && failed.code == "BucketAlreadyOwnedByYou") => {
                Err(failed.into())
            }
            _ => Ok(()),
        }
    }

    /// All buckets of the account.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`.
    pub async fn list_buckets(&self) -> Result<Vec<BucketInfo>> {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let request = Request::new(&self.inner, Method::GET, Target::Service);
            let body = request.maybe_query("continuation-token", token).fetch().await?;
            let page: xml::ListAllMyBucketsResult = xml::read(&body)?;
            all.extend(page.buckets.bucket.into_iter().map(|bucket| BucketInfo {
                name: bucket.name,
                created: bucket.creation_date.as_deref().and_then(timestamp),
            }));
            token = page.continuation_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    /// Whether there is a bucket of that name.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` if it is someone else's, `Io`.
    pub async fn bucket_exists(&self, name: &str) -> Result<bool> {
        match Request::new(&self.inner, Method::HEAD, Target::Bucket(name)).send().await {
            Ok(_) => Ok(true),
            Err(failed) if failed.is(StatusCode::NOT_FOUND) => Ok(false),
            // The answer has no body that would say why.
            Err(failed) if failed.is_refusal() => match self.bucket_location(name).await {
                Err(told) if told.kind() == ErrorKind::NotFound => Ok(false),
                told => told.map(|_| true),
            },
            Err(failed) => Err(failed.into()),
        }
    }

    /// The region that a bucket is in.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` or `Io`.
    pub async fn bucket_location(&self, name: &str) -> Result<String> {
        let request = Request::new(&self.inner, Method::GET, Target::Bucket(name));
        let body = request.query("location", "").fetch().await?;
        let found: xml::LocationConstraint = xml::read(&body)?;
        Ok(match found.region.as_deref() {
            None | Some("") => "us-east-1".to_owned(),
            Some("EU") => "eu-west-1".to_owned(),
            Some(region) => region.to_owned(),
        })
    }

    /// Deletes an empty bucket.
    ///
    /// # Errors
    ///
    /// `Conflict` if it is not empty, `NotFound`.
    pub async fn delete_bucket(&self, name: &str) -> Result<()> {
        match Request::new(&self.inner, Method::DELETE, Target::Bucket(name)).fetch().await {
            // An earlier attempt deleted it, and its answer was lost.
            Err(failed) if !(failed.ambiguous && failed.is(StatusCode::NOT_FOUND)) => Err(failed.into()),
            _ => Ok(()),
        }
    }

    /// Deletes a bucket with all objects and unfinished uploads in it; gives the number of objects.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` or `Io`; a part of the objects may be gone then.
    pub async fn delete_bucket_and_objects(&self, name: &str) -> Result<u64> {
        let bucket = self.with_bucket(name);
        let keys: Vec<String> = bucket.list("").map_ok(|object| object.key).try_collect().await?;
        bucket.delete_many(&keys).await?;
        for upload in bucket.pending_uploads("").await? {
            bucket.abort_upload(&upload).await?;
        }
        self.delete_bucket(name).await?;
        Ok(keys.len() as u64)
    }
}
