//! Work on several cores: pieces that need not wait for each other, and batches that are made while others are used.

use std::iter;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread::{available_parallelism, scope};

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

/// The same, but what has been made meanwhile, at most `most` items, is used together: work on several is spread over the cores
/// more evenly.
///
/// # Errors
///
/// What `act` fails with.
pub(super) fn ahead_together<T: Send>(
    items: impl Iterator<Item = T> + Send,
    expected: u64,
    most: usize,
    mut act: impl FnMut(Vec<T>) -> Result<()>,
) -> Result<()> {
    if expected <= 1 {
        return items.map(|item| vec![item]).try_for_each(act);
    }
    let (made, wanted) = sync_channel(most);
    scope(|scope| {
        let maker = scope.spawn(move || {
            for item in items {
                // Nobody wants it once an item could not be used.
                if made.send(item).is_err() {
                    break;
                }
            }
        });
        let mut use_all = || {
            while let Ok(first) = wanted.recv() {
                act(iter::once(first).chain(wanted.try_iter().take(most - 1)).collect())?;
            }
            Ok(())
        };
        let used = use_all();
        drop(wanted);
        maker.join().map_err(|_| panicked()).and(used)
    })
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
        let (mut all, mut rounds) = (Vec::new(), 0);
        ahead_together(items(), 1_000, 8, |some| {
            rounds += 1;
            assert!((1..=8).contains(&some.len()));
            all.extend(some);
            Ok(())
        })
        .expect("all are used");
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        assert!(rounds > 100);
        let stopped = ahead_together(items(), 1_000, 8, |_| Err(Error::internal("enough")));
        assert_eq!(stopped.map_err(|e| e.to_string()), Err("enough".to_owned()));
        for expected in [1, 1_000] {
            let before = made.load(Ordering::Relaxed);
            ahead(items(), expected, |_| Ok(())).expect("all are used");
            assert_eq!(made.load(Ordering::Relaxed) - before, 1_000);
        }
    }
}
