//! The service that lends keys, asked over real connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::server::{Reply, Server, http, run};
use super::*;

const KEYS: &str = r#"{"bucket":"lake","access_key_id":"AK","secret_access_key":"SK","expires_in":900}"#;

fn settings(pairs: &[(&str, &str)]) -> S3Settings {
    let mut settings = S3Settings::default();
    for (name, value) in pairs {
        settings.set(name, value).expect("a setting");
    }
    settings
}

fn lend(url: &str, pairs: &[(&str, &str)]) -> Result<Lease> {
    run(Vending::new(url, &settings(pairs), &http(), Plain::Loopback)?.lend())
}

#[test]
fn names_with_a_place_in_the_url_are_got_and_others_are_posted() {
    let server = Server::start(|_| Reply::json(KEYS));
    let params = ("credentials_params", "bucket=a/b c,role=etl");
    lend(&server.url("/keys?bucket={bucket}&role={role}"), &[params]).expect("keys");
    let lease =
        lend(&server.url("/{bucket}/keys"), &[params, ("credentials_token", "canary")]).expect("keys");
    assert_eq!(lease.place.bucket.as_deref(), Some("lake"));
    let seen = server.seen();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("GET", "/keys?bucket=a%2Fb%20c&role=etl")
    );
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!((seen[1].method.as_str(), seen[1].target.as_str()), ("POST", "/a%2Fb%20c/keys"));
    assert_eq!(
        (seen[1].body.as_str(), seen[1].header("authorization")),
        (r#"{"role":"etl"}"#, Some("Bearer canary"))
    );
}

#[test]
fn a_token_with_its_scheme_is_sent_as_it_is() {
    let server = Server::start(|_| Reply::json(KEYS));
    lend(&server.url("/"), &[("credentials_token", "Basic YTpi")]).expect("keys");
    assert_eq!(server.seen()[0].header("authorization"), Some("Basic YTpi"));
}

#[test]
fn the_file_with_the_token_is_read_anew() {
    let server = Server::start(|_| Reply::json(KEYS));
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_string_lossy();
    let url = server.url("/");
    let settings = settings(&[("credentials_token_file", &path)]);
    let vending = Vending::new(&url, &settings, &http(), Plain::Loopback).expect("a service");
    for token in ["one\n", "two\n"] {
        std::fs::write(file.path(), token).expect("write");
        run(vending.lend()).expect("keys");
    }
    let sent: Vec<_> =
        server.seen().iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, ["Bearer one", "Bearer two"]);
}

#[test]
fn a_service_that_stumbles_is_asked_again() {
    let turn = AtomicUsize::new(0);
    let server = Server::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(503),
        1 => Reply::status(429),
        _ => Reply::json(KEYS),
    });
    lend(&server.url("/"), &[]).expect("keys");
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_service_that_stays_down_is_given_up_within_seconds() {
    let server = Server::start(|_| Reply::status(500));
    let start = Instant::now();
    let error = lend(&server.url("/"), &[]).expect_err("no keys");
    assert!(start.elapsed() < Duration::from_secs(11), "{:?}", start.elapsed());
    assert_eq!((error.kind(), server.seen().len()), (ErrorKind::Io, 5), "{error}");
}

#[test]
fn a_refusal_is_not_asked_again_and_says_what_to_check() {
    let server = Server::start(|_| Reply::status(403));
    let error = lend(&server.url("/"), &[("credentials_token", "canary")]).expect_err("no keys");
    assert_eq!((error.kind(), server.seen().len()), (ErrorKind::PermissionDenied, 1));
    assert!(error.hint_text().is_some_and(|hint| hint.contains("credentials_token")));
}

#[test]
fn a_redirect_carries_the_token_nowhere() {
    let other = Server::start(|_| Reply::json(KEYS));
    let to = other.url("/");
    let server = Server::start(move |_| Reply::status(307).with(format!("location: {to}")));
    let error = lend(&server.url("/"), &[("credentials_token", "canary")]).expect_err("no keys");
    assert!(error.message().contains("redirect"), "{error}");
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let server = Server::start(|_| Reply::json(format!(r#"{{"x":"{}"}}"#, "x".repeat(2 << 20))));
    let error = lend(&server.url("/"), &[]).expect_err("no keys");
    assert_eq!(error.message(), "the answer is too long for one with keys");
}

#[test]
fn the_clock_of_the_service_is_taken_into_account() {
    let date = (chrono::Utc::now() + chrono::TimeDelta::hours(2)).to_rfc2822();
    let server = Server::start(move |_| Reply::json(KEYS).with(format!("date: {date}")));
    let lease = lend(&server.url("/"), &[]).expect("keys");
    assert!(
        (lease.skew - chrono::TimeDelta::hours(2)).abs() < chrono::TimeDelta::seconds(5),
        "{}",
        lease.skew
    );
    let left = lease.expires.expect("an end") - lease.skew - chrono::Utc::now();
    assert!((left.num_seconds() - 900).abs() < 5, "{left}");
}

#[test]
fn what_would_tell_secrets_is_refused() {
    let new =
        |url: &str, pairs: &[(&str, &str)]| Vending::new(url, &settings(pairs), &http(), Plain::Loopback);
    for url in ["http://keys.example/", "https://user:canary@keys.example/", "keys.example"] {
        let error = new(url, &[]).expect_err(url);
        assert!(error.kind() == ErrorKind::Usage && !format!("{error:?}").contains("canary"), "{error:?}");
    }
    assert!(new("https://keys.example/{bucket}", &[("credentials_params", "role=etl")]).is_err());
    let unfit = new("http://127.0.0.1:1/", &[("credentials_token", "canary\n1")]).expect("a service");
    let error = run(unfit.lend()).expect_err("no such header");
    assert!(error.kind() == ErrorKind::Usage && !format!("{error:?}").contains("canary"), "{error:?}");
}
