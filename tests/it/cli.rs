//! The command line as users and pipelines meet it: what is printed, where, and how it ends.

use crate::run::{Place, counts};

const ORDERS: &str = "id,note,at\n0001,\"a, b\",2024-01-01T00:00:00Z\n0002,1.50,2024-01-01T00:00:00.250Z\n";
const CHANGES: &str = "id,note,at\n0002,1.75,2024-02-01T00:00:00Z\n0003,new,2024-02-01T00:00:00Z\n";

const BACKENDS: [&str; 2] = ["polars", "datafusion"];

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

#[test]
fn a_diff_of_the_file_shows_just_the_changed_lines() {
    for backend in BACKENDS {
        let place = Place::new();
        place.file("orders.csv", ORDERS);
        place.file("changes.csv", CHANGES);
        let args =
            ["upsert", "changes.csv", "orders.csv", "--id", "id", "--modified", "at", "--backend", backend];
        let run = place.run(&args);
        run.ok();
        assert!(run.out.contains("1 inserted") && run.out.contains("1 updated"), "{}", run.out);
        assert_eq!(run.err, "");
        let expected = "id,note,at\n0001,\"a, b\",2024-01-01T00:00:00Z\n0002,1.75,2024-02-01T00:00:00Z\n\
                        0003,new,2024-02-01T00:00:00Z\n";
        assert_eq!(place.text("orders.csv"), expected);
        assert_eq!(place.names(), ["changes.csv", "orders.csv"]);
    }
}

#[test]
fn the_json_report_has_every_field_and_stands_alone_on_standard_output() {
    let place = Place::new();
    place.file("orders.csv", ORDERS);
    place.file("changes.csv", CHANGES);
    let args = ["upsert", "changes.csv", "orders.csv", "--id", "id", "--modified", "at", "--output", "json"];
    let report = place.run(&args).json();
    let numbers = [
        "incoming",
        "inserted",
        "updated",
        "unchanged",
        "stale",
        "tombstones",
        "ignored",
        "duplicates",
        "rejected",
        "quarantined",
        "ties",
        "opened",
        "deleted",
        "repaired",
        "rows_before",
        "rows_after",
        "files_read",
        "files_skipped",
        "files_added",
        "files_removed",
        "deletion_vectors",
        "row_groups_read",
        "row_groups_skipped",
        "row_groups_rewritten",
        "key_bytes_read",
        "value_bytes_read",
        "bytes_read",
        "bytes_written",
        "conflicts",
        "elapsed_ms",
    ];
    counts(&report, &numbers);
    for text in ["target", "format", "backend", "method", "run_id", "version_before", "version_after"] {
        assert!(report[text].is_string(), "{text} in {report}");
    }
    assert_eq!(counts(&report, &["rows_before", "rows_after", "files_added", "files_removed"]), [2, 3, 1, 1]);
    assert_eq!((report["created"].as_bool(), report["dry_run"].as_bool()), (Some(false), Some(false)));
}

#[test]
fn a_dry_run_counts_the_same_and_writes_nothing() {
    for backend in BACKENDS {
        let place = Place::new();
        place.file("orders.csv", ORDERS);
        place.file("changes.csv", CHANGES);
        let args =
            ["upsert", "changes.csv", "orders.csv", "--id", "id", "--output", "json", "--backend", backend];
        let dry = place.run(&[&args[..], &["--dry-run"]].concat()).json();
        assert_eq!(place.text("orders.csv"), ORDERS);
        let wet = place.run(&args).json();
        for field in ["incoming", "inserted", "updated", "unchanged", "rows_after", "files_added", "created"]
        {
            assert_eq!(dry[field], wet[field], "{field}");
        }
        assert!(dry["bytes_written"].is_null());
    }
}

#[test]
fn changed_rows_are_shown_before_the_report() {
    let place = Place::new();
    place.file("orders.csv", ORDERS);
    place.file("changes.csv", CHANGES);
    let args = ["upsert", "changes.csv", "orders.csv", "--id", "id", "--dry-run", "--diff"];
    let run = place.run(&[&args[..], &["1"]].concat());
    let text = run.ok().out.as_str();
    assert!(text.contains("  and 1 more changed row\norders.csv: dry run"), "{text}");
    assert!(text.contains("| ~ | 0002 | 1.50 → 1.75 |"), "{text}");
    let run = place.run(&[&args[..], &["9", "--output", "json"]].concat());
    let lines: Vec<serde_json::Value> =
        run.ok().out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let changes: Vec<_> = lines.iter().map(|line| line["change"].as_str()).collect();
    assert_eq!(changes, [Some("update"), Some("insert"), None]);
    assert_eq!((lines[0]["id"]["id"].as_str(), lines[1]["before"].is_null()), (Some("0002"), true));
    assert_eq!(lines[2]["updated"], 1);
    assert_eq!(place.text("orders.csv"), ORDERS);
}

