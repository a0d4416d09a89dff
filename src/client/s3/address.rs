//! Where a bucket and a key are on the network: path style or virtual-hosted style, and the one way in which a
//! key stands in a URL.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::client::credentials::Place;
use crate::client::http::{Plain, service_url};
use crate::client::s3_settings::S3Settings;
use crate::error::{Error, ErrorKind, Result};

/// What has to be escaped in a path: all but letters, digits, `-_.~` and the slash.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// What has to be escaped in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const DEFAULT_REGION: &str = "us-east-1";

/// The longest key that S3 takes, in bytes.
const LONGEST_KEY: usize = 1024;

/// The service, and how buckets are named in its URLs.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    base: Url,
    pub(super) region: String,
    path_style: bool,
    /// The service is that of AWS itself.
    pub(super) is_aws: bool,
    /// What the settings say of the service.
    said: S3Settings,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    Service,
    Bucket(&'a str),
    Object(&'a str, &'a str),
}

impl Endpoint {
    /// # Errors
    ///
    /// `Usage` for a URL that cannot be used.
    pub(super) fn new(settings: &S3Settings) -> Result<Self> {
        let region = settings.region.clone().unwrap_or_else(|| DEFAULT_REGION.to_owned());
        check_region(&region)?;
        let plain = if settings.allow_http == Some(true) { Plain::Anywhere } else { Plain::Loopback };
        let (base, own) = match &settings.endpoint_url {
            Some(url) => (url.trim_end_matches('/').to_owned(), true),
            None => (vendor(&region), false),
        };
        let base = service_url(&base, "endpoint_url", plain)?;
        if base.query().is_some() || base.fragment().is_some() || !base.username().is_empty() {
            return Err(Error::new(
                ErrorKind::Usage,
                "the URL of the service has more than a host and a path",
            )
            .with("setting", "endpoint_url")
            .hint("keys are settings of their own"));
        }
        let is_aws = base.host_str().is_some_and(is_vendor);
        let path_style = settings.path_style.unwrap_or(own && !is_aws);
        let said = S3Settings {
            endpoint_url: settings.endpoint_url.clone(),
            region: settings.region.clone(),
            path_style: settings.path_style,
            allow_http: settings.allow_http,
            ..S3Settings::default()
        };
        Ok(Self { base, region, path_style, is_aws, said })
    }

    /// The service that keys were lent for, as far as the settings leave it open.
    ///
    /// # Errors
    ///
    /// `Usage` for a URL that cannot be used.
    pub(super) fn lent(&self, place: &Place) -> Result<Cow<'_, Self>> {
        let lent = S3Settings {
            endpoint_url: place.endpoint_url.clone(),
            region: place.region.clone(),
            ..S3Settings::default()
        };
        let both = self.said.clone().or(lent);
        if (&both.endpoint_url, &both.region) == (&self.said.endpoint_url, &self.said.region) {
            return Ok(Cow::Borrowed(self));
        }
        Self::new(&both).map(Cow::Owned)
    }

    /// The URL of `target` with the parameters of `query`.
    ///
    /// # Errors
    ///
    /// `Usage` for a name or a key that no URL can carry.
    pub(super) fn url(&self, target: Target<'_>, query: &[(&str, String)]) -> Result<Url> {
        let (bucket, key) = match target {
            Target::Service => (None, ""),
            Target::Bucket(bucket) => (Some(bucket), ""),
            Target::Object(bucket, key) => (Some(bucket), key),
        };
        let mut base = self.base.clone();
        let mut path = base.path().trim_end_matches('/').to_owned();
        if let Some(bucket) = bucket {
            check_bucket(bucket)?;
            if self.is_in_path(bucket) {
                path = format!("{path}/{bucket}");
            } else {
                let host = format!("{bucket}.{}", base.host_str().unwrap_or_default());
                base.set_host(Some(&host)).map_err(|_| bad_bucket(bucket))?;
            }
        }
        if matches!(target, Target::Object(..)) {
            check_key(key)?;
        }
        // A bucket in the path needs no slash behind it, but the root does.
        let path = match (key.is_empty(), path.is_empty()) {
            (true, true) => "/".to_owned(),
            (true, false) => path,
            (false, _) => format!("{path}/{}", utf8_percent_encode(key, PATH)),
        };
        base.set_path(&path);
        base.set_query(query_string(query).as_deref());
        Ok(base)
    }

    /// A name with a dot would not match the certificate of the host.
    fn is_in_path(&self, bucket: &str) -> bool {
        // Nor would a host keep capital letters, which old buckets may have.
        self.path_style || bucket.contains('.') || bucket.contains(|letter: char| letter.is_ascii_uppercase())
    }
}

fn query_string(query: &[(&str, String)]) -> Option<String> {
    let pair = |(name, value): &(&str, String)| {
        format!("{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(value, QUERY))
    };
    (!query.is_empty()).then(|| query.iter().map(pair).collect::<Vec<_>>().join("&"))
}

/// `value` as it stands in a query, for signatures over one.
pub(super) fn query_escaped(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

/// A bucket and a key as a header names the source of a copy.
pub(super) fn copy_source(bucket: &str, key: &str) -> String {
    format!("{bucket}/{}", utf8_percent_encode(key, PATH))
}

/// A region goes into host names and headers.
fn check_region(region: &str) -> Result<()> {
    if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Error::new(ErrorKind::Usage, "this is not the name of a region")
            .with("region", region.escape_default())
            .hint("for example eu-west-1"));
    }
    Ok(())
}

