//! The front doors: what most users of the library call.

pub mod blocking;
mod builder;
mod data;
mod upkeep;
mod upsert;

pub use builder::Builder;
pub use data::DataReaderWriter;
pub use upsert::Upsert;
