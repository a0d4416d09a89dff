//! Servers of others that tests run against where they are installed: ignored, aloud, where they are not, and a
//! failure where they are required.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program that serves on a port of its own until this is dropped.
pub(crate) struct Peer {
    child: Child,
    port: u16,
}

impl Peer {
    /// Starts `program` with the words that `arguments` makes of a port; `None` if it is not on the path, unless
    /// `KEYFOLD_REQUIRE` names it as `name`.
    pub(crate) fn start(program: &str, name: &str, arguments: impl Fn(&str) -> Vec<String>) -> Option<Self> {
        let Some(path) = on_path(program) else {
            let required = std::env::var("KEYFOLD_REQUIRE").unwrap_or_default();
            assert!(
                !required.split(',').any(|part| part == name),
                "{name} is required, and {program} is not on the path"
            );
            eprintln!("ignored: {program} is not on the path");
            return None;
        };
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a port").port();
        let mut command = Command::new(path);
        command.args(arguments(&port.to_string())).stdout(Stdio::null()).stderr(Stdio::null());
        let peer = Self { child: command.spawn().expect("starts"), port };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(start.elapsed() < Duration::from_mins(1), "{program} does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Some(peer)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|program| program.is_file())
}
