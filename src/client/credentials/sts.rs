//! Keys of a role: asked of STS with other keys, or with a token that says who one is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpClient, HttpRequest};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::answer;
use super::chain::Ground;
use super::fetch::{self, Answer, Method, Patience};
use super::vending::token_in;
use super::{Lease, Lender};
use crate::client::http;
use crate::error::{Error, ErrorKind, Result};

const SERVICE: &str = "STS";

/// The reasons that are told; anything else in an answer might be a secret.
const REASONS: &[&str] = &[
    "AccessDenied",
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPRejectedClaim",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "RegionDisabledException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "Throttling",
    "UnrecognizedClientException",
    "ValidationError",
];

/// The role that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: Option<String>,
    /// In seconds; an hour if nothing is said.
    pub(super) duration: Option<u32>,
}

/// The service, in one region.
#[derive(Debug)]
pub(super) struct Sts {
    client: HttpClient,
    endpoint: Url,
    region: String,
}

impl Sts {
    /// # Errors
    ///
    /// `Usage` for a region that is none, or an endpoint that would be spoken to in the clear.
    pub(super) fn new(ground: &Ground, profile_region: Option<&str>) -> Result<Self> {
        let region = ground.region.as_deref().or(profile_region).unwrap_or("us-east-1").to_owned();
        let endpoint = aws_endpoint(ground, "AWS_ENDPOINT_URL_STS", "sts", &region)?;
        Ok(Self { client: fetch::client_for(&ground.http, &endpoint)?, endpoint, region })
    }

    fn form(&self, action: &str, role: &Role, more: &[(&str, &str)]) -> Result<HttpRequest> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let session =
            role.session_name.clone().unwrap_or_else(|| format!("keyfold-{}", Utc::now().timestamp()));
        form.append_pair("Action", action).append_pair("Version", "2011-06-15");
        form.append_pair("RoleArn", &role.arn).append_pair("RoleSessionName", &session);
        if let Some(seconds) = role.duration {
            form.append_pair("DurationSeconds", &seconds.to_string());
        }
        form.extend_pairs(more);
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/xml")];
        fetch::request(Method::POST, &self.endpoint, &headers, form.finish().into())
    }

    async fn ask(&self, request: HttpRequest, role: &Role) -> Result<Lease> {
        let answer = fetch::fetch(&self.client, SERVICE, request, Patience::SOME).await?;
        let reason = reason(&answer);
        let answer = answer.good(SERVICE).map_err(|error| match reason {
            Some(reason) => error.with("reason", reason).with("role", &role.arn),
            None => error.with("role", &role.arn),
        })?;
        read(&answer)
    }
}

/// The endpoint of a service of AWS, or the one that `variable` names instead.
///
/// # Errors
///
/// `Usage` for a region that is none, or an endpoint that would be spoken to in the clear.
pub(super) fn aws_endpoint(ground: &Ground, variable: &'static str, host: &str, region: &str) -> Result<Url> {
    if let Some(url) = ground.environment.get(variable) {
        return http::service_url(url, variable, ground.plain);
    }
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(named) {
        return Err(Error::new(ErrorKind::Usage, "this is not a region of AWS").with("region", region));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    http::service_url(&format!("https://{host}.{region}.{domain}/"), "region", ground.plain)
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "AssumeRoleResult", alias = "AssumeRoleWithWebIdentityResult")]
    result: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    credentials: Keys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reason {
    code: String,
}

fn read(answer: &Answer) -> Result<Lease> {
    let wrong =
        || Error::new(ErrorKind::InvalidData, "the answer with keys cannot be read").with("service", SERVICE);
    let text = std::str::from_utf8(&answer.body).map_err(|_| wrong())?;
    // The parser's own message is left out: it may quote the body.
    let keys = quick_xml::de::from_str::<Response>(text).map_err(|_| wrong())?.result.credentials;
    let mut lease = Lease::of(&keys.access_key_id, &keys.secret_access_key, Some(&keys.session_token))?;
    lease.expires = Some(answer::written(&keys.expiration).ok_or_else(wrong)?);
    lease.skew = answer.skew;
    Ok(lease)
}

fn reason(answer: &Answer) -> Option<&'static str> {
    let text = std::str::from_utf8(&answer.body).ok()?;
    let code = quick_xml::de::from_str::<Refusal>(text).ok()?.error.code;
    REASONS.iter().find(|known| **known == code).copied()
}

/// A role that the keys of another source may take.
#[derive(Debug)]
pub(super) struct AssumedRole {
    pub(super) sts: Sts,
    pub(super) role: Role,
    pub(super) external_id: Option<SecretString>,
    pub(super) base: Arc<dyn Lender>,
}

#[async_trait]
impl Lender for AssumedRole {
    fn name(&self) -> &'static str {
        "assumed role"
    }

    async fn lend(&self) -> Result<Lease> {
        let base = self.base.lend().await?;
        let more: Vec<_> = self.external_id.iter().map(|id| ("ExternalId", id.expose_secret())).collect();
        let mut request = self.sts.form("AssumeRole", &self.role, &more)?;
        AwsAuthorizer::new(&base.credential, "sts", &self.sts.region).authorize(&mut request, None);
        self.sts.ask(request, &self.role).await
    }
}

/// A role for whoever has the token in a file, as pods and build servers do.
pub(super) struct WebIdentity {
    pub(super) sts: Sts,
    pub(super) role: Role,
    pub(super) token_file: PathBuf,
}

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIdentity").field("role", &self.role).finish_non_exhaustive()
    }
}

#[async_trait]
impl Lender for WebIdentity {
    fn name(&self) -> &'static str {
        "web identity"
    }

    async fn lend(&self) -> Result<Lease> {
        let token = token_in(&self.token_file)?;
        let more = [("WebIdentityToken", token.expose_secret())];
        let request = self.sts.form("AssumeRoleWithWebIdentity", &self.role, &more)?;
        self.sts.ask(request, &self.role).await
    }
}

#[cfg(test)]
mod tests;
