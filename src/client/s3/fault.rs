//! What an answer that is not a success means: try again, sign anew, or tell the user.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

use super::address::Target;
use super::xml::{self, Failure};
use crate::error::{Error, ErrorKind};

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    failure: Failure,
    /// The region that the service says is the right one.
    region: Option<String>,
    /// How long the service asks to wait.
    pub(super) wait: Option<Duration>,
}

/// What to do about a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    Retry,
    /// The keys are no longer taken.
    NewKeys,
    None,
}

impl Fault {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut failure = xml::failure(body).unwrap_or_default();
        let told = headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
        let region = told.map(str::to_owned).or_else(|| failure.region.take());
        let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        Self { status, failure, region, wait }
    }

    /// The failure in the body of an answer that began as a success.
    pub(super) fn in_success(body: &[u8]) -> Option<Self> {
        let failure = xml::failure(body)?;
        let status = match failure.code.as_str() {
            "PreconditionFailed" => StatusCode::PRECONDITION_FAILED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Some(Self { status, failure, region: None, wait: None })
    }

    pub(super) fn remedy(&self) -> Remedy {
        match self.failure.code.as_str() {
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Remedy::NewKeys,
            // Another writer was at work in the same moment; which of the two won shows when it is tried again.
            "ConditionalRequestConflict"
            | "OperationAborted"
            | "RequestTimeout"
            | "SlowDown"
            | "InternalError"
            | "ServiceUnavailable" => Remedy::Retry,
            _ if self.status == StatusCode::NOT_IMPLEMENTED => Remedy::None,
            _ if self.status.is_server_error() => Remedy::Retry,
            _ => match self.status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Remedy::Retry,
                _ => Remedy::None,
            },
        }
    }

    /// Whether the request may have taken effect all the same.
    pub(super) fn is_ambiguous(&self) -> bool {
        // A service that asks to slow down has done nothing.
        let overloaded =
            self.status == StatusCode::SERVICE_UNAVAILABLE || self.status == StatusCode::NOT_IMPLEMENTED;
        self.status == StatusCode::REQUEST_TIMEOUT || self.status.is_server_error() && !overloaded
    }

    pub(super) fn code(&self) -> &str {
        &self.failure.code
    }

    /// The error for the user, about `target`.
    pub(super) fn into_error(self, target: Target<'_>) -> Error {
        let error = self.explained(target);
        let error = match target {
            Target::Service => error,
            Target::Bucket(bucket) => error.with_missing("bucket", bucket),
            Target::Object(bucket, key) => error.with_missing("object", format!("s3://{bucket}/{key}")),
        };
        let error = error.with("status", self.status.as_u16());
        match (self.failure.code.as_str(), self.failure.message.as_str()) {
            ("", _) => error,
            (code, "") => error.with("code", code),
            (code, said) => error.with("code", code).because(Said(said.to_owned())),
        }
    }

    fn explained(&self, target: Target<'_>) -> Error {
        use ErrorKind as K;
        let told = |kind, message: &'static str, hint: &'static str| Error::new(kind, message).hint(hint);
        match self.failure.code.as_str() {
            "NoSuchBucket" => told(
                K::NotFound,
                "the bucket does not exist",
                "check its name and the endpoint, or make it with keyfold bucket create",
            ),
            "NoSuchKey" => {
                told(K::NotFound, "there is no such object", "check the key; it is case-sensitive")
            }
            "NoSuchUpload" => told(
                K::NotFound,
                "there is no such multipart upload",
                "it was completed or aborted by someone else",
            ),
            "BucketAlreadyOwnedByYou" => {
                told(K::AlreadyExists, "the bucket is yours already", "use it, or choose another name")
            }
            "BucketAlreadyExists" => told(
                K::AlreadyExists,
                "the name of the bucket is taken",
                "choose another name; all users of a service share one list of names",
            ),
            "BucketNotEmpty" => told(K::Conflict, "the bucket is not empty", "empty it first, or force it"),
            "InvalidAccessKeyId" => told(
                K::PermissionDenied,
                "the service does not know the access key",
                "check AWS_ACCESS_KEY_ID, the profile and the endpoint",
            ),
            "SignatureDoesNotMatch" => told(
                K::PermissionDenied,
                "the secret access key is wrong",
                "check AWS_SECRET_ACCESS_KEY and the region",
            ),
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => told(
                K::PermissionDenied,
                "the temporary keys have expired",
                "get new ones, or name a source that renews them: a profile or --credentials-url",
            ),
            "InvalidToken" => told(
                K::PermissionDenied,
                "the session token is wrong",
                "check AWS_SESSION_TOKEN; it belongs to one key pair",
            ),
            "RequestTimeTooSkewed" => {
                told(K::PermissionDenied, "the clock of this machine is wrong", "set the clock")
            }
            "EntityTooLarge" => told(
                K::Unsupported,
                "the object is too large for the service",
                "write several smaller objects",
            ),
            "InvalidBucketName" => told(
                K::Usage,
                "this is not the name of a bucket",
                "3 to 63 lower-case letters, digits, dots and dashes",
            ),
            _ => self.explained_by_status(target),
        }
    }

    fn explained_by_status(&self, target: Target<'_>) -> Error {
        use ErrorKind as K;
        let told = |kind, message: &'static str, hint: &'static str| Error::new(kind, message).hint(hint);
        if let Some(region) = self.region.as_ref().filter(|_| self.is_about_region()) {
            return Error::new(K::InvalidInput, "the bucket is in another region")
                .with("region", region)
                .hint(format!("say --region {region}, or set AWS_REGION"));
        }
        match self.status {
            StatusCode::NOT_FOUND => match target {
                Target::Object(..) => told(
                    K::NotFound,
                    "there is no such object",
                    "check bucket and key; both are case-sensitive",
                ),
                _ => told(K::NotFound, "the bucket does not exist", "check its name and the endpoint"),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => told(
                K::PermissionDenied,
                "the service refused access",
                "check the keys and what they are allowed to do; which keys are used, -vv tells",
            ),
            StatusCode::PRECONDITION_FAILED => {
                told(K::Conflict, "the object has changed meanwhile", "read it again")
            }
            StatusCode::CONFLICT => {
                told(K::Conflict, "someone else is changing the same object or bucket", "run it again")
            }
            StatusCode::RANGE_NOT_SATISFIABLE => told(
                K::InvalidInput,
                "the range begins behind the end of the object",
                "look at its size first",
            ),
            StatusCode::NOT_IMPLEMENTED => told(
                K::Unsupported,
                "the service cannot do this",
                "see the table of stores in the documentation",
            ),
            status if status.is_redirection() => told(
                K::InvalidInput,
                "the service answers from another address, which is not followed",
                "use the endpoint and the region of the bucket",
            ),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                told(K::Io, "the service is overloaded", "try again later, or with fewer jobs at once")
            }
            status if status.is_server_error() => told(K::Io, "the service failed", "try again later"),
            _ => told(
                K::InvalidInput,
                "the service refused the request",
                "check the endpoint and the settings",
            ),
        }
    }

    /// A service tells its region on many answers; only these are because of it.
    fn is_about_region(&self) -> bool {
        self.status.is_redirection()
            || matches!(
                self.failure.code.as_str(),
                "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException"
            )
            || self.status == StatusCode::BAD_REQUEST
    }
}

