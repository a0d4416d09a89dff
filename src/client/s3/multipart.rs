//! Uploads in parts: visible only when the last part is in, aborted when they are given up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use http::Method;
use tokio::task::JoinHandle;

use super::copy::{SOURCE, SOURCE_IF_MATCH, SOURCE_RANGE};
use super::put::PutOptions;
use super::request::Failed;
use super::source::{CopiedRange, LARGEST_PART, MOST_PARTS, Piece, SMALLEST_PART, Source, part_size};
use super::{ObjectInfo, S3Client, xml};
use crate::error::{Error, ErrorKind, Result};

/// Parts on their way at a time.
pub(super) const IN_FLIGHT: usize = 4;

/// What a service answers that would have to decide between two writers: parts it wants all again.
const CONTENDED: &str = "ConditionalRequestConflict";

/// How often an object is sent for that, with growing pauses in between.
const ROUNDS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The parts of a stream, whose length nobody knows.
pub(super) const STREAM_PART: u64 = 16 << 20;

/// An upload in parts. One that is dropped before [`MultipartUpload::complete`] is aborted.
#[derive(Debug)]
pub struct MultipartUpload {
    client: S3Client,
    key: String,
    upload_id: Option<String>,
    options: PutOptions,
    sent: FuturesUnordered<JoinHandle<Result<(u64, String)>>>,
    e_tags: Vec<(u64, String)>,
    /// The sizes of the parts.
    parts: Vec<u64>,
    /// Whether the parts are to be measured, for the service was asked to copy some.
    is_measured: bool,
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
        let number = self.next_part(part.len() as u64).await?;
        let (client, key, upload_id) = (self.client.clone(), self.key.clone(), self.id().to_owned());
        self.start(
            async move { client.put_part(&key, &upload_id, number, part).await.map(|tag| (number, tag)) },
        );
        Ok(())
    }

    /// Has the service copy the next part; as [`MultipartUpload::queue`].
    pub(super) async fn queue_copy(&mut self, copy: CopiedRange) -> Result<()> {
        let number = self.next_part(copy.len).await?;
        let (client, key, upload_id) = (self.client.clone(), self.key.clone(), self.id().to_owned());
        self.start(async move {
            client.copy_part(&key, &upload_id, number, &copy).await.map(|tag| (number, tag))
        });
        Ok(())
    }

    /// The number of the next part, of so many bytes, when it may be sent.
    async fn next_part(&mut self, len: u64) -> Result<u64> {
        if self.parts.len() as u64 == MOST_PARTS {
            return Err(Error::new(ErrorKind::Unsupported, "the object has more than 10,000 parts")
                .with("object", self.client.named(&self.key))
                .hint("choose larger parts"));
        }
        while self.sent.len() >= IN_FLIGHT {
            self.landed().await?;
        }
        self.parts.push(len);
        Ok(self.parts.len() as u64)
    }

    fn start(&self, send: impl Future<Output = Result<(u64, String)>> + Send + 'static) {
        self.sent.push(tokio::spawn(send));
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

    pub(super) async fn finish(mut self) -> Result<Completed> {
        while !self.sent.is_empty() {
            if let Err(error) = self.landed().await {
                return Err(self.give_up(error).await);
            }
        }
        self.e_tags.sort_unstable();
        let e_tags = self.e_tags.drain(..).map(|(_, e_tag)| e_tag).collect();
        if self.is_measured
            && let Err(error) = self.check_parts().await
        {
            return Err(self.give_up(error).await);
        }
        let size = self.parts.iter().sum();
        self.complete_with(e_tags, size).await
    }

    /// Asks how large the parts are: who copies may take another range than it was told.
    async fn check_parts(&self) -> Result<()> {
        match self.client.part_sizes(&self.key, self.id(), self.parts.len()).await {
            Ok(sizes) if sizes == self.parts => Ok(()),
            Ok(_) => Err(not_copied(Error::new(
                ErrorKind::InvalidData,
                "a part has another size than was asked for",
            ))),
            Err(error) if error.kind() == ErrorKind::Io => Err(error),
            Err(error) => Err(not_copied(error)),
        }
    }

    async fn complete_with(mut self, e_tags: Vec<String>, size: u64) -> Result<Completed> {
        let upload_id = self.id().to_owned();
        match self.client.complete_upload(&self.key, &upload_id, &e_tags, &self.options).await {
            Ok(e_tag) => {
                self.upload_id = None;
                Ok(Completed::Done(self.options.clone().written(&self.key, size, e_tag)))
            }
            Err(failed) if failed.code == CONTENDED && !failed.ambiguous => {
                Ok(Completed::Contended(self.give_up(failed.error).await))
            }
            Err(failed) if self.is_measured && !failed.ambiguous && is_about_parts(&failed.code) => {
                Err(self.give_up(not_copied(failed.error)).await)
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

/// What is said if the service does not copy ranges of objects; nothing has been written then.
pub(super) const NOT_COPIED: &str = "the service does not copy ranges of objects";

fn not_copied(cause: Error) -> Error {
    Error::new(ErrorKind::Unsupported, NOT_COPIED).because(cause)
}

/// Whether an upload was not completed because of its parts: some services want all of them equally large.
fn is_about_parts(code: &str) -> bool {
    matches!(
        code,
        "InvalidPart"
            | "InvalidPartOrder"
            | "EntityTooSmall"
            | "InvalidArgument"
            | "InvalidRequest"
            | "NotImplemented"
    )
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
            parts: Vec::new(),
            is_measured: false,
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
        upload.is_measured = matches!(source, Source::Pieced(..));
        for piece in source.pieces(size) {
            let queued = match piece {
                Piece::Sent(range) => match source.part(range.start, range.end - range.start).await {
                    Ok(part) => upload.queue(part).await,
                    Err(error) => Err(error),
                },
                Piece::Copied(copy) => upload.queue_copy(copy).await,
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

    /// Has the service make a part of an upload of a range of an object.
    async fn copy_part(&self, key: &str, upload_id: &str, number: u64, copy: &CopiedRange) -> Result<String> {
        let mut request = self
            .request(Method::PUT, key)?
            .query("partNumber", number.to_string())
            .query("uploadId", upload_id)
            .header(SOURCE, &copy.source)?
            .header(SOURCE_RANGE, &format!("bytes={}-{}", copy.start, copy.start + copy.len - 1))?;
        if let Some(e_tag) = &copy.e_tag {
            request = request.header(SOURCE_IF_MATCH, e_tag)?;
        }
        let copied =
            request.fetch_result(|body| xml::read::<xml::CopyObjectResult>(body).map(|done| done.e_tag));
        let e_tag = copied.await.map_err(|failed| match failed.code.as_str() {
            // It is the source that has gone.
            "NoSuchKey" => Error::new(ErrorKind::Conflict, "the object to copy from has changed meanwhile")
                .hint("nothing was written; read it again")
                .because(failed.error),
            _ if matches!(failed.error.kind(), ErrorKind::Conflict | ErrorKind::Io) => failed.error,
            _ => not_copied(failed.error),
        })?;
        self.progress.advance(copy.len);
        Ok(e_tag)
    }

    /// The sizes of the parts of an upload, by their numbers; there should be `expected` of them.
    async fn part_sizes(&self, key: &str, upload_id: &str, expected: usize) -> Result<Vec<u64>> {
        let (mut sizes, mut marker) = (Vec::new(), None::<String>);
        loop {
            let request = self
                .request(Method::GET, key)?
                .query("uploadId", upload_id)
                .maybe_query("part-number-marker", marker.take());
            let page: xml::ListPartsResult = xml::read(&request.fetch().await?)?;
            sizes.extend(page.part.iter().map(|part| part.size));
            match (page.is_truncated, page.next_part_number_marker) {
                (Some(true), Some(next)) if sizes.len() < expected => marker = Some(next),
                _ => return Ok(sizes),
            }
        }
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
