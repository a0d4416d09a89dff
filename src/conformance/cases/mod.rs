//! The cases: every default of the rules of an upsert, each as the sentence it proves.

mod batch;
mod columns;
mod stored;
mod types;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use super::{Case, Counts, Data, Expect, Rule};
use crate::core::merge::UpsertMethod;
use crate::error::ErrorKind;

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [batch::cases(), stored::cases(), columns::cases(), types::cases(), types::ids()].concat()
}

/// The incoming row wins.
const BY_ID: Rule = Rule { method: UpsertMethod::Id, ids: &["id"], modified: None };

/// The newer row wins.
const NEWEST: Rule = Rule { method: UpsertMethod::Modified, ids: &["id"], modified: Some("at") };

/// The incoming row wins, and the newest of its twins is the one that counts.
const SETTLED: Rule = Rule { method: UpsertMethod::Id, ids: &["id"], modified: Some("at") };

const NONE: Counts = Counts { inserted: 0, updated: 0, unchanged: 0, stale: 0, duplicates: 0, ties: 0 };

const INSERTED: Expect = Expect::Counts(Counts { inserted: 1, ..NONE });
const UPDATED: Expect = Expect::Counts(Counts { updated: 1, ..NONE });
const UNCHANGED: Expect = Expect::Counts(Counts { unchanged: 1, ..NONE });
const STALE: Expect = Expect::Counts(Counts { stale: 1, ..NONE });
/// One update between equal modification values.
const TIED: Expect = Expect::Counts(Counts { updated: 1, ties: 1, ..NONE });

fn refused(message: &'static str) -> Expect {
    Expect::Refused { kind: ErrorKind::InvalidInput, message }
}

/// Rows of an id, a text and a modification value.
fn rows<I, V, A>(rows: &[(I, V, A)]) -> Data
where
    I: Into<Option<i64>> + Copy,
    V: Into<Option<&'static str>> + Copy,
    A: Into<Option<i64>> + Copy,
{
    Data::default()
        .with("id", ints(rows.iter().map(|row| row.0)))
        .with("value", texts(rows.iter().map(|row| row.1)))
        .with("at", ints(rows.iter().map(|row| row.2)))
}

/// The columns of [`rows`] without a row.
fn no_rows() -> Data {
    rows::<i64, &str, i64>(&[])
}

fn ints<T: Into<Option<i64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Int64Array>())
}

fn texts<T: Into<Option<&'static str>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<StringArray>())
}
