//! Engines behind the traits. They do not know each other.

#[cfg(feature = "datafusion")]
pub mod datafusion;
#[cfg(feature = "polars")]
pub mod polars;
