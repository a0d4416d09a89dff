//! Whole upserts into text files, seen through the bytes they leave behind.

use super::*;
use crate::core::merge::kernel::{Incoming, Outcome};
use crate::error::ErrorKind;
use crate::table::new_rows::NewRows;
use crate::table::text::TextEncoder;
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use proptest::prelude::*;
use std::io::{Seek, Write};

fn stored(name: &str, text: &str) -> TextFile {
    stored_as(name, text, &CsvOptions::default())
}

fn stored_as(name: &str, text: &str, csv: &CsvOptions) -> TextFile {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let location = Location::from_path(name);
    let format = Format::from_name(name).expect("a format");
    TextFile::open(&Session::default(), file, &location, format, csv).expect("opens")
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

/// The new file, the outcome and the work of one upsert.
fn upsert(
    file: &mut TextFile,
    rows: &RecordBatch,
    rule: &MergeRule,
) -> Result<(String, Outcome, WorkCounts)> {
    let session = Session::default();
    let mut work = WorkCounts::default();
    let (schema, batches) = file.fit(&rows.schema(), vec![rows.clone()], rule)?;
    let incoming = Incoming::settle(&schema, &batches, None, rule)?;
    let mut matcher = Matcher::new(&incoming, &file.schema(), rule)?;
    let stored = file.find(&session, &mut matcher, &mut work)?;
    let outcome = matcher.finish(Some(stored))?;
    let mut out = tempfile::tempfile().expect("a file");
    let change =
        Change { rows: &NewRows::Held(incoming.batch(), incoming.source_rows().into()), outcome: &outcome };
    file.rewrite(&session, &change, &mut Sink::plain(&mut out), &mut work)?;
    let mut text = String::new();
    out.rewind().expect("rewinds");
    out.read_to_string(&mut text).expect("reads");
    Ok((text, outcome, work))
}

#[test]
fn only_changed_records_change_their_bytes() {
    let text = "\u{feff}id,zip,at\r\n1,02139,2026-01-01\r\n2,\"1.50\",2026-01-02\r\n3,x,\r\n";
    let rule = MergeRule::by_modified(["id"], "at").expect("a rule");
    let incoming = rows(vec![
        ("at", strings(&[Some("2026-01-03"), Some("2026-01-01"), None, Some("2026-01-04")])),
        ("id", strings(&[Some("01"), Some("2"), Some("3"), Some("4")])),
    ]);
    let (written, outcome, work) = upsert(&mut stored("a.csv", text), &incoming, &rule).expect("upserts");
    let expected = text.replace("1,02139,2026-01-01\r\n", "1,02139,2026-01-03\r\n") + "4,,2026-01-04\r\n";
    assert_eq!(written, expected);
    let counts = (outcome.rows.updated, outcome.rows.stale, outcome.rows.unchanged, outcome.rows.inserted);
    assert_eq!(counts, (1, 1, 1, 1));
    assert_eq!((work.bytes_read, work.key_bytes_read), (text.len() as u64, text.len() as u64));
    assert_eq!(work.bytes_written, Some(written.len() as u64));
}

#[test]
fn the_same_upsert_again_finds_nothing_to_change() {
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    let incoming = rows(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 3]))),
        ("x", strings(&[Some(""), None])),
        ("y", strings(&[Some("1.50"), Some("a\nb")])),
    ]);
    for (name, text) in
        [("a.csv", "id,x,y\n1,a,b\n2,c,d"), ("a.ndjson", "{\"id\":1,\"x\":\"a\",\"y\":\"b\"}\n{\"id\":2}")]
    {
        let (once, outcome, _) = upsert(&mut stored(name, text), &incoming, &rule).expect("upserts");
        assert_eq!((outcome.rows.updated, outcome.rows.inserted), (1, 1), "{name}");
        let (twice, outcome, _) = upsert(&mut stored(name, &once), &incoming, &rule).expect("upserts");
        assert_eq!((twice, outcome.rows.unchanged), (once, 2), "{name}");
    }
}

