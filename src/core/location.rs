//! Names of places where data rests. A [`Location`] only names; a session opens.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// The kind of storage a location names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
#[non_exhaustive]
pub enum Scheme {
    /// A path on a local disk.
    File,
    /// Memory that lives as long as its session.
    Memory,
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// A web server.
    Https,
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "file" => Self::File,
            "memory" => Self::Memory,
            "s3" | "s3a" => Self::S3,
            "gs" => Self::Gs,
            "az" | "abfss" => Self::Az,
            "http" | "https" => Self::Https,
            _ => return None,
        })
    }
}

/// The name of a file, a set of files (by a glob pattern) or an object.
///
/// Anything without `scheme://` is a local path, taken as it is.
///
/// ```
/// use keyfold::{Location, Scheme};
///
/// let file: Location = "data/orders.parquet".parse()?;
/// assert_eq!(file.scheme(), Scheme::File);
/// let object: Location = "s3://lake/orders.parquet".parse()?;
/// assert_eq!(object.name(), "orders.parquet");
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Location(Place);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Path(PathBuf),
    Url(Scheme, String),
}

impl Location {
    /// Names a path on a local disk, without looking for `scheme://` in it.
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        Self(Place::Path(path.into()))
    }

    /// The kind of storage.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match &self.0 {
            Place::Path(_) => Scheme::File,
            Place::Url(scheme, _) => *scheme,
        }
    }

    /// The path, if the location is on a local disk.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Path(path) => Some(path),
            Place::Url(..) => None,
        }
    }

    /// The bucket (or container) and the key, exactly, if the location is in a store that keeps objects by key.
    /// Memory has no buckets.
    #[must_use]
    pub fn as_object(&self) -> Option<(&str, &str)> {
        let Place::Url(scheme, url) = &self.0 else { return None };
        let (_, rest) = url.split_once("://")?;
        match scheme {
            Scheme::File | Scheme::Https => None,
            Scheme::Memory => Some(("", rest.trim_start_matches('/'))),
            Scheme::S3 | Scheme::Gs | Scheme::Az => Some(rest.split_once('/').unwrap_or((rest, ""))),
        }
    }

    /// The whole URL on a web server, whatever secret may stand in it.
    pub(crate) fn exposed_web_url(&self) -> Option<&str> {
        match &self.0 {
            Place::Url(Scheme::Https, url) => Some(url),
            Place::Url(..) | Place::Path(_) => None,
        }
    }

    /// The location of another key in the same bucket.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        match &self.0 {
            Place::Path(_) => self.clone(),
            Place::Url(scheme, url) => {
                let head = url.split_once("://").map_or("", |(head, _)| head);
                let bucket = self.as_object().map_or("", |(bucket, _)| bucket);
                let slash = if bucket.is_empty() { "" } else { "/" };
                Self(Place::Url(*scheme, format!("{head}://{bucket}{slash}{key}")))
            }
        }
    }

    /// Whether the name ends with a slash, as that of a folder may.
    pub(crate) fn is_folder_name(&self) -> bool {
        match &self.0 {
            Place::Path(path) => path.to_string_lossy().ends_with('/'),
            Place::Url(_, url) => url.ends_with('/'),
        }
    }

    /// The last segment of the name, without query.
    #[must_use]
    pub fn name(&self) -> String {
        let whole = self.to_string();
        whole.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Whether the name is a glob pattern: it has `*`, `?` or `[`.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        match &self.0 {
            Place::Path(path) => path.to_string_lossy().contains(['*', '?', '[']),
            Place::Url(_, url) => url.contains(['*', '[']),
        }
    }

    /// Names `name` below this location; a full URL or an absolute path stands for itself.
    ///
    /// # Errors
    ///
    /// `Usage` for a URL of a scheme that is not known.
    pub fn join(&self, name: &str) -> Result<Self> {
        if name.contains("://") {
            return name.parse();
        }
        Ok(match &self.0 {
            Place::Path(path) => Self::from_path(path.join(name)),
            Place::Url(scheme, url) => {
                let name = name.trim_start_matches('/');
                Self(Place::Url(*scheme, format!("{}/{name}", url.trim_end_matches('/'))))
            }
        })
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "a location is empty").hint("name a file or a URL"));
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::from_path(text));
        };
        let known = Scheme::parse(scheme).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "unknown kind of location")
                .with("scheme", scheme)
                .hint("known: a path, file://, memory://, s3://, gs://, az://, abfss://, https://")
        })?;
        let authority =
            text.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
        if matches!(known, Scheme::S3 | Scheme::Gs) && authority.contains(['@', ':']) {
            // Not shown: it may be a secret.
            return Err(Error::new(ErrorKind::Usage, "this is not the name of a bucket")
                .hint("a URL is s3://bucket/key; keys to sign with are settings of their own"));
        }
        let signed = ["X-Amz-Signature=", "X-Goog-Signature=", "&sig=", "?sig="];
        if !matches!(known, Scheme::File | Scheme::Https) && signed.iter().any(|mark| text.contains(mark)) {
            return Err(Error::new(ErrorKind::Usage, "this looks like a presigned URL")
                .hint("give it as it is, with https://, to read what it is for"));
        }
        if known != Scheme::File {
            return Ok(Self(Place::Url(known, text.to_owned())));
        }
        Url::parse(text).ok().and_then(|url| url.to_file_path().ok()).map(Self::from_path).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "not a file URL").hint("a file URL is file:///path/to/file")
        })
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::from_path(path)
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::from_path(path)
    }
}

