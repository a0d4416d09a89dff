//! Uploads in parts: visible only when the last part is in, aborted when they are given up.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use http::Method;
use tokio::task::JoinHandle;

use super::put::PutOptions;
use super::request::Failed;
use super::{ObjectInfo, S3Client, xml};
use crate::client::io::blocking;
use crate::error::{Error, ErrorKind, Result};

/// Parts on their way at a time.
pub(super) const IN_FLIGHT: usize = 4;

/// What a service answers that would have to decide between two writers: parts it wants all again.
const CONTENDED: &str = "ConditionalRequestConflict";

/// How often an object is sent for that, with growing pauses in between.
const ROUNDS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What S3 allows.
const MOST_PARTS: u64 = 10_000;
const SMALLEST_PART: u64 = 5 << 20;
const LARGEST_PART: u64 = 5 << 30;

/// The smallest part that is chosen: fewer requests, and a few of them fit into memory.
const DEFAULT_PART: u64 = 8 << 20;

/// The parts of a stream, whose length nobody knows.
pub(super) const STREAM_PART: u64 = 16 << 20;

/// Bytes that lie somewhere, to be sent in parts.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Memory(Bytes),
    File(Arc<File>, u64),
}

impl Source {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }

    /// The bytes from `start` on, at most `len`.
    pub(super) async fn part(&self, start: u64, len: u64) -> Result<Bytes> {
        let end = (start + len).min(self.len());
        let size =
            usize::try_from(end - start).map_err(|_| Error::internal("a part is too large for memory"))?;
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                Ok(bytes.slice(start..start + size))
            }
            Self::File(file, _) => {
                let file = Arc::clone(file);
                let changed = |cause| {
                    Error::io("cannot read the file", cause).hint("it may have changed while it was uploaded")
                };
                blocking(move || {
                    let mut buffer = vec![0; size];
                    file.read_exact_at(&mut buffer, start).map(|()| buffer.into()).map_err(changed)
                })
                .await
            }
        }
    }
}

/// The size of parts for an upload of `len` bytes: equal parts, as few as fit, the last one may be smaller.
///
/// # Errors
///
/// `Unsupported` for what no upload can hold.
pub(super) fn part_size(len: u64, asked: Option<u64>) -> Result<u64> {
    let refused = |message: &'static str, hint: &'static str| {
        Error::new(ErrorKind::Unsupported, message).with("bytes", len).hint(hint)
    };
    let least = len.div_ceil(MOST_PARTS);
    let size = asked.unwrap_or_else(|| least.max(DEFAULT_PART).next_multiple_of(1 << 20));
    if asked.is_some() && size < least {
        return Err(refused("the parts are too small for the object", "an upload has at most 10,000 parts"));
    }
    if size > LARGEST_PART {
        return Err(refused("the object is too large", "an object has at most 10,000 parts of 5 GiB"));
    }
    Ok(size)
}

/// An upload in parts. One that is dropped before [`MultipartUpload::complete`] is aborted.
#[derive(Debug)]
pub struct MultipartUpload {
    client: S3Client,
    key: String,
    upload_id: Option<String>,
    options: PutOptions,
    sent: FuturesUnordered<JoinHandle<Result<(u64, String)>>>,
    e_tags: Vec<(u64, String)>,
    parts: u64,
    size: u64,
}

impl MultipartUpload {
    /// Sends the next part; waits while several are on their way. All parts but the last have 5 MiB or more, and some
    /// services want them equally large.
    ///
    /// # Errors
    ///
    /// `Io` or `PermissionDenied` if this part or an earlier one could not be sent, `Unsupported` for more than
    /// 10,000 parts.
    pub async fn queue(&mut self, part: Bytes) -> Result<()> {
        if self.parts == MOST_PARTS {
            return Err(Error::new(ErrorKind::Unsupported, "the object has more than 10,000 parts")
                .with("object", self.client.named(&self.key))
                .hint("choose larger parts"));
        }
        while self.sent.len() >= IN_FLIGHT {
            self.landed().await?;
        }
        self.parts += 1;
        self.size += part.len() as u64;
        let (client, key, number) = (self.client.clone(), self.key.clone(), self.parts);
        let upload_id = self.id().to_owned();
        let send =
            async move { client.put_part(&key, &upload_id, number, part).await.map(|tag| (number, tag)) };
        self.sent.push(tokio::spawn(send));
        Ok(())
    }

    /// Waits for one part.
    async fn landed(&mut self) -> Result<()> {
        if let Some(landed) = self.sent.next().await {
            self.e_tags
                .push(landed.map_err(|cause| Error::internal("a worker did not finish").because(cause))??);
        }
        Ok(())
    }