/// What the service said, as the cause of an error.
#[derive(Debug)]
struct Said(String);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, code: &str) -> Fault {
        let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        Fault::new(StatusCode::from_u16(status).expect("a status"), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_told() {
        for (status, code, remedy) in [
            (503, "SlowDown", Remedy::Retry),
            (500, "InternalError", Remedy::Retry),
            (409, "ConditionalRequestConflict", Remedy::Retry),
            (400, "RequestTimeout", Remedy::Retry),
            (403, "ExpiredToken", Remedy::NewKeys),
            (403, "AccessDenied", Remedy::None),
            (412, "PreconditionFailed", Remedy::None),
            (501, "NotImplemented", Remedy::None),
        ] {
            assert_eq!(fault(status, code).remedy(), remedy, "{code}");
        }
        assert!(fault(500, "InternalError").is_ambiguous() && !fault(412, "").is_ambiguous());
    }

    #[test]
    fn the_right_region_is_told() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-bucket-region", "eu-west-1".parse().expect("a header"));
        let fault = Fault::new(StatusCode::MOVED_PERMANENTLY, &headers, b"");
        let error = fault.into_error(Target::Bucket("lake"));
        assert_eq!(
            error.to_string(),
            "the bucket is in another region (region: eu-west-1, bucket: lake, status: 301)"
        );
        assert_eq!(error.hint_text(), Some("say --region eu-west-1, or set AWS_REGION"));
    }

    #[test]
    fn a_body_that_is_not_of_s3_is_told_by_its_status() {
        let fault = Fault::new(StatusCode::FORBIDDEN, &HeaderMap::new(), b"<html>no</html>");
        assert_eq!(fault.into_error(Target::Service).kind(), ErrorKind::PermissionDenied);
    }
}
