//! Keys from IAM Identity Center (SSO), with the token that `aws sso login` left in its cache. The cache is only read.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use chrono::Utc;
use object_store::client::HttpClient;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha1::{Digest, Sha1};
use url::Url;

use super::answer::{self, Fields};
use super::chain::Ground;
use super::fetch::{self, Patience};
use super::profile::{Kind, Profile, Profiles};
use super::sts::aws_endpoint;
use super::{Lease, Lender};
use crate::error::{Error, ErrorKind, Result};

const SERVICE: &str = "SSO";

pub(super) struct Sso {
    client: HttpClient,
    url: Url,
    cache: PathBuf,
    profile: String,
}

impl fmt::Debug for Sso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sso").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// What the login left behind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    access_token: String,
    expires_at: String,
}

impl Sso {
    /// The account and role that a profile names, if it names them.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a profile that says only half of it.
    pub(super) fn find(ground: &Ground, profiles: &Profiles, profile: &Profile<'_>) -> Result<Option<Self>> {
        if profile.get("sso_account_id").is_none() && profile.get("sso_role_name").is_none() {
            return Ok(None);
        }
        let session = profile.get("sso_session");
        let shared = session.map(|name| profiles.section(Kind::SsoSession, name));
        let said = |key: &'static str| {
            let outer = shared.flatten().and_then(|table| table.get(key)).map(String::as_str);
            outer.or_else(|| profile.get(key)).ok_or_else(|| lacks(profile.name, key))
        };
        let mut url = aws_endpoint(ground, "AWS_ENDPOINT_URL_SSO", "portal.sso", said("sso_region")?)?;
        url.set_path("/federation/credentials");
        url.query_pairs_mut()
            .append_pair("role_name", said("sso_role_name")?)
            .append_pair("account_id", said("sso_account_id")?);
        let login = hex(&Sha1::digest(session.map_or_else(|| said("sso_start_url"), Ok)?));
        let folder =
            ground.environment.in_home(".aws/sso/cache").ok_or_else(|| lacks(profile.name, "home folder"))?;
        Ok(Some(Self {
            client: fetch::client_for(&ground.http, &url)?,
            url,
            cache: folder.join(format!("{login}.json")),
            profile: profile.name.to_owned(),
        }))
    }

    /// Read anew each time: a login in another terminal counts.
    fn token(&self) -> Result<SecretString> {
        let login = self.login(&self.cache)?;
        match answer::written(&login.expires_at) {
            Some(expires) if expires > Utc::now() => Ok(login.access_token.into()),
            _ => Err(self.log_in("the SSO login has expired")),
        }
    }

    fn login(&self, cache: &Path) -> Result<Login> {
        let text = std::fs::read(cache).map_err(|_| self.log_in("there is no SSO login"))?;
        serde_json::from_slice(&text).map_err(|_| self.log_in("the SSO login cannot be read"))
    }

    fn log_in(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::PermissionDenied, message)
            .with("profile", &self.profile)
            .hint(format!("aws sso login --profile {}", self.profile))
    }
}

fn lacks(profile: &str, key: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, "the profile lacks a value for SSO")
        .with("profile", profile)
        .with("lacks", key)
        .hint(format!("aws configure sso --profile {profile}"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[async_trait]
impl Lender for Sso {
    fn name(&self) -> &'static str {
        SERVICE
    }

    async fn lend(&self) -> Result<Lease> {
        let token = self.token()?;
        let headers = [("accept", "application/json"), ("x-amz-sso_bearer_token", token.expose_secret())];
        let request = fetch::get(&self.url, &headers)?;
        let answer = fetch::fetch(&self.client, SERVICE, request, Patience::SOME).await?;
        if answer.status.as_u16() == 401 {
            return Err(self.log_in("the SSO login is no longer valid"));
        }
        let answer = answer.good(SERVICE).map_err(|error| error.with("profile", &self.profile))?;
        answer.lease(&Fields::default())
    }
}

#[cfg(test)]
mod tests;
