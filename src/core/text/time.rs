//! ISO 8601 by hand: it is read for every field of a column, in more years than `chrono` knows, and
//! never rounded.

use std::fmt;

use arrow::array::timezone::Tz;
use arrow::datatypes::TimeUnit;
use chrono::format::{Item, Parsed, StrftimeItems};

use super::local::offset_at;

pub(super) const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time that a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Whole seconds since 1970-01-01T00:00:00, in UTC if there is an offset, else in local time.
    pub(super) seconds: i64,
    /// Nanoseconds on top, below one second.
    pub(super) nanos: u32,
    /// Seconds east of UTC, if the text says so.
    pub(super) offset: Option<i32>,
}

impl Stamp {
    /// As a count of `unit`; `None` if that is too coarse or too narrow for it.
    pub(super) fn in_unit(self, unit: TimeUnit) -> Option<i64> {
        let ticks = ticks_per_second(unit);
        let step = NANOS_PER_SECOND / ticks;
        let nanos = i64::from(self.nanos);
        if nanos % step != 0 {
            return None;
        }
        i64::try_from(i128::from(self.seconds) * i128::from(ticks) + i128::from(nanos / step)).ok()
    }

    /// In ISO 8601, in UTC if it is an instant.
    pub(super) fn to_iso(self) -> Option<String> {
        let mut iso = String::new();
        let units = [TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        let (ticks, unit) = units.iter().find_map(|unit| Some((self.in_unit(*unit)?, *unit)))?;
        write_timestamp(&mut iso, ticks, unit).ok()?;
        iso.push_str(if self.offset.is_some() { "Z" } else { "" });
        Some(iso)
    }

    /// The last moment of `unit` that is not after it.
    pub(super) fn cut_to(self, unit: TimeUnit) -> Self {
        let step = u32::try_from(NANOS_PER_SECOND / ticks_per_second(unit)).unwrap_or(1);
        Self { nanos: self.nanos - self.nanos % step, ..self }
    }

    /// A local time as the instant at which the clocks of `zone` show it; `None` if they never do, or twice.
    pub(super) fn located(self, zone: Tz) -> Option<Self> {
        let offset = offset_at(zone, self.seconds)?;
        Some(Self { seconds: self.seconds.checked_sub(offset.into())?, offset: Some(offset), ..self })
    }

    /// As days since 1970-01-01, if it is midnight of a local day.
    pub(super) fn in_days(self) -> Option<i64> {
        let midnight = self.offset.is_none() && self.nanos == 0 && self.seconds % SECONDS_PER_DAY == 0;
        midnight.then_some(self.seconds / SECONDS_PER_DAY)
    }
}

/// The instant that an ISO 8601 text names, in nanoseconds since 1970-01-01T00:00:00 (UTC, or local
/// time for a text without zone), and whether the text has a zone. `None` if it is not a timestamp; a
/// date alone is not one.
pub(crate) fn instant(text: &str) -> Option<(i128, bool)> {
    let stamp = timestamp(text)?;
    let nanos = i128::from(stamp.seconds) * i128::from(NANOS_PER_SECOND) + i128::from(stamp.nanos);
    Some((nanos, stamp.offset.is_some()))
}

/// Whether a text is a date or a timestamp.
pub(super) fn is_iso(text: &str) -> bool {
    date(text).is_some() || timestamp(text).is_some()
}

/// Reads `YYYY-MM-DD`, as days since 1970-01-01.
pub(super) fn date(text: &str) -> Option<i64> {
    let (days, rest) = take_date(text.as_bytes())?;
    rest.is_empty().then_some(days)
}

/// Reads `YYYY-MM-DD` as the first moment of that day.
pub(super) fn midnight(text: &str) -> Option<Stamp> {
    Some(Stamp { seconds: date(text)?.checked_mul(SECONDS_PER_DAY)?, nanos: 0, offset: None })
}

/// Reads `HH:MM[:SS[.fraction]]`, as seconds and nanoseconds since midnight.
pub(super) fn clock(text: &str) -> Option<Stamp> {
    let (seconds, nanos, rest) = take_clock(text.as_bytes())?;
    rest.is_empty().then_some(Stamp { seconds, nanos, offset: None })
}

/// Reads a date, `T` or a space, a time, and perhaps `Z` or an offset.
pub(super) fn timestamp(text: &str) -> Option<Stamp> {
    let (days, rest) = take_date(text.as_bytes())?;
    let ([b'T' | b' '], rest) = rest.split_first_chunk()? else { return None };
    let (seconds, nanos, rest) = take_clock(rest)?;
    let offset = if rest.is_empty() { None } else { Some(offset(rest)?) };
    let utc = i128::from(days) * i128::from(SECONDS_PER_DAY) + i128::from(seconds)
        - i128::from(offset.unwrap_or(0));
    Some(Stamp { seconds: i64::try_from(utc).ok()?, nanos, offset })
}

fn take_date(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, rest) = take_year(text)?;
    let ([b'-', m0, m1, b'-', d0, d1], rest) = rest.split_first_chunk()? else { return None };
    let (month, day) = (two(*m0, *m1)?, two(*d0, *d1)?);
    let valid = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    valid.then(|| (days_from_civil(year, month, day), rest))
}

