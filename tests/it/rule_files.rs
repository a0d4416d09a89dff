//! Rules kept in files: what `upsert --rule` does with them, and what `check` says of them.

use std::path::Path;

use crate::run::{Place, counts};

const RULE: &str = "id = [\"id\"]\nmodified = \"at\"\nties = \"keep\"\n";

#[test]
fn an_upsert_takes_from_a_file_what_is_not_typed() {
    let place = Place::new();
    place.file("rule.toml", RULE);
    place.file("in.csv", "id,value,at\n1,A,5\n2,B,6\n");
    let stored = "id,value,at\n1,a,5\n2,b,5\n";
    let upsert = |more: &[&str]| {
        place.file("t.csv", stored);
        let arguments = [&["upsert", "in.csv", "t.csv", "--rule", "rule.toml", "--output", "json"], more];
        let report = place.run(&arguments.concat()).json();
        counts(&report, &["updated", "stale"])
    };
    assert_eq!(upsert(&[]), [1, 1]);
    assert_eq!(upsert(&["--ties", "incoming"]), [2, 0]);
}

#[test]
fn a_check_prints_what_a_file_says() {
    let place = Place::new();
    place.file("rule.toml", RULE);
    let run = place.run(&["check", "rule.toml"]);
    assert_eq!(run.ok().out, "id        id\nmodified  at\nties      keep\n");
    let json = place.run(&["check", "rule.toml", "--id", "a,b", "--output", "json"]).json();
    let rule = serde_json::json!({ "id": ["a", "b"], "modified": "at", "ties": "keep" });
    assert_eq!(json, serde_json::json!({ "file": "rule.toml", "rule": rule }));
}

#[test]
fn what_is_wrong_in_a_file_is_wrong_usage() {
    let place = Place::new();
    place.file("in.csv", "id\n1\n");
    for (text, told) in [
        (
            "id = \"id\"\nmethod = \"newest\"\n",
            "(key: method, value: newest, line: 2, column: 10, file: rule.toml)",
        ),
        ("id = \"id\"\nstale = \"error\"\n", "(flag: --stale, line: 2, column: 1, file: rule.toml)"),
        ("method = \"id\"\n", "no id column is named (file: rule.toml)"),
        ("id = \n", "the rule is not TOML (line: 1, column: 6, file: rule.toml)"),
    ] {
        place.file("rule.toml", text);
        for arguments in [&["check", "rule.toml"][..], &["upsert", "in.csv", "t.csv", "--rule", "rule.toml"]]
        {
            let run = place.run(arguments);
            assert!(run.failed(2).contains(told), "{text}: {}", run.err);
        }
    }
    for arguments in [&["check", "none.toml"][..], &["check"]] {
        place.run(arguments).failed(2);
    }
    let run = place.run(&["upsert", "in.csv", "t.csv"]);
    assert!(run.failed(2).contains("no id column is named"), "{}", run.err);
    assert!(run.err.contains("--id COL"), "{}", run.err);
    assert!(!place.path("t.csv").exists());
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_is_printed() {
    let run = Place::new().run(&["check", "--json-schema"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rule.schema.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(run.ok().out == kept, "write it anew: keyfold check --json-schema > docs/rule.schema.json");
}
