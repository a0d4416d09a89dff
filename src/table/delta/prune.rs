//! Which files of a Delta table could hold an incoming id, by what the log says of them. In doubt a file is read.

use std::mem::take;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};

use super::known::{Bounds, Known};
use super::part::StoredPart;
use crate::core::merge::kernel::Incoming;
use crate::error::Result;
use crate::table::cores::on_all_cores;
use crate::table::partition;
use crate::table::ranges::Ranges;

/// Written behind a greatest text, which may have been cut off.
const REST: &str = "\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}";

/// Microseconds by which bounds of timestamps are off: the log has whole milliseconds.
const CUT: i64 = 1_000;

/// Files whose statistics are read in one go.
const FILES_AT_ONCE: usize = 4_096;

/// What the log says of every file: how many rows it has, and between which values their ids lie.
#[derive(Debug)]
pub(super) struct FileIndex {
    files: usize,
    rows: Option<u64>,
    /// Of each id column the least and the greatest value of every file, a row each; none if nothing usable is known.
    bounds: Vec<Option<(ArrayRef, ArrayRef)>>,
}

impl FileIndex {
    /// Reads it of the log, on all cores.
    ///
    /// # Errors
    ///
    /// `Internal` if a worker failed.
    pub(super) fn new(
        parts: &[StoredPart],
        schema: &SchemaRef,
        partition_columns: &[String],
        ids: &[String],
    ) -> Result<Self> {
        let columns: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut known: Vec<Known> = parts.iter().map(|_| Known::default()).collect();
        let pieces = parts.chunks(FILES_AT_ONCE).zip(known.chunks_mut(FILES_AT_ONCE)).collect();
        on_all_cores(pieces, |(parts, known): (&[StoredPart], &mut [Known])| {
            for (part, known) in parts.iter().zip(known) {
                *known = part.known(&columns);
            }
            Ok(())
        })?;
        let rows = parts.iter().zip(&known).map(|(part, known)| part.rows_of(known)).sum();
        let bounds = ids.iter().enumerate().map(|(place, id)| {
            match partition_columns.iter().position(|column| column == id) {
                Some(partition) => values(parts, schema, id, partition),
                None => statistics(known.iter_mut().map(|known| take(&mut known.bounds[place])), schema, id),
            }
        });
        let bounds = bounds.collect();
        Ok(Self { files: parts.len(), rows, bounds })
    }

    /// Rows that count, if the log says how many there are.
    pub(super) fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// All files.
    pub(super) fn all(&self) -> Vec<usize> {
        (0..self.files).collect()
    }

    /// The files that could hold one of the incoming ids, ascending.
    pub(super) fn candidates(&self, incoming: &Incoming, ids: &[String]) -> Vec<usize> {
        if incoming.batch().num_rows() == 0 {
            return Vec::new();
        }
        let mut possible = vec![true; self.files];
        for (id, bounds) in ids.iter().zip(&self.bounds) {
            // A column of which nothing usable is known rules nothing out.
            if let Some((lower, upper)) = bounds
                && let Some(values) = incoming.sorted(id)
                && let Some(ranges) = Ranges::new(values, lower, upper, vec![true; self.files])
            {
                for (part, possible) in possible.iter_mut().enumerate() {
                    *possible &= ranges.may_hold(part);
                }
            }
        }
        (0..self.files).filter(|part| possible[*part]).collect()
    }
}

/// The value of a partition column is all that a file holds.
fn values(parts: &[StoredPart], schema: &SchemaRef, id: &str, place: usize) -> Option<(ArrayRef, ArrayRef)> {
    let data_type = schema.field_with_name(id).ok()?.data_type();
    let value = |part: &StoredPart| partition::parse(id, part.values[place].as_deref(), data_type).ok();
    let values: Vec<ArrayRef> = parts.iter().map(value).collect::<Option<_>>()?;
    let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
    let values = concat(&values).ok()?;
    Some((Arc::clone(&values), values))
}

fn statistics(
    bounds: impl Iterator<Item = Bounds>,
    schema: &SchemaRef,
    id: &str,
) -> Option<(ArrayRef, ArrayRef)> {
    use DataType as D;
    let data_type = schema.field_with_name(id).ok()?.data_type();
    match data_type {
        D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::Date32 => Some(typed(bounds, data_type)),
        D::Utf8 => Some(typed(bounds.map(open_ended), data_type)),
        D::Timestamp(..) => {
            let zoned = partition::is_instant(data_type);
            let (lower, upper) = typed(bounds.map(|bounds| with_zone(bounds, zoned)), data_type);
            Some((moved(&lower, -CUT)?, moved(&upper, CUT)?))
        }
        // Decimals went through floats in some writers, and of other types nobody writes bounds.
        _ => None,
    }
}

