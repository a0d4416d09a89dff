//! Storage: what a location names is opened here, and nowhere else.

#[cfg(feature = "s3")]
pub(crate) mod credentials;
pub(crate) mod file;
#[cfg(feature = "_network")]
pub(crate) mod http;
pub(crate) mod io;
pub(crate) mod local;
#[cfg(feature = "_network")]
pub(crate) mod media_type;
pub(crate) mod object;
#[cfg(feature = "s3")]
pub(crate) mod s3;
pub(crate) mod s3_settings;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod store;
pub(crate) mod stores;
