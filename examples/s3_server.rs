//! Runs the S3 server of the tests as a program of its own, so that commands can be tried without an account: it
//! checks signatures, keeps everything in memory and forgets it when it ends.
//!
//! `cargo run --no-default-features --features s3 --example s3_server -- --port 9000 --bucket lake`
#![allow(clippy::expect_used, reason = "the server is made for tests")]

use std::error::Error;
use std::io::Write as _;

#[path = "../tests/it/s3_server/mod.rs"]
mod s3_server;

use s3_server::TestServer;

const USAGE: &str =
    "usage: s3_server [--port PORT] [--access-key KEY] [--secret-key SECRET] [--bucket NAME]...";

/// What was typed.
struct Args {
    port: u16,
    access_key: String,
    secret_key: String,
    buckets: Vec<String>,
}

impl Args {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut args = Self {
            port: 0,
            access_key: "tester".to_owned(),
            secret_key: "tester-secret".to_owned(),
            buckets: Vec::new(),
        };
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or(USAGE);
            match flag.as_str() {
                "--port" => args.port = value()?.parse()?,
                "--access-key" => args.access_key = value()?,
                "--secret-key" => args.secret_key = value()?,
                "--bucket" => args.buckets.push(value()?),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(args)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse(std::env::args().skip(1))?;
    let builder = TestServer::builder().port(args.port).key(&args.access_key, &args.secret_key);
    let builder = args.buckets.iter().fold(builder, |builder, name| builder.bucket(name));
    let server = builder.try_start()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "# serving {}; Ctrl-C ends it", server.endpoint())?;
    for (name, value) in server.env() {
        writeln!(out, "export {name}={value}")?;
    }
    out.flush()?;
    loop {
        std::thread::park();
    }
}
