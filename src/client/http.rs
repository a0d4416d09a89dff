//! The one way out to the network: a pool of connections that follows no redirects, because a redirect would
//! carry tokens to another host, and that speaks plain HTTP only to this machine or where it was allowed.

use std::net::IpAddr;
use std::time::Duration;

use object_store::client::HttpClient;
use url::{Host, Url};

use crate::core::location::redacted;
use crate::error::{Error, ErrorKind, Result};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The same for what is a step away or not there at all.
const CONNECT_NEAR: Duration = Duration::from_secs(1);

/// How long a peer may be silent.
#[cfg(any(feature = "gcs", feature = "azure", feature = "http"))]
const SILENCE: Duration = Duration::from_mins(5);

/// Which hosts may be spoken to without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// This machine.
    Loopback,
    /// Every host: it was asked for.
    Anywhere,
}

/// A pool of connections; they are opened when they are first used. How long to wait for an answer is for the caller to
/// say: the pool's own limit would count while a large part is still being sent.
///
/// # Errors
///
/// `Io` if the system's certificates cannot be read.
pub(crate) fn connect() -> Result<HttpClient> {
    open(builder().connect_timeout(CONNECT))
}

/// Connections that are given up when the peer is silent for minutes, for code that does not measure that itself: long
/// enough for a large body that is being sent.
///
/// # Errors
///
/// `Io` if the system's certificates cannot be read.
#[cfg(any(feature = "gcs", feature = "azure", feature = "http"))]
pub(crate) fn connect_patient() -> Result<HttpClient> {
    open(builder().connect_timeout(CONNECT).read_timeout(SILENCE))
}

/// Connections to what stands on this machine or beside it: past every proxy, which would see the keys that
/// travel here in the clear, and given up at once.
///
/// # Errors
///
/// `Io` if the system's certificates cannot be read.
pub(crate) fn connect_near() -> Result<HttpClient> {
    open(builder().no_proxy().connect_timeout(CONNECT_NEAR))
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("keyfold/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .http1_only()
        // What is stored compressed has to arrive as it is stored.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
}

fn open(builder: reqwest::ClientBuilder) -> Result<HttpClient> {
    let client = builder.build().map_err(|cause| {
        Error::new(ErrorKind::Io, "cannot set up connections").because(cause.without_url())
    })?;
    Ok(HttpClient::new(client))
}

/// Reads the URL of a service, and refuses one that would send secrets in the clear.
///
/// # Errors
///
/// `Usage`, without what may be secret in the URL.
pub(crate) fn service_url(text: &str, setting: &'static str, plain: Plain) -> Result<Url> {
    let wrong = |message: &'static str| {
        Error::new(ErrorKind::Usage, message).with("setting", setting).with("url", redacted(text))
    };
    let url =
        Url::parse(text).map_err(|_| wrong("this is not a URL").hint("for example https://host:9000"))?;
    match url.scheme() {
        "https" => {}
        "http" if plain == Plain::Anywhere || is_loopback(&url) => {}
        "http" => {
            return Err(wrong("this service would be spoken to without encryption")
                .hint("use https://, or allow it with --allow-http (AWS_ALLOW_HTTP=true)"));
        }
        _ => return Err(wrong("this is not a URL of a web service").hint("it starts with https://")),
    }
    if url.host().is_none() {
        return Err(wrong("this URL names no host"));
    }
    Ok(url)
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        let url = |text, plain| service_url(text, "endpoint_url", plain).map(|_| ());
        for text in ["https://s3.example", "http://127.0.0.1:9000", "http://localhost:1", "http://[::1]:1"] {
            assert!(url(text, Plain::Loopback).is_ok(), "{text}");
        }
        for text in ["http://s3.example", "http://127.0.0.1.example", "ftp://127.0.0.1", "s3.example", ""] {
            assert!(url(text, Plain::Loopback).is_err(), "{text}");
        }
        assert!(url("http://s3.example", Plain::Anywhere).is_ok());
    }

    #[test]
    fn secrets_in_a_url_are_not_told() {
        let error = service_url("http://user:canary@host/?canary", "endpoint_url", Plain::Loopback);
        assert!(!format!("{:?}", error.expect_err("refused")).contains("canary"));
    }
}
