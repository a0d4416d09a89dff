//! A service that, given a token and names, lends temporary keys: the format of containers, or any other with a
//! small mapping.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use object_store::client::{HttpClient, HttpRequest};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::answer::{self, Fields};
use super::fetch::{self, Method, Patience};
use super::{Lease, Lender};
use crate::client::http::{self, Plain};
use crate::client::s3_settings::S3Settings;
use crate::error::{Error, ErrorKind, Result};

const SERVICE: &str = "credentials service";

pub(super) struct Vending {
    client: HttpClient,
    url: Url,
    /// What is posted as JSON: the parameters that the URL has no place for.
    posted: Vec<(String, String)>,
    token: Option<SecretString>,
    token_file: Option<PathBuf>,
    fields: Fields,
}

/// The path and query of the URL may be as secret as the token.
impl fmt::Debug for Vending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vending").field("host", &self.host()).finish_non_exhaustive()
    }
}

impl Vending {
    /// The service at `url`, if it may be spoken to.
    ///
    /// # Errors
    ///
    /// `Usage` for settings that cannot be read.
    pub(super) fn new(url: &str, settings: &S3Settings, http: &HttpClient, plain: Plain) -> Result<Self> {
        let params = settings.credentials_params.as_ref().map_or("", ExposeSecret::expose_secret);
        let params = answer::pairs(params, "credentials_params")?;
        let (url, posted) = filled(url, params);
        if url.contains('{') {
            return Err(Error::new(ErrorKind::Usage, "a name in the URL has no value")
                .with("setting", "credentials_url")
                .hint("give it in credentials_params, as in bucket=lake"));
        }
        let url = http::service_url(&url, "credentials_url", plain)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::new(ErrorKind::Usage, "a URL is no place for a password")
                .with("setting", "credentials_url")
                .hint("set credentials_token; 'Basic …' is sent as it is, others as bearer tokens"));
        }
        Ok(Self {
            client: fetch::client_for(http, &url)?,
            url,
            posted,
            token: settings.credentials_token.clone(),
            token_file: settings.credentials_token_file.as_ref().map(PathBuf::from),
            fields: Fields::parse(settings.credentials_fields.as_deref().unwrap_or_default())?,
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }

    fn authorization(&self) -> Result<Option<SecretString>> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(file)) => token_in(file)?,
            (None, None) => return Ok(None),
        };
        let token = token.expose_secret();
        Ok(Some(if token.contains(' ') { token.to_owned() } else { format!("Bearer {token}") }.into()))
    }

    fn request(&self) -> Result<HttpRequest> {
        let authorization = self.authorization()?;
        let mut headers = vec![("accept", "application/json")];
        headers.extend(authorization.as_ref().map(|value| ("authorization", value.expose_secret())));
        if self.posted.is_empty() {
            return fetch::get(&self.url, &headers);
        }
        headers.push(("content-type", "application/json"));
        let body: serde_json::Map<_, _> =
            self.posted.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        fetch::request(Method::POST, &self.url, &headers, serde_json::Value::from(body).to_string().into())
    }
}

#[async_trait]
impl Lender for Vending {
    fn name(&self) -> &'static str {
        SERVICE
    }

    async fn lend(&self) -> Result<Lease> {
        let answer = fetch::fetch(&self.client, SERVICE, self.request()?, Patience::SOME).await?;
        let answer = answer.good(SERVICE).map_err(|error| self.explain(error))?;
        answer.lease(&self.fields).map_err(|error| self.explain(error))
    }
}

impl Vending {
    fn explain(&self, error: Error) -> Error {
        let denied = error.kind() == ErrorKind::PermissionDenied;
        let error = error.with("host", self.host());
        if denied { error.hint("check credentials_token, or the file with it") } else { error }
    }
}

/// The URL with each `{name}` in it replaced by its parameter, and the parameters that it has no place for.
fn filled(url: &str, params: Vec<(String, String)>) -> (String, Vec<(String, String)>) {
    let mut url = url.to_owned();
    let mut rest = Vec::new();
    for (name, value) in params {
        let place = format!("{{{name}}}");
        if url.contains(&place) {
            url = url.replace(&place, &utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string());
        } else {
            rest.push((name, value));
        }
    }
    (url, rest)
}

/// A token that somebody else keeps fresh in a file.
///
/// # Errors
///
/// What reading the file says, with its path.
pub(super) fn token_in(file: &std::path::Path) -> Result<SecretString> {
    let text = std::fs::read_to_string(file).map_err(|cause| {
        Error::io("cannot read the file with the token", cause).with("file", file.display())
    })?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Error::new(ErrorKind::InvalidData, "the file with the token is empty")
            .with("file", file.display()));
    }
    Ok(token.to_owned().into())
}

#[cfg(test)]
mod tests;
