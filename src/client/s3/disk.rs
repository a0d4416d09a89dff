//! Between a bucket and the disk: several ranges at a time, and a file that is there whole or not at all.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::multipart::{NOT_COPIED, in_parts};
use super::put::PutOptions;
use super::source::{CopiedRange, Source, part_size};
use super::{ObjectInfo, S3Client};
use crate::client::io::blocking;
use crate::client::local::{Commit, LocalFile};
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are asked for at a time.
const RANGE: u64 = 8 << 20;

/// What goes up in one request.
const LARGEST_SINGLE: u64 = 16 << 20;

/// How an upload of pieces ended.
#[derive(Debug)]
pub(crate) enum Pieced {
    /// The object is there.
    Whole(ObjectInfo),
    /// There are more pieces than an upload has parts.
    TooMany,
    /// The service does not copy ranges, and nothing is there.
    Refused(Error),
}

impl S3Client {
    /// Uploads a file; a large one goes up in parts, several at once.
    ///
    /// # Errors
    ///
    /// `NotFound` or `PermissionDenied` for the file or the bucket, and as [`S3Client::put`].
    pub async fn put_file(
        &self,
        key: &str,
        path: impl AsRef<Path>,
        options: PutOptions,
    ) -> Result<ObjectInfo> {
        let path = path.as_ref().to_path_buf();
        let shown = path.display().to_string();
        let opened = blocking(move || {
            let file = LocalFile::open(&Location::from_path(&path), &path)?.read()?;
            let len = file.metadata().map_err(|cause| Error::io("cannot look at the file", cause))?.len();
            Ok(Source::File(Arc::new(file), len))
        });
        let source = opened.await?;
        self.put_source(key, source, options).await.map_err(|error| error.with_missing("file", shown))
    }

    /// Uploads an open file from its start.
    pub(crate) async fn put_open_file(
        &self,
        key: &str,
        file: std::fs::File,
        len: u64,
        options: PutOptions,
    ) -> Result<ObjectInfo> {
        self.put_source(key, Source::File(Arc::new(file), len), options).await
    }

    /// Uploads an open file with gaps, into which the service copies `ranges` of objects of the bucket, ascending. Between
    /// two of them, and before the first, there is nothing or [`SMALLEST_PART`](super::source::SMALLEST_PART) at least.
    pub(crate) async fn put_pieces(
        &self,
        key: &str,
        file: std::fs::File,
        len: u64,
        ranges: Vec<CopiedRange>,
        options: PutOptions,
    ) -> Result<Pieced> {
        let source = Source::Pieced(Arc::new(file), len, ranges.into());
        if !source.is_possible() {
            return Ok(Pieced::TooMany);
        }
        match self.put_parts(key, source, options).await {
            Ok(info) => Ok(Pieced::Whole(info)),
            Err(error) if error.message() == NOT_COPIED => Ok(Pieced::Refused(error)),
            Err(error) => Err(error),
        }
    }

    /// Uploads an open file in one request; it stands in memory meanwhile.
    pub(crate) async fn put_open_file_whole(
        &self,
        key: &str,
        file: std::fs::File,
        len: u64,
        options: PutOptions,
    ) -> Result<ObjectInfo> {
        let body = Source::File(Arc::new(file), len).part(0, len).await?;
        self.put_whole(key, body, options).await
    }

    async fn put_source(&self, key: &str, source: Source, options: PutOptions) -> Result<ObjectInfo> {
        if source.len() <= LARGEST_SINGLE {
            let body = source.part(0, source.len()).await?;
            return self.put_whole(key, body, options).await;
        }
        part_size(source.len(), options.part_size)?;
        self.put_parts(key, source, options).await
    }

    /// Downloads an object into a file, which is replaced in one step when all bytes are there.
    ///
    /// # Errors
    ///
    /// `NotFound` for the object or the folder, `Conflict` if the object changes meanwhile, `PermissionDenied`, `Io`.
    pub async fn get_file(&self, key: &str, path: impl AsRef<Path>) -> Result<ObjectInfo> {
        let info = self.head(key).await?.ok_or_else(|| self.no_such(key))?;
        let path = path.as_ref().to_path_buf();
        let target = LocalFile::open(&Location::from_path(&path), &path)?;
        let stage = Arc::new(target.stage()?);
        self.fill(key, &info, stage.file_ref()).await?;
        let stage = Arc::into_inner(stage).ok_or_else(|| Error::internal("a download is still at work"))?;
        let committed = blocking(move || {
            let before = target.version()?;
            stage.commit(before.as_ref())
        });
        match committed.await? {
            Commit::Committed(_) => Ok(info),
            Commit::Conflict => {
                Err(Error::new(ErrorKind::Conflict, "someone else changed the file meanwhile")
                    .with("file", path.display())
                    .hint("nothing was written; run it again"))
            }
        }
    }

    /// Writes the bytes of an object into `file`, several ranges at a time, all of one version.
    pub(crate) async fn fill(&self, key: &str, info: &ObjectInfo, file: &std::fs::File) -> Result<()> {
        let cloned = || file.try_clone().map_err(|cause| Error::io("cannot open the new file", cause));
        self.progress.start(info.size);
        in_parts(info.size, RANGE, |start, len| {
            let file = cloned();
            async move {
                let bytes = self.get_range(key, start..start + len, info.e_tag.as_deref()).await?;
                let file = file?;
                let full = |cause| Error::io("cannot write the file", cause).hint("is the disk full?");
                blocking(move || file.write_all_at(&bytes, start).map_err(full)).await?;
                self.progress.advance(len);
                Ok(())
            }
        })
        .await
        .map(|_| ())
    }

    pub(super) fn no_such(&self, key: &str) -> Error {
        Error::new(ErrorKind::NotFound, "there is no such object")
            .with("object", self.named(key))
            .hint("check the key; it is case-sensitive")
    }
}
