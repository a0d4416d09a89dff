//! Tells types from fields, one at a time, and never loses one: a type stands only while every field
//! seen so far would come back with the same value.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};

use super::TextRules;
use super::number::Number;
use super::time::{self, Matched, Pattern, Stamp};

/// Integers beyond this are not all different as `f64`.
const MAX_SAFE_INTEGER: u64 = 1 << 53;

/// A set of types that a field, or every field so far, can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Types(u8);

impl Types {
    const NONE: Self = Self(0);
    const INT: Self = Self(1);
    const FLOAT: Self = Self(1 << 1);
    const BOOL: Self = Self(1 << 2);
    const DATE: Self = Self(1 << 3);
    const NAIVE: Self = Self(1 << 4);
    const ZONED: Self = Self(1 << 5);
    const ALL: Self = Self(0b11_1111);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn may_be(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Tells the type of a column from all its fields, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Guess {
    pattern: Option<Arc<Pattern>>,
    possible: Types,
    seen: bool,
    /// A real number was seen: `NaN` and `inf` alone are words.
    number: bool,
    unit: TimeUnit,
    fits_nanos: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self {
            pattern: None,
            possible: Types::ALL,
            seen: false,
            number: false,
            unit: TimeUnit::Millisecond,
            fits_nanos: true,
        }
    }
}

impl Guess {
    /// A guess for fields read by `rules`.
    pub(crate) fn new(rules: &TextRules) -> Self {
        let pattern = rules.timestamp_format.as_deref().and_then(Pattern::new).map(Arc::new);
        Self { pattern, ..Self::default() }
    }

    /// Takes one more field that is not null.
    pub(crate) fn observe(&mut self, text: &str) {
        self.seen = true;
        if self.possible == Types::NONE {
            return;
        }
        let plain = self.plain(text);
        let by_pattern = self.by_pattern(text);
        self.possible = self.possible.and(plain.or(by_pattern));
    }

    /// Joins what two guesses have seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.possible = self.possible.and(other.possible);
        self.seen |= other.seen;
        self.number |= other.number;
        self.unit = self.unit.max(other.unit);
        self.fits_nanos &= other.fits_nanos;
    }

    /// The narrowest type in which every field survives; `Utf8` if nothing was seen.
    pub(crate) fn data_type(&self) -> DataType {
        let possible = if self.seen { self.possible } else { Types::NONE };
        let out_of_range = self.unit == TimeUnit::Nanosecond && !self.fits_nanos;
        // What fits the pattern comes first: 20210522 is a date if the pattern says so.
        if possible.may_be(Types::DATE) {
            DataType::Date32
        } else if possible.may_be(Types::NAIVE) && !out_of_range {
            DataType::Timestamp(self.unit, None)
        } else if possible.may_be(Types::ZONED) && !out_of_range {
            DataType::Timestamp(self.unit, Some("UTC".into()))
        } else if possible.may_be(Types::BOOL) {
            DataType::Boolean
        } else if possible.may_be(Types::INT) {
            DataType::Int64
        } else if possible.may_be(Types::FLOAT) && self.number {
            DataType::Float64
        } else {
            DataType::Utf8
        }
    }

    /// The types of a field by its form, among those still possible. The first byte tells which
    /// readers are worth a try, so that words cost nothing.
    fn plain(&mut self, text: &str) -> Types {
        match text.as_bytes().first() {
            Some(b'0'..=b'9' | b'-') => {}
            Some(b't' | b'f') => {
                let is_bool = matches!(text, "true" | "false");
                return if is_bool { Types::BOOL } else { Types::NONE };
            }
            Some(_) if matches!(text, "NaN" | "inf") => return Types::FLOAT,
            _ => return Types::NONE,
        }
        let types = self.numeric(text);
        if types == Types::NONE { self.temporal(text) } else { types }
    }

