//! The waits between attempts: growing, cut by chance so that many clients do not come at once, and bounded, because
//! somebody waits for the answer.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// All waits of one request.
const PATIENCE: Duration = Duration::from_secs(50);

/// The longest wait that a service can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(10);

/// What is left to wait.
#[derive(Debug)]
pub(super) struct Waits {
    backoff: ExponentialBackoff,
    left: Duration,
}

impl Waits {
    /// At most `retries` waits: 100 ms, doubled up to 10 s, each with as much again by chance.
    pub(super) fn of(retries: usize) -> Self {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(10))
            .with_factor(2.0)
            .with_jitter()
            .with_max_times(retries);
        Self { backoff: backoff.build(), left: PATIENCE }
    }

    /// The next wait, not shorter than the service `asked` for; `None` if it is time to give up.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
        let wait = self.backoff.next()?.max(asked);
        self.left = self.left.checked_sub(wait)?;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(asked: Option<Duration>) -> Vec<Duration> {
        let mut waits = Waits::of(15);
        std::iter::from_fn(|| waits.next(asked)).collect()
    }

    #[test]
    fn a_service_that_never_recovers_is_given_up_within_a_minute() {
        for asked in [None, Some(Duration::from_secs(1)), Some(Duration::MAX)] {
            let waits = all(asked);
            assert!(waits.iter().sum::<Duration>() <= PATIENCE, "{waits:?}");
            assert!(waits.len() >= 5, "{waits:?}");
        }
        assert!(all(None).iter().sum::<Duration>() > Duration::from_secs(20), "it has time to recover");
    }

    #[test]
    fn a_service_may_ask_for_ten_seconds() {
        assert!(all(Some(Duration::from_secs(7))).iter().all(|wait| wait.as_secs() >= 7));
        assert_eq!(all(Some(Duration::from_hours(1)))[0], LONGEST_ASKED);
    }
}
