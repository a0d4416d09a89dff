//! The statistics of a data file as the log has them, so that readers can rule it out: how many rows, and for each
//! column the least value, the greatest, and how many are null.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNumericType, AsArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::compute::{concat, max, max_string, min, min_string};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;
use serde::Serialize;
use serde_json::value::RawValue;

use super::features::Demands;
use super::group_stats::{GroupBounds, GroupColumn};
use crate::error::{Error, Result};

/// How many columns have statistics if the table does not say.
const COLUMNS: usize = 32;

/// How many letters of text stand in a bound.
const LETTERS: usize = 32;

/// Greater than every letter.
const LAST_LETTER: char = '\u{10FFFF}';

/// Which of the first columns have statistics.
///
/// `delta.dataSkippingStatsColumns` names them, else `delta.dataSkippingNumIndexedCols` says how many there are.
pub(super) fn columns(schema: &SchemaRef, demands: &Demands) -> Vec<usize> {
    let all = 0..schema.fields().len();
    if let Some(named) = demands.property("delta.dataSkippingStatsColumns") {
        let named: Vec<&str> = named.split(',').map(|name| name.trim().trim_matches('`')).collect();
        return all.filter(|column| named.contains(&schema.field(*column).name().as_str())).collect();
    }
    match demands.property("delta.dataSkippingNumIndexedCols").and_then(|count| count.parse::<i64>().ok()) {
        Some(count) => all.take(usize::try_from(count).unwrap_or(usize::MAX)).collect(),
        None => all.take(COLUMNS).collect(),
    }
}

/// What is known of the rows of a file so far.
#[derive(Debug)]
pub(super) struct Statistics {
    rows: u64,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    index: usize,
    name: String,
    nulls: u64,
    /// Least and greatest values of the batches, one row each.
    bounds: Option<(Vec<ArrayRef>, Vec<ArrayRef>)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    num_records: u64,
    min_values: BTreeMap<&'a str, Box<RawValue>>,
    max_values: BTreeMap<&'a str, Box<RawValue>>,
    null_count: BTreeMap<&'a str, u64>,
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("the statistics of the new rows could not be made").because(cause)
}

impl Statistics {
    /// Statistics of the columns of `schema` at `indices`.
    pub(super) fn new(schema: &SchemaRef, indices: &[usize]) -> Self {
        let plain = indices.iter().filter(|index| !schema.field(**index).data_type().is_nested());
        let column = |index: &usize| {
            let field = schema.field(*index);
            let bounds = is_ordered(field.data_type()).then(|| (Vec::new(), Vec::new()));
            Column { index: *index, name: field.name().clone(), nulls: 0, bounds }
        };
        Self { rows: 0, columns: plain.map(column).collect() }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns: where they are, and their names.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        self.columns.iter().map(|column| (column.index, column.name.as_str()))
    }

    /// Counts rows, of which what is known of each column is [told](Statistics::add_known).
    pub(super) fn add_rows(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// Takes in what is known of some values of the column at `index`.
    pub(super) fn add_known(&mut self, index: usize, known: GroupColumn) {
        if let Some(column) = self.columns.iter_mut().find(|column| column.index == index) {
            column.add(known);
        }
    }

    /// Takes in some rows.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        self.add_rows(batch.num_rows() as u64);
        for column in &mut self.columns {
            column.add(GroupColumn::of(batch.column(column.index)));
        }
    }

    /// The text for the log.
    ///
    /// # Errors
    ///
    /// `Internal` if it cannot be made.
    pub(super) fn to_json(&self) -> Result<String> {
        let mut written = Written {
            num_records: self.rows,
            min_values: BTreeMap::new(),
            max_values: BTreeMap::new(),
            null_count: BTreeMap::new(),
        };
        for column in &self.columns {
            written.null_count.insert(&column.name, column.nulls);
            if let Some((least, greatest)) = &column.bounds
                && let (Some(least), Some(greatest)) =
                    (bound(least, Side::Least)?, bound(greatest, Side::Greatest)?)
            {
                written.min_values.insert(&column.name, least);
                written.max_values.insert(&column.name, greatest);
            }
        }
        serde_json::to_string(&written)
            .map_err(|cause| Error::internal("the statistics of the new rows have no text").because(cause))
    }
}

