//! A small HTTP server and a home folder, for tests that want real requests and real files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use object_store::client::HttpClient;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<String>,
    body: String,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(super) fn text(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    pub(super) fn json(body: impl Into<String>) -> Self {
        Self::text(body).with("content-type: application/json")
    }

    pub(super) fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }

    pub(super) fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        write!(
            stream,
            "HTTP/1.1 {} -\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.status,
            self.body.len()
        )?;
        for header in &self.headers {
            write!(stream, "{header}\r\n")?;
        }
        write!(stream, "\r\n{}", self.body)
    }
}

/// Answers until it is dropped, each connection on a thread of its own.
pub(super) struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub(super) fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (seen, stopped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (answer, log, stop) = (Arc::new(answer), Arc::clone(&seen), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Self { address, seen, stopped }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("the log").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Seen>>, answer: &dyn Fn(&Seen) -> Reply) {
    let Some(seen) = read(&stream) else { return };
    log.lock().expect("the log").push(seen.clone());
    // A client that has gone away is no failure of the server.
    let _ = answer(&seen).send(&mut stream);
}

fn read(stream: &TcpStream) -> Option<Seen> {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut seen = Seen { method: words.next()?, target: words.next()?, ..Seen::default() };
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    lines.read_exact(&mut body).ok()?;
    seen.body = String::from_utf8(body).ok()?;
    Some(seen)
}

pub(super) fn http() -> HttpClient {
    crate::client::http::connect().expect("connections")
}

/// A home folder with these files in `~/.aws`.
pub(super) fn home(config: &str, credentials: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join(".aws");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("config"), config).expect("write");
    std::fs::write(folder.join("credentials"), credentials).expect("write");
    home
}

pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}
