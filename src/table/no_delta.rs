//! The names of `table::delta` in a build that knows no Delta tables: nothing is one, and whoever says that something
//! is, hears why it is not read.

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};

use crate::client::session::Session;
use crate::core::format::no_file;
use crate::core::location::Location;
use crate::core::options::{OptimizeOptions, UpsertOptions, VacuumOptions, WriteOptions};
use crate::core::report::{OptimizeReport, RestoreReport, TableVersion, VacuumReport, WriteReport};
use crate::error::Result;
use crate::interfaces::BatchStream;
use crate::table::parquet::ParquetFile;
use crate::table::{Found, ParquetTable, StoredTable, UpsertTarget};

pub(crate) const IS_KNOWN: bool = false;

#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Latest,
    Version(u64),
    Time(DateTime<Utc>),
}

/// Nothing is one.
#[derive(Debug, Clone)]
pub(crate) enum Snapshot {}

impl Snapshot {
    pub(crate) fn required(session: &Session, location: &Location, at: At) -> Result<Self> {
        Self::load(session, location, at)?.ok_or_else(no_file)
    }

    pub(crate) fn load(_: &Session, _: &Location, at: At) -> Result<Option<Self>> {
        match at {
            At::Latest | At::Version(_) | At::Time(_) => Err(no_file()),
        }
    }
}

impl ParquetTable for Snapshot {
    fn schema(&self) -> &SchemaRef {
        match *self {}
    }

    fn files(&self) -> usize {
        match *self {}
    }

    fn name(&self, _: usize) -> &str {
        match *self {}
    }

    fn open(&self, _: &Session, _: usize) -> Result<ParquetFile> {
        match *self {}
    }

    fn count(&self, _: &Session) -> Result<u64> {
        match *self {}
    }
}

pub(crate) fn history(_: &Session, _: &Location, _: Option<usize>) -> Result<Vec<TableVersion>> {
    Err(no_file())
}

pub(crate) fn optimize(_: &Session, _: &Location, _: &OptimizeOptions) -> Result<OptimizeReport> {
    Err(no_file())
}

pub(crate) fn vacuum(_: &Session, _: &Location, _: &VacuumOptions) -> Result<VacuumReport> {
    Err(no_file())
}

pub(crate) fn restore(_: &Session, _: &Location, _: At, _: bool) -> Result<RestoreReport> {
    Err(no_file())
}

pub(super) struct DeltaTarget(Location);

impl DeltaTarget {
    pub(super) fn new(location: &Location, _: &UpsertOptions) -> Self {
        Self(location.clone())
    }
}

impl UpsertTarget for DeltaTarget {
    fn location(&self) -> &Location {
        &self.0
    }

    fn open(&mut self, _: &Session, _: bool) -> Result<Found> {
        Err(no_file())
    }

    fn create(&mut self, _: &Session, _: &SchemaRef) -> Result<Box<dyn StoredTable>> {
        Err(no_file())
    }

    fn has_a_line(&self) -> bool {
        false
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the one that looks")]
pub(crate) fn is_table(_: &Session, _: &Location) -> Result<bool> {
    Ok(false)
}

#[expect(clippy::unused_async, reason = "as the one that writes")]
pub(crate) async fn write_stream(
    _: &Session,
    _: BatchStream,
    _: &Location,
    _: &WriteOptions,
    _: &'static str,
) -> Result<WriteReport> {
    Err(no_file())
}
