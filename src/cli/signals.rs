//! SIGINT and SIGTERM: the first asks the work to stop, the second ends the process.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{Either, select};
use tokio::sync::Notify;

use crate::cli::INTERRUPTED;
use crate::cli::output::say;
use crate::client::session::Session;
use crate::error::{Error, ErrorKind, Result};

/// Whether the user asked to stop. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    session: Session,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    fired: AtomicBool,
    wake: Notify,
}

impl Signals {
    /// Signals that are to cancel `session`.
    pub(crate) fn new(session: Session) -> Self {
        Self { session, state: Arc::default() }
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> Result<()> {
        let signals = self.clone();
        ctrlc::set_handler(move || {
            if signals.fire() {
                std::process::exit(INTERRUPTED.into());
            }
            say("stopping; press Ctrl-C again to end at once");
        })
        .map_err(|cause| Error::new(ErrorKind::Io, "cannot listen for signals").because(cause))
    }

    /// Whether a signal came.
    pub(crate) fn fired(&self) -> bool {
        self.state.fired.load(Ordering::Relaxed)
    }

    /// Waits for `work`, or for a signal, for work that cannot be asked to stop.
    pub(crate) async fn interrupt<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match select(Box::pin(work), std::pin::pin!(self.state.wake.notified())).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => {
                Err(Error::new(ErrorKind::Cancelled, "cancelled").hint("nothing was changed"))
            }
        }
    }

    /// The same for work that changes one thing after the other.
    pub(crate) async fn interrupt_changes<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let hint = "what was done so far stays done; look before you run it again";
        self.interrupt(Box::pin(work)).await.map_err(|error| match error.kind() {
            ErrorKind::Cancelled => error.hint(hint),
            _ => error,
        })
    }

    /// Takes note of a signal; tells whether there was one before.
    fn fire(&self) -> bool {
        self.session.cancel();
        self.state.wake.notify_one();
        self.state.fired.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_cancels_and_the_second_ends() {
        let signals = Signals::new(Session::default());
        assert!(!signals.fired() && signals.session.check().is_ok());
        assert!(!signals.fire());
        assert!(signals.fired() && signals.session.check().is_err());
        assert!(signals.fire());
    }

    #[tokio::test]
    async fn work_that_never_ends_is_left_at_a_signal() {
        let signals = Signals::new(Session::default());
        assert_eq!(signals.interrupt(async { Ok(1) }).await.ok(), Some(1));
        signals.fire();
        let outcome = signals.interrupt(std::future::pending::<Result<()>>()).await;
        assert_eq!(outcome.map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
    }
}
