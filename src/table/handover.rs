//! A stream that is pulled by the runtime, handed over to code that blocks while it works on the batches.

use arrow::array::RecordBatch;
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;

/// Batches that wait to be worked on; the stream is not pulled while there are more.
const IN_FLIGHT: usize = 2;

/// What `work` makes of the batches of `stream`, which is pulled where this is awaited.
///
/// If this is dropped before the stream has come to its end, `work` gets `Cancelled` after the batches that it
/// was given: it never takes some of the rows for all of them.
///
/// # Errors
///
/// What `work` fails with; it is handed the errors of the stream.
pub(crate) async fn on_own_thread<T, F>(mut stream: BatchStream, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(HandedOver) -> Result<T> + Send + 'static,
{
    let (batches, received) = mpsc::channel(IN_FLIGHT);
    let done = start(move || work(HandedOver(Some(received))))?;
    loop {
        let batch = stream.next().await;
        let last = !matches!(batch, Some(Ok(_)));
        // Nobody takes the batch if the work has failed; why, it says below.
        if batches.send(batch).await.is_err() || last {
            break;
        }
    }
    done.await.map_err(|cause| Error::internal("a worker thread did not finish").because(cause))?
}

/// Starts a thread for `work`. Not one of the runtime's: those are limited, the stream may need one for its next
/// batch, and this one waits for that batch.
fn start<T, F>(work: F) -> Result<oneshot::Receiver<Result<T>>>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    let (result, done) = oneshot::channel();
    // Lines that are logged over there belong to this run.
    let span = tracing::Span::current();
    let work = move || {
        let outcome = span.in_scope(work);
        // Nobody waits any more if the future was dropped.
        drop(result.send(outcome));
    };
    std::thread::Builder::new()
        .name("keyfold-writer".to_owned())
        .spawn(work)
        .map_err(|cause| Error::io("cannot start a thread", cause))?;
    Ok(done)
}

/// The batches, as they come.
#[derive(Debug)]
pub(crate) struct HandedOver(Option<mpsc::Receiver<Option<Result<RecordBatch>>>>);

impl Iterator for HandedOver {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.0.as_mut()?.blocking_recv();
        if !matches!(next, Some(Some(Ok(_)))) {
            self.0 = None;
        }
        next.unwrap_or_else(|| {
            Some(Err(Error::new(ErrorKind::Cancelled, "the frame was given up before its end")
                .hint("nothing was changed; run it again, and wait for it")))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use futures::stream;

    use super::*;

    fn batch(id: i64) -> RecordBatch {
        let ids = Arc::new(Int64Array::from(vec![id])) as ArrayRef;
        RecordBatch::try_from_iter([("id", ids)]).unwrap()
    }

    fn batches(count: i64) -> BatchStream {
        BatchStream::from_iter(batch(0).schema(), (0..count).map(batch).map(Ok))
    }

    #[tokio::test]
    async fn batches_arrive_in_their_order_and_then_no_more() {
        let collect = |mut rows: HandedOver| {
            let all: Result<Vec<_>> = rows.by_ref().collect();
            assert!(rows.next().is_none());
            all
        };
        let all = on_own_thread(batches(20), collect).await.unwrap();
        assert_eq!(all, (0..20).map(batch).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn work_that_stops_early_stops_the_stream() {
        let endless = stream::iter(0..).map(|id| Ok(batch(id)));
        let endless = BatchStream::new(batch(0).schema(), endless);
        let first = on_own_thread(endless, |mut rows| Ok(rows.next().is_some())).await;
        assert_eq!(first.ok(), Some(true));
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let failed = on_own_thread(batches(3), |_| -> Result<()> { panic!("broken") }).await;
        assert_eq!(failed.map_err(|e| e.kind()), Err(ErrorKind::Internal));
    }

    #[tokio::test]
    async fn a_stream_that_is_given_up_is_not_at_its_end() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let pending = stream::iter([Ok(batch(0))]).chain(stream::pending());
        let pending = BatchStream::new(batch(0).schema(), pending);
        let work = move |rows: HandedOver| {
            let outcome: Result<Vec<_>> = rows.collect();
            sender.send(outcome.map(|_| ()).map_err(|e| e.kind())).unwrap();
            Ok(())
        };
        let given_up = futures::future::select(
            Box::pin(on_own_thread(pending, work)),
            Box::pin(tokio::task::yield_now()),
        );
        drop(given_up.await);
        assert_eq!(receiver.recv().unwrap(), Err(ErrorKind::Cancelled));
    }
}
