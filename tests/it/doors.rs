//! The front doors of one backend in a folder of their own, for tests of the library.

use std::path::PathBuf;

use crate::places::{Kind, Place, below};
use keyfold::arrow::array::RecordBatch;
use keyfold::arrow::compute::concat_batches;
use keyfold::arrow::datatypes::SchemaRef;
use keyfold::{DataReaderWriter, Format, Frame, Location, ReadOptions, Result, Upsert};

/// The formats into which rows are folded, with the extension of each.
pub(crate) const FORMATS: [(Format, &str); 3] =
    [(Format::Parquet, "parquet"), (Format::Csv, "csv"), (Format::Ndjson, "ndjson")];

/// The extensions of every kind of file that is written and read.
pub(crate) const EXTENSIONS: [&str; 10] =
    ["parquet", "csv", "ndjson", "json", "arrow", "arrows", "csv.gz", "tsv.zst", "ndjson.zst", "json.gz"];

/// A place, and the doors into it.
pub(crate) struct Doors {
    place: Place,
    pub(crate) backend: &'static str,
    pub(crate) data: DataReaderWriter,
    pub(crate) upsert: Upsert,
}

impl Doors {
    pub(crate) fn new(backend: &'static str) -> Self {
        Self::at(backend, Kind::Disk)
    }

    pub(crate) fn at(backend: &'static str, kind: Kind) -> Self {
        Self::into(backend, Place::new(kind))
    }

    pub(crate) fn into(backend: &'static str, place: Place) -> Self {
        let (root, session) = (&place.root, &place.session);
        let data = DataReaderWriter::builder().backend(backend).folder(root).session(session.clone());
        let upsert = Upsert::builder().backend(backend).folder(root).session(session.clone());
        Self { backend, data: data.build().expect("a door"), upsert: upsert.build().expect("a door"), place }
    }

    /// Where everything is.
    pub(crate) fn root(&self) -> String {
        format!("{}/", self.place.root)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.place.kind
    }

    pub(crate) fn is_on_disk(&self) -> bool {
        self.place.kind == Kind::Disk
    }

    /// Where something is.
    pub(crate) fn place(&self, name: &str) -> Location {
        self.place.at(name)
    }

    /// Where a file is on disk.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.at(name).as_path().expect("on disk").to_owned()
    }

    /// The bytes of a file, if it is there.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.place.bytes(name)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        self.place.put(name, content.as_ref());
    }

    /// Names of everything in the folder, hidden files included.
    pub(crate) fn names(&self) -> Vec<String> {
        self.place.names()
    }

    /// Names of everything in a folder, if there is one.
    pub(crate) fn names_in(&self, folder: &str) -> Vec<String> {
        self.place.names_in(folder)
    }

    /// Names of all files below a folder, however deep.
    pub(crate) fn names_below(&self, folder: &str) -> Vec<String> {
        if self.is_on_disk() { below(&self.path(folder), "") } else { self.names_in(folder) }
    }

    /// The rows as a frame of the backend's own engine.
    pub(crate) async fn own_frame(&self, batch: RecordBatch) -> Frame {
        own_frame(self.backend, Frame::from(batch)).await
    }

    /// All rows of some files.
    pub(crate) async fn read(&self, names: &[&str], options: ReadOptions) -> Result<RecordBatch> {
        collected(self.data.read_opts(names, options).await?).await
    }

    /// All rows of one file, in the types of `schema`.
    pub(crate) async fn rows(&self, name: &str, schema: SchemaRef) -> Result<RecordBatch> {
        self.read(&[name], ReadOptions::default().with_schema(schema)).await
    }
}

/// A frame of `backend`'s own engine with the rows of any other.
pub(crate) async fn own_frame(backend: &str, frame: Frame) -> Frame {
    match backend {
        #[cfg(feature = "polars")]
        "polars" => frame.into_polars().await.expect("crosses").into(),
        #[cfg(feature = "datafusion")]
        "datafusion" => {
            let ctx = keyfold::datafusion::prelude::SessionContext::new();
            frame.into_datafusion(&ctx).await.expect("crosses").into()
        }
        other => panic!("no frames of {other}"),
    }
}

/// All rows of a frame in one batch.
pub(crate) async fn collected(frame: Frame) -> Result<RecordBatch> {
    let stream = frame.into_arrow().await?;
    let schema = stream.schema();
    Ok(concat_batches(&schema, &stream.collect().await?).expect("batches of one schema"))
}

/// The rows in batches of `rows` rows each.
pub(crate) fn batches_of(rows: usize, batch: &RecordBatch) -> Vec<RecordBatch> {
    (0..batch.num_rows())
        .step_by(rows)
        .map(|start| batch.slice(start, rows.min(batch.num_rows() - start)))
        .collect()
}
