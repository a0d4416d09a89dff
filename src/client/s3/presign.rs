//! URLs that carry their own signature: whoever has one may read or write one object, for a while.
//!
//! `object_store` signs URLs, too, but not for keys such as `a//b`, and with no limit to their life.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use object_store::aws::AwsCredential;
use sha2::{Digest, Sha256};
use url::{Position, Url};

use super::address::{Target, query_escaped};
use super::{S3Client, check_place};
use crate::core::location::redacted;
use crate::error::{Error, ErrorKind, Result};

/// The shortest and the longest life of a URL.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A URL that is a secret: it prints without its signature.
#[derive(Clone)]
pub struct PresignedUrl {
    url: Url,
    expires: DateTime<Utc>,
    clamped: bool,
}

impl PresignedUrl {
    /// The URL, signature included: whoever has it has the access.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.as_str()
    }

    /// Until when it can be used.
    #[must_use]
    pub fn expires(&self) -> DateTime<Utc> {
        self.expires
    }

    /// Whether it ends earlier than was asked, because the key that signed it does.
    #[must_use]
    pub fn is_clamped(&self) -> bool {
        self.clamped
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresignedUrl")
            .field("url", &redacted(self.url.as_str()))
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl S3Client {
    /// A URL with which anybody can read an object for `expires_in` (1 second to 7 days), or as long as the key
    /// that signs it lives. Nothing is sent: whether the object exists shows when the URL is used.
    ///
    /// # Errors
    ///
    /// `Usage` for another time or an unsigned client, and what fetching credentials fails with.
    pub async fn presign_get(&self, key: &str, expires_in: Duration) -> Result<PresignedUrl> {
        self.presign(&Method::GET, key, expires_in).await
    }

    /// A URL with which anybody can write an object; see [`S3Client::presign_get`].
    ///
    /// # Errors
    ///
    /// As [`S3Client::presign_get`].
    pub async fn presign_put(&self, key: &str, expires_in: Duration) -> Result<PresignedUrl> {
        self.presign(&Method::PUT, key, expires_in).await
    }

    async fn presign(&self, method: &Method, key: &str, expires_in: Duration) -> Result<PresignedUrl> {
        if !(SHORTEST..=LONGEST).contains(&expires_in) {
            return Err(Error::new(ErrorKind::Usage, "a presigned URL lives for 1 second to 7 days")
                .with("seconds", expires_in.as_secs()));
        }
        let Some(lease) = self.inner.lease().await? else {
            return Err(Error::new(ErrorKind::Usage, "an unsigned client cannot sign a URL")
                .hint("set credentials, and leave no_sign_request"));
        };
        let target = Target::Object(self.bucket()?, key);
        check_place(Some(&lease), target)?;
        let now = Utc::now();
        let asked = TimeDelta::from_std(expires_in).unwrap_or(TimeDelta::days(7));
        let left = lease.expires.map_or(asked, |end| asked.min(end - lease.skew - now));
        if left < TimeDelta::seconds(1) {
            return Err(Error::new(ErrorKind::PermissionDenied, "the keys end before the URL could be used")
                .hint("get new keys"));
        }
        let endpoint = self.inner.endpoint(Some(&lease))?;
        let url = endpoint.url(target, &[])?;
        let url = signed(method, url, &lease.credential, &endpoint.region, now, left.num_seconds());
        let expires = now + TimeDelta::seconds(left.num_seconds());
        Ok(PresignedUrl { url, expires, clamped: left < asked })
    }
}

/// `url` with a signature over method, host, path and query.
fn signed(
    method: &Method,
    mut url: Url,
    credential: &AwsCredential,
    region: &str,
    now: DateTime<Utc>,
    seconds: i64,
) -> Url {
    let moment = now.format("%Y%m%dT%H%M%SZ").to_string();
    let day = &moment[..8];
    let scope = format!("{day}/{region}/s3/aws4_request");
    // In the order of their names, as the signature wants them.
    let mut query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={moment}&X-Amz-Expires={seconds}",
        query_escaped(&format!("{}/{scope}", credential.key_id)),
    );
    if let Some(token) = &credential.token {
        let _ = write!(query, "&X-Amz-Security-Token={}", query_escaped(token));
    }
    query.push_str("&X-Amz-SignedHeaders=host");
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let request = format!("{method}\n{}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD", url.path());
    let to_sign = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let key = [day, region, "s3", "aws4_request"]
        .iter()
        .fold(format!("AWS4{}", credential.secret_key).into_bytes(), |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &to_sign));
    url.set_query(Some(&format!("{query}&X-Amz-Signature={signature}")));
    url
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the documentation of AWS.
    #[test]
    fn the_signature_is_the_one_of_the_documentation() {
        let credential = AwsCredential {
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        let url = Url::parse("https://examplebucket.s3.amazonaws.com/test.txt").expect("a url");
        let moment = DateTime::parse_from_rfc3339("2013-05-24T00:00:00Z").expect("a moment").to_utc();
        let signed = signed(&Method::GET, url, &credential, "us-east-1", moment, 86_400);
        assert!(
            signed.as_str().ends_with(
                "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
            ),
            "{signed}"
        );
    }

    #[test]
    fn the_signature_does_not_print() {
        let url = Url::parse("https://host/a?X-Amz-Signature=canary").expect("a url");
        let presigned = PresignedUrl { url, expires: Utc::now(), clamped: false };
        assert!(!format!("{presigned:?}").contains("canary"));
    }
}
