//! Objects of a bucket on S3.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
#[cfg(feature = "delta")]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;

use super::probe::{Keeps, Probe};
use super::{Abilities, Body, Copied, Expected, Listed, ObjectVersion, Put, Store};
use crate::client::s3::{
    CopiedRange, ObjectInfo, Pieced, PutCondition, PutOptions, S3Client, SMALLEST_PART, UNKNOWN,
};
use crate::error::{Error, ErrorKind, Result};

/// What is sent in one request where conditions are not kept for parts: it stands in memory.
const LARGEST_WHOLE: u64 = 256 << 20;

/// What is fetched in one request of a range that the service does not copy.
const FETCHED: u64 = 8 << 20;

/// A bucket, and what was found out about its service.
#[derive(Debug)]
pub(crate) struct S3Store {
    client: S3Client,
    probe: Probe,
    /// Whether it was asked to copy ranges, and did not.
    refuses_copies: AtomicBool,
}

impl S3Store {
    /// A store over the bucket of `client`.
    pub(crate) fn new(client: S3Client) -> Self {
        Self { client, probe: Probe::default(), refuses_copies: AtomicBool::new(false) }
    }

    /// The bucket.
    #[cfg(feature = "delta")]
    pub(super) fn client(&self) -> &S3Client {
        &self.client
    }

    async fn keeps(&self, key: &str) -> Result<Keeps> {
        if self.client.keeps_conditions().await? {
            return Ok(Keeps::All);
        }
        self.probe.check(&self.client, key).await
    }

    async fn write(&self, key: &str, body: Body, options: PutOptions) -> Result<(ObjectInfo, u64)> {
        let keeps = self.keeps(key).await?;
        let Body { file, len, copies } = body;
        if keeps == Keeps::Whole && len > LARGEST_WHOLE {
            return Err(too_large(len));
        }
        if !copies.is_empty() {
            if self.copies(keeps) {
                match self.write_pieces(key, &file, len, &copies, options.clone()).await? {
                    Pieced::Whole(written) => return Ok((written, copies.iter().map(|copy| copy.len).sum())),
                    Pieced::TooMany => {}
                    Pieced::Refused(error) => {
                        self.refuses_copies.store(true, Ordering::Relaxed);
                        tracing::warn!(key, %error, "the service does not copy ranges: all bytes are sent");
                    }
                }
            }
            for copy in &copies {
                self.fetch(&file, copy).await?;
            }
        }
        let written = match keeps {
            Keeps::Whole => self.client.put_open_file_whole(key, file, len, options).await?,
            Keeps::All | Keeps::None => self.client.put_open_file(key, file, len, options).await?,
        };
        Ok((written, 0))
    }

    /// Whether the service may be asked to copy ranges.
    fn copies(&self, keeps: Keeps) -> bool {
        keeps != Keeps::Whole && !self.refuses_copies.load(Ordering::Relaxed)
    }

    /// Has the service copy the ranges, and sends the rest.
    async fn write_pieces(
        &self,
        key: &str,
        file: &File,
        len: u64,
        copies: &[Copied],
        options: PutOptions,
    ) -> Result<Pieced> {
        let file = file.try_clone().map_err(|cause| Error::io("cannot open a temporary file", cause))?;
        let ranges = copies.iter().map(|copy| {
            Ok(CopiedRange {
                at: copy.at,
                len: copy.len,
                source: self.client.copy_source(&copy.key)?.into(),
                e_tag: copy.version.e_tag.clone(),
                start: copy.start,
            })
        });
        self.client.put_pieces(key, file, len, ranges.collect::<Result<_>>()?, options).await
    }

    /// Writes the bytes of a range where they are to stand.
    async fn fetch(&self, file: &File, copy: &Copied) -> Result<()> {
        let mut done = 0;
        while done < copy.len {
            let len = FETCHED.min(copy.len - done);
            let from = copy.start + done;
            let bytes = self.range(&copy.key, &copy.version, from..from + len).await?;
            file.write_all_at(&bytes, copy.at + done).map_err(|cause| {
                Error::io("cannot write a temporary file", cause).hint("is the disk full?")
            })?;
            done += len;
        }
        Ok(())
    }

