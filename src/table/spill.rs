//! A stream that can be pulled once, kept so that it can be scanned again: in memory while it is small, in
//! a temporary Arrow IPC file above that.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, ByteView, MAX_INLINE_VIEW_LEN, RecordBatch, RecordBatchOptions,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use futures::StreamExt;
use tempfile::{NamedTempFile, TempPath};

use crate::client::io::blocking;
use crate::error::{Error, Result};
use crate::interfaces::BatchStream;

/// How many bytes of a one-shot stream are held in memory before it goes to disk.
pub(crate) const MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// Batches at hand.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A stream's rows, in their order.
#[derive(Debug)]
pub(crate) enum Spilled {
    /// All of them.
    Memory(SchemaRef, Vec<RecordBatch>),
    /// On disk.
    File(SpillFile),
}

impl Spilled {
    /// Pulls `stream` to its end. Up to `limit_bytes` of rows are held in memory; beyond that all of
    /// them go to a temporary file, a batch at a time.
    ///
    /// # Errors
    ///
    /// What the stream fails with, and `Io` if the temporary file cannot be written.
    pub(crate) async fn write(mut stream: BatchStream, limit_bytes: usize) -> Result<Self> {
        let schema = stream.schema();
        let (mut held, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            // Without rows it has buffers all the same, and what goes to disk has rows.
            if batch.num_rows() == 0 {
                continue;
            }
            bytes += size_of_rows(&batch);
            held.push(batch);
            if bytes > limit_bytes {
                return SpillFile::write(schema, held, stream).await.map(Self::File);
            }
        }
        Ok(Self::Memory(schema, held))
    }

    /// The schema of every batch.
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Self::Memory(schema, _) => SchemaRef::clone(schema),
            Self::File(file) => file.schema(),
        }
    }

    /// The file, if the rows are on disk.
    pub(crate) fn file(&self) -> Option<&SpillFile> {
        match self {
            Self::Memory(..) => None,
            Self::File(file) => Some(file),
        }
    }

    /// The size of the file, if there is one; else 0.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be told.
    pub(crate) fn bytes_on_disk(&self) -> Result<u64> {
        match self {
            Self::Memory(..) => Ok(0),
            Self::File(file) => file.bytes(),
        }
    }

    /// Whether there is a row.
    pub(crate) fn has_rows(&self) -> bool {
        match self {
            Self::Memory(_, batches) => batches.iter().any(|batch| batch.num_rows() > 0),
            Self::File(_) => true,
        }
    }

    /// The rows, from the start.
    ///
    /// # Errors
    ///
    /// `Io` if the temporary file cannot be read.
    pub(crate) fn batches(&self) -> Result<(SchemaRef, Batches)> {
        Ok(match self {
            Self::Memory(schema, batches) => {
                (SchemaRef::clone(schema), Box::new(batches.clone().into_iter().map(Ok)))
            }
            Self::File(file) => (file.schema(), Box::new(file.batches()?)),
        })
    }
}

/// What the rows of a batch take by themselves, were its buffers not shared with other batches.
pub(super) fn size_of_rows(batch: &RecordBatch) -> usize {
    let size = |column: &ArrayRef| {
        let data = column.to_data();
        let own = data.get_slice_memory_size();
        own.map_or_else(|_| column.get_array_memory_size(), |own| own + behind_views(&data))
    };
    batch.columns().iter().map(size).sum()
}

/// The bytes to which views point, which Arrow leaves out.
fn behind_views(data: &ArrayData) -> usize {
    let own = match data.data_type() {
        DataType::Utf8View | DataType::BinaryView => {
            let lengths =
                data.buffer::<u128>(0)[..data.len()].iter().map(|view| ByteView::from(*view).length);
            lengths.filter(|length| *length > MAX_INLINE_VIEW_LEN).map(|length| length as usize).sum()
        }
        _ => 0,
    };
    own + data.child_data().iter().map(behind_views).sum::<usize>()
}

/// An Arrow IPC file that goes when its last clone does.
#[derive(Debug, Clone)]
pub(crate) struct SpillFile {
    schema: SchemaRef,
    path: Arc<TempPath>,
}