/// What is not text of the type is not known.
fn typed(bounds: impl Iterator<Item = Bounds>, data_type: &DataType) -> (ArrayRef, ArrayRef) {
    let cast = |texts: StringArray| {
        let texts: ArrayRef = Arc::new(texts);
        let options = CastOptions { safe: true, ..CastOptions::default() };
        cast_with_options(&texts, data_type, &options)
            .unwrap_or_else(|_| arrow::array::new_null_array(data_type, texts.len()))
    };
    let (least, greatest): (Vec<_>, Vec<_>) = bounds.map(|bounds| (bounds.least, bounds.greatest)).unzip();
    (cast(least.into()), cast(greatest.into()))
}

fn open_ended(bounds: Bounds) -> Bounds {
    Bounds { greatest: bounds.greatest.map(|text| text + REST), ..bounds }
}

/// Bounds of instants that do not say their zone are not believed.
fn with_zone(bounds: Bounds, zoned: bool) -> Bounds {
    let keep = |text: &String| !zoned || partition::says_zone(text);
    Bounds { least: bounds.least.filter(keep), greatest: bounds.greatest.filter(keep) }
}

fn moved(values: &ArrayRef, micros: i64) -> Option<ArrayRef> {
    let values = values.as_primitive_opt::<TimestampMicrosecondType>()?;
    let zone = values.timezone().map(str::to_owned);
    let moved = values.unary::<_, TimestampMicrosecondType>(|value| value.saturating_add(micros));
    Some(Arc::new(moved.with_timezone_opt(zone)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Schema, TimeUnit};

    use super::*;
    use crate::core::merge::MergeRule;

    fn part(stats: &str) -> StoredPart {
        StoredPart {
            path: "a.parquet".to_owned(),
            size: 1,
            values: vec![Some("7".to_owned())],
            stats: Some(stats.into()),
            deletion_vector: None,
            modified: 0,
        }
    }

    fn found(values: ArrayRef, stats: &[&str], partitions: &[String]) -> Vec<usize> {
        let schema = Arc::new(Schema::new(vec![Field::new("id", values.data_type().clone(), true)]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![values]).expect("rows");
        let rule = MergeRule::by_id(["id"]).expect("a rule");
        let incoming = Incoming::settle(&schema, &[batch], None, &rule).expect("settles");
        let parts: Vec<_> = stats.iter().map(|stats| part(stats)).collect();
        let index = FileIndex::new(&parts, &schema, partitions, rule.ids()).expect("an index");
        index.candidates(&incoming, rule.ids())
    }

    #[test]
    fn files_are_ruled_out_by_their_bounds_and_read_in_doubt() {
        let ids = || Arc::new(Int64Array::from(vec![5, 50])) as ArrayRef;
        let stats = [
            r#"{"numRecords":1,"minValues":{"id":1},"maxValues":{"id":4}}"#,
            r#"{"numRecords":1,"minValues":{"id":5},"maxValues":{"id":9}}"#,
            r#"{"numRecords":1,"minValues":{"id":6},"maxValues":{"id":49}}"#,
            r#"{"numRecords":1,"minValues":{"id":1}}"#,
            r#"{"numRecords":1,"minValues":{"id":"x"},"maxValues":{"id":"y"}}"#,
            "no JSON",
        ];
        assert_eq!(found(ids(), &stats, &[]), [1, 3, 4, 5]);
        assert!(found(ids(), &stats, &["id".to_owned()]).is_empty(), "the partition is 7");
    }

    #[test]
    fn text_may_have_been_cut_off() {
        let ids = Arc::new(StringArray::from(vec!["abcdef"])) as ArrayRef;
        let stats = [
            r#"{"minValues":{"id":"a"},"maxValues":{"id":"abc"}}"#,
            r#"{"minValues":{"id":"a"},"maxValues":{"id":"abb"}}"#,
        ];
        assert_eq!(found(ids, &stats, &[]), [0]);
    }

    #[test]
    fn timestamps_are_cut_to_milliseconds_by_some_and_need_a_zone() {
        let ids = TimestampMicrosecondArray::from(vec![1_000_500]).with_timezone("UTC");
        assert_eq!(ids.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        let stats = [
            r#"{"minValues":{"id":"1970-01-01T00:00:00Z"},"maxValues":{"id":"1970-01-01T00:00:01.000Z"}}"#,
            r#"{"minValues":{"id":"1970-01-01T00:00:00Z"},"maxValues":{"id":"1970-01-01T00:00:00.998Z"}}"#,
            r#"{"minValues":{"id":"1970-01-01T00:00:00"},"maxValues":{"id":"1970-01-01T00:00:00.998"}}"#,
            r#"{"minValues":{"id":"1970-01-01T02:00:00+02:00"},"maxValues":{"id":"1970-01-01T02:00:01+02:00"}}"#,
        ];
        assert_eq!(found(Arc::new(ids), &stats, &[]), [0, 2, 3]);
    }
}
