//! Bad input: each mistake has its message, nothing is written and nothing panics, whichever the backend.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::run::Place;

const STORED: &str = "id,qty,at\n1,5,2024-01-01T00:00:00Z\n2,6,2024-01-01T00:00:00Z\n";

/// Upserts `incoming` into a Parquet file made of [`STORED`], by id and modification column, and gives what
/// was said; the target must be as it was, and nothing else may have appeared.
#[track_caller]
fn refused(incoming: &str, expected: &[&str]) {
    refused_with(incoming, &["--id", "id", "--modified", "at"], 1, expected);
}

#[track_caller]
fn refused_with(incoming: &str, options: &[&str], code: i32, expected: &[&str]) {
    for backend in ["polars", "datafusion"] {
        let place = Place::new();
        place.file("stored.csv", STORED);
        place.run(&["write", "stored.csv", "t.parquet"]).ok();
        place.file("in.csv", incoming);
        let (bytes, names) = (place.bytes("t.parquet"), place.names());
        let args = [&["upsert", "in.csv", "t.parquet", "--backend", backend], options].concat();
        let run = place.run(&args);
        let said = run.failed(code);
        for part in expected {
            assert!(said.contains(part), "{backend}: {part:?} is not in:\n{said}");
        }
        assert!(place.bytes("t.parquet") == bytes, "{backend}: the target changed");
        assert_eq!(place.names(), names, "{backend}");
    }
}

#[test]
fn a_missing_id_column() {
    refused("key,qty,at\n1,5,2024-01-02T00:00:00Z\n", &["error: ", "key", "id"]);
    let options = ["--id", "order_id"];
    refused_with(
        "id,qty,at\n1,5,2024-01-02T00:00:00Z\n",
        &options,
        1,
        &["id column is missing (column: order_id", "hint: columns: id, qty, at"],
    );
}

#[test]
fn a_missing_modification_column() {
    refused("id,qty\n1,7\n", &["modification column is missing (column: at", "hint: columns: id, qty"]);
}

#[test]
fn null_ids() {
    refused(
        "id,qty,at\n,7,2024-01-02T00:00:00Z\n,8,2024-01-02T00:00:00Z\n",
        &[
            "id column has nulls (column: id, rows: 2",
            "hint: fill the column, leave these rows out (--null-ids skip, or quarantine)",
        ],
    );
}

#[test]
fn several_rows_with_one_id_that_differ() {
    let incoming = "id,qty,at\n7,1,2024-01-02T00:00:00Z\n7,2,2024-01-02T00:00:00Z\n";
    refused_with(
        incoming,
        &["--id", "id"],
        1,
        &[
            "several incoming rows have one id and differ (ids: 1, sample: 7",
            "hint: name a modification column",
        ],
    );
}

#[test]
fn a_value_that_does_not_fit_the_stored_type() {
    refused("id,qty,at\n1,5.5,2024-01-02T00:00:00Z\n", &["line: 2", "column: qty", "5.5", "int64"]);
    refused("id,qty,at\n1,5,2024-01-02T00:00:00\n", &["line: 2", "column: at", "2024-01-02T00:00:00"]);
}

#[test]
fn a_column_that_is_not_stored() {
    refused(
        "id,qty,at,qyt\n1,5,2024-01-02T00:00:00Z,9\n",
        &["the target has no such columns (columns: qyt", "hint: the target's columns are id, qty, at"],
    );
}

#[test]
fn two_columns_that_differ_only_in_case() {
    refused(
        "id,qty,at,Qty\n1,5,2024-01-02T00:00:00Z,9\n",
        &["two columns differ only in case (columns: Qty, qty"],
    );
}

#[test]
fn an_unreadable_line() {
    refused("id,qty,at\n1,5,2024-01-02T00:00:00Z\n2,6\n", &["in.csv", "line: 3", "fields"]);
    refused("id,qty,at\n1,\"5,2024-01-02T00:00:00Z\n", &["in.csv", "line: 2"]);
    refused("", &["in.csv", "header"]);
}

