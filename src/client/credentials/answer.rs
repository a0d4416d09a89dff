//! Reads keys out of JSON that somebody else shaped: the container format, its cousins in `snake_case` and in
//! nested objects, and with a mapping whatever there is.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{Lease, Place};
use crate::error::{Error, ErrorKind, Result};

/// What an answer can say, and how it is usually spelled, in lower case and without separators.
const KNOWN: &[(&str, &[&str])] = &[
    ("access_key_id", &["accesskeyid", "accesskey", "awsaccesskeyid"]),
    ("secret_access_key", &["secretaccesskey", "secretkey", "awssecretaccesskey"]),
    ("session_token", &["sessiontoken", "token", "securitytoken", "awssessiontoken"]),
    ("expiration", &["expiration", "expiry", "expires", "expiresat", "expiresin"]),
    ("bucket", &["bucket", "bucketname"]),
    ("endpoint_url", &["endpointurl", "endpoint"]),
    ("region", &["region", "regionname"]),
];

/// How deep an object with keys may stand.
const DEEPEST: usize = 8;

/// Where an answer has its values, for those that the usual spellings do not find.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// Reads pairs such as `secret_access_key=storage.secret_key`.
    ///
    /// # Errors
    ///
    /// `Usage` for a name that is not known.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let names = || KNOWN.iter().map(|(name, _)| *name);
        pairs(text, "credentials_fields")?
            .into_iter()
            .map(|(name, path)| match names().find(|known| *known == name) {
                Some(known) => Ok((known, path)),
                None => Err(Error::new(ErrorKind::Usage, "unknown field of an answer with keys")
                    .with("setting", "credentials_fields")
                    .with("field", name)
                    .hint(format!("known fields: {}", names().collect::<Vec<_>>().join(", ")))),
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    fn path(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, path)| path.as_str())
    }
}

/// Reads `NAME=VALUE,…`.
///
/// # Errors
///
/// `Usage`, without the text: a value may be a secret.
pub(super) fn pairs(text: &str, setting: &'static str) -> Result<Vec<(String, String)>> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(Error::new(ErrorKind::Usage, "a setting is not a list of name=value pairs")
            .with("setting", setting)
            .hint("for example bucket=lake,role=etl")),
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

/// Keys out of the JSON in `body`, answered `at` this time on the lender's clock.
///
/// # Errors
///
/// `InvalidData`, without anything of the body.
pub(super) fn lease(body: &[u8], at: DateTime<Utc>, fields: &Fields) -> Result<Lease> {
    // The parser's own message is left out: it may quote the body.
    let root: Value = serde_json::from_slice(body)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "the answer with keys is not JSON"))?;
    let answer = Answer { root: &root, fields, chain: chain(&root, fields) };
    let (key, secret) = (answer.required("access_key_id")?, answer.required("secret_access_key")?);
    let mut lease = Lease::of(key, secret, answer.text("session_token")?)?;
    lease.expires = answer.expires(at)?;
    let owned = |name| answer.text(name).map(|text| text.map(str::to_owned));
    lease.place =
        Place { bucket: owned("bucket")?, endpoint_url: owned("endpoint_url")?, region: owned("region")? };
    Ok(lease)
}

type Object = Map<String, Value>;

struct Answer<'a> {
    root: &'a Value,
    fields: &'a Fields,
    /// The object with the keys, and those around it, the innermost first.
    chain: Vec<&'a Object>,
}

impl<'a> Answer<'a> {
    /// The value of a field, with the name it goes by.
    fn value(&self, name: &'static str) -> Result<Option<(&'a str, &'a Value)>> {
        if let Some(path) = self.fields.path(name) {
            let key = path.rsplit('.').next().unwrap_or(path);
            let value = at_path(self.root, path).ok_or_else(|| {
                Error::new(ErrorKind::InvalidData, "the answer with keys lacks a field")
                    .with("field", name)
                    .with("path", path)
            })?;
            return Ok(Some((key, value)).filter(|(_, value)| !value.is_null()));
        }
        // A token further out is one for the service, not for storage.
        let near = if name.ends_with("token") || name.contains("key") { 1 } else { usize::MAX };
        Ok(self.chain.iter().take(near).find_map(|object| spelled(object, name)))
    }

