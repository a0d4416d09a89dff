//! Folders above a new target: missing ones are an error, or are made, and only for a target that comes to be.

use crate::run::Place;

const ROWS: &str = "id,qty\n1,5\n2,6\n";

/// New targets of every kind, in a folder that is not there.
const TARGETS: [&[&str]; 4] =
    [&["a/b/t.csv"], &["a/b/t.parquet"], &["a/b/table"], &["a/b/folder/", "--target-format", "parquet"]];

const COMMANDS: [(&str, &[&str]); 2] = [("upsert", &["--id", "id"]), ("write", &[])];

fn commands() -> impl Iterator<Item = Vec<&'static str>> {
    TARGETS.iter().flat_map(|target| {
        COMMANDS.iter().map(|(command, options)| [&[*command, "in.csv"], *target, *options].concat())
    })
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_flag() {
    for args in commands() {
        let place = Place::new();
        place.file("in.csv", ROWS);
        let run = place.run(&args);
        let said = run.failed(1);
        assert!(said.contains("the folder does not exist (folder: a/b"), "{args:?}: {said}");
        assert!(said.contains("--mkdir"), "{args:?}: {said}");
        assert_eq!(place.names(), ["in.csv"], "{args:?}");
        if args[0] == "upsert" {
            let run = place.run(&[&args[..], &["--dry-run"]].concat());
            assert!(run.failed(1).contains("the folder does not exist"), "{args:?}: {}", run.err);
        }
    }
}

#[test]
fn it_is_made_where_that_is_asked_for() {
    for backend in ["polars", "datafusion"] {
        for args in commands() {
            let place = Place::new();
            place.file("in.csv", ROWS);
            let args = [&args[..], &["--mkdir", "--backend", backend]].concat();
            place.run(&args).ok();
            let counted = place.run(&["count", args[2]]);
            assert_eq!(counted.ok().out.trim(), "2", "{args:?}");
        }
    }
}

#[test]
fn nothing_is_made_for_a_target_that_does_not_come_to_be() {
    for args in commands() {
        let place = Place::new();
        // The second record has a field too many, which shows when all of it is read.
        place.file("in.csv", "id,qty\n1,5\n2,6,7\n");
        place.run(&[&args[..], &["--mkdir"]].concat()).failed(1);
        assert_eq!(place.names(), ["in.csv"], "{args:?}");
        if args[0] == "upsert" {
            place.file("in.csv", ROWS);
            place.run(&[&args[..], &["--mkdir", "--dry-run"]].concat()).ok();
            place.file("in.csv", "id,qty\n");
            place.run(&[&args[..], &["--mkdir"]].concat()).ok();
            assert_eq!(place.names(), ["in.csv"], "{args:?}");
        }
    }
}
