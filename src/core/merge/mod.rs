//! What an upsert means: the rule, the one match kernel, and the plain reference that judges it.

pub(crate) mod canonical;
mod casting;
pub(crate) mod cells;
mod choices;
mod columns;
mod deletes;
mod history;
mod ids;
pub(crate) mod kernel;
mod look;
mod method;
pub(crate) mod order;
mod outcome;
pub(crate) mod reference;
pub(crate) mod repair;
pub(crate) mod rule;
pub(crate) mod scatter;
mod scope;
mod settle;
mod share;
pub(crate) mod sorted_ids;
mod versions;
mod winner;

pub use casting::{Casting, NaiveTimestamps, Zone};
pub use choices::{
    ColumnPolicy, Duplicates, ExtraColumns, FineTimestamps, Lossy, MissingColumns, NameCase, NullIds,
    NullModified, Stale, StoredDuplicates, Ties,
};
pub use columns::IncomingColumns;
pub use deletes::{DeleteMarks, MaxDelete};
pub use history::HistoryColumns;
pub use method::UpsertMethod;
pub use rule::MergeRule;
pub use winner::{Newest, Winner};
