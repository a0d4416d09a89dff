//! Sizes and times as people type them: `256MiB`, `30d`.

use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// A number of bytes: `134217728`, `128MiB`, `1GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// A time: `90s`, `12h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Bytes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unit = |unit: &str| {
            Some(match unit {
                "" | "b" => 1,
                "kb" => 1_000,
                "mb" => 1_000_000,
                "gb" => 1_000_000_000,
                "k" | "kib" => 1 << 10,
                "m" | "mib" => 1 << 20,
                "g" | "gib" => 1 << 30,
                _ => return None,
            })
        };
        amount(text, unit).map(Self).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("`{text}` is no size"))
                .hint("write a number of bytes, or one with kB, MB, GB, KiB, MiB or GiB, such as 256MiB")
        })
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unit = |unit: &str| {
            Some(match unit {
                "s" => 1,
                "m" | "min" => 60,
                "h" => 3_600,
                "d" => 24 * 3_600,
                "w" => 7 * 24 * 3_600,
                _ => return None,
            })
        };
        amount(text, unit).map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("`{text}` is no length of time"))
                .hint("write a whole number with s, m, h, d or w, such as 12h or 7d")
        })
    }
}

/// A whole number times its unit.
fn amount(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, name) = text.split_at(end);
    number.parse::<u64>().ok()?.checked_mul(unit(&name.trim().to_ascii_lowercase())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_numbers_with_units() {
        let bytes = |text: &str| text.parse::<Bytes>().ok().map(|bytes| bytes.0);
        assert_eq!(bytes("1024"), Some(1024));
        assert_eq!(bytes("256MiB"), Some(256 << 20));
        assert_eq!(bytes("2 gb"), Some(2_000_000_000));
        let span = |text: &str| text.parse::<Span>().ok().map(|span| span.0.as_secs());
        assert_eq!(span("90s"), Some(90));
        assert_eq!(span("0d"), Some(0));
        assert_eq!(span("2w"), Some(14 * 24 * 3_600));
        for other in ["", "x", "-1d", "1.5h", "99999999999999999999s", "18446744073709551615w", "7"] {
            assert_eq!(span(other), None, "{other}");
        }
        assert_eq!(bytes("1TiBs"), None);
    }
}
