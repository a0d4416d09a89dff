//! What can be chosen for a read, a write and an upsert. Every default is the safe one.

mod compression;
mod csv;
mod memory;
mod read;
mod upkeep;
mod upsert;
mod write;

pub use compression::Compression;
pub use csv::CsvOptions;
pub use memory::MemoryLimit;
pub use read::ReadOptions;
pub(crate) use read::TextAs;
pub use upkeep::{OptimizeOptions, VacuumOptions};
pub use upsert::{IfMissing, UpsertOptions};
pub use write::{WriteMode, WriteOptions};
