//! Cases about incoming values that an exact cast refuses, and that a rule takes: what does not survive as null, local times
//! as those of a zone, and timestamps that are cut.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Float64Array, Int32Array, TimestampMicrosecondArray,
    TimestampMillisecondArray,
};

use super::columns::WITH_REQUIRED_COLUMNS;
use super::types::TYPED;
use super::{
    BY_ID, Case, Counts, Data, Expect, NEWEST, NONE, Rule, SETTLED, STALE, Scope, UNCHANGED, UPDATED, but,
    ints, refused, texts,
};
use crate::core::format::Format;
use crate::core::merge::{FineTimestamps, Lossy};

const WITH_STORED_TYPES: Scope =
    Scope { formats: &[Format::Parquet, Format::Ndjson], why: "a CSV file takes any value: it holds text" };

const WITH_ZONES: Scope =
    Scope { formats: &[Format::Parquet, Format::Csv], why: "a timestamp in JSON is a string" };

pub(super) fn cases() -> Vec<Case> {
    [lossy(), naive(), fine()].concat()
}

fn arc(values: impl Array + 'static) -> ArrayRef {
    Arc::new(values)
}

fn int32(values: [Option<i32>; 3]) -> ArrayRef {
    arc(Int32Array::from(values.to_vec()))
}

/// Three rows with a value each.
fn three(value: ArrayRef) -> Data {
    Data::default().with("id", ints([1, 2, 3])).with("value", value)
}

/// One row with a value and a modification value.
fn at(at: ArrayRef, value: i64) -> Data {
    Data::default().with("id", ints([1])).with("at", at).with("value", ints([value]))
}

fn lossy() -> Vec<Case> {
    let or_null = |rule| but(rule, |choices| choices.lossy = Lossy::Null);
    let lossy = refused("a value does not fit the stored type exactly");
    let types = refused("no value of the incoming type is one of the stored type");
    let stored = || three(int32([Some(5), None, Some(7)]));
    let mixed = counts(Counts { updated: 1, unchanged: 2, ..NONE });
    vec![
        Case::new(
            "a_value_that_does_not_fit_is_null",
            stored(),
            three(texts(["x", "y", "007"])),
            or_null(BY_ID),
            mixed,
        )
        .only(WITH_STORED_TYPES),
        Case::new(
            "a_number_that_does_not_fit_is_null",
            stored(),
            three(ints([1_i64 << 40, -(1 << 40), 7])),
            or_null(BY_ID),
            mixed,
        )
        .only(TYPED),
        Case::new(
            "a_number_with_a_fraction_is_null_among_integers",
            stored(),
            three(arc(Float64Array::from(vec![5.5, f64::NAN, 7.0]))),
            or_null(BY_ID),
            mixed,
        )
        .only(TYPED),
        Case::new(
            "values_of_a_type_of_which_none_fits_are_refused_all_the_same",
            three(texts(["a", "b", "c"])),
            three(int32([Some(1), None, None])),
            or_null(BY_ID),
            types,
        )
        .only(TYPED),
        Case::new(
            "an_id_that_does_not_fit_is_not_null",
            stored(),
            Data::default().with("id", texts(["1", "x"])).with("value", ints([5, 5])),
            or_null(BY_ID),
            lossy,
        )
        .only(WITH_STORED_TYPES),
        Case::new(
            "a_modification_value_that_does_not_fit_is_not_null",
            Data::default().with("id", ints([1])).with("at", ints([5])),
            Data::default().with("id", ints([1])).with("at", texts(["soon"])),
            or_null(NEWEST),
            lossy,
        )
        .only(WITH_STORED_TYPES),
        Case::new(
            "a_modification_value_that_settles_the_batch_alone_is_not_null",
            Data::default().with("id", ints([1])).with("at", ints([5])),
            Data::default().with("id", ints([1])).with("at", texts(["soon"])),
            or_null(SETTLED),
            lossy,
        )
        .only(WITH_STORED_TYPES),
        Case::new(
            "a_value_that_does_not_fit_is_not_null_where_none_is_stored",
            Data::default().with("id", ints([1])).with_required("value", ints([5])),
            Data::default().with("id", ints([1])).with("value", texts(["x"])),
            or_null(BY_ID),
            refused("the stored column takes no nulls"),
        )
        .only(WITH_REQUIRED_COLUMNS),
    ]
}

