//! All integration tests in one program: each test program links every engine once more.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

#[cfg(feature = "cli")]
mod added_columns;
#[cfg(feature = "cli")]
mod azure;
#[cfg(feature = "cli")]
mod bad_input;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod blocking;
#[cfg(feature = "cli")]
mod bloom_filters;
#[cfg(feature = "cli")]
mod cli;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod conformance;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod contract;
#[cfg(all(feature = "delta", any(feature = "polars", feature = "datafusion")))]
mod deletion_vectors;
#[cfg(all(feature = "delta", any(feature = "polars", feature = "datafusion")))]
mod delta;
#[cfg(feature = "cli")]
mod delta_commands;
#[cfg(feature = "cli")]
mod delta_peers;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod diff;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod doors;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod float_ids;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod folder;
#[cfg(feature = "cli")]
mod format_commands;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod formats;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod frames;
#[cfg(feature = "cli")]
mod hard_cases;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod history;
#[cfg(feature = "cli")]
mod memory_limit;
#[cfg(feature = "cli")]
mod mkdir;
#[cfg(feature = "cli")]
mod moto;
#[cfg(feature = "cli")]
mod nothing_lost;
#[cfg(feature = "cli")]
mod peers;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod places;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod properties;
#[cfg(feature = "cli")]
mod quarantine;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod regressions;
mod rings;
#[cfg(feature = "cli")]
mod rule_files;
mod rules_page;
#[cfg(feature = "cli")]
mod run;
#[cfg(feature = "s3")]
mod s3_client;
#[cfg(feature = "cli")]
mod s3_commands;
#[cfg(feature = "cli")]
mod s3_copies;
#[cfg(feature = "s3")]
mod s3_server;
#[cfg(feature = "cli")]
mod s3_upserts;
#[cfg(feature = "cli")]
mod schema;
#[cfg(feature = "cli")]
mod secrets;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod sqlite;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod sqlite_rows;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod stable_partitions;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod stored_duplicates;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod tables;
#[cfg(feature = "cli")]
mod text;
#[cfg(any(feature = "polars", feature = "datafusion"))]
mod upkeep;
#[cfg(feature = "cli")]
mod upkeep_commands;
#[cfg(feature = "cli")]
mod usgs;
#[cfg(all(feature = "delta", any(feature = "polars", feature = "datafusion")))]
mod z_order;
