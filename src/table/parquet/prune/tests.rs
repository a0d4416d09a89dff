//! What is ruled out holds no id: whatever the types, the order of rows, and what the file says of its pages.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int16Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::util::display::array_value_to_string;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;
use crate::client::file::Content;
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Matcher, Outcome};
use crate::core::report::WorkCounts;
use crate::table::StoredFile;
use crate::table::parquet::ParquetFile;

fn properties(filters: bool) -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(64))
        .set_data_page_row_count_limit(8)
        .set_write_batch_size(8)
        .set_dictionary_enabled(false)
        .set_column_index_truncate_length(Some(2))
        .set_statistics_truncate_length(Some(2))
        .set_bloom_filter_enabled(filters)
        .build()
}

fn written(rows: &RecordBatch, properties: WriterProperties) -> File {
    let file = tempfile::tempfile().expect("a file");
    let out = file.try_clone().expect("the file");
    let mut writer = ArrowWriter::try_new(out, rows.schema(), Some(properties)).expect("a writer");
    writer.write(rows).expect("written");
    writer.close().expect("closed");
    file
}

fn found(file: &File, incoming: &RecordBatch, ids: &[&str]) -> (Outcome, WorkCounts) {
    found_by(file, incoming, &MergeRule::by_id(ids.iter().copied()).expect("a rule"))
}

fn found_by(file: &File, incoming: &RecordBatch, rule: &MergeRule) -> (Outcome, WorkCounts) {
    let content = Content::Local(file.try_clone().expect("the file"));
    let session = Session::default();
    let mut stored = ParquetFile::open(content).expect("opens");
    let incoming =
        Incoming::settle(&incoming.schema(), std::slice::from_ref(incoming), None, rule).expect("settles");
    let mut matcher = Matcher::new(&incoming, &stored.schema(), rule).expect("fits");
    let mut work = WorkCounts::default();
    let rows = stored.find(&session, &mut matcher, &mut work).expect("finds");
    (matcher.finish(Some(rows)).expect("each id once"), work)
}

