//! Servers of others, for tests that are ignored unless they are asked for: not every machine has them.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program that serves on a port of its own until this is dropped.
pub(crate) struct Peer {
    child: Child,
    port: u16,
}

impl Peer {
    /// Starts `program`, which is on the path, with the words that `arguments` makes of a port.
    pub(crate) fn start(program: &str, arguments: impl Fn(&str) -> Vec<String>) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a port").port();
        let mut command = Command::new(program);
        command.args(arguments(&port.to_string())).stdout(Stdio::null()).stderr(Stdio::null());
        let peer = Self { child: command.spawn().expect("is on the path, and starts"), port };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(start.elapsed() < Duration::from_mins(1), "{program} does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        peer
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
