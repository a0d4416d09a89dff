//! Keys of one source, lent anew before they end: asked by one at a time, while the others go on with the old keys
//! as long as those hold.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use object_store::aws::AwsCredential;
use tokio::sync::{Mutex, MutexGuard};

use super::{Lease, Lender};
use crate::error::{Error, ErrorKind, Result};

/// Requests are sent again with the signature they have, for up to this long.
const RESENT: TimeDelta = TimeDelta::seconds(180);
const EARLY: TimeDelta = TimeDelta::minutes(5);
const SHORT: TimeDelta = TimeDelta::minutes(10);

/// How long a source that failed is left alone: this long, then twice as long each time, up to a minute.
const PAUSE: TimeDelta = TimeDelta::seconds(3);
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(60);

/// From here a clock is worth a warning: S3 refuses what is signed a quarter of an hour off.
const SKEWED: TimeDelta = TimeDelta::minutes(5);

/// What time it is; tests have their own.
pub(super) type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

pub(super) struct Renewal {
    lender: Arc<dyn Lender>,
    clock: Clock,
    held: RwLock<Option<Held>>,
    turn: Mutex<Setbacks>,
}

/// A lease, and its times on the clock of this machine.
#[derive(Clone)]
struct Held {
    lease: Lease,
    times: Option<Times>,
}

#[derive(Clone, Copy)]
struct Times {
    renew: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// How often in a row the source has failed, and how it failed last.
#[derive(Default)]
struct Setbacks {
    count: u32,
    last: Option<(DateTime<Utc>, Error)>,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("lender", &self.lender).finish_non_exhaustive()
    }
}

impl Renewal {
    pub(super) fn new(lender: Arc<dyn Lender>, clock: Clock) -> Self {
        Self { lender, clock, held: RwLock::default(), turn: Mutex::default() }
    }

    pub(super) async fn get(&self) -> Result<Lease> {
        let now = (self.clock)();
        let Some(held) = self.held().filter(|held| held.holds(now)) else {
            let turn = self.turn.lock().await;
            return self.lend_unless_fresh(turn).await;
        };
        if held.is_fresh(now) {
            return Ok(held.lease);
        }
        // Somebody else renews: the old keys do for now.
        let Ok(turn) = self.turn.try_lock() else { return Ok(held.lease) };
        match self.lend_unless_fresh(turn).await {
            Err(error) if held.holds((self.clock)()) => {
                tracing::warn!(%error, "keys could not be renewed; the old ones still hold");
                Ok(held.lease)
            }
            renewed => renewed,
        }
    }

    pub(super) async fn renew(&self, seen: &AwsCredential) -> Result<Lease> {
        let mut turn = self.turn.lock().await;
        if let Some(held) = self.held().filter(|held| *held.lease.credential != *seen) {
            return Ok(held.lease);
        }
        let lease = self.lend(&mut turn).await?;
        if *lease.credential != *seen {
            return Ok(lease);
        }
        let error =
            Error::new(ErrorKind::PermissionDenied, "these keys have expired, and no newer ones are lent")
                .with("source", self.lender.name())
                .hint("log in again, or put new keys where the old ones came from");
        Err(turn.record((self.clock)(), error))
    }

    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn lend_unless_fresh(&self, mut turn: MutexGuard<'_, Setbacks>) -> Result<Lease> {
        match self.held().filter(|held| held.is_fresh((self.clock)())) {
            Some(held) => Ok(held.lease),
            None => self.lend(&mut turn).await,
        }
    }

    /// Asks the source, unless it has just failed.
    async fn lend(&self, setbacks: &mut Setbacks) -> Result<Lease> {
        if let Some(error) = setbacks.recent((self.clock)()) {
            return Err(error);
        }
        let lent = self.lender.lend().await.and_then(|lease| self.hold(lease));
        match lent {
            Ok(lease) => {
                *setbacks = Setbacks::default();
                Ok(lease)
            }
            Err(error) => Err(setbacks.record((self.clock)(), error)),
        }
    }

    fn hold(&self, lease: Lease) -> Result<Lease> {
        let now = (self.clock)();
        let times = lease.expires.map(|expires| times(now, expires, lease.skew));
        if times.is_some_and(|times| times.end <= now) {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "the keys that were lent have expired already",
            )
            .with("source", self.lender.name())
            .hint("log in again, or check the clock of this machine"));
        }
        if lease.skew.abs() >= SKEWED {
            tracing::warn!(seconds = lease.skew.num_seconds(), "this machine's clock is off");
        }
        let held = Held { lease: lease.clone(), times };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(lease)
    }
}

impl Held {
    fn holds(&self, now: DateTime<Utc>) -> bool {
        self.times.is_none_or(|times| now < times.end)
    }

    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.times.is_none_or(|times| now < times.renew)
    }
}

impl Setbacks {
    fn recent(&self, now: DateTime<Utc>) -> Option<Error> {
        let (at, error) = self.last.as_ref()?;
        let pause = (PAUSE * 2_i32.pow(self.count.saturating_sub(1).min(8))).min(LONGEST_PAUSE);
        // By its distance, so that a clock that is set back does not prolong the pause.
        ((now - *at).abs() < pause).then(|| error.again())
    }

    fn record(&mut self, now: DateTime<Utc>, error: Error) -> Error {
        self.count = self.count.saturating_add(1);
        self.last = Some((now, error.again()));
        error
    }
}

/// `skew` is how far the lender's clock is ahead of this one's.
fn times(now: DateTime<Utc>, expires: DateTime<Utc>, skew: TimeDelta) -> Times {
    let end = expires.checked_sub_signed(skew).unwrap_or(expires);
    Times { renew: end.checked_sub_signed(margin(end - now, skew)).unwrap_or(end), end }
}

/// How long before their end keys are renewed.
fn margin(lifetime: TimeDelta, skew: TimeDelta) -> TimeDelta {
    let fifth = lifetime / 5;
    if lifetime < SHORT { fifth } else { fifth.max(EARLY).max(RESENT + skew.abs()).min(lifetime / 2) }
}

#[cfg(test)]
mod tests;
