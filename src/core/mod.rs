//! Values and rules that need neither an engine nor I/O: names of places and formats, options,
//! reports, predicates, and the merge itself.

pub(crate) mod cast;
pub(crate) mod format;
pub(crate) mod location;
pub(crate) mod merge;
pub(crate) mod options;
pub(crate) mod predicate;
pub(crate) mod report;
pub(crate) mod row_change;
pub(crate) mod schema;
pub(crate) mod text;
pub(crate) mod text_codec;