fn vendor(region: &str) -> String {
    let tail = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://s3.{region}.amazonaws.com{tail}")
}

/// Whether a host is one of S3 itself: others, too, have names below amazonaws.com, such as a machine that runs a
/// service of its own.
fn is_vendor(host: &str) -> bool {
    let own = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
    let names_s3 = |part: &str| part == "s3" || part.starts_with("s3-");
    own.is_some_and(|own| own.split('.').any(names_s3) && !own.split('.').any(|part| part == "elb"))
}

/// Refuses names that would change the meaning of a URL; the rest is for the service to judge.
fn check_bucket(bucket: &str) -> Result<()> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if bucket.is_empty() || !bucket.bytes().all(fine) || bucket.starts_with('.') {
        return Err(bad_bucket(bucket));
    }
    Ok(())
}

fn bad_bucket(bucket: &str) -> Error {
    Error::new(ErrorKind::Usage, "this is not the name of a bucket")
        .with("bucket", bucket)
        .hint("3 to 63 lower-case letters, digits, dots and dashes")
}

fn check_key(key: &str) -> Result<()> {
    let bad = |message: &'static str| Error::new(ErrorKind::Usage, message).with("key", key);
    if key.is_empty() {
        return Err(bad("a key is empty").hint("name an object in the bucket"));
    }
    if key.len() > LONGEST_KEY {
        return Err(bad("a key is longer than 1024 bytes"));
    }
    // URLs are normalised on their way: `a/../b` would name another object.
    if key.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(
            bad("a key has . or .. between slashes, which no URL can carry").hint("rename the object")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::new(&S3Settings::default().with_endpoint_url(url)).expect("an endpoint")
    }

    fn at(endpoint: &Endpoint, key: &str) -> String {
        endpoint.url(Target::Object("lake", key), &[]).expect("a url").to_string()
    }

    #[test]
    fn keys_stand_in_a_url_as_they_are() {
        let endpoint = endpoint("http://127.0.0.1:9000/");
        for (key, path) in [
            ("a//b", "a//b"),
            ("x y+z", "x%20y%2Bz"),
            ("100%", "100%25"),
            ("ä", "%C3%A4"),
            ("/a", "/a"),
            ("a?b#c", "a%3Fb%23c"),
            ("a/", "a/"),
        ] {
            assert_eq!(at(&endpoint, key), format!("http://127.0.0.1:9000/lake/{path}"));
        }
        for key in ["", "a/../b", ".", &"x".repeat(1025)] {
            assert!(endpoint.url(Target::Object("lake", key), &[]).is_err(), "{key}");
        }
    }

    #[test]
    fn the_bucket_is_in_the_host_of_aws_and_in_the_path_elsewhere() {
        let aws = Endpoint::new(&S3Settings::default().with_region("eu-west-1")).expect("an endpoint");
        assert_eq!(at(&aws, "a"), "https://lake.s3.eu-west-1.amazonaws.com/a");
        let dotted = aws.url(Target::Bucket("my.lake"), &[("location", String::new())]).expect("a url");
        assert_eq!(dotted.as_str(), "https://s3.eu-west-1.amazonaws.com/my.lake?location=");
        let service = endpoint("https://host/s3").url(Target::Service, &[]).expect("a url");
        assert_eq!(service.as_str(), "https://host/s3");
        assert!(aws.is_aws && !endpoint("https://host").is_aws);
        let elsewhere =
            ["https://lb.us-east-1.elb.amazonaws.com", "https://ec2-1.compute-1.amazonaws.com:9000"];
        assert!(elsewhere.iter().all(|url| !endpoint(url).is_aws));
        assert_eq!(
            aws.url(Target::Object("Lake", "a"), &[]).expect("a url").as_str(),
            "https://s3.eu-west-1.amazonaws.com/Lake/a"
        );
    }

    #[test]
    fn a_lender_says_where_the_service_is_only_if_nobody_else_does() {
        let place = Place {
            endpoint_url: Some("https://lent.example".to_owned()),
            region: Some("lent".to_owned()),
            ..Place::default()
        };
        let open = Endpoint::new(&S3Settings::default()).expect("an endpoint");
        let lent = open.lent(&place).expect("an endpoint");
        assert_eq!((at(&lent, "a").as_str(), lent.region.as_str()), ("https://lent.example/lake/a", "lent"));
        assert!(open.is_aws && !lent.is_aws);
        let said = endpoint("https://said.example");
        let lent = said.lent(&place).expect("an endpoint");
        assert_eq!((at(&lent, "a").as_str(), lent.region.as_str()), ("https://said.example/lake/a", "lent"));
        assert!(matches!(said.lent(&Place::default()), Ok(Cow::Borrowed(_))));
        let plain = Place { endpoint_url: Some("http://lent.example".to_owned()), ..Place::default() };
        assert!(open.lent(&plain).is_err(), "keys would travel in the clear");
    }

    #[test]
    fn names_that_are_no_buckets_and_no_regions_are_refused() {
        let own = endpoint("https://host");
        for bucket in ["", "a/b", "a?b", "..", "a b"] {
            assert!(own.url(Target::Bucket(bucket), &[]).is_err(), "{bucket}");
        }
        for region in ["evil.example/", "eu-west-1\n", "é", ""] {
            let settings = S3Settings::default().with_region(region);
            assert!(Endpoint::new(&settings).is_err());
            assert!(Endpoint::new(&settings.with_endpoint_url("http://127.0.0.1:9")).is_err());
        }
    }
}
