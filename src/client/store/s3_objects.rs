//! The objects below a folder of a bucket on S3 as `object_store` sees them, over keyfold's own client: with its
//! credentials, its conditions, and keys as they are.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error as StoreError, GetOptions, GetRange, GetResult,
    GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result as StoreResult, UploadPart,
};

use super::{Expected, ObjectVersion};
use crate::client::s3::{ListEntry, ObjectInfo, PutOptions as S3PutOptions};
use crate::client::store::S3Store;
use crate::error::{Error, ErrorKind};

const NAME: &str = "keyfold-s3";

/// The objects whose keys begin with those of a folder.
#[derive(Debug, Clone)]
pub(super) struct S3Objects {
    store: Arc<S3Store>,
    /// With a slash at its end, or empty.
    folder: String,
}

impl S3Objects {
    pub(super) fn new(store: Arc<S3Store>, folder: &str) -> Self {
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        Self { store, folder }
    }

    fn key(&self, location: &Path) -> String {
        format!("{}{location}", self.folder)
    }

    /// What a list gives; a key that has no path is none of ours.
    fn meta(&self, info: ObjectInfo) -> Option<ObjectMeta> {
        let name = info.key.strip_prefix(&self.folder)?;
        let location = Path::parse(name).ok().filter(|location| location.as_ref() == name)?;
        Some(meta(location, info))
    }

    async fn head(&self, location: &Path) -> StoreResult<ObjectInfo> {
        let found = self.store.client().head(&self.key(location)).await;
        found.map_err(|error| failed(location, error))?.ok_or_else(|| {
            let name = location.to_string();
            StoreError::NotFound { path: name.clone(), source: name.into() }
        })
    }

    async fn put(&self, location: &Path, body: Bytes, expected: &Expected) -> StoreResult<PutResult> {
        let key = self.key(location);
        let put = async {
            let condition = self.store.condition(&key, expected).await?;
            let options = S3PutOptions::default().with_condition(condition);
            self.store.client().put(&key, body, options).await
        };
        let written = put.await.map_err(|error| match (expected, error.kind()) {
            (Expected::Version(_), ErrorKind::Conflict) => {
                StoreError::Precondition { path: location.to_string(), source: error.into() }
            }
            _ => failed(location, error),
        })?;
        Ok(PutResult { e_tag: written.e_tag, version: None })
    }

    fn found(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let own = self.clone();
        let prefix = self.prefix(prefix);
        let found = self.store.client().list(&prefix);
        found
            .map_err(|error| StoreError::Generic { store: NAME, source: error.into() })
            .try_filter_map(move |info| futures::future::ready(Ok(own.meta(info))))
            .boxed()
    }

    /// A whole object by one request: it tells what it is with its first bytes.
    async fn get_whole(&self, location: &Path, options: &GetOptions) -> StoreResult<GetResult> {
        let download = self.store.client().get(&self.key(location)).await;
        let download = download.map_err(|error| failed(location, error))?;
        let found = meta(location.clone(), download.info().clone());
        options.check_preconditions(&found)?;
        let path = location.clone();
        let body = download.into_stream().map_err(move |error| failed(&path, error)).boxed();
        let range = 0..found.size;
        let payload = GetResultPayload::Stream(body);
        Ok(GetResult { payload, meta: found, range, attributes: Attributes::default() })
    }

    fn prefix(&self, prefix: Option<&Path>) -> String {
        match prefix.filter(|prefix| !prefix.as_ref().is_empty()) {
            Some(prefix) => format!("{}{prefix}/", self.folder),
            None => self.folder.clone(),
        }
    }
}

fn meta(location: Path, info: ObjectInfo) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: info.last_modified.unwrap_or(DateTime::UNIX_EPOCH),
        size: info.size,
        e_tag: info.e_tag,
        version: None,
    }
}

fn failed(location: &Path, error: Error) -> StoreError {
    let path = location.to_string();
    match error.kind() {
        ErrorKind::NotFound => StoreError::NotFound { path, source: error.into() },
        ErrorKind::AlreadyExists => StoreError::AlreadyExists { path, source: error.into() },
        ErrorKind::Conflict => StoreError::Precondition { path, source: error.into() },
        ErrorKind::PermissionDenied => StoreError::PermissionDenied { path, source: error.into() },
        _ => StoreError::Generic { store: NAME, source: error.into() },
    }
}

