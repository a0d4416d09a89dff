//! Lists of objects. Prefixes are raw strings, and keys are escaped on the wire so that each comes back as it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use http::Method;
use percent_encoding::percent_decode_str;

use super::{ObjectInfo, S3Client, xml};
use crate::error::{Error, ErrorKind, Result};

/// What stands in a folder: an object, or the prefix of several.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListEntry {
    /// An object.
    Object(ObjectInfo),
    /// What the keys of several objects begin with, up to a slash.
    Prefix(String),
}

/// Where a list is to go on.
enum Next {
    First,
    Token(String),
    End,
}

impl S3Client {
    /// All objects whose keys begin with `prefix`, a raw string, in the order of their keys' bytes. Pages are
    /// fetched as they are needed.
    #[must_use]
    pub fn list(&self, prefix: &str) -> BoxStream<'static, Result<ObjectInfo>> {
        let entries = self.entries(prefix, None);
        let objects = entries.try_filter_map(|entry| async move {
            Ok(match entry {
                ListEntry::Object(object) => Some(object),
                ListEntry::Prefix(_) => None,
            })
        });
        objects.boxed()
    }

    /// What stands directly below `prefix`: objects, and prefixes up to the next slash.
    #[must_use]
    pub fn list_folder(&self, prefix: &str) -> BoxStream<'static, Result<ListEntry>> {
        self.entries(prefix, Some("/"))
    }

    fn entries(
        &self,
        prefix: &str,
        delimiter: Option<&'static str>,
    ) -> BoxStream<'static, Result<ListEntry>> {
        let (client, prefix) = (self.clone(), prefix.to_owned());
        let pages = stream::try_unfold(Next::First, move |next| {
            let (client, prefix) = (client.clone(), prefix.clone());
            async move {
                let token = match next {
                    Next::First => None,
                    Next::Token(token) => Some(token),
                    Next::End => return Ok(None),
                };
                let (entries, token) = client.page(&prefix, delimiter, token).await?;
                let next = token.map_or(Next::End, Next::Token);
                Ok::<_, Error>(Some((stream::iter(entries.into_iter().map(Ok)), next)))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        token: Option<String>,
    ) -> Result<(Vec<ListEntry>, Option<String>)> {
        let request = self
            .bucket_request(Method::GET)?
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("prefix", prefix)
            .maybe_query("delimiter", delimiter.map(str::to_owned))
            .maybe_query("continuation-token", token.clone());
        let page: xml::ListBucketResult = xml::read(&request.fetch().await?)?;
        let escaped = page.encoding_type.as_deref() == Some("url");
        let mut entries = Vec::with_capacity(page.contents.len() + page.common_prefixes.len());
        for found in page.common_prefixes {
            entries.push(ListEntry::Prefix(unescaped(&found.prefix, escaped)?));
        }
        for found in page.contents {
            entries.push(ListEntry::Object(ObjectInfo {
                key: unescaped(&found.key, escaped)?,
                size: found.size,
                last_modified: timestamp(&found.last_modified),
                e_tag: found.e_tag,
                content_type: None,
                metadata: BTreeMap::new(),
            }));
        }
        let next = page.next_continuation_token.filter(|next| !next.is_empty());
        // A list that ends too early would be taken for all there is.
        if page.is_truncated == Some(true) && (next.is_none() || next == token) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the service cuts off its list, and does not say how to go on",
            )
            .with("prefix", self.named(prefix))
            .hint("it may know the first version of lists only; name each object"));
        }
        Ok((entries, next))
    }
}

/// A key as it is. In lists, a space is escaped as a plus sign by some services and as `%20` by others; a plus sign
/// itself is `%2B` in both.
pub(super) fn unescaped(key: &str, escaped: bool) -> Result<String> {
    if !escaped {
        return Ok(key.to_owned());
    }
    let spaced = key.replace('+', "%20");
    percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned).map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "the key of an object is not UTF-8")
            .with("key", key)
            .because(cause)
    })
}

/// A moment as lists tell it.
pub(super) fn timestamp(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_are() {
        for (escaped, key) in
            [("a%2F%2Fb", "a//b"), ("x+y%2Bz", "x y+z"), ("100%25", "100%"), ("%C3%A4", "ä")]
        {
            assert_eq!(unescaped(escaped, true).expect("a key"), key);
        }
        assert_eq!(unescaped("x+y%2Bz", false).expect("a key"), "x+y%2Bz");
        assert!(unescaped("%FF", true).is_err());
    }
}