impl SpillFile {
    /// The schema of every batch.
    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Where the file is. In it, dictionary columns stand as plain ones of their values.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be told.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let metadata = std::fs::metadata(&*self.path);
        metadata.map(|file| file.len()).map_err(|cause| Error::io("cannot read a temporary file", cause))
    }

    /// Scans the rows from the start; the file lives as long as the scan.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read.
    pub(crate) fn batches(&self) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        let reader = self.reader()?;
        let (schema, path) = (self.schema(), Arc::clone(&self.path));
        Ok(reader.map(move |batch| {
            let _alive = &path;
            batch.and_then(|batch| with_schema(&batch, &schema)).map_err(unreadable)
        }))
    }

    /// Opens the file, for [`SpillFile::batch`].
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read.
    pub(super) fn reader(&self) -> Result<FileReader<BufReader<File>>> {
        self.open(None)
    }

    fn open(&self, columns: Option<Vec<usize>>) -> Result<FileReader<BufReader<File>>> {
        let file = File::open(&*self.path)
            .map_err(|cause| Error::io("cannot read a temporary file", cause))
            .map_err(|error| error.with("file", self.path.display()))?;
        FileReader::try_new_buffered(file, columns).map_err(unreadable)
    }

    /// One column alone, and the file opened for it.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read.
    pub(super) fn column(&self, index: usize) -> Result<(Self, FileReader<BufReader<File>>)> {
        let schema = self.schema.project(&[index]).map_err(unreadable)?;
        let reader = self.open(Some(vec![index]))?;
        Ok((Self { schema: Arc::new(schema), path: Arc::clone(&self.path) }, reader))
    }

    /// The batch of this number, of which there must be one.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read.
    pub(super) fn batch(
        &self,
        reader: &mut FileReader<BufReader<File>>,
        number: usize,
    ) -> Result<RecordBatch> {
        reader.set_index(number).map_err(unreadable)?;
        let batch = reader.next().ok_or_else(|| Error::internal("a temporary file is too short"))?;
        batch.and_then(|batch| with_schema(&batch, &self.schema)).map_err(unreadable)
    }

    /// Batches of `schema`, written now.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be written, and what the batches fail with.
    pub(super) fn of(schema: &SchemaRef, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<Self> {
        let mut writer = SpillWriter::create(Arc::clone(schema))?;
        for batch in batches {
            writer = writer.write(&[batch?])?;
        }
        writer.finish()
    }

    async fn write(schema: SchemaRef, held: Vec<RecordBatch>, mut rest: BatchStream) -> Result<Self> {
        let mut writer = blocking(move || SpillWriter::create(schema)?.write(&held)).await?;
        while let Some(batch) = rest.next().await {
            let batch = batch?;
            writer = blocking(move || writer.write(&[batch])).await?;
        }
        blocking(move || writer.finish()).await
    }
}

struct SpillWriter {
    schema: SchemaRef,
    plain: SchemaRef,
    path: TempPath,
    out: FileWriter<BufWriter<File>>,
}

impl SpillWriter {
    fn create(schema: SchemaRef) -> Result<Self> {
        let file = tempfile::Builder::new().prefix("keyfold-").suffix(".arrow").tempfile();
        let (file, path) = file
            .map(NamedTempFile::into_parts)
            .map_err(|cause| Error::io("cannot make a temporary file", cause))
            .map_err(|error| error.with("folder", std::env::temp_dir().display()))
            .map_err(|error| error.hint("set TMPDIR to a folder that can be written"))?;
        let plain = plain_schema(&schema);
        let out = FileWriter::try_new_buffered(file, &plain).map_err(unwritable)?;
        Ok(Self { schema, plain, path, out })
    }

    fn write(mut self, batches: &[RecordBatch]) -> Result<Self> {
        for batch in batches {
            let batch = with_schema(batch, &self.plain).and_then(|batch| compact(&batch));
            self.out.write(&batch.map_err(unwritable)?).map_err(unwritable)?;
        }
        Ok(self)
    }

    fn finish(mut self) -> Result<SpillFile> {
        self.out.finish().map_err(unwritable)?;
        Ok(SpillFile { schema: self.schema, path: Arc::new(self.path) })
    }
}

fn unwritable(cause: ArrowError) -> Error {
    let error = match cause {
        ArrowError::IoError(_, cause) => Error::io("cannot write a temporary file", cause),
        cause => Error::internal("cannot write a temporary file").because(cause),
    };
    error
        .with("folder", std::env::temp_dir().display())
        .hint("set TMPDIR to a folder on a disk with more room")
}

fn unreadable(cause: ArrowError) -> Error {
    match cause {
        ArrowError::IoError(_, cause) => Error::io("cannot read a temporary file", cause),
        cause => Error::internal("cannot read a temporary file").because(cause),
    }
}

/// The schema with every dictionary, nested ones too, as its values: an IPC file can hold only one dictionary
/// per column, and a stream may bring another with each batch.
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn plain_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::clone(field).with_data_type(plain_type(field.data_type())))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::List(field) => DataType::List(plain_field(field)),
        DataType::LargeList(field) => DataType::LargeList(plain_field(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(plain_field(field), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        other => other.clone(),
    }
}

/// The batch with the columns of `schema`, which may be plain where its own are dictionaries.
pub(crate) fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            Ok(Arc::clone(column))
        } else {
            cast(column, field.data_type())
        }
    });
    rebuild(batch, Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

/// Drops what views do not point to: IPC writes whole buffers, and a slice of a large batch would bring all of
/// them along each time.
pub(crate) fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()) as ArrayRef,
        _ => Arc::clone(column),
    });
    rebuild(batch, batch.schema(), columns.collect())
}