/// Four digits; or a sign and four to twelve, which is how ISO 8601 writes years beyond 9999.
fn take_year(text: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => return Some((number(text.get(..4)?)?, &text[4..])),
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(4..=12).contains(&length) {
        return None;
    }
    let year = number(&digits[..length])?;
    Some((if negative { -year } else { year }, &digits[length..]))
}

fn take_clock(text: &[u8]) -> Option<(i64, u32, &[u8])> {
    let ([h0, h1, b':', m0, m1], rest) = text.split_first_chunk()? else { return None };
    let (hours, minutes) = (two(*h0, *h1)?, two(*m0, *m1)?);
    let (seconds, rest) = match rest.split_first_chunk() {
        Some(([b':', s0, s1], rest)) => (two(*s0, *s1)?, rest),
        _ => (0, rest),
    };
    let (nanos, rest) = if rest.first() == Some(&b'.') { take_fraction(&rest[1..])? } else { (0, rest) };
    let valid = hours < 24 && minutes < 60 && seconds < 60;
    valid.then_some((hours * 3600 + minutes * 60 + seconds, nanos, rest))
}

fn take_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let digits = text[..length].iter().chain(std::iter::repeat_n(&b'0', 9 - length));
    Some((digits.fold(0, |nanos, byte| nanos * 10 + u32::from(byte - b'0')), &text[length..]))
}

/// Reads `Z`, `+hh:mm`, `+hhmm` or `+hh`, as seconds east of UTC.
fn offset(text: &[u8]) -> Option<i32> {
    let (sign, hours, minutes) = match text {
        b"Z" => return Some(0),
        [sign, h0, h1, b':', m0, m1] | [sign, h0, h1, m0, m1] => (sign, two(*h0, *h1)?, two(*m0, *m1)?),
        [sign, h0, h1] => (sign, two(*h0, *h1)?, 0),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, after Howard Hinnant's `days_from_civil`: years
/// begin in March, so that the leap day is the last one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of `days_from_civil`: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// How many of `unit` make a second.
pub(super) fn ticks_per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => NANOS_PER_SECOND,
    }
}

/// Writes `YYYY-MM-DD`.
pub(super) fn write_date(out: &mut impl fmt::Write, days: i64) -> fmt::Result {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        write!(out, "{year:04}-{month:02}-{day:02}")
    } else {
        write!(out, "{year:+05}-{month:02}-{day:02}")
    }
}

/// Writes `HH:MM:SS[.fraction]`; `ticks` of `unit` since midnight.
pub(super) fn write_clock(out: &mut impl fmt::Write, ticks: i64, unit: TimeUnit) -> fmt::Result {
    let per_second = ticks_per_second(unit);
    let (seconds, nanos) = (ticks / per_second, ticks % per_second * (NANOS_PER_SECOND / per_second));
    write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    match nanos {
        0 => Ok(()),
        n if n % 1_000_000 == 0 => write!(out, ".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => write!(out, ".{:06}", n / 1_000),
        n => write!(out, ".{n:09}"),
    }
}

/// Writes date, `T`, time; `ticks` of `unit` since 1970-01-01T00:00:00.
pub(super) fn write_timestamp(out: &mut impl fmt::Write, ticks: i64, unit: TimeUnit) -> fmt::Result {
    let per_day = ticks_per_second(unit) * SECONDS_PER_DAY;
    write_date(out, ticks.div_euclid(per_day))?;
    out.write_char('T')?;
    write_clock(out, ticks.rem_euclid(per_day), unit)
}

/// A `strftime` pattern, taken apart once.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Item<'static>>);

/// What a field that fits a pattern is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matched {
    /// A day: the pattern has no time in it.
    Day(i64),
    /// A day and a time.
    Moment(Stamp),
}

impl Matched {
    /// The point in time; midnight of a day.
    pub(super) fn stamp(self) -> Option<Stamp> {
        match self {
            Self::Day(days) => {
                Some(Stamp { seconds: days.checked_mul(SECONDS_PER_DAY)?, nanos: 0, offset: None })
            }
            Self::Moment(stamp) => Some(stamp),
        }
    }
}

