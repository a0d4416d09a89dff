//! `--schema` means the same in every backend: columns are read as the types asked for, exactly or not at all.

use crate::run::Place;

const BACKENDS: [&str; 2] = ["polars", "datafusion"];

/// A Parquet file with a column of each kind.
fn stored() -> Place {
    let place = Place::new();
    place.file("a.csv", "n,f,s,d\n1,1.5,7,2024-01-01\n300,2.0,x,2024-01-02\n");
    place.run(&["write", "a.csv", "a.parquet"]).ok();
    place
}

#[test]
fn values_that_survive_are_read_as_the_type_asked_for() {
    for backend in BACKENDS {
        let place = stored();
        let args = ["read", "a.parquet", "--output", "ndjson", "--backend", backend];
        let asked = "n:int16,d:timestamp(us)";
        let run = place.run(&[&args[..], &["--schema", asked, "--columns", "n,d"]].concat());
        let expected = "{\"n\":1,\"d\":\"2024-01-01T00:00:00\"}\n{\"n\":300,\"d\":\"2024-01-02T00:00:00\"}\n";
        assert_eq!(run.ok().out, expected, "{backend}");
        let run = place.run(&[&args[..], &["--schema", "n:float64", "--where", "n > 1.5"]].concat());
        assert!(run.ok().out.starts_with("{\"n\":300.0,"), "{backend}: {}", run.out);
    }
}

#[test]
fn values_that_do_not_survive_are_refused_in_the_same_words() {
    let refusals = [
        ("f:int32", "(column: f, type: float64, asked: int32, value: 1.5)\n  hint: ask for a wider type"),
        ("n:int8", "(column: n, type: int64, asked: int8, value: 300)\n  hint: ask for a wider type"),
        ("n:string", "(column: n, type: int64, asked: string)\n  hint: ask for a type of the same kind"),
        ("s:int64", "(column: s, type: string, asked: int64, value: x)\n  hint: ask for a wider type"),
        (
            "d:timestamp(ms, UTC)",
            "(column: d, type: date, asked: timestamp(ms, UTC))\n  hint: ask for a timestamp",
        ),
    ];
    for (asked, expected) in refusals {
        let said = BACKENDS.map(|backend| {
            let args = ["read", "a.parquet", "--schema", asked, "--backend", backend];
            let run = stored().run(&args);
            run.failed(1).to_owned()
        });
        let expected = format!("error: a column cannot be read as the type asked for {expected}");
        assert!(said[0].starts_with(&expected), "{asked}: {}", said[0]);
        assert_eq!(said[0], said[1], "{asked}");
    }
}
