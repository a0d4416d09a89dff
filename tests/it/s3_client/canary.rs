//! A secret is handed to the client in every way and looked for in all that it prints while real requests run, and
//! fail: `Debug`, errors with their causes, what is traced, and what dependencies log.

use std::error::Error as _;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use keyfold::{Error, S3Client, S3Settings, Session};
use tracing::field::{Field, Visit};
use tracing::span;

use super::other::{Canned, page};
use super::{BUCKET, bytes, lake, open, plain, set, settings};
use crate::s3_server::{Effect, Fault, Operation, TestServer};

const CANARY: &str = "s3-canary";
const HOUR: Duration = Duration::from_hours(1);

/// Records of the crate `log` and events of `tracing`, from any thread.
struct Records {
    seen: AtomicUsize,
    leaks: Mutex<Vec<String>>,
}

static RECORDS: Records = Records { seen: AtomicUsize::new(0), leaks: Mutex::new(Vec::new()) };

impl Records {
    fn take(&self, text: String) {
        if text.contains(CANARY) {
            self.leaks.lock().expect("the leaks").push(text);
        }
    }
}

impl log::Log for Records {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.take(format!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

/// `tracing` asks the subscriber of the thread that comes to an event first whether anyone wants it, and remembers
/// the answer for all threads: so every thread has one that wants all.
fn watch_records() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&RECORDS).expect("the only logger");
        log::set_max_level(log::LevelFilter::Trace);
        tracing::subscriber::set_global_default(Trace::default())
            .expect("the only subscriber of all threads");
    });
}

/// Writes down every event and every field of a span; without a text to write to, looks whether it leaks.
#[derive(Clone, Default)]
struct Trace(Option<Arc<Mutex<String>>>);

impl Visit for Trace {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{field}={value:?} ");
        match &self.0 {
            Some(trace) => trace.lock().expect("the trace").push_str(&text),
            None => RECORDS.take(text),
        }
    }
}

impl tracing::Subscriber for Trace {
    /// All but what the test server's library says: it is told the secrets, and prints them.
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        !metadata.target().starts_with("s3s")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// All that was printed.
#[derive(Default)]
struct Said(String);

impl Said {
    fn shown(&mut self, value: &impl Debug) {
        let _ = writeln!(self.0, "{value:?} {value:#?}");
    }

    fn failed(&mut self, error: &Error) {
        let _ = writeln!(self.0, "{error} {error:?} {error:#?} {:?}", error.hint_text());
        let mut cause = error.source();
        while let Some(next) = cause {
            let _ = writeln!(self.0, "{next} {next:?}");
            cause = next.source();
        }
    }

