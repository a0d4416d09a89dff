//! The columns of a history, as they come in: since when each version holds, and that it does. When it ends is known once it
//! stands among the others.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};

use crate::core::format::Format;
use crate::core::merge::MergeRule;
use crate::core::schema::{find_column, type_name};
use crate::core::text::print;
use crate::error::{Error, ErrorKind, Result};

/// What is added to rows that come in.
#[derive(Debug)]
pub(super) struct Validity {
    fields: Vec<FieldRef>,
    begin: Begin,
    /// That a version holds.
    holds: ArrayRef,
}

/// Since when an incoming row holds.
#[derive(Debug)]
enum Begin {
    /// As the column at this place says.
    Column(usize),
    /// Since now.
    Now(ArrayRef),
}

impl Validity {
    /// What is added for `rule`, if it keeps history: `stored` are the columns of the table, and its format, `incoming` those that come in, by the
    /// stored names. `now` is the time of the run.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the columns are not stored, or come in, or cannot say since when a version holds.
    pub(super) fn new(
        (stored, format): (&Schema, Format),
        incoming: &Schema,
        rule: &MergeRule,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>> {
        let Some(history) = rule.kept_history() else { return Ok(None) };
        let names = added(rule);
        let is_there = |name: &&str| incoming.field_with_name(name).is_ok();
        let come_in: Vec<&str> = names.iter().copied().filter(is_there).collect();
        if !come_in.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "columns of the history come in")
                .with("columns", come_in.join(", "))
                .hint("the upsert sets them: leave them out of the source, or let them come in by other names (--rename)"));
        }
        // A text file without a record names no columns.
        let own =
            if stored.fields().is_empty() { with_columns(incoming, rule) } else { Arc::new(stored.clone()) };
        let missing: Vec<&str> =
            history.columns.all().into_iter().filter(|name| own.field_with_name(name).is_err()).collect();
        if !missing.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "columns of the history are not stored")
                .with("columns", missing.join(", "))
                .hint("begin a history in a new target, add the columns to this one, or name those that it has (--valid-from, --valid-to, --is-current)"));
        }
        let valid_from = &history.columns.valid_from;
        let (begin, time) = if let Some(source) = &history.source {
            let place = find_column(incoming, source, "modification column")?;
            (Begin::Column(place), incoming.field(place).clone())
        } else {
            let to = own.field(find_column(&own, valid_from, "column of the history")?).data_type();
            let now = now_as(now, to, valid_from)?;
            let time = Field::new(valid_from, now.data_type().clone(), true);
            (Begin::Now(now), time)
        };
        let is_current = own.field(find_column(&own, &history.columns.is_current, "column of the history")?);
        // Names of folders are text; what fields of a text file are is told from all of them.
        let is_told = matches!(format, Format::Csv | Format::Ndjson);
        let holds: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        let is_word = !is_told && is_text(is_current.data_type());
        let holds = if is_word { Arc::new(print(&holds)?) } else { holds };
        let field = |name: &&str| field_of(name, rule, &time, holds.data_type());
        Ok(Some(Self { fields: names.iter().map(field).collect(), begin, holds }))
    }

    /// The columns as they come in.
    pub(super) fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// Their values for some rows. None has ended; where it will stand when one did, there is when it begins, so that the column
    /// is ready for such values.
    pub(super) fn values(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let repeated =
            |value: &ArrayRef| take(value, &UInt32Array::from(vec![0; rows.num_rows()]), None).map_err(unset);
        let begin = match &self.begin {
            Begin::Column(place) => ArrayRef::clone(rows.column(*place)),
            Begin::Now(now) => repeated(now)?,
        };
        let ends: [ArrayRef; 2] = [ArrayRef::clone(&begin), repeated(&self.holds)?];
        let begins = (self.fields.len() > ends.len()).then_some(begin);
        Ok(begins.into_iter().chain(ends).collect())
    }
}

/// The columns that are added: all, unless the source says itself since when a version holds.
fn added(rule: &MergeRule) -> Vec<&str> {
    let Some(history) = rule.kept_history() else { return Vec::new() };
    let comes_in = |name: &&str| history.source.as_deref() != Some(name);
    history.columns.all().into_iter().filter(comes_in).collect()
}

/// One of them, if versions begin at values of `time`; what is told of these values is told of ends as well.
fn field_of(name: &str, rule: &MergeRule, time: &Field, holds: &DataType) -> FieldRef {
    let is_current = rule.kept_history().is_some_and(|history| history.columns.is_current == name);
    Arc::new(if is_current {
        Field::new(name, holds.clone(), true)
    } else {
        time.clone().with_name(name).with_nullable(true)
    })
}

/// `incoming` with the columns of the history behind it, if `rule` keeps one: what a new table has.
pub(super) fn with_columns(incoming: &Schema, rule: &MergeRule) -> SchemaRef {
    let mut fields: Vec<FieldRef> = incoming.fields().to_vec();
    let source = rule.kept_history().and_then(|history| history.source.as_deref());
    let time = source.and_then(|source| incoming.field_with_name(source).ok());
    let run = || Field::new("", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    let time = time.cloned().unwrap_or_else(run);
    for name in added(rule) {
        if incoming.field_with_name(name).is_err() {
            fields.push(field_of(name, rule, &time, &DataType::Boolean));
        }
    }
    Arc::new(Schema::new_with_metadata(fields, incoming.metadata().clone()))
}

/// The columns of a batch without any, for a table with these: those that rows have to bring.
pub(super) fn columns_of_nothing(stored: &Schema, rule: &MergeRule) -> SchemaRef {
    let set = added(rule);
    let is_set =
        |field: &&FieldRef| set.contains(&field.name().as_str()) || rule.soft_column() == Some(field.name());
    let mut fields: Vec<FieldRef> = stored.fields().iter().filter(|field| !is_set(field)).cloned().collect();
    if let Some(source) = rule.kept_history().and_then(|history| history.source.as_ref())
        && stored.field_with_name(source).is_err()
    {
        fields.push(Arc::new(Field::new(source, DataType::Utf8, true)));
    }
    Arc::new(Schema::new_with_metadata(fields, stored.metadata().clone()))
}

/// The time of the run in a type.
fn now_as(now: DateTime<Utc>, to: &DataType, column: &str) -> Result<ArrayRef> {
    let now: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![now.timestamp_micros()]).with_timezone("UTC"));
    match to {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => cast(&now, to).map_err(unset),
        text if is_text(text) => Ok(Arc::new(print(now.as_ref())?)),
        _ => Err(Error::new(ErrorKind::InvalidInput, "this type does not say since when a version holds")
            .with("column", column)
            .with("type", type_name(to))
            .hint(
                "name the column that says when rows changed (--modified), or keep dates, timestamps or text",
            )),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

fn unset(cause: ArrowError) -> Error {
    Error::internal("the columns of the history could not be set").because(cause)
}
