//! The metadata service of an EC2 instance, in its second version; asked only once and briefly, because most
//! machines have none and would hang.

use async_trait::async_trait;
use object_store::client::HttpClient;
use url::Url;

use super::answer::Fields;
use super::environment::Environment;
use super::fetch::{self, Answer, Method, Patience};
use super::{Lease, Lender};
use crate::client::http::{self, Plain};
use crate::error::{Error, ErrorKind, Result};

const SERVICE: &str = "instance metadata";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";

#[derive(Debug)]
pub(super) struct Instance {
    client: HttpClient,
    endpoint: Url,
}

impl Instance {
    /// The service, unless the environment says that it is not to be asked.
    ///
    /// # Errors
    ///
    /// `Usage` for an endpoint that would send keys in the clear.
    pub(super) fn find(environment: &Environment, http: &HttpClient) -> Result<Option<Self>> {
        if environment.is_true("AWS_EC2_METADATA_DISABLED") {
            return Ok(None);
        }
        let endpoint = endpoint(environment)?;
        Ok(Some(Self { client: fetch::client_for(http, &endpoint)?, endpoint }))
    }

    async fn ask(&self, method: Method, path: &str, header: (&'static str, &str)) -> Result<Answer> {
        let url = self.endpoint.join(path).map_err(|_| wrong())?;
        let request = fetch::request(method, &url, &[header], Vec::new())?;
        fetch::fetch(&self.client, SERVICE, request, Patience::NONE).await?.good(SERVICE)
    }
}

fn endpoint(environment: &Environment) -> Result<Url> {
    let ipv6 = environment
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let usual = if ipv6 { "http://[fd00:ec2::254]/" } else { "http://169.254.169.254/" };
    let text = environment.get(ENDPOINT).unwrap_or(usual);
    let mut url = http::service_url(text, ENDPOINT, Plain::Anywhere)?;
    if !fetch::is_link_local(&url) {
        http::service_url(text, ENDPOINT, Plain::Loopback)?;
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

#[async_trait]
impl Lender for Instance {
    fn name(&self) -> &'static str {
        SERVICE
    }

    async fn lend(&self) -> Result<Lease> {
        let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
        let token = self.ask(Method::PUT, "latest/api/token", lifetime).await?;
        let token = std::str::from_utf8(&token.body).map_err(|_| wrong())?;
        let token = ("x-aws-ec2-metadata-token", token.trim());
        let roles = self.ask(Method::GET, ROLES, token).await?;
        let role = role(&roles.body).ok_or_else(wrong)?;
        let answer = self.ask(Method::GET, &format!("{ROLES}{role}"), token).await?;
        answer.lease(&Fields::default())
    }
}

/// The first role; its name becomes part of a URL.
fn role(body: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(body).ok()?.lines().next()?.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    (!name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)).then_some(name)
}

fn wrong() -> Error {
    Error::new(ErrorKind::InvalidData, "the metadata service does not answer as one").with("service", SERVICE)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::super::server::{Reply, Seen, Server, http, run};
    use super::*;

    fn metadata(seen: &Seen) -> Reply {
        let token = seen.header("x-aws-ec2-metadata-token");
        match (seen.method.as_str(), seen.target.as_str()) {
            ("PUT", "/latest/api/token") => Reply::text("session"),
            ("GET", "/latest/meta-data/iam/security-credentials/") if token == Some("session") => {
                Reply::text("etl-role\n")
            }
            ("GET", "/latest/meta-data/iam/security-credentials/etl-role") if token == Some("session") => {
                Reply::json(
                    r#"{"Code":"Success","AccessKeyId":"AK","SecretAccessKey":"SK","Token":"ST","Expiration":"2199-01-01T00:00:00Z"}"#,
                )
            }
            _ => Reply::status(401),
        }
    }

    fn at(url: &str) -> Instance {
        Instance::find(&Environment::new([(ENDPOINT, url)], None), &http()).expect("read").expect("there")
    }

    #[test]
    fn keys_come_with_a_session_token() {
        let server = Server::start(metadata);
        let lease = run(at(&server.url("")).lend()).expect("keys");
        assert_eq!((lease.credential.key_id.as_str(), lease.credential.token.as_deref()), ("AK", Some("ST")));
        assert_eq!(server.seen().len(), 3);
    }

    #[test]
    fn a_machine_without_the_service_does_not_hang() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let start = Instant::now();
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        let error = run(at(&url).lend()).expect_err("nobody answers");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert_eq!(error.message(), "the service that lends keys did not answer in time");
    }

    #[test]
    fn it_is_not_asked_where_it_is_disabled_or_would_be_spoken_to_in_the_clear() {
        let find = |name, value| Instance::find(&Environment::new([(name, value)], None), &http());
        assert!(find("AWS_EC2_METADATA_DISABLED", "TRUE").expect("read").is_none());
        assert!(find(ENDPOINT, "http://metadata.example").is_err());
        assert!(find("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6").expect("read").is_some());
    }

    #[test]
    fn the_name_of_a_role_cannot_lead_elsewhere() {
        assert_eq!(role(b"etl\nother\n"), Some("etl"));
        for name in ["", "../../x", "a/b", "a?b", "http://h"] {
            assert_eq!(role(name.as_bytes()), None, "{name}");
        }
    }
}
