//! The command line on S3: every command, what it prints, and how it fails.

use std::time::{Duration, Instant};

use crate::run::{Place, counts};
use crate::s3_server::{TestServer, WrongRegion};

const ORDERS: &str = "id,note,at\n1,a,2024-01-01T00:00:00Z\n2,b,2024-01-01T00:00:00Z\n";
const CHANGES: &str = "id,note,at\n2,B,2024-02-01T00:00:00Z\n3,c,2024-02-01T00:00:00Z\n";

fn server() -> TestServer {
    TestServer::builder().bucket("lake").start()
}

fn place(server: &TestServer) -> Place {
    let mut place = Place::new();
    place.set(server.env());
    place
}

#[test]
fn objects_are_put_listed_described_copied_moved_and_removed() {
    let server = server();
    let place = place(&server);
    place.file("a.csv", ORDERS);
    place.run(&["put", "a.csv", "s3://lake/raw/a//b c+%.csv", "--metadata", "owner=etl", "--if-absent"]).ok();
    let again = place.run(&["put", "a.csv", "s3://lake/raw/a//b c+%.csv", "--if-absent"]);
    assert!(again.failed(1).contains("the object exists already"), "{}", again.err);
    assert_eq!(place.run(&["cat", "s3://lake/raw/a//b c+%.csv"]).ok().out, ORDERS);
    let stat = place.run(&["stat", "s3://lake/raw/a//b c+%.csv", "--output", "json"]).json();
    assert_eq!(
        (stat["content_type"].as_str(), stat["metadata"]["owner"].as_str()),
        (Some("text/csv"), Some("etl"))
    );
    let e_tag = stat["e_tag"].as_str().expect("an etag");
    place.run(&["put", "a.csv", "s3://lake/raw/a//b c+%.csv", "--if-match", e_tag]).ok();
    place.run(&["cp", "s3://lake/raw/a//b c+%.csv", "s3://lake/copy.csv"]).ok();
    place.run(&["mv", "s3://lake/copy.csv", "s3://lake/moved/"]).ok();
    place.run(&["cp", "s3://lake/moved/copy.csv", "."]).ok();
    assert_eq!(place.text("copy.csv"), ORDERS);
    let listed = place.run(&["ls", "s3://lake/"]).ok().out.clone();
    assert_eq!(
        listed.lines().map(|line| line[38..].trim()).collect::<Vec<_>>(),
        ["s3://lake/moved/", "s3://lake/raw/"]
    );
    let all = place.run(&["ls", "s3://lake/", "--recursive", "--output", "json"]).json();
    let keys: Vec<_> = all["objects"]
        .as_array()
        .expect("objects")
        .iter()
        .map(|o| o["key"].as_str().expect("a key"))
        .collect();
    assert_eq!(keys, ["moved/copy.csv", "raw/a//b c+%.csv"]);
    assert!(place.run(&["rm", "s3://lake/raw/"]).failed(2).contains("--recursive"));
    place.run(&["rm", "s3://lake/raw/", "--recursive", "--dry-run"]).ok();
    assert_eq!(server.keys("lake").len(), 2);
    let removed = place.run(&["rm", "s3://lake/raw/", "-r", "--output", "json"]).json();
    assert_eq!(counts(&removed, &["count"]), [1]);
    place.run(&["rm", "s3://lake/moved/copy.csv"]).ok();
    assert!(place.run(&["rm", "s3://lake/moved/copy.csv"]).failed(1).contains("there is no such object"));
    assert!(server.keys("lake").is_empty());
}

#[test]
fn what_would_lose_something_by_a_slip_is_refused() {
    let server = server();
    let place = place(&server);
    place.file("a.csv", ORDERS);
    place
        .run(&["put", "a.csv", "s3://lake/a.csv", "--metadata", "owner=me", "--content-type", "text/x"])
        .ok();
    // An empty variable in a script.
    place.run(&["put", "a.csv", "s3://lake/a.csv", "--if-match", ""]).failed(2);
    place.run(&["put", "a.csv", "s3://lake/folder/"]).failed(2);
    place.run(&["cp", "s3://lake/a.csv", "-"]).failed(2);
    assert!(place.run(&["rm", "s3://lake/a.csv", "s3://lake/no.csv"]).failed(1).contains("no such object"));
    for command in
        [&["upsert", "a.csv", "s3://lake/*.csv.csv", "--id", "id"][..], &["write", "a.csv", "[x].csv"]]
    {
        assert!(place.run(command).failed(2).contains("a target cannot be a pattern"));
    }
    assert_eq!(server.keys("lake"), ["a.csv"]);
    place.file("changes.csv", CHANGES);
    place.run(&["upsert", "changes.csv", "s3://lake/a.csv", "--id", "id"]).ok();
    let stat = place.run(&["stat", "s3://lake/a.csv", "--output", "json"]).json();
    assert_eq!(
        (stat["content_type"].as_str(), stat["metadata"]["owner"].as_str()),
        (Some("text/x"), Some("me"))
    );
}

