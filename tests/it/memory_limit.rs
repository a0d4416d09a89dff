//! `--memory-limit`: incoming rows above it go to disk, or are refused by what takes them in one piece.

use std::fmt::Write;

use serde_json::json;

use crate::run::Place;

/// Above what incoming rows may take of the least limit.
const ROWS: usize = 200_000;

/// Rows of 130 bytes with ids in no order, from the last to the first.
fn many() -> String {
    let mut text = "id,v,note\n".to_owned();
    for row in (0..ROWS).rev() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{},1,{}", row * 7_919 % 1_000_003, "x".repeat(100));
    }
    text
}

#[test]
fn rows_above_the_limit_go_to_disk_and_a_text_file_refuses_them() {
    let place = Place::new();
    place.file("in.csv", many());
    place.file("t.csv", "id,v,note\n0,0,a\n1000000,0,b\n");
    let upsert = |target: &str, backend: &str, more: &[&str]| {
        let limit = ["--memory-limit", "320MiB", "--id", "id", "--backend", backend, "--output", "json"];
        place.run(&[&["upsert", "in.csv", target], &limit[..], more].concat())
    };
    for backend in ["polars", "datafusion"] {
        let refused = upsert("t.csv", backend, &[]);
        let why = refused.failed(1);
        assert!(why.contains("the incoming rows take more memory than the limit allows"), "{why}");
        assert_eq!(place.text("t.csv"), "id,v,note\n0,0,a\n1000000,0,b\n");
        let target = format!("{backend}.parquet");
        for changed in [true, false] {
            let report = upsert(&target, backend, &[]).json();
            assert_ne!(report["spilled_bytes"], json!(0));
            assert_eq!(report["inserted"], json!(if changed { ROWS } else { 0 }), "{backend}");
            assert_eq!(report["rows_after"], json!(ROWS));
        }
        // Inserts stand as they came in.
        let first = place.run(&["read", &target, "--columns", "id", "--limit", "1", "--output", "ndjson"]);
        let id = (ROWS - 1) * 7_919 % 1_000_003;
        assert_eq!(first.ok().out, format!("{{\"id\":{id}}}\n"), "{backend}");
    }
}

#[test]
fn a_limit_that_is_too_small_is_refused_before_anything_is_read() {
    let place = Place::new();
    for (limit, why) in [("100MiB", "the memory limit is too small"), ("lots", "that is no size")] {
        let run = place.run(&["upsert", "none.csv", "t.csv", "--id", "id", "--memory-limit", limit]);
        let said = run.failed(2);
        assert!(said.contains(why), "{said}");
    }
}