    fn result<T: Debug>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => {
                self.shown(&value);
                Some(value)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// Every kind of request; those that succeed are counted.
    async fn everything(&mut self, client: &S3Client) -> usize {
        let mut done = 0;
        let mut count = |succeeded: bool| done += usize::from(succeeded);
        self.shown(client);
        count(self.result(client.put("a", bytes(10), plain()).await).is_some());
        count(self.result(client.get("a").await).is_some());
        count(self.result(client.get_range("a", 0..2, None).await).is_some());
        count(self.result(client.head("a").await).is_some());
        count(self.result(client.list("").try_collect::<Vec<_>>().await).is_some());
        count(self.result(client.list_buckets().await).is_some());
        count(self.result(client.copy_from(client, "a", "b").await).is_some());
        count(self.result(client.delete_many(&["b".to_owned()]).await).is_some());
        count(self.result(client.delete("b").await).is_some());
        count(self.result(client.pending_uploads("").await).is_some());
        count(self.result(client.presign_get("a", HOUR).await).is_some());
        count(self.result(client.presign_put("a", HOUR).await).is_some());
        if let Some(mut upload) = self.result(client.start_upload("c", plain()).await) {
            let _ = self.result(upload.queue(bytes(10)).await);
            self.shown(&upload);
            count(self.result(upload.complete().await).is_some());
        }
        done
    }
}

const ALL: usize = 13;

fn temporary(server: &TestServer) -> S3Settings {
    server.lend_key(&format!("key-{CANARY}"), &format!("secret-{CANARY}"), &format!("token-{CANARY}"), HOUR);
    settings(server)
        .with_access_key_id(format!("key-{CANARY}"))
        .with_secret_access_key(format!("secret-{CANARY}"))
        .with_session_token(format!("token-{CANARY}"))
}

/// Settings with which every request fails, each in its way.
fn failing(server: &TestServer, web: &Canned, refusing: &Canned) -> Vec<S3Settings> {
    let right = temporary(server);
    let lent = |url: &str| {
        let mut lent = set(server, "credentials_url", url);
        (lent.access_key_id, lent.secret_access_key) = (None, None);
        lent.credentials_token = Some(CANARY.into());
        lent.credentials_params = Some(format!("name={CANARY}").into());
        lent
    };
    vec![
        right.clone().with_secret_access_key(format!("wrong-{CANARY}")),
        right.clone().with_session_token(format!("wrong-{CANARY}")),
        right.clone().with_access_key_id(format!("wrong-{CANARY}")),
        right.clone().with_region("eu-west-1").with_endpoint_url("http://127.0.0.1:1"),
        right.with_endpoint_url(web.endpoint()),
        lent(&format!("{}/?{CANARY}", refusing.endpoint())),
        lent(&format!("http://127.0.0.1:1/?{CANARY}")),
    ]
}

#[tokio::test]
async fn no_secret_is_printed_traced_or_logged() {
    watch_records();
    let trace = Arc::new(Mutex::new(String::new()));
    let guard = tracing::subscriber::set_default(Trace(Some(Arc::clone(&trace))));
    let mut said = Said::default();
    let server = lake();
    let right = temporary(&server);
    said.shown(&right);
    said.shown(&Session::with_s3(right.clone()));
    let client = open(right.clone());
    assert_eq!(said.everything(&client).await, ALL, "{}", said.0);

    // What goes wrong on the way is traced before it is tried again.
    for effect in [Effect::SlowDown, Effect::ErrorAfter, Effect::Close] {
        server.fail(Fault::new(effect.clone()).on(Operation::PutObject));
        server.fail(Fault::new(effect).on(Operation::GetObject));
    }
    server.fail(Fault::new(Effect::CutAfter(3)).on(Operation::GetObject));
    said.everything(&client).await;
    server.heal();
    let mut body = client.get("a").await.expect("an object").into_stream();
    while let Some(piece) = body.next().await {
        said.result(piece);
    }

    // What whoever has a URL does with it is not ours to keep quiet, but what is logged by the way is.
    let url = client.presign_get("a", HOUR).await.expect("a url");
    assert!(url.expose().contains(CANARY), "the token is in it");
    said.shown(&url);
    assert_eq!(reqwest::get(url.expose()).await.expect("an answer").status(), 200);

    let web = Canned::start(|_| page("403 Forbidden", "text/html", "<html>no</html>"));
    let refusing =
        Canned::start(|_| page("403 Forbidden", "application/json", &format!("{{\"error\":\"{CANARY}\"}}")));
    for settings in failing(&server, &web, &refusing) {
        said.shown(&settings);
        let done = said.everything(&open(settings)).await;
        assert!(done <= 2, "{done} of these should have failed, but for URLs that are signed here");
    }
    server.fail(Fault::new(Effect::Redirect(format!("http://host.example/{CANARY}"))).always());
    said.everything(&client).await;
    server.heal();
    server.expire_key(&format!("key-{CANARY}"));
    said.everything(&client).await;
    drop(guard);

    let trace = trace.lock().expect("the trace");
    assert!(trace.contains("trying again") && trace.contains("source="), "nothing was traced: {trace}");
    assert!(said.0.contains(BUCKET) && said.0.contains("PresignedUrl"), "nothing was said");
    assert!(RECORDS.seen.load(Ordering::Relaxed) > 0, "nothing was logged");
    for line in said.0.lines().chain(trace.lines()) {
        assert!(!line.contains(CANARY), "{line}");
    }
    let leaks = RECORDS.leaks.lock().expect("the leaks");
    assert!(leaks.is_empty(), "{leaks:?}");
}
