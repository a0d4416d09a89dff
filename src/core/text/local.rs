//! Local times of a time zone, which clocks that are set back show twice, and clocks that are set forward never.

use arrow::array::timezone::Tz;
use chrono::{DateTime, LocalResult, Offset, TimeZone};

/// How far east of UTC `zone` is, in seconds, when its clocks show `local`: seconds since 1970-01-01T00:00:00.
///
/// `None` if they never show it, or twice.
pub(crate) fn offset_at(zone: Tz, local: i64) -> Option<i32> {
    let local = DateTime::from_timestamp(local, 0)?.naive_utc();
    match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) => Some(offset.fix().local_minus_utc()),
        LocalResult::None | LocalResult::Ambiguous(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::text::instant;

    #[test]
    fn a_local_time_is_shown_once_twice_or_never() {
        let zone: Tz = "Europe/Berlin".parse().expect("a zone");
        let offset = |text: &str| {
            let (nanos, _) = instant(text).expect("a timestamp");
            offset_at(zone, i64::try_from(nanos / 1_000_000_000).expect("in range"))
        };
        assert_eq!(offset("2021-01-01T00:00:00"), Some(3_600));
        assert_eq!(offset("2021-07-01T00:00:00"), Some(7_200));
        assert_eq!(offset("2021-03-28T02:30:00"), None, "never");
        assert_eq!(offset("2021-10-31T02:30:00"), None, "twice");
        assert_eq!(offset("2021-10-31T03:00:00"), Some(3_600));
        assert_eq!(offset_at(zone, i64::MAX), None);
    }
}
