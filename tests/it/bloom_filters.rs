//! Bloom filters of new files: ids in no order rule row groups out all the same.

use serde_json::Value;

use crate::run::{Place, counts};

const BACKENDS: [&str; 2] = ["polars", "datafusion"];

/// Ids in no order, of which every row group has some of everywhere.
fn id(row: u64) -> String {
    format!("{:016x}", row.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A place with ten thousand rows, and one of them that comes in with another value.
fn start() -> Place {
    let place = Place::new();
    let line = |row: u64| format!("{},{row}\n", id(row));
    place.file("stored.csv", format!("id,n\n{}", (0..10_000).map(line).collect::<String>()));
    place.file("new.csv", format!("id,n\n{},-1\n", id(4_321)));
    place
}

fn upsert(place: &Place, source: &str, target: &str, more: &[&str]) -> Value {
    place.run(&[&["upsert", source, target, "--id", "id", "--output", "json"], more].concat()).json()
}

#[test]
fn only_the_row_group_with_the_id_is_read() {
    let place = start();
    for backend in BACKENDS {
        for (kind, target) in [("delta", "d"), ("parquet", "f/"), ("parquet", "t.parquet")] {
            for (filtered, read) in [(true, 1), (false, 10)] {
                let target = format!("{backend}-{filtered}-{target}");
                let write =
                    ["write", "stored.csv", &target, "--target-format", kind, "--row-group-rows", "1000"];
                let filter: &[&str] = if filtered { &["--bloom-filter", "id"] } else { &[] };
                place.run(&[&write[..], &["--backend", backend], filter].concat()).ok();
                // A second one finds the filters again that the first has written anew, or copied.
                for updated in [1, 0] {
                    let report = upsert(&place, "new.csv", &target, &["--backend", backend]);
                    let work = counts(&report, &["updated", "row_groups_read", "row_groups_skipped"]);
                    assert_eq!(work, [updated, read, 10 - read], "{target}: {report}");
                }
            }
        }
    }
}

#[test]
fn an_upsert_makes_new_files_with_filters() {
    let place = start();
    // More than the id that comes in: it is between all others, and there is only one row group.
    place.file("other.csv", "id,n\n8000000000000000,1\n");
    for (kind, target) in [("delta", "d"), ("parquet", "f/"), ("parquet", "t.parquet")] {
        for (filter, read) in [(&["--bloom-filter", "id"][..], 0), (&[], 1)] {
            let target = format!("{read}-{target}");
            let format = ["--target-format", kind];
            upsert(&place, "stored.csv", &target, &[&format, filter].concat());
            let report = upsert(&place, "other.csv", &target, &["--dry-run"]);
            assert_eq!(counts(&report, &["inserted", "row_groups_read"]), [1, read], "{target}: {report}");
        }
    }
}

#[test]
fn optimize_keeps_filters() {
    let place = start();
    let halves = ["a.csv", "b.csv"];
    let rows = place.text("stored.csv");
    let lines: Vec<&str> = rows.lines().skip(1).collect();
    for (name, part) in halves.iter().zip(lines.chunks(5_000)) {
        place.file(name, format!("id,n\n{}\n", part.join("\n")));
        let write =
            ["write", name, "d", "--mode", "append", "--target-format", "delta", "--bloom-filter", "id"];
        place.run(&write).ok();
    }
    place.file("other.csv", "id,n\n8000000000000000,1\n");
    for more in [&[][..], &["--z-order", "n"]] {
        place.run(&[&["optimize", "d"], more].concat()).ok();
        let report = upsert(&place, "other.csv", "d", &["--dry-run"]);
        assert_eq!(
            counts(&report, &["inserted", "row_groups_read", "row_groups_skipped"]),
            [1, 0, 1],
            "{report}"
        );
    }
}

#[test]
fn a_column_that_cannot_have_a_filter_is_refused_and_nothing_is_written() {
    let place = start();
    place.file("nested.ndjson", "{\"id\":1,\"list\":[1]}\n");
    for (source, column, told) in
        [("stored.csv", "key", "bloom filter column"), ("nested.ndjson", "list", "has no bloom filter")]
    {
        for (command, target) in
            [("write", "t.parquet"), ("write", "d/"), ("upsert", "t.parquet"), ("upsert", "d/")]
        {
            for backend in BACKENDS {
                let id: &[&str] = if command == "upsert" { &["--id", "id"] } else { &[] };
                let format = if target == "d/" { "delta" } else { "parquet" };
                let run = [command, source, target, "--bloom-filter", column, "--backend", backend];
                let run = place.run(&[&run[..], &["--target-format", format], id].concat());
                assert!(run.failed(1).contains(told), "{command} {target}: {}", run.err);
            }
        }
    }
    for (command, id) in [("write", &[][..]), ("upsert", &["--id", "id"][..])] {
        let run = place.run(&[&[command, "stored.csv", "t.csv", "--bloom-filter", "id"], id].concat());
        assert!(run.failed(2).contains("only Parquet files have bloom filters"), "{}", run.err);
        assert!(!place.path("t.csv").exists());
    }
    let left: Vec<String> =
        place.names().into_iter().filter(|name| !name.contains('.') || name.contains(".parquet")).collect();
    assert!(left.is_empty(), "{left:?}");
}