#[test]
fn an_upload_that_is_interrupted_leaves_no_parts() {
    let server = server();
    let place = place(&server);
    place.file("big.bin", vec![b'x'; 100 << 20]);
    server.set_latency(Duration::from_millis(200));
    let mut command = place.command();
    let child = command.args(["cp", "big.bin", "s3://lake/big.bin"]).spawn().expect("started");
    let start = Instant::now();
    while server.uploads().is_empty() {
        assert!(start.elapsed() < Duration::from_mins(1), "no upload began");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130));
    assert!(server.uploads().is_empty() && server.keys("lake").is_empty());
}

#[test]
fn standard_input_becomes_an_object_and_an_object_standard_output() {
    let server = server();
    let place = place(&server);
    let put = place.pipe(&["put", "-", "s3://lake/piped.csv", "--output", "json"], ORDERS.as_bytes());
    assert_eq!(counts(&put.json(), &["size"]), [ORDERS.len() as u64]);
    assert_eq!(server.get_raw("lake", "piped.csv").as_deref(), Some(ORDERS.as_bytes()));
    assert_eq!(place.run(&["cat", "s3://lake/piped.csv", "s3://lake/piped.csv"]).ok().out, ORDERS.repeat(2));
}

#[test]
fn buckets_are_made_found_listed_and_removed_only_when_empty() {
    let server = server();
    let place = place(&server);
    place.run(&["bucket", "create", "other", "--region", "eu-west-1"]).ok();
    assert_eq!(place.run(&["bucket", "location", "other"]).ok().out, "eu-west-1\n");
    let listed = place.run(&["bucket", "ls"]).ok().out.clone();
    assert!(listed.contains("s3://lake\n") && listed.contains("s3://other\n"), "{listed}");
    assert_eq!(place.run(&["ls"]).ok().out, listed);
    place.file("a.csv", ORDERS);
    place.run(&["cp", "a.csv", "s3://lake/"]).ok();
    assert!(place.run(&["bucket", "rm", "lake"]).failed(1).contains("the bucket is not empty"));
    place.run(&["bucket", "rm", "lake", "--force"]).ok();
    assert!(place.run(&["bucket", "location", "lake"]).failed(1).contains("the bucket does not exist"));
}

#[test]
fn a_presigned_url_is_printed_alone() {
    let server = server();
    let place = place(&server);
    let run = place.run(&["presign", "s3://lake/a b.csv", "--expires-in", "60"]);
    let url = run.ok().out.trim();
    assert!(url.starts_with(&format!("{}/lake/a%20b.csv?X-Amz-Algorithm=", server.endpoint())), "{url}");
    assert_eq!(run.err, "");
    assert!(place.run(&["presign", "s3://lake/a", "--expires-in", "604801"]).failed(2).contains("7 days"));
}

