//! The column by which stored rows say that they are deleted, as it comes in: a delete mark has a value in it, other rows have none.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
    new_null_array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, is_null, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};

use crate::core::merge::MergeRule;
use crate::core::schema::type_name;
use crate::core::text::print;
use crate::error::{Error, ErrorKind, Result};

/// What delete marks put into the column.
#[derive(Debug)]
pub(super) struct Stamp {
    field: FieldRef,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// Yes; other rows say no.
    Yes,
    /// The modification value, which is at this place among the columns that come in; where it is null, the other one.
    Modified(usize, ArrayRef),
    /// The same for every mark.
    Constant(ArrayRef),
}

impl Stamp {
    /// What goes into the column that `rule` names, if it names one: `stored` are the columns of the table, `incoming` those that
    /// come in, by the stored names. `now` is the time of the run.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the column is not stored, or comes in, or cannot say that a row is deleted.
    pub(super) fn new(
        stored: &Schema,
        incoming: &Schema,
        rule: &MergeRule,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>> {
        let Some(column) = rule.soft_column() else { return Ok(None) };
        if incoming.field_with_name(column).is_ok() {
            return Err(Error::new(ErrorKind::InvalidInput, "the column for soft deletes comes in")
                .with("column", column)
                .hint("the upsert sets it: leave it out of the source, or let it come in by another name (--rename)"));
        }
        // A text file without a record names no columns.
        let own =
            if stored.fields().is_empty() { with_column(incoming, rule) } else { Arc::new(stored.clone()) };
        let Ok(own) = own.field_with_name(column) else {
            return Err(Error::new(ErrorKind::InvalidInput, "the column for soft deletes is not stored")
                .with("column", column)
                .hint("add it to the target first: it holds booleans, dates, timestamps or text"));
        };
        let to = own.data_type();
        let modified = rule.modified().and_then(|modified| incoming.index_of(modified).ok());
        let from = modified.map(|place| incoming.field(place).data_type());
        let now: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![now.timestamp_micros()]).with_timezone("UTC"));
        let time = || if to.is_temporal() { cast(&now, to).map_err(unstamped) } else { as_text(&now) };
        let is_date = matches!(to, DataType::Date32 | DataType::Date64);
        let (value, data_type) = match (to, modified.zip(from)) {
            (DataType::Boolean, _) => (Value::Yes, DataType::Boolean),
            (_, Some((place, from))) if is_text(to) || is_text(from) => {
                (Value::Modified(place, as_text(&time()?)?), DataType::Utf8)
            }
            (_, Some((place, from))) if !to.is_temporal() => {
                (Value::Modified(place, new_null_array(from, 1)), from.clone())
            }
            (_, Some((place, from))) if from.is_temporal() && (is_date || has_zone(from) == has_zone(to)) => {
                (Value::Modified(place, time()?), to.clone())
            }
            (_, Some((place, from))) if from.is_temporal() => {
                (Value::Modified(place, cast(&now, from).map_err(unstamped)?), from.clone())
            }
            _ if to.is_temporal() => (Value::Constant(time()?), to.clone()),
            _ if is_text(to) => (Value::Constant(time()?), DataType::Utf8),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    "this type does not say that rows are deleted",
                )
                .with("column", column)
                .with("type", type_name(to))
                .hint("the column for soft deletes holds booleans, dates, timestamps or text"));
            }
        };
        Ok(Some(Self { field: Arc::new(Field::new(column, data_type, true)), value }))
    }

    /// The column as it comes in.
    pub(super) fn field(&self) -> &FieldRef {
        &self.field
    }

    /// Its values in some rows, of which `marks` are delete marks; none is if this is not there.
    pub(super) fn values(&self, rows: &RecordBatch, marks: Option<&BooleanArray>) -> Result<ArrayRef> {
        let to = self.field.data_type();
        let none = || BooleanArray::from(vec![false; rows.num_rows()]);
        let marks = marks.cloned().unwrap_or_else(none);
        let values = match &self.value {
            Value::Yes => return Ok(Arc::new(marks)),
            Value::Modified(place, instead) => {
                let own = rows.column(*place);
                let own = if is_text(to) { as_text(own)? } else { cast(own, to).map_err(unstamped)? };
                let nulls = is_null(&own).map_err(unstamped)?;
                if instead.is_null(0) && (0..own.len()).any(|row| marks.value(row) && nulls.value(row)) {
                    return Err(Error::new(ErrorKind::InvalidInput, "a delete mark has no modification value")
                        .with("column", self.field.name())
                        .hint("the column for soft deletes says that value: give every mark one, or use a column of booleans"));
                }
                zip(&nulls, &repeated(instead, own.len())?, &own).map_err(unstamped)?
            }
            Value::Constant(value) => repeated(value, rows.num_rows())?,
        };
        zip(&marks, &values, &new_null_array(values.data_type(), rows.num_rows())).map_err(unstamped)
    }
}

/// The one value of an array so many times.
fn repeated(value: &ArrayRef, times: usize) -> Result<ArrayRef> {
    take(value, &UInt32Array::from(vec![0; times]), None).map_err(unstamped)
}

/// `incoming` with the column for soft deletes behind it, if `rule` names one: what a new table has.
pub(super) fn with_column(incoming: &Schema, rule: &MergeRule) -> SchemaRef {
    let mut fields: Vec<FieldRef> = incoming.fields().to_vec();
    if let Some(column) = rule.soft_column()
        && incoming.field_with_name(column).is_err()
    {
        let modified = rule.modified().and_then(|modified| incoming.field_with_name(modified).ok());
        let own = modified.map(Field::data_type).filter(|own| own.is_temporal() || is_text(own));
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        fields.push(Arc::new(Field::new(column, own.cloned().unwrap_or(instant), true)));
    }
    Arc::new(Schema::new_with_metadata(fields, incoming.metadata().clone()))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

fn has_zone(data_type: &DataType) -> Option<bool> {
    match data_type {
        DataType::Timestamp(_, zone) => Some(zone.is_some()),
        _ => None,
    }
}

fn as_text(values: &ArrayRef) -> Result<ArrayRef> {
    if values.data_type() == &DataType::Null {
        return Ok(Arc::new(StringArray::new_null(values.len())));
    }
    print(values.as_ref()).map(|texts| Arc::new(texts) as ArrayRef)
}

fn unstamped(cause: ArrowError) -> Error {
    Error::internal("the column for soft deletes could not be set").because(cause)
}
