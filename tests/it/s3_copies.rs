//! Upserts into large objects: what does not change is copied by the service, and does not pass through here.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Place, counts};
use crate::s3_server::{Effect, Fault, Operation, TestServer};

const ROWS: usize = 40_000;
const GROUP_ROWS: &str = "5000";
const MIB: u64 = 1 << 20;

/// A server, and a place with 40 MB in eight row groups in `stored.parquet`.
fn start() -> (TestServer, Place) {
    let server = TestServer::builder().bucket("lake").start();
    let mut place = Place::new();
    place.set(server.env());
    let line = |id: usize| format!("{id},{:0>1000}\n", id * 7_919 % 1_000_003);
    place.file("stored.csv", format!("id,wide\n{}", (0..ROWS).map(line).collect::<String>()));
    let write = ["write", "stored.csv", "stored.parquet", "--compression", "none"];
    place.run(&[&write[..], &["--row-group-rows", GROUP_ROWS, "--backend", "datafusion"]].concat()).ok();
    // One row in the fourth row group, and two new ones, which join the last.
    place.file("new.csv", format!("id,wide\n17000,changed\n{ROWS},new\n{},new\n", ROWS + 1));
    (server, place)
}

fn put(server: &TestServer, place: &Place) {
    server.put_raw("lake", "t.parquet", place.bytes("stored.parquet"));
    server.reset_counts();
}

fn upsert(place: &Place, source: &str, target: &str) -> Value {
    place.run(&["upsert", source, target, "--id", "id", "--output", "json"]).json()
}

/// The bytes that the same upsert leaves on a disk.
fn on_disk(place: &Place) -> Vec<u8> {
    std::fs::copy(place.path("stored.parquet"), place.path("disk.parquet")).expect("copied");
    let report = upsert(place, "new.csv", "disk.parquet");
    assert_eq!(counts(&report, &["inserted", "updated", "bytes_copied"]), [2, 1, 0]);
    place.bytes("disk.parquet")
}

#[test]
fn row_groups_without_a_change_are_copied_by_the_service() {
    let (server, place) = start();
    let expected = on_disk(&place);
    put(&server, &place);
    let report = upsert(&place, "new.csv", "s3://lake/t.parquet");
    assert_eq!(counts(&report, &["inserted", "updated", "rows_after"]), [2, 1, ROWS as u64 + 2]);
    let [copied, read, written] = counts(&report, &["bytes_copied", "bytes_read", "bytes_written"])[..]
    else {
        panic!("{report}")
    };
    assert_eq!(written, expected.len() as u64);
    assert!(copied > 25 * MIB && read < 15 * MIB, "{report}");
    let asked = server.counts();
    assert!(asked.of(Operation::UploadPartCopy) >= 2, "{asked:?}");
    assert!(asked.bytes_out < read + MIB && asked.bytes_in < written - copied + MIB, "{asked:?}");
    assert!(
        server.get_raw("lake", "t.parquet").expect("there") == expected,
        "the bytes are not those of a disk"
    );
    assert!(server.uploads().is_empty());
    server.reset_counts();
    let again = upsert(&place, "new.csv", "s3://lake/t.parquet");
    assert_eq!(counts(&again, &["unchanged", "bytes_written", "bytes_copied"]), [3, 0, 0]);
}

#[test]
fn a_file_with_bytes_between_its_columns_is_put_together_once() {
    let (_server, place) = start();
    // Polars leaves some.
    let write =
        ["write", "stored.csv", "s3://lake/t.parquet", "--compression", "none", "--backend", "polars"];
    place.run(&[&write[..], &["--row-group-rows", GROUP_ROWS]].concat()).ok();
    let copied =
        |source: &str| counts(&upsert(&place, source, "s3://lake/t.parquet"), &["updated", "bytes_copied"]);
    assert_eq!(copied("new.csv"), [1, 0]);
    place.file("other.csv", "id,wide\n17001,other\n");
    let [1, copied] = copied("other.csv")[..] else { panic!("no row was updated") };
    assert!(copied > 25 * MIB, "{copied}");
    let expected = "id,wide\n17000,changed\n17001,other\n";
    let read = ["read", "s3://lake/t.parquet", "--where", "id in (17000, 17001)", "--output", "csv"];
    assert_eq!(place.run(&read).ok().out, expected);
}

#[test]
fn a_service_that_copies_no_ranges_is_sent_all_bytes() {
    let (server, place) = start();
    let expected = on_disk(&place);
    for (operation, status, code) in [
        (Operation::UploadPartCopy, 501, "NotImplemented"),
        (Operation::UploadPartCopy, 403, "AccessDenied"),
        (Operation::CompleteMultipartUpload, 400, "InvalidPart"),
    ] {
        put(&server, &place);
        // The first upload in parts asks what the service can do.
        let skip = usize::from(operation == Operation::CompleteMultipartUpload);
        server.fail(Fault::new(Effect::Refused(status, code)).on(operation).skip(skip));
        let report = upsert(&place, "new.csv", "s3://lake/t.parquet");
        assert_eq!(
            counts(&report, &["inserted", "updated", "conflicts", "bytes_copied"]),
            [2, 1, 0, 0],
            "{code}"
        );
        assert_eq!(server.open_faults(), 0, "{code}");
        assert!(server.get_raw("lake", "t.parquet").expect("there") == expected, "{code}");
        assert!(server.uploads().is_empty(), "{code}: {:?}", server.uploads());
    }
}

