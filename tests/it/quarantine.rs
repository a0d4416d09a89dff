//! Rows that are left out and kept: where they go, what is refused, and what is there after a failure.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Place, Run, counts};
use crate::s3_server::{Effect, Fault, Operation, TestServer};

const STORED: &str = "id,note,at\n1,a,5\n2,b,5\n";
const CHANGES: &str = "id,note,at\n,x,6\n1,A,6\n2,old,4\n";
const RULE: [&str; 8] =
    ["--id", "id", "--modified", "at", "--null-ids", "quarantine", "--stale", "quarantine"];

fn place() -> Place {
    let place = Place::new();
    place.file("t.csv", STORED);
    place.file("in.csv", CHANGES);
    place
}

fn upsert(place: &Place, target: &str, more: &[&str]) -> Run {
    place.run(&[&["upsert", "in.csv", target], &RULE[..], more].concat())
}

/// The rows in quarantine, without the names of runs, in any order.
fn kept(place: &Place, quarantine: &str) -> Vec<String> {
    let rows = place.run(&["read", quarantine, "--output", "csv"]).ok().out.clone();
    let cut = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        [&fields[..4], &fields[5..]].concat().join(",")
    };
    let mut rows: Vec<String> = rows.lines().map(cut).collect();
    assert_eq!(rows.remove(0), "id,note,at,_keyfold_reason,_keyfold_source_row");
    rows.sort();
    rows
}

#[test]
fn rows_stand_there_as_they_came_in_once_for_each_run() {
    let place = place();
    let mut expected = "id,note,at,_keyfold_reason,_keyfold_run_id,_keyfold_source_row\n".to_owned();
    for _ in 0..2 {
        let run = upsert(&place, "t.csv", &["--quarantine", "q.csv", "--output", "json"]);
        let report = run.json();
        assert_eq!(counts(&report, &["stale", "rejected", "quarantined"]), [1, 1, 2]);
        assert_eq!(report["quarantine"], Value::from("q.csv"));
        let name = report["run_id"].as_str().expect("a name");
        expected = format!("{expected},x,6,null id,{name},1\n2,old,4,stale,{name},3\n");
        assert_eq!(place.text("q.csv"), expected);
        assert_eq!(place.text("t.csv"), "id,note,at\n1,A,6\n2,b,5\n");
    }
    let told = upsert(&place, "t.csv", &["--quarantine", "q.csv"]).ok().out.clone();
    assert!(told.contains("\n  skipped   1 stale, 1 rejected\n  put aside 2 rows in q.csv\n"), "{told}");
}

#[test]
fn every_kind_of_place_takes_rows_again_and_again() {
    for target in ["t.csv", "t.parquet", "t.ndjson", "t"] {
        let place = place();
        if target != "t.csv" {
            place.run(&["write", "t.csv", target]).ok();
        }
        // A folder of files is told from a table by what is there.
        upsert(&place, target, &["--quarantine", "seed.parquet"]).ok();
        std::fs::create_dir(place.path("folder")).expect("made");
        std::fs::rename(place.path("seed.parquet"), place.path("folder/a.parquet")).expect("moved");
        for quarantine in ["q.csv", "q.tsv", "q.ndjson", "q.parquet", "q", "folder"] {
            for backend in ["polars", "datafusion"] {
                let more = ["--quarantine", quarantine, "--backend", backend];
                upsert(&place, target, &more).ok();
            }
            let times = if quarantine == "folder" { 3 } else { 2 };
            let once = [",x,6,null id,1", "2,old,4,stale,3"].map(|row| vec![row; times]);
            assert_eq!(kept(&place, quarantine), once.concat(), "{target} {quarantine}");
        }
    }
}

#[test]
fn what_no_rows_can_be_added_to_is_refused_before_anything_is_written() {
    let place = place();
    place.file("other.csv", "id,other\n1,x\n");
    place.file("lines.json.gz", "");
    std::fs::create_dir(place.path("full")).expect("made");
    std::fs::write(place.path("full/notes.txt"), "x").expect("written");
    let before = place.names();
    for (quarantine, code, told) in [
        ("t.csv", 2, "the quarantine is the target"),
        ("./t.csv", 2, "the quarantine is the target"),
        ("t.csv/q.csv", 2, "the quarantine is the target"),
        ("-", 2, "rows in quarantine cannot go to standard output"),
        ("q.xyz", 2, "the format of the new file cannot be told"),
        ("ftp://q.csv", 2, "unknown kind of location"),
        ("q.json", 1, "can be read and written, but not changed"),
        ("q.csv.gz", 1, "can be read and written, but not changed"),
        ("q.arrow", 1, "can be read and written, but not changed"),
        ("lines.json.gz", 1, "can be read and written, but not changed"),
        ("none/q.csv", 1, "the folder does not exist (folder: none, quarantine: none/q.csv"),
        (
            "other.csv",
            1,
            "and so the target is left as it was (quarantine: other.csv, rows: 2, target: t.csv)",
        ),
        ("full", 1, "and so the target is left as it was (quarantine: full, rows: 2, target: t.csv)"),
    ] {
        let run = upsert(&place, "t.csv", &["--quarantine", quarantine]);
        assert!(run.failed(code).contains(told), "{quarantine}: {}", run.err);
        assert_eq!((place.text("t.csv").as_str(), place.names()), (STORED, before.clone()), "{quarantine}");
    }
    upsert(&place, "t.csv", &["--quarantine", "none/q.csv", "--mkdir"]).ok();
    assert_eq!(kept(&place, "none/q.csv").len(), 2);
}