fn with_value(ids: Vec<(&str, ArrayRef)>, value: i64) -> RecordBatch {
    let rows = ids[0].1.len();
    let values: ArrayRef = Arc::new(Int64Array::from(vec![value; rows]));
    let columns = ids.into_iter().chain([("v", values)]).map(|(name, values)| (name, values, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("rows")
}

fn numbers(ids: impl IntoIterator<Item = i64>, value: i64) -> RecordBatch {
    with_value(vec![("id", Arc::new(Int64Array::from_iter_values(ids)))], value)
}

/// Ids in no order, each of them between the bounds of every page.
fn scattered(rows: i64) -> Vec<i64> {
    (0..rows).map(|row| row * 7_919 % 104_729).collect()
}

#[test]
fn of_sorted_ids_only_pages_are_read_that_could_hold_one() {
    let file = written(&numbers(0..6_400, 0), properties(false));
    let (all, every) = found(&file, &numbers(0..6_400, 1), &["id"]);
    assert_eq!((all.rows.updated, every.row_groups_read), (6_400, 100));
    let (one, work) = found(&file, &numbers([3_210], 1), &["id"]);
    assert_eq!((one.rows.updated, one.replaced[0].stored_row, work.row_groups_read), (1, 3_210, 1));
    assert!(work.key_bytes_read * 400 < every.key_bytes_read, "{work:?} of {every:?}");
    // Between two pages there is nothing to read.
    let file = written(&numbers((0..6_400).map(|id| id / 8 * 100 + id % 8), 0), properties(false));
    let (none, work) = found(&file, &numbers([50, 250], 1), &["id"]);
    assert_eq!((none.rows.inserted, work.row_groups_read, work.key_bytes_read), (2, 0, 0));
}

#[test]
fn of_scattered_ids_only_row_groups_are_read_whose_filters_know_one() {
    let stored = numbers(scattered(6_400), 0);
    let incoming = numbers([scattered(6_400)[3_210]], 1);
    let (one, work) = found(&written(&stored, properties(false)), &incoming, &["id"]);
    assert_eq!((one.rows.updated, work.row_groups_read), (1, 100));
    let (one, work) = found(&written(&stored, properties(true)), &incoming, &["id"]);
    assert_eq!((one.rows.updated, one.replaced[0].stored_row), (1, 3_210));
    assert!(work.row_groups_read < 20, "{work:?}");
    // So many would be in each of them by chance.
    let (many, work) = found(&written(&stored, properties(true)), &numbers(scattered(6_400), 1), &["id"]);
    assert_eq!((many.rows.updated, work.row_groups_read), (6_400, 100));
}

#[test]
fn nan_is_in_no_bounds_and_zero_has_no_sign() {
    let floats =
        |ids: &[f64], value| with_value(vec![("id", Arc::new(Float64Array::from(ids.to_vec())))], value);
    let mut ids: Vec<f64> = (0..640_u16).map(|id| f64::from(id) + 0.5).collect();
    (ids[100], ids[300]) = (f64::NAN, -0.0);
    let file = written(&floats(&ids, 0), properties(true));
    let rule = MergeRule::by_id(["id"]).expect("a rule").with_float_ids(true);
    let met = |ids: &[f64]| {
        let (outcome, work) = found_by(&file, &floats(ids, 1), &rule);
        let rows: Vec<u64> = outcome.replaced.iter().map(|pair| pair.stored_row).collect();
        (rows, work.row_groups_read)
    };
    assert_eq!(met(&[639.5]), (vec![639], 1));
    assert_eq!(met(&[-f64::NAN, 639.5]), (vec![100, 639], 10));
    // The row group has the bounds -0.0 and 319.5.
    assert_eq!(met(&[0.0]), (vec![300], 1));
    assert_eq!(met(&[f64::INFINITY, -7.0]), (Vec::new(), 0));
}

#[test]
fn filters_and_indexes_that_are_damaged_rule_nothing_out() {
    let stored = numbers(0..640, 0);
    let file = written(&stored, properties(true));
    let opened = Opened::new(Content::Local(file.try_clone().expect("the file"))).expect("opens");
    let mut places: Vec<(u64, usize)> = Vec::new();
    for group in opened.metadata.metadata().row_groups() {
        for column in group.columns() {
            let filter = (column.bloom_filter_offset(), column.bloom_filter_length());
            let index = (column.column_index_offset(), column.column_index_length());
            for (offset, length) in [filter, index] {
                let offset = u64::try_from(offset.expect("there is one")).expect("a place");
                places.push((offset, usize::try_from(length.expect("there is one")).expect("a length")));
            }
        }
    }
    for (offset, length) in places {
        file.write_all_at(&vec![0xff; length], offset).expect("written");
    }
    let (one, _) = found(&file, &numbers([321], 1), &["id"]);
    assert_eq!((one.rows.updated, one.replaced[0].stored_row), (1, 321));
}

#[test]
fn bounds_of_decimals_may_have_any_length() {
    let decimals = |ids: std::ops::Range<i128>, value: i64| {
        let ids = Decimal128Array::from_iter_values(ids).with_precision_and_scale(38, 0).expect("decimals");
        with_value(vec![("id", Arc::new(ids))], value)
    };
    let file = written(&decimals(0..64, 0), properties(false));
    let opened = Opened::new(Content::Local(file.try_clone().expect("the file"))).expect("opens");
    let column = opened.metadata.metadata().row_group(0).column(0);
    let offset = u64::try_from(column.column_index_offset().expect("there is one")).expect("a place");
    let mut index =
        vec![0; usize::try_from(column.column_index_length().expect("there is one")).expect("a length")];
    file.read_exact_at(&mut index, offset).expect("read");
    // Two bounds of sixteen bytes become one of seventeen and one of fifteen.
    let first =
        (0..index.len() - 17).find(|at| index[*at] == 16 && index[at + 17] == 16).expect("two bounds");
    (index[first], index[first + 18]) = (17, 15);
    file.write_all_at(&index, offset).expect("written");
    let (one, _) = found(&file, &decimals(33..34, 1), &["id"]);
    assert_eq!((one.rows.updated, one.replaced[0].stored_row), (1, 33));
}

#[test]
fn what_is_in_both_of_two_lists_of_ranges() {
    assert_eq!(both(&[0..4, 6..9], &[2..7, 8..12]), [2..4, 6..7, 8..9]);
    assert_eq!(both(&[0..4, 6..9], &[4..6, 9..12]), Vec::<Range<usize>>::new());
}

#[derive(Debug, Clone, Copy)]
enum Ids {
    Long,
    Decimal,
    Short,
    Day,
    Instant,
    Text,
    Bytes,
    Pair,
}

/// Columns that say which row is which, made of small numbers; null where there is none.
fn columns(kind: Ids, seeds: &[Option<u16>]) -> Vec<(&'static str, ArrayRef)> {
    let each = || seeds.iter().copied();
    let text = |seed: u16| format!("{}-{seed:05}", ["ab", "abc", "é"][usize::from(seed) % 3]);
    let one: ArrayRef = match kind {
        Ids::Long => Arc::new(each().map(|seed| seed.map(|s| i64::from(s) - 200)).collect::<Int64Array>()),
        Ids::Decimal => {
            let values = each().map(|seed| seed.map(|s| i128::from(s) - 200)).collect::<Decimal128Array>();
            Arc::new(values.with_precision_and_scale(20, 2).expect("decimals"))
        }
        Ids::Short => {
            Arc::new(each().map(|seed| seed.map(|s| s.cast_signed() - 200)).collect::<Int16Array>())
        }
        Ids::Day => Arc::new(each().map(|seed| seed.map(i32::from)).collect::<Date32Array>()),
        Ids::Instant => Arc::new(
            each().map(|seed| seed.map(|s| i64::from(s) - 200)).collect::<TimestampMicrosecondArray>(),
        ),
        Ids::Text => Arc::new(each().map(|seed| seed.map(text)).collect::<StringArray>()),
        Ids::Bytes => {
            let bytes = each().map(|seed| seed.map(u16::to_le_bytes));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 2).expect("two bytes each"))
        }
        Ids::Pair => {
            let other = each().map(|seed| seed.map(|s| text(s / 20))).collect::<StringArray>();
            let one = each().map(|seed| seed.map(|s| i64::from(s % 20))).collect::<Int64Array>();
            return vec![("id", Arc::new(one)), ("other", Arc::new(other))];
        }
    };
    vec![("id", one)]
}

