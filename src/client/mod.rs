//! Storage: what a location names is opened here, and nowhere else.

pub mod local;
pub mod session;
pub(crate) mod settings;
