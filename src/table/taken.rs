//! The incoming columns as the rule takes them, before they meet the stored types: by the stored
//! names, left out, added without a value, or cast.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};

use crate::core::merge::{ExtraColumns, MergeRule, MissingColumns, NameCase, NullIds};
use crate::core::predicate::Predicate;
use crate::core::schema::find_column;
use crate::error::{Error, ErrorKind, Result};
use crate::table::StoredTable;
use crate::table::casts::Casts;
use crate::table::stamp::Stamp;
use crate::table::validity::Validity;

/// What says what is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TakenAs<'a> {
    pub(crate) rule: &'a MergeRule,
    /// Texts may have dates in this form.
    pub(crate) timestamp_format: Option<&'a str>,
    /// The time of the run.
    pub(crate) now: DateTime<Utc>,
}

/// What is taken of incoming rows, and what is added to them.
#[derive(Debug)]
pub(crate) struct Taken {
    schema: SchemaRef,
    /// The places of the columns that are taken.
    places: Vec<usize>,
    /// Columns that stand behind them, without a value.
    nulls: Vec<FieldRef>,
    /// What delete marks set, behind these.
    stamp: Option<Stamp>,
    /// When versions of a history hold, behind these.
    validity: Option<Validity>,
    casts: Casts,
    /// The id columns if rows without an id are left out, and those that were.
    ids: Vec<usize>,
    left_out: LeftOut,
    /// Rows so far.
    rows: u64,
}

/// Incoming rows without an id that are left out.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// How many there are.
    pub(crate) rows: u64,
    /// Their places among all that came in, ascending, if they go into the quarantine.
    pub(crate) places: Option<Vec<u64>>,
}

impl Taken {
    /// What is taken of the columns of `incoming`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if stored columns do not come in and the rule asks for them.
    pub(crate) fn new(
        stored: &dyn StoredTable,
        incoming: &Schema,
        TakenAs { rule, timestamp_format, now }: TakenAs<'_>,
    ) -> Result<Self> {
        let schema = stored.schema();
        let incoming = &in_names_of(&schema, incoming, rule.columns().case);
        // A text file without a record names no columns: it takes all that come in.
        let (places, nulls) = if schema.fields().is_empty() {
            ((0..incoming.fields().len()).collect(), Vec::new())
        } else {
            (kept(&schema, incoming, rule), added(&schema, incoming, rule)?)
        };
        let own = with(&incoming.project(&places).map_err(untaken)?, &nulls);
        let stamp = Stamp::new(&schema, &own, rule, now)?;
        let own = with(&own, stamp.as_ref().map(Stamp::field).cloned().as_slice());
        let validity = Validity::new((&schema, stored.format()), incoming, rule, now)?;
        let own = with(&own, validity.as_ref().map(Validity::fields).unwrap_or_default());
        let casts = Casts::new(stored, &own, rule, timestamp_format);
        let skips = rule.null_ids().leaves_out();
        let kept = (rule.null_ids() == NullIds::Quarantine).then(Vec::new);
        let left_out = LeftOut { rows: 0, places: kept };
        let ids = rule.ids().iter().filter(|_| skips).filter_map(|id| own.index_of(id).ok()).collect();
        let schema = casts.schema(&own);
        Ok(Self { schema, places, nulls, stamp, validity, casts, ids, left_out, rows: 0 })
    }

    /// The columns that are taken.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Those of the next rows that are taken, of all incoming columns, and which of them are delete marks, as `marks` say.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for values that the rule does not take.
    pub(crate) fn batch(
        &mut self,
        batch: &RecordBatch,
        marks: Option<BooleanArray>,
    ) -> Result<(RecordBatch, Option<BooleanArray>)> {
        let own = batch.project(&self.places).map_err(untaken)?;
        let own = self.renamed(own)?;
        let own = self.widened(own)?;
        let own = match &self.stamp {
            Some(stamp) => {
                widened(&own, &[Arc::clone(stamp.field())], [stamp.values(&own, marks.as_ref())?])?
            }
            None => own,
        };
        let own = match &self.validity {
            Some(validity) => widened(&own, validity.fields(), validity.values(batch)?)?,
            None => own,
        };
        let own = self.casts.batch(&own)?;
        let first = self.rows;
        self.rows += own.num_rows() as u64;
        let nulls: Vec<_> = self.ids.iter().filter_map(|id| own.column(*id).logical_nulls()).collect();
        if nulls.iter().all(|nulls| nulls.null_count() == 0) {
            return Ok((own, marks));
        }
        let has_id = |row| nulls.iter().all(|nulls| nulls.is_valid(row));
        let stays: BooleanArray = (0..own.num_rows()).map(|row| Some(has_id(row))).collect();
        self.left_out.rows += stays.false_count() as u64;
        if let Some(places) = &mut self.left_out.places {
            places.extend((first..).zip(stays.values()).filter(|(_, stays)| !stays).map(|(place, _)| place));
        }
        let own = filter_record_batch(&own, &stays).map_err(untaken)?;
        let marks = marks.map(|marks| filter(&marks, &stays)).transpose().map_err(untaken)?;
        Ok((own, marks.map(|marks| marks.as_boolean().clone())))
    }

