//! A folder on a local disk as `object_store` sees one, in order by name, and with new files that survive a crash.

use std::fmt;
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};

use crate::client::io::blocking;
use crate::client::local::{Commit, LocalFile};
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

const NAME: &str = "keyfold-local";

/// The files below a folder.
#[derive(Debug)]
pub(crate) struct LocalObjects {
    folder: PathBuf,
    inner: LocalFileSystem,
}

impl LocalObjects {
    /// # Errors
    ///
    /// `NotFound` or `Io` if there is no such folder.
    pub(crate) fn new(folder: &FilePath) -> Result<Self> {
        let inner = LocalFileSystem::new_with_prefix(folder).map_err(|cause| {
            let kind = if folder.is_dir() { ErrorKind::Io } else { ErrorKind::NotFound };
            Error::new(kind, "cannot open the folder").with("folder", folder.display()).because(cause)
        })?;
        Ok(Self { folder: folder.to_owned(), inner })
    }
}

impl fmt::Display for LocalObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}({})", self.folder.display())
    }
}

/// Writes a file that must not be there yet; whether it was not.
fn create(path: &FilePath, payload: &PutPayload) -> Result<bool> {
    let mut stage = LocalFile::open(&Location::from_path(path), path)?.stage()?;
    for piece in payload {
        stage.file().write_all(piece).map_err(|cause| Error::io("cannot write the new file", cause))?;
    }
    Ok(matches!(stage.commit(None)?, Commit::Committed(_)))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for LocalObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> StoreResult<PutResult> {
        // Upstream does not wait until a new file is safe on the disk.
        if !matches!(opts.mode, PutMode::Create) {
            return self.inner.put_opts(location, payload, opts).await;
        }
        let path = self.inner.path_to_filesystem(location)?;
        let name = location.to_string();
        match blocking(move || create(&path, &payload)).await {
            Ok(true) => Ok(PutResult { e_tag: None, version: None }),
            Ok(false) => Err(StoreError::AlreadyExists { path: name.clone(), source: name.into() }),
            Err(error) => Err(StoreError::Generic { store: NAME, source: error.into() }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[std::ops::Range<u64>],
    ) -> StoreResult<Vec<bytes::Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        in_order(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        in_order(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(
        &self,
        from: &Path,
        to: &Path,
        options: object_store::RenameOptions,
    ) -> StoreResult<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// A folder has no order of its own, and readers of a log want it in order.
fn in_order(
    found: BoxStream<'static, StoreResult<ObjectMeta>>,
) -> BoxStream<'static, StoreResult<ObjectMeta>> {
    let all = async move {
        let mut all: Vec<ObjectMeta> = found.try_collect().await?;
        all.sort_by(|a, b| a.location.cmp(&b.location));
        Ok::<_, StoreError>(stream::iter(all.into_iter().map(Ok)))
    };
    stream::once(all).try_flatten().boxed()
}
