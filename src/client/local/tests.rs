//! One file and its writers: races, links, orphans, names.

use super::*;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn at(path: &Path) -> LocalFile {
    LocalFile::open(&Location::from(path), path).expect("opened")
}

fn staged(file: &LocalFile, text: &str) -> Stage {
    let mut stage = file.stage().expect("staged");
    stage.file().write_all(text.as_bytes()).expect("written");
    stage
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("listed").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn of_two_creators_one_wins_and_nothing_is_left_behind() {
    let folder = folder();
    let file = at(&folder.path().join("a.csv"));
    let (first, second) = (staged(&file, "1"), staged(&file, "2"));
    assert!(matches!(first.commit(None).expect("commits"), Commit::Committed(_)));
    assert_eq!(second.commit(None).expect("commits"), Commit::Conflict);
    assert_eq!(fs::read_to_string(file.path()).expect("read"), "1");
    assert_eq!(names(folder.path()), ["a.csv"]);
}

#[test]
fn a_file_that_changed_since_it_was_read_is_not_replaced() {
    let folder = folder();
    let path = folder.path().join("a.csv");
    fs::write(&path, "old").expect("written");
    let file = at(&path);
    let locked = file.lock(&Session::default()).expect("locks").expect("exists");
    let stage = staged(&file, "new");
    fs::write(&path, "foreign").expect("written");
    assert_eq!(stage.commit(Some(locked.version())).expect("commits"), Commit::Conflict);
    assert_eq!(fs::read_to_string(&path).expect("read"), "foreign");
}

#[test]
fn mode_is_kept_and_a_link_stays_a_link() {
    let folder = folder();
    let (real, link) = (folder.path().join("real.csv"), folder.path().join("link.csv"));
    fs::write(&real, "old").expect("written");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("mode");
    symlink("real.csv", &link).expect("linked");
    let file = at(&link);
    let locked = file.lock(&Session::default()).expect("locks").expect("exists");
    let stage = staged(&file, "new");
    assert!(matches!(stage.commit(Some(locked.version())).expect("commits"), Commit::Committed(_)));
    assert_eq!(fs::read_to_string(&real).expect("read"), "new");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(fs::metadata(&real).expect("there").permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_a_crash_left_is_removed_and_what_is_in_use_is_not() {
    let folder = folder();
    let file = at(&folder.path().join("a.csv"));
    fs::write(file.path(), "x").expect("written");
    let orphan = folder.path().join(format!(".a.csv.{}{STAGE_SUFFIX}", uuid::Uuid::now_v7().simple()));
    fs::write(&orphan, "half").expect("written");
    let in_use = staged(&file, "half");
    drop(file.lock(&Session::default()).expect("locks"));
    assert!(!orphan.exists());
    assert!(in_use.path().exists());
}

#[test]
fn a_writer_that_waited_sees_the_file_that_took_the_place() {
    let folder = folder();
    let path = folder.path().join("a.csv");
    fs::write(&path, "old").expect("written");
    let file = at(&path);
    let locked = file.lock(&Session::default()).expect("locks").expect("exists");
    std::thread::scope(|scope| {
        let waiter =
            scope.spawn(|| file.lock(&Session::default()).expect("locks").expect("exists").version().clone());
        let stage = staged(&file, "newer");
        let committed = stage.commit(Some(locked.version())).expect("commits");
        drop(locked);
        assert_eq!(Commit::Committed(waiter.join().expect("joins")), committed);
    });
}

#[test]
fn a_cancelled_session_stops_waiting_for_a_lock() {
    let folder = folder();
    let path = folder.path().join("a.csv");
    fs::write(&path, "old").expect("written");
    let file = at(&path);
    let _held = file.lock(&Session::default()).expect("locks");
    let session = Session::default();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| file.lock(&session).map(|_| ()));
        session.cancel();
        let refused = waiter.join().expect("joins");
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
    });
}

#[test]
fn a_name_as_long_as_names_may_be_can_be_staged() {
    let folder = folder();
    let file = at(&folder.path().join("ä".repeat(125) + ".csv"));
    assert!(matches!(staged(&file, "1").commit(None).expect("commits"), Commit::Committed(_)));
}

#[test]
fn devices_and_pipes_are_not_files() {
    let refused = LocalFile::open(&Location::from_path("/dev/null"), Path::new("/dev/null"));
    assert_eq!(refused.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
}

#[test]
fn a_new_file_is_not_taken_for_what_a_crashed_run_left() {
    let folder = folder();
    let path = folder.path().join("a.csv");
    fs::write(&path, "old").expect("written");
    let (file, done) = (at(&path), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    file.remove_orphans();
                }
            });
        }
        let there = (0..2_000).filter(|_| file.stage().expect("staged").path().exists()).count();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(there, 2_000);
    });
}
