//! Each fault that can be ordered.

use std::time::{Duration, Instant};

use http::Method;
use tokio::time::timeout;

use super::client::{Answer, Ask, BUCKET, builder, lake};
use crate::s3_server::{Effect, Fault, Operation, TestServer};

async fn put(server: &TestServer, key: &str) -> Answer {
    Ask::put(server, &format!("/lake/{key}"), "text").send().await
}

#[tokio::test]
async fn requests_slow_down_as_often_as_ordered() {
    let server = lake();
    server.fail(Fault::new(Effect::SlowDown).on(Operation::PutObject).prefix("p/").skip(1).times(2));
    assert_eq!(put(&server, "other").await.status, 200);
    assert_eq!(put(&server, "p/0").await.status, 200);
    let slow = put(&server, "p/1").await;
    assert_eq!(slow.refusal(), (503, "SlowDown".to_owned()));
    assert!(slow.header("x-amz-request-id").is_some());
    assert_eq!(Ask::get(&server, "/lake/p/0").send().await.status, 200);
    assert_eq!(server.open_faults(), 1);
    assert_eq!(put(&server, "p/2").await.status, 503);
    assert_eq!(put(&server, "p/3").await.status, 200);
    assert_eq!(server.open_faults(), 0);
    assert_eq!(server.keys(BUCKET), ["other", "p/0", "p/3"]);
}