fn counts(counts: Counts) -> Expect {
    Expect::Counts(counts)
}

/// 2021-10-31T00:00:00Z, three hours before the clocks of Berlin are set back.
const AUTUMN: i64 = 1_635_638_400_000;
const HOUR: i64 = 3_600_000;

fn naive() -> Vec<Case> {
    let berlin = |rule| but(rule, |choices| choices.zone = Some("Europe/Berlin"));
    let local = |value| arc(TimestampMillisecondArray::from(vec![value]));
    let utc = |value: i64| arc(TimestampMicrosecondArray::from(vec![value * 1_000]).with_timezone("UTC"));
    let summer = || utc(AUTUMN - 2 * HOUR);
    vec![
        Case::new(
            "a_local_time_is_an_instant_of_its_zone",
            at(summer(), 1),
            at(local(AUTUMN), 1),
            berlin(NEWEST),
            UNCHANGED,
        )
        .only(WITH_ZONES),
        Case::new(
            "a_local_time_is_compared_as_an_instant",
            at(summer(), 1),
            at(local(AUTUMN - 1), 2),
            berlin(NEWEST),
            STALE,
        )
        .only(WITH_ZONES),
        Case::new(
            "a_local_time_in_text_is_an_instant_of_its_zone",
            at(summer(), 1),
            at(texts(["2021-10-31 00:00:00.001"]), 2),
            berlin(NEWEST),
            UPDATED,
        )
        .only(WITH_ZONES),
        Case::new(
            "an_offset_in_text_counts_before_the_zone",
            at(summer(), 1),
            at(texts(["2021-10-31T00:00:00+02:00"]), 1),
            berlin(NEWEST),
            UNCHANGED,
        )
        .only(WITH_ZONES),
        Case::new(
            "a_date_is_midnight_in_its_zone",
            at(summer(), 1),
            at(arc(Date32Array::from(vec![18_931])), 1),
            berlin(NEWEST),
            UNCHANGED,
        )
        .only(WITH_ZONES),
        Case::new(
            "an_offset_can_be_the_zone",
            at(summer(), 1),
            at(local(AUTUMN), 1),
            but(NEWEST, |choices| choices.zone = Some("+02:00")),
            UNCHANGED,
        )
        .only(WITH_ZONES),
        Case::new(
            "a_local_time_that_clocks_show_twice_is_refused",
            at(summer(), 1),
            at(local(AUTUMN + 2 * HOUR + HOUR / 2), 2),
            berlin(NEWEST),
            refused("a local time does not exist in its zone, or twice"),
        )
        .only(WITH_ZONES),
        Case::new(
            "a_local_time_that_clocks_never_show_is_refused",
            at(summer(), 1),
            at(texts(["2021-03-28T02:30:00"]), 2),
            berlin(NEWEST),
            refused("a local time does not exist in its zone, or twice"),
        )
        .only(WITH_ZONES),
        Case::new(
            "an_instant_is_not_taken_for_a_local_time",
            at(local(AUTUMN), 1),
            at(utc(AUTUMN), 2),
            berlin(NEWEST),
            refused("one side has timestamps with a zone, the other without"),
        )
        .only(TYPED),
    ]
}

fn fine() -> Vec<Case> {
    let cut = |rule: Rule| but(rule, |choices| choices.fine = FineTimestamps::Truncate);
    let millis = |value| arc(TimestampMillisecondArray::from(vec![value]));
    let micros = |value| arc(TimestampMicrosecondArray::from(vec![value]));
    let case = |name, stored, incoming, expect| {
        Case::new(name, at(stored, 1), at(incoming, 1), cut(NEWEST), expect).only(TYPED)
    };
    vec![
        case("a_timestamp_that_is_too_fine_is_cut", millis(5), micros(5_999), UNCHANGED),
        case("a_timestamp_before_1970_is_cut_toward_the_past", millis(-1), micros(-1), UNCHANGED),
        case("a_timestamp_is_cut_before_it_is_compared", millis(6), micros(5_999), STALE),
        case("a_timestamp_in_text_is_cut", millis(999), texts(["1970-01-01T00:00:00.9999"]), UNCHANGED),
        case(
            "another_value_that_does_not_fit_is_not_cut",
            millis(5),
            texts(["soon"]),
            refused("a value does not fit the stored type exactly"),
        ),
    ]
}
