//! Answers to hard cases that no conformance case can give: what comes from text alone, and what a report says beside its counts.

use serde_json::{Value, json};

use crate::run::Place;

#[test]
fn iso_dates_in_json_are_read_in_the_stored_types() {
    for backend in ["polars", "datafusion"] {
        let place = Place::new();
        place.file("a.csv", "id,day,at\n1,2024-01-01,2024-01-01T00:00:00Z\n");
        place.run(&["write", "a.csv", "t.parquet"]).ok();
        let types = place.run(&["schema", "t.parquet"]).ok().out.clone();
        place.file(
            "b.ndjson",
            "{\"id\":1,\"day\":\"2024-01-02\",\"at\":\"2024-01-02T01:00:00+01:00\"}\n\
             {\"id\":2,\"day\":\"2024-01-03\",\"at\":\"2024-01-03T00:00:00Z\"}\n",
        );
        place.run(&["upsert", "b.ndjson", "t.parquet", "--id", "id", "--backend", backend]).ok();
        assert_eq!(place.run(&["schema", "t.parquet"]).ok().out, types);
        let rows = place.run(&["read", "t.parquet", "--output", "csv"]);
        assert_eq!(
            rows.ok().out,
            "id,day,at\n1,2024-01-02,2024-01-02T00:00:00Z\n2,2024-01-03,2024-01-03T00:00:00Z\n"
        );
    }
}

#[test]
fn what_json_cannot_say_is_refused_by_column() {
    let place = Place::new();
    place.file("a.csv", "id,x\n1,NaN\n2,1.5\n");
    place.run(&["write", "a.csv", "a.parquet"]).ok();
    place.file("t.ndjson", "{\"id\":1,\"x\":2.5}\n");
    let run = place.run(&["upsert", "a.parquet", "t.ndjson", "--id", "id"]);
    assert!(run.failed(1).contains("NaN cannot be written as JSON (column: x"), "{}", run.err);
    assert_eq!(place.text("t.ndjson"), "{\"id\":1,\"x\":2.5}\n");
}

#[test]
fn structs_and_lists_are_no_ids() {
    let place = Place::new();
    for id in ["{\"a\":1}", "[1]"] {
        place.file("a.ndjson", format!("{{\"id\":{id},\"v\":1}}\n"));
        let run = place.run(&["upsert", "a.ndjson", "t.parquet", "--id", "id"]);
        assert!(run.failed(1).contains("an id column must hold plain values (column: id"), "{}", run.err);
    }
    assert_eq!(place.names(), ["a.ndjson"]);
}

#[test]
fn a_report_says_where_the_time_went_and_null_for_what_it_cannot_know() {
    let place = Place::new();
    place.file("a.csv", "id,p,v\n1,x,a\n2,y,b\n");
    place.run(&["write", "a.csv", "t", "--target-format", "parquet", "--partition-by", "p"]).ok();
    place.file("b.csv", "id,p,v\n1,x,A\n");
    let run = |more: &[&str]| -> Value {
        let args = ["upsert", "b.csv", "t", "--id", "id", "--partition-is-stable", "--output", "json"];
        place.run(&[&args[..], more].concat()).json()
    };
    let dry = run(&["--dry-run"]);
    assert_eq!((&dry["bytes_written"], &dry["updated"]), (&Value::Null, &json!(1)));
    let report = run(&[]);
    // Of the partition that was ruled out nobody knows the rows.
    assert_eq!((&report["rows_before"], &report["rows_after"]), (&Value::Null, &Value::Null));
    assert_eq!(report["files_skipped"], json!(1));
    for phase in ["prepare", "plan", "match", "apply", "commit"] {
        assert!(report["phases_ms"][phase].is_u64(), "{phase}");
    }
    assert!(!cfg!(target_os = "linux") || report["peak_memory_bytes"].as_u64() > Some(1 << 20));
    assert!(report["version_after"].is_string() && report["version_after"] != report["version_before"]);
}