#[test]
fn a_new_target_is_created_and_said_to_be() {
    for (backend, target) in [("polars", "new.parquet"), ("datafusion", "new.ndjson"), ("polars", "new.csv")]
    {
        let place = Place::new();
        place.file("changes.csv", CHANGES);
        let args = ["upsert", "changes.csv", target, "--id", "id", "--backend", backend, "--output", "json"];
        let report = place.run(&args).json();
        assert_eq!(report["created"], true, "{report}");
        assert_eq!(
            counts(&report, &["rows_before", "inserted", "rows_after", "files_removed"]),
            [0, 2, 2, 0]
        );
        let rows = place.run(&["read", target, "--output", "csv"]);
        assert_eq!(rows.ok().out, CHANGES, "{target}");
    }
}

#[test]
fn an_empty_batch_writes_nothing_and_creates_nothing() {
    let place = Place::new();
    place.file("orders.csv", ORDERS);
    place.file("none.csv", "id,note,at\n");
    let report = place.run(&["upsert", "none.csv", "orders.csv", "--id", "id", "--output", "json"]).json();
    assert_eq!(counts(&report, &["incoming", "files_added", "bytes_written", "rows_after"]), [0, 0, 0, 2]);
    place.file("none.ndjson", "\n");
    for target in ["orders.csv", "new.parquet"] {
        let report = place.run(&["upsert", "none.ndjson", target, "--id", "id", "--output", "json"]).json();
        assert_eq!(counts(&report, &["incoming", "files_added", "bytes_written"]), [0, 0, 0], "{target}");
    }
    let report = place.run(&["upsert", "none.csv", "new.csv", "--id", "id", "--output", "json"]).json();
    assert_eq!(report["created"], false);
    assert_eq!(place.names(), ["none.csv", "none.ndjson", "orders.csv"]);
}

#[test]
fn reading_takes_columns_a_filter_and_a_limit() {
    for backend in BACKENDS {
        for format in ["csv", "ndjson", "parquet"] {
            let place = Place::new();
            place.file("a.csv", "id,n,at\n1,5,2024-01-01\n2,6,2024-01-02\n3,,2024-01-03\n4,8,2024-01-04\n");
            let name = format!("b.{format}");
            place.run(&["write", "a.csv", &name, "--backend", backend]).ok();
            let args = ["read", &name, "--columns", "n,id", "--where", "at > '2024-01-01' AND n IS NOT NULL"];
            let run =
                place.run(&[&args[..], &["--limit", "1", "--output", "csv", "--backend", backend]].concat());
            assert_eq!(run.ok().out, "n,id\n6,2\n", "{backend} {format}");
        }
    }
}

#[test]
fn standard_input_and_output_are_a_dash() {
    let place = Place::new();
    place.file("orders.csv", ORDERS);
    let run =
        place.pipe(&["upsert", "-", "orders.csv", "--id", "id", "--output", "json"], CHANGES.as_bytes());
    assert_eq!(counts(&run.json(), &["inserted", "updated"]), [1, 1]);
    let run = place.run(&["write", "orders.csv", "-", "--target-format", "ndjson"]);
    assert_eq!(run.ok().out.lines().count(), 3);
    assert!(run.out.starts_with("{\"id\":\"0001\""), "{}", run.out);
}

#[test]
fn write_modes_do_as_they_are_named() {
    for backend in BACKENDS {
        for format in ["csv", "ndjson", "parquet"] {
            let place = Place::new();
            place.file("a.csv", CHANGES);
            let name = format!("b.{format}");
            let write =
                |mode: &str| place.run(&["write", "a.csv", &name, "--mode", mode, "--backend", backend]);
            let count = || place.run(&["count", &name]).ok().out.trim().to_owned();
            write("error").ok();
            assert!(write("error").failed(1).contains("the file exists already"), "{format}");
            write("append").ok();
            assert_eq!(count(), "4", "{backend} {format}");
            write("ignore").ok();
            assert_eq!(count(), "4", "{backend} {format}");
            write("overwrite").ok();
            assert_eq!(count(), "2", "{backend} {format}");
        }
    }
}