#[test]
fn a_new_csv_file_holds_raw_text_and_compares_values() {
    let rule = MergeRule::by_modified(["id"], "version").expect("a rule");
    let incoming = rows(vec![
        ("id", strings(&[Some("007"), Some("a"), Some("a")])),
        ("version", strings(&[Some("1.50"), Some("9"), Some("10")])),
    ]);
    let (location, csv) = (Location::from_path("a.csv"), CsvOptions::default());
    let mut file = TextFile::create(Format::Csv, &csv, &incoming.schema(), &location).expect("creates");
    let (written, outcome, _) = upsert(&mut file, &incoming, &rule).expect("upserts");
    assert_eq!(written, "id,version\n007,1.50\na,10\n");
    assert_eq!((outcome.rows.rows_before, outcome.rows.duplicates), (Some(0), 1));
}

#[test]
fn text_sources_are_read_raw_where_text_or_numbers_are_stored() {
    let columns = |file: &TextFile| {
        let schema = file.source_schema();
        schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect::<Vec<_>>()
    };
    let csv = [("a".to_owned(), DataType::Utf8), ("b".to_owned(), DataType::Utf8)];
    assert_eq!(columns(&stored("a.csv", "a,b\n1,2.5\n")), csv);
    let json = stored("a.ndjson", "{\"a\":1,\"b\":null,\"c\":true,\"d\":1}\n{\"d\":\"x\"}\n");
    assert_eq!(columns(&json), [("a".to_owned(), DataType::Utf8), ("c".to_owned(), DataType::Boolean)]);
}

#[test]
fn ids_that_span_blocks_are_found_where_they_are() {
    let line = |i: usize| format!("{i},{}\n", "x".repeat(60));
    let text: String = std::iter::once("id,x\n".to_owned()).chain((0..200_000).map(line)).collect();
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    let incoming = rows(vec![
        ("id", Arc::new(Int64Array::from(vec![199_999, 0, 77_777]))),
        ("x", strings(&[Some("c"), Some("a"), Some("b")])),
    ]);
    let (written, outcome, _) = upsert(&mut stored("a.csv", &text), &incoming, &rule).expect("upserts");
    assert_eq!((outcome.rows.updated, outcome.rows.rows_after), (3, Some(200_000)));
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!([lines[1], lines[77_778], lines[200_000]], ["0,a", "77777,b", "199999,c"]);
}

#[test]
fn a_file_that_changed_since_its_types_were_told_is_an_error() {
    let mut file = stored("a.csv", "id\n1\n");
    let mut other = tempfile::tempfile().expect("a file");
    other.write_all(b"id\nx\n").expect("written");
    file.source = Some(Arc::new(other));
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    let error = upsert(&mut file, &rows(vec![("id", strings(&[Some("1")]))]), &rule).expect_err("no integer");
    assert!(error.to_string().contains("line: 2, column: id, value: x"), "{error}");
}

fn texts(columns: &[(&str, &[&str])]) -> RecordBatch {
    let column = |values: &[&str]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    rows(columns.iter().map(|(name, values)| (*name, column(values))).collect())
}

fn by_id() -> MergeRule {
    MergeRule::by_id(["id"]).expect("a rule")
}

fn by_at() -> MergeRule {
    MergeRule::by_modified(["id"], "at").expect("a rule")
}

#[test]
fn dates_that_come_as_timestamps_are_written_as_dates_and_twice_is_once() {
    let incoming = texts(&[("id", &["1", "2"]), ("at", &["2026-01-03T00:00:00", "2026-01-02"])]);
    let text = "id,at\n1,2026-01-01\n2,2026-01-05\n";
    let (once, outcome, _) = upsert(&mut stored("a.csv", text), &incoming, &by_at()).expect("upserts");
    assert_eq!(once, "id,at\n1,2026-01-03\n2,2026-01-05\n");
    assert_eq!((outcome.rows.updated, outcome.rows.stale), (1, 1));
    let (twice, outcome, _) = upsert(&mut stored("a.csv", &once), &incoming, &by_at()).expect("upserts");
    assert_eq!((twice, outcome.rows.unchanged, outcome.rows.stale), (once, 1, 1));
}

