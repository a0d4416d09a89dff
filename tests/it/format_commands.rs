//! The command line on files that are written whole: pipes, compression, and what is wrong with them.

use std::io::Write;

use crate::run::Place;

const CSV: &str = "id,word\n1,a\n2,b\n";
const JSON: &str = "[\n{\"id\":1,\"word\":\"a\"},\n{\"id\":2,\"word\":\"b\"}\n]\n";
const BACKENDS: [&str; 2] = ["polars", "datafusion"];

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text).expect("written");
    out.finish().expect("finished")
}

#[test]
fn standard_input_may_be_compressed_an_array_or_arrow() {
    let place = Place::new();
    place.file("a.csv", CSV);
    for name in ["a.arrow", "a.arrows", "a.json.zst"] {
        place.run(&["write", "a.csv", name]).ok();
    }
    let files = [
        gzip(CSV.as_bytes()),
        JSON.into(),
        place.bytes("a.arrow"),
        place.bytes("a.arrows"),
        place.bytes("a.json.zst"),
    ];
    for (bytes, backend) in files.iter().flat_map(|bytes| BACKENDS.map(|backend| (bytes, backend))) {
        let run = place.pipe(&["read", "-", "--output", "csv", "--backend", backend], bytes);
        assert_eq!(run.ok().out, CSV);
        assert_eq!(place.pipe(&["count", "-"], bytes).ok().out, "2\n");
    }
}

#[test]
fn standard_output_takes_every_format_and_compression() {
    let place = Place::new();
    place.file("a.csv", CSV);
    assert_eq!(place.run(&["write", "a.csv", "-", "--target-format", "json"]).ok().out, JSON);
    for more in [
        &["--target-format", "arrow"][..],
        &["--target-format", "arrow-stream", "--compression", "lz4"],
        &["--target-format", "json", "--compression", "zstd:7"],
        &["--compression", "gzip:1"],
    ] {
        let args = [&["write", "a.csv", "-"], more].concat();
        let made = place.command().args(args).output().expect("started");
        assert!(made.status.success() && std::str::from_utf8(&made.stdout).is_err(), "{more:?}");
        assert_eq!(place.pipe(&["read", "-", "--output", "csv"], &made.stdout).ok().out, CSV);
    }
}

#[test]
fn a_name_says_the_compression_and_a_contradiction_is_wrong_usage() {
    let mut place = Place::new();
    place.file("a.csv", CSV);
    for (args, said) in [
        (&["b.csv.gz", "--compression", "zstd"][..], "the compression is not the one that the name says"),
        (&["b.csv", "--compression", "snappy"], "text is not compressed by this codec"),
        (&["b.arrow", "--compression", "snappy"], "Arrow IPC is not compressed by this codec"),
        (&["b.parquet.gz"], "only text is compressed as a whole"),
        (&["b.xyz.gz"], "the format of the new file cannot be told"),
    ] {
        let run = place.run(&[&["write", "a.csv"], args].concat());
        assert!(run.failed(2).contains(said), "{}", run.err);
    }
    place.run(&["write", "a.csv", "b.csv.gz", "--compression", "gzip:9"]).ok();
    assert_eq!(place.bytes("b.csv.gz")[..2], [0x1f, 0x8b]);
    place.set([("KEYFOLD_COMPRESSION", "zstd:9".to_owned())]);
    place.run(&["write", "a.csv", "c.csv"]).ok();
    assert_eq!(place.text("c.csv"), CSV, "the variable is for Parquet");
    assert_eq!(place.names(), ["a.csv", "b.csv.gz", "c.csv"]);
}

#[test]
fn what_cannot_be_changed_says_so_before_the_sources_are_looked_at() {
    let place = Place::new();
    for target in ["t.json", "t.arrow", "t.arrows", "t.csv.gz", "t.ndjson.zst"] {
        let run = place.run(&["upsert", "none.csv", target, "--id", "id"]);
        let said = run.failed(1);
        assert!(
            said.contains("can be read and written, but not changed") && said.contains("keyfold write"),
            "{said}"
        );
    }
}

#[test]
fn cut_off_files_are_named() {
    let place = Place::new();
    let csv: String =
        std::iter::once("id,word\n".to_owned()).chain((0..3_000).map(|i| format!("{i},w{i}\n"))).collect();
    place.file("a.csv", csv);
    for name in ["b.csv.gz", "b.ndjson.zst", "b.json", "b.json.gz", "b.arrow", "b.arrows"] {
        place.run(&["write", "a.csv", name]).ok();
        let whole = place.bytes(name);
        for keep in [5, whole.len() / 2, whole.len() - 2] {
            place.file(name, &whole[..keep]);
            for backend in BACKENDS {
                let run = place.run(&["read", name, "--output", "csv", "--backend", backend]);
                let said = if run.code == Some(1) { &run.err } else { run.failed(1) };
                assert!(
                    said.contains(name) && said.contains("hint: ") && !said.contains("panicked"),
                    "{keep}: {said}"
                );
            }
            let run = place.run(&["count", name]);
            assert!(run.failed(1).contains(name), "{keep}: {}", run.err);
        }
    }
}

#[test]
fn damage_is_told_in_the_format_of_the_log_and_nothing_else_is_printed() {
    let place = Place::new();
    place.file("a.csv", CSV);
    place.run(&["write", "a.csv", "a.arrow"]).ok();
    let whole = place.bytes("a.arrow");
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        if at % 11 != 0 {
            continue;
        }
        place.file("b.arrow", &damaged);
        let run = place.run(&["read", "b.arrow", "--output", "csv", "--log-format", "json"]);
        for line in run.err.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{at}: {line}");
        }
    }
}

#[test]
fn rows_without_columns_are_shown() {
    let place = Place::new();
    place.file("a.json", "[{}, {}]");
    for backend in BACKENDS {
        let run = place.run(&["read", "a.json", "--output", "ndjson", "--backend", backend]);
        assert_eq!(run.ok().out, "{}\n{}\n");
    }
}

#[test]
fn a_compressed_target_is_refused_whatever_it_is_called() {
    let place = Place::new();
    place.file("a.csv", CSV);
    for (name, text) in [("t.ndjson", "{\"id\":1}\n"), ("t.csv", CSV), ("t.json", "{\"id\":1}\n")] {
        place.file(name, gzip(text.as_bytes()));
        let run = place.run(&["upsert", "a.csv", name, "--id", "id"]);
        assert!(run.failed(1).contains("can be read and written, but not changed"), "{name}: {}", run.err);
    }
}

#[test]
fn a_type_that_no_decoder_knows_is_refused_by_column() {
    let place = Place::new();
    // One row of Polars' 128-bit integers, as `pl.DataFrame({"n": [1]}, {"n": pl.Int128}).write_ipc` writes it.
    place.file("a.arrow", include_bytes!("format_commands/int128.arrow"));
    for args in [["read", "a.arrow"], ["schema", "a.arrow"], ["count", "a.arrow"]] {
        let run = place.run(&args);
        let said = run.failed(1);
        assert!(said.contains("column: n") && said.contains("128-bit integers"), "{said}");
    }
}
