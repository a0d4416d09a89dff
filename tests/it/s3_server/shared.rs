//! What the server's tasks and the test that started it have in common.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use s3s::dto::ETagCondition;

use super::conditions::Conditions;
use super::faults::Faults;
use super::keys::Keys;
use super::log::Log;
use super::store::{Store, locked};

/// How a request is answered that is signed for a region in which its bucket is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WrongRegion {
    /// 400 `AuthorizationHeaderMalformed`, as the bucket's own endpoint does.
    #[default]
    Malformed,
    /// 301 `PermanentRedirect`, as the endpoint of another region does.
    Redirect,
}

/// State, settings and records of one server.
pub(crate) struct Shared {
    store: Mutex<Store>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) wrong_region: WrongRegion,
    min_part_size: AtomicUsize,
    ignores_conditions: AtomicBool,
    ignores_ranges: AtomicBool,
    latency: Mutex<Duration>,
}

impl Shared {
    pub(crate) fn new(keys: Keys, wrong_region: WrongRegion, min_part_size: usize) -> Self {
        Self {
            store: Mutex::default(),
            keys: Arc::new(keys),
            faults: Faults::default(),
            log: Log::default(),
            wrong_region,
            min_part_size: AtomicUsize::new(min_part_size),
            ignores_conditions: AtomicBool::new(false),
            ignores_ranges: AtomicBool::new(false),
            latency: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        locked(&self.store)
    }

    pub(crate) fn min_part_size(&self) -> usize {
        self.min_part_size.load(Ordering::Relaxed)
    }

    pub(crate) fn set_min_part_size(&self, bytes: usize) {
        self.min_part_size.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn ignores_ranges(&self) -> bool {
        self.ignores_ranges.load(Ordering::Relaxed)
    }

    pub(crate) fn ignore_ranges(&self, ignore: bool) {
        self.ignores_ranges.store(ignore, Ordering::Relaxed);
    }

    pub(crate) fn ignore_conditions(&self, ignore: bool) {
        self.ignores_conditions.store(ignore, Ordering::Relaxed);
    }

    pub(crate) fn latency(&self) -> Duration {
        *locked(&self.latency)
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        *locked(&self.latency) = latency;
    }

    /// The conditions of a write, unless this server pays no heed to any.
    pub(crate) fn write_conditions(
        &self,
        if_match: Option<ETagCondition>,
        if_none_match: Option<ETagCondition>,
    ) -> Conditions {
        self.heeded(Conditions { if_match, if_none_match, ..Conditions::default() })
    }

    /// The conditions given, unless this server pays no heed to any.
    pub(crate) fn heeded(&self, conditions: Conditions) -> Conditions {
        if self.ignores_conditions.load(Ordering::Relaxed) { Conditions::default() } else { conditions }
    }
}