#[test]
fn an_id_keeps_its_spelling_so_that_the_next_source_finds_it() {
    let first = texts(&[("id", &["01", "03"]), ("x", &["b", "c"])]);
    let (text, ..) = upsert(&mut stored("a.csv", "id,x\n1,a\n2,a\n"), &first, &by_id()).expect("upserts");
    assert_eq!(text, "id,x\n1,b\n2,a\n3,c\n");
    let second = texts(&[("id", &["1", "3"]), ("x", &["d", "d"])]);
    let (text, ..) = upsert(&mut stored("a.csv", &text), &second, &by_id()).expect("upserts");
    assert_eq!(text, "id,x\n1,d\n2,a\n3,d\n");
}

#[test]
fn an_odd_version_does_not_turn_versions_into_text() {
    let text = "id,at\n1,8\n2,8\n";
    let (text, ..) =
        upsert(&mut stored("a.csv", text), &texts(&[("id", &["1"]), ("at", &["010"])]), &by_at())
            .expect("upserts");
    assert_eq!(text, "id,at\n1,10\n2,8\n");
    let (text, outcome, _) =
        upsert(&mut stored("a.csv", &text), &texts(&[("id", &["1"]), ("at", &["9"])]), &by_at())
            .expect("upserts");
    assert_eq!((text.as_str(), outcome.rows.stale), ("id,at\n1,10\n2,8\n", 1));
}

#[test]
fn dates_in_the_form_of_the_source_do_not_mix_with_iso_dates() {
    let csv = CsvOptions::default().with_timestamp_format("%d/%m/%Y");
    let incoming = texts(&[("id", &["1", "2"]), ("at", &["03/01/2026", "04/01/2026"])]);
    let upsert_into =
        |text: &str| upsert(&mut stored_as("a.csv", text, &csv), &incoming, &by_at()).expect("upserts").0;
    assert_eq!(upsert_into("id,at\n1,2026-01-01\n"), "id,at\n1,2026-01-03\n2,2026-01-04\n");
    assert_eq!(upsert_into("id,at\n1,01/01/2026\n"), "id,at\n1,03/01/2026\n2,04/01/2026\n");
}

#[test]
fn dates_in_the_form_of_the_source_come_into_iso_wherever_text_is_stored() {
    let csv = CsvOptions::default().with_timestamp_format("%d/%m/%Y %H:%M %z");
    let incoming = texts(&[("id", &["1", "2"]), ("x", &["03/01/2026 12:00 +0200", "soon"])]);
    for (name, text, expected) in [
        ("a.csv", "id,x\n1,2026-01-01T00:00:00+02:00\n", "id,x\n1,2026-01-03T10:00:00Z\n2,soon\n"),
        (
            "a.ndjson",
            "{\"id\":1,\"x\":\"2026-01-01T00:00:00Z\"}\n",
            "{\"id\":1,\"x\":\"2026-01-03T10:00:00Z\"}\n{\"id\":2,\"x\":\"soon\"}\n",
        ),
    ] {
        let (once, ..) = upsert(&mut stored_as(name, text, &csv), &incoming, &by_id()).expect("upserts");
        assert_eq!(once, expected);
        let (twice, outcome, _) =
            upsert(&mut stored_as(name, &once, &csv), &incoming, &by_id()).expect("upserts");
        assert_eq!((twice, outcome.rows.unchanged), (once, 2));
    }
}

#[test]
fn with_method_id_a_modification_column_may_become_text() {
    let rule = MergeRule::new(crate::UpsertMethod::Id, ["id"], Some("at".into())).expect("a rule");
    let incoming = texts(&[("id", &["1", "1"]), ("at", &["v1", "v2"])]);
    let (text, ..) = upsert(&mut stored("a.csv", "id,at\n1,9\n2,9\n"), &incoming, &rule).expect("upserts");
    assert_eq!(text, "id,at\n1,v2\n2,9\n");
}

#[test]
fn fields_that_are_equal_by_value_keep_their_bytes_in_a_record_that_changes() {
    let csv = CsvOptions::default().with_null_values(["NA"]);
    let text = "id,price,note,at,x\n\"1\",1.50,NA,2026-01-01T00:00:00.000Z,a\n";
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", strings(&[Some("1")])),
        ("price", strings(&[Some("1.5")])),
        ("note", strings(&[None])),
        ("at", strings(&[Some("2026-01-01T02:00:00+02:00")])),
        ("x", strings(&[Some("b")])),
    ];
    let (written, ..) =
        upsert(&mut stored_as("a.csv", text, &csv), &rows(columns), &by_id()).expect("upserts");
    assert_eq!(written, text.replace(",a\n", ",b\n"));
}

