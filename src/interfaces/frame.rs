//! The dataframe that crosses the traits: opaque, lazy, of whichever engine made it.

use std::any::Any;
use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};
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

/// A dataframe of any engine. Nothing runs until it is pulled.
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

    /// One frame after the other. All must have the same columns with the same types; the order of the
    /// first stands.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no frame, or if columns or types differ.
    pub async fn concat(frames: Vec<Self>) -> Result<Self> {
        let mut frames = frames;
        if frames.len() == 1
            && let Some(only) = frames.pop()
        {
            return Ok(only);
        }
        let mut parts = Vec::with_capacity(frames.len());
        let mut schema: Option<SchemaRef> = None;
        for (i, frame) in frames.into_iter().enumerate() {
            let own = frame.schema().await?;
            let first = schema.get_or_insert_with(|| SchemaRef::clone(&own));
            parts.push((same_columns(first, &own).map_err(|e| e.with("source", i + 1))?, frame));
        }
        let schema = schema.ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "there is no source").hint("name at least one")
        })?;
        Ok(Self::new(ChainFrame { schema, parts }))
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
    /// The frame, unchanged.
    pub fn downcast<T: 'static>(self) -> Result<Box<T>, Self> {
        if !self.0.as_any().is::<T>() {
            return Err(self);
        }
        match self.0.into_any().downcast::<T>() {
            Ok(frame) => Ok(frame),
            Err(_) => unreachable!("the type was looked at first"),
        }
    }
}

/// Where each column of `first` stands in `own`.
fn same_columns(first: &SchemaRef, own: &SchemaRef) -> Result<Vec<usize>> {
    let differ = |message: &'static str| {
        Error::new(ErrorKind::InvalidInput, message).hint("sources of one upsert must have the same columns")
    };
    if first.fields().len() != own.fields().len() {
        let names =
            |s: &SchemaRef| s.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>().join(", ");
        return Err(differ("sources differ in their columns")
            .with("first", names(first))
            .with("this", names(own)));
    }
    first
        .fields()
        .iter()
        .map(|field| {
            let (index, found) = own
                .column_with_name(field.name())
                .ok_or_else(|| differ("a source lacks a column").with("column", field.name()))?;
            if found.data_type() != field.data_type() {
                return Err(differ("sources differ in a type")
                    .with("column", field.name())
                    .with("first", type_name(field.data_type()))
                    .with("this", type_name(found.data_type())));
            }
            Ok(index)
        })
        .collect()
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

/// Frames one after the other, each with the place of every column of the whole in it.
#[derive(Debug)]
struct ChainFrame {
    schema: SchemaRef,
    parts: Vec<(Vec<usize>, Frame)>,
}

#[async_trait]
impl EngineFrame for ChainFrame {
    fn engine(&self) -> &'static str {
        self.parts.first().map_or("arrow", |(_, frame)| frame.engine())
    }

    async fn schema(&self) -> Result<SchemaRef> {
        Ok(SchemaRef::clone(&self.schema))
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        use futures::{StreamExt, TryStreamExt, stream};
        let schema = SchemaRef::clone(&self.schema);
        let batches = stream::iter(self.parts.into_iter().map(Ok))
            .and_then(move |(columns, frame)| {
                let schema = SchemaRef::clone(&schema);
                async move {
                    let rows = frame.into_arrow().await?;
                    Ok(rows.map(move |batch| arrange(&schema, &columns, &batch?)))
                }
            })
            .try_flatten();
        Ok(BatchStream::new(self.schema, batches))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn arrange(schema: &SchemaRef, columns: &[usize], batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = columns.iter().map(|index| batch.column(*index).clone()).collect();
    RecordBatch::try_new(SchemaRef::clone(schema), columns)
        .map_err(|cause| Error::internal("sources changed their schema while they were read").because(cause))
}