    /// Says in the log what was lost, once all rows are taken. Gives those that were left out.
    pub(crate) fn finish(self) -> LeftOut {
        self.casts.finish();
        self.left_out
    }

    /// The same rows by the stored names.
    fn renamed(&self, own: RecordBatch) -> Result<RecordBatch> {
        if own.schema().fields().iter().zip(self.schema.fields()).all(|(own, new)| own.name() == new.name()) {
            return Ok(own);
        }
        let own_schema = own.schema();
        let fields = own_schema.fields().iter().zip(self.schema.fields());
        let fields: Vec<FieldRef> =
            fields.map(|(own, new)| Arc::new(Field::clone(own).with_name(new.name()))).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(own.num_rows()));
        let schema = Schema::new_with_metadata(fields, own_schema.metadata().clone());
        RecordBatch::try_new_with_options(Arc::new(schema), own.columns().to_vec(), &rows).map_err(untaken)
    }

    fn widened(&self, own: RecordBatch) -> Result<RecordBatch> {
        if self.nulls.is_empty() {
            return Ok(own);
        }
        let nulls = self.nulls.iter().map(|field| new_null_array(field.data_type(), own.num_rows()));
        widened(&own, &self.nulls, nulls)
    }
}

/// `own` with more columns behind.
fn widened(
    own: &RecordBatch,
    fields: &[FieldRef],
    more: impl IntoIterator<Item = ArrayRef>,
) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = own.columns().iter().cloned().chain(more).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(own.num_rows()));
    RecordBatch::try_new_with_options(with(&own.schema(), fields), columns, &rows).map_err(untaken)
}

fn with(own: &Schema, more: &[FieldRef]) -> SchemaRef {
    let fields: Vec<FieldRef> = own.fields().iter().chain(more).cloned().collect();
    Arc::new(Schema::new_with_metadata(fields, own.metadata().clone()))
}

/// The incoming columns by the names of the stored ones that theirs mean.
fn in_names_of(stored: &Schema, incoming: &Schema, case: NameCase) -> Schema {
    let own = |field: &FieldRef| match case.find(stored, field.name()) {
        Some(place) if stored.field(place).name() != field.name() => {
            Arc::new(Field::clone(field).with_name(stored.field(place).name()))
        }
        _ => Arc::clone(field),
    };
    let fields: Vec<FieldRef> = incoming.fields().iter().map(own).collect();
    Schema::new_with_metadata(fields, incoming.metadata().clone())
}

fn untaken(cause: ArrowError) -> Error {
    Error::internal("incoming columns could not be taken").because(cause)
}

/// The stored columns that do not come in, if they are to be overwritten.
fn added(stored: &Schema, incoming: &Schema, rule: &MergeRule) -> Result<Vec<FieldRef>> {
    let is_missing =
        |field: &&FieldRef| incoming.field_with_name(field.name()).is_err() && !rule.is_set(field.name());
    let missing: Vec<&FieldRef> = stored.fields().iter().filter(is_missing).collect();
    match rule.missing_columns() {
        MissingColumns::Error if !missing.is_empty() => {
            let names: Vec<&str> = missing.iter().map(|field| field.name().as_str()).collect();
            Err(Error::new(ErrorKind::InvalidInput, "stored columns do not come in")
                .with("columns", names.join(", "))
                .hint("give every incoming row these columns, or let stored values stay"))
        }
        MissingColumns::Null => {
            let null = |field: &FieldRef| Arc::new(Field::new(field.name(), field.data_type().clone(), true));
            Ok(missing.into_iter().map(null).collect())
        }
        MissingColumns::Error | MissingColumns::Keep => Ok(Vec::new()),
    }
}

