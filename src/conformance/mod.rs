//! The suite that every backend and format must pass: one list of cases, and the judge of each.
//!
//! A case is a value. What rows it ends with is computed by the reference merge, not written down a second
//! time; what becomes of the rows, or why they are refused, is written down, so that the judge is judged
//! too.

mod cases;
mod cells;
mod fates;
mod files;
mod lenient;
mod page;
mod raw;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, TimeDelta, Utc};

use crate::core::format::Format;
use crate::core::merge::reference::{Cell, Conditions, Merged, Refusal, Table, merge};
use crate::core::merge::rule::Fate;
use crate::core::merge::{
    Casting, ColumnPolicy, DeleteMarks, Duplicates, ExtraColumns, FineTimestamps, HistoryColumns,
    IncomingColumns, Lossy, MaxDelete, MergeRule, MissingColumns, NaiveTimestamps, NameCase, Newest, NullIds,
    NullModified, Stale, StoredDuplicates, Ties, UpsertMethod,
};
use crate::core::options::MemoryLimit;
use crate::core::predicate::Predicate;
use crate::core::report::RowCounts;
use crate::error::{Error, ErrorKind, Result};
use crate::table::upsert::columns_of_new;

pub use cases::cases;
pub use cells::table_of;
pub use files::{FileCase, Sent, file_cases};
use lenient::cast_each;
pub use page::page;
pub use raw::{bytes_at, names_at, put_bytes_at};

/// A limit that nobody else can set: all incoming rows go to disk, each id for itself.
#[must_use]
pub fn no_memory() -> MemoryLimit {
    MemoryLimit::tight()
}

/// The time at which every case runs.
#[must_use]
pub fn run_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// One upsert, and how it must end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Case {
    /// The sentence that the case proves.
    pub name: &'static str,
    /// The target; `None` if it does not exist.
    pub stored: Option<Data>,
    /// What comes in.
    pub incoming: Data,
    /// By which columns.
    pub rule: Rule,
    /// Where it can run.
    pub scope: Scope,
    /// How it ends.
    pub expect: Expect,
}

impl Case {
    fn new(
        name: &'static str,
        stored: impl Into<Option<Data>>,
        incoming: Data,
        rule: Rule,
        expect: Expect,
    ) -> Self {
        Self { name, stored: stored.into(), incoming, rule, scope: EVERYWHERE, expect }
    }

    fn only(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The columns of the table afterwards.
    ///
    /// # Errors
    ///
    /// `Internal` if the case itself is wrong.
    pub fn columns_after(&self) -> Result<SchemaRef> {
        let incoming = self.incoming.batch()?;
        match &self.stored {
            Some(stored) => columns_after(&stored.batch()?, &incoming, &self.rule.to_merge_rule()?),
            None => Ok(columns_of_new(&incoming.schema(), &self.rule.to_merge_rule()?)),
        }
    }

    /// What the judge says: the table afterwards and the counts, or the refusal.
    ///
    /// # Errors
    ///
    /// `Internal` if the case itself is wrong.
    pub fn judge(&self) -> Result<Judgement> {
        let stored = self.stored.as_ref().map(Data::batch).transpose()?;
        judge(stored.as_ref(), &self.incoming.batch()?, &self.rule.to_merge_rule()?)
    }

    /// The incoming rows that the judge puts into the quarantine, as they came in: the number of each, from 1, and why.
    ///
    /// # Errors
    ///
    /// `Internal` if the case itself is wrong.
    pub fn quarantined(&self) -> Result<Vec<(usize, &'static str)>> {
        let stored = self.stored.as_ref().map(Data::batch).transpose()?;
        let merged = merged(stored.as_ref(), &self.incoming.batch()?, &self.rule.to_merge_rule()?)?;
        Ok(merged.map(|merged| merged.quarantined).unwrap_or_default())
    }
}

/// The formats that a case runs in, and why it does not run in the others.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The formats that can hold the stored types.
    pub formats: &'static [Format],
    /// Why the others cannot; empty if there are no others.
    pub why: &'static str,
}

const EVERYWHERE: Scope = Scope { formats: &[Format::Parquet, Format::Csv, Format::Ndjson], why: "" };

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
fn merged(
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
fn named_as(stored: &RecordBatch, incoming: &RecordBatch, rule: &MergeRule) -> Result<RecordBatch> {
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
fn conditions(
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
        now: Cell::Instant(i128::from(run_time().timestamp()) * 1_000_000_000),
    })
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
    let of = |row: &Vec<Cell>| modified.map_or(Cell::Null, |place| row[place].clone());
    Ok((table.rows.iter().map(of).collect(), None))
}