#[test]
fn a_closed_pipe_is_a_normal_end() {
    use std::io::Read;
    use std::process::Stdio;
    let place = Place::new();
    let rows = lines((0..200_000).map(|n| format!("{n},some text")));
    place.file("a.csv", format!("id,t\n{rows}"));
    let mut command = place.command();
    command.args(["read", "a.csv", "--output", "csv"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut head = [0; 10];
    child.stdout.take().expect("piped").read_exact(&mut head).expect("read");
    let output = child.wait_with_output().expect("ended");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn settings_come_from_flag_then_variable_then_file() {
    let place = Place::new();
    place.file("orders.csv", ORDERS);
    place.file("keyfold.toml", "backend = \"datafusion\"\n");
    let args = ["upsert", "orders.csv", "orders.csv", "--id", "id", "--dry-run", "--output", "json"];
    let backend = |variable: Option<&str>, extra: &[&str]| {
        let mut command = place.command();
        variable.map(|value| command.env("KEYFOLD_BACKEND", value));
        let output = command.args(args).args(extra).output().expect("started");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
        report["backend"].as_str().expect("a name").to_owned()
    };
    assert_eq!(backend(None, &[]), "datafusion");
    assert_eq!(backend(Some("polars"), &[]), "polars");
    assert_eq!(backend(Some("polars"), &["--backend", "datafusion"]), "datafusion");
    place.file("keyfold.toml", "bakend = \"polars\"\n");
    let run = place.run(&args);
    assert!(run.failed(2).contains("bakend"), "{}", run.err);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let place = Place::new();
    place.file("orders.csv", ORDERS);
    place.file("keyfold.toml", "backend = \"datafusion\"\n");
    let mut command = place.command();
    for name in ["BACKEND", "OUTPUT", "MAX_RETRIES", "COMPRESSION", "LOG", "LOG_FORMAT", "CONFIG"] {
        command.env(format!("KEYFOLD_{name}"), "");
    }
    command.args(["upsert", "orders.csv", "orders.csv", "--id", "id", "--dry-run", "--log-level", "warn"]);
    let output = command.output().expect("started");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(String::from_utf8_lossy(&output.stdout).contains("datafusion"), "{output:?}");
}

#[test]
fn sources_of_text_and_of_types_go_into_one_target() {
    const ROWS: &str =
        "id,n,f,at,s\n1,5,0.5,2024-01-01T00:00:00Z,007\n2,,,,\n3,6,1.5,2024-01-03T00:00:00.500Z,x\n";
    for backend in BACKENDS {
        for target in ["t.csv", "t.ndjson", "t.parquet"] {
            for order in [["b.csv", "c.parquet"], ["c.parquet", "b.csv"]] {
                let place = Place::new();
                place.file("a.csv", "id,n,f,at,s\n1,0,0.25,2020-01-01T00:00:00Z,a\n");
                place.file("b.csv", "id,n,f,at,s\n1,5,0.5,2024-01-01T00:00:00Z,007\n2,,,,\n");
                place.file("c.csv", "id,n,f,at,s\n3,6,1.5,2024-01-03T00:00:00.5Z,x\n");
                place.run(&["write", "c.csv", "c.parquet"]).ok();
                // Once into a target that is there, once into a new one.
                for stored in [true, false] {
                    drop(std::fs::remove_file(place.path(target)));
                    if stored {
                        place.run(&["write", "a.csv", target]).ok();
                    }
                    let [first, second] = order;
                    let args = ["upsert", first, second, target, "--id", "id", "--backend", backend];
                    place.run(&args).ok();
                    let rows = place.run(&["read", target, "--output", "csv"]);
                    let mut found: Vec<_> = rows.ok().out.lines().collect();
                    found[1..].sort_unstable();
                    assert_eq!(found.join("\n") + "\n", ROWS, "{backend} {target} {order:?} {stored}");
                }
            }
        }
    }
}

#[test]
fn help_teaches_by_example() {
    let place = Place::new();
    for command in ["upsert", "check", "read", "write", "schema", "count", "completions"] {
        let run = place.run(&[command, "--help"]);
        assert!(run.ok().out.contains("keyfold "), "{}", run.out);
        assert!(run.out.to_lowercase().contains("example"), "{command}: {}", run.out);
    }
    assert!(place.run(&["completions", "bash"]).ok().out.contains("complete"));
}

#[test]
fn sixteen_writers_at_once_end_as_one_after_the_other() {
    for format in ["csv", "ndjson", "parquet"] {
        let place = Place::new();
        place.file("seed.csv", "id,n\n0,0\n");
        let target = format!("t.{format}");
        place.run(&["write", "seed.csv", &target]).ok();
        for writer in 0..16 {
            place.file(&format!("in{writer}.csv"), format!("id,n\n{},1\n0,{writer}\n", writer + 1));
        }
        let children: Vec<_> = (0..16)
            .map(|writer| {
                let backend = BACKENDS[writer % 2];
                let source = format!("in{writer}.csv");
                let args = ["upsert", &source, &target, "--id", "id", "--backend", backend];
                place.command().args(args).spawn().expect("started")
            })
            .collect();
        for child in children {
            assert!(child.wait_with_output().expect("ended").status.success());
        }
        assert_eq!(place.run(&["count", &target]).ok().out.trim(), "17", "{format}");
        let ids = place.run(&["read", &target, "--columns", "id", "--output", "csv"]);
        let mut ids: Vec<u32> =
            ids.ok().out.lines().skip(1).map(|id| id.parse().expect("a number")).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..=16).collect::<Vec<_>>(), "{format}");
    }
}

#[test]
fn a_killed_run_leaves_the_target_as_it_was_and_the_next_one_cleans_up() {
    for format in ["csv", "parquet"] {
        let place = Place::new();
        let rows = lines((0..60_000).map(|n| format!("{n},text {n}")));
        place.file("seed.csv", format!("id,t\n{rows}"));
        let changes = lines((0..60_000).step_by(2).map(|n| format!("{n},changed")));
        place.file("in.csv", format!("id,t\n{changes}90000,new\n"));
        let (old, target) = (format!("old.{format}"), format!("t.{format}"));
        place.run(&["write", "seed.csv", &old]).ok();
        let args = ["upsert", "in.csv", &target, "--id", "id"];
        std::fs::copy(place.path(&old), place.path(&target)).expect("copied");
        let started = std::time::Instant::now();
        place.run(&args).ok();
        let (whole, new) = (started.elapsed(), place.bytes(&target));
        let mut kept = 0;
        for delay in 1..12 {
            std::fs::copy(place.path(&old), place.path(&target)).expect("copied");
            let mut child =
                place.command().args(args).stdout(std::process::Stdio::null()).spawn().expect("started");
            std::thread::sleep(whole * delay / 12);
            child.kill().expect("killed");
            child.wait().expect("ended");
            let bytes = place.bytes(&target);
            assert!(bytes == place.bytes(&old) || bytes.len() == new.len(), "{format}: neither old nor new");
            kept += u32::from(bytes == place.bytes(&old));
        }
        assert!(kept > 0, "no kill came before the commit");
        place.run(&args).ok();
        assert_eq!(place.run(&["count", &target]).ok().out.trim(), "60001");
        assert_eq!(place.names(), ["in.csv", &old, "seed.csv", &target]);
    }
}

#[test]
fn creators_at_once_lose_no_row() {
    let place = Place::new();
    for writer in 0..8 {
        place.file(&format!("in{writer}.csv"), format!("id,n\n{writer},1\n"));
    }
    let children: Vec<_> = (0..8)
        .map(|writer| {
            let args = ["upsert", &format!("in{writer}.csv"), "t.parquet", "--id", "id"];
            place.command().args(args).spawn().expect("started")
        })
        .collect();
    for child in children {
        assert!(child.wait_with_output().expect("ended").status.success());
    }
    assert_eq!(place.run(&["count", "t.parquet"]).ok().out.trim(), "8");
}

#[test]
fn incoming_columns_are_renamed_and_set_and_values_are_cast_as_the_rule_says() {
    for backend in keyfold::Backend::names() {
        let place = Place::new();
        let upsert = |source: &str, more: &[&str]| {
            place.run(&[&["upsert", source, "t.parquet", "--backend", backend], more].concat())
        };
        place.file("seed.csv", "id,n,day,at,src\n1,5,2021-01-01,2021-01-01T00:00:00Z,a\n2,6,,,a\n");
        upsert("seed.csv", &["--id", "id"]).ok();
        place.file("in.csv", "No,N,day,at\n2,x,01.02.2021,2021-07-01 12:00:00.000001\n3,7,02.02.2021,\n");
        let flags = [
            "--id",
            "ID",
            "--rename",
            "No=id",
            "--case",
            "fold",
            "--set",
            "src = 'web'",
            "--lossy",
            "null",
            "--naive-timestamps",
            "assume=Europe/Berlin",
            "--truncate-timestamps",
            "--timestamp-format",
            "%d.%m.%Y",
        ];
        let run = upsert("in.csv", &flags);
        assert!(run.ok().err.contains("n (1)"), "{}", run.err);
        let rows = place.run(&["read", "t.parquet", "--output", "csv"]);
        assert_eq!(
            rows.ok().out,
            "id,n,day,at,src\n1,5,2021-01-01,2021-01-01T00:00:00Z,a\n\
             2,,2021-02-01,2021-07-01T10:00:00Z,web\n3,7,2021-02-02,,web\n"
        );
        let twice = upsert("in.csv", &["--id", "id", "--rename", "No=id,N=id"]);
        assert!(twice.failed(2).contains("two columns are given one name"), "{}", twice.err);
    }
}