impl Pattern {
    /// Takes `pattern` apart; `None` if it is not one, and then no field fits it.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        StrftimeItems::new(pattern).parse_to_owned().ok().map(Self)
    }

    /// Reads a field that fits the pattern as a whole.
    pub(super) fn read(&self, text: &str) -> Option<Matched> {
        // chrono skips spaces before numbers; a field with spaces around it is not a value here.
        if text.starts_with(' ') || text.ends_with(' ') {
            return None;
        }
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, self.0.iter()).ok()?;
        if let Ok(local) = parsed.to_naive_datetime_with_offset(parsed.offset().unwrap_or(0)) {
            let utc = local.and_utc();
            let seconds = utc.timestamp() - i64::from(parsed.offset().unwrap_or(0));
            // A leap second has no place in a count of seconds.
            let nanos = Some(utc.timestamp_subsec_nanos()).filter(|nanos| *nanos < 1_000_000_000)?;
            return Some(Matched::Moment(Stamp { seconds, nanos, offset: parsed.offset() }));
        }
        let timeless = parsed.hour_mod_12().or(parsed.minute()).or(parsed.second()).is_none()
            && parsed.offset().is_none();
        let epoch = chrono::NaiveDate::default();
        let date = parsed.to_naive_date().ok().filter(|_| timeless)?;
        Some(Matched::Day(date.signed_duration_since(epoch).num_days()))
    }

    /// A field that fits the pattern and is not in ISO 8601 already, in that form.
    pub(super) fn to_iso(&self, text: &str) -> Option<String> {
        let mut iso = String::new();
        match self.read(text).filter(|_| !is_iso(text))? {
            Matched::Day(days) => write_date(&mut iso, days).ok()?,
            Matched::Moment(stamp) => return stamp.to_iso(),
        }
        Some(iso)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_with_an_offset_names_an_instant_in_utc() {
        let at = |text| instant(text).expect("a timestamp");
        assert_eq!(at("1970-01-01T00:00:01Z"), (1_000_000_000, true));
        assert_eq!(at("2021-05-22T02:51:15Z"), at("2021-05-22T04:51:15+02:00"));
        assert_eq!(at("2021-05-22T02:51:15Z"), at("2021-05-22 01:21:15-0130"));
        assert_eq!(at("2021-05-22T02:51:15+00"), at("2021-05-22T02:51:15.000Z"));
        assert_eq!(at("2021-05-22T02:51:15.1Z").0 - at("2021-05-22T02:51:15Z").0, 100_000_000);
        assert_eq!(at("1969-12-31T23:59:59.999999999"), (-1, false));
    }

    #[test]
    fn what_is_not_a_timestamp_names_no_instant() {
        for text in [
            "",
            "2021-05-22",
            "2021-05-22T",
            "2021-05-22T02",
            "2021-05-22T24:00:00",
            "2021-05-22T02:51:60",
            "2021-02-29T00:00:00",
            "1900-02-29T00:00:00",
            "2021-13-01T00:00:00",
            "2021-00-01T00:00:00",
            "2021-01-00T00:00:00",
            "21-01-01T00:00:00",
            "10000-01-01T00:00:00",
            "2021-05-22T02:51:15.",
            "2021-05-22T02:51:15.1234567890",
            "2021-05-22T02:51:15z",
            "2021-05-22T02:51:15+24:00",
            "2021-05-22T02:51:15+0:00",
            "2021-05-22T02:51:15Z ",
            " 2021-05-22T02:51:15Z",
            "2021-05-22X02:51:15",
            "+999999999999-01-01T00:00:00",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn a_pattern_reads_days_moments_and_offsets() {
        let read = |pattern, text| Pattern::new(pattern).expect("a pattern").read(text);
        assert_eq!(read("%d/%m/%Y", "02/01/1970"), Some(Matched::Day(1)));
        assert_eq!(read("%d/%m/%Y", " 02/01/1970"), None);
        let stamp = Stamp { seconds: 3_600, nanos: 0, offset: Some(7_200) };
        assert_eq!(read("%d.%m.%Y %H:%M %z", "01.01.1970 03:00 +0200"), Some(Matched::Moment(stamp)));
        let stamp = Stamp { seconds: 86_399, nanos: 500_000_000, offset: None };
        assert_eq!(read("%s%.f", "86399.5"), Some(Matched::Moment(stamp)));
        assert_eq!(read("%Y-%m-%d %H", "2021-05-22 10"), None, "an hour must not get lost");
        assert_eq!(read("%H:%M:%S %F", "23:59:60 2021-05-22"), None);
        assert!(Pattern::new("%Q").is_none());
    }

    proptest! {
        #[test]
        fn a_written_date_reads_back(days in -100_000_000_000_000_i64..100_000_000_000_000) {
            let mut text = String::new();
            write_date(&mut text, days).expect("a string takes it");
            prop_assert_eq!(date(&text), Some(days));
        }

        #[test]
        fn dates_are_those_of_chrono(days in -90_000_000_i64..90_000_000) {
            let mut text = String::new();
            write_date(&mut text, days).expect("a string takes it");
            let chrono = chrono::NaiveDate::default() + chrono::Duration::days(days);
            prop_assert_eq!(text, chrono.format("%Y-%m-%d").to_string());
        }
    }
}