#[test]
fn rows_and_their_place_are_said_together() {
    let place = place();
    let said = |flags: &str| {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        place.run(&[&["upsert", "in.csv", "t.csv", "--id", "id", "--modified", "at"], &flags[..]].concat())
    };
    for (flags, told) in [
        ("--null-ids quarantine", "rows are to go into a quarantine, and none is named (flag: --null-ids)"),
        ("--stale quarantine", "rows are to go into a quarantine, and none is named (flag: --stale)"),
        ("--quarantine q.csv", "nothing would go into the quarantine (quarantine: q.csv)"),
        ("--null-ids skip --stale ignore --quarantine q.csv", "nothing would go into the quarantine"),
    ] {
        let run = said(flags);
        assert!(run.failed(2).contains(told), "{}", run.err);
    }
    // What a rule says of rows holds wherever they go.
    place.file("rule.toml", "id = 'id'\nnull-ids = 'quarantine'\n");
    place.run(&["check", "rule.toml"]).ok();
    place.file("rule.toml", "id = 'id'\nquarantine = 'q.csv'\n");
    assert!(place.run(&["check", "rule.toml"]).failed(2).contains("quarantine"));
}

#[test]
fn a_dry_run_counts_them_and_writes_nothing() {
    let place = place();
    let before = place.names();
    let more = ["--quarantine", "q.csv", "--output", "json", "--dry-run"];
    let report = upsert(&place, "t.csv", &more).json();
    assert_eq!(counts(&report, &["updated", "quarantined"]), [1, 2]);
    assert_eq!((place.text("t.csv").as_str(), place.names()), (STORED, before));
}

#[test]
fn json_stays_as_it_was_sent_in_the_target_and_in_a_quarantine_of_json() {
    let place = Place::new();
    place.file("in.ndjson", "{\"v\":3.10,\"s\":[1, 2]}\n{\"id\":1,\"v\":1e3}\n{\"v\":\"x\\u0021\"}\n");
    let fold = |quarantine: &str| {
        place.file("t.ndjson", "{\"id\":1,\"v\":1.50,\"s\":null}\n");
        let flags = ["--id", "id", "--null-ids", "quarantine", "--quarantine", quarantine];
        place.run(&[&["upsert", "in.ndjson", "t.ndjson"], &flags[..]].concat()).ok();
        assert_eq!(place.text("t.ndjson"), "{\"id\":1,\"v\":1e3,\"s\":null}\n");
    };
    for _ in 0..2 {
        fold("q.ndjson");
        fold("q.csv");
    }
    let json: Vec<String> = place
        .text("q.ndjson")
        .lines()
        .map(|line| line.split(",\"_keyfold_run").next().unwrap().into())
        .collect();
    let once = [
        r#"{"v":3.10,"s":[1, 2],"id":null,"_keyfold_reason":"null id""#,
        r#"{"v":"x\u0021","s":null,"id":null,"_keyfold_reason":"null id""#,
    ];
    assert_eq!(json, [once, once].concat());
    let text = place.text("q.csv");
    let texts: Vec<&str> = text.lines().skip(1).map(|line| line.split(",null id").next().unwrap()).collect();
    assert_eq!(texts, ["3.10,\"[1, 2]\",", "x!,,", "3.10,\"[1, 2]\",", "x!,,"]);
}

#[test]
fn nothing_is_made_where_no_row_is_left_out() {
    let place = place();
    place.file("in.csv", "id,note,at\n1,A,6\n");
    for quarantine in ["q.csv", "q"] {
        let run = upsert(&place, "t.csv", &["--quarantine", quarantine]);
        assert!(!run.ok().out.contains("put aside"), "{}", run.out);
    }
    assert_eq!(place.names(), ["in.csv", "t.csv"]);
}

