//! Conditional requests: whether a write, a read or a copy may go on, told from what is stored.

use std::time::SystemTime;

use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3Result, s3_error};

use super::store::Object;

/// The conditions of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) modified_since: Option<Timestamp>,
    pub(crate) unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// For a put, the end of an upload, or the target of a copy.
    pub(crate) fn for_write(&self, stored: Option<&Object>) -> S3Result<()> {
        match &self.if_none_match {
            Some(condition) if !condition.is_any() => return Err(not_implemented()),
            Some(_) if stored.is_some() => return Err(failed("If-None-Match")),
            _ => {}
        }
        self.for_delete(stored)
    }

    /// For a delete: `If-Match` alone.
    pub(crate) fn for_delete(&self, stored: Option<&Object>) -> S3Result<()> {
        match (&self.if_match, stored) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(condition), Some(object)) if holds(condition, object) => Ok(()),
            (Some(_), Some(_)) => Err(failed("If-Match")),
        }
    }

    /// For a get or a head: a copy that the reader has already is 304, not an error.
    pub(crate) fn for_read(&self, object: &Object) -> S3Result<()> {
        self.must_hold(object)?;
        if self.is_known(object) { Err(s3_error!(NotModified)) } else { Ok(()) }
    }

    /// For the source of a copy.
    pub(crate) fn for_copy(&self, object: &Object) -> S3Result<()> {
        self.must_hold(object)?;
        if self.is_known(object) { Err(failed("x-amz-copy-source-If-None-Match")) } else { Ok(()) }
    }

    /// An etag that matches makes the times irrelevant, as RFC 9110 has it.
    fn must_hold(&self, object: &Object) -> S3Result<()> {
        let fails = match (&self.if_match, &self.unmodified_since) {
            (Some(condition), _) => !holds(condition, object),
            (None, Some(time)) => Timestamp::from(object.modified) > *time,
            (None, None) => false,
        };
        if fails { Err(failed("If-Match")) } else { Ok(()) }
    }

    fn is_known(&self, object: &Object) -> bool {
        match (&self.if_none_match, &self.modified_since) {
            (Some(condition), _) => holds(condition, object),
            // A time that is still to come says nothing.
            (None, Some(time)) => {
                Timestamp::from(object.modified) <= *time && *time <= Timestamp::from(SystemTime::now())
            }
            (None, None) => false,
        }
    }
}

fn holds(condition: &ETagCondition, object: &Object) -> bool {
    condition.is_any() || condition.as_etag().is_some_and(|etag| etag.value() == object.etag)
}

fn failed(header: &str) -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold: {header}")
}

fn not_implemented() -> S3Error {
    s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented")
}
