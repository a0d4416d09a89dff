//! Runs that are asked to stop, and runs that sleep while others go on.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::{Stand, is_soak, named, say, scenes};

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success(), "{name}");
}

fn is_running(child: &mut Child) -> bool {
    child.try_wait().expect("asked").is_none()
}

/// How long an upsert takes.
fn measure(stand: &mut Stand) -> Duration {
    stand.reset();
    let started = Instant::now();
    assert!(stand.start().wait().expect("ended").success());
    started.elapsed()
}

#[test]
fn a_run_that_is_asked_to_stop_ends_cleanly() {
    let rounds = if is_soak() { 40 } else { 6 };
    for (kind, on_s3) in scenes() {
        let mut stand = Stand::new(kind, if on_s3 { 300 } else { 30_000 }, on_s3);
        let whole = measure(&mut stand);
        let (mut stopped, mut done) = (0, 0);
        for round in 1..=rounds {
            stand.reset();
            let before = stand.names();
            let mut child = stand.start();
            std::thread::sleep(whole * round / rounds);
            let name = if round % 2 == 0 { "INT" } else { "TERM" };
            if is_running(&mut child) {
                signal(&child, name);
            }
            let code = child.wait().expect("ended").code();
            let what = format!("{kind:?}, {name} at {round}/{rounds} of {whole:?}");
            match code {
                Some(0) => done += 1,
                Some(130) => stopped += 1,
                // It came before anybody listened.
                None => {}
                other => panic!("{what}: {other:?}"),
            }
            stand.check_interrupted(&what);
            if code == Some(130) && stand.rows() == stand.story.before {
                let left =
                    stand.names().into_iter().find(|name| !before.contains(name) && !is_of_control(name));
                assert_eq!(left, None, "{what}: left behind");
            }
            stand.check_run_again(&what);
        }
        say(&format!(
            "asked to stop: {}, {stopped} stopped, {done} were done, of {rounds}",
            named(kind, on_s3)
        ));
    }
}

/// Whether a name is that of the record beside a folder.
fn is_of_control(name: &str) -> bool {
    name.ends_with("/head.json")
}

#[test]
fn a_writer_that_sleeps_while_another_goes_on_does_no_harm() {
    let rounds = if is_soak() { 40 } else { 5 };
    for (kind, on_s3) in scenes() {
        let mut stand = Stand::new(kind, if on_s3 { 300 } else { 30_000 }, on_s3);
        let other = stand.other();
        let whole = measure(&mut stand);
        let (mut slept, mut overtaken) = (0, 0);
        for round in 1..=rounds {
            stand.reset();
            let mut sleeper = stand.start();
            std::thread::sleep(whole * round / (rounds + 1));
            let sleeps = is_running(&mut sleeper);
            if sleeps {
                signal(&sleeper, "STOP");
            }
            slept += u32::from(sleeps);
            let mut second = stand.start_with("other.csv");
            // A lock that the sleeper holds makes the second one wait; without one it goes on.
            let patience = Instant::now() + 2 * whole + Duration::from_secs(1);
            while is_running(&mut second) && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(5));
            }
            overtaken += u32::from(sleeps && !is_running(&mut second));
            if sleeps {
                signal(&sleeper, "CONT");
            }
            let what = format!("{kind:?}, asleep at {round}/{rounds} of {whole:?}");
            assert!(sleeper.wait().expect("ended").success(), "{what}: the sleeper failed");
            assert!(second.wait().expect("ended").success(), "{what}: the second failed");
            // One after the other, in whichever order.
            let rows = stand.rows();
            let is_serial =
                [[&stand.story.changes, &other], [&other, &stand.story.changes]].iter().any(|order| {
                    let mut expected = stand.story.before.clone();
                    for changes in order {
                        expected.extend((*changes).clone());
                    }
                    expected == rows
                });
            assert!(is_serial, "{what}: neither order gives this");
        }
        say(&format!(
            "asleep: {}, {slept} of {rounds} slept, {overtaken} were overtaken",
            named(kind, on_s3)
        ));
    }
}
