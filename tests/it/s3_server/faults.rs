//! Faults on order: which requests go wrong, how often, and in which way.

use std::sync::Mutex;
use std::time::Duration;

use super::operation::{Operation, Target};
use super::store::locked;

/// In which way a request goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// 503 `SlowDown`; nothing takes effect.
    SlowDown,
    /// 500 `InternalError`; nothing takes effect.
    InternalError,
    /// 409 `ConditionalRequestConflict`; nothing takes effect.
    Conflict,
    /// This status and code; nothing takes effect.
    Refused(u16, &'static str),
    /// 403 `ExpiredToken`, whatever the credentials are.
    ExpiredToken,
    /// The request takes effect, and 500 `InternalError` is the answer.
    ErrorAfter,
    /// The request takes effect, and the connection closes without an answer.
    CloseAfter,
    /// The request takes effect, and no answer ever comes.
    HangAfter,
    /// The connection closes without an answer; nothing takes effect.
    Close,
    /// No answer ever comes; nothing takes effect.
    Hang,
    /// The connection closes after so many bytes of the answer's body.
    CutAfter(usize),
    /// The answer's body comes in pieces of `chunk` bytes, each after `delay`.
    SlowBody { chunk: usize, delay: Duration },
    /// The request is answered as it should be, but later.
    Latency(Duration),
    /// 307 to the same path below this URL.
    Redirect(String),
}

impl Effect {
    /// Whether the effect shows only once the request has changed something.
    pub(crate) fn is_after(&self) -> bool {
        matches!(self, Self::ErrorAfter | Self::CloseAfter | Self::HangAfter)
    }
}

/// An order for something to go wrong: by default once, with the next request of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    effect: Effect,
    operation: Option<Operation>,
    key: Option<String>,
    prefix: Option<String>,
    skip: usize,
    times: usize,
}

impl Fault {
    pub(crate) fn new(effect: Effect) -> Self {
        Self { effect, operation: None, key: None, prefix: None, skip: 0, times: 1 }
    }

    /// Only requests of this operation.
    pub(crate) fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only requests for this key.
    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only requests for keys that begin so.
    pub(crate) fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Lets so many matching requests pass first.
    pub(crate) fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// How many matching requests go wrong.
    pub(crate) fn times(mut self, requests: usize) -> Self {
        self.times = requests;
        self
    }

    /// Every matching request goes wrong.
    pub(crate) fn always(self) -> Self {
        self.times(usize::MAX)
    }

    fn matches(&self, target: &Target) -> bool {
        self.operation.is_none_or(|operation| operation == target.operation)
            && self.key.as_ref().is_none_or(|key| *key == target.key)
            && self.prefix.as_ref().is_none_or(|prefix| target.key.starts_with(prefix.as_str()))
    }
}

/// The orders that are still open, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        locked(&self.0).push(fault);
    }

    pub(crate) fn clear(&self) {
        locked(&self.0).clear();
    }

    /// How many orders have not been carried out to the end.
    pub(crate) fn open(&self) -> usize {
        locked(&self.0).len()
    }

    /// What is to happen to a request; the oldest order that matches decides.
    pub(crate) fn take(&self, target: &Target) -> Option<Fault> {
        let mut faults = locked(&self.0);
        for fault in faults.iter_mut().filter(|fault| fault.matches(target)) {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            let taken = Fault { times: 1, ..fault.clone() };
            fault.times = fault.times.saturating_sub(usize::from(fault.times != usize::MAX));
            faults.retain(|fault| fault.times > 0);
            return Some(taken);
        }
        None
    }

    /// Takes back what could not be done: the request changed nothing, so there was nothing to hide.
    pub(crate) fn give_back(&self, fault: Fault) {
        locked(&self.0).insert(0, fault);
    }
}

impl Fault {
    pub(crate) fn effect(&self) -> &Effect {
        &self.effect
    }
}