#[test]
fn unknown_names_are_wrong_usage_and_list_the_known_ones() {
    let ok = "id,qty,at\n1,5,2024-01-02T00:00:00Z\n";
    let with = |extra: &[&'static str]| [&["--id", "id"], extra].concat();
    refused_with(ok, &with(&["--source-format", "xls"]), 2, &["xls", "parquet", "csv", "ndjson"]);
    refused_with(ok, &with(&["--method", "newest"]), 2, &["newest", "id", "modified"]);
    refused_with(ok, &with(&["--method", "modified"]), 2, &["modification column", "--modified"]);
    refused_with(ok, &with(&["--nonsense"]), 2, &["--nonsense"]);
    refused_with(ok, &[], 2, &["--id"]);
    let place = Place::new();
    place.file("in.csv", ok);
    let run = place.run(&["upsert", "in.csv", "t.csv", "--id", "id", "--backend", "spark"]);
    let said = run.failed(2);
    assert!(said.contains("spark") && said.contains("polars") && said.contains("datafusion"), "{said}");
    assert_eq!(place.names(), ["in.csv"]);
}

#[test]
fn a_truncated_parquet_file() {
    let place = Place::new();
    place.file("in.csv", STORED);
    place.run(&["write", "in.csv", "t.parquet"]).ok();
    let whole = place.bytes("t.parquet");
    for keep in [0, 3, whole.len() / 2, whole.len() - 1] {
        place.file("cut.parquet", &whole[..keep]);
        for backend in ["polars", "datafusion"] {
            for args in [
                vec!["upsert", "in.csv", "cut.parquet", "--id", "id", "--backend", backend],
                vec!["upsert", "cut.parquet", "t.parquet", "--id", "id", "--backend", backend],
                vec!["read", "cut.parquet", "--backend", backend],
            ] {
                let run = place.run(&args);
                let said = run.failed(1);
                assert!(said.contains("not a whole Parquet file") && said.contains("cut.parquet"), "{said}");
            }
        }
        assert_eq!(place.bytes("cut.parquet"), &whole[..keep]);
        assert_eq!(place.bytes("t.parquet"), whole);
    }
}

#[test]
fn damaged_pages_behind_a_whole_footer() {
    let place = Place::new();
    place.file("in.csv", STORED);
    place.run(&["write", "in.csv", "t.parquet", "--compression", "none"]).ok();
    let mut damaged = place.bytes("t.parquet");
    damaged[4..40].fill(0xff);
    place.file("t.parquet", &damaged);
    for backend in ["polars", "datafusion"] {
        let run = place.run(&["upsert", "in.csv", "t.parquet", "--id", "id", "--backend", backend]);
        assert!(run.failed(1).contains("t.parquet"), "{}", run.err);
        assert_eq!(place.bytes("t.parquet"), damaged);
    }
}

#[test]
fn a_missing_folder_or_file() {
    let place = Place::new();
    place.file("in.csv", STORED);
    let run = place.run(&["upsert", "in.csv", "no/such/t.csv", "--id", "id"]);
    assert!(run.failed(1).contains("the folder does not exist (folder: no/such"), "{}", run.err);
    let run = place.run(&["upsert", "none.csv", "t.csv", "--id", "id"]);
    assert!(run.failed(1).contains("there is no such file (file: none.csv"), "{}", run.err);
    let run = place.run(&["read", "*.parquet"]);
    assert!(run.failed(1).contains("no file matches the pattern (pattern: *.parquet"), "{}", run.err);
    assert_eq!(place.names(), ["in.csv"]);
}

#[test]
fn a_directory_where_a_file_is_meant() {
    let place = Place::new();
    place.file("in.csv", STORED);
    std::fs::create_dir(place.path("folder.csv")).expect("made");
    for args in [
        &["upsert", "in.csv", "folder.csv", "--id", "id"][..],
        &["upsert", "folder.csv", "in.csv", "--id", "id"],
        &["write", "in.csv", "folder.csv", "--mode", "overwrite"],
        &["read", "folder.csv"],
    ] {
        let run = place.run(args);
        assert!(run.failed(1).contains("this is a folder, not a file (file: folder.csv"), "{}", run.err);
    }
    assert_eq!(place.text("in.csv"), STORED);
}

#[test]
fn a_target_without_an_extension_in_a_folder_that_is_not_there() {
    let place = Place::new();
    place.file("in.csv", STORED);
    let run = place.run(&["upsert", "in.csv", "lake/orders", "--id", "id"]);
    assert!(run.failed(1).contains("the folder does not exist"), "{}", run.err);
    assert_eq!(place.names(), ["in.csv"]);
}

/// A copy of the program that another user may run, and whether that is needed: no mode of a file stops root.
fn program_for_all() -> (tempfile::TempDir, std::path::PathBuf, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = std::os::unix::fs::MetadataExt::uid(&folder.path().metadata().expect("there")) == 0;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
    let program = folder.path().join("keyfold");
    std::fs::copy(env!("CARGO_BIN_EXE_keyfold"), &program).expect("copied");
    (folder, program, root)
}

#[test]
fn no_permission() {
    let place = Place::new();
    place.file("in.csv", STORED);
    place.file("t.csv", STORED);
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(mode)).expect("set");
    };
    let (_folder, program, root) = program_for_all();
    let unprivileged = |args: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command.current_dir(place.path("")).args(args);
        if root {
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().expect("started");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    mode("", 0o755);
    mode("t.csv", 0o444);
    let args = ["upsert", "in.csv", "t.csv", "--id", "id"];
    let (code, said) = unprivileged(&args);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot open the file for writing (file: t.csv"), "{said}");
    mode("t.csv", 0o666);
    let (code, said) = unprivileged(&["write", "in.csv", "new.csv"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot create a file in the folder (file: new.csv"), "{said}");
    mode("in.csv", 0o000);
    let (code, said) = unprivileged(&["read", "in.csv"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot open the file (file: in.csv"), "{said}");
    assert_eq!(place.text("t.csv"), STORED);
}

#[test]
fn a_target_that_must_exist_is_not_made() {
    let place = Place::new();
    place.file("in.csv", "id\n1\n");
    let names = place.names();
    for target in ["t.parquet", "t.csv", "t.ndjson"] {
        let run = place.run(&["upsert", "in.csv", target, "--id", "id", "--if-missing", "error"]);
        let said = run.failed(1);
        assert!(said.contains("the target does not exist") && said.contains("if-missing create"), "{said}");
    }
    assert_eq!(place.names(), names);
}

#[test]
fn ten_ids_are_named_and_all_are_counted() {
    let twins: Vec<String> = (1..=12).map(|id| format!("{id},1,\n{id},2,\n")).collect();
    let incoming = format!("id,qty,at\n{}", twins.concat());
    refused_with(&incoming, &["--id", "id"], 1, &["(ids: 12, sample: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"]);
}

#[test]
fn flags_that_mean_nothing_alone_are_wrong_usage() {
    refused_with("id\n1\n", &["--id", "id", "--allow-empty"], 2, &["--allow-empty"]);
    refused_with("id\n1\n", &["--id", "id", "--soft-delete", "gone"], 2, &["--delete-where"]);
}
