//! A bar on standard error, for work that a person waits for: drawn when it lasts over a second, gone
//! when it is done.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::client::session::Session;

const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// The bar; dropping it takes it off the screen.
#[derive(Debug)]
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Shows how far `session` has come, if standard error is a terminal.
    pub(crate) fn show(session: &Session) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::none();
        }
        let (done, wait) = channel();
        let session = session.clone();
        Self(Some((done, std::thread::spawn(move || draw(&session, &wait)))))
    }

    /// No bar, for work whose rows go to the same screen.
    pub(crate) fn none() -> Self {
        Self(None)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            // Hanging up ends the thread; what is printed next waits until its bar is gone.
            drop(done);
            let _ = thread.join();
        }
    }
}

fn draw(session: &Session, done: &Receiver<()>) {
    if !is_pending(done, PATIENCE) {
        return;
    }
    let bar = ProgressBar::new(0);
    loop {
        let (position, length) = session.progress().get();
        bar.set_style(style(position, length));
        bar.set_length(length);
        bar.set_position(position);
        if !is_pending(done, TICK) {
            break;
        }
    }
    bar.finish_and_clear();
}

/// A bar where the end is known, and bytes alone where it is not, or was passed.
fn style(position: u64, length: u64) -> ProgressStyle {
    let template = if position <= length && length > 0 {
        "{bar:30} {binary_bytes}/{binary_total_bytes}  {elapsed}"
    } else {
        "{spinner} {binary_bytes}  {elapsed}"
    };
    // A template that does not parse would leave the default style, which serves as well.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn is_pending(done: &Receiver<()>, time: Duration) -> bool {
    matches!(done.recv_timeout(time), Err(RecvTimeoutError::Timeout))
}