fn key(rows: &RecordBatch, row: usize) -> Option<Vec<String>> {
    let ids = &rows.columns()[..rows.num_columns() - 1];
    let text = |values: &ArrayRef| array_value_to_string(values, row).expect("text");
    ids.iter().all(|values| values.is_valid(row)).then(|| ids.iter().map(text).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_pruned_file_meets_the_same_rows_as_one_that_is_read_whole(
        kind in prop::sample::select(vec![
            Ids::Long, Ids::Decimal, Ids::Short, Ids::Day, Ids::Instant, Ids::Text, Ids::Bytes, Ids::Pair,
        ]),
        stored in prop::collection::vec(prop::option::weighted(0.95, 0..400_u16), 0..300),
        incoming in prop::collection::vec(0..420_u16, 1..12),
        sorted: bool,
        filters: bool,
    ) {
        let mut stored = stored;
        let mut seen = std::collections::HashSet::new();
        stored.retain(|seed| seed.is_none_or(|seed| seen.insert(seed)));
        if sorted {
            stored.sort_unstable();
        }
        let mut incoming = incoming;
        incoming.sort_unstable();
        incoming.dedup();
        let stored = with_value(columns(kind, &stored), 0);
        let incoming: Vec<Option<u16>> = incoming.into_iter().map(Some).collect();
        let incoming = with_value(columns(kind, &incoming), 1);
        let places: HashMap<_, _> =
            (0..stored.num_rows()).filter_map(|row| Some((key(&stored, row)?, row as u64))).collect();
        let mut expected: Vec<u64> =
            (0..incoming.num_rows()).filter_map(|row| places.get(&key(&incoming, row)?).copied()).collect();
        expected.sort_unstable();
        let ids: &[&str] = if matches!(kind, Ids::Pair) { &["id", "other"] } else { &["id"] };
        let (outcome, _) = found(&written(&stored, properties(filters)), &incoming, ids);
        let met: Vec<u64> = outcome.replaced.iter().map(|pair| pair.stored_row).collect();
        prop_assert_eq!(&met, &expected);
        let places = UInt32Array::from_iter_values(outcome.replaced.iter().map(|pair| pair.incoming));
        let met = take_record_batch(&incoming, &places).expect("rows");
        for (row, pair) in outcome.replaced.iter().enumerate() {
            let stored_row = usize::try_from(pair.stored_row).expect("a row");
            prop_assert_eq!(key(&met, row), key(&stored, stored_row));
        }
    }
}
