//! Folds new rows into data at rest: upserts of dataframes into files, newest row wins, nothing lost.
//!
//! Two front doors do most of the work: [`DataReaderWriter`] reads and writes frames by path,
//! [`Upsert`] folds new rows into a target. Both are async; [`blocking`] has them for code that is not.
//!
//! ```
//! # #[cfg(feature = "polars")]
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use keyfold::polars::prelude::*;
//! use keyfold::{Upsert, UpsertMethod};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().to_string_lossy();
//! let upsert = Upsert::builder().backend("polars").folder(folder).build()?;
//! let orders = df!("id" => [1, 2], "status" => ["new", "new"])?;
//! upsert.upsert(orders, "orders.parquet", UpsertMethod::Id, &["id"], None).await?;
//!
//! let changes = df!("id" => [2, 3], "status" => ["paid", "new"])?;
//! let report = upsert.upsert(changes, "orders.parquet", UpsertMethod::Id, &["id"], None).await?;
//! assert_eq!((report.rows.updated, report.rows.inserted, report.rows.rows_after), (1, 1, Some(3)));
//! # Ok(()) }
//! # #[cfg(not(feature = "polars"))] fn main() {}
//! ```
//!
//! # Features
//!
//! * `polars` (default): the Polars backend, re-exported as `keyfold::polars`.
//! * `datafusion`: the DataFusion backend, re-exported as `keyfold::datafusion`.
//! * `s3` (default): `s3://`, and the client [`S3Client`].
//! * `gcs`, `azure`, `http`: `gs://`; `az://` and `abfss://`; `https://`, for reading.
//! * `cli`: the command line, with all of these.
// What only one backend or the command line calls is judged in the build that has all of them.
#![cfg_attr(
    not(all(feature = "cli", feature = "polars", feature = "datafusion")),
    allow(dead_code, unused_imports)
)]

mod backends;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
#[doc(hidden)]
pub mod conformance;
mod core;
mod error;
mod factory;
mod interfaces;
mod ops;
mod table;

pub use arrow;
#[cfg(feature = "datafusion")]
pub use backends::datafusion::{DataFusionFrame, DataFusionReader, DataFusionUpserter, DataFusionWriter};
#[cfg(feature = "polars")]
pub use backends::polars::{PolarsFrame, PolarsReader, PolarsUpserter, PolarsWriter};
#[cfg(feature = "s3")]
pub use client::s3::{
    BucketInfo, Download, ListEntry, MultipartUpload, ObjectInfo, PendingUpload, PresignedUrl, PutCondition,
    PutOptions, S3Client,
};
pub use client::s3_settings::{S3Settings, Setting};
pub use client::session::{Progress, Session};
pub use core::format::Format;
pub use core::location::{Location, Scheme};
pub use core::merge::{
    Casting, ColumnPolicy, DeleteMarks, Duplicates, ExtraColumns, FineTimestamps, HistoryColumns,
    IncomingColumns, Lossy, MaxDelete, MergeRule, MissingColumns, NaiveTimestamps, NameCase, Newest, NullIds,
    NullModified, Stale, StoredDuplicates, Ties, UpsertMethod, Winner, Zone,
};
pub use core::options::{
    Compression, CsvOptions, IfMissing, MemoryLimit, OptimizeOptions, ReadOptions, UpsertOptions,
    VacuumOptions, WriteMode, WriteOptions,
};
pub use core::predicate::{Assignment, Predicate};
pub use core::report::{
    OptimizeReport, PhaseTimes, RestoreReport, RowCounts, TableVersion, UpsertReport, VacuumReport,
    WorkCounts, WriteReport,
};
pub use core::row_change::{ChangeKind, RowChange, RowValues};
#[cfg(feature = "datafusion")]
pub use datafusion;
pub use error::{Error, ErrorKind, Result};
pub use factory::{Backend, DataReaderWriterFactory, MethodUpserter, UpsertFactory};
pub use interfaces::{BatchStream, EngineFrame, Frame, Reader, Upserter, Writer};
pub use ops::{Builder, DataReaderWriter, Upsert, blocking};
#[cfg(feature = "polars")]
pub use polars;

/// The README's examples, run as tests.
#[cfg(all(doctest, feature = "polars"))]
#[doc = include_str!("../README.md")]
struct Readme;