#[test]
fn rows_are_written_read_counted_and_folded_as_on_disk() {
    for backend in ["polars", "datafusion"] {
        for extension in ["csv", "ndjson", "parquet"] {
            let server = server();
            let place = place(&server);
            place.file("orders.csv", ORDERS);
            place.file("changes.csv", CHANGES);
            let target = format!("s3://lake/in/orders.{extension}");
            let run = |args: &[&str]| place.run(&[args, &["--backend", backend]].concat());
            run(&["write", "orders.csv", &target]).ok();
            assert!(run(&["write", "orders.csv", &target]).failed(1).contains("exists already"));
            run(&["write", "changes.csv", "s3://lake/changes.csv"]).ok();
            let upsert = [
                "upsert",
                "s3://lake/changes.csv",
                &target,
                "--id",
                "id",
                "--modified",
                "at",
                "--output",
                "json",
            ];
            let report = run(&upsert).json();
            assert_eq!(counts(&report, &["inserted", "updated", "rows_before", "rows_after"]), [1, 1, 2, 3]);
            assert_eq!(
                report["version_after"].as_str(),
                server.etag("lake", &format!("in/orders.{extension}")).as_deref()
            );
            server.reset_counts();
            assert_eq!(counts(&run(&upsert).json(), &["unchanged", "bytes_written"]), [2, 0]);
            assert_eq!(server.counts().of(crate::s3_server::Operation::PutObject), 0);
            let read =
                ["read", "s3://lake/in/*", "--columns", "note", "--where", "id >= 2", "--output", "csv"];
            assert_eq!(run(&read).ok().out, "note\nB\nc\n", "{backend} {extension}");
            assert_eq!(place.run(&["count", &target]).ok().out, "3\n");
            assert!(place.run(&["schema", &target]).ok().out.contains("note"));
            run(&["write", "orders.csv", &target, "--mode", "append"]).ok();
            assert_eq!(place.run(&["count", &target]).ok().out, "5\n");
            // A new object, and nothing beside it.
            let new = format!("s3://lake/new.{extension}");
            let created = run(&["upsert", "orders.csv", &new, "--id", "id", "--output", "json"]).json();
            assert_eq!(created["created"].as_bool(), Some(true));
            let keys =
                ["changes.csv".to_owned(), format!("in/orders.{extension}"), format!("new.{extension}")];
            assert_eq!(server.keys("lake"), keys);
        }
    }
}

/// Runs a command that has to fail soon, and gives what it says.
#[track_caller]
fn fails(place: &Place, args: &[&str]) -> String {
    let start = Instant::now();
    let run = place.run(args);
    assert!(start.elapsed() < Duration::from_secs(15), "{args:?} took {:?}", start.elapsed());
    run.failed(1).to_owned()
}

