//! Storage: what a location names is opened here, and nowhere else.

#[cfg(feature = "s3")]
pub(crate) mod credentials;
#[cfg(feature = "_network")]
pub(crate) mod http;
pub(crate) mod local;
pub(crate) mod s3_settings;
pub(crate) mod session;
pub(crate) mod settings;
