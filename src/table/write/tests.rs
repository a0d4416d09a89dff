//! Writes as their modes say, under races, failures and one thread that may block.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array};
use futures::future::{Either, select};
use futures::{FutureExt, StreamExt, stream};

use super::*;

fn batch(ids: std::ops::Range<i64>) -> RecordBatch {
    let ids = Arc::new(Int64Array::from_iter_values(ids)) as ArrayRef;
    RecordBatch::try_from_iter([("id", ids)]).unwrap()
}

fn rows(first: i64) -> BatchStream {
    BatchStream::from_iter(batch(0..1).schema(), [Ok(batch(first..first + 3))])
}

/// A place in a folder, with a file there if `stored`.
fn place(name: &str, stored: bool) -> (tempfile::TempDir, Location) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    if stored {
        std::fs::write(&path, "id\n0\n").unwrap();
    }
    (folder, Location::from_path(path))
}

fn text(location: &Location) -> String {
    std::fs::read_to_string(location.as_path().unwrap()).unwrap()
}

fn mode(mode: WriteMode) -> WriteOptions {
    WriteOptions::default().with_mode(mode)
}

async fn write(stream: BatchStream, location: &Location, wanted: WriteMode) -> Result<WriteReport> {
    write_stream(&Session::default(), stream, location, &mode(wanted), "test").await
}

/// A stream that gives three batches, and does `before` on a thread that may block before each of them.
fn after(before: impl Fn() + Send + Sync + Clone + 'static) -> BatchStream {
    let batches = stream::iter(0..3).then(move |i| {
        let before = before.clone();
        async move {
            tokio::task::spawn_blocking(before).await.unwrap();
            Ok(batch(i..i + 1))
        }
    });
    BatchStream::new(batch(0..1).schema(), batches)
}

#[tokio::test]
async fn who_loses_the_race_to_create_is_told_as_the_mode_says() {
    let outcomes = [
        (WriteMode::Error, Err(ErrorKind::AlreadyExists), "id\n7\n"),
        (WriteMode::Ignore, Ok(false), "id\n7\n"),
        (WriteMode::Append, Ok(true), "id\n7\n0\n1\n2\n"),
        (WriteMode::Overwrite, Ok(true), "id\n0\n1\n2\n"),
    ];
    for (mode, expected, content) in outcomes {
        let (_folder, location) = place("a.csv", false);
        let path = location.as_path().unwrap().to_owned();
        let late = after(move || std::fs::write(&path, "id\n7\n").unwrap());
        let outcome = write(late, &location, mode).await;
        if let Err(error) = &outcome {
            assert_eq!(error.is_retryable(), error.kind() == ErrorKind::Conflict);
            assert!(error.hint_text().is_some(), "{error:?}");
        }
        assert_eq!(outcome.map(|report| report.written).map_err(|e| e.kind()), expected, "{mode}");
        assert_eq!(text(&location), content, "{mode}");
    }
}

#[tokio::test]
async fn nothing_is_locked_while_the_frame_runs() {
    for (mode, stored) in
        [(WriteMode::Overwrite, true), (WriteMode::Append, true), (WriteMode::Append, false)]
    {
        let (_folder, location) = place("a.csv", stored);
        let path = location.as_path().unwrap().to_owned();
        let stream = after(move || {
            if let Ok(file) = File::open(&path) {
                file.try_lock().expect("nobody has the lock");
            }
        });
        write(stream, &location, mode).await.unwrap();
        let kept = if stored && mode == WriteMode::Append { "id\n0\n0\n1\n2\n" } else { "id\n0\n1\n2\n" };
        assert_eq!(text(&location), kept, "{mode}");
    }
}

/// Runs `work` on a runtime with one thread that may block; fails, and does not hang, if it never ends.
fn with_one_blocking_thread<F>(work: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async { tokio::spawn(work).await.unwrap() });
        sender.send(()).unwrap();
    });
    receiver.recv_timeout(Duration::from_secs(20)).expect("it ends");
}

#[test]
fn one_thread_that_may_block_is_enough() {
    for wanted in [WriteMode::Overwrite, WriteMode::Append] {
        let (folder, location) = place("a.csv", true);
        with_one_blocking_thread(async move {
            // Several at once, so that one waits for the lock of another.
            let writes = (0..4).map(|_| write(after(|| {}), &location, wanted));
            for report in futures::future::join_all(writes).await {
                assert!(report.unwrap().written);
            }
            drop(folder);
        });
    }
}

#[tokio::test]
async fn a_write_that_is_given_up_writes_nothing() {
    let (folder, location) = place("a.csv", false);
    let folder = Arc::new(folder);
    let endless = stream::iter([Ok(batch(0..3))]).chain(stream::pending());
    let endless = BatchStream::new(batch(0..1).schema(), endless);
    let files = move || std::fs::read_dir(folder.path()).unwrap().count();
    let wait_for = |count| {
        let files = files.clone();
        tokio::task::spawn_blocking(move || {
            (0..1_000).any(|_| {
                files() == count || {
                    std::thread::sleep(Duration::from_millis(5));
                    false
                }
            })
        })
    };
    // The new file is there, aside, when the write is given up, and gone soon after.
    let write = Box::pin(write(endless, &location, WriteMode::Error));
    let Either::Right((true, given_up)) = select(write, wait_for(1).map(Result::unwrap)).await else {
        panic!("it came to an end")
    };
    drop(given_up);
    assert!(wait_for(0).await.unwrap());
}

#[tokio::test]
async fn a_frame_that_fails_or_is_cancelled_leaves_the_file_as_it_was() {
    for (mode, stored) in [(WriteMode::Overwrite, true), (WriteMode::Append, true), (WriteMode::Error, false)]
    {
        let (folder, location) = place("a.csv", stored);
        let broken = [Ok(batch(0..3)), Err(Error::new(ErrorKind::Engine, "broken"))];
        let broken = BatchStream::from_iter(batch(0..1).schema(), broken);
        let failed = write(broken, &location, mode).await.expect_err("broken");
        assert_eq!((failed.kind(), failed.message()), (ErrorKind::Engine, "broken"));
        let session = Session::default();
        let own = session.clone();
        let stream = after(move || own.cancel());
        let cancelled = write_stream(&session, stream, &location, &self::mode(mode), "test").await;
        assert_eq!(cancelled.map_err(|e| e.kind()).err(), Some(ErrorKind::Cancelled), "{mode}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), usize::from(stored));
        assert!(!stored || text(&location) == "id\n0\n");
    }
}

#[tokio::test]
async fn what_exists_is_treated_as_the_mode_says_before_the_frame_runs() {
    for wanted in [WriteMode::Error, WriteMode::Ignore] {
        let (_folder, location) = place("a.csv", true);
        let never = BatchStream::new(batch(0..1).schema(), stream::poll_fn(|_| panic!("pulled")));
        let report = write(never, &location, wanted).await;
        assert_eq!(report.map(|report| report.written).ok(), (wanted == WriteMode::Ignore).then_some(false));
        assert_eq!(text(&location), "id\n0\n");
    }
    let (_folder, location) = place("no/such/a.csv", false);
    let missing = write(rows(0), &location, WriteMode::Error).await;
    assert_eq!(missing.map_err(|e| e.kind()).err(), Some(ErrorKind::NotFound));
}
