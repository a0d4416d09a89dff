//! Cases about types: what is cast into the stored type, what is refused, and what can be an id.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int32Array, ListArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Int32Type};

use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, STALE, Scope, TIED, UNCHANGED, UPDATED, WITH_NAN,
    but, ints, refused, texts,
};
use crate::core::format::Format;

/// What is stored must have the very type that the case is about.
pub(super) const TYPED: Scope =
    Scope { formats: &[Format::Parquet], why: "text formats tell these types by themselves, or not at all" };

pub(super) fn cases() -> Vec<Case> {
    [casts(), times(), dates(), floats(), nested()].concat()
}

fn arc(values: impl Array + 'static) -> ArrayRef {
    Arc::new(values)
}

/// One row of id 1.
fn one(value: ArrayRef) -> Data {
    Data::default().with("id", ints([1])).with("value", value)
}

/// One row of id 1 and a modification value.
fn at(value: ArrayRef) -> Data {
    Data::default().with("id", ints([1])).with("at", value)
}

fn int32(value: i32) -> ArrayRef {
    arc(Int32Array::from(vec![value]))
}

fn float(value: f64) -> ArrayRef {
    arc(Float64Array::from(vec![value]))
}

fn millis(value: i64) -> TimestampMillisecondArray {
    TimestampMillisecondArray::from(vec![value])
}

fn micros(value: i64) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from(vec![value])
}

fn decimal(value: i128, scale: i8) -> ArrayRef {
    arc(Decimal128Array::from(vec![value]).with_data_type(DataType::Decimal128(20, scale)))
}

fn casts() -> Vec<Case> {
    let (lossy, types) = (
        refused("a value does not fit the stored type exactly"),
        refused("no value of the incoming type is one of the stored type"),
    );
    let case = |name, stored, incoming, expect| {
        Case::new(name, one(stored), one(incoming), BY_ID, expect).only(TYPED)
    };
    vec![
        case("an_int64_that_fits_is_cast_to_int32", int32(5), ints([6]), UPDATED),
        case("an_int64_that_is_equal_to_an_int32_is_unchanged", int32(5), ints([5]), UNCHANGED),
        case("an_int64_that_does_not_fit_int32_is_refused", int32(5), ints([1_i64 << 40]), lossy),
        case("a_whole_float_is_cast_to_an_integer", int32(5), float(6.0), UPDATED),
        case("a_float_with_a_fraction_is_refused_for_an_integer", int32(5), float(5.5), lossy),
        case("an_integer_that_a_float_cannot_hold_is_refused", float(5.0), ints([(1_i64 << 53) + 1]), lossy),
        case("a_decimal_is_cast_by_value", decimal(150, 2), decimal(1500, 3), UNCHANGED),
        case("a_decimal_with_too_many_digits_is_refused", decimal(150, 2), decimal(1501, 3), lossy),
        case("text_is_parsed_as_the_stored_type", int32(7), texts(["007"]), UNCHANGED),
        case("text_that_is_no_number_is_refused_for_an_integer", int32(7), texts(["x"]), lossy),
        case("a_number_is_refused_for_text", texts(["7"]), int32(7), types),
        case("a_number_is_refused_for_a_boolean", arc(BooleanArray::from(vec![true])), int32(1), types),
        case("a_dictionary_is_its_values", texts(["a"]), dictionary("a"), UNCHANGED),
    ]
}

fn dictionary(text: &'static str) -> ArrayRef {
    arc(std::iter::once(text).collect::<DictionaryArray<Int32Type>>())
}

fn times() -> Vec<Case> {
    let zone = refused("one side has timestamps with a zone, the other without");
    let lossy = refused("a value does not fit the stored type exactly");
    let utc = |value| arc(millis(value).with_timezone("UTC"));
    let berlin = |value| arc(micros(value).with_timezone("Europe/Berlin"));
    let case = |name, stored, incoming, expect| {
        Case::new(name, at(stored), at(incoming), NEWEST, expect).only(TYPED)
    };
    vec![
        case("a_date_becomes_a_timestamp", arc(millis(86_399_999)), arc(Date32Array::from(vec![1])), UPDATED),
        case("a_zone_is_changed_and_the_instant_stays", utc(5), berlin(5_000), UNCHANGED),
        case("timestamps_of_two_zones_compare_as_instants", utc(5), berlin(4_000), STALE),
        case("a_timestamp_that_would_be_cut_is_refused", utc(5), berlin(5_001), lossy),
        case("naive_timestamps_are_refused_for_zoned_ones", utc(5), arc(millis(6)), zone),
        case("zoned_timestamps_are_refused_for_naive_ones", arc(millis(5)), utc(6), zone),
        case("dates_are_refused_for_zoned_timestamps", utc(5), arc(Date32Array::from(vec![1])), zone),
    ]
}

