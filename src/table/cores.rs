//! Work on several cores: pieces that need not wait for each other, and batches that are made while others are used.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, available_parallelism, scope};

use tracing::Span;

use crate::error::{Error, Result};

/// More threads wait for memory rather than work.
const MOST_THREADS: usize = 8;

/// Items that are made before they are asked for.
const AHEAD: usize = 2;

/// As many threads work at the same time.
pub(super) fn threads() -> usize {
    available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}

/// Does some pieces of work, each once, on as many threads as there are cores.
///
/// # Errors
///
/// One that a piece fails with; others may have been done, or not.
pub(super) fn on_all_cores<T: Send>(work: Vec<T>, act: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let threads = threads().min(work.len());
    let queue = Mutex::new(work.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        while let Some(piece) = next() {
            act(piece)?;
        }
        Ok(())
    };
    scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|_| Err(panicked())));
        others.fold(own, Result::and)
    })
}

/// Uses all items, of which the next ones are made on another thread meanwhile, if there will be more than one.
///
/// # Errors
///
/// What `act` fails with.
pub(super) fn ahead<T: Send>(
    mut items: impl Iterator<Item = T> + Send,
    expected: u64,
    act: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    if expected <= 1 {
        return items.try_for_each(act);
    }
    let (made, wanted) = sync_channel(AHEAD);
    scope(|scope| {
        let maker = scope.spawn(move || {
            for item in items {
                // Nobody wants it once an item could not be used.
                if made.send(item).is_err() {
                    break;
                }
            }
        });
        let used = wanted.into_iter().try_for_each(act);
        maker.join().map_err(|_| panicked()).and(used)
    })
}

/// Work that comes in rounds, each of pieces that need not wait for each other.
pub(super) trait Rounds {
    type Piece: Send;
    type Made: Send;

    /// Whether a round may begin although so many, at least one, have not ended.
    fn may_begin(&self, open: usize) -> bool;

    /// The pieces of the next round, the longest first; `None` when there are no more rounds.
    fn begin(&mut self) -> Result<Option<Vec<Self::Piece>>>;

    /// Takes what was made of the pieces of a round, in any order. Rounds end in the order in which they began.
    fn end(&mut self, made: Vec<Self::Made>) -> Result<()>;
}

/// Goes through all rounds. Their pieces are made into something on so many threads; this one begins and ends rounds, the next
/// before the last of the one before is made.
///
/// # Errors
///
/// What a round or `make` fails with, and `Io` if no thread can be started.
pub(super) fn in_rounds<R: Rounds>(
    rounds: &mut R,
    threads: usize,
    make: impl Fn(R::Piece) -> Result<R::Made> + Sync,
) -> Result<()> {
    let queue = Queue { state: Mutex::new(Waiting::default()), changed: Condvar::new() };
    let (done, results) = channel();
    // Lines that are logged over there belong to this run.
    let span = Span::current();
    scope(|scope| {
        let (queue, make, span) = (&queue, &make, &span);
        let work = |done: Sender<_>| {
            let _span = span.enter();
            // However it ends, nobody waits for what it took.
            let _end = End(queue);
            while let Some((round, piece)) = queue.take() {
                if done.send((round, make(piece))).is_err() {
                    break;
                }
            }
        };
        let end = End(queue);
        let start = |done: Sender<_>| Builder::new().spawn_scoped(scope, move || work(done));
        let started: Vec<_> = (0..threads.max(1)).map(|_| start(done.clone())).collect();
        drop(done);
        // Those that there are do it all.
        let (mut workers, mut failed) = (Vec::with_capacity(started.len()), None);
        for worker in started {
            match worker {
                Ok(worker) => workers.push(worker),
                Err(cause) => failed = Some(cause),
            }
        }
        let ended = match failed.filter(|_| workers.is_empty()) {
            Some(cause) => Err(Error::io("cannot start a thread", cause)),
            None => begin_and_end(rounds, queue, &results),
        };
        drop(end);
        let workers = workers.into_iter().map(|worker| worker.join().map_err(|_| panicked()));
        workers.fold(ended, Result::and)
    })
}

fn begin_and_end<R: Rounds>(
    rounds: &mut R,
    queue: &Queue<(usize, R::Piece)>,
    results: &Receiver<(usize, Result<R::Made>)>,
) -> Result<()> {
    let (mut open, mut ended, mut is_last) = (VecDeque::new(), 0, false);
    loop {
        while !is_last && (open.is_empty() || rounds.may_begin(open.len())) {
            match rounds.begin()? {
                Some(pieces) => {
                    let round = ended + open.len();
                    open.push_back((pieces.len(), Vec::with_capacity(pieces.len())));
                    queue.put(pieces.into_iter().map(|piece| (round, piece)));
                }
                None => is_last = true,
            }
        }
        let Some((pieces, ready)) = open.front_mut() else { return Ok(()) };
        if *pieces == ready.len() {
            rounds.end(take(ready))?;
            open.pop_front();
            ended += 1;
            continue;
        }
        let (round, outcome) = results.recv().map_err(|_| panicked())?;
        let (_, ready): &mut (usize, Vec<_>) =
            open.get_mut(round - ended).ok_or_else(|| Error::internal("a round ended too early"))?;
        ready.push(outcome?);
    }
}

/// Pieces that nobody has taken yet.
struct Queue<T> {
    state: Mutex<Waiting<T>>,
    changed: Condvar,
}