    /// Makes the object visible, if the condition of the upload holds.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `Conflict` if it does not hold, and as [`MultipartUpload::queue`]; nothing is visible then.
    pub async fn complete(self) -> Result<ObjectInfo> {
        self.finish().await?.into_result()
    }

    async fn finish(mut self) -> Result<Completed> {
        while !self.sent.is_empty() {
            if let Err(error) = self.landed().await {
                return Err(self.give_up(error).await);
            }
        }
        self.e_tags.sort_unstable();
        let e_tags = self.e_tags.drain(..).map(|(_, e_tag)| e_tag).collect();
        let size = self.size;
        self.complete_with(e_tags, size).await
    }

    /// Completes an upload whose parts were made by other means.
    pub(super) async fn complete_with(mut self, e_tags: Vec<String>, size: u64) -> Result<Completed> {
        let upload_id = self.id().to_owned();
        match self.client.complete_upload(&self.key, &upload_id, &e_tags, &self.options).await {
            Ok(e_tag) => {
                self.upload_id = None;
                Ok(Completed::Done(self.options.clone().written(&self.key, size, e_tag)))
            }
            Err(failed) if failed.code == CONTENDED && !failed.ambiguous => {
                Ok(Completed::Contended(self.give_up(failed.error).await))
            }
            Err(failed) => {
                let ambiguous = failed.ambiguous;
                let settled = self.client.settle(&self.key, &self.options, failed).await;
                match settled {
                    // It may still be at work on it: an abort would undo what is about to be done.
                    Err(error) if ambiguous => {
                        self.upload_id = None;
                        Err(error)
                    }
                    Err(error) => Err(self.give_up(error).await),
                    Ok(info) => {
                        self.upload_id = None;
                        Ok(Completed::Done(info))
                    }
                }
            }
        }
    }

    /// Aborts after `error`, and waits for it: what is left to the drop is lost if the program ends first. If the
    /// service does not answer, nobody waits.
    pub(super) async fn give_up(self, error: Error) -> Error {
        if error.kind() != ErrorKind::Io
            && let Err(left) = self.abort().await
        {
            tracing::warn!(error = %left, "an upload was given up and could not be aborted");
        }
        error
    }

    /// The name of the upload.
    #[must_use]
    pub fn id(&self) -> &str {
        self.upload_id.as_deref().unwrap_or_default()
    }

    /// Gives the upload up, and waits until its parts are gone.
    ///
    /// # Errors
    ///
    /// `Io` or `PermissionDenied`; the parts may still be there.
    pub async fn abort(mut self) -> Result<()> {
        self.stop();
        match self.upload_id.take() {
            Some(upload_id) => self.client.abort(&self.key, &upload_id).await,
            None => Ok(()),
        }
    }

    fn stop(&self) {
        for part in &self.sent {
            part.abort();
        }
    }
}

/// How the end of an upload went.
#[derive(Debug)]
pub(super) enum Completed {
    Done(ObjectInfo),
    /// Another writer was at work in the same moment, and the service wants all parts again.
    Contended(Error),
}

impl Completed {
    pub(super) fn into_result(self) -> Result<ObjectInfo> {
        match self {
            Self::Done(info) => Ok(info),
            Self::Contended(error) => Err(error),
        }
    }
}

/// Aborts of uploads that were dropped, in this process.
static ABORTS: AtomicUsize = AtomicUsize::new(0);

/// One of them; it counts until it is dropped, even if its runtime ends first.
struct UnderWay;

