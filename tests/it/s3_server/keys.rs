//! Who may ask: access keys, lasting and lent, checked for every request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::operation::query_pairs;
use super::store::locked;

const TOKEN: &str = "x-amz-security-token";

/// A key that opens the server.
struct Key {
    secret: SecretKey,
    /// The session token and the end, of a key that is lent.
    lent: Option<(String, SystemTime)>,
}

/// All keys, which may change while the server runs.
#[derive(Default)]
pub(crate) struct Keys {
    keys: Mutex<BTreeMap<String, Key>>,
    as_aws: bool,
}

impl Keys {
    /// `as_aws`: tokens are refused with status 400, as AWS does, and not with 403.
    pub(crate) fn new(as_aws: bool) -> Self {
        Self { keys: Mutex::default(), as_aws }
    }

    pub(crate) fn add(&self, access: &str, secret: &str) {
        locked(&self.keys).insert(access.to_owned(), Key { secret: secret.into(), lent: None });
    }

    pub(crate) fn lend(&self, access: &str, secret: &str, token: &str, life: Duration) {
        let lent = Some((token.to_owned(), SystemTime::now() + life));
        locked(&self.keys).insert(access.to_owned(), Key { secret: secret.into(), lent });
    }

    /// Ends the life of a lent key now; a lasting key lasts.
    pub(crate) fn expire(&self, access: &str) {
        if let Some(Key { lent: Some((_, ends)), .. }) = locked(&self.keys).get_mut(access) {
            *ends = SystemTime::UNIX_EPOCH;
        }
    }

    pub(crate) fn revoke(&self, access: &str) {
        locked(&self.keys).remove(access);
    }

    fn check_token(&self, access: &str, token: Option<&str>) -> S3Result<()> {
        let keys = locked(&self.keys);
        let lent = keys.get(access).and_then(|key| key.lent.as_ref());
        match (lent, token) {
            (Some(_), None) => Err(unknown_key()),
            (Some((known, _)), Some(token)) if known != token => Err(self.refuse(S3ErrorCode::InvalidToken)),
            (None, Some(_)) => Err(self.refuse(S3ErrorCode::InvalidToken)),
            (Some((_, ends)), _) if *ends <= SystemTime::now() => Err(self.refuse(S3ErrorCode::ExpiredToken)),
            (None, None) | (Some(_), Some(_)) => Ok(()),
        }
    }

    fn refuse(&self, code: S3ErrorCode) -> S3Error {
        let message = match code {
            S3ErrorCode::ExpiredToken => "The provided token has expired.",
            _ => "The provided token is malformed or otherwise invalid.",
        };
        let mut error = S3Error::with_message(code, message);
        if !self.as_aws {
            error.set_status_code(StatusCode::FORBIDDEN);
        }
        error
    }
}

fn unknown_key() -> S3Error {
    s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
}

/// The keys, as the two questions that s3s asks of each request.
#[derive(Clone)]
pub(crate) struct Gate(pub(crate) Arc<Keys>);

#[async_trait::async_trait]
impl S3Auth for Gate {
    async fn get_secret_key(&self, access: &str) -> S3Result<SecretKey> {
        locked(&self.0.keys).get(access).map(|key| key.secret.clone()).ok_or_else(unknown_key)
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = cx.credentials() else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let header =
            cx.headers().get(TOKEN).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let query = || query_pairs(cx.uri()).into_iter().find(|(name, _)| name.eq_ignore_ascii_case(TOKEN));
        let token = header.or_else(|| query().map(|(_, value)| value));
        self.0.check_token(&credentials.access_key, token.as_deref())
    }
}