struct Waiting<T> {
    pieces: VecDeque<T>,
    is_over: bool,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), is_over: false }
    }
}

impl<T> Queue<T> {
    fn state(&self) -> MutexGuard<'_, Waiting<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, pieces: impl Iterator<Item = T>) {
        self.state().pieces.extend(pieces);
        self.changed.notify_all();
    }

    /// The next one, as soon as there is one; `None` when it is over.
    fn take(&self) -> Option<T> {
        let is_empty = |state: &mut Waiting<T>| !state.is_over && state.pieces.is_empty();
        let waited = self.changed.wait_while(self.state(), is_empty);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over { None } else { state.pieces.pop_front() }
    }
}

/// Ends a queue when it is dropped.
struct End<'a, T>(&'a Queue<T>);

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
    }
}

fn panicked() -> Error {
    Error::internal("a worker thread panicked")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_piece_is_done_once_and_an_error_is_told() {
        let sum = AtomicUsize::new(0);
        let add = |number: usize| {
            sum.fetch_add(number, Ordering::Relaxed);
            Ok(())
        };
        on_all_cores((0..1_000).collect(), add).expect("done");
        assert_eq!(sum.into_inner(), 499_500);
        on_all_cores(Vec::<usize>::new(), |_| Err(panicked())).expect("nothing to do");
        let odd = |number: usize| if number == 77 { Err(Error::internal("odd")) } else { Ok(()) };
        assert_eq!(on_all_cores((0..1_000).collect(), odd).map_err(|e| e.to_string()), Err("odd".to_owned()));
    }

    #[test]
    fn items_come_in_order_and_no_more_are_made_than_are_wanted() {
        let mut seen = Vec::new();
        let made = AtomicUsize::new(0);
        let items = || {
            (0..1_000).inspect(|_| {
                made.fetch_add(1, Ordering::Relaxed);
            })
        };
        let mut take = |item: usize| {
            seen.push(item);
            if item == 9 { Err(Error::internal("enough")) } else { Ok(()) }
        };
        assert_eq!(ahead(items(), 1_000, &mut take).map_err(|e| e.to_string()), Err("enough".to_owned()));
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert!(made.load(Ordering::Relaxed) < 20);
        for expected in [1, 1_000] {
            let before = made.load(Ordering::Relaxed);
            ahead(items(), expected, |_| Ok(())).expect("all are used");
            assert_eq!(made.load(Ordering::Relaxed) - before, 1_000);
        }
    }

    /// Rounds of one piece more each; at most three are open.
    struct Growing {
        begun: usize,
        ended: Vec<Vec<usize>>,
        most_open: usize,
        fails_at: usize,
    }

    impl Rounds for Growing {
        type Piece = (usize, usize);
        type Made = usize;

        fn may_begin(&self, open: usize) -> bool {
            assert_eq!(open, self.begun - self.ended.len());
            open < 3
        }

        fn begin(&mut self) -> Result<Option<Vec<Self::Piece>>> {
            if self.begun == 40 {
                return Ok(None);
            }
            self.begun += 1;
            self.most_open = self.most_open.max(self.begun - self.ended.len());
            Ok(Some((1..self.begun).map(|piece| (self.begun, piece)).collect()))
        }

        fn end(&mut self, mut made: Vec<usize>) -> Result<()> {
            made.sort_unstable();
            self.ended.push(made);
            if self.ended.len() == self.fails_at { Err(Error::internal("late")) } else { Ok(()) }
        }
    }

    fn growing() -> Growing {
        Growing { begun: 0, ended: Vec::new(), most_open: 0, fails_at: 0 }
    }

    #[test]
    fn rounds_end_in_their_order_with_all_their_pieces() {
        let mut rounds = growing();
        // The third piece of a round is made when the next round has begun, and is done with its third.
        let seen = AtomicUsize::new(0);
        let make = |(round, piece): (usize, usize)| {
            if piece == 3 && round < 40 {
                seen.fetch_max(round, Ordering::SeqCst);
                while seen.load(Ordering::SeqCst) <= round {
                    std::thread::yield_now();
                }
            }
            seen.fetch_max(if piece == 3 { round } else { 0 }, Ordering::SeqCst);
            Ok(piece * 2)
        };
        in_rounds(&mut rounds, 3, make).expect("all are made");
        let expected: Vec<Vec<usize>> = (0..40).map(|n| (1..=n).map(|piece| piece * 2).collect()).collect();
        assert_eq!((rounds.ended, rounds.most_open), (expected, 3));
    }

    #[test]
    fn a_piece_that_fails_or_panics_ends_all_rounds() {
        let fails =
            |(round, piece)| if (round, piece) == (9, 4) { Err(Error::internal("odd")) } else { Ok(0) };
        let failed = in_rounds(&mut growing(), 2, fails);
        assert_eq!(failed.map_err(|e| e.to_string()), Err("odd".to_owned()));
        let breaks = |(round, piece)| {
            assert_ne!((round, piece), (9, 4), "on purpose");
            Ok(0)
        };
        assert_eq!(
            in_rounds(&mut growing(), 2, breaks).map_err(|e| e.to_string()),
            Err(panicked().to_string())
        );
        let mut odd = Growing { fails_at: 7, ..growing() };
        assert_eq!(in_rounds(&mut odd, 2, |_| Ok(0)).map_err(|e| e.to_string()), Err("late".to_owned()));
    }
}
