//! The cases: every default of the rules of an upsert, each as the sentence it proves.

mod added;
mod batch;
mod casting;
mod choices;
mod columns;
mod deletes;
mod duplicates;
mod history;
mod nulls;
mod policies;
mod quarantine;
mod soft;
mod stored;
mod types;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};

use super::{Case, Choices, Counts, Data, Expect, Rule, Scope};
use crate::core::format::Format;
use crate::core::merge::{
    ExtraColumns, FineTimestamps, Lossy, MissingColumns, NameCase, NullIds, NullModified, Stale,
    StoredDuplicates, Ties, UpsertMethod,
};
use crate::error::ErrorKind;

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    topics().into_iter().flat_map(|(_, cases)| cases).collect()
}

/// All cases, by what they are about.
pub(super) fn topics() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("Incoming rows that meet stored ones", stored::cases()),
        ("Incoming rows among themselves", batch::cases()),
        ("Ids that are stored more than once", duplicates::cases()),
        ("Rows without an id", nulls::cases()),
        ("Rows that go into the quarantine", quarantine::cases()),
        ("Other methods, and other answers", choices::cases()),
        ("Rows that go", deletes::cases()),
        ("Rows that are deleted and stay", soft::cases()),
        ("Versions of a row", history::cases()),
        ("Columns with a policy", policies::cases()),
        ("Columns", columns::cases()),
        ("Columns that are added", added::cases()),
        ("Types", types::cases()),
        ("Values that do not fit", casting::cases()),
        ("What can be an id", types::ids()),
    ]
}

const WITH_A_HEADER: Scope =
    Scope { formats: &[Format::Parquet, Format::Csv], why: "an NDJSON file without rows has no columns" };

const WITH_NAN: Scope = Scope { formats: &[Format::Parquet, Format::Csv], why: "JSON has no NaN" };

const DEFAULTS: Choices = Choices {
    nulls: NullModified::Lowest,
    ties: Ties::Incoming,
    stale: Stale::Ignore,
    stable_partitions: false,
    float_ids: false,
    duplicates: None,
    null_ids: NullIds::Error,
    stored_duplicates: StoredDuplicates::Error,
    extra: ExtraColumns::Error,
    missing: MissingColumns::Keep,
    policies: &[],
    delete_where: None,
    soft_delete: None,
    scope: None,
    allow_empty: false,
    max_delete: None,
    lossy: Lossy::Error,
    zone: None,
    fine: FineTimestamps::Error,
    case: NameCase::Exact,
    history: None,
    close_missing: false,
};

/// A rule with one choice that is not the default.
fn but(rule: Rule, choose: impl FnOnce(&mut Choices)) -> Rule {
    let mut choices = rule.choices;
    choose(&mut choices);
    Rule { choices, ..rule }
}

/// The incoming row wins.
pub(super) const BY_ID: Rule =
    Rule { method: UpsertMethod::Id, ids: &["id"], modified: None, choices: DEFAULTS };

/// The newer row wins.
pub(super) const NEWEST: Rule =
    Rule { method: UpsertMethod::Modified, ids: &["id"], modified: Some("at"), choices: DEFAULTS };

/// The incoming row wins, and the newest of its twins is the one that counts.
const SETTLED: Rule =
    Rule { method: UpsertMethod::Id, ids: &["id"], modified: Some("at"), choices: DEFAULTS };

pub(super) use history::HISTORY;

pub(super) const NONE: Counts = Counts {
    inserted: 0,
    updated: 0,
    unchanged: 0,
    stale: 0,
    duplicates: 0,
    ties: 0,
    ignored: 0,
    tombstones: 0,
    rejected: 0,
    quarantined: 0,
    deleted: 0,
    soft_deleted: 0,
    opened: 0,
    closed: 0,
    repaired: 0,
};

pub(super) const INSERTED: Expect = Expect::Counts(Counts { inserted: 1, ..NONE });
pub(super) const UPDATED: Expect = Expect::Counts(Counts { updated: 1, ..NONE });
pub(super) const UNCHANGED: Expect = Expect::Counts(Counts { unchanged: 1, ..NONE });
pub(super) const STALE: Expect = Expect::Counts(Counts { stale: 1, ..NONE });
/// One update between equal modification values.
pub(super) const TIED: Expect = Expect::Counts(Counts { updated: 1, ties: 1, ..NONE });

pub(super) fn refused(message: &'static str) -> Expect {
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

fn floats(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

fn bools(values: impl IntoIterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<BooleanArray>())
}

pub(super) fn ints<T: Into<Option<i64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Int64Array>())
}

pub(super) fn texts<T: Into<Option<&'static str>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<StringArray>())
}