    fn numeric(&mut self, text: &str) -> Types {
        if !self.possible.may_be(Types::INT.or(Types::FLOAT)) {
            return Types::NONE;
        }
        if text == "-inf" {
            return Types::FLOAT;
        }
        let Some(number) = Number::scan(text).filter(Number::is_plain) else { return Types::NONE };
        if number.fraction.is_some() || number.exponent.is_some() {
            self.number = true;
            return if number.survives_as_f64(text) { Types::FLOAT } else { Types::NONE };
        }
        self.number = true;
        match text.parse::<i64>() {
            Ok(0) if number.negative => Types::FLOAT,
            Ok(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER => Types::INT.or(Types::FLOAT),
            Ok(_) => Types::INT,
            Err(_) => Types::NONE,
        }
    }

    fn temporal(&mut self, text: &str) -> Types {
        if self.possible.may_be(Types::DATE) && time::date(text).is_some() && !text.starts_with('-') {
            return Types::DATE;
        }
        // Years beyond 9999 stay text: not every unit has room for them.
        if !self.possible.may_be(Types::NAIVE.or(Types::ZONED)) || text.starts_with('-') {
            return Types::NONE;
        }
        let Some(stamp) = time::timestamp(text) else { return Types::NONE };
        // An offset is information that an instant does not keep.
        if stamp.offset.is_some() && !(text.ends_with('Z') || text.ends_with("+00:00")) {
            return Types::NONE;
        }
        self.timestamp(stamp)
    }

    fn by_pattern(&mut self, text: &str) -> Types {
        match self.pattern.as_ref().and_then(|pattern| pattern.read(text)) {
            None => Types::NONE,
            Some(Matched::Day(_)) => Types::DATE,
            Some(Matched::Moment(stamp)) => {
                self.unit = self.unit.max(TimeUnit::Microsecond);
                self.timestamp(stamp)
            }
        }
    }

    fn timestamp(&mut self, stamp: Stamp) -> Types {
        let unit = match stamp.nanos {
            n if n % 1_000_000 == 0 => TimeUnit::Millisecond,
            n if n % 1_000 == 0 => TimeUnit::Microsecond,
            _ => TimeUnit::Nanosecond,
        };
        self.unit = self.unit.max(unit);
        self.fits_nanos &= stamp.in_unit(TimeUnit::Nanosecond).is_some();
        if stamp.offset.is_some() { Types::ZONED } else { Types::NAIVE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(mut guess: Guess, fields: &[&str]) -> Guess {
        for field in fields {
            guess.observe(field);
        }
        guess
    }

    fn guess_with(pattern: Option<&str>, fields: &[&str]) -> DataType {
        let rules = TextRules { timestamp_format: pattern.map(ToOwned::to_owned), ..TextRules::default() };
        seen(Guess::new(&rules), fields).data_type()
    }

    fn guess(fields: &[&str]) -> DataType {
        let whole = guess_with(None, fields);
        // Two halves tell the same as the whole, whichever comes first.
        for at in 0..=fields.len() {
            let halves = [&fields[..at], &fields[at..]].map(|half| seen(Guess::default(), half));
            let [mut left, mut right] = halves.clone();
            left.merge(&halves[1]);
            right.merge(&halves[0]);
            assert_eq!((left.data_type(), right.data_type()), (whole.clone(), whole.clone()), "{fields:?}");
        }
        whole
    }

    fn naive(unit: TimeUnit) -> DataType {
        DataType::Timestamp(unit, None)
    }

    fn utc(unit: TimeUnit) -> DataType {
        DataType::Timestamp(unit, Some("UTC".into()))
    }

    #[test]
    fn a_column_without_values_is_a_string() {
        assert_eq!(guess(&[]), DataType::Utf8);
    }

    #[test]
    fn integers_are_canonical_and_fit() {
        assert_eq!(guess(&["0", "-1", "9223372036854775807", "-9223372036854775808"]), DataType::Int64);
        for odd in ["007", "+1", "9223372036854775808", "1 ", " 1", "", "-", "1_000", "0x1"] {
            assert_eq!(guess(&["1", odd]), DataType::Utf8, "{odd}");
        }
        assert_eq!(guess(&["02139", "10001"]), DataType::Utf8);
    }

    #[test]
    fn floats_survive_by_value() {
        assert_eq!(guess(&["1.50", "1e3", "-0", "0.1", "7"]), DataType::Float64);
        assert_eq!(guess(&["1.5", "9007199254740992"]), DataType::Float64);
        assert_eq!(guess(&["1.5", "9007199254740993"]), DataType::Utf8);
        for odd in ["0.12345678901234567890", "01.5", ".5", "5.", "1e400", "1,5", "100000000000000000000"] {
            assert_eq!(guess(&["1.5", odd]), DataType::Utf8, "{odd}");
        }
    }

    #[test]
    fn not_a_number_and_infinity_need_a_number_beside_them() {
        assert_eq!(guess(&["NaN", "1.5", "-inf", "inf"]), DataType::Float64);
        assert_eq!(guess(&["NaN", "inf"]), DataType::Utf8);
        assert_eq!(guess(&["nan", "1.5"]), DataType::Utf8);
    }

    #[test]
    fn booleans_are_true_and_false_exactly() {
        assert_eq!(guess(&["true", "false"]), DataType::Boolean);
        assert_eq!(guess(&["true", "True"]), DataType::Utf8);
        assert_eq!(guess(&["true", "1"]), DataType::Utf8);
    }

    #[test]
    fn dates_and_timestamps_do_not_mix() {
        assert_eq!(guess(&["2021-05-22", "1969-01-01"]), DataType::Date32);
        assert_eq!(guess(&["2021-05-22", "2021-05-22T00:00:00"]), DataType::Utf8);
        assert_eq!(guess(&["2021-05-22", "2021-5-22"]), DataType::Utf8);
        assert_eq!(guess(&["2021-05-22", "2021"]), DataType::Utf8);
    }

    #[test]
    fn the_unit_is_the_coarsest_that_holds_every_fraction() {
        let [ms, us, ns] = [TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        assert_eq!(guess(&["2021-05-22T02:51:15", "2021-05-22 02:51"]), naive(ms));
        assert_eq!(guess(&["2021-05-22T02:51:15Z", "2021-05-22T02:51:15.1234Z"]), utc(us));
        assert_eq!(guess(&["2021-05-22T02:51:15.123456700+00:00"]), utc(ns));
        assert_eq!(guess(&["2021-05-22T02:51:15.000000001", "1600-01-01T00:00:00"]), DataType::Utf8);
    }

    #[test]
    fn an_offset_is_information() {
        assert_eq!(guess(&["2021-05-22T02:51:15+02:00"]), DataType::Utf8);
        assert_eq!(guess(&["2021-05-22T02:51:15Z", "2021-05-22T02:51:15"]), DataType::Utf8);
    }

    #[test]
    fn the_pattern_of_the_user_comes_first_where_every_field_fits_it() {
        assert_eq!(guess_with(Some("%d/%m/%Y"), &["22/05/2021"]), DataType::Date32);
        assert_eq!(guess_with(Some("%d/%m/%Y %H:%M"), &["22/05/2021 02:51"]), naive(TimeUnit::Microsecond));
        let zoned = guess_with(Some("%d/%m/%Y %H:%M %z"), &["22/05/2021 02:51 +0200"]);
        assert_eq!(zoned, utc(TimeUnit::Microsecond));
        assert_eq!(guess_with(Some("%Y%m%d"), &["20210522", "20210523"]), DataType::Date32);
        assert_eq!(guess_with(Some("%Y%m%d"), &["20210522", "5"]), DataType::Int64);
        assert_eq!(guess_with(Some("%d/%m/%Y"), &["2021-05-22T02:51:15"]), naive(TimeUnit::Millisecond));
        assert_eq!(guess_with(Some("%Q"), &["5"]), DataType::Int64);
    }
}