    fn text(&self, name: &'static str) -> Result<Option<&'a str>> {
        match self.value(name)? {
            None => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(unfit(name)),
        }
    }

    fn required(&self, name: &'static str) -> Result<&'a str> {
        self.text(name)?.ok_or_else(|| {
            Error::new(ErrorKind::InvalidData, "the answer has no keys where they were looked for")
                .with("field", name)
                .hint("say where they are, as in --credentials-fields secret_access_key=storage.secret_key")
        })
    }

    fn expires(&self, at: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        match self.value("expiration")? {
            None => Ok(None),
            Some((_, Value::String(text))) if text.is_empty() => Ok(None),
            Some((key, value)) => moment(key, value, at).map(Some).ok_or_else(|| unfit("expiration")),
        }
    }
}

fn unfit(name: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, "a field of the answer with keys cannot be read").with("field", name)
}

/// What stands at a dotted path; a number is a place in a list.
fn at_path<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(root, |value, step| match value {
        Value::Object(object) => object.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn spelled<'a>(object: &'a Object, name: &str) -> Option<(&'a str, &'a Value)> {
    let spellings = KNOWN.iter().find(|(known, _)| *known == name)?.1;
    spellings.iter().find_map(|spelling| {
        let found = object.iter().find(|(key, value)| plain(key) == *spelling && !value.is_null())?;
        Some((found.0.as_str(), found.1))
    })
}

fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The objects from the one with the keys outwards: where the mapping says, else the first that has both keys.
fn chain<'a>(root: &'a Value, fields: &Fields) -> Vec<&'a Object> {
    let mut chain = match fields.path("secret_access_key") {
        Some(path) => objects_along(root, path),
        None => holder(root).unwrap_or_default(),
    };
    chain.reverse();
    chain
}

fn objects_along<'a>(root: &'a Value, path: &str) -> Vec<&'a Object> {
    let parents = path.match_indices('.').map(|(end, _)| at_path(root, &path[..end]));
    std::iter::once(Some(root)).chain(parents).flatten().filter_map(Value::as_object).collect()
}

/// The way to the outermost object with both keys. Where two stand side by side none is taken: somebody has to say
/// which.
fn holder(root: &Value) -> Option<Vec<&Object>> {
    let mut level: Vec<Vec<&Object>> = root.as_object().map(|object| vec![object]).into_iter().collect();
    for _ in 0..DEEPEST {
        let mut found = level.iter().filter(|way| way.last().is_some_and(|object| has_keys(object)));
        match (found.next(), found.next()) {
            (None, _) => level = level.iter().flat_map(|way| inner(way)).collect(),
            (Some(way), None) => return Some(way.clone()),
            _ => return None,
        }
    }
    None
}

fn has_keys(object: &Object) -> bool {
    spelled(object, "access_key_id").is_some() && spelled(object, "secret_access_key").is_some()
}

fn inner<'a>(way: &[&'a Object]) -> Vec<Vec<&'a Object>> {
    let objects = way.last().into_iter().flat_map(|object| object.values().filter_map(Value::as_object));
    objects.map(|object| [way, &[object]].concat()).collect()
}

/// A time as RFC 3339 or without a zone (UTC), as seconds or milliseconds since 1970, or as seconds from now.
fn moment(key: &str, value: &Value, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match value {
        Value::Number(number) => counted(key, number.as_i64().or_else(|| whole(number.as_f64()?))?, at),
        Value::String(text) => match text.parse::<i64>() {
            Ok(number) => counted(key, number, at),
            Err(_) => written(text),
        },
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: f64) -> Option<i64> {
    (0.0..1e15).contains(&number).then_some(number as i64)
}

fn counted(key: &str, number: i64, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // A moment before 2001 is a number of seconds from now; one after 5138 is in milliseconds.
    let from_now = plain(key).ends_with("in") || number < 1_000_000_000;
    match number {
        _ if from_now => at.checked_add_signed(TimeDelta::try_seconds(number)?),
        100_000_000_000.. => DateTime::from_timestamp_millis(number),
        _ => DateTime::from_timestamp(number, 0),
    }
}

/// The command line's cache writes `UTC` where others write `Z`.
pub(super) fn written(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let text = text.trim_end_matches("UTC").trim_end_matches('Z').replace(' ', "T");
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests;
