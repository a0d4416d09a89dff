//! Writing an object whose length nobody knows: in one request if it turns out to be small, else in parts.

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::multipart::{MultipartUpload, STREAM_PART};
use super::put::PutOptions;
use super::{ObjectInfo, S3Client};
use crate::error::Result;

impl S3Client {
    /// Writes an object from a stream of any length; memory holds a few parts.
    ///
    /// # Errors
    ///
    /// As [`S3Client::put`], and what the stream fails with; nothing is visible then.
    pub async fn put_stream<S>(&self, key: &str, body: S, options: PutOptions) -> Result<ObjectInfo>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        // Nobody knows how long it is.
        self.progress.start(0);
        let mut parts = Parts { client: self, key, options, held: Vec::new(), upload: None };
        match (parts.take_all(body).await, parts.upload) {
            (Ok(()), None) => self.put_whole(key, parts.held.into(), parts.options).await,
            (Ok(()), Some(upload)) => upload.complete().await,
            (Err(error), None) => Err(error),
            (Err(error), Some(upload)) => Err(upload.give_up(error).await),
        }
    }
}

/// Bytes on their way into parts.
struct Parts<'a> {
    client: &'a S3Client,
    key: &'a str,
    options: PutOptions,
    /// Less than a part.
    held: Vec<u8>,
    /// Begun when there is a whole part.
    upload: Option<MultipartUpload>,
}

impl Parts<'_> {
    async fn take_all(&mut self, body: impl Stream<Item = Result<Bytes>> + Send) -> Result<()> {
        let mut body = std::pin::pin!(body);
        while let Some(piece) = body.next().await {
            self.take(piece?).await?;
        }
        match &mut self.upload {
            Some(upload) if !self.held.is_empty() => {
                upload.queue(std::mem::take(&mut self.held).into()).await
            }
            _ => Ok(()),
        }
    }

    async fn take(&mut self, mut piece: Bytes) -> Result<()> {
        let size = usize::try_from(self.options.part_size.unwrap_or(STREAM_PART)).unwrap_or(usize::MAX);
        while self.held.len() + piece.len() >= size {
            let upload = match &mut self.upload {
                Some(upload) => upload,
                none => none.insert(self.client.start_upload(self.key, self.options.clone()).await?),
            };
            self.held.extend_from_slice(&piece.split_to(size - self.held.len()));
            upload.queue(std::mem::take(&mut self.held).into()).await?;
        }
        self.held.extend_from_slice(&piece);
        Ok(())
    }
}
