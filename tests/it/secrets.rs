//! Secrets never print: what may hold one is left out of every line that a run writes, however much is logged.

use keyfold::{DataReaderWriter, Location, Upsert, blocking};

use crate::run::Place;

const SECRET: &str = "https://user:canary@host.example/a.csv?sig=canary&x=canary#canary";
/// Refused before anything is opened: it is not the name of an object.
const BUCKET: &str = "s3://lake/b.parquet?X-Amz-Signature=canary";

const LOGGED: &[&[&str]] = &[
    &["-vv"],
    &["--log-level", "trace"],
    &["-vv", "--log-format", "json"],
    &["--log-level", "trace", "--log-format", "json", "--output", "json"],
];

/// Runs a command in each way of logging; it must get as far as to plan, and never say the secret.
#[track_caller]
fn quiet(args: &[&str]) {
    let place = Place::new();
    place.file("a.csv", "id\n1\n");
    for logged in LOGGED {
        // What `read` prints is data, not a report.
        let logged: Vec<&str> = match args[0] {
            "read" => logged.iter().copied().filter(|word| !matches!(*word, "--output")).collect(),
            _ => logged.to_vec(),
        };
        let logged = if args[0] == "read" && logged.len() == 5 { &logged[..4] } else { &logged[..] };
        let run = place.run(&[args, logged].concat());
        let refused = run.code == Some(2) && run.err.contains("presigned URL");
        let failed = run.code == Some(1) && run.err.contains("host.example");
        assert!(refused || failed, "{args:?} {logged:?}: {}", run.err);
        for said in [&run.out, &run.err] {
            assert!(!said.contains("canary"), "{args:?} {logged:?} said:\n{said}");
        }
    }
}

#[test]
fn sources_and_targets_print_without_what_may_be_a_secret() {
    for secret in [SECRET, BUCKET] {
        quiet(&["upsert", secret, "t.csv", "--id", "id"]);
        quiet(&["upsert", "a.csv", secret, "--id", "id"]);
        quiet(&["upsert", "a.csv", secret, secret, "--id", "id", "--dry-run", "--backend", "datafusion"]);
        quiet(&["read", secret]);
        quiet(&["read", secret, "--backend", "datafusion", "--limit", "1"]);
        quiet(&["write", secret, "t.csv"]);
        quiet(&["write", secret, "-"]);
        quiet(&["write", "a.csv", secret, "--backend", "datafusion"]);
        quiet(&["schema", secret]);
        quiet(&["count", "a.csv", secret]);
    }
}

#[test]
fn keys_do_not_print_with_what_was_built_of_them() {
    let mut said = Vec::new();
    macro_rules! debugged {
        ($($door:ty),+) => {$(
            let builder = <$door>::builder().bucket("lake").access_key("canary").secret_key("canary");
            said.push(format!("{builder:?} {builder:#?}"));
            said.push(format!("{:?}", builder.build().expect("built")));
            said.push(format!("{:?}", <$door>::builder().bucket(BUCKET).build().expect_err("refused")));
            let half = <$door>::builder().bucket(BUCKET).secret_key("canary").build().expect_err("half a pair");
            said.push(format!("{half} {half:?}"));
        )+};
    }
    debugged!(DataReaderWriter, Upsert, blocking::DataReaderWriter, blocking::Upsert);
    let location: Location = SECRET.parse().expect("a location");
    said.push(format!("{location} {location:?} {}", location.name()));
    for said in said {
        assert!(!said.contains("canary"), "{said}");
    }
}
