//! What an upsert means: the rule, the one match kernel, and the plain reference that judges it.

pub(crate) mod canonical;
mod casting;
mod choices;
mod columns;
mod ids;
pub(crate) mod kernel;
pub(crate) mod order;
pub(crate) mod reference;
pub(crate) mod rule;
pub(crate) mod scatter;
mod settle;
pub(crate) mod sorted_ids;

pub use casting::{Casting, NaiveTimestamps, Zone};
pub use choices::{
    Duplicates, ExtraColumns, FineTimestamps, Lossy, MissingColumns, NameCase, NullModified, Stale, Ties,
};
pub use columns::IncomingColumns;
pub use rule::{MergeRule, Newest, UpsertMethod, Winner};