/// The incoming columns in the stored types, or why there is no such thing.
fn fitted(
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

/// Columns of equal length.
#[derive(Debug, Clone, Default)]
pub struct Data(Vec<(Field, ArrayRef)>);

impl Data {
    fn with(mut self, name: &str, values: ArrayRef) -> Self {
        self.push(name, values);
        self
    }

    /// A column that takes no nulls.
    fn with_required(mut self, name: &str, values: ArrayRef) -> Self {
        self.0.push((Field::new(name, values.data_type().clone(), false), values));
        self
    }

    fn push(&mut self, name: &str, values: ArrayRef) {
        self.0.push((Field::new(name, values.data_type().clone(), true), values));
    }

    /// The columns as one batch.
    ///
    /// # Errors
    ///
    /// `Internal` if the columns differ in length.
    pub fn batch(&self) -> Result<RecordBatch> {
        let fields: Vec<Field> = self.0.iter().map(|(field, _)| field.clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = self.0.iter().map(|(_, values)| ArrayRef::clone(values)).collect();
        RecordBatch::try_new(schema, columns)
            .map_err(|cause| Error::internal("the columns of a case do not fit together").because(cause))
    }
}

/// The columns of a merge rule, as a literal.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Rule {
    /// The method.
    pub method: UpsertMethod,
    /// The id columns.
    pub ids: &'static [&'static str],
    /// The modification column.
    pub modified: Option<&'static str>,
    /// What is said of hard cases.
    pub choices: Choices,
}

/// What is said of hard cases; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is said or not")]
pub struct Choices {
    /// Incoming rows without a modification value.
    pub nulls: NullModified,
    /// Equal modification values.
    pub ties: Ties,
    /// Older rows.
    pub stale: Stale,
    /// Whether no id goes from one partition to another.
    pub stable_partitions: bool,
    /// Whether floats may be ids.
    pub float_ids: bool,
    /// Several incoming rows with one id.
    pub duplicates: Option<Duplicates>,
    /// Incoming rows without an id.
    pub null_ids: NullIds,
    /// Stored rows with one id.
    pub stored_duplicates: StoredDuplicates,
    /// Columns that are not stored.
    pub extra: ExtraColumns,
    /// Columns that do not come in.
    pub missing: MissingColumns,
    /// Columns and which of their values counts.
    pub policies: &'static [(&'static str, ColumnPolicy)],
    /// What holds for delete marks.
    pub delete_where: Option<&'static str>,
    /// The column that says that rows are deleted.
    pub soft_delete: Option<&'static str>,
    /// The part of the table that the upsert is for.
    pub scope: Option<&'static str>,
    /// Whether a mirror may be of nothing.
    pub allow_empty: bool,
    /// How many stored rows may go.
    pub max_delete: Option<MaxDelete>,
    /// Values that do not fit.
    pub lossy: Lossy,
    /// The zone of timestamps that have none.
    pub zone: Option<&'static str>,
    /// Timestamps that are too fine.
    pub fine: FineTimestamps,
    /// Names that differ in their case alone.
    pub case: NameCase,
    /// Since when a version holds, until when, and whether it does.
    pub history: Option<[&'static str; 3]>,
    /// Whether versions end whose id does not come in.
    pub close_missing: bool,
}

impl Rule {
    /// The rule itself.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::new`].
    pub fn to_merge_rule(self) -> Result<MergeRule> {
        let Choices { nulls, ties, stale, duplicates, extra, missing, null_ids, .. } = self.choices;
        let Choices { delete_where, scope, allow_empty, max_delete, policies, .. } = self.choices;
        let Choices { lossy, zone, fine, case, soft_delete, .. } = self.choices;
        let naive = match zone {
            Some(zone) => NaiveTimestamps::Assume(zone.parse()?),
            None => NaiveTimestamps::Error,
        };
        let casting = Casting::default().with_lossy(lossy).with_fine_timestamps(fine);
        let newest = |column| Newest::by(column).with_nulls(nulls).with_ties(ties).with_stale(stale);
        let rule = MergeRule::new(self.method, self.ids.iter().copied(), self.modified.map(newest))?
            .with_null_ids(null_ids)
            .with_extra_columns(extra)
            .with_missing_columns(missing)
            .with_empty_allowed(allow_empty)
            .with_float_ids(self.choices.float_ids)
            .with_casting(casting.with_naive_timestamps(naive))
            .with_columns(IncomingColumns::default().with_case(case))?
            .with_stored_duplicates(self.choices.stored_duplicates)?
            .with_stable_partitions(self.choices.stable_partitions)?;
        let rule = match duplicates {
            Some(duplicates) => rule.with_duplicates(duplicates),
            None => rule,
        };
        let said = policies.iter();
        let rule = said.copied().try_fold(rule, |rule, (column, policy)| rule.with_policy(column, policy))?;
        let rule = match (delete_where, soft_delete) {
            (Some(condition), Some(column)) => {
                rule.with_delete_marks(DeleteMarks::soft(condition.parse()?, column))?
            }
            (Some(condition), None) => rule.with_delete_marks(DeleteMarks::hard(condition.parse()?))?,
            (None, _) => rule,
        };
        let rule = match scope {
            Some(scope) => rule.with_scope(scope.parse()?),
            None => rule,
        };
        let rule = rule.with_missing_closed(self.choices.close_missing)?;
        let rule = match self.choices.history {
            Some([valid_from, valid_to, is_current]) => rule.with_history_columns(
                HistoryColumns::default()
                    .with_valid_from(valid_from)
                    .with_valid_to(valid_to)
                    .with_is_current(is_current),
            )?,
            None => rule,
        };
        Ok(match max_delete {
            Some(most) => rule.with_max_delete(most),
            None => rule,
        })
    }
}

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Well, and this became of the incoming rows.
    Counts(Counts),
    /// With an error, and nothing is written.
    Refused {
        /// Its kind.
        kind: ErrorKind,
        /// Its message, without context.
        message: &'static str,
    },
}