impl Column {
    fn add(&mut self, known: GroupColumn) {
        self.nulls += known.nulls;
        match (known.bounds, &mut self.bounds) {
            (GroupBounds::Of(low, high), Some((least, greatest))) => {
                least.push(low);
                greatest.push(high);
            }
            (GroupBounds::None, bounds) => *bounds = None,
            _ => {}
        }
    }
}

impl GroupColumn {
    /// What there is to know of some values.
    pub(super) fn of(values: &ArrayRef) -> Self {
        let nulls = values.logical_null_count() as u64;
        // JSON has no word for some numbers, and NaN is greater than all others to some readers, not to others.
        let bounds = if is_finite(values) {
            match (first(values, Side::Least), first(values, Side::Greatest)) {
                (Some(least), Some(greatest)) => GroupBounds::Of(least, greatest),
                _ => GroupBounds::Empty,
            }
        } else {
            GroupBounds::None
        };
        Self { nulls, bounds }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Least,
    Greatest,
}

/// Types that readers compare bounds of.
pub(super) fn is_ordered(data_type: &DataType) -> bool {
    use DataType as D;
    matches!(
        data_type,
        D::Int8
            | D::Int16
            | D::Int32
            | D::Int64
            | D::Float32
            | D::Float64
            | D::Utf8
            | D::Date32
            | D::Timestamp(TimeUnit::Microsecond, _)
            | D::Decimal128(..)
    )
}

/// Whether there is no number that JSON lacks.
pub(super) fn is_finite(values: &ArrayRef) -> bool {
    match values.data_type() {
        DataType::Float32 => values.as_primitive::<Float32Type>().iter().flatten().all(f32::is_finite),
        DataType::Float64 => values.as_primitive::<Float64Type>().iter().flatten().all(f64::is_finite),
        _ => true,
    }
}

/// The least or greatest value, as one row; none if all are null.
fn first(values: &ArrayRef, side: Side) -> Option<ArrayRef> {
    match values.data_type() {
        DataType::Int8 => number::<Int8Type>(values, side),
        DataType::Int16 => number::<Int16Type>(values, side),
        DataType::Int32 => number::<Int32Type>(values, side),
        DataType::Int64 => number::<Int64Type>(values, side),
        DataType::Float32 => number::<Float32Type>(values, side),
        DataType::Float64 => number::<Float64Type>(values, side),
        DataType::Date32 => number::<Date32Type>(values, side),
        DataType::Timestamp(TimeUnit::Microsecond, _) => number::<TimestampMicrosecondType>(values, side),
        DataType::Decimal128(..) => number::<Decimal128Type>(values, side),
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            let text = if side == Side::Least { min_string(texts) } else { max_string(texts) };
            text.map(|text| Arc::new(StringArray::from(vec![text])) as ArrayRef)
        }
        _ => None,
    }
}

fn number<T: ArrowNumericType>(values: &ArrayRef, side: Side) -> Option<ArrayRef> {
    let numbers = values.as_primitive::<T>();
    let bound = if side == Side::Least { min(numbers) } else { max(numbers) };
    let one = PrimitiveArray::<T>::from_value(bound?, 1).with_data_type(values.data_type().clone());
    Some(Arc::new(one))
}

/// A bound of all batches as JSON; none if there is no value, or none that JSON can hold.
fn bound(values: &[ArrayRef], side: Side) -> Result<Option<Box<RawValue>>> {
    if values.is_empty() {
        return Ok(None);
    }
    let all: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
    let all = concat(&all).map_err(failed)?;
    let Some(value) = first(&all, side) else { return Ok(None) };
    let Some(text) = json(&value, side)? else { return Ok(None) };
    RawValue::from_string(text)
        .map(Some)
        .map_err(|cause| Error::internal("a bound of the new rows is no JSON").because(cause))
}

