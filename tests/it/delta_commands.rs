//! The command line on Delta tables.

use crate::run::Place;

const ORDERS: &str = "id,place,total\n1,a,1.5\n2,b,2.5\n";
const CHANGES: &str = "id,place,total\n2,c,3\n3,a,4.5\n";

#[test]
fn a_table_is_written_folded_into_and_looked_at() {
    for backend in ["polars", "datafusion"] {
        let place = Place::new();
        place.file("orders.csv", ORDERS);
        place.file("changes.csv", CHANGES);
        let written = place.run(&[
            "write",
            "orders.csv",
            "orders",
            "--partition-by",
            "place",
            "--backend",
            backend,
            "--output",
            "json",
        ]);
        assert_eq!((&written.json()["format"], &written.json()["rows"]), (&"delta".into(), &2.into()));
        let folded = place.run(&[
            "upsert",
            "changes.csv",
            "orders",
            "--id",
            "id",
            "--backend",
            backend,
            "--output",
            "json",
        ]);
        let report = folded.json();
        assert_eq!((&report["updated"], &report["inserted"]), (&1.into(), &1.into()));
        assert_eq!((&report["version_before"], &report["version_after"]), (&"0".into(), &"1".into()));
        let read = ["read", "orders", "--output", "csv", "--backend", backend, "--where", "total > 2"];
        let mut lines: Vec<String> = place.run(&read).ok().out.lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["2,c,3.0", "3,a,4.5", "id,place,total"]);
        assert_eq!(place.run(&["count", "orders"]).ok().out, "3\n");
        assert_eq!(place.run(&["count", "orders", "--version", "0"]).ok().out, "2\n");
        assert_eq!(place.run(&["count", "orders/", "--timestamp", "2999-01-01"]).ok().out, "3\n");
        assert!(place.run(&["schema", "orders"]).ok().out.contains("float64"));
        // A table is a source like any other.
        place.run(&["upsert", "orders", "copy.parquet", "--id", "id", "--backend", backend]).ok();
        assert_eq!(place.run(&["count", "copy.parquet"]).ok().out, "3\n");
    }
}

#[test]
fn what_makes_no_sense_of_a_table_is_refused() {
    let place = Place::new();
    place.file("orders.csv", ORDERS);
    place.run(&["write", "orders.csv", "orders"]).ok();
    let refused = |args: &[&str], code| place.run(args).failed(code).to_owned();
    assert!(
        refused(&["read", "orders", "--version", "1", "--timestamp", "2026-01-01"], 2)
            .contains("--timestamp")
    );
    assert!(refused(&["read", "orders", "--timestamp", "noon"], 2).contains("ISO 8601"));
    assert!(refused(&["read", "orders", "--version", "1"], 1).contains("no such version"));
    assert!(refused(&["read", "orders.csv", "--version", "0"], 2).contains("only tables have versions"));
    assert!(refused(&["write", "orders.csv", "orders"], 1).contains("exists already"));
    assert!(
        refused(&["write", "orders.csv", "b.csv", "--partition-by", "place"], 2).contains("only a table")
    );
    assert!(refused(&["write", "orders.csv", "-", "--target-format", "delta"], 2).contains("many files"));
    assert!(refused(&["write", "orders.csv", "c", "--partition-by", "x"], 1).contains("partition column"));
    assert_eq!(place.names(), ["orders", "orders.csv"]);
}

#[test]
fn the_history_is_listed_and_an_earlier_version_brought_back() {
    let place = Place::new();
    place.file("orders.csv", ORDERS);
    place.file("changes.csv", CHANGES);
    place.run(&["write", "orders.csv", "orders"]).ok();
    place.run(&["upsert", "changes.csv", "orders", "--id", "id"]).ok();
    let text = place.run(&["history", "orders"]).ok().out.clone();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].trim_start().starts_with('1') && lines[0].contains("MERGE"), "{text}");
    assert!(lines[0].contains("numTargetRowsUpdated=1") && lines[1].contains("WRITE"), "{text}");
    let json = place.run(&["history", "orders", "-n", "1", "--output", "json"]).json();
    assert_eq!(
        (json["versions"].as_array().map(Vec::len), &json["versions"][0]["version"]),
        (Some(1), &1.into())
    );
    let dry = place.run(&["restore", "orders", "--version", "0", "--dry-run"]).ok().out.clone();
    assert!(dry.contains("would be as it was at version 0"), "{dry}");
    let done = place.run(&["restore", "orders", "--version", "0", "--output", "json"]).json();
    assert_eq!((&done["version_after"], &done["restored_version"]), (&2.into(), &0.into()));
    assert_eq!(place.run(&["count", "orders"]).ok().out.trim(), "2");
    assert!(place.run(&["restore", "orders"]).failed(2).contains("--version"));
    assert!(place.run(&["history", "orders.csv"]).failed(1).contains("there is no such Delta table"));
}
