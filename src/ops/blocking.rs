//! The front doors for code that is not async.
//!
//! Work runs on a runtime of its own, so that these calls may also be made from inside tokio (where they
//! block the calling thread until they are done).
//!
//! ```
//! # #[cfg(feature = "polars")] {
//! use keyfold::blocking;
//! use keyfold::polars::prelude::*;
//! use keyfold::UpsertMethod;
//!
//! # let folder = tempfile::tempdir()?;
//! # std::fs::write(folder.path().join("orders.csv"), "order_id,total\n1,9.5\n2,3.0\n")?;
//! # let folder = folder.path().display().to_string();
//! let upsert = blocking::Upsert::builder().folder(folder).build()?;
//! let changes = df!("order_id" => [2], "total" => [4.0])?;
//! let report = upsert.upsert(changes, "orders.csv", UpsertMethod::Id, &["order_id"], None)?;
//! assert_eq!(report.rows.updated, 1);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::future::Future;
use std::io;
use std::sync::{LazyLock, mpsc};

use arrow::datatypes::SchemaRef;
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use crate::core::merge::{MergeRule, UpsertMethod};
use crate::core::options::{ReadOptions, UpsertOptions, WriteOptions};
use crate::core::report::{UpsertReport, WriteReport};
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::Frame;
use crate::ops::builder::{Builder, Parts};

/// Waits for any future of keyfold's, such as [`Frame::into_arrow`], from code that is not async.
///
/// # Errors
///
/// What the future fails with, and `Io` if no thread can be started.
pub fn wait<T, F>(future: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    runtime()?.spawn(async move {
        // The receiver waits below; it goes only if its thread does.
        drop(sender.send(future.await));
    });
    receiver.recv().map_err(|cause| Error::internal("a worker thread did not finish").because(cause))?
}

fn runtime() -> Result<&'static Runtime> {
    // Made once, under a lock, and never dropped: tokio forbids that inside of async code.
    static RUNTIME: LazyLock<io::Result<Runtime>> =
        LazyLock::new(|| RuntimeBuilder::new_multi_thread().thread_name("keyfold").enable_all().build());
    let failed =
        |cause: &io::Error| Error::new(ErrorKind::Io, "cannot start a thread").because(cause.to_string());
    RUNTIME.as_ref().map_err(failed)
}

fn owned(paths: &[impl AsRef<str>]) -> Vec<String> {
    paths.iter().map(|path| path.as_ref().to_owned()).collect()
}

/// [`crate::DataReaderWriter`], blocking.
#[derive(Debug, Clone)]
pub struct DataReaderWriter(super::DataReaderWriter);

impl From<Parts> for DataReaderWriter {
    fn from(parts: Parts) -> Self {
        Self(parts.into())
    }
}

impl DataReaderWriter {
    /// Starts a builder.
    #[must_use]
    pub fn builder() -> Builder<Self> {
        Builder::default()
    }

    /// As [`crate::DataReaderWriter::read`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn read(&self, path: &str) -> Result<Frame> {
        self.read_opts(&[path], ReadOptions::default())
    }

    /// As [`crate::DataReaderWriter::read_opts`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn read_opts(&self, paths: &[impl AsRef<str>], options: ReadOptions) -> Result<Frame> {
        let (door, paths) = (self.0.clone(), owned(paths));
        wait(async move { door.read_opts(&paths, options).await })
    }

    /// As [`crate::DataReaderWriter::write`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn write(&self, frame: impl Into<Frame>, path: &str) -> Result<WriteReport> {
        self.write_opts(frame, path, WriteOptions::default())
    }

    /// As [`crate::DataReaderWriter::write_opts`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn write_opts(
        &self,
        frame: impl Into<Frame>,
        path: &str,
        options: WriteOptions,
    ) -> Result<WriteReport> {
        let (door, frame, path) = (self.0.clone(), frame.into(), path.to_owned());
        wait(async move { door.write_opts(frame, &path, options).await })
    }

    /// As [`crate::DataReaderWriter::schema`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn schema(&self, paths: &[impl AsRef<str>], options: ReadOptions) -> Result<SchemaRef> {
        let (door, paths) = (self.0.clone(), owned(paths));
        wait(async move { door.schema(&paths, options).await })
    }

    /// As [`crate::DataReaderWriter::count`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn count(&self, paths: &[impl AsRef<str>], options: ReadOptions) -> Result<u64> {
        let (door, paths) = (self.0.clone(), owned(paths));
        wait(async move { door.count(&paths, options).await })
    }
}

/// [`crate::Upsert`], blocking.
#[derive(Debug, Clone)]
pub struct Upsert(super::Upsert);

impl From<Parts> for Upsert {
    fn from(parts: Parts) -> Self {
        Self(parts.into())
    }
}

impl Upsert {
    /// Starts a builder.
    #[must_use]
    pub fn builder() -> Builder<Self> {
        Builder::default()
    }

    /// As [`crate::Upsert::upsert`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn upsert(
        &self,
        new_rows: impl Into<Frame>,
        target: &str,
        method: UpsertMethod,
        id_columns: &[&str],
        modification_column: Option<&str>,
    ) -> Result<UpsertReport> {
        let rule = MergeRule::new(method, id_columns.iter().copied(), modification_column.map(Into::into))?;
        self.upsert_opts(new_rows, target, &rule, UpsertOptions::default())
    }

    /// As [`crate::Upsert::upsert_opts`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn upsert_opts(
        &self,
        new_rows: impl Into<Frame>,
        target: &str,
        rule: &MergeRule,
        options: UpsertOptions,
    ) -> Result<UpsertReport> {
        let (door, rows, target, rule) = (self.0.clone(), new_rows.into(), target.to_owned(), rule.clone());
        wait(async move { door.upsert_opts(rows, &target, &rule, options).await })
    }

    /// As [`crate::Upsert::upsert_files`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn upsert_files(
        &self,
        sources: &[impl AsRef<str>],
        read: ReadOptions,
        target: &str,
        rule: &MergeRule,
        options: UpsertOptions,
    ) -> Result<UpsertReport> {
        let (door, sources, target, rule) = (self.0.clone(), owned(sources), target.to_owned(), rule.clone());
        wait(async move { door.upsert_files(&sources, read, &target, &rule, options).await })
    }
}
