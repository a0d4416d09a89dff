//! Work on several cores: pieces that need not wait for each other, and batches that are made while others are used.

use std::mem::take;
use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
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

/// The same, but what has been made meanwhile is used together: work on several items is spread over the cores more evenly. Each
/// item comes with its weight; those that are used together weigh no more than `most`, nor do those that wait, but for one.
///
/// # Errors
///
/// What `act` fails with.
pub(super) fn ahead_together<T: Send>(
    items: impl Iterator<Item = (usize, T)> + Send,
    expected: u64,
    most: usize,
    mut act: impl FnMut(Vec<T>) -> Result<()>,
) -> Result<()> {
    if expected <= 1 {
        return items.map(|(_, item)| vec![item]).try_for_each(act);
    }
    let queue = Queue { state: Mutex::new(Waiting::default()), changed: Condvar::new() };
    scope(|scope| {
        let maker = scope.spawn(|| {
            // However it ends, whoever waits hears of it.
            let _end = End(&queue);
            for (weight, item) in items {
                if !queue.put(weight, item, most) {
                    break;
                }
            }
        });
        let end = End(&queue);
        let mut use_all = || {
            while let Some(ready) = queue.take() {
                act(ready)?;
            }
            Ok(())
        };
        let used = use_all();
        drop(end);
        maker.join().map_err(|_| panicked()).and(used)
    })
}

/// Items between who makes them and who uses them.
struct Queue<T> {
    state: Mutex<Waiting<T>>,
    changed: Condvar,
}

struct Waiting<T> {
    items: Vec<T>,
    weight: usize,
    is_over: bool,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { items: Vec::new(), weight: 0, is_over: false }
    }
}

impl<T> Queue<T> {
    fn state(&self) -> MutexGuard<'_, Waiting<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item, when there is room for it; whether somebody still wants it.
    fn put(&self, weight: usize, item: T, most: usize) -> bool {
        let is_full = |state: &mut Waiting<T>| {
            !state.is_over && !state.items.is_empty() && state.weight.saturating_add(weight) > most
        };
        let waited = self.changed.wait_while(self.state(), is_full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return false;
        }
        state.items.push(item);
        state.weight = state.weight.saturating_add(weight);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// All that there is, as soon as there is something; nothing when no more will come.
    fn take(&self) -> Option<Vec<T>> {
        let is_empty = |state: &mut Waiting<T>| !state.is_over && state.items.is_empty();
        let waited = self.changed.wait_while(self.state(), is_empty);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.weight = 0;
        let items = take(&mut state.items);
        drop(state);
        self.changed.notify_all();
        (!items.is_empty()).then_some(items)
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

    #[test]
    fn items_that_are_ready_are_used_together_as_far_as_they_weigh_no_more_than_they_may() {
        let weighed = |weight: usize| (0..1_000).map(move |item: usize| (weight, item));
        for (weight, most) in [(1, 8), (5, 1), (9, 1), (0, 1_000)] {
            let (mut all, mut rounds) = (Vec::new(), 0);
            ahead_together(weighed(weight), 1_000, 8, |some| {
                rounds += 1;
                assert!((1..=most).contains(&some.len()), "{weight}: {}", some.len());
                all.extend(some);
                Ok(())
            })
            .expect("all are used");
            assert_eq!(all, (0..1_000).collect::<Vec<_>>());
            assert!(rounds >= 1_000 / most);
        }
        let enough = |_| Err(Error::internal("enough"));
        for expected in [1, 1_000] {
            let stopped = ahead_together(weighed(1), expected, 8, enough);
            assert_eq!(stopped.map_err(|e| e.to_string()), Err("enough".to_owned()));
        }
        let breaks = weighed(1).inspect(|(_, item)| assert!(*item < 5, "on purpose"));
        assert!(ahead_together(breaks, 1_000, 8, |_| Ok(())).is_err(), "a panic is told");
    }
}
