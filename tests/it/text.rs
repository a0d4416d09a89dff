//! Text formats through the command line: what a value is on its way from one file into another, whichever the
//! backend.

use std::fs::File;
use std::process::Stdio;

use serde_json::json;

use crate::run::{Place, Run};

const BACKENDS: [&str; 2] = ["polars", "datafusion"];

impl Place {
    /// Upserts by the column `id`.
    fn upsert(&self, sources: &[&str], target: &str, backend: &str, more: &[&str]) -> Run {
        self.run(&[&["upsert"], sources, &[target, "--id", "id", "--backend", backend], more].concat())
    }
}

#[test]
fn a_number_of_json_is_written_as_the_number_it_was() {
    let long = "{\"id\":1,\"n\":18446744073709551616,\"m\":1}\n{\"id\":2,\"n\":1e400,\"m\":\"1\"}\n";
    let incoming = "{\"id\":2,\"n\":5,\"m\":2}\n{\"id\":3,\"n\":1.50,\"m\":\"2\"}\n";
    for backend in BACKENDS {
        let place = Place::new();
        place.file("t.ndjson", long);
        place.file("in.ndjson", incoming);
        let first = long.lines().next().expect("a line");
        let expected = format!("{first}\n{incoming}");
        for changed in [true, false] {
            let report = place.upsert(&["in.ndjson"], "t.ndjson", backend, &["--output", "json"]).json();
            assert_eq!(report["bytes_written"] != json!(0), changed, "{backend}");
            assert_eq!(place.text("t.ndjson"), expected, "{backend}");
        }
        place.upsert(&["t.ndjson"], "new.ndjson", backend, &[]).ok();
        assert_eq!(place.text("new.ndjson"), expected, "{backend}");
        place.file("in.csv", "id,n\n2,7\n3,3e400\n");
        place.upsert(&["in.csv"], "t.ndjson", backend, &[]).ok();
        let text = place.text("t.ndjson");
        assert!(text.contains("{\"id\":2,\"n\":7,\"m\":2}\n{\"id\":3,\"n\":3e400,\"m\":\"2\"}\n"), "{text}");
    }
}

#[test]
fn an_integer_column_of_json_takes_a_float_from_text() {
    for backend in BACKENDS {
        for (name, incoming) in
            [("in.csv", "id,n\n1,2.5\n2,4\n"), ("in.ndjson", "{\"id\":1,\"n\":2.5}\n{\"id\":2,\"n\":4}\n")]
        {
            let place = Place::new();
            place.file("t.ndjson", "{\"id\":1,\"n\":1}\n");
            place.file(name, incoming);
            place.upsert(&[name], "t.ndjson", backend, &[]).ok();
            assert_eq!(
                place.text("t.ndjson"),
                "{\"id\":1,\"n\":2.5}\n{\"id\":2,\"n\":4}\n",
                "{backend} {name}"
            );
        }
    }
}

#[test]
fn files_of_objects_are_read_together_whatever_keys_they_have() {
    for backend in BACKENDS {
        let place = Place::new();
        place.file("a.ndjson", "{\"id\":1,\"x\":1}\n");
        place.file("b.ndjson", "{\"y\":true,\"id\":2}\n");
        let run = place.run(&["read", "a.ndjson", "b.ndjson", "--output", "csv", "--backend", backend]);
        assert_eq!(run.ok().out, "id,x,y\n1,1,\n2,,true\n", "{backend}");
        place.upsert(&["a.ndjson", "b.ndjson"], "t.ndjson", backend, &[]).ok();
        let expected = "{\"id\":1,\"x\":1,\"y\":null}\n{\"id\":2,\"x\":null,\"y\":true}\n";
        assert_eq!(place.text("t.ndjson"), expected, "{backend}");
    }
}

#[test]
fn ids_that_look_like_floats_are_text_in_csv() {
    for backend in BACKENDS {
        let place = Place::new();
        place.file("t.csv", "id,x\n1.0,a\n2.5,a\n");
        place.file("in.csv", "id,x\n1.00,b\n2.5,b\n");
        place.upsert(&["in.csv"], "t.csv", backend, &[]).ok();
        assert_eq!(place.text("t.csv"), "id,x\n1.0,a\n2.5,b\n1.00,b\n", "{backend}");
    }
}

#[test]
fn rows_that_have_nothing_but_an_id_collapse() {
    for backend in BACKENDS {
        let place = Place::new();
        place.file("in.csv", "id\n1\n1\n2\n");
        for target in ["t.csv", "t.ndjson", "t.parquet"] {
            let report = place.upsert(&["in.csv"], target, backend, &["--output", "json"]).json();
            assert_eq!((&report["inserted"], &report["duplicates"]), (&json!(2), &json!(1)), "{target}");
        }
    }
}

#[test]
fn a_type_of_a_column_that_no_source_has_is_refused() {
    let place = Place::new();
    place.file("a.csv", "id\n1\n");
    place.file("a.ndjson", "{\"id\":1}\n");
    place.run(&["write", "a.csv", "a.parquet"]).ok();
    place.file("t.csv", "id,gone\n1,x\n");
    for backend in BACKENDS {
        for source in ["a.csv", "a.ndjson", "a.parquet"] {
            let types = ["--schema", "id:int64,gone:string"];
            let read = place.run(&[&["read", source, "--backend", backend], &types[..]].concat());
            for run in [read, place.upsert(&[source], "t.csv", backend, &types)] {
                assert!(
                    run.failed(1).contains("column of the schema is missing (column: gone"),
                    "{}",
                    run.err
                );
            }
        }
    }
}

#[test]
fn a_report_that_cannot_be_printed_says_that_the_rows_are_committed() {
    let place = Place::new();
    place.file("in.csv", "id\n1\n");
    for (args, said) in [
        (&["upsert", "in.csv", "t.csv", "--id", "id"][..], "the rows are committed, but"),
        (&["upsert", "in.csv", "t.csv", "--id", "id"], "nothing had to change, but"),
        (&["write", "in.csv", "w.csv"], "the file is written, but"),
    ] {
        let full = File::options().write(true).open("/dev/full").expect("a full device");
        let output =
            place.command().args(args).stdout(full).stderr(Stdio::piped()).output().expect("started");
        let err = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains(said) && err.contains("no need to run it again"), "{err}");
    }
    assert_eq!(place.text("t.csv") + &place.text("w.csv"), "id\n1\nid\n1\n");
}

#[test]
fn every_hint_has_something_to_say() {
    let place = Place::new();
    place.file("t.csv", "id,x\n1,a\n");
    let run = place.pipe(&["upsert", "-", "t.csv", "--id", "id"], b"");
    assert!(run.failed(1).contains("--source-format"), "{}", run.err);
    place.file("in.ndjson", "{\"id\":1,\"x\":\"\\ud800\"}\n");
    for target in ["t.csv", "t.ndjson"] {
        let run = place.upsert(&["in.ndjson"], target, "polars", &[]);
        let said = run.failed(1);
        assert!(said.contains("column: x") && said.contains("hint: write \\ud800"), "{said}");
    }
}
