//! HTTP servers that are not S3: one that lends keys, one that others are sent to, one that shows a page.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{TimeDelta, Utc};
use keyfold::S3Settings;

use super::set;
use crate::s3_server::TestServer;

/// Answers every request in one way; its threads end with the test program.
pub(super) struct Canned {
    endpoint: String,
    seen: Arc<AtomicUsize>,
}

impl Canned {
    /// `answer` gets the number of the request and gives what stands behind `HTTP/1.1 `: status line, headers, body.
    pub(super) fn start(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(AtomicUsize::new(0));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One at a time is enough, and a client that goes away is no failure.
                let _ = serve(stream, &log, &answer);
            }
        });
        Self { endpoint, seen }
    }

    /// Lends keys; `lend` gets the number of the request and gives access key, token and seconds to live. The secret
    /// is `secret`.
    pub(super) fn lending(lend: impl Fn(usize) -> (String, String, i64) + Send + Sync + 'static) -> Self {
        Self::lending_with("", lend)
    }

    /// The same with more fields of JSON in its answer, each with a comma behind it.
    pub(super) fn lending_with(
        more: impl Into<String>,
        lend: impl Fn(usize) -> (String, String, i64) + Send + Sync + 'static,
    ) -> Self {
        let more = more.into();
        Self::start(move |number| {
            let (access, token, life) = lend(number);
            let ends = (Utc::now() + TimeDelta::seconds(life)).to_rfc3339();
            page(
                "200 OK",
                "application/json",
                &format!(
                    r#"{{{more}"AccessKeyId":"{access}","SecretAccessKey":"secret","Token":"{token}","Expiration":"{ends}"}}"#
                ),
            )
        })
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Requests so far.
    pub(super) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    /// Settings that use this lender for `server`.
    pub(super) fn settings(&self, server: &TestServer) -> S3Settings {
        let mut settings = set(server, "credentials_url", &self.endpoint);
        (settings.access_key_id, settings.secret_access_key) = (None, None);
        settings
    }
}

/// An answer with a body.
pub(super) fn page(status: &str, kind: &str, body: &str) -> String {
    format!("{status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn serve(
    mut stream: TcpStream,
    seen: &AtomicUsize,
    answer: &impl Fn(usize) -> String,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)];
    lines.read_exact(&mut body)?;
    let number = seen.fetch_add(1, Ordering::SeqCst);
    let answer = answer(number).replacen("\r\n", "\r\nconnection: close\r\n", 1);
    write!(stream, "HTTP/1.1 {answer}")
}
