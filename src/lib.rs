//! keyfold
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod backends;
mod client;
mod core;
mod error;
mod interfaces;
mod table;

pub use arrow;
#[cfg(feature = "datafusion")]
pub use backends::datafusion::{DataFusionFrame, DataFusionReader, DataFusionUpserter, DataFusionWriter};
pub use client::session::{Progress, Session};
pub use core::format::Format;
pub use core::location::{Location, Scheme};
pub use core::merge::{Fate, MergeRule, Strategy, UpsertMethod, Winner};
pub use core::options::{Compression, CsvOptions, ReadOptions, UpsertOptions, WriteMode, WriteOptions};
pub use core::predicate::Predicate;
pub use core::report::{PhaseTimes, RowCounts, UpsertReport, WorkCounts, WriteReport};
#[cfg(feature = "datafusion")]
pub use datafusion;
pub use error::{Error, ErrorKind, Result};
pub use interfaces::{BatchStream, EngineFrame, Frame, Reader, Upserter, Writer};
