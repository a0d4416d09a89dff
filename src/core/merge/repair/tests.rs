//! Which of stored rows with one id stays, without a file around them.

use super::*;
use arrow::array::{Float64Array, Int64Array};

const ROWS: usize = 2_000;

fn rule(modified: Option<&str>) -> MergeRule {
    let method =
        modified.map_or(crate::core::merge::UpsertMethod::Id, |_| crate::core::merge::UpsertMethod::Modified);
    MergeRule::new(method, ["id"], modified.map(Into::into)).expect("a rule").with_float_ids(true)
}

/// The rows that go, if so many bits of a hash count, and batches have so many rows.
fn gone(keys: &RecordBatch, rule: &MergeRule, bits: u64, size: usize) -> Result<Vec<u64>> {
    let stored = StoredKeys { bits, ..StoredKeys::new(&keys.schema(), rule)? };
    let mut doubles = Doubles::new(64);
    let shown = || {
        (0..keys.num_rows())
            .step_by(size)
            .map(|start| (start as u64, keys.slice(start, size.min(keys.num_rows() - start))))
    };
    for (first, keys) in shown() {
        Search::Mark(&stored, &mut doubles).see(&keys, &stored.hashes(&keys)?, None, first)?;
    }
    let mut gathered = Vec::new();
    let mut take = |rows: &RecordBatch, places: &[u128]| {
        gathered.extend(places.iter().enumerate().map(|(row, place)| (*place, rows.slice(row, 1))));
        Ok(())
    };
    for (first, keys) in shown() {
        Search::Gather(&stored, &doubles, &mut take).see(&keys, &stored.hashes(&keys)?, None, first)?;
    }
    gathered.sort_by_key(|(place, _)| *place);
    let rows: Vec<RecordBatch> = gathered.into_iter().map(|(_, row)| row).collect();
    let mut survivors = Survivors::new(&stored)?;
    for rows in rows.chunks(size) {
        survivors.see(&arrow::compute::concat_batches(&stored.gathered_schema(), rows).expect("rows"))?;
    }
    Ok(survivors.finish())
}

fn keys(ids: ArrayRef, at: Option<ArrayRef>) -> RecordBatch {
    let columns = [("id", ids, true)].into_iter().chain(at.map(|at| ("at", at, true)));
    RecordBatch::try_from_iter_with_nullable(columns).expect("keys")
}

fn ints(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

#[test]
fn the_last_of_each_id_stays_however_hashes_fall() {
    // Every number up to a half of them twice, far from each other, and others once.
    let id = |row: usize| i64::try_from(row * 7 % (ROWS * 2 / 3)).expect("small");
    let ids: Vec<i64> = (0..ROWS).map(id).collect();
    let expected: Vec<u64> =
        (0..ROWS).filter(|row| ids[row + 1..].contains(&ids[*row])).map(|row| row as u64).collect();
    assert!(expected.len() > 500, "{}", expected.len());
    let number: ArrayRef = Arc::new(Int64Array::from(ids.clone()));
    let text: ArrayRef = Arc::new(ids.iter().map(|id| Some(format!("k{id}"))).collect::<StringArray>());
    for ids in [number, text] {
        for (bits, size) in [(u64::MAX, 100), (0b111, 100), (0b111, 1), (0, ROWS)] {
            let found = gone(&keys(Arc::clone(&ids), None), &rule(None), bits, size).expect("compares");
            assert_eq!(found, expected, "{bits} {size}");
        }
    }
}

#[test]
fn the_greatest_modification_value_stays_and_of_equal_ones_the_last() {
    let ids = ints(&[1, 2, 1, 2, 3, 2, 1].map(Some));
    let at = ints(&[Some(5), None, Some(4), Some(0), Some(1), Some(0), Some(5)]);
    let found = gone(&keys(ids, Some(at)), &rule(Some("at")), u64::MAX, 3).expect("compares");
    assert_eq!(found, [0, 1, 2, 3]);
    let ids = ints(&[1, 1, 1].map(Some));
    let at: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), Some(f64::NAN), None]));
    assert_eq!(gone(&keys(ids, Some(at)), &rule(Some("at")), u64::MAX, 3).expect("compares"), [1, 2]);
}

#[test]
fn modification_values_in_text_are_compared_as_what_they_name() {
    let texts = |values: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let found = |values, ids: [i64; 3]| {
        gone(&keys(ints(&ids.map(Some)), Some(texts(values))), &rule(Some("at")), u64::MAX, 2)
    };
    assert_eq!(found(["10", "9", "8"], [1, 1, 1]).expect("compares"), [1, 2]);
    let instants = ["2021-05-22T02:51:15.100Z", "2021-05-22T02:51:15Z", "2021-05-22T04:51:15.2+02:00"];
    assert_eq!(found(instants, [1, 1, 1]).expect("compares"), [0, 1]);
    assert_eq!(found(["b", "c", "a"], [1, 1, 1]).expect("compares"), [0, 2]);
    assert_eq!(found(["10", "b", "x"], [1, 2, 2]).expect("kinds of other ids do not matter"), [1]);
    let error = found(["10", "b", "9"], [1, 1, 2]).expect_err("mixed").to_string();
    assert!(error.contains("not all of one kind") && error.contains("column: at"), "{error}");
}

#[test]
fn floats_are_one_id_as_they_match_and_nulls_are_none_unless_they_do() {
    let odd = f64::from_bits(f64::NAN.to_bits() | 7);
    let ids: ArrayRef =
        Arc::new(Float64Array::from(vec![Some(0.0), Some(f64::NAN), None, Some(-0.0), Some(odd), None]));
    let keys = keys(ids, None);
    assert_eq!(gone(&keys, &rule(None), u64::MAX, 6).expect("compares"), [0, 1]);
    let matched = rule(None).with_null_ids(NullIds::Match);
    assert_eq!(gone(&keys, &matched, u64::MAX, 6).expect("compares"), [0, 1, 2]);
    let numbers = super::tests::keys(ints(&[None, Some(0), None]), None);
    assert_eq!(gone(&numbers, &rule(None), u64::MAX, 3).expect("compares"), [0_u64; 0]);
    assert_eq!(gone(&numbers, &matched, u64::MAX, 3).expect("compares"), [0]);
}

#[test]
fn a_table_of_hashes_is_no_larger_than_it_may() {
    for (bytes, words) in [(0, 1), (8, 1), (64, 8), (65, 8), (127, 8), (128, 16), (1 << 24, 1 << 21)] {
        assert_eq!(Doubles::new(bytes).words.len(), words, "{bytes}");
    }
}
