//! Text at rest, CSV, NDJSON and JSON: one codec for every backend, so that a file has one meaning, and so
//! that an upsert leaves the bytes of untouched records as they are.
//!
//! A file is streamed in blocks of whole records (`records`), over a window of some MiB (`window`).
//! What a record looks like is known to `csv` and `ndjson` alone; everything above works on raw fields
//! and their places. Nothing holds more of a file than one block. Below stands `plain`: compressed files are read as
//! what they hold, and a JSON array as one object a line.

mod array;
mod batches;
mod cells;
mod columns;
mod compress;
mod csv;
mod encode;
mod fault;
mod file;
mod fit;
mod json_types;
mod json_values;
mod layout;
mod ndjson;
mod plain;
mod records;
mod replace;
mod rewrite;
mod rows;
mod scan;
mod sources;
mod tell;
mod text_types;
mod tokens;
mod window;
mod write;

pub(crate) use encode::TextEncoder;
pub(crate) use file::TextFile;
pub(crate) use json_values::json_tokens;
pub(crate) use plain::{check_plain, head};
pub(crate) use scan::{TextScan, count};
pub(crate) use tokens::{check_unmarked, is_marked, marked, said, with_marks};
pub(crate) use write::NewText;