#[test]
fn rows_that_come_from_a_quarantine_do_not_go_into_one_with_its_columns() {
    let place = place();
    upsert(&place, "t.csv", &["--quarantine", "q.csv"]).ok();
    let again = |more: &[&str]| place.run(&[&["upsert", "q.csv", "t.csv"], &RULE[..], more].concat());
    let run = again(&["--extra-columns", "ignore", "--quarantine", "again.csv"]);
    assert!(run.failed(1).contains("a column of this name itself (column: _keyfold_reason"), "{}", run.err);
    let named = "_keyfold_reason=r,_keyfold_run_id=n,_keyfold_source_row=s";
    again(&["--extra-columns", "ignore", "--quarantine", "again.csv", "--rename", named]).ok();
    let text = place.text("again.csv");
    assert!(text.starts_with("id,note,at,r,n,s,_keyfold_reason,"), "{text}");
}

/// A target on a server, and a quarantine on disk.
fn on_server() -> (TestServer, Place) {
    let server = TestServer::builder().bucket("lake").start();
    let mut place = place();
    place.set(server.env());
    server.put_raw("lake", "t.csv", STORED);
    (server, place)
}

fn stored(server: &TestServer) -> String {
    String::from_utf8(server.get_raw("lake", "t.csv").expect("there").to_vec()).expect("text")
}

#[test]
fn rows_are_kept_before_the_target_changes() {
    let (server, place) = on_server();
    server.fail(Fault::new(Effect::Refused(403, "AccessDenied")).on(Operation::PutObject).key("t.csv"));
    let run = upsert(&place, "s3://lake/t.csv", &["--quarantine", "q.csv"]);
    assert!(run.failed(1).contains("quarantined: 2 in q.csv"), "{}", run.err);
    assert_eq!((stored(&server).as_str(), kept(&place, "q.csv").len()), (STORED, 2));
    // The next run finds the same rows, and adds them again.
    upsert(&place, "s3://lake/t.csv", &["--quarantine", "q.csv"]).ok();
    assert_eq!(
        kept(&place, "q.csv"),
        [",x,6,null id,1", ",x,6,null id,1", "2,old,4,stale,3", "2,old,4,stale,3"]
    );
}

#[test]
fn a_run_that_dies_before_the_target_changes_has_kept_its_rows() {
    let (server, place) = on_server();
    server.fail(Fault::new(Effect::Hang).on(Operation::PutObject).key("t.csv"));
    let arguments = [&["upsert", "in.csv", "s3://lake/t.csv", "--quarantine", "q.csv"], &RULE[..]].concat();
    let mut child = place.command().args(arguments).spawn().expect("started");
    let patience = Instant::now() + Duration::from_secs(30);
    while server.open_faults() > 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!((stored(&server).as_str(), kept(&place, "q.csv").len()), (STORED, 2));
    upsert(&place, "s3://lake/t.csv", &["--quarantine", "q.csv"]).ok();
    assert_eq!((stored(&server).as_str(), kept(&place, "q.csv").len()), ("id,note,at\n1,A,6\n2,b,5\n", 4));
}

#[test]
fn a_quarantine_that_fails_leaves_the_target_as_it_was() {
    let (server, place) = on_server();
    server.fail(Fault::new(Effect::Refused(403, "AccessDenied")).on(Operation::PutObject).key("q.parquet"));
    let run = upsert(&place, "s3://lake/t.csv", &["--quarantine", "s3://lake/q.parquet"]);
    let told = "rows cannot be added to the quarantine, and so the target is left as it was";
    assert!(run.failed(1).contains(told) && !run.err.contains("quarantined:"), "{}", run.err);
    assert_eq!((stored(&server).as_str(), server.keys("lake")), (STORED, vec!["t.csv".to_owned()]));
    upsert(&place, "s3://lake/t.csv", &["--quarantine", "s3://lake/q.parquet"]).ok();
    assert_eq!(kept(&place, "s3://lake/q.parquet").len(), 2);
}

#[test]
fn work_that_is_done_again_does_not_keep_rows_again() {
    let (server, place) = on_server();
    server.fail(Fault::new(Effect::Refused(412, "PreconditionFailed")).on(Operation::PutObject).key("t.csv"));
    let more = ["--quarantine", "s3://lake/q.csv", "--output", "json"];
    let report = upsert(&place, "s3://lake/t.csv", &more).json();
    assert_eq!(counts(&report, &["conflicts", "updated", "quarantined"]), [1, 1, 2]);
    assert_eq!(stored(&server), "id,note,at\n1,A,6\n2,b,5\n");
    assert_eq!(kept(&place, "s3://lake/q.csv"), [",x,6,null id,1", "2,old,4,stale,3"]);
}