/// The bytes that are asked for of an object of `size` bytes.
fn wanted(range: Option<&GetRange>, size: u64) -> Range<u64> {
    match range {
        None => 0..size,
        Some(GetRange::Bounded(range)) => range.start.min(size)..range.end.min(size),
        Some(GetRange::Offset(start)) => (*start).min(size)..size,
        Some(GetRange::Suffix(length)) => size.saturating_sub(*length)..size,
    }
}

impl fmt::Display for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}({})", self.folder)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for S3Objects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> StoreResult<PutResult> {
        let expected = match opts.mode {
            PutMode::Overwrite => Expected::Anything,
            PutMode::Create => Expected::Absent,
            PutMode::Update(version) => {
                Expected::Version(ObjectVersion { size: 0, e_tag: version.e_tag, generation: None })
            }
        };
        self.put(location, payload.into(), &expected).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        Ok(Box::new(Gathered { objects: self.clone(), location: location.clone(), parts: Vec::new() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        if options.range.is_none() && !options.head {
            return self.get_whole(location, &options).await;
        }
        let info = self.head(location).await?;
        let found = meta(location.clone(), info);
        options.check_preconditions(&found)?;
        let range = wanted(options.range.as_ref(), found.size);
        let body = if options.head || range.is_empty() {
            Bytes::new()
        } else {
            let key = self.key(location);
            let bytes = self.store.client().get_range(&key, range.clone(), found.e_tag.as_deref()).await;
            bytes.map_err(|error| failed(location, error))?
        };
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(body) }).boxed());
        Ok(GetResult { payload, meta: found, range, attributes: Attributes::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        let info = self.head(location).await?;
        let key = self.key(location);
        let mut all = Vec::with_capacity(ranges.len());
        for range in ranges {
            let bytes = self.store.client().get_range(&key, range.clone(), info.e_tag.as_deref()).await;
            all.push(bytes.map_err(|error| failed(location, error))?);
        }
        Ok(all)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        let own = self.clone();
        locations
            .and_then(move |location| {
                let own = own.clone();
                async move {
                    let deleted = own.store.client().delete(&own.key(&location)).await;
                    deleted.map_err(|error| failed(&location, error))?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.found(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let offset = offset.clone();
        let behind = move |meta: &ObjectMeta| futures::future::ready(meta.location > offset);
        self.found(prefix).try_filter(behind).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        let mut result = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        let mut entries = self.store.client().list_folder(&self.prefix(prefix));
        while let Some(entry) = entries.next().await {
            match entry.map_err(|error| StoreError::Generic { store: NAME, source: error.into() })? {
                ListEntry::Object(info) => result.objects.extend(self.meta(info)),
                ListEntry::Prefix(key) => {
                    let name = key.strip_prefix(&self.folder).and_then(|name| name.strip_suffix('/'));
                    result.common_prefixes.extend(name.and_then(|name| Path::parse(name).ok()));
                }
            }
        }
        Ok(result)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        let client = self.store.client();
        match options.mode {
            CopyMode::Overwrite => {
                let copied = client.copy_from(client, &self.key(from), &self.key(to)).await;
                copied.map(drop).map_err(|error| failed(from, error))
            }
            // A copy that must not replace anything is refused by some services, and done all the same by others.
            CopyMode::Create => {
                let read = async { client.get(&self.key(from)).await?.bytes().await };
                let body = read.await.map_err(|error| failed(from, error))?;
                self.put(to, body, &Expected::Absent).await.map(drop)
            }
        }
    }

    async fn rename_opts(
        &self,
        from: &Path,
        to: &Path,
        options: object_store::RenameOptions,
    ) -> StoreResult<()> {
        let mode = match options.target_mode {
            object_store::RenameTargetMode::Overwrite => CopyMode::Overwrite,
            object_store::RenameTargetMode::Create => CopyMode::Create,
        };
        self.copy_opts(from, to, CopyOptions::new().with_mode(mode)).await?;
        let deleted = self.store.client().delete(&self.key(from)).await;
        deleted.map_err(|error| failed(from, error))
    }
}

/// An upload whose parts are gathered in memory, and go up when all are there; a large one in parts of its own.
#[derive(Debug)]
struct Gathered {
    objects: S3Objects,
    location: Path,
    parts: Vec<Bytes>,
}

#[async_trait]
impl MultipartUpload for Gathered {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.extend(data);
        Box::pin(futures::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        let body = std::mem::take(&mut self.parts).concat();
        self.objects.put(&self.location, body.into(), &Expected::Anything).await
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.parts.clear();
        Ok(())
    }
}
