//! What goes wrong on the way, and what the client makes of it.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use keyfold::{ErrorKind, PutCondition};

use super::other::{Canned, page};
use super::{BUCKET, MIB, bytes, client, lake, open, plain, read, settings};
use crate::s3_server::{Effect, Fault, Operation};

const SILENCE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn what_is_overloaded_for_a_moment_is_asked_again() {
    let server = lake();
    let client = client(&server);
    for effect in [Effect::SlowDown, Effect::InternalError, Effect::Close] {
        server.reset_counts();
        server.fail(Fault::new(effect.clone()).on(Operation::PutObject).times(3));
        client.put("a", "text", plain()).await.expect("put");
        assert_eq!(server.counts().of(Operation::PutObject), 4, "{effect:?}");
        server.fail(Fault::new(effect).on(Operation::GetObject).times(3));
        assert_eq!(read(&client, "a").await, "text");
    }
}

#[tokio::test]
async fn a_service_says_how_long_to_wait() {
    let busy = "503 Slow Down\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let fine = page("200 OK", "text/plain", "text");
    let service = Canned::start(move |number| if number == 0 { busy.to_owned() } else { fine.clone() });
    let server = lake();
    let begun = Instant::now();
    let client = open(settings(&server).with_endpoint_url(service.endpoint()));
    assert_eq!(read(&client, "a").await, "text");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_put_that_landed_before_its_answer_was_lost_is_a_success() {
    let server = lake();
    for effect in [Effect::ErrorAfter, Effect::CloseAfter, Effect::HangAfter] {
        let client = client(&server).with_read_timeout(SILENCE);
        client.delete("a").await.expect("deleted");
        server.reset_counts();
        let lost = || server.fail(Fault::new(effect.clone()).on(Operation::PutObject));
        lost();
        let options = plain().with_condition(PutCondition::IfAbsent);
        let first = client.put("a", "first", options).await.expect("it landed");
        assert_eq!(read(&client, "a").await, "first");
        let e_tag = first.e_tag.expect("an etag");
        assert_eq!(Some(e_tag.trim_matches('"')), server.etag(BUCKET, "a").as_deref());
        lost();
        let options = plain().with_condition(PutCondition::IfMatch(e_tag));
        let second = client.put("a", "second", options).await.expect("it landed");
        assert_eq!(second.e_tag.map(|tag| tag.replace('"', "")), server.etag(BUCKET, "a"));
        assert_eq!(read(&client, "a").await, "second");
        let done = server.log().into_iter().filter(|entry| entry.operation == Operation::PutObject);
        assert_eq!(done.map(|entry| entry.status).filter(|status| *status == 200).count(), 0);
        assert_eq!(server.open_faults(), 0);
    }
}

#[tokio::test]
async fn a_completion_that_landed_before_its_answer_was_lost_is_a_success() {
    let server = lake();
    let client = client(&server).with_read_timeout(SILENCE);
    for effect in [Effect::ErrorAfter, Effect::CloseAfter, Effect::HangAfter] {
        for condition in [PutCondition::Overwrite, PutCondition::IfAbsent] {
            client.delete("a").await.expect("deleted");
            server.fail(Fault::new(effect.clone()).on(Operation::CompleteMultipartUpload));
            let options = plain().with_condition(condition);
            let mut upload = client.start_upload("a", options).await.expect("an upload");
            upload.queue("text".into()).await.expect("queued");
            let put = upload.complete().await.expect("it landed");
            assert_eq!(put.e_tag.map(|tag| tag.replace('"', "")), server.etag(BUCKET, "a"));
            assert_eq!(read(&client, "a").await, "text");
            assert_eq!((server.open_faults(), server.uploads().len()), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_put_that_someone_else_won_is_no_success_although_answers_were_lost() {
    let server = lake();
    let client = client(&server);
    server.put_raw(BUCKET, "a", "theirs");
    server.fail(Fault::new(Effect::InternalError).on(Operation::PutObject).times(2));
    let options = plain().with_condition(PutCondition::IfAbsent);
    let refused = client.put("a", "ours", options).await.expect_err("theirs");
    // Ours may have been there before theirs: whoever appends must not take this for "nothing was written".
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.hint_text().is_some_and(|hint| hint.contains("not known")), "{refused:?}");
    assert_eq!(read(&client, "a").await, "theirs");
}

#[tokio::test]
async fn a_conflict_of_the_moment_is_tried_again() {
    let server = lake();
    let client = client(&server);
    server.fail(Fault::new(Effect::Conflict).on(Operation::PutObject).times(2));
    let options = plain().with_condition(PutCondition::IfAbsent);
    client.put("a", "text", options).await.expect("put");
    assert_eq!(server.counts().of(Operation::PutObject), 3);
    server.fail(Fault::new(Effect::Conflict).on(Operation::CompleteMultipartUpload));
    let mut upload = client.start_upload("b", plain()).await.expect("an upload");
    upload.queue("text".into()).await.expect("queued");
    // The service wants all parts again, and who has them is the caller.
    let refused = upload.complete().await.expect_err("another writer");
    assert_eq!((refused.kind(), server.uploads().len()), (ErrorKind::Conflict, 0));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_read_on_from_there() {
    let server = lake();
    let client = client(&server);
    server.put_raw(BUCKET, "a", bytes(MIB));
    for cut in [0, 1, 100_000, MIB - 1] {
        server.reset_counts();
        server.fail(Fault::new(Effect::CutAfter(cut)).on(Operation::GetObject).times(2));
        assert_eq!(read(&client, "a").await, bytes(MIB), "cut after {cut}");
        let last = server.log().pop().expect("a request");
        assert!(last.range.is_some_and(|range| range.ends_with("-1048575")));
    }
    server.fail(Fault::new(Effect::CutAfter(3)).on(Operation::GetObject));
    let range = client.get_range("a", 10..20, None).await.expect("bytes");
    assert_eq!(range, bytes(MIB).slice(10..20));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_mixed_with_another_version() {
    let server = lake();
    let client = client(&server);
    for replaced in [true, false] {
        server.put_raw(BUCKET, "a", bytes(MIB));
        server.fail(Fault::new(Effect::CutAfter(100_000)).on(Operation::GetObject));
        let mut body = client.get("a").await.expect("an object").into_stream();
        body.next().await.expect("a piece").expect("bytes");
        if replaced {
            server.put_raw(BUCKET, "a", bytes(MIB + 1));
        } else {
            client.delete("a").await.expect("deleted");
        }
        let failed = loop {
            match body.next().await.expect("an error") {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        let expected = if replaced { ErrorKind::Conflict } else { ErrorKind::NotFound };
        assert_eq!(failed.kind(), expected, "{failed}");
    }
}

#[tokio::test]
async fn a_slow_body_is_read_to_its_end() {
    let server = lake();
    let client = client(&server).with_read_timeout(SILENCE);
    server.put_raw(BUCKET, "a", bytes(1000));
    let slow = Effect::SlowBody { chunk: 100, delay: SILENCE / 4 };
    server.fail(Fault::new(slow).on(Operation::GetObject));
    let begun = Instant::now();
    assert_eq!(read(&client, "a").await, bytes(1000));
    assert!(begun.elapsed() > SILENCE * 2, "it was not slow");
    assert_eq!(server.counts().of(Operation::GetObject), 1);
    // One that is silent in the middle has broken off.
    let silent = Effect::SlowBody { chunk: 500, delay: SILENCE * 4 };
    server.fail(Fault::new(silent).on(Operation::GetObject));
    assert_eq!(read(&client, "a").await, bytes(1000));
    assert_eq!(server.counts().of(Operation::GetObject), 3);
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up() {
    let server = lake();
    let client = client(&server).with_read_timeout(SILENCE);
    server.fail(Fault::new(Effect::Hang).always());
    let begun = Instant::now();
    let failed = client.get("a").await.expect_err("no answer");
    assert_eq!((failed.kind(), failed.message()), (ErrorKind::Io, "the service did not answer in time"));
    assert_eq!(failed.hint_text(), Some("try again later"));
    assert!(begun.elapsed() < SILENCE * 5, "{:?}", begun.elapsed());
    assert_eq!(server.counts().total(), 2);
}

#[tokio::test]
async fn the_time_to_send_a_body_does_not_count() {
    let server = lake();
    let client = client(&server).with_read_timeout(SILENCE);
    server.set_latency(SILENCE * 2);
    client.put("a", bytes(64 << 10), plain()).await.expect("put");
    assert_eq!(server.counts().of(Operation::PutObject), 1);
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_token() {
    let server = lake();
    let other = Canned::start(|_| page("200 OK", "text/plain", "text"));
    server.lend_key("lent", "secret", "token", Duration::from_mins(10));
    let lent = settings(&server).with_access_key_id("lent").with_secret_access_key("secret");
    let client = open(lent.with_session_token("token"));
    server.fail(Fault::new(Effect::Redirect(other.endpoint().to_owned())).always());
    let refused = [
        client.get("a").await.map(|_| ()),
        client.put("a", "text", plain()).await.map(|_| ()),
        client.head("a").await.map(|_| ()),
        client.list_buckets().await.map(|_| ()),
    ];
    for refused in refused {
        let error = refused.expect_err("a redirect");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.message(), "the service answers from another address, which is not followed");
        assert_eq!(error.hint_text(), Some("use the endpoint and the region of the bucket"));
    }
    assert_eq!(other.seen(), 0);
}
