//! What an upsert means: the rule, the one match kernel, and the plain reference that judges it.

pub mod kernel;
pub(crate) mod reference;
pub mod rule;

pub use rule::{Fate, MergeRule, Strategy, UpsertMethod, Winner};
