//! Brings a file to the disk while it is still being written, so that little is left to wait for in the end.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::error::{Error, Result};

/// As many new bytes are worth a look.
const STEP: u64 = 32 << 20;

/// What is written of one file.
#[derive(Debug, Default)]
pub(super) struct Early {
    new: u64,
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    asked: SyncSender<()>,
    /// Ends with the first error: the system tells it once, and only one of those who share the file.
    thread: JoinHandle<io::Result<()>>,
}

impl Early {
    /// Takes note of bytes that were written.
    pub(super) fn wrote(&mut self, file: &File, bytes: u64) {
        self.new += bytes;
        if self.new < STEP {
            return;
        }
        self.new = 0;
        // Without a thread, all of it is left to the end.
        let worker = self.worker.take().or_else(|| Worker::start(file.try_clone().ok()?).ok());
        if let Some(worker) = &worker {
            // One that is at work looks again when it is asked the next time; one that has failed says so in the end.
            match worker.asked.try_send(()) {
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
        self.worker = worker;
    }

    /// Waits until nothing is done any more.
    ///
    /// # Errors
    ///
    /// `Io` if something could not be brought to the disk.
    pub(super) fn end(&mut self) -> Result<()> {
        let Some(Worker { asked, thread }) = self.worker.take() else { return Ok(()) };
        drop(asked);
        let ended = thread.join().map_err(|_| Error::internal("a worker thread panicked"))?;
        ended.map_err(|cause| Error::io("cannot flush the new file to disk", cause))
    }
}

impl Worker {
    fn start(file: File) -> io::Result<Self> {
        let (asked, asks) = sync_channel(1);
        let work = move || asks.into_iter().try_for_each(|()| file.sync_data());
        let thread = Builder::new().name("keyfold-sync".to_owned()).spawn(work)?;
        Ok(Self { asked, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_the_end() {
        let file = tempfile::tempfile().expect("a file");
        let mut early = Early::default();
        early.wrote(&file, STEP - 1);
        assert!(early.worker.is_none());
        early.wrote(&file, 1);
        early.end().expect("is on disk");
        // What cannot be brought to any disk.
        let (pipe, _reader) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
        early.wrote(&pipe, STEP);
        assert_eq!(early.end().map_err(|error| error.kind()), Err(crate::error::ErrorKind::Io));
    }
}