    /// Media type and metadata of the object that is replaced.
    async fn like(&self, key: &str, expected: &Expected) -> Result<PutOptions> {
        let mut options = PutOptions::default();
        if let Expected::Version(_) = expected
            && let Some(replaced) = self.client.head(key).await?
        {
            options.content_type = replaced.content_type;
            options.metadata = replaced.metadata;
        }
        Ok(options)
    }

    /// The condition of a write. Whoever vouches that nobody else writes is believed only where none would be kept.
    pub(super) async fn condition(&self, key: &str, expected: &Expected) -> Result<PutCondition> {
        Ok(match expected {
            Expected::Anything => PutCondition::Overwrite,
            _ if self.keeps(key).await? == Keeps::None => PutCondition::Overwrite,
            Expected::Absent => PutCondition::IfAbsent,
            Expected::Version(version) => PutCondition::IfMatch(version.e_tag.clone().ok_or_else(|| {
                Error::new(ErrorKind::Unsupported, "the service gives its objects no ETag")
                    .hint("without one nobody can see that someone else wrote meanwhile")
            })?),
        })
    }
}

fn too_large(len: u64) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the service ignores the conditions of a write in parts, and the object is too large for one request",
    )
    .with("bytes", len)
    .hint("use another service; if you are sure that nobody else writes, say --single-writer")
}

/// How it is told that what was expected does not hold.
fn refused(expected: &Expected) -> ErrorKind {
    match expected {
        Expected::Absent => ErrorKind::AlreadyExists,
        Expected::Version(_) | Expected::Anything => ErrorKind::Conflict,
    }
}

fn version(info: ObjectInfo) -> ObjectVersion {
    ObjectVersion { size: info.size, e_tag: info.e_tag, generation: None }
}

fn info(key: &str, version: &ObjectVersion) -> ObjectInfo {
    ObjectInfo {
        key: key.to_owned(),
        size: version.size,
        last_modified: None,
        e_tag: version.e_tag.clone(),
        content_type: None,
        metadata: std::collections::BTreeMap::new(),
    }
}

#[async_trait]
impl Store for S3Store {
    fn abilities(&self) -> Abilities {
        let copies = self.copies(self.probe.known().unwrap_or(Keeps::All));
        Abilities { write: true, list: true, copies: copies.then_some(SMALLEST_PART) }
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectVersion>> {
        Ok(self.client.head(key).await?.map(version))
    }

    async fn range(&self, key: &str, version: &ObjectVersion, range: Range<u64>) -> Result<Bytes> {
        self.client.get_range(key, range, version.e_tag.as_deref()).await
    }

    async fn fill(&self, key: &str, version: &ObjectVersion, file: File) -> Result<()> {
        self.client.fill(key, &info(key, version), &file).await
    }

    async fn check_conditions(&self, key: &str) -> Result<()> {
        self.keeps(key).await.map(|_| ())
    }

    async fn put(&self, key: &str, body: Body, expected: &Expected) -> Result<Put> {
        let condition = self.condition(key, expected).await?;
        // Someone who vouches that nobody else writes still wants to hear of what was seen.
        if condition == PutCondition::Overwrite
            && *expected != Expected::Anything
            && self.head(key).await?.map_or(Expected::Absent, Expected::Version) != *expected
        {
            return Ok(Put::Conflict);
        }
        let options = self.like(key, expected).await?.with_condition(condition);
        match self.write(key, body, options).await {
            Ok((written, copied)) => Ok(Put::Done { version: version(written), copied }),
            Err(error) if error.message() == UNKNOWN => Ok(Put::Unknown),
            Err(error) if error.kind() == refused(expected) => Ok(Put::Conflict),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let listed = |object: ObjectInfo| Listed {
            name: object.key,
            size: object.size,
            modified: object.last_modified,
        };
        self.client.list(prefix).map_ok(listed).try_collect().await
    }

    async fn has_any(&self, folder: &str) -> Result<bool> {
        Ok(self.client.list(folder).try_next().await?.is_some())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.client.delete(key).await
    }

    #[cfg(feature = "delta")]
    fn objects(self: Arc<Self>, folder: &str) -> Result<Arc<dyn object_store::ObjectStore>> {
        Ok(Arc::new(super::s3_objects::S3Objects::new(self, folder)))
    }
}
