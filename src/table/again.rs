//! Looking and trying again where nobody can lock: an object may be replaced in any moment.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use crate::client::session::Session;
use crate::error::{ErrorKind, Result};

/// How often a target is looked at again that is replaced all the time.
const LOOKS: u32 = 20;

/// The longest pause after a conflict.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Waits before the next attempt. Nobody can wait in line for an object: of several writers one wins each round, and the
/// others would fail together again if they did not come back at different times.
pub(super) fn pause(session: &Session, attempt: Duration, conflicts: u32) -> Result<()> {
    let most = attempt.saturating_mul(1 << conflicts.min(6)).min(LONGEST_PAUSE);
    let chance = RandomState::new().build_hasher().finish() % 1_000;
    let end = Instant::now() + most.mul_f64(f64::from(u32::try_from(chance).unwrap_or(0)) / 1_000.0);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        session.check()?;
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(())
}

/// What `look` sees, again if the target is replaced in that moment.
pub(super) fn look_again<T>(session: &Session, look: impl Fn() -> Result<T>) -> Result<T> {
    for attempt in 0..LOOKS {
        match look() {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                tracing::debug!(attempt, "the target was replaced while it was looked at");
                pause(session, Duration::from_millis(20), attempt)?;
            }
            seen => return seen,
        }
    }
    look()
}
