//! What the judge says about Arrow data: he is given the rows as cells, and what he does not know, such as types, is told here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::cells::table_of;
use super::lenient::cast_each;
use super::{Counts, Data, Expect, run_time};
use crate::core::merge::reference::{Cell, Conditions, Merged, Refusal, Table, merge};
use crate::core::merge::rule::Fate;
use crate::core::merge::{MergeRule, MissingColumns, NameCase};
use crate::core::predicate::Predicate;
use crate::core::report::RowCounts;
use crate::error::{ErrorKind, Result};

/// What the judge says about `incoming`, in any types, that is folded into `stored`, if that exists.
///
/// # Errors
///
/// `Unsupported` for a type that no case needs.
pub fn judge(stored: Option<&RecordBatch>, incoming: &RecordBatch, rule: &MergeRule) -> Result<Judgement> {
    Ok(match merged(stored, incoming, rule)? {
        Ok(merged) => Judgement::Merged(merged.table, Box::new(merged.counts)),
        Err(refused) => refused,
    })
}

/// What the merge of the judge ends with, or that he refuses.
pub(super) fn merged(
    stored: Option<&RecordBatch>,
    incoming: &RecordBatch,
    rule: &MergeRule,
) -> Result<Result<Merged, Judgement>> {
    let Some(stored) = stored else {
        if rule.only_incoming() == Fate::Leave {
            return Ok(Err(Judgement::Refused {
                kind: ErrorKind::NotFound,
                message: "the target does not exist",
            }));
        }
        let rule = &rule.in_names_of(&incoming.schema())?;
        let conditions = conditions(None, incoming, incoming, rule)?;
        let incoming = table_of(incoming)?;
        let flag = rule.soft_column().filter(|flag| incoming.column(flag).is_none());
        let times = rule.kept_history().map(|history| history.columns.all()).into_iter().flatten();
        let times = times.filter(|column| incoming.column(column).is_none());
        let columns =
            incoming.columns.iter().cloned().chain(flag.into_iter().chain(times).map(ToOwned::to_owned));
        let nothing = Table { columns: columns.collect(), rows: Vec::new() };
        return Ok(merge(&nothing, &incoming, rule, &conditions).map_err(|refusal| Judgement::of(&refusal)));
    };
    let (incoming, rule) = (&named_as(stored, incoming, rule)?, &rule.in_names_of(&stored.schema())?);
    Ok(match fitted(stored, incoming, rule)? {
        Ok(fitted) => {
            let conditions = conditions(Some(stored), incoming, &fitted, rule)?;
            let merged = merge(&table_of(stored)?, &table_of(&fitted)?, rule, &conditions);
            merged.map_err(|refusal| Judgement::of(&refusal)).and_then(|merged| {
                match null_refused(&merged.counts, stored, &fitted, rule) {
                    Some(message) => Err(Judgement::refused(message)),
                    None => Ok(merged),
                }
            })
        }
        Err(message) => Err(Judgement::refused(message)),
    })
}

