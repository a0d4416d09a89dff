//! A runtime of its own for requests to stores, so that code that blocks can wait for them on whatever thread it
//! runs: a worker of somebody's runtime, an engine's thread, or none.

use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};

/// How often a wait looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Does `work` on a thread of the caller's runtime that may block.
///
/// # Errors
///
/// What `work` fails with.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::internal("a worker thread did not finish").because(cause))?
}

/// The threads; started when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Io(OnceLock<Option<Runtime>>);

impl Io {
    /// What `work` gives. While it runs, `wanted` is asked now and then; its error ends the wait, and the work.
    ///
    /// # Errors
    ///
    /// What `work` or `wanted` fail with; `Io` if no thread can be started.
    pub(crate) fn wait<T, F>(&self, wanted: impl Fn() -> Result<()>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let runtime = self.runtime()?;
        let (send, receive) = sync_channel(1);
        let task = runtime.spawn(async move {
            // Nobody listens any more if the wait was ended.
            drop(send.send(work.await));
        });
        loop {
            match receive.recv_timeout(LOOK) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => wanted().inspect_err(|_| task.abort())?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::internal("a request to a store did not finish"));
                }
            }
        }
    }

    fn runtime(&self) -> Result<&Runtime> {
        let started = self.0.get_or_init(|| {
            Builder::new_multi_thread().worker_threads(2).thread_name("keyfold-io").enable_all().build().ok()
        });
        started.as_ref().ok_or_else(|| {
            Error::io("cannot start a thread", std::io::Error::from(std::io::ErrorKind::OutOfMemory))
        })
    }
}

impl Drop for Io {
    /// Does not wait: that is not allowed where the last user of a session may be, inside a runtime.
    fn drop(&mut self) {
        if let Some(Some(runtime)) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn work_can_be_waited_for_anywhere() {
        let io = Io::default();
        assert_eq!(io.wait(|| Ok(()), async { Ok(1) }).expect("works"), 1);
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            assert_eq!(io.wait(|| Ok(()), async { Ok(2) }).expect("works"), 2);
            drop(io);
        });
    }

    #[test]
    fn a_wait_that_is_no_longer_wanted_ends() {
        let cancelled = || Err(Error::new(ErrorKind::Cancelled, "cancelled"));
        let never = std::future::pending::<Result<()>>();
        assert_eq!(Io::default().wait(cancelled, never).map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
    }

    #[test]
    fn work_that_panics_is_an_error() {
        let failed = Io::default().wait(|| Ok(()), async { panic!("broken") as Result<()> });
        assert_eq!(failed.map_err(|e| e.kind()), Err(ErrorKind::Internal));
    }
}