#[test]
fn a_modification_value_of_another_kind_is_refused_by_name() {
    for (stored_at, at, value) in [
        ("9", ["2.5", "soon"], "stored: int64, value: soon"),
        ("1.5", ["2", "x"], "stored: float64, value: x"),
        ("2026-01-01", ["2026-01-02", "2026-01-02T10:00:00"], "stored: date, value: 2026-01-02T10:00:00"),
        (
            "2026-01-01T00:00:00Z",
            ["2026-01-02T10:00:00Z", "2026-01-02T10:00:00"],
            "stored: timestamp(ms, UTC), value: 2026-01-02T10:00:00)",
        ),
    ] {
        let text = format!("id,at\n1,{stored_at}\n");
        let incoming = texts(&[("id", &["1", "2"]), ("at", &at)]);
        let error = upsert(&mut stored("a.csv", &text), &incoming, &by_at()).expect_err("another kind");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&format!("column: at, {value}")), "{error}");
        assert!(upsert(&mut stored("a.csv", &text), &incoming, &by_id()).is_ok(), "no order is asked for");
    }
}

/// A row that loses to another is not stored, so that nothing stored could tell of its kind the next time.
#[test]
fn modification_values_of_two_kinds_are_refused_before_one_of_them_is_lost() {
    let csv = CsvOptions::default().with_timestamp_format("%d/%m/%Y");
    for (at, other) in [
        (["2026-01-01", ""], ""),
        (["true", "x"], "x"),
        (["01/01/2026", "2026"], "2026"),
        (["01/01/2026", "soon"], "soon"),
        (["0.12345678901234567890", "2026-01-01"], "2026-01-01"),
    ] {
        for text in ["id,at\n", "id,at\n7,x\n8,9\n"] {
            let incoming = texts(&[("id", &["1", "1"]), ("at", &at)]);
            let error =
                upsert(&mut stored_as("a.csv", text, &csv), &incoming, &by_at()).expect_err("two kinds");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let told = format!("modification values are not all of one kind (value: {other}, column: at)");
            assert!(error.to_string().contains(&told), "{at:?} {error}");
        }
    }
    let same = texts(&[("id", &["1", "1"]), ("at", &["01/02/2026", "02/01/2026"])]);
    let (written, ..) = upsert(&mut stored_as("a.csv", "id,at\n", &csv), &same, &by_at()).expect("one kind");
    assert_eq!(written, "id,at\n1,01/02/2026\n");
}

#[test]
fn numbers_that_only_text_can_hold_are_ordered_as_numbers() {
    let incoming = texts(&[("id", &["1", "2"]), ("at", &["18446744073709551616", "10"])]);
    let text = "id,at\n1,9223372036854775807\n2,9\n";
    let (written, ..) = upsert(&mut stored("a.csv", text), &incoming, &by_at()).expect("upserts");
    assert_eq!(written, "id,at\n1,18446744073709551616\n2,10\n");
}

#[test]
fn instants_that_only_text_can_hold_are_ordered_as_instants() {
    let text = "id,at\n1,2026-01-01T00:00:00Z\n2,2026-01-01T00:00:00Z\n";
    let at = ["2026-01-01T01:59:00.0001+02:00", "2026-01-01T00:01:00+00:00"];
    let incoming = texts(&[("id", &["1", "2"]), ("at", &at)]);
    let (_, outcome, _) = upsert(&mut stored("a.csv", text), &incoming, &by_at()).expect("upserts");
    assert_eq!((outcome.rows.stale, outcome.rows.updated), (1, 1));
}

#[test]
fn ids_that_look_like_floats_are_compared_as_text() {
    let incoming = texts(&[("id", &["1.10", "1.1", "2"]), ("x", &["b", "b", "b"])]);
    let text = "id,x\n1.1,a\n2,a\n";
    let (once, outcome, _) = upsert(&mut stored("a.csv", text), &incoming, &by_id()).expect("upserts");
    assert_eq!(once, "id,x\n1.1,b\n2,b\n1.10,b\n");
    assert_eq!((outcome.rows.updated, outcome.rows.inserted), (2, 1));
    let (location, csv) = (Location::from_path("a.csv"), CsvOptions::default());
    let mut new = TextFile::create(Format::Csv, &csv, &incoming.schema(), &location).expect("creates");
    assert_eq!(upsert(&mut new, &incoming, &by_id()).expect("upserts").1.rows.inserted, 3);
}

