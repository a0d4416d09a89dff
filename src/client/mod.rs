//! Storage: what a location names is opened here, and nowhere else.

pub(crate) mod local;
pub(crate) mod session;
pub(crate) mod settings;