/// The columns of `stored` once `incoming` is folded in: those that are added have their incoming types.
///
/// # Errors
///
/// As [`judge`].
pub fn columns_after(stored: &RecordBatch, incoming: &RecordBatch, rule: &MergeRule) -> Result<SchemaRef> {
    let mut fields: Vec<Field> = stored.schema().fields().iter().map(|field| Field::clone(field)).collect();
    if let Ok(merged) = merged(Some(stored), incoming, rule)? {
        for name in &merged.table.columns[fields.len()..] {
            fields.extend(incoming.schema().field_with_name(name).ok().cloned());
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The incoming columns by the names of stored ones, where they differ in their case alone and the rule does not mind.
pub(super) fn named_as(
    stored: &RecordBatch,
    incoming: &RecordBatch,
    rule: &MergeRule,
) -> Result<RecordBatch> {
    let mut columns = Data::default();
    let stored = stored.schema();
    for (field, values) in incoming.schema().fields().iter().zip(incoming.columns()) {
        let names = stored.fields().iter().map(|field| field.name().as_str());
        let like: Vec<&str> =
            names.filter(|name| name.to_lowercase() == field.name().to_lowercase()).collect();
        let name = match like[..] {
            [name] if rule.columns().case == NameCase::Fold => name,
            _ => field.name(),
        };
        columns.push(name, ArrayRef::clone(values));
    }
    columns.batch()
}

/// For which rows the conditions of `rule` hold; `fitted` are the incoming rows in the stored types.
pub(super) fn conditions(
    stored: Option<&RecordBatch>,
    incoming: &RecordBatch,
    fitted: &RecordBatch,
    rule: &MergeRule,
) -> Result<Conditions> {
    let holds = |condition: &Predicate, batch: &RecordBatch| -> Result<Vec<bool>> {
        Ok(condition.bind(&batch.schema())?.evaluate(batch)?.values().iter().collect())
    };
    let outside = |batch: &RecordBatch| -> Result<Vec<bool>> {
        let Some(scope) = rule.scope() else { return Ok(Vec::new()) };
        // The judge says itself that a column is missing.
        let has = |column: &&str| batch.column_by_name(column).is_some();
        if !scope.columns().iter().all(has) {
            return Ok(Vec::new());
        }
        Ok(holds(scope, batch)?.into_iter().map(|inside| !inside).collect())
    };
    let marks = rule.marks_of(&incoming.schema()).map(|marks| holds(&marks, incoming)).transpose()?;
    let (stamps, unset) = stamps(stored, fitted, rule)?;
    Ok(Conditions {
        marks: marks.unwrap_or_default(),
        stamps,
        unset,
        outside: outside(fitted)?,
        stored_outside: stored.map(outside).transpose()?.unwrap_or_default(),
        now: now(),
    })
}

/// The time of the run.
fn now() -> Cell {
    Cell::Instant(i128::from(run_time().timestamp()) * 1_000_000_000)
}

/// What each incoming row puts into the column of soft deletes if it is a delete mark, and what stands there of other rows.
fn stamps(
    stored: Option<&RecordBatch>,
    fitted: &RecordBatch,
    rule: &MergeRule,
) -> Result<(Vec<Cell>, Option<Cell>)> {
    let Some(flag) = rule.soft_column() else { return Ok((Vec::new(), None)) };
    let flag = stored.and_then(|stored| stored.column_by_name(flag));
    if flag.is_some_and(|flag| flag.data_type() == &DataType::Boolean) {
        return Ok((vec![Cell::Bool(true); fitted.num_rows()], Some(Cell::Bool(false))));
    }
    let table = table_of(fitted)?;
    let modified = rule.modified().and_then(|modified| table.column(modified));
    let now = if flag.is_some_and(|flag| flag.data_type().is_temporal()) { now() } else { Cell::Null };
    let of = |row: &Vec<Cell>| modified.map_or_else(|| now.clone(), |place| row[place].clone());
    Ok((table.rows.iter().map(of).collect(), None))
}

/// The incoming columns in the stored types, or why there is no such thing.
pub(super) fn fitted(
    stored: &RecordBatch,
    incoming: &RecordBatch,
    rule: &MergeRule,
) -> Result<Result<RecordBatch, &'static str>> {
    let mut columns = Data::default();
    for (field, values) in incoming.schema().fields().iter().zip(incoming.columns()) {
        let values = match stored.column_by_name(field.name()) {
            None => Ok(ArrayRef::clone(values)),
            Some(stored) => cast_each(values, stored.data_type(), rule.casting(), rule.is_key(field.name()))?,
        };
        match values {
            Ok(values) => columns.push(field.name(), values),
            Err(message) => return Ok(Err(message)),
        }
    }
    columns.batch().map(Ok)
}

/// What the judge says about a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// The rows afterwards, and what became of the incoming ones.
    Merged(Table, Box<RowCounts>),
    /// The error.
    Refused {
        /// Its kind.
        kind: ErrorKind,
        /// Its message, without context.
        message: &'static str,
    },
}

impl Judgement {
    fn of(refusal: &Refusal) -> Self {
        Self::refused(message_of(refusal))
    }

    fn refused(message: &'static str) -> Self {
        Self::Refused { kind: ErrorKind::InvalidInput, message }
    }

    /// The same in the words of a case.
    #[must_use]
    pub fn expect(&self) -> Expect {
        match self {
            Self::Merged(_, counts) => Expect::Counts(Counts::from(counts.as_ref())),
            Self::Refused { kind, message } => Expect::Refused { kind: *kind, message },
        }
    }
}

/// Why a merge is refused after all: a null would have to stand where the stored column takes none.
fn null_refused(
    counts: &RowCounts,
    stored: &RecordBatch,
    incoming: &RecordBatch,
    rule: &MergeRule,
) -> Option<&'static str> {
    let schema = stored.schema();
    let takes_none =
        |field: &&Arc<Field>| !field.is_nullable() && rule.soft_column() != Some(field.name().as_str());
    schema.fields().iter().filter(takes_none).find_map(|field| {
        let is_left_out = rule.null_ids().leaves_out() && rule.ids().contains(field.name());
        match incoming.column_by_name(field.name()).filter(|_| !is_left_out) {
            Some(values) if values.null_count() > 0 => Some("the stored column takes no nulls"),
            None if is_left_out => None,
            None if rule.missing_columns() == MissingColumns::Null && incoming.num_rows() > 0 => {
                Some("the stored column takes no nulls")
            }
            None if counts.inserted > 0 => Some("a new row lacks a column that takes no nulls"),
            _ => None,
        }
    })
}

fn message_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::SameName(..) => "two columns differ only in case",
        Refusal::MissingColumns(_) => "stored columns do not come in",
        Refusal::ExtraColumns(_) => "the target has no such columns",
        Refusal::MissingId(_) => "id column is missing",
        Refusal::MissingModified(_) => "modification column is missing",
        Refusal::FloatId(_) => "an id column must not hold floats",
        Refusal::NestedId(_) => "an id column must hold plain values",
        Refusal::NullId(..) => "id column has nulls",
        Refusal::NoOrder(_) => "the modification column has no order",
        Refusal::NullModified(_) => "the modification column has nulls",
        Refusal::Mixed(_) => "modification values are not all of one kind",
        Refusal::Ambiguous(_) => "several incoming rows have one id and differ",
        Refusal::StoredTwice(_) => "ids are stored more than once",
        Refusal::Stale(_) => "incoming rows are older than the stored ones",
        Refusal::Tied(_) => "incoming rows are as new as the stored ones and differ",
        Refusal::MissingPolicy(_) => "column of a policy is missing",
        Refusal::Empty => "nothing came in to mirror",
        Refusal::MissingScope(_) => "scope column is missing",
        Refusal::FlagComesIn(_) => "the column for soft deletes comes in",
        Refusal::MissingFlag(_) => "the column for soft deletes is not stored",
        Refusal::Nameless(_) => "stored rows have no id",
        Refusal::TooManyDeleted(_) => "more stored rows would go than is allowed",
        Refusal::HistoryComesIn => "columns of the history come in",
        Refusal::MissingHistory(_) => "columns of the history are not stored",
        Refusal::SeveralVersions(_) => "stored versions of ids overlap",
        Refusal::NoTime => "nothing came in that says when versions end",
        Refusal::CurrentWithEnd => "stored versions are current and have an end",
        Refusal::ClockIsBehind => "a stored version begins after the time of this run",
    }
}