#[test]
fn a_service_that_copies_another_range_than_it_was_told_is_found_out() {
    let (server, place) = start();
    let expected = on_disk(&place);
    put(&server, &place);
    server.ignore_ranges(true);
    let report = upsert(&place, "new.csv", "s3://lake/t.parquet");
    assert_eq!(counts(&report, &["inserted", "updated", "bytes_copied"]), [2, 1, 0]);
    assert!(server.get_raw("lake", "t.parquet").expect("there") == expected);
    assert!(server.uploads().is_empty());
}

#[test]
fn a_copy_that_fails_once_is_asked_for_again() {
    let (server, place) = start();
    let expected = on_disk(&place);
    for effect in
        [Effect::InternalError, Effect::SlowDown, Effect::ErrorAfter, Effect::CloseAfter, Effect::Close]
    {
        put(&server, &place);
        server.fail(Fault::new(effect.clone()).on(Operation::UploadPartCopy).skip(1));
        let report = upsert(&place, "new.csv", "s3://lake/t.parquet");
        assert!(counts(&report, &["bytes_copied"])[0] > 25 * MIB, "{effect:?}");
        assert!(server.get_raw("lake", "t.parquet").expect("there") == expected, "{effect:?}");
        assert_eq!((server.open_faults(), server.uploads().len()), (0, 0), "{effect:?}");
    }
}

#[test]
fn an_object_that_changes_while_it_is_copied_is_folded_into_anew() {
    let (server, place) = start();
    put(&server, &place);
    let held = Duration::from_secs(6);
    server.fail(Fault::new(Effect::Latency(held)).on(Operation::UploadPartCopy));
    place.file("other.csv", "id,wide\n3,other\n");
    thread::scope(|scope| {
        let slow = scope.spawn(|| upsert(&place, "new.csv", "s3://lake/t.parquet"));
        let start = Instant::now();
        while server.counts().of(Operation::UploadPartCopy) == 0 {
            assert!(start.elapsed() < Duration::from_mins(1), "nothing is copied");
            thread::sleep(Duration::from_millis(5));
        }
        let fast = upsert(&place, "other.csv", "s3://lake/t.parquet");
        let slow = slow.join().expect("ends");
        assert_eq!(counts(&slow, &["inserted", "updated"]), [2, 1]);
        assert_eq!(counts(&fast, &["updated"]), [1]);
        // Whoever was second has begun anew.
        assert_eq!(counts(&fast, &["conflicts"])[0] + counts(&slow, &["conflicts"])[0], 1);
    });
    let changed =
        ["read", "s3://lake/t.parquet", "--where", "wide in ('changed', 'other', 'new')", "--output", "csv"];
    let rows = place.run(&[&changed[..], &["--columns", "id"]].concat()).ok().out.clone();
    assert_eq!(rows, format!("id\n3\n17000\n{ROWS}\n{}\n", ROWS + 1));
    assert!(server.uploads().is_empty());
}

#[test]
fn appended_rows_leave_the_stored_ones_to_the_service() {
    let (server, place) = start();
    put(&server, &place);
    place.run(&["write", "new.csv", "s3://lake/t.parquet", "--mode", "append"]).ok();
    let asked = server.counts();
    assert!(asked.bytes_out < 15 * MIB && asked.bytes_in < 15 * MIB, "{asked:?}");
    let count = place.run(&["count", "s3://lake/t.parquet"]).ok().out.clone();
    assert_eq!(count.trim().replace(',', ""), (ROWS + 3).to_string());
}

#[test]
fn a_file_of_a_delta_table_is_made_of_ranges_of_the_one_before() {
    let (server, place) = start();
    let write =
        ["write", "stored.parquet", "s3://lake/t/", "--target-format", "delta", "--compression", "none"];
    place.run(&[&write[..], &["--row-group-rows", GROUP_ROWS]].concat()).ok();
    server.reset_counts();
    let report = upsert(&place, "new.csv", "s3://lake/t/");
    assert_eq!(counts(&report, &["inserted", "updated", "rows_after"]), [2, 1, ROWS as u64 + 2]);
    let asked = server.counts();
    assert!(counts(&report, &["bytes_copied"])[0] > 25 * MIB, "{report}");
    assert!(asked.bytes_in < 15 * MIB && asked.bytes_out < 15 * MIB, "{asked:?}");
    let again = upsert(&place, "new.csv", "s3://lake/t/");
    assert_eq!(counts(&again, &["unchanged", "bytes_written"]), [3, 0]);
    let read =
        place.run(&["read", "s3://lake/t/", "--where", "id = 39999", "--output", "csv"]).ok().out.clone();
    assert_eq!(read, format!("id,wide\n39999,{:0>1000}\n", 39_999 * 7_919 % 1_000_003));
}
