//! Engines behind the traits. They do not know each other.

#[cfg(feature = "datafusion")]
pub(crate) mod datafusion;
#[cfg(feature = "polars")]
pub(crate) mod polars;
