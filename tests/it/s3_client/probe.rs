//! A service that ignores the conditions of a write is found out before anything is lost.

use std::time::Duration;

use keyfold::conformance::{bytes_at, put_bytes_at};
use keyfold::{ErrorKind, Location, Session};

use super::{BUCKET, lake, set, settings};
use crate::s3_server::{Effect, Fault, Operation, TestServer};

fn target() -> Location {
    "s3://lake/folder/a.csv".parse().expect("a location")
}

fn session(server: &TestServer) -> Session {
    Session::with_s3(settings(server))
}

#[track_caller]
fn nothing_is_left(server: &TestServer) {
    let kept: Vec<_> = server.keys(BUCKET).into_iter().filter(|key| key != "folder/a.csv").collect();
    assert!(kept.is_empty(), "{kept:?}");
    assert!(server.uploads().is_empty(), "{:?}", server.uploads());
}

#[test]
fn a_service_that_ignores_conditions_is_refused_and_nothing_is_left_behind() {
    let server = lake();
    server.put_raw(BUCKET, "folder/a.csv", "old");
    server.ignore_conditions(true);
    let session = session(&server);
    for _ in 0..2 {
        let refused = put_bytes_at(&session, &target(), b"new").expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        assert!(refused.message().starts_with("the service ignores the conditions of a write"), "{refused}");
        assert!(refused.hint_text().is_some_and(|hint| hint.contains("--single-writer")));
        nothing_is_left(&server);
        assert_eq!(server.get_raw(BUCKET, "folder/a.csv").expect("the target"), "old");
    }
    assert_eq!(server.counts().of(Operation::CompleteMultipartUpload), 1, "it is asked once");
    assert!(server.log().iter().all(|entry| entry.key.starts_with("folder/") || entry.key.is_empty()));
}

#[test]
fn a_single_writer_may_use_it() {
    let server = lake();
    server.ignore_conditions(true);
    let single = Session::with_s3(set(&server, "single_writer", "true"));
    for text in ["first", "second"] {
        put_bytes_at(&single, &target(), text.as_bytes()).expect("put");
        let stored = bytes_at(&single, &target()).expect("read").expect("an object");
        assert_eq!(stored, text.as_bytes());
    }
    nothing_is_left(&server);
    assert_eq!(server.counts().of(Operation::CompleteMultipartUpload), 1, "it is asked once");
}

#[test]
fn a_service_that_keeps_conditions_is_asked_once_and_nothing_is_left_behind() {
    let server = lake();
    let session = session(&server);
    for text in ["first", "second", "third"] {
        put_bytes_at(&session, &target(), text.as_bytes()).expect("put");
    }
    nothing_is_left(&server);
    assert_eq!(server.get_raw(BUCKET, "folder/a.csv").expect("an object"), "third");
    assert_eq!(server.counts().of(Operation::CompleteMultipartUpload), 1);
}

#[test]
fn a_service_that_fails_while_it_is_asked_is_no_service_that_ignores_conditions() {
    let server = lake();
    let session = session(&server);
    server.fail(Fault::new(Effect::ExpiredToken).on(Operation::PutObject).skip(1).times(2));
    let failed = put_bytes_at(&session, &target(), b"new").expect_err("not asked to the end");
    assert_eq!(failed.kind(), ErrorKind::PermissionDenied, "{failed:?}");
    nothing_is_left(&server);
    server.heal();
    // A source of keys that failed is left alone for a while.
    std::thread::sleep(Duration::from_millis(3100));
    put_bytes_at(&session, &target(), b"new").expect("asked again");
    nothing_is_left(&server);
}
