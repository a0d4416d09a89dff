//! The endpoint that ECS, EKS and their like offer to what runs in a container.

use std::fmt;

use async_trait::async_trait;
use object_store::client::HttpClient;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::answer::Fields;
use super::environment::Environment;
use super::fetch::{self, Patience};
use super::vending::token_in;
use super::{Lease, Lender};
use crate::client::http::{self, Plain};
use crate::error::Result;

const SERVICE: &str = "container endpoint";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// The hosts at which plain HTTP does not leave the machine.
const LOCAL: &[&str] = &["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

pub(super) struct Container {
    client: HttpClient,
    url: Url,
    environment: Environment,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Container {
    /// The endpoint that the environment names, if it names one.
    ///
    /// # Errors
    ///
    /// `Usage` for a URL that would send the token in the clear.
    pub(super) fn find(environment: &Environment, http: &HttpClient) -> Result<Option<Self>> {
        let Some(url) = url(environment)? else { return Ok(None) };
        let client = fetch::client_for(http, &url)?;
        Ok(Some(Self { client, url, environment: environment.clone() }))
    }

    /// Read anew each time: the token of a pod changes.
    fn token(&self) -> Result<Option<SecretString>> {
        match (self.environment.get(TOKEN_FILE), self.environment.get(TOKEN)) {
            (Some(file), _) => token_in(&self.environment.path(file)).map(Some),
            (None, token) => Ok(token.map(|token| token.to_owned().into())),
        }
    }
}

fn url(environment: &Environment) -> Result<Option<Url>> {
    if let Some(path) = environment.get(RELATIVE) {
        // The slash ends the host, so that what follows cannot name another.
        let url = format!("http://169.254.170.2/{}", path.trim_start_matches('/'));
        return http::service_url(&url, RELATIVE, Plain::Anywhere).map(Some);
    }
    let Some(text) = environment.get(FULL) else { return Ok(None) };
    let url = http::service_url(text, FULL, Plain::Anywhere)?;
    let local = url.host_str().is_some_and(|host| LOCAL.contains(&host));
    if local { Ok(Some(url)) } else { http::service_url(text, FULL, Plain::Loopback).map(Some) }
}

#[async_trait]
impl Lender for Container {
    fn name(&self) -> &'static str {
        SERVICE
    }

    async fn lend(&self) -> Result<Lease> {
        let token = self.token()?;
        let mut headers = vec![("accept", "application/json")];
        headers.extend(token.as_ref().map(|token| ("authorization", token.expose_secret())));
        let request = fetch::get(&self.url, &headers)?;
        let answer = fetch::fetch(&self.client, SERVICE, request, Patience::SOME).await?.good(SERVICE)?;
        answer.lease(&Fields::default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::{Reply, Server, http, run};
    use super::*;
    use crate::error::ErrorKind;

    const KEYS: &str =
        r#"{"AccessKeyId":"AK","SecretAccessKey":"SK","Token":"ST","Expiration":"2199-01-01T00:00:00Z"}"#;

    #[test]
    fn keys_come_from_the_full_url_with_the_token_as_it_is() {
        let server = Server::start(|_| Reply::json(KEYS));
        let environment = Environment::new([(FULL, server.url("/v1").as_str()), (TOKEN, "canary")], None);
        let container = Container::find(&environment, &http()).expect("read").expect("there");
        let lease = run(container.lend()).expect("keys");
        assert_eq!((lease.credential.key_id.as_str(), lease.credential.token.as_deref()), ("AK", Some("ST")));
        assert_eq!(lease.expires.map(|at| at.timestamp()), Some(7_226_582_400));
        assert_eq!(server.seen()[0].header("authorization"), Some("canary"));
    }

    #[test]
    fn the_file_with_the_token_wins_and_is_read_anew() {
        let server = Server::start(|_| Reply::json(KEYS));
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_string_lossy().into_owned();
        let vars = [(FULL, server.url("/").as_str()), (TOKEN, "stale"), (TOKEN_FILE, path.as_str())]
            .map(|(name, value)| (name, value.to_owned()));
        let environment = Environment::new(vars.iter().map(|(name, value)| (*name, value.as_str())), None);
        let container = Container::find(&environment, &http()).expect("read").expect("there");
        for token in ["one", "two"] {
            std::fs::write(file.path(), format!("{token}\n")).expect("write");
            run(container.lend()).expect("keys");
        }
        let sent: Vec<_> =
            server.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
        assert_eq!(sent, [Some("one".to_owned()), Some("two".to_owned())]);
    }

    #[test]
    fn the_token_leaves_the_machine_only_encrypted() {
        let at = |name, value| url(&Environment::new([(name, value)], None)).map(|url| url.map(String::from));
        assert_eq!(
            at(RELATIVE, "/v2/x?id=1").ok().flatten().as_deref(),
            Some("http://169.254.170.2/v2/x?id=1")
        );
        assert_eq!(at(RELATIVE, "@evil/").ok().flatten().as_deref(), Some("http://169.254.170.2/@evil/"));
        for local in
            ["http://169.254.170.23/v1", "http://[fd00:ec2::23]/v1", "http://localhost:1/", "https://h/"]
        {
            assert_eq!(at(FULL, local).ok().flatten().as_deref(), Some(local));
        }
        for remote in ["http://h/", "http://169.254.170.2.h/", "http://169.254.169.254/", "ftp://localhost/"]
        {
            assert_eq!(at(FULL, remote).map_err(|error| error.kind()), Err(ErrorKind::Usage), "{remote}");
        }
    }
}
