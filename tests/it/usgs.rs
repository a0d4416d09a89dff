//! The main job on real input: three downloads of the USGS earthquake catalogue fold into each other with
//! the counts that a SQL join over the files gives.

use std::path::Path;

use chrono::{DateTime, FixedOffset, Utc};

use crate::run::{Place, counts, shared_data};

const BACKENDS: [&str; 2] = ["polars", "datafusion"];
const FORMATS: [&str; 3] = ["csv", "ndjson", "parquet"];
const FIELDS: [&str; 5] = ["inserted", "updated", "unchanged", "stale", "rows_after"];

/// Stored, incoming, and what must be counted, as in the data's README.
const TABLE: [(&str, &str, [u64; 5]); 5] = [
    ("week-2021-05-19", "week-2021-05-22", [914, 338, 795, 0, 3_034]),
    ("week-2021-05-19", "month-2021-05-22", [8_269, 555, 1_563, 0, 10_389]),
    ("week-2021-05-22", "month-2021-05-22", [8_340, 4, 2_043, 0, 10_387]),
    ("week-2021-05-22", "week-2021-05-19", [987, 0, 795, 338, 3_034]),
    ("month-2021-05-22", "week-2021-05-19", [2, 0, 1_563, 555, 10_389]),
];

#[test]
fn five_upserts_count_what_sql_counts_and_twice_is_once() {
    let Some(data) = shared_data("usgs") else { return };
    let read = |name: &str| std::fs::read_to_string(data.join(format!("{name}.csv"))).expect("read");
    check_all(read);
}

#[test]
fn mixed_offsets_and_fractions_in_the_modification_column_count_the_same() {
    let Some(data) = shared_data("usgs") else { return };
    let read = |name: &str| respell(&data.join(format!("{name}.csv")));
    // As text, versions would be picked wrongly: this is what the test is about.
    let wrong = wrong_as_text(&read("week-2021-05-19"), &read("week-2021-05-22"));
    assert!(wrong > 0, "text order would do as well");
    check_all(read);
}

/// A version holds until the next one of its event begins, whichever download had it, and whenever that was folded in.
#[test]
fn a_history_has_each_version_of_each_event_in_its_place() {
    let Some(data) = shared_data("usgs") else { return };
    let names = ["month-2021-05-22", "week-2021-05-19", "week-2021-05-22"];
    let files = names.map(|name| std::fs::read_to_string(data.join(format!("{name}.csv"))).expect("read"));
    let mut versions: Vec<(String, DateTime<Utc>)> =
        files.iter().flat_map(|text| versions_of(text)).collect();
    versions.sort_unstable();
    versions.dedup();
    let ends = versions.iter().skip(1).map(Some).chain([None]);
    let spans: Vec<_> = versions
        .iter()
        .zip(ends)
        .map(|((id, from), next)| (id.clone(), *from, next.filter(|next| next.0 == *id).map(|next| next.1)))
        .collect();
    assert_eq!(spans.len(), 10_947);
    for backend in BACKENDS {
        for format in FORMATS {
            let (place, target) = (Place::new(), format!("history.{format}"));
            for text in &files {
                place.file("in.csv", text);
                let upsert = ["upsert", "in.csv", &target, "--id", "id", "--modified", "updated"];
                let history = ["--method", "history", "--backend", backend];
                place.run(&[&upsert[..], &history].concat()).ok();
            }
            let read = ["read", &target, "--columns", "id,valid_from,valid_to", "--output", "csv"];
            let read = place.run(&read);
            let mut found: Vec<_> = read.ok().out.lines().skip(1).map(span).collect();
            found.sort_unstable();
            assert!(found == spans, "{backend}, {format}: {} spans", found.len());
        }
    }
}

/// The id and the time of each row.
fn versions_of(text: &str) -> Vec<(String, DateTime<Utc>)> {
    let version = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        (fields[11].to_owned(), fields[12].parse().expect("a timestamp"))
    };
    text.lines().skip(1).map(version).collect()
}

/// An id, since when, and until when.
fn span(line: &str) -> (String, DateTime<Utc>, Option<DateTime<Utc>>) {
    let fields: Vec<_> = line.split(',').collect();
    let time = |text: &str| text.parse().expect("a timestamp");
    (fields[0].to_owned(), time(fields[1]), (!fields[2].is_empty()).then(|| time(fields[2])))
}