#[test]
fn what_is_wrong_is_told_within_seconds() {
    let server = TestServer::builder()
        .bucket("lake")
        .bucket_in("far", "eu-west-1")
        .wrong_region(WrongRegion::default())
        .start();
    let mut place = place(&server);
    let read = |bucket: &str| format!("s3://{bucket}/a.csv");
    assert!(fails(&place, &["read", &read("lake")]).contains("there is no such file"));
    assert!(fails(&place, &["read", &read("nowhere")]).contains("the bucket does not exist"));
    place.file("a.csv", ORDERS);
    assert!(fails(&place, &["write", "a.csv", &read("nowhere")]).contains("the bucket does not exist"));
    let far = fails(&place, &["read", &read("far")]);
    assert!(far.contains("the bucket is in another region") && far.contains("eu-west-1"), "{far}");
    place.set([("AWS_SECRET_ACCESS_KEY", "canary".to_owned())]);
    let wrong = fails(&place, &["cat", &read("lake")]);
    assert!(wrong.contains("the secret access key is wrong") && !wrong.contains("canary"), "{wrong}");
    assert!(fails(&place, &["read", &read("lake")]).contains("the secret access key is wrong"));
    place.set([("AWS_ACCESS_KEY_ID", "nobody".to_owned())]);
    assert!(fails(&place, &["ls", "s3://lake/"]).contains("does not know the access key"));
    server.lend_key("lent", "secret", "token", Duration::from_mins(1));
    server.expire_key("lent");
    place.set([
        ("AWS_ACCESS_KEY_ID", "lent".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_SESSION_TOKEN", "token".to_owned()),
    ]);
    assert!(fails(&place, &["ls", "s3://lake/"]).contains("have expired"));
    place.set([("AWS_ENDPOINT_URL", "http://127.0.0.1:9".to_owned())]);
    assert!(fails(&place, &["ls", "s3://lake/"]).contains("the service cannot be reached"));
    let nobody = Place::new();
    assert!(fails(&nobody, &["ls", "s3://lake/"]).contains("no credentials were found"));
}

#[test]
fn plain_http_is_for_this_machine_unless_it_is_allowed() {
    let place = Place::new();
    let run = place.run(&[
        "ls",
        "s3://lake/",
        "--endpoint-url",
        "http://s3.example",
        "--access-key-id",
        "a",
        "--secret-access-key",
        "b",
    ]);
    assert!(run.failed(2).contains("--allow-http"), "{}", run.err);
}

#[test]
fn a_presigned_url_can_be_read_like_a_file() {
    for backend in ["polars", "datafusion"] {
        for extension in ["csv", "ndjson", "parquet"] {
            let server = server();
            let place = place(&server);
            place.file("orders.csv", ORDERS);
            let target = format!("s3://lake/orders.{extension}");
            place.run(&["write", "orders.csv", &target]).ok();
            let url = place.run(&["presign", &target]).ok().out.trim().to_owned();
            let nobody = Place::new();
            let read = nobody.run(&["read", &url, "--output", "csv", "--backend", backend, "-vv"]);
            assert_eq!(read.ok().out, ORDERS, "{backend} {extension}");
            assert!(!read.err.contains("X-Amz-Signature"), "{}", read.err);
            let refused = nobody.run(&["write", "-", &url, "--target-format", extension]);
            assert!(!refused.err.contains("X-Amz-Signature") && refused.code != Some(0), "{}", refused.err);
            let tampered = url.replace("orders", "others");
            let failed = nobody.run(&["read", &tampered]);
            assert!(failed.failed(1).contains("the server refused access"), "{}", failed.err);
        }
    }
}

#[test]
fn a_name_with_control_characters_prints_in_one_line() {
    let server = server();
    let place = place(&server);
    place.file("a.csv", ORDERS);
    let (odd, shown) = ("s3://lake/a\nb\u{1b}[2J.csv", "s3://lake/a\\nb\\u{1b}[2J.csv");
    for (args, lines) in [
        (&["put", "a.csv", odd][..], 1),
        (&["cp", "a.csv", odd], 1),
        (&["ls", "s3://lake/"], 1),
        (&["stat", odd], 5),
        (&["rm", odd], 1),
    ] {
        let run = place.run(args);
        let said = format!("{}{}", run.ok().out, run.err);
        assert!(said.contains(shown) && said.lines().count() == lines, "{args:?}: {said:?}");
    }
}

#[test]
fn no_command_prints_a_secret_however_much_is_logged() {
    const SECRET: &str = "canary/secret+key";
    let server = TestServer::builder().key("tester", SECRET).bucket("lake").start();
    server.lend_key("lent", SECRET, "canary-token", Duration::from_mins(10));
    let permanent = place(&server);
    let mut lent = place(&server);
    lent.set([("AWS_ACCESS_KEY_ID", "lent".to_owned()), ("AWS_SESSION_TOKEN", "canary-token".to_owned())]);
    let commands: &[(i32, &[&str])] = &[
        (0, &["put", "orders.csv", "s3://lake/a.csv", "--output", "json"]),
        (0, &["write", "orders.csv", "s3://lake/a.parquet", "--mode", "overwrite"]),
        (0, &["upsert", "orders.csv", "s3://lake/a.parquet", "--id", "id", "--output", "json"]),
        (0, &["read", "s3://lake/a.parquet", "--backend", "datafusion"]),
        (0, &["count", "s3://lake/*.csv"]),
        (0, &["schema", "s3://lake/a.csv"]),
        (0, &["ls", "s3://lake/", "--output", "json"]),
        (0, &["stat", "s3://lake/a.csv"]),
        (0, &["cat", "s3://lake/a.csv"]),
        (1, &["cat", "s3://lake/missing.csv"]),
        (0, &["cp", "s3://lake/a.csv", "s3://lake/b.csv"]),
        (0, &["mv", "b.csv", "s3://lake/b.csv"]),
        (0, &["mv", "s3://lake/gone.csv", "s3://lake/c.csv"]),
        (1, &["ls", "s3://nowhere/"]),
        (0, &["bucket", "ls"]),
        (1, &["bucket", "create", "lake"]),
        (0, &["rm", "s3://lake/gone.csv"]),
        (0, &["ls", "--help"]),
    ];
    for place in [permanent, lent] {
        place.file("orders.csv", ORDERS);
        for (code, command) in commands {
            for logged in [&["--log-level", "trace"][..], &["-vv", "--log-format", "json"]] {
                place.file("b.csv", ORDERS);
                server.put_raw("lake", "gone.csv", ORDERS);
                let run = place.run(&[command, logged].concat());
                assert_eq!(run.code, Some(*code), "{command:?}: {}", run.err);
                for said in [&run.out, &run.err] {
                    assert!(!said.contains("canary"), "{command:?} {logged:?} said:\n{said}");
                }
            }
        }
    }
}
