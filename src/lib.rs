//! keyfold
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod client;
#[doc(hidden)]
pub mod conformance;
mod core;
mod error;
mod interfaces;
mod table;

pub use arrow;
pub use client::session::{Progress, Session};
pub use core::format::Format;
pub use core::location::{Location, Scheme};
pub use core::merge::{Fate, MergeRule, Strategy, UpsertMethod, Winner};
pub use core::options::{Compression, CsvOptions, ReadOptions, UpsertOptions, WriteMode, WriteOptions};
pub use core::predicate::Predicate;
pub use core::report::{PhaseTimes, RowCounts, UpsertReport, WorkCounts, WriteReport};
pub use error::{Error, ErrorKind, Result};
pub use interfaces::{BatchStream, EngineFrame, Frame, Reader, Upserter, Writer};