fn json(value: &ArrayRef, side: Side) -> Result<Option<String>> {
    match value.data_type() {
        DataType::Utf8 => {
            let text = value.as_string::<i32>().value(0);
            let bound = if side == Side::Least { Some(prefix(text).to_owned()) } else { above(text) };
            Ok(bound.map(quoted))
        }
        DataType::Timestamp(_, zone) => {
            let micros = value.as_primitive::<TimestampMicrosecondType>().value(0);
            Ok(timestamp(micros, side, zone.is_some()).map(quoted))
        }
        DataType::Date32 => Ok(printed(value)?.filter(|date| date.len() == 10).map(quoted)),
        DataType::Float64 => Ok(Some(value.as_primitive::<Float64Type>().value(0).to_string())),
        DataType::Float32 => Ok(Some(value.as_primitive::<Float32Type>().value(0).to_string())),
        _ => printed(value),
    }
}

fn printed(value: &ArrayRef) -> Result<Option<String>> {
    let options = FormatOptions::default().with_date_format(Some("%Y-%m-%d"));
    let text = ArrayFormatter::try_new(value, &options).map_err(failed)?.value(0).try_to_string();
    Ok(text.ok())
}

fn quoted(text: impl Into<String>) -> String {
    serde_json::Value::String(text.into()).to_string()
}

/// What a text begins with.
fn prefix(text: &str) -> &str {
    text.char_indices().nth(LETTERS).map_or(text, |(end, _)| &text[..end])
}

/// A short text that is not less than `text`: what it begins with, and a letter greater than the next one.
fn above(text: &str) -> Option<String> {
    let start = prefix(text);
    let rest = &text[start.len()..];
    match rest.chars().next() {
        None => Some(start.to_owned()),
        Some(LAST_LETTER) => None,
        Some(_) => Some(format!("{start}{LAST_LETTER}")),
    }
}

/// A timestamp in whole milliseconds, not above a least value and not below a greatest one. None for years that have
/// more or less than four digits.
fn timestamp(micros: i64, side: Side, zoned: bool) -> Option<String> {
    let millis = match side {
        Side::Least => micros.div_euclid(1_000),
        Side::Greatest => micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) != 0),
    };
    let time = DateTime::from_timestamp_millis(millis)?;
    let text = time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string();
    (text.len() == 23).then(|| if zoned { text + "Z" } else { text })
}

/// Statistics of a file of `rows` rows of which some no longer count: bounds of all of them, which say so.
///
/// # Errors
///
/// `Internal` if there is no text for them.
pub(super) fn loosened(stats: Option<&str>, rows: u64) -> Result<String> {
    let known: Option<BTreeMap<String, Box<RawValue>>> =
        stats.and_then(|stats| serde_json::from_str(stats).ok());
    let mut stats = known.unwrap_or_default();
    let raw = |text: String| {
        RawValue::from_string(text)
            .map_err(|cause| Error::internal("a statistic of a file is no JSON").because(cause))
    };
    stats.insert("numRecords".to_owned(), raw(rows.to_string())?);
    stats.insert("tightBounds".to_owned(), raw("false".to_owned())?);
    serde_json::to_string(&stats)
        .map_err(|cause| Error::internal("the statistics of a file have no text").because(cause))
}

