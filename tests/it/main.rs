//! All integration tests in one program: each test program links every engine once more.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

#[cfg(feature = "cli")]
mod bad_input;
#[cfg(feature = "cli")]
mod cli;
mod rings;
#[cfg(feature = "cli")]
mod run;
#[cfg(feature = "cli")]
mod schema;
#[cfg(feature = "cli")]
mod secrets;
#[cfg(feature = "cli")]
mod usgs;