#[tokio::test]
async fn a_client_that_tries_again_gets_over_a_slow_down() {
    let server = lake();
    server.fail(Fault::new(Effect::SlowDown).times(2));
    let retry = object_store::RetryConfig { max_retries: 3, ..object_store::RetryConfig::default() };
    let store = builder(&server).with_retry(retry).build().expect("a store");
    object_store::ObjectStoreExt::put(&store, &"a".into(), "text".into()).await.expect("a put");
    let statuses: Vec<u16> = server.log().iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn refusals_on_order_change_nothing() {
    let server = lake();
    for (effect, refusal) in [
        (Effect::InternalError, (500, "InternalError")),
        (Effect::Conflict, (409, "ConditionalRequestConflict")),
        (Effect::ExpiredToken, (403, "ExpiredToken")),
    ] {
        server.fail(Fault::new(effect).key("a"));
        let (status, code) = put(&server, "a").await.refusal();
        assert_eq!((status, code.as_str()), refusal);
    }
    assert_eq!(server.keys(BUCKET), Vec::<String>::new());
}

#[tokio::test]
async fn an_error_after_the_write_leaves_it_written() {
    let server = lake();
    server.fail(Fault::new(Effect::ErrorAfter).on(Operation::PutObject));
    let create = || Ask::put(&server, "/lake/a", "text").header("if-none-match", "*").send();
    assert_eq!(create().await.refusal(), (500, "InternalError".to_owned()));
    assert_eq!(server.get_raw(BUCKET, "a").expect("an object"), "text");
    assert_eq!(create().await.status, 412);
}

#[tokio::test]
async fn an_error_after_the_write_waits_for_a_write_that_takes_effect() {
    let server = lake();
    server.put_raw(BUCKET, "a", "old");
    server.fail(Fault::new(Effect::ErrorAfter));
    let create = Ask::put(&server, "/lake/a", "text").header("if-none-match", "*").send().await;
    assert_eq!(create.status, 412);
    assert_eq!(put(&server, "a").await.status, 500);
    assert_eq!(server.open_faults(), 0);
}

#[tokio::test]
async fn a_connection_can_close_before_and_after_the_write() {
    let server = lake();
    server.fail(Fault::new(Effect::Close).key("before"));
    server.fail(Fault::new(Effect::CloseAfter).key("after"));
    for key in ["before", "after"] {
        let lost = Ask::put(&server, &format!("/lake/{key}"), "text").try_send().await;
        assert!(lost.is_err(), "{lost:?}");
    }
    assert_eq!(server.keys(BUCKET), ["after"]);
}

#[tokio::test]
async fn an_answer_can_fail_to_come_before_and_after_the_write() {
    let server = lake();
    server.fail(Fault::new(Effect::Hang).key("before"));
    server.fail(Fault::new(Effect::HangAfter).key("after"));
    for key in ["before", "after"] {
        let silence = timeout(Duration::from_millis(300), put(&server, key)).await;
        assert!(silence.is_err(), "{silence:?}");
    }
    assert_eq!(server.keys(BUCKET), ["after"]);
}

#[tokio::test]
async fn a_body_can_be_cut_in_the_middle() {
    let server = lake();
    server.put_raw(BUCKET, "a", vec![7; 1_000_000]);
    server.fail(Fault::new(Effect::CutAfter(100_000)).on(Operation::GetObject));
    let cut = Ask::get(&server, "/lake/a").try_send().await;
    assert!(cut.is_err(), "{cut:?}");
    assert_eq!(server.counts().bytes_out, 100_000);
    let whole = Ask::get(&server, "/lake/a").send().await;
    assert_eq!(whole.body.len(), 1_000_000);
}

#[tokio::test]
async fn the_bytes_before_a_cut_arrive() {
    let server = lake();
    server.put_raw(BUCKET, "a", "0123456789");
    server.fail(Fault::new(Effect::CutAfter(4)));
    let store = builder(&server).build().expect("a store");
    let got = object_store::ObjectStoreExt::get(&store, &"a".into()).await.expect("the head of the answer");
    assert_eq!(got.meta.size, 10);
    let mut body = got.into_stream();
    let first = futures::StreamExt::next(&mut body).await.expect("a piece").expect("bytes");
    assert_eq!(first, "0123");
}

#[tokio::test]
async fn a_body_can_be_slow() {
    let server = lake();
    server.put_raw(BUCKET, "a", "0123456789");
    let delay = Duration::from_millis(40);
    server.fail(Fault::new(Effect::SlowBody { chunk: 2, delay }));
    let start = Instant::now();
    assert_eq!(Ask::get(&server, "/lake/a").send().await.text(), "0123456789");
    assert!(start.elapsed() >= delay * 5, "{:?}", start.elapsed());
}

#[tokio::test]
async fn one_request_or_all_can_be_late() {
    let server = lake();
    let late = Duration::from_millis(120);
    server.fail(Fault::new(Effect::Latency(late)));
    let start = Instant::now();
    assert_eq!(put(&server, "a").await.status, 200);
    assert!(start.elapsed() >= late, "{:?}", start.elapsed());
    server.set_latency(late);
    let start = Instant::now();
    assert_eq!(put(&server, "a").await.status, 200);
    assert!(start.elapsed() >= late, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_redirect_leads_to_the_same_path_elsewhere() {
    let (here, there) = (lake(), lake());
    there.put_raw(BUCKET, "a", "text");
    here.fail(Fault::new(Effect::Redirect(there.endpoint())));
    // The client follows, and leaves out its signature.
    let followed = Ask::get(&here, "/lake/a").send().await;
    assert_eq!(followed.refusal(), (403, "AccessDenied".to_owned()));
    assert_eq!(there.log()[0].key, "a");
    assert_eq!(here.log()[0].status, 307);
}

#[tokio::test]
async fn orders_can_be_for_ever_and_taken_back() {
    let server = lake();
    server.fail(Fault::new(Effect::SlowDown).always());
    for _ in 0..3 {
        assert_eq!(Ask::new(&server, Method::HEAD, "/lake").send().await.status, 503);
    }
    server.heal();
    assert_eq!(Ask::new(&server, Method::HEAD, "/lake").send().await.status, 200);
}

#[test]
fn a_server_stops_when_it_is_dropped_also_while_an_answer_hangs() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = lake();
    server.fail(Fault::new(Effect::Hang));
    let asked = runtime.spawn(Ask::get(&server, "/lake/a").try_send());
    while server.counts().total() == 0 {
        std::thread::yield_now();
    }
    let address = server.endpoint().replace("http://", "");
    drop(server);
    assert!(runtime.block_on(asked).expect("a task").is_err());
    assert!(std::net::TcpStream::connect(address).is_err());
}
