//! Durations as ISO 8601 says them (`PT90S`): a count alone would not tell its unit, and units differ
//! between engines.

use std::fmt;

use arrow::datatypes::TimeUnit;

use super::time;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// What may stand before `T`, and the seconds of one; months and years have no fixed length.
const DATE_PARTS: &[(u8, i128)] = &[(b'W', 604_800), (b'D', 86_400)];

/// What may stand after `T`.
const TIME_PARTS: &[(u8, i128)] = &[(b'H', 3_600), (b'M', 60), (b'S', 1)];

/// Writes a count of `unit` as seconds, with as many decimals as they need: `PT90S`, `-PT0.5S`, `PT0S`.
pub(super) fn write(out: &mut impl fmt::Write, count: i64, unit: TimeUnit) -> fmt::Result {
    let ticks = time::ticks_per_second(unit).unsigned_abs();
    let (seconds, rest) = (count.unsigned_abs() / ticks, count.unsigned_abs() % ticks);
    let sign = if count < 0 { "-" } else { "" };
    write!(out, "{sign}PT{seconds}")?;
    if rest > 0 {
        let width = ticks.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        write!(out, ".{}", digits.trim_end_matches('0'))?;
    }
    out.write_char('S')
}

/// Reads weeks, days, hours, minutes and seconds, the last of them with up to nine decimals, as a count of
/// `unit`; `None` if that is no such text, or too fine or too long for the unit.
pub(super) fn read(text: &str, unit: TimeUnit) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let nanos = parts(text.strip_prefix('P')?)?;
    let nanos = if negative { -nanos } else { nanos };
    let tick = NANOS_PER_SECOND / i128::from(time::ticks_per_second(unit));
    if nanos % tick != 0 {
        return None;
    }
    i64::try_from(nanos / tick).ok()
}

/// The nanoseconds of all parts.
fn parts(text: &str) -> Option<i128> {
    match text.split_once('T') {
        // `P` alone and a `T` with nothing behind it are no durations.
        _ if text.is_empty() || text.ends_with('T') => None,
        Some((date, time)) => sum(date, DATE_PARTS)?.checked_add(sum(time, TIME_PARTS)?),
        None => sum(text, DATE_PARTS),
    }
}

/// The nanoseconds of parts that stand in the order of `kinds`, each at most once.
fn sum(mut text: &str, mut kinds: &[(u8, i128)]) -> Option<i128> {
    let mut nanos: i128 = 0;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let letter = text.as_bytes()[end];
        let at = kinds.iter().position(|(kind, _)| *kind == letter)?;
        let (_, seconds) = kinds[at];
        let count = number(&text[..end], letter == b'S')?;
        nanos = nanos.checked_add(count.checked_mul(seconds)?)?;
        (text, kinds) = (&text[end + 1..], &kinds[at + 1..]);
    }
    Some(nanos)
}

/// A count, times a thousand million; with decimals only where they are `fine`.
fn number(text: &str, fine: bool) -> Option<i128> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if fine && (1..=9).contains(&fraction.len()) => (whole, fraction),
        Some(_) => return None,
        None => (text, "0"),
    };
    // The caller lets no sign in, which `parse` would take.
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(NANOS_PER_SECOND)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};

    fn text(count: i64, unit: TimeUnit) -> String {
        let mut out = String::new();
        write(&mut out, count, unit).expect("writes");
        out
    }

    #[test]
    fn seconds_are_written_whatever_the_unit() {
        assert_eq!(text(90, Second), "PT90S");
        assert_eq!(text(90_000, Millisecond), "PT90S");
        assert_eq!(text(500, Millisecond), "PT0.5S");
        assert_eq!(text(-1_250_000, Microsecond), "-PT1.25S");
        assert_eq!(text(1, Nanosecond), "PT0.000000001S");
        assert_eq!(text(0, Nanosecond), "PT0S");
        assert_eq!(text(i64::MIN, Nanosecond), "-PT9223372036.854775808S");
        assert_eq!(text(i64::MIN, Second), "-PT9223372036854775808S");
    }

    #[test]
    fn what_is_written_is_read() {
        for unit in [Second, Millisecond, Microsecond, Nanosecond] {
            for count in [0, 1, -1, 90, 1_234_567_890_123, i64::MAX, i64::MIN] {
                assert_eq!(read(&text(count, unit), unit), Some(count));
            }
        }
    }

    #[test]
    fn longer_parts_have_their_seconds() {
        assert_eq!(read("PT1H1M1.5S", Millisecond), Some(3_661_500));
        assert_eq!(read("P1W2DT1M", Second), Some(604_800 + 2 * 86_400 + 60));
        assert_eq!(read("-P1D", Second), Some(-86_400));
    }

    #[test]
    fn what_is_no_duration_or_does_not_fit_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "-",
            "90",
            "90S",
            "PT90",
            "P90S",
            "PT1D",
            "P1M",
            "P1Y",
            "PT1S1M",
            "PT1S1S",
            "PT.5S",
            "PT1.S",
            "PT0.5M",
            "PT+1S",
            "PT-1S",
            "+PT1S",
            "pt1s",
            "PT1SX",
            " PT1S",
            "PT1.0000000000S",
            "P1DT",
            "PTéS",
            "PT9223372036854775808S",
        ] {
            assert_eq!(read(text, Second), None, "{text}");
        }
        assert_eq!(read("PT0.5S", Second), None);
        assert_eq!(read("PT0.5S", Millisecond), Some(500));
        assert_eq!(read("PT170141183460469231731687303715884105727S", Second), None);
    }
}
