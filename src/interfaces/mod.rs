//! The traits that backends implement. Each line of a contract is a case of the conformance suite.

mod common;
mod concat;
mod frame;
mod stream;

use std::fmt;

use async_trait::async_trait;

use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::options::{ReadOptions, UpsertOptions, WriteOptions};
use crate::core::report::{UpsertReport, WriteReport};
use crate::error::Result;

pub use frame::{EngineFrame, Frame};
pub use stream::BatchStream;

/// Reads files into one frame.
///
/// # Contract
///
/// * Columns come back exactly as `options.columns` names them, in that order; a column that is not
///   there is `InvalidInput`.
/// * Rows keep their order within a file; files follow each other in the order they are named, those of
///   a glob pattern by name.
/// * Several files have the same columns; their order may differ, the first file's stands. Files of JSON have
///   the columns of all of them, in the order they first appear.
/// * A column that `options.schema` names and no file has is `InvalidInput`.
/// * A missing location, or a pattern that matches nothing, is `NotFound`, never an empty frame.
/// * A directory is `InvalidInput`.
#[async_trait]
pub trait Reader: fmt::Debug + Send + Sync {
    /// Reads `locations` (at least one; each may be a glob pattern) as `options` say.
    async fn read_opts(&self, locations: &[Location], options: ReadOptions) -> Result<Frame>;
}

/// Writes a frame to one file.
///
/// # Contract
///
/// * Readers see the old file or the new one, never a mix; a failure leaves the old one.
/// * What exists is treated as `options.mode` says; the default refuses it with `AlreadyExists`.
/// * `append` keeps the stored types and order of columns; values that do not fit exactly, and other
///   columns, are `InvalidInput`. A CSV file has no types to keep and takes every value as it is sent.
/// * A missing parent folder is `NotFound`.
#[async_trait]
pub trait Writer: fmt::Debug + Send + Sync {
    /// Writes `frame` to `location` as `options` say.
    async fn write_opts(
        &self,
        frame: Frame,
        location: &Location,
        options: WriteOptions,
    ) -> Result<WriteReport>;
}

/// Folds a frame into data at rest.
///
/// # Contract
///
/// * The answer is the one of the reference merge, whatever the backend, format and batch size.
/// * The same upsert again changes nothing and writes nothing.
/// * Readers see the table before or after, never a mix; a failure leaves it as it was.
/// * Stored rows keep their order, updates stand where the old version stood, inserts come last in
///   source order.
/// * A target that does not exist is created.
#[async_trait]
pub trait Upserter: fmt::Debug + Send + Sync {
    /// Folds `rows` into `target` as `rule` says.
    async fn upsert_opts(
        &self,
        rows: Frame,
        target: &Location,
        rule: &MergeRule,
        options: UpsertOptions,
    ) -> Result<UpsertReport>;
}
