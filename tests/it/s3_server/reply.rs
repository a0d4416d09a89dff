//! Bodies of answers, as they flow: counted while they go out, slowed down or cut where a fault says so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::faults::Effect;
use super::log::Record;

/// The body of an answer.
pub(crate) type Reply = StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>;

/// Large enough to cost nothing, small enough to count what a reader who went away has got.
const CHUNK: usize = 64 * 1024;

/// How a body flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    chunk: usize,
    delay: Option<Duration>,
    cut: Option<usize>,
}

impl Pace {
    pub(crate) fn of(effect: Option<&Effect>) -> Self {
        let usual = Self { chunk: CHUNK, delay: None, cut: None };
        match effect {
            Some(Effect::SlowBody { chunk, delay }) => {
                Self { chunk: (*chunk).max(1), delay: Some(*delay), ..usual }
            }
            Some(Effect::CutAfter(bytes)) => Self { cut: Some(*bytes), ..usual },
            _ => usual,
        }
    }
}

/// Lets an answer flow. The length is said first, so that a body that ends early is known to have ended early.
pub(crate) fn flowing(
    answer: Response<Bytes>,
    is_head: bool,
    pace: Pace,
    record: Arc<Record>,
) -> Response<Reply> {
    let (mut head, bytes) = answer.into_parts();
    if !is_head
        && head.status != http::StatusCode::NO_CONTENT
        && head.status != http::StatusCode::NOT_MODIFIED
    {
        head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    }
    if let Ok(id) = record.id().parse() {
        head.headers.insert("x-amz-request-id", id);
    }
    let kept = if is_head { 0 } else { pace.cut.unwrap_or(bytes.len()).min(bytes.len()) };
    let is_cut = !is_head && pace.cut.is_some();
    let whole = pieces(bytes.slice(..kept), pace, record);
    let end = stream::iter(is_cut.then_some(())).then(|()| async {
        // The connection writes out what it holds when nothing more is at hand, and only then learns of the end.
        tokio::task::yield_now().await;
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut on order"))
    });
    Response::from_parts(head, StreamBody::new(whole.chain(end).boxed()))
}

fn pieces(
    bytes: Bytes,
    pace: Pace,
    record: Arc<Record>,
) -> impl futures::Stream<Item = io::Result<Frame<Bytes>>> + Send {
    stream::unfold((bytes, record), move |(mut rest, record)| async move {
        if rest.is_empty() {
            return None;
        }
        if let Some(delay) = pace.delay {
            tokio::time::sleep(delay).await;
        }
        let piece = rest.split_to(pace.chunk.min(rest.len()));
        record.sent(piece.len());
        Some((Ok(Frame::data(piece)), (rest, record)))
    })
}
