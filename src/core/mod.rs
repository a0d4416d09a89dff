//! Values and rules that need neither an engine nor I/O: names of places and formats, options,
//! reports, predicates, and the merge itself.

pub mod cast;
pub mod format;
pub mod location;
pub mod merge;
pub mod options;
pub mod predicate;
pub mod report;
pub mod schema;
pub mod text;
