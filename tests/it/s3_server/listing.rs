//! Lists of objects, in pages, in the order of the keys' bytes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object as ListedObject, ObjectStorageClass,
};
use s3s::{S3Result, s3_error};

use super::shared::Shared;
use super::store::{Object, hex};

/// AWS gives no more than this in one page, whatever is asked.
const MOST: i32 = 1000;

/// What is asked for.
struct Walk<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    /// Only keys behind this one.
    after: &'a str,
    /// The key or common prefix with which the page before ended.
    told: Option<&'a str>,
    most: usize,
}

/// What is told.
#[derive(Default)]
struct Page {
    objects: Vec<(String, Arc<Object>)>,
    prefixes: Vec<String>,
    /// The last key or common prefix in the page.
    last: Option<String>,
    truncated: bool,
}

impl Walk<'_> {
    fn page(&self, objects: &BTreeMap<String, Arc<Object>>) -> Page {
        let mut page = Page::default();
        let first = if self.after.is_empty() { Bound::Unbounded } else { Bound::Excluded(self.after) };
        let first = if self.prefix > self.after { Bound::Included(self.prefix) } else { first };
        let keys = objects.range::<str, _>((first, Bound::Unbounded));
        for (key, object) in keys.take_while(|(key, _)| key.starts_with(self.prefix)) {
            let common = self.common(key);
            let known = common.is_some_and(|it| page.last.as_deref().or(self.told) == Some(it));
            if known {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == self.most {
                page.truncated = self.most > 0;
                break;
            }
            page.last = Some(common.unwrap_or(key).to_owned());
            match common {
                Some(common) => page.prefixes.push(common.to_owned()),
                None => page.objects.push((key.clone(), Arc::clone(object))),
            }
        }
        page
    }

    /// What a key has in common with its neighbours, up to the first delimiter behind the prefix.
    fn common<'k>(&self, key: &'k str) -> Option<&'k str> {
        let rest = key.get(self.prefix.len()..).filter(|_| !self.delimiter.is_empty())?;
        rest.find(self.delimiter).map(|at| &key[..self.prefix.len() + at + self.delimiter.len()])
    }
}

pub(crate) fn list_v2(shared: &Shared, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let told = input.continuation_token.as_deref().map(key_of).transpose()?;
    let start = input.start_after.clone().unwrap_or_default();
    let walk = Walk {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: told.as_deref().unwrap_or(&start),
        told: told.as_deref(),
        most: most(input.max_keys)?,
    };
    let page = walk.page(&shared.store().bucket(&input.bucket)?.objects);
    let write = Writer::new(input.encoding_type.as_ref());
    Ok(ListObjectsV2Output {
        is_truncated: Some(page.truncated),
        next_continuation_token: page.last.as_deref().filter(|_| page.truncated).map(token_of),
        key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
        max_keys: Some(input.max_keys.unwrap_or(MOST).min(MOST)),
        contents: Some(write.objects(&page)),
        common_prefixes: Some(write.prefixes(&page)),
        prefix: Some(write.key(walk.prefix)),
        delimiter: input.delimiter.as_deref().map(|it| write.key(it)),
        start_after: input.start_after.as_deref().map(|it| write.key(it)),
        continuation_token: input.continuation_token,
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        ..Default::default()
    })
}

pub(crate) fn list_v1(shared: &Shared, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
    let marker = input.marker.clone().unwrap_or_default();
    let walk = Walk {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: &marker,
        told: Some(&marker),
        most: most(input.max_keys)?,
    };
    let page = walk.page(&shared.store().bucket(&input.bucket)?.objects);
    let write = Writer::new(input.encoding_type.as_ref());
    // Without a delimiter the last key is the marker, and is not said again.
    let next = page.last.as_deref().filter(|_| page.truncated && !walk.delimiter.is_empty());
    Ok(ListObjectsOutput {
        is_truncated: Some(page.truncated),
        next_marker: next.map(|it| write.key(it)),
        max_keys: Some(input.max_keys.unwrap_or(MOST).min(MOST)),
        contents: Some(write.objects(&page)),
        common_prefixes: Some(write.prefixes(&page)),
        prefix: Some(write.key(walk.prefix)),
        delimiter: input.delimiter.as_deref().map(|it| write.key(it)),
        marker: Some(write.key(&marker)),
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        ..Default::default()
    })
}

/// How many keys a page may hold.
pub(crate) fn most(asked: Option<i32>) -> S3Result<usize> {
    usize::try_from(asked.unwrap_or(MOST).min(MOST))
        .map_err(|e| s3_error!(e, InvalidArgument, "the largest number of entries is negative"))
}

/// The place at which a list goes on, opaque, as tokens are.
fn token_of(key: &str) -> String {
    hex(key.as_bytes())
}

fn key_of(token: &str) -> S3Result<String> {
    let digit = |at: usize| u8::from_str_radix(token.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(digit).collect();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

/// Writes keys as they are, or so that XML can hold any of them.
pub(crate) struct Writer {
    encoded: bool,
}

impl Writer {
    pub(crate) fn new(encoding: Option<&EncodingType>) -> Self {
        Self { encoded: encoding.is_some_and(|it| it.as_str() == EncodingType::URL) }
    }

    pub(crate) fn key(&self, key: &str) -> String {
        if !self.encoded {
            return key.to_owned();
        }
        let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        encoded.replace("%2F", "/")
    }

    fn objects(&self, page: &Page) -> Vec<ListedObject> {
        let listed = page.objects.iter().map(|(key, object)| ListedObject {
            e_tag: Some(object.e_tag()),
            key: Some(self.key(key)),
            last_modified: Some(object.modified.into()),
            size: i64::try_from(object.bytes.len()).ok(),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Default::default()
        });
        listed.collect()
    }

    fn prefixes(&self, page: &Page) -> Vec<CommonPrefix> {
        page.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(self.key(prefix)) }).collect()
    }
}
