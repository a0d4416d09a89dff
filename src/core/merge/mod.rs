//! What an upsert means: the rule, the one match kernel, and the plain reference that judges it.

pub(crate) mod canonical;
pub(crate) mod cells;
mod choices;
mod deletes;
mod ids;
pub(crate) mod kernel;
pub(crate) mod order;
pub(crate) mod reference;
pub(crate) mod rule;
pub(crate) mod scatter;
mod scope;
mod settle;
mod share;
pub(crate) mod sorted_ids;

pub use choices::{ColumnPolicy, Duplicates, ExtraColumns, MissingColumns, NullModified, Stale, Ties};
pub use deletes::{DeleteMarks, MaxDelete};
pub use rule::{MergeRule, Newest, UpsertMethod, Winner};
