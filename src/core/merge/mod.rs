//! What an upsert means: the rule, the one match kernel, and the plain reference that judges it.

pub(crate) mod canonical;
pub(crate) mod kernel;
pub(crate) mod order;
pub(crate) mod reference;
pub(crate) mod rule;
pub(crate) mod scatter;
mod settle;

pub use rule::{MergeRule, UpsertMethod, Winner};