#[cfg(feature = "s3")]
#[test]
fn on_s3_five_upserts_count_the_same() {
    let Some(data) = shared_data("usgs") else { return };
    let server = crate::s3_server::TestServer::builder().bucket("lake").start();
    let read = |name: &str| std::fs::read_to_string(data.join(format!("{name}.csv"))).expect("read");
    let place = || {
        let mut place = Place::new();
        place.set(server.env());
        place
    };
    check_all_in(place, "s3://lake/", read);
    assert!(server.uploads().is_empty());
}

fn check_all(read: impl Fn(&str) -> String) {
    check_all_in(Place::new, "", read);
}

fn check_all_in(place: impl Fn() -> Place, root: &str, read: impl Fn(&str) -> String) {
    for backend in BACKENDS {
        for format in FORMATS {
            for (stored, incoming, expected) in TABLE {
                let place = place();
                let seen = fold(&place, root, backend, format, &read(stored), &read(incoming));
                assert_eq!(seen, expected, "{incoming} into {stored}, {backend}, {format}");
            }
        }
    }
}

fn fold(place: &Place, root: &str, backend: &str, format: &str, stored: &str, incoming: &str) -> Vec<u64> {
    place.file("stored.csv", stored);
    place.file("incoming.csv", incoming);
    let target = format!("{root}target.{format}");
    match (format, root) {
        ("csv", "") => drop(place.file(&target, stored)),
        ("csv", _) => drop(place.run(&["cp", "stored.csv", &target]).ok()),
        _ => {
            let write = ["write", "stored.csv", &target, "--backend", backend, "--mode", "overwrite"];
            place.run(&write).ok();
        }
    }
    let upsert = ["upsert", "incoming.csv", &target, "--id", "id", "--modified", "updated"];
    let upsert: Vec<_> = upsert.into_iter().chain(["--backend", backend, "--output", "json"]).collect();
    let report = place.run(&upsert).json();
    assert_eq!(report["ties"], 0, "{report}");
    let bytes = |target: &str| {
        if root.is_empty() {
            return place.bytes(target);
        }
        place.run(&["cp", target, "back"]).ok();
        place.bytes("back")
    };
    let before = bytes(&target);
    let again = place.run(&upsert).json();
    assert_eq!(counts(&again, &["inserted", "updated", "bytes_written", "files_added"]), [0; 4]);
    assert!(before == bytes(&target), "the second upsert wrote");
    assert_eq!(place.run(&["count", &target]).ok().out.trim(), report["rows_after"].to_string());
    counts(&report, &FIELDS)
}

/// Respells every `updated` by its instant alone, so that equal instants stay equal text: some with another
/// offset, some without the fraction's last zeros.
fn respell(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("read");
    let column =
        text.lines().next().expect("a header").split(',').position(|c| c == "updated").expect("updated");
    let mut lines = text.lines();
    let mut out = lines.next().expect("a header").to_owned();
    for line in lines {
        out.push('\n');
        let at = line.split(',').nth(column).expect("a field");
        out.push_str(&line.replacen(at, &respelled(at), 1));
    }
    out
}

fn respelled(text: &str) -> String {
    let at: DateTime<Utc> = text.parse().expect("a timestamp");
    let offset = |hours: i32| FixedOffset::east_opt(hours * 3600).expect("an offset");
    match at.timestamp_subsec_millis() % 3 {
        0 => at
            .with_timezone(&offset(if at.timestamp() % 2 == 0 { -12 } else { 14 }))
            .format("%Y-%m-%dT%H:%M:%S%.3f%:z")
            .to_string(),
        1 => at.format("%Y-%m-%dT%H:%M:%S%.9fZ").to_string(),
        _ => {
            let fraction = format!("{:03}", at.timestamp_subsec_millis());
            let fraction = fraction.trim_end_matches('0');
            format!("{}.{fraction}Z", at.format("%Y-%m-%dT%H:%M:%S"))
        }
    }
}

/// How many ids would keep the wrong version if modification values were compared as text.
fn wrong_as_text(stored: &str, incoming: &str) -> usize {
    let versions = |text: &str| -> std::collections::HashMap<String, String> {
        let rows = text.lines().skip(1).map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            (fields[11].to_owned(), fields[12].to_owned())
        });
        rows.collect()
    };
    let stored = versions(stored);
    let newer = |left: &str, right: &str| {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).expect("a timestamp");
        at(left) > at(right)
    };
    versions(incoming)
        .iter()
        .filter_map(|(id, new)| stored.get(id).map(|old| newer(new, old) != (new > old)))
        .filter(|wrong| *wrong)
        .count()
}
