//! The dataframe that crosses the traits: opaque, lazy, of whichever engine made it.

use std::any::Any;
use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::interfaces::BatchStream;

/// What an engine implements for its own dataframe.
#[async_trait]
pub trait EngineFrame: fmt::Debug + Send + Sync {
    /// The engine, as users name it.
    fn engine(&self) -> &'static str;

    /// The columns, without running the frame.
    async fn schema(&self) -> Result<SchemaRef>;

    /// Runs the frame in its own engine.
    async fn into_stream(self: Box<Self>) -> Result<BatchStream>;

    /// The engine's own type, for a downcast without a copy.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;

    /// The same, to look at.
    fn as_any(&self) -> &dyn Any;
}

/// A dataframe of any engine, opaque until an engine or Arrow takes it over.
///
/// A plan of an engine runs when the frame is pulled, not before. What a reader gives is as lazy as its engine
/// can be: Polars scans Parquet when it runs, but has text read when the frame is made (see
/// [`Reader`](crate::Reader) and its implementors).
///
/// ```
/// use keyfold::Frame;
/// use keyfold::arrow::array::{Int64Array, RecordBatch};
///
/// let batch = RecordBatch::try_from_iter([("id", std::sync::Arc::new(Int64Array::from(vec![1, 2])) as _)])?;
/// let frame = Frame::from(batch);
/// assert_eq!(frame.engine(), "arrow");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Frame(Box<dyn EngineFrame>);

impl Frame {
    /// Wraps an engine's frame.
    pub fn new(frame: impl EngineFrame + 'static) -> Self {
        Self(Box::new(frame))
    }

    /// A frame over batches of one schema.
    #[must_use]
    pub fn from_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self::new(ArrowFrame { schema, batches })
    }

    /// A frame over a stream that can be pulled once.
    #[must_use]
    pub fn from_stream(stream: BatchStream) -> Self {
        // A mutex only because `Sync` is asked of every frame; it is never contended.
        Self::new(StreamFrame { schema: stream.schema(), stream: std::sync::Mutex::new(stream) })
    }

    /// The engine that made the frame.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.0.engine()
    }

    /// The columns, without running the frame.
    ///
    /// # Errors
    ///
    /// Whatever the engine says if the frame is wrong.
    pub async fn schema(&self) -> Result<SchemaRef> {
        self.0.schema().await
    }

    /// Runs the frame in its own engine and gives its rows as Arrow batches.
    ///
    /// # Errors
    ///
    /// Whatever the engine fails with.
    pub async fn into_arrow(self) -> Result<BatchStream> {
        self.0.into_stream().await
    }

    /// Takes the engine's own frame out, if it is a `T`; the frame itself if it is not.
    ///
    /// # Errors
    ///
    /// The frame, unchanged. If [`EngineFrame::as_any`] and [`EngineFrame::into_any`] disagree, a frame that
    /// fails with `Internal` when it is pulled.
    pub fn downcast<T: 'static>(self) -> Result<Box<T>, Self> {
        if !self.0.as_any().is::<T>() {
            return Err(self);
        }
        self.0.into_any().downcast::<T>().map_err(|_| Self::broken())
    }

    /// What is left of a frame that says it is of one type and turns into another.
    fn broken() -> Self {
        let failure = Error::internal("a frame is not of the type that it says it is");
        Self::from_stream(BatchStream::from_iter(Schema::empty().into(), [Err(failure)]))
    }
}

impl From<RecordBatch> for Frame {
    fn from(batch: RecordBatch) -> Self {
        Self::from_batches(batch.schema(), vec![batch])
    }
}

impl From<BatchStream> for Frame {
    fn from(stream: BatchStream) -> Self {
        Self::from_stream(stream)
    }
}

/// Batches in memory.
#[derive(Debug)]
struct ArrowFrame {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

#[async_trait]
impl EngineFrame for ArrowFrame {
    fn engine(&self) -> &'static str {
        "arrow"
    }

    async fn schema(&self) -> Result<SchemaRef> {
        Ok(SchemaRef::clone(&self.schema))
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        Ok(BatchStream::from_iter(self.schema, self.batches.into_iter().map(Ok)))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A stream that can be pulled once.
#[derive(Debug)]
struct StreamFrame {
    schema: SchemaRef,
    stream: std::sync::Mutex<BatchStream>,
}

#[async_trait]
impl EngineFrame for StreamFrame {
    fn engine(&self) -> &'static str {
        "arrow"
    }

    async fn schema(&self) -> Result<SchemaRef> {
        Ok(SchemaRef::clone(&self.schema))
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        self.stream.into_inner().map_err(|_| Error::internal("a stream was left half pulled"))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Says that it is an [`ArrowFrame`], and is not.
    #[derive(Debug)]
    struct Liar(ArrowFrame);

    #[async_trait]
    impl EngineFrame for Liar {
        fn engine(&self) -> &'static str {
            "liar"
        }

        async fn schema(&self) -> Result<SchemaRef> {
            self.0.schema().await
        }

        async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
            Box::new(self.0).into_stream().await
        }

        fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
            self
        }

        fn as_any(&self) -> &dyn Any {
            &self.0
        }
    }

    #[tokio::test]
    async fn a_frame_that_lies_about_its_type_fails_when_it_is_pulled() {
        let frame = Frame::new(Liar(ArrowFrame { schema: Schema::empty().into(), batches: Vec::new() }));
        let left = frame.downcast::<ArrowFrame>().expect_err("another type");
        let failed = left.into_arrow().await.expect("a stream").collect().await;
        assert_eq!(failed.map_err(|e| e.kind()), Err(ErrorKind::Internal));
    }

    #[test]
    fn a_frame_of_another_type_comes_back_as_it_was() {
        let frame = Frame::from_batches(Schema::empty().into(), Vec::new());
        let frame = frame.downcast::<StreamFrame>().expect_err("another type");
        assert!(frame.downcast::<ArrowFrame>().is_ok());
    }
}