/// Dates and timestamps where a text format tells them by itself.
fn dates() -> Vec<Case> {
    let utc = |value| arc(millis(value).with_timezone("UTC"));
    let date = |value: i32| arc(Date32Array::from(vec![value]));
    let both = |at: ArrayRef, value: ArrayRef| {
        Data::default().with("id", ints([1])).with("at", at).with("value", value)
    };
    vec![
        Case::new(
            "a_date_that_is_equal_is_unchanged",
            one(date(18_769)),
            one(date(18_769)),
            BY_ID,
            UNCHANGED,
        ),
        Case::new("another_date_is_an_update", one(date(18_769)), one(date(-1)), BY_ID, UPDATED),
        Case::new("a_later_date_wins", both(date(9), int32(1)), both(date(10), int32(2)), NEWEST, UPDATED),
        Case::new(
            "an_earlier_date_is_stale",
            both(date(10), int32(1)),
            both(date(9), int32(2)),
            NEWEST,
            STALE,
        ),
        Case::new(
            "a_later_timestamp_wins",
            both(utc(999), int32(1)),
            both(utc(1_000), int32(2)),
            NEWEST,
            UPDATED,
        ),
        Case::new(
            "an_earlier_timestamp_is_stale",
            both(utc(1_000), int32(1)),
            both(utc(999), int32(2)),
            NEWEST,
            STALE,
        ),
        Case::new("one_instant_is_a_tie", both(utc(5), int32(1)), both(utc(5), int32(2)), NEWEST, TIED),
        Case::new(
            "timestamps_without_a_zone_compare_among_themselves",
            both(arc(millis(5)), int32(1)),
            both(arc(millis(6)), int32(2)),
            NEWEST,
            UPDATED,
        ),
        Case::new("a_timestamp_is_a_plain_value_too", one(utc(5)), one(utc(5)), BY_ID, UNCHANGED),
    ]
}

fn floats() -> Vec<Case> {
    let timed = |value: f64, text: &'static str| at(float(value)).with("text", texts([text]));
    vec![
        Case::new("zero_has_no_sign", one(float(0.0)), one(float(-0.0)), BY_ID, UNCHANGED),
        Case::new(
            "not_a_number_equals_itself",
            one(float(f64::NAN)),
            one(float(-f64::NAN)),
            BY_ID,
            UNCHANGED,
        )
        .only(TYPED),
        Case::new(
            "not_a_number_differs_from_a_number",
            one(float(1.5)),
            one(float(f64::NAN)),
            BY_ID,
            UPDATED,
        )
        .only(WITH_NAN),
        Case::new(
            "a_modification_value_that_is_not_a_number_is_lowest",
            at(float(-1.5)),
            at(float(f64::NAN)),
            NEWEST,
            STALE,
        )
        .only(WITH_NAN),
        Case::new(
            "not_a_number_against_null_is_a_tie",
            at(arc(Float64Array::from(vec![None]))),
            at(float(f64::NAN)),
            NEWEST,
            TIED,
        )
        .only(TYPED),
        Case::new("zeros_of_both_signs_are_equally_new", timed(0.0, "a"), timed(-0.0, "b"), NEWEST, TIED),
        Case::new(
            "infinity_is_newer_than_every_number",
            at(float(1e300)),
            at(float(f64::INFINITY)),
            NEWEST,
            UPDATED,
        )
        .only(WITH_NAN),
    ]
}

fn list(items: [i32; 2]) -> ArrayRef {
    arc(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(items.map(Some))]))
}

fn nested() -> Vec<Case> {
    vec![
        Case::new(
            "a_list_that_is_equal_is_unchanged",
            one(list([1, 2])),
            one(list([1, 2])),
            BY_ID,
            UNCHANGED,
        )
        .only(TYPED),
        Case::new(
            "a_list_in_another_order_is_an_update",
            one(list([1, 2])),
            one(list([2, 1])),
            BY_ID,
            UPDATED,
        )
        .only(TYPED),
        Case::new(
            "a_list_is_refused_as_modification_value",
            at(list([1, 2])),
            at(list([1, 3])),
            NEWEST,
            refused("the modification column has no order"),
        )
        .only(TYPED),
    ]
}

