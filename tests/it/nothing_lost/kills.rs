//! Runs that are killed, and requests that go wrong, at every point of an upsert.

use std::time::{Duration, Instant};

use super::{Stand, is_soak, say, scenes};
use crate::s3_server::{Effect, Fault};

/// The points at which something is to go wrong, of so many: a few from `first` on, or all of them.
fn sample(points: usize, few: usize, first: usize) -> Vec<usize> {
    let step = if is_soak() { 1 } else { points.div_ceil(few).max(1) };
    (first % step..points).step_by(step).collect()
}

/// Requests of a run in which nothing goes wrong.
fn count(stand: &mut Stand) -> usize {
    stand.reset();
    let server = stand.server.as_ref().expect("a server");
    server.reset_counts();
    let args = stand.args();
    stand.place.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let requests = stand.server.as_ref().expect("a server").counts().total();
    assert!(requests >= 10, "{:?}: {requests} requests: the test sees nothing", stand.kind);
    requests
}

#[test]
fn on_s3_a_run_that_dies_at_any_request_leaves_old_or_new_and_the_next_one_ends_it() {
    for (kind, _) in scenes().filter(|(_, on_s3)| *on_s3) {
        let mut stand = Stand::new(kind, 30, true);
        let requests = count(&mut stand);
        let mut deaths = 0;
        for (first, effect) in [Effect::Hang, Effect::HangAfter].into_iter().enumerate() {
            for point in sample(requests, 10, first) {
                stand.reset();
                let server = stand.server.as_ref().expect("a server");
                server.fail(Fault::new(effect.clone()).skip(point));
                let mut child = stand.start();
                while server.open_faults() > 0 && child.try_wait().expect("asked").is_none() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                // The request has come; what it does is done a moment later.
                std::thread::sleep(Duration::from_millis(20));
                deaths += u32::from(child.try_wait().expect("asked").is_none());
                child.kill().expect("killed");
                child.wait().expect("ended");
                server.heal();
                let what = format!("{kind:?}, {effect:?} at request {point} of {requests}");
                stand.check_interrupted(&what);
                stand.check_run_again(&what);
            }
        }
        say(&format!("nothing lost: {kind:?} on S3, {requests} requests, {deaths} deaths"));
    }
}

#[test]
fn on_s3_a_request_that_goes_wrong_once_changes_nothing_in_the_end() {
    for (kind, _) in scenes().filter(|(_, on_s3)| *on_s3) {
        let mut stand = Stand::new(kind, 30, true);
        let requests = count(&mut stand);
        let effects = [
            Effect::InternalError,
            Effect::ErrorAfter,
            Effect::CloseAfter,
            Effect::Conflict,
            Effect::CutAfter(9),
        ];
        for (first, effect) in effects.into_iter().enumerate() {
            for point in sample(requests, 5, first) {
                stand.reset();
                stand.server.as_ref().expect("a server").fail(Fault::new(effect.clone()).skip(point));
                let args = stand.args();
                let run = stand.place.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
                stand.server.as_ref().expect("a server").heal();
                let what = format!("{kind:?}, {effect:?} at request {point} of {requests}");
                assert_eq!(run.code, Some(0), "{what}: {}", run.err);
                assert_eq!(stand.rows(), stand.story.after, "{what}");
                stand.check_run_again(&what);
            }
        }
    }
}

#[test]
fn on_disk_a_run_that_is_killed_leaves_old_or_new_and_the_next_one_ends_it() {
    let kills = if is_soak() { 200 } else { 12 };
    for (kind, _) in scenes().filter(|(_, on_s3)| !on_s3) {
        let mut stand = Stand::new(kind, 30_000, false);
        stand.reset();
        let started = Instant::now();
        stand.start().wait().expect("ended");
        let whole = started.elapsed();
        let (mut after_first_write, mut deaths) = (0, 0);
        for kill in 1..=kills {
            stand.reset();
            let before = stand.names();
            let mut child = stand.start();
            if kill % 2 == 0 {
                std::thread::sleep(whole * kill / kills);
            } else {
                // How fast it comes to its first write depends on what else this machine does.
                while stand.names() == before && child.try_wait().expect("asked").is_none() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(whole * kill / kills / 3);
            }
            deaths += u32::from(child.try_wait().expect("asked").is_none());
            child.kill().expect("killed");
            child.wait().expect("ended");
            let what = format!("{kind:?} killed at {kill}/{kills} of {whole:?}");
            after_first_write += u32::from(stand.names() != before || stand.rows() != stand.story.before);
            stand.check_interrupted(&what);
            stand.check_run_again(&what);
        }
        say(&format!(
            "nothing lost: {kind:?} on disk, {deaths} of {kills} killed, {after_first_write} after the first write"
        ));
        assert!(after_first_write * 3 >= kills, "{kind:?}: {after_first_write} of {kills} kills saw a write");
    }
}
