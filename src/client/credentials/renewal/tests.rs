//! Proof that one asks for all, in time, and that a source in trouble is neither waited for nor hammered.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::Semaphore;

use super::super::server::run;
use super::*;

const START: i64 = 1_800_000_000;

/// A source whose keys are numbered, and which can be told to fail or to wait.
#[derive(Debug)]
struct Source {
    lent: AtomicUsize,
    fails: AtomicUsize,
    same: bool,
    lifetime: i64,
    now: Arc<AtomicI64>,
    gate: Semaphore,
}

#[async_trait]
impl Lender for Source {
    fn name(&self) -> &'static str {
        "a source"
    }

    async fn lend(&self) -> Result<Lease> {
        let turn = self.lent.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.acquire().await.expect("open");
        tokio::task::yield_now().await;
        if self.fails.load(Ordering::SeqCst) > 0 {
            return Err(Error::new(ErrorKind::Io, "out of order").hint("wait"));
        }
        let mut lease = Lease::of(&format!("key{}", if self.same { 0 } else { turn }), "secret", None)?;
        let expires = self.now.load(Ordering::SeqCst) + self.lifetime;
        lease.expires = DateTime::from_timestamp(expires, 0).filter(|_| self.lifetime != 0);
        Ok(lease)
    }
}

struct World {
    source: Arc<Source>,
    renewal: Renewal,
    now: Arc<AtomicI64>,
}

fn world(lifetime: i64, same: bool) -> World {
    let now = Arc::new(AtomicI64::new(START));
    let source = Arc::new(Source {
        lent: AtomicUsize::new(0),
        fails: AtomicUsize::new(0),
        same,
        lifetime,
        now: Arc::clone(&now),
        gate: Semaphore::new(1000),
    });
    let clock = Arc::clone(&now);
    let clock: Clock =
        Arc::new(move || DateTime::from_timestamp(clock.load(Ordering::SeqCst), 0).expect("a time"));
    World { renewal: Renewal::new(Arc::clone(&source) as _, clock), source, now }
}

impl World {
    async fn key(&self) -> Result<String> {
        self.renewal.get().await.map(|lease| lease.credential.key_id.clone())
    }

    async fn key_at(&self, second: i64) -> Result<String> {
        self.now.store(START + second, Ordering::SeqCst);
        self.key().await
    }

    fn lent(&self) -> usize {
        self.source.lent.load(Ordering::SeqCst)
    }

    fn fail(&self, fails: bool) {
        self.source.fails.store(usize::from(fails), Ordering::SeqCst);
    }
}

#[test]
fn a_hundred_callers_at_once_ask_once() {
    let world = world(3600, false);
    let keys = run(join_all((0..100).map(|_| world.key())));
    assert!(keys.into_iter().all(|key| key.expect("a key") == "key0"));
    assert_eq!(world.lent(), 1);
}

#[test]
fn a_hundred_callers_at_once_get_one_failure_for_all() {
    let world = world(3600, false);
    world.fail(true);
    let keys = run(join_all((0..100).map(|_| world.key())));
    assert!(keys.iter().all(|key| key.as_ref().is_err_and(|error| error.message() == "out of order")));
    assert_eq!(world.lent(), 1);
}

#[test]
fn keys_are_renewed_before_they_end() {
    run(async {
        let world = world(3600, false);
        assert_eq!(world.key_at(0).await.expect("a key"), "key0");
        assert_eq!(world.key_at(3600 - 721).await.expect("a key"), "key0");
        assert_eq!(world.key_at(3600 - 719).await.expect("a key"), "key1");
        assert_eq!(world.lent(), 2);
    });
}

#[test]
fn keys_without_an_end_are_not_renewed() {
    run(async {
        let world = world(0, false);
        assert_eq!(world.key_at(0).await.expect("a key"), "key0");
        assert_eq!(world.key_at(1_000_000).await.expect("a key"), "key0");
    });
}

#[test]
fn others_go_on_with_the_old_keys_while_one_renews() {
    run(async {
        let world = world(3600, false);
        world.key().await.expect("a key");
        let shut = world.source.gate.acquire_many(1000).await.expect("open");
        world.now.store(START + 3500, Ordering::SeqCst);
        let mut renewing = Box::pin(world.key());
        assert!(futures::poll!(&mut renewing).is_pending());
        assert_eq!(world.key().await.expect("a key"), "key0");
        drop(shut);
        assert_eq!(renewing.await.expect("a key"), "key1");
        assert_eq!(world.lent(), 2);
    });
}

#[test]
fn the_old_keys_are_served_while_the_source_fails_and_it_is_left_alone_meanwhile() {
    run(async {
        let world = world(3600, false);
        world.key().await.expect("a key");
        world.fail(true);
        for second in [3000, 3001, 3002] {
            assert_eq!(world.key_at(second).await.expect("a key"), "key0");
        }
        assert_eq!(world.lent(), 2);
        assert_eq!(world.key_at(3003).await.expect("a key"), "key0");
        assert_eq!(world.key_at(3008).await.expect("a key"), "key0");
        assert_eq!(world.lent(), 3);
        let error = world.key_at(3600).await.expect_err("the old keys have ended");
        assert_eq!((error.message(), error.hint_text()), ("out of order", Some("wait")));
        world.fail(false);
        assert_eq!(world.key_at(3700).await.expect("a key"), "key4");
    });
}

#[test]
fn all_who_saw_old_keys_expire_get_the_same_new_ones() {
    run(async {
        let world = world(3600, false);
        let old = world.renewal.get().await.expect("keys").credential;
        let renewed = join_all((0..50).map(|_| world.renewal.renew(&old))).await;
        assert!(renewed.iter().all(|lease| lease.as_ref().expect("keys").credential.key_id == "key1"));
        assert_eq!((world.key().await.expect("a key"), world.lent()), ("key1".to_owned(), 2));
    });
}

#[test]
fn a_source_that_lends_the_same_keys_again_is_told_so() {
    run(async {
        let world = world(0, true);
        let old = world.renewal.get().await.expect("keys").credential;
        for _ in 0..10 {
            let error = world.renewal.renew(&old).await.expect_err("no newer keys");
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
        assert_eq!(world.lent(), 2);
    });
}

#[test]
fn keys_that_have_expired_already_are_not_used() {
    run(async {
        let world = world(-1, false);
        assert_eq!(world.key().await.expect_err("expired").kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn keys_end_by_the_clock_of_who_lent_them() {
    let now = DateTime::from_timestamp(START, 0).expect("a time");
    let ahead = times(now, now + TimeDelta::hours(2), TimeDelta::hours(1));
    assert_eq!(ahead.end, now + TimeDelta::hours(1));
}

#[test]
fn the_margin_is_as_promised() {
    let margin = |minutes, skew| margin(TimeDelta::minutes(minutes), TimeDelta::seconds(skew)).num_seconds();
    assert_eq!([margin(5, 0), margin(15, 0), margin(20, 0), margin(60, 0)], [60, 300, 300, 720]);
    assert_eq!([margin(20, 150), margin(20, -150), margin(10, 9999)], [330, 330, 300]);
}