/// Floats as ids.
fn float_ids() -> Vec<Case> {
    let by_float = |ids| but(Rule { ids, ..BY_ID }, |choices| choices.float_ids = true);
    let by_id = || by_float(&["id"]);
    let rows = |ids: &[f64], values: &'static [&'static str]| {
        let ids = arc(Float64Array::from(ids.to_vec()));
        Data::default().with("id", ids).with("value", texts(values.iter().copied()))
    };
    let pairs = |ids: &[f64], parts: &[i64], value: &'static str| {
        let values = texts(vec![value; ids.len()]);
        let ids = arc(Float64Array::from(ids.to_vec()));
        Data::default().with("id", ids).with("part", ints(parts.iter().copied())).with("value", values)
    };
    let stored = || rows(&[-1.5, 0.0, 2.5], &["a", "b", "c"]);
    let nans = || rows(&[1.5, f64::NAN, f64::INFINITY], &["a", "b", "c"]);
    let counts = |updated, inserted| Expect::Counts(Counts { inserted, updated, ..NONE });
    let shorts = |ids: &[f32], value: &'static str| {
        let values = texts(vec![value; ids.len()]);
        Data::default().with("id", arc(Float32Array::from(ids.to_vec()))).with("value", values)
    };
    vec![
        Case::new(
            "floats_can_be_an_id_where_that_is_said",
            stored(),
            rows(&[2.5, 7.25, -1.5], &["C", "z", "A"]),
            by_id(),
            counts(2, 1),
        ),
        Case::new(
            "ids_of_both_zeros_are_one",
            stored(),
            rows(&[-0.0, 7.25], &["B", "z"]),
            by_id(),
            counts(1, 1),
        ),
        Case::new(
            "a_row_that_differs_in_the_sign_of_its_zero_is_unchanged",
            stored(),
            rows(&[-0.0], &["b"]),
            by_id(),
            UNCHANGED,
        ),
        Case::new(
            "twins_of_both_zeros_are_twins",
            stored(),
            rows(&[0.0, -0.0], &["x", "y"]),
            by_id(),
            refused("several incoming rows have one id and differ"),
        ),
        Case::new(
            "an_id_that_is_not_a_number_is_one_value",
            nans(),
            rows(&[-f64::NAN, f64::NEG_INFINITY], &["B", "z"]),
            by_id(),
            counts(1, 1),
        )
        .only(WITH_NAN),
        Case::new(
            "infinity_can_be_an_id",
            nans(),
            rows(&[f64::INFINITY, 1.5], &["C", "a"]),
            by_id(),
            Expect::Counts(Counts { updated: 1, unchanged: 1, ..NONE }),
        )
        .only(WITH_NAN),
        Case::new(
            "an_id_of_several_columns_may_have_not_a_number",
            pairs(&[1.5, f64::NAN, f64::NAN, 0.0], &[1, 1, 2, 3], "a"),
            pairs(&[f64::NAN, f64::NAN, -0.0, 1.5], &[2, 3, 3, 2], "b"),
            by_float(&["id", "part"]),
            counts(2, 2),
        )
        .only(WITH_NAN),
        Case::new(
            "short_floats_can_be_an_id_where_that_is_said",
            shorts(&[0.1, f32::NAN, -0.0], "a"),
            shorts(&[0.1, f32::NAN, 0.0, 7.5], "b"),
            by_id(),
            counts(3, 1),
        )
        .only(TYPED),
    ]
}

/// What can be an id: one stored row and one more of each type come in.
pub(super) fn ids() -> Vec<Case> {
    let met = Expect::Counts(Counts { updated: 1, inserted: 1, ..NONE });
    let case = |name, ids: ArrayRef| {
        let stored = Data::default().with("id", ids.slice(0, 1)).with("value", texts(["a"]));
        Case::new(name, stored, Data::default().with("id", ids).with("value", texts(["A", "b"])), BY_ID, met)
    };
    let mut cases = vec![
        case("text_can_be_an_id", texts(["Ä", "ä"])),
        case("booleans_can_be_an_id", arc(BooleanArray::from(vec![true, false]))),
        case("dates_can_be_an_id", arc(Date32Array::from(vec![-1, 1]))),
        case(
            "timestamps_can_be_an_id",
            arc(TimestampMillisecondArray::from(vec![-1, 1]).with_timezone("UTC")),
        )
        .only(TYPED),
        case("decimals_can_be_an_id", arc(Decimal128Array::from(vec![-1, 1]))).only(TYPED),
        case("binary_can_be_an_id", arc(BinaryArray::from(vec![&[0xFF_u8][..], &[]]))).only(TYPED),
    ];
    let mut float = case("floats_are_refused_as_an_id", arc(Float64Array::from(vec![1.5, 2.5])));
    float.expect = refused("an id column must not hold floats");
    cases.extend(float_ids());
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), Some([Some(2)])]);
    let mut list = case("lists_are_refused_as_an_id", arc(lists)).only(TYPED);
    list.expect = refused("an id column must hold plain values");
    cases.extend([float, list]);
    cases
}
