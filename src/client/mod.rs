//! Storage: what a location names is opened here, and nowhere else.

#[cfg(feature = "s3")]
pub(crate) mod credentials;
#[cfg(feature = "_network")]
pub(crate) mod http;
pub(crate) mod local;
#[cfg(feature = "_network")]
pub(crate) mod media_type;
#[cfg(feature = "s3")]
pub(crate) mod s3;
pub(crate) mod s3_settings;
pub(crate) mod session;
pub(crate) mod settings;