/// The incoming columns that `rule` adds to the stored ones: such in which a row `has_value`, and those that the rule names.
///
/// # Errors
///
/// `InvalidInput` for a column without a name, for an id column, and if the scope is about one of them: no stored row could be
/// inside.
pub(crate) fn new_columns(
    stored: &Schema,
    incoming: &Schema,
    rule: &MergeRule,
    has_value: impl Fn(&str) -> bool,
) -> Result<Vec<FieldRef>> {
    // A text file without a record names no columns: it takes all that come in.
    if rule.extra_columns() != ExtraColumns::Add || stored.fields().is_empty() {
        return Ok(Vec::new());
    }
    let incoming = in_names_of(stored, incoming, rule.columns().case);
    let marks = rule.marks_of(&incoming);
    let not_stored = need_not_be_stored(marks.as_ref(), rule);
    let is_new = |name: &str| {
        // Of a column without a value the type may be a guess, which nobody could take back.
        !is_like_one_of(stored, name)
            && !not_stored.contains(&name)
            && (has_value(name) || rule.is_key(name) || rule.cells().columns().any(|column| column == name))
    };
    let new = incoming.fields().iter().filter(|field| is_new(field.name()));
    let new: Vec<FieldRef> =
        new.map(|field| Arc::new(Field::new(field.name(), field.data_type().clone(), true))).collect();
    let is_among = |name: &str| new.iter().any(|field| field.name() == name);
    if let Some(id) = rule.ids().iter().find(|id| is_among(id)) {
        return Err(Error::new(ErrorKind::InvalidInput, "the target has no such columns")
            .with("columns", id)
            .hint("an id column is not added: no stored row would have an id, and all that comes in would be inserted"));
    }
    if is_among("") {
        return Err(Error::new(ErrorKind::InvalidInput, "a new column has no name")
            .hint("give it one in the source, or leave it out: an index, as pandas writes it, has none"));
    }
    for column in rule.scope().map(Predicate::columns).unwrap_or_default() {
        if is_among(column) {
            return find_column(stored, column, "scope column").map(|_| new.clone()).map_err(|error| {
                error
                    .hint("a scope is about stored rows, of which none has a value in a column that is added")
            });
        }
    }
    Ok(new)
}

/// The incoming columns that may come in without being stored.
fn need_not_be_stored<'a>(marks: Option<&'a Predicate>, rule: &'a MergeRule) -> Vec<&'a str> {
    // What tells delete marks need not be stored, nor need it be stored twice when a version began.
    let mut columns = marks.map(Predicate::columns).unwrap_or_default();
    columns.extend(rule.kept_history().and_then(|history| history.source.as_deref()));
    columns
}

/// Whether a name may be a slip of the case.
fn is_like_one_of(stored: &Schema, name: &str) -> bool {
    stored.fields().iter().any(|own| own.name().to_lowercase() == name.to_lowercase())
}

/// The incoming columns that are not left out, by their places.
fn kept(stored: &Schema, incoming: &Schema, rule: &MergeRule) -> Vec<usize> {
    let marks = rule.marks_of(incoming);
    let marks = need_not_be_stored(marks.as_ref(), rule);
    // Those that are added are stored by now.
    let may_go = |name: &str| rule.extra_columns() != ExtraColumns::Error || marks.contains(&name);
    // A key that is not stored is not left out, for nothing could be matched by it, nor is what may be a slip of the case.
    let is_kept = |place: &usize| {
        let name = incoming.field(*place).name();
        !may_go(name) || is_like_one_of(stored, name) || rule.is_key(name)
    };
    let (kept, left): (Vec<usize>, Vec<usize>) = (0..incoming.fields().len()).partition(is_kept);
    let names = left.iter().map(|place| incoming.field(*place).name().as_str());
    let names: Vec<&str> = names.filter(|name| !marks.contains(name)).collect();
    if !names.is_empty() {
        tracing::warn!(columns = names.join(", "), "incoming columns that are not stored are left out");
    }
    kept
}