/// What became of the incoming rows; the rest of the report follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Rows that were added.
    pub inserted: u64,
    /// Rows that replaced a stored one.
    pub updated: u64,
    /// Rows that are equal to the stored one.
    pub unchanged: u64,
    /// Rows that are older than the stored one.
    pub stale: u64,
    /// Rows that lost to a twin in the batch.
    pub duplicates: u64,
    /// Ids decided by source order, or by an equal modification value.
    pub ties: u64,
    /// Rows that the method does not look at.
    pub ignored: u64,
    /// Rows that are delete marks.
    pub tombstones: u64,
    /// Rows outside of the scope.
    pub rejected: u64,
    /// Rows that are put into the quarantine.
    pub quarantined: u64,
    /// Stored rows that went.
    pub deleted: u64,
    /// Stored rows that say now that they are deleted.
    pub soft_deleted: u64,
    /// Versions of ids that had one.
    pub opened: u64,
    /// Stored versions that end because of a delete mark.
    pub closed: u64,
    /// Stored rows that went because a newer one has their id.
    pub repaired: u64,
}

impl From<&RowCounts> for Counts {
    fn from(rows: &RowCounts) -> Self {
        let RowCounts { inserted, updated, unchanged, stale, duplicates, ties, ignored, .. } = *rows;
        let RowCounts { tombstones, rejected, quarantined, deleted, soft_deleted, .. } = *rows;
        let RowCounts { opened, closed, repaired, .. } = *rows;
        Self {
            inserted,
            updated,
            unchanged,
            stale,
            duplicates,
            ties,
            ignored,
            tombstones,
            rejected,
            quarantined,
            deleted,
            soft_deleted,
            opened,
            closed,
            repaired,
        }
    }
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
        Refusal::VersionLacks => "new versions lack columns of those before them",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_judge_says_what_each_case_says() {
        for case in cases() {
            let judgement = case.judge().unwrap_or_else(|e| panic!("{}: {e:?}", case.name));
            assert_eq!(judgement.expect(), case.expect, "{}", case.name);
        }
    }

    #[test]
    fn twice_is_once_for_the_judge() {
        for case in cases() {
            let Judgement::Merged(table, _) = case.judge().expect("a judgement") else { continue };
            // What is outside of a scope is told by rows, of which the judge knows cells; every place is asked twice, too.
            if case.rule.choices.scope.is_some() {
                continue;
            }
            let raw = case.incoming.batch().expect("a batch");
            let mut rule = case.rule.to_merge_rule().expect("a rule");
            let incoming = match &case.stored {
                None => raw.clone(),
                Some(stored) => {
                    let stored = stored.batch().expect("a batch");
                    let incoming = named_as(&stored, &raw, &rule).expect("a batch");
                    fitted(&stored, &incoming, &rule).expect("a fit").expect("fits")
                }
            };
            rule = rule.in_names_of(&incoming.schema()).expect("a rule");
            let conditions = conditions(None, &raw, &incoming, &rule).expect("conditions");
            let incoming = table_of(&incoming).expect("a table");
            let again = merge(&table, &incoming, &rule, &conditions).expect("merges again");
            let (again, counts) = (again.table, again.counts);
            counts.verify().expect("adds up");
            assert!(counts.is_no_change() && again == table, "{}: {counts:?}", case.name);
        }
    }

    #[test]
    fn every_case_has_a_sentence_of_its_own() {
        let cases = cases();
        let names: HashSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        for name in names {
            assert!(
                name.split('_').count() >= 3
                    && name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit()),
                "{name}"
            );
        }
        for format in EVERYWHERE.formats {
            let own = cases.iter().filter(|case| case.scope.formats.contains(format)).count();
            assert!(own >= 40, "{format}: {own}");
        }
    }
}