impl UnderWay {
    fn new() -> Self {
        ABORTS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        ABORTS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until the uploads that were dropped are aborted, at most for `limit`: a program that ends before that leaves
/// their parts behind.
pub(crate) async fn aborts_done(limit: Duration) {
    let end = Instant::now() + limit;
    while ABORTS.load(Ordering::Relaxed) > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for MultipartUpload {
    fn drop(&mut self) {
        let Some(upload_id) = self.upload_id.take() else { return };
        self.stop();
        // Outside a runtime nothing can be sent; the parts then wait for whoever aborts pending uploads.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!(key = self.key, upload_id, "an upload was given up and could not be aborted");
            return;
        };
        let (client, key) = (self.client.clone(), self.key.clone());
        let under_way = UnderWay::new();
        runtime.spawn(async move {
            let _until_then = under_way;
            if let Err(error) = client.abort(&key, &upload_id).await {
                tracing::warn!(key, upload_id, %error, "an upload was given up and could not be aborted");
            }
        });
    }
}

impl S3Client {
    /// Starts an upload in parts.
    ///
    /// # Errors
    ///
    /// `NotFound` if the bucket does not exist, `PermissionDenied` or `Io`.
    pub async fn start_upload(&self, key: &str, options: PutOptions) -> Result<MultipartUpload> {
        if let Some(size) = options.part_size.filter(|size| !(SMALLEST_PART..=LARGEST_PART).contains(size)) {
            return Err(Error::new(ErrorKind::Usage, "a part has 5 MiB to 5 GiB").with("part size", size));
        }
        let options = options.signed_by_writer();
        let request = self.request(Method::POST, key)?.query("uploads", "");
        let body = options.describe(request, key)?.fetch().await?;
        let started: xml::InitiateMultipartUploadResult = xml::read(&body)?;
        Ok(MultipartUpload {
            client: self.clone(),
            key: key.to_owned(),
            upload_id: Some(started.upload_id),
            options,
            sent: FuturesUnordered::new(),
            e_tags: Vec::new(),
            parts: 0,
            size: 0,
        })
    }

    pub(super) async fn put_parts(
        &self,
        key: &str,
        source: Source,
        options: PutOptions,
    ) -> Result<ObjectInfo> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ROUNDS {
            match self.put_all_parts(key, &source, options.clone()).await? {
                Completed::Done(info) => return Ok(info),
                Completed::Contended(error) => tracing::debug!(%error, ?pause, "trying again with all parts"),
            }
            tokio::time::sleep(pause).await;
            pause *= 4;
        }
        self.put_all_parts(key, &source, options).await?.into_result()
    }

    async fn put_all_parts(&self, key: &str, source: &Source, options: PutOptions) -> Result<Completed> {
        let size = part_size(source.len(), options.part_size)?;
        self.progress.start(source.len());
        let mut upload = self.start_upload(key, options).await?;
        let mut start = 0;
        while start < source.len() {
            let queued = match source.part(start, size).await {
                Ok(part) => {
                    start += part.len() as u64;
                    upload.queue(part).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = queued {
                return Err(upload.give_up(error).await);
            }
        }
        upload.finish().await
    }

    async fn put_part(&self, key: &str, upload_id: &str, number: u64, part: Bytes) -> Result<String> {
        let len = part.len() as u64;
        let request = self
            .request(Method::PUT, key)?
            .query("partNumber", number.to_string())
            .query("uploadId", upload_id)
            .body(part);
        let answer = request.send().await?;
        self.progress.advance(len);
        answer.header("etag").map(str::to_owned).ok_or_else(|| {
            Error::new(ErrorKind::InvalidData, "the service took a part and gave no ETag")
                .with("object", self.named(key))
        })
    }

    pub(super) async fn complete_upload(
        &self,
        key: &str,
        upload_id: &str,
        e_tags: &[String],
        options: &PutOptions,
    ) -> Result<String, Failed> {
        let request = || {
            let request =
                self.request(Method::POST, key)?.query("uploadId", upload_id).body(xml::complete(e_tags));
            options.condition.demand(request).map(|request| request.not_after(CONTENDED))
        };
        request()
            .map_err(Failed::before)?
            .fetch_result(|body| xml::read::<xml::CompleteMultipartUploadResult>(body).map(|done| done.e_tag))
            .await
    }

    pub(super) async fn abort(&self, key: &str, upload_id: &str) -> Result<()> {
        match self.request(Method::DELETE, key)?.query("uploadId", upload_id).fetch().await {
            Ok(_) => Ok(()),
            Err(failed) if failed.code == "NoSuchUpload" => Ok(()),
            Err(failed) => Err(failed.into()),
        }
    }
}

/// Does `work` for each part of `len` bytes, several at a time; what it gives is in order.
pub(super) async fn in_parts<T, F>(len: u64, size: u64, work: impl Fn(u64, u64) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>>,
{
    let starts = (0..len.div_ceil(size)).map(|part| part * size);
    let parts = stream::iter(starts.map(|start| work(start, size.min(len - start))));
    parts.buffered(IN_FLIGHT).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_large_as_the_length_needs() {
        assert_eq!(part_size(100, None).expect("a size"), 8 << 20);
        assert_eq!(part_size(100 << 30, None).expect("a size"), 11 << 20);
        let tib: u64 = 5 << 40;
        assert!(tib.div_ceil(part_size(tib, None).expect("a size")) <= MOST_PARTS);
        assert!(part_size(100 << 30, Some(5 << 20)).is_err());
        assert!(part_size(60 << 40, None).is_err());
    }
}
