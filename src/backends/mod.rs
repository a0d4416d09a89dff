//! Engines behind the traits. They do not know each other.

#[cfg(feature = "polars")]
pub mod polars;
#[cfg(feature = "datafusion")]
pub mod datafusion;