fn rebuild(
    batch: &RecordBatch,
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
) -> Result<RecordBatch, ArrowError> {
    // Said, because a batch without columns has rows too.
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int64Array, StringViewArray};
    use arrow::datatypes::Int32Type;

    fn batch(words: [&str; 2]) -> RecordBatch {
        let dictionary: DictionaryArray<Int32Type> = words.into_iter().collect();
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
            ("k", Arc::new(dictionary) as ArrayRef),
            ("v", Arc::new(StringViewArray::from(words.to_vec())) as ArrayRef),
        ])
        .unwrap()
    }

    fn stream(batches: &[RecordBatch]) -> BatchStream {
        BatchStream::from_iter(batches[0].schema(), batches.iter().cloned().map(Ok).collect::<Vec<_>>())
    }

    #[test]
    fn the_text_behind_views_counts_as_far_as_it_is_pointed_to() {
        let long = "a text that is not inlined";
        let of = |rows: usize| {
            let views: ArrayRef = Arc::new(StringViewArray::from_iter_values([long, "short", long, long]));
            size_of_rows(&RecordBatch::try_from_iter([("v", views)]).unwrap().slice(0, rows))
        };
        assert_eq!((of(1), of(2), of(3)), (16 + 26, 32 + 26, 48 + 52));
    }

    #[tokio::test]
    async fn a_small_stream_stays_in_memory_as_it_is() {
        let batches = [batch(["a", "b"]), batch(["c", "d"])];
        let Spilled::Memory(_, held) = Spilled::write(stream(&batches), 1024).await.unwrap() else {
            panic!("spilled");
        };
        assert_eq!(held, batches);
        let address = |batch: &RecordBatch| batch.column(0).to_data().buffers()[0].as_ptr();
        assert_eq!(address(&held[0]), address(&batches[0]));
    }

    #[tokio::test]
    async fn a_large_stream_comes_back_as_it_was_and_more_than_once() {
        // Each batch has a dictionary of its own, which an IPC file cannot hold.
        let batches = [batch(["a", "b"]), batch(["a long text, not inlined", "d"]), batch(["x", "y"])];
        let Spilled::File(file) = Spilled::write(stream(&batches), 50).await.unwrap() else {
            panic!("not spilled");
        };
        for _ in 0..2 {
            let back: Vec<_> = file.batches().unwrap().map(Result::unwrap).collect();
            assert_eq!(back, batches);
        }
        for spilled in [Spilled::File(file), Spilled::write(stream(&batches), 1024).await.unwrap()] {
            let (schema, back) = spilled.batches().unwrap();
            assert_eq!((schema, back.map(Result::unwrap).collect()), (batches[0].schema(), batches.to_vec()));
        }
    }

    #[tokio::test]
    async fn the_file_lives_as_long_as_a_scan_of_it() {
        let batches = [batch(["a", "b"])];
        let Spilled::File(file) = Spilled::write(stream(&batches), 0).await.unwrap() else {
            panic!("not spilled");
        };
        let path = file.path().to_owned();
        let scan = file.batches().unwrap();
        drop(file);
        assert!(path.exists());
        assert_eq!(scan.map(Result::unwrap).collect::<Vec<_>>(), batches);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_slice_of_views_does_not_bring_the_whole_buffers() {
        let long: Vec<String> = (0..2_000).map(|i| format!("a text that is not inlined {i}")).collect();
        let views: ArrayRef = Arc::new(StringViewArray::from_iter_values(&long));
        let whole = RecordBatch::try_from_iter([("v", views)]).unwrap();
        let slices: Vec<_> = (0..20).map(|i| whole.slice(i * 100, 100)).collect();
        let Spilled::File(file) = Spilled::write(stream(&slices), 0).await.unwrap() else {
            panic!("not spilled");
        };
        let size = std::fs::metadata(file.path()).unwrap().len();
        assert!(size < 200_000, "{size} bytes for 60,000 of text");
    }

    #[tokio::test]
    async fn a_failing_stream_fails() {
        let rows = || [Ok(batch(["a", "b"])), Err(Error::internal("broken"))];
        for limit in [0, 1024] {
            let stream = BatchStream::from_iter(batch(["a", "b"]).schema(), rows());
            let failed = Spilled::write(stream, limit).await.map(|_| ());
            assert_eq!(failed.map_err(|error| error.message().to_owned()), Err("broken".to_owned()));
        }
    }
}
