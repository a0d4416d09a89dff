//! Commands on objects as such, whatever is in them: list, copy, move, remove, show, describe, presign; and buckets.

pub(crate) mod bucket;
pub(crate) mod cat;
pub(crate) mod cp;
pub(crate) mod ls;
pub(crate) mod presign;
pub(crate) mod put;
pub(crate) mod rm;
pub(crate) mod stat;

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::cli::Context;
use crate::cli::name::Name;
use crate::client::s3::{ObjectInfo, S3Client};
use crate::core::location::{Location, Scheme};
use crate::error::{Error, ErrorKind, Result};

/// What a name means.
#[derive(Debug)]
pub(crate) enum Spot {
    Local(PathBuf),
    /// A bucket, as the client is for it, and a key or a prefix.
    S3(S3Client, String),
}

impl Spot {
    /// # Errors
    ///
    /// `Usage` for another kind of storage, and what making a client fails with.
    pub(crate) fn of(name: &Name, context: &Context) -> Result<Self> {
        if name.is_standard() {
            return Err(Error::new(ErrorKind::Usage, "this command does not take standard input or output")
                .hint(
                    "keyfold put - OBJECT reads it, keyfold cat OBJECT writes it; a file of that name is ./-",
                ));
        }
        let location: Location = name.as_ref().parse()?;
        if let Some(path) = location.as_path() {
            return Ok(Self::Local(path.to_owned()));
        }
        match (location.scheme(), location.as_object()) {
            (Scheme::S3, Some((bucket, key))) => {
                Ok(Self::S3(context.session.s3()?.with_bucket(bucket), key.to_owned()))
            }
            _ => Err(Error::new(ErrorKind::Usage, "this command works on local paths and s3://")
                .with("location", &location)),
        }
    }

    /// An object, not a folder.
    ///
    /// # Errors
    ///
    /// `Usage` for anything else.
    pub(crate) fn object(name: &Name, context: &Context) -> Result<(S3Client, String)> {
        match Self::of(name, context)? {
            Self::S3(client, key) if !key.is_empty() => Ok((client, key)),
            _ => Err(Error::new(ErrorKind::Usage, "name an object")
                .with("location", format!("{name:?}"))
                .hint("for example s3://bucket/folder/file.csv")),
        }
    }
}

/// There is nothing of that name.
pub(crate) fn missing(name: &Name) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such object")
        .with("object", format!("{name:?}"))
        .hint("check bucket and key; both are case-sensitive")
}

/// A moment as reports have it.
pub(crate) fn moment(at: Option<DateTime<Utc>>) -> Option<String> {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// What a list tells of an object, for machines.
pub(crate) fn listed(bucket: &str, info: &ObjectInfo) -> Value {
    json!({
        "location": format!("s3://{bucket}/{}", info.key),
        "bucket": bucket,
        "key": info.key,
        "size": info.size,
        "last_modified": moment(info.last_modified),
        "e_tag": info.e_tag,
    })
}

/// What is known of an object, for machines.
pub(crate) fn described(bucket: &str, info: &ObjectInfo) -> Value {
    let mut known = listed(bucket, info);
    known["content_type"] = json!(info.content_type);
    known["metadata"] = json!(info.metadata);
    known
}