/// Prints without query and user information: both may hold a secret.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Path(path) => write!(f, "{}", path.display()),
            Place::Url(Scheme::Https, url) => f.write_str(&redacted(url)),
            // A key may hold any character, but what looks like a query may be that of a presigned URL.
            Place::Url(_, url) => match url.split_once('?') {
                Some((place, query)) if query.contains('=') => f.write_str(place),
                _ => f.write_str(url),
            },
        }
    }
}

/// A URL without query and user information. A password may hold a slash or a question mark that should have
/// been escaped, so all before the last `@` goes if there is a colon in it.
pub(crate) fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let rest = match rest.rsplit_once('@') {
        Some((user, place)) if user.contains(':') || !user.contains('/') => place,
        _ => rest,
    };
    let shown = rest.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { shown.to_owned() } else { format!("{scheme}://{shown}") }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        text.parse().expect("a location")
    }

    #[test]
    fn a_file_url_is_a_path() {
        assert_eq!(at("file:///tmp/a%20b.csv").as_path(), Some(Path::new("/tmp/a b.csv")));
    }

    #[test]
    fn queries_and_user_information_do_not_print() {
        let location = at("https://user:canary@host/a.csv?sig=canary");
        assert_eq!(format!("{location} {location:?}").matches("canary").count(), 0);
        assert_eq!(location.name(), "a.csv");
        for url in [
            "s3://lake/a.csv?X-Amz-Signature=canary",
            "s3://key:canary@bucket/a.csv",
            "s3://key:can/ary@bucket/a.csv",
            "gs://canary@b/a",
        ] {
            let error = url.parse::<Location>().expect_err("refused");
            assert!(!format!("{error:?}").contains("can"), "{error:?}");
        }
        for url in ["https://u:ca/nary?canary@host/a.csv", "https://u:can/ary@host/a"] {
            let shown = at(url).to_string();
            assert!(!shown.contains("can") && !shown.contains("ary"), "{shown}");
        }
        assert_eq!(at("s3://bucket/a@b.csv").to_string(), "s3://bucket/a@b.csv");
        assert_eq!(at("s3://bucket/a?b#c.csv").to_string(), "s3://bucket/a?b#c.csv");
    }

    #[test]
    fn a_key_is_taken_as_it_is() {
        assert_eq!(at("s3://lake/a//b c%20+?x").as_object(), Some(("lake", "a//b c%20+?x")));
        assert_eq!(at("s3://lake").as_object(), Some(("lake", "")));
        assert_eq!(at("memory://a/b.csv").as_object(), Some(("", "a/b.csv")));
        assert_eq!(at("memory:///b.csv").as_object(), Some(("", "b.csv")));
        assert_eq!(at("data/a.csv").as_object(), None);
        assert_eq!(at("s3://lake/*.csv").with_key("a/b.csv"), at("s3://lake/a/b.csv"));
        assert_eq!(at("memory://*.csv").with_key("a.csv"), at("memory://a.csv"));
    }

    #[test]
    fn join_keeps_full_urls() {
        assert_eq!(at("s3://lake/raw/").join("a.csv").expect("joins").to_string(), "s3://lake/raw/a.csv");
        assert_eq!(at("data").join("s3://x/y").expect("joins"), at("s3://x/y"));
        assert_eq!(at("data").join("a.csv").expect("joins"), at("data/a.csv"));
    }

    #[test]
    fn an_unknown_scheme_is_named() {
        let error = "ftp://x/y".parse::<Location>().expect_err("unknown");
        assert_eq!(error.to_string(), "unknown kind of location (scheme: ftp)");
    }
}
