//! Casts incoming columns as the rule says, where to fit them exactly would refuse their values.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::core::cast::{CastRefused, by_rules, located, or_null};
use crate::core::merge::{Casting, FineTimestamps, Lossy, MergeRule, NaiveTimestamps};
use crate::core::text::TextRules;
use crate::error::{Error, Result};
use crate::table::StoredTable;
use crate::table::fit::refused;

/// The columns that are cast, and how.
#[derive(Debug)]
pub(crate) struct Casts {
    columns: Vec<Column>,
    rules: TextRules,
    /// Rows of the batches so far: messages count all that come in.
    rows: usize,
}

#[derive(Debug)]
struct Column {
    place: usize,
    stored: FieldRef,
    how: How,
    /// Values that became null.
    nulls: usize,
}

/// How a column is cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Into the stored type.
    Stored,
    /// The same, with null for what does not survive.
    OrNull,
    /// Local times become instants. A text file does the rest, for it takes any value.
    Located,
}

impl Casts {
    /// What of the columns of `incoming` is cast for `stored`. Texts may have dates in the form of `timestamp_format`.
    pub(crate) fn new(
        stored: &dyn StoredTable,
        incoming: &Schema,
        rule: &MergeRule,
        timestamp_format: Option<&str>,
    ) -> Self {
        let rules = rules(rule.casting(), timestamp_format);
        let is_text = stored.format().is_text();
        let schema = stored.schema();
        let how = |field: &Field| match field.data_type() {
            DataType::Timestamp(_, Some(_)) if is_text => rules.zone.map(|_| How::Located),
            _ if is_text => None,
            _ if rule.casting().lossy == Lossy::Null && !rule.is_key(field.name()) => Some(How::OrNull),
            _ => Some(How::Stored),
        };
        let column = |(place, field): (usize, &FieldRef)| {
            let stored = Arc::clone(&schema.fields()[schema.index_of(field.name()).ok()?]);
            Some(Column { place, how: how(&stored)?, stored, nulls: 0 })
        };
        let asks = timestamp_format.is_some() || !rule.casting().is_exact();
        let columns = incoming.fields().iter().enumerate().filter(|_| asks).filter_map(column).collect();
        Self { columns, rules, rows: 0 }
    }

    /// The columns of `incoming` as they are after the casts.
    pub(crate) fn schema(&self, incoming: &Schema) -> SchemaRef {
        let mut fields = incoming.fields().to_vec();
        for Column { place, stored, how, .. } in &self.columns {
            let empty = arrow::array::new_empty_array(fields[*place].data_type());
            let data_type = match how {
                How::Stored | How::OrNull => stored.data_type().clone(),
                How::Located => {
                    located(&empty, &self.rules).map_or(DataType::Null, |cast| cast.data_type().clone())
                }
            };
            fields[*place] =
                Arc::new(Field::clone(&fields[*place]).with_data_type(data_type).with_nullable(true));
        }
        Arc::new(Schema::new_with_metadata(fields, incoming.metadata().clone()))
    }

    /// Casts the next batch.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for values that the rule does not take either.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        if self.columns.is_empty() {
            return Ok(batch.clone());
        }
        let mut columns = batch.columns().to_vec();
        for column in &mut self.columns {
            columns[column.place] = column.cast(batch.column(column.place), &self.rules, self.rows)?;
        }
        self.rows += batch.num_rows();
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema(&batch.schema()), columns, &rows)
            .map_err(|cause| Error::internal("incoming columns could not be cast").because(cause))
    }

    /// Says which values became null.
    pub(crate) fn finish(&self) {
        say_nulls(self.columns.iter().map(|column| (column.stored.name().as_str(), column.nulls)));
    }
}

impl Column {
    fn cast(&mut self, values: &ArrayRef, rules: &TextRules, first_row: usize) -> Result<ArrayRef> {
        let to = self.stored.data_type();
        let cast = match self.how {
            How::Stored => by_rules(values, to, rules),
            How::Located => located(values, rules),
            How::OrNull => or_null(values, &|values: &ArrayRef| by_rules(values, to, rules).map(drop))
                .and_then(|(values, nulls)| {
                    self.nulls += nulls;
                    by_rules(&values, to, rules)
                }),
        };
        cast.map_err(|why: CastRefused| refused(why, values.data_type(), &self.stored, first_row))
    }
}

/// Says which values became null because they do not fit: the columns, and how many of each.
pub(crate) fn say_nulls<'a>(columns: impl Iterator<Item = (&'a str, usize)>) {
    let nulls = columns.filter(|(_, nulls)| *nulls > 0).map(|(name, nulls)| format!("{name} ({nulls})"));
    let nulls: Vec<String> = nulls.collect();
    if !nulls.is_empty() {
        tracing::warn!(
            columns = nulls.join(", "),
            "incoming values that do not fit the stored type are null"
        );
    }
}

fn rules(casting: &Casting, timestamp_format: Option<&str>) -> TextRules {
    TextRules {
        timestamp_format: timestamp_format.map(ToOwned::to_owned),
        zone: match &casting.naive_timestamps {
            NaiveTimestamps::Error => None,
            NaiveTimestamps::Assume(zone) => Some(zone.tz()),
        },
        truncate: casting.fine_timestamps == FineTimestamps::Truncate,
    }
}