/// A column of one row for a schema of one; for tests of neighbours as well.
#[cfg(test)]
pub(super) fn written(values: ArrayRef) -> serde_json::Value {
    use arrow::datatypes::{Field, Schema};
    let schema = Arc::new(Schema::new(vec![Field::new("a", values.data_type().clone(), true)]));
    let mut statistics = Statistics::new(&schema, &[0]);
    let rows = RecordBatch::try_new(schema, vec![values]).expect("rows");
    let half = rows.num_rows() / 2;
    statistics.add(&rows.slice(0, half));
    statistics.add(&rows.slice(half, rows.num_rows() - half));
    serde_json::from_str(&statistics.to_json().expect("text")).expect("JSON")
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    };
    use serde_json::json;

    use super::*;

    fn bounds(values: ArrayRef) -> serde_json::Value {
        let stats = written(values);
        json!([stats["minValues"]["a"], stats["maxValues"]["a"], stats["nullCount"]["a"]])
    }

    #[test]
    fn bounds_are_of_all_batches_and_nulls_are_counted() {
        let ids = Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(-3), None]));
        assert_eq!(bounds(ids), json!([-3, i64::MAX, 2]));
        assert_eq!(bounds(Arc::new(Int64Array::from(vec![None, None]))), json!([null, null, 2]));
        let days = Arc::new(Date32Array::from(vec![0, 19_000]));
        assert_eq!(bounds(days), json!(["1970-01-01", "2022-01-08", 0]));
        assert_eq!(bounds(Arc::new(BinaryArray::from_vec(vec![b"x"]))), json!([null, null, 0]));
    }

    #[test]
    fn a_decimal_is_written_with_all_its_digits() {
        let values = Decimal128Array::from(vec![123_456_789_012_345_678_901_i128, -5]);
        let values = values.with_precision_and_scale(38, 2).expect("fits");
        let schema = Arc::new(arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
            "a",
            values.data_type().clone(),
            true,
        )]));
        let mut statistics = Statistics::new(&schema, &[0]);
        statistics.add(&RecordBatch::try_new(schema, vec![Arc::new(values)]).expect("rows"));
        let text = statistics.to_json().expect("text");
        assert!(text.contains("\"maxValues\":{\"a\":1234567890123456789.01}"), "{text}");
        assert!(text.contains("\"minValues\":{\"a\":-0.05}"), "{text}");
    }

    #[test]
    fn numbers_that_json_lacks_leave_no_bounds() {
        assert_eq!(bounds(Arc::new(Float64Array::from(vec![1.5, f64::NAN]))), json!([null, null, 0]));
        assert_eq!(bounds(Arc::new(Float64Array::from(vec![f64::INFINITY, 1.5]))), json!([null, null, 0]));
        assert_eq!(bounds(Arc::new(Float64Array::from(vec![1.5, -2.0]))), json!([-2, 1.5, 0]));
    }

    #[test]
    fn long_text_is_cut_and_still_a_bound() {
        let long = "é".repeat(40);
        let stats = bounds(Arc::new(StringArray::from(vec![long.as_str(), "f"])));
        let (least, greatest) = (stats[0].as_str().expect("text"), stats[1].as_str().expect("text"));
        assert_eq!(least, "f");
        assert_eq!(greatest.chars().count(), 33);
        assert!(greatest > long.as_str());
        let odd = format!("{}{LAST_LETTER}{LAST_LETTER}", "a".repeat(32));
        assert_eq!(bounds(Arc::new(StringArray::from(vec![odd]))), json!([null, null, 0]));
    }

    #[test]
    fn of_a_file_with_fewer_rows_that_count_bounds_stay_and_say_that_they_are_wide() {
        let stats = r#"{"numRecords":3,"minValues":{"a":123456789012345678901.25},"nullCount":{"a":1}}"#;
        assert_eq!(
            loosened(Some(stats), 3).expect("text"),
            r#"{"minValues":{"a":123456789012345678901.25},"nullCount":{"a":1},"numRecords":3,"tightBounds":false}"#
        );
        let bare = r#"{"numRecords":3,"tightBounds":false}"#;
        assert_eq!(loosened(None, 3).expect("text"), bare);
        assert_eq!(loosened(Some("no JSON"), 3).expect("text"), bare);
    }

    #[test]
    fn timestamps_are_cut_to_milliseconds_away_from_the_values() {
        let times = TimestampMicrosecondArray::from(vec![-1_i64, 1_600_000_000_000_001]);
        let zoned = bounds(Arc::new(times.clone().with_timezone("UTC")));
        assert_eq!(zoned, json!(["1969-12-31T23:59:59.999Z", "2020-09-13T12:26:40.001Z", 0]));
        assert_eq!(bounds(Arc::new(times))[0], json!("1969-12-31T23:59:59.999"));
    }
}
