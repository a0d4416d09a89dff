//! Upserts into objects: nothing is lost whoever writes at once, and no more is read than is needed.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use keyfold::arrow::array::{Int64Array, RecordBatch, StringArray};
use keyfold::{Backend, ErrorKind, Frame, MergeRule, UpsertOptions};

use crate::doors::Doors;
use crate::places::Kind;
use crate::run::{Place, counts};
use crate::s3_server::{Entry, Operation, TestServer};

fn place(server: &TestServer) -> Place {
    let mut place = Place::new();
    place.set(server.env());
    place
}

fn row(id: i64, note: &str) -> Frame {
    let batch = RecordBatch::try_from_iter([
        ("id", std::sync::Arc::new(Int64Array::from(vec![id])) as _),
        ("note", std::sync::Arc::new(StringArray::from(vec![note])) as _),
    ]);
    Frame::from(batch.expect("a batch"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_who_create_one_wins() {
    for backend in Backend::names() {
        for kind in Kind::ALL {
            let doors = Doors::at(backend, *kind);
            let writes = (0..32).map(|id| doors.data.write(row(id, "x"), "t.parquet"));
            let outcomes = futures::future::join_all(writes).await;
            let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            assert_eq!(won, 1, "{backend} {kind:?}");
            for lost in outcomes.into_iter().filter_map(Result::err) {
                assert_eq!(lost.kind(), ErrorKind::AlreadyExists, "{lost:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_who_upsert_at_once_none_is_lost() {
    let backend = Backend::names()[0];
    for kind in Kind::ALL {
        let doors = Doors::at(backend, *kind);
        let options = UpsertOptions::default().with_max_retries(500);
        let upserts = (0..32).map(|id| {
            let rule = MergeRule::by_id(["id"]).expect("a rule");
            let (doors, options) = (&doors, options.clone());
            async move { doors.upsert.upsert_opts(row(id, "x"), "t.csv", &rule, options).await }
        });
        for outcome in futures::future::join_all(upserts).await {
            outcome.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        }
        let text = String::from_utf8(doors.bytes("t.csv").expect("there")).expect("text");
        let mut ids: Vec<i64> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').next().expect("an id").parse().expect("a number"))
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..32).collect::<Vec<_>>(), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_who_overwrite_at_once_all_succeed() {
    let backend = Backend::names()[0];
    for kind in Kind::ALL {
        let doors = Doors::at(backend, *kind);
        doors.data.write(row(-1, "x"), "t.parquet").await.expect("written");
        let overwrite = keyfold::WriteOptions::default().with_mode(keyfold::WriteMode::Overwrite);
        let writes = (0..16).map(|id| doors.data.write_opts(row(id, "x"), "t.parquet", overwrite.clone()));
        for outcome in futures::future::join_all(writes).await {
            outcome.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        }
        assert_eq!(
            doors.data.count(&["t.parquet"], keyfold::ReadOptions::default()).await.expect("counts"),
            1
        );
    }
}

/// Eight processes, each with twenty upserts of a row of its own and a row that all of them write.
fn eight_processes(place: &Place, target: &str) {
    const PROCESSES: usize = 8;
    const UPSERTS: usize = 20;
    thread::scope(|scope| {
        for process in 0..PROCESSES {
            scope.spawn(move || {
                for upsert in 0..UPSERTS {
                    let version = upsert * PROCESSES + process;
                    let name = format!("{process}-{upsert}.csv");
                    place.file(
                        &name,
                        format!("id,n\n{},{version}\nshared,{version}\n", 1_000 * process + upsert),
                    );
                    let args =
                        ["upsert", &name, target, "--id", "id", "--modified", "n", "--max-retries", "200"];
                    place.run(&args).ok();
                }
            });
        }
    });
    let rows = place.run(&["read", target, "--output", "csv"]).ok().out.clone();
    let mut found: Vec<(&str, &str)> = rows.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    found.sort_unstable();
    let mut expected: Vec<(String, String)> = (0..PROCESSES)
        .flat_map(|process| (0..UPSERTS).map(move |upsert| (process, upsert)))
        .map(|(process, upsert)| {
            ((1_000 * process + upsert).to_string(), (upsert * PROCESSES + process).to_string())
        })
        .collect();
    // The newest version of the row that all of them write.
    expected.push(("shared".to_owned(), (PROCESSES * UPSERTS - 1).to_string()));
    expected.sort_unstable();
    let expected: Vec<_> = expected.iter().map(|(id, n)| (id.as_str(), n.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn eight_processes_end_as_one_after_the_other_on_s3() {
    let server = TestServer::builder().bucket("lake").start();
    let place = place(&server);
    eight_processes(&place, "s3://lake/t.csv");
    assert_eq!(server.keys("lake"), ["t.csv"]);
}

#[test]
fn eight_processes_end_as_one_after_the_other_on_disk() {
    eight_processes(&Place::new(), "t.csv");
}

#[test]
fn rows_that_are_appended_at_once_are_all_there() {
    let server = TestServer::builder().bucket("lake").start();
    let place = place(&server);
    thread::scope(|scope| {
        for process in 0..6 {
            let place = &place;
            scope.spawn(move || {
                for run in 0..3 {
                    let name = format!("{process}-{run}.csv");
                    place.file(&name, format!("id\n{}\n", 10 * process + run));
                    place.run(&["write", &name, "s3://lake/t.csv", "--mode", "append"]).ok();
                }
            });
        }
    });
    let text = String::from_utf8(server.get_raw("lake", "t.csv").expect("there").to_vec()).expect("text");
    let mut found: Vec<u32> = text.lines().skip(1).map(|id| id.parse().expect("a number")).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        (0..6).flat_map(|process| (0..3).map(move |run| 10 * process + run)).collect::<Vec<_>>()
    );
}

fn signal(child: &Child, signal: &str) {
    let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_mins(1), "it never came");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_writer_that_slept_cannot_overwrite_what_came_meanwhile() {
    let server = TestServer::builder().bucket("lake").start();
    let place = place(&server);
    server.put_raw("lake", "t.csv", "id,n\n1,1\n");
    place.file("slow.csv", "id,n\n1,2\n2,2\n");
    place.file("fast.csv", "id,n\n1,3\n3,3\n");
    let upsert = |source: &'static str| {
        ["upsert", source, "s3://lake/t.csv", "--id", "id", "--modified", "n", "--output", "json"]
    };
    server.set_latency(Duration::from_millis(300));
    let mut command = place.command();
    command.args(upsert("slow.csv")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let slow = command.spawn().expect("started");
    // It has looked at the start, then read what is there, and has not written yet.
    let reads = |e: &Entry| e.operation == Operation::GetObject && e.key == "t.csv";
    wait_for(|| server.log().iter().filter(|entry| reads(entry)).count() == 2);
    signal(&slow, "-STOP");
    server.set_latency(Duration::ZERO);
    let fast = place.run(&upsert("fast.csv")).json();
    assert_eq!(counts(&fast, &["updated", "inserted", "conflicts"]), [1, 1, 0]);
    signal(&slow, "-CONT");
    let output = slow.wait_with_output().expect("ended");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(counts(&report, &["stale", "inserted", "conflicts"]), [1, 1, 1]);
    let text = server.get_raw("lake", "t.csv").expect("there");
    assert_eq!(text, "id,n\n1,3\n3,3\n2,2\n");
}

#[test]
fn an_upsert_that_changes_nothing_reads_the_footer_and_the_keys() {
    for backend in ["polars", "datafusion"] {
        let server = TestServer::builder().bucket("lake").start();
        let place = place(&server);
        let wide = |id: usize| format!("{id},2024-01-01,{:0>200}\n", id * 7_919 % 100_003);
        place.file("stored.csv", format!("id,at,wide\n{}", (0..50_000).map(wide).collect::<String>()));
        let write =
            ["write", "stored.csv", "s3://lake/t.parquet", "--compression", "none", "--backend", backend];
        place.run(&write).ok();
        let size = server.get_raw("lake", "t.parquet").expect("there").len() as u64;
        place.file("old.csv", "id,at,wide\n17,2023-01-01,x\n49000,2023-01-01,y\n");
        server.reset_counts();
        let upsert = ["upsert", "old.csv", "s3://lake/t.parquet", "--id", "id", "--modified", "at"];
        let report = place.run(&[&upsert[..], &["--backend", backend, "--output", "json"]].concat()).json();
        assert_eq!(counts(&report, &["stale", "bytes_written"]), [2, 0]);
        let sent = server.counts().bytes_out;
        // Ids have 8 bytes and dates 4, or less where they are encoded; the wide column has 200 a row.
        let keys = 50_000 * (8 + 4) + 3 * (64 << 10);
        assert!(size > 5_000_000 && sent < keys, "{backend}: {sent} of {size} bytes were sent");
        assert!(server.counts().total() < 12, "{:?}", server.counts());
        assert!(server.log().iter().all(|e| e.operation != Operation::PutObject));
    }
}

#[test]
fn a_read_with_a_limit_fetches_the_first_row_group_alone() {
    let server = TestServer::builder().bucket("lake").start();
    let place = place(&server);
    let line = |id: usize| format!("{id}\n");
    place.file("stored.csv", format!("id\n{}", (0..100_000).map(line).collect::<String>()));
    let write = ["write", "stored.csv", "s3://lake/t.parquet", "--compression", "none"];
    place.run(&[&write[..], &["--row-group-rows", "10000"]].concat()).ok();
    let size = server.get_raw("lake", "t.parquet").expect("there").len() as u64;
    for backend in ["polars", "datafusion"] {
        server.reset_counts();
        let read = ["read", "s3://lake/t.parquet", "--limit", "3", "--output", "csv", "--backend", backend];
        assert_eq!(place.run(&read).ok().out, "id\n0\n1\n2\n");
        let sent = server.counts().bytes_out;
        assert!(size > 500_000 && sent < size / 2, "{backend}: {sent} of {size} bytes were sent");
    }
}

#[test]
fn a_large_object_goes_up_in_parts_and_is_fetched_in_ranges() {
    let server = TestServer::builder().bucket("lake").start();
    let place = place(&server);
    let wide = |id: usize| format!("{id},{:0>200}\n", id * 7_919 % 1_000_003);
    place.file("stored.csv", format!("id,wide\n{}", (0..150_000).map(wide).collect::<String>()));
    place.run(&["write", "stored.csv", "s3://lake/t.csv"]).ok();
    place.file("new.csv", "id,wide\n-1,x\n3,y\n");
    let report =
        place.run(&["upsert", "new.csv", "s3://lake/t.csv", "--id", "id", "--output", "json"]).json();
    assert_eq!(counts(&report, &["inserted", "updated", "rows_after"]), [1, 1, 150_001]);
    assert!(server.counts().of(Operation::UploadPart) >= 4, "{:?}", server.counts());
    assert!(server.uploads().is_empty());
    let expected = place.text("stored.csv").replacen("\n3,", "\n3,y#", 1);
    let (before, after) = expected.split_once("y#").expect("the row");
    let rest = after.split_once('\n').expect("a line").1;
    assert_eq!(server.get_raw("lake", "t.csv").expect("there"), format!("{before}y\n{rest}-1,x\n"));
}

#[test]
fn a_service_that_ignores_conditions_is_refused_unless_nobody_else_writes() {
    let server = TestServer::builder().bucket("lake").start();
    server.ignore_conditions(true);
    let place = place(&server);
    place.file("a.csv", "id\n1\n");
    let refused = place.run(&["upsert", "a.csv", "s3://lake/t.csv", "--id", "id"]);
    assert!(refused.failed(1).contains("ignores the conditions"), "{}", refused.err);
    assert!(server.keys("lake").is_empty() && server.uploads().is_empty());
    place.run(&["upsert", "a.csv", "s3://lake/t.csv", "--id", "id", "--single-writer"]).ok();
    assert_eq!(server.keys("lake"), ["t.csv"]);
}