#[test]
fn ids_that_are_floats_in_a_frame_are_refused() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    for text in ["id\n1.5\n", "id\n1\n", "id\nx\n", "id\n"] {
        let incoming = rows(vec![("id", Arc::clone(&floats))]);
        let error = upsert(&mut stored("a.csv", text), &incoming, &by_id()).expect_err("floats");
        assert_eq!(error.message(), "an id column must not hold floats", "{text}");
    }
    let whole = rows(vec![("id", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef)]);
    let (_, outcome, _) = upsert(&mut stored("a.csv", "id\n1\n"), &whole, &by_id()).expect("upserts");
    assert_eq!(outcome.rows.unchanged, 1);
}

/// Values that look alike, and are of many types.
const NASTY: [&str; 24] = [
    "1",
    "01",
    "1.0",
    "1e3",
    "1000",
    "-0",
    "0",
    "9",
    "10",
    "010",
    "9007199254740993",
    "0.12345678901234567890",
    "NaN",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-01-01 00:00",
    "2026-01-01T00:00:00.0001",
    "2026-01-01T00:00:00Z",
    "2026-01-01T02:00:00+02:00",
    "01/01/2026",
    "true",
    "",
    "\"",
    "x",
];

mod json;

type Record = (usize, Option<usize>, Option<usize>);

fn records() -> impl Strategy<Value = Vec<Record>> {
    let field = || prop::option::of(0..NASTY.len());
    let kinds = prop_oneof![Just(0..13), Just(13..20), Just(0..NASTY.len())];
    kinds.prop_flat_map(move |kind| {
        let ids = prop::collection::hash_set(kind, 0..5).prop_map(|ids| ids.into_iter().collect::<Vec<_>>());
        ids.prop_flat_map(move |ids| {
            ids.into_iter().map(|id| (Just(id), field(), field())).collect::<Vec<_>>()
        })
    })
}

fn table(records: &[Record]) -> RecordBatch {
    let column = |of: fn(&Record) -> Option<usize>| -> ArrayRef {
        Arc::new(records.iter().map(|record| of(record).map(|at| NASTY[at])).collect::<StringArray>())
    };
    rows(vec![
        ("id", column(|record| Some(record.0))),
        ("x", column(|record| record.1)),
        ("at", column(|record| record.2)),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_same_upsert_again_changes_nothing_whatever_the_text(
        before in records(), incoming in records(), pattern in any::<bool>(), newest in any::<bool>(),
    ) {
        let csv = CsvOptions::default();
        let csv = if pattern { csv.with_timestamp_format("%d/%m/%Y") } else { csv };
        let rule = if newest { by_at() } else { by_id() };
        let (before, incoming) = (table(&before), table(&incoming));
        let mut text = Vec::new();
        let mut encoder = TextEncoder::new(Format::Csv, &before.schema(), &csv).expect("an encoder");
        encoder.header(&mut text);
        encoder.encode(&before, &mut text).expect("encodes");
        let mut file = stored_as("a.csv", std::str::from_utf8(&text).expect("text"), &csv);
        // What is refused changes nothing.
        let Ok((once, ..)) = upsert(&mut file, &incoming, &rule) else { return Ok(()) };
        for ((types, view), sent) in file.types.iter().zip(&file.view).zip(&file.sent) {
            let mut told = types.clone();
            let cells = &sent.as_ref().expect("sent").cells;
            cells.texts().iter().flatten().for_each(|text| told.observe(text));
            let told = told.data_type();
            // Ids that look like floats are compared as text.
            prop_assert!(told == *view || (told == DataType::Float64 && *view == DataType::Utf8), "{told} {view} {once}");
        }
        let (twice, outcome, _) = upsert(&mut stored_as("a.csv", &once, &csv), &incoming, &rule).expect("again");
        prop_assert!(outcome.rows.is_no_change(), "{once}{twice}");
        prop_assert_eq!(twice, once);
    }
}
