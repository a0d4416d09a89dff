//! Apache DataFusion as a backend: its frames, its native Parquet scan, and its errors in our words.

mod error;
mod exact_cast;
mod frame;
mod lower;
mod open_files;
mod reader;
mod scan;
mod upserter;
mod writer;

pub use frame::DataFusionFrame;
pub use reader::DataFusionReader;
pub use upserter::DataFusionUpserter;
pub use writer::DataFusionWriter;

/// The engine, as users name it.
const NAME: &str = "datafusion";
