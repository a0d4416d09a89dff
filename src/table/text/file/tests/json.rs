//! Whole upserts of JSON into JSON.

use super::*;
use crate::table::text::tokens::marked;
use arrow::array::ListArray;
use arrow::datatypes::Int64Type;

#[test]
fn in_json_another_offset_is_a_change_but_for_the_modification_column() {
    let at = |text: &str| format!("{{\"id\":1,\"x\":\"a\",\"at\":\"{text}\"}}\n");
    let (utc, berlin) = ("2023-12-31T22:00:00Z", "2024-01-01T00:00:00+02:00");
    let rows = |x| texts(&[("id", &["1"]), ("x", &[x]), ("at", &[berlin])]);
    let (text, outcome, _) =
        upsert(&mut stored("a.ndjson", &at(utc)), &rows("a"), &by_id()).expect("upserts");
    assert_eq!((text, outcome.rows.updated), (at(berlin), 1));
    let (_, outcome, _) = upsert(&mut stored("a.ndjson", &at(utc)), &rows("b"), &by_at()).expect("upserts");
    assert_eq!((outcome.rows.updated, outcome.rows.ties), (1, 1), "one instant: neither is the newer");
}

#[test]
fn a_json_value_that_is_equal_as_text_keeps_its_kind() {
    let text = "{\"id\":1,\"x\":\"a\"}\n{\"id\":\"b\",\"x\":\"a\"}\n";
    let incoming = texts(&[("id", &["1", "b"]), ("x", &["c", "c"])]);
    let (written, ..) = upsert(&mut stored("a.ndjson", text), &incoming, &by_id()).expect("upserts");
    assert_eq!(written, text.replace("\"a\"", "\"c\""));
}

#[test]
fn tokens_without_an_order_are_no_modification_values_whatever_is_stored() {
    let tokens = |at: [&str; 2]| {
        let column = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let fields = ["id", "at"].map(|name| marked(Field::new(name, DataType::Utf8, true)));
        RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), vec![column(["1", "2"]), column(at)])
            .expect("a batch")
    };
    for text in ["", "{\"id\":1,\"at\":{\"a\":1}}\n{\"id\":2,\"at\":true}\n", "{\"id\":1,\"at\":\"x\"}\n"] {
        for (at, told) in [
            (
                ["{\"a\":1}", "{\"a\":2}"],
                "the modification column has no order (column: at, value: {\"a\":1})",
            ),
            (["\"x\"", "[1]"], "the modification column has no order (column: at, value: [1])"),
            (["\"x\"", "true"], "modification values are not all of one kind (value: true, column: at)"),
        ] {
            let error = upsert(&mut stored("a.ndjson", text), &tokens(at), &by_at()).expect_err("no order");
            assert!(error.to_string().contains(told), "{text} {error}");
        }
    }
    let dates = texts(&[("id", &["1", "1"]), ("at", &["2026-01-01", "01/01/2026"])]);
    let sent = tokens(["\"2026-01-01\"", "\"01/01/2026\""]);
    for (text, taken) in [("", false), ("{\"id\":3,\"at\":\"2026-01-01\"}\n", true)] {
        for incoming in [&dates, &sent] {
            let csv = CsvOptions::default().with_timestamp_format("%d/%m/%Y");
            let done = upsert(&mut stored_as("a.ndjson", text, &csv), incoming, &by_at());
            assert_eq!(done.is_ok(), taken, "{text} {done:?}");
        }
    }
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]));
    let typed = rows(vec![("id", strings(&[Some("1")])), ("at", list)]);
    let mixed = "{\"id\":1,\"at\":[1]}\n{\"id\":2,\"at\":true}\n";
    let error = upsert(&mut stored("a.ndjson", mixed), &typed, &by_at()).expect_err("a list");
    assert_eq!(error.message(), "the modification column has no order");
}

#[test]
fn in_a_new_file_one_instant_is_one_id_as_it_is_when_it_is_stored() {
    let incoming = texts(&[("id", &["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"])]);
    let (location, csv) = (Location::from_path("a.ndjson"), CsvOptions::default());
    let mut file = TextFile::create(Format::Ndjson, &csv, &incoming.schema(), &location).expect("creates");
    let (written, outcome, _) = upsert(&mut file, &incoming, &by_id()).expect("upserts");
    assert_eq!((written.lines().count(), outcome.rows.duplicates), (1, 1));
}

/// Tokens that look alike, and are of many kinds.
const TOKENS: [&str; 22] = [
    "1",
    "1.0",
    "1.50",
    "1e3",
    "1000",
    "-0",
    "9007199254740993",
    "18446744073709551616",
    "1e400",
    "\"1\"",
    "\"x\"",
    "\"\\u0031\"",
    "\"2026-01-01\"",
    "\"2026-01-01T00:00:00Z\"",
    "\"2026-01-01T00:00:00.000Z\"",
    "\"2026-01-01T02:00:00+02:00\"",
    "\"01/01/2026\"",
    "true",
    "[1]",
    "[1.5]",
    "{\"a\": 1}",
    "{\"b\":\"x\"}",
];

type Object = [Option<usize>; 3];

const KEYS: [&str; 3] = ["id", "x", "at"];

/// Objects whose columns are, as often as not, of one kind.
fn objects() -> impl Strategy<Value = Vec<Object>> {
    let kind = prop_oneof![Just(0..6), Just(0..9), Just(9..17), Just(17..22), Just(0..TOKENS.len())];
    (kind.clone(), kind.clone(), kind).prop_flat_map(|(id, x, at)| {
        let row = (id.prop_map(Some), prop::option::of(x), prop::option::of(at));
        prop::collection::vec(row.prop_map(|(id, x, at)| [id, x, at]), 0..5)
    })
}

fn lines(objects: &[Object]) -> String {
    let token = |at: &Option<usize>| at.map_or("null", |at| TOKENS[at]);
    let line = |object: &Object| {
        let entries = KEYS.iter().zip(object).map(|(key, at)| format!("\"{key}\":{}", token(at)));
        format!("{{{}}}\n", entries.collect::<Vec<_>>().join(","))
    };
    objects.iter().map(line).collect()
}

fn tokens(objects: &[Object]) -> RecordBatch {
    let column = |i: usize| -> ArrayRef {
        Arc::new(objects.iter().map(|object| object[i].map(|at| TOKENS[at])).collect::<StringArray>())
    };
    let fields = KEYS.map(|key| marked(Field::new(key, DataType::Utf8, true)));
    RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), vec![column(0), column(1), column(2)])
        .expect("a batch")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_same_upsert_of_json_again_changes_nothing_whatever_the_tokens(
        before in objects(), incoming in objects(), pattern in any::<bool>(), newest in any::<bool>(),
    ) {
        let csv = CsvOptions::default();
        let csv = if pattern { csv.with_timestamp_format("%d/%m/%Y") } else { csv };
        let rule = if newest { by_at() } else { by_id() };
        let (before, sent) = (lines(&before), tokens(&incoming));
        // What is refused changes nothing.
        let Ok((once, first, _)) = upsert(&mut stored_as("a.ndjson", &before, &csv), &sent, &rule) else {
            return Ok(());
        };
        let again = upsert(&mut stored_as("a.ndjson", &once, &csv), &sent, &rule);
        // The kinds of a row that lost are not stored, and need not fit those that are.
        if again.is_err() && first.rows.duplicates + first.rows.stale > 0 {
            return Ok(());
        }
        let (twice, outcome, _) = again.map_err(|e| TestCaseError::fail(format!("{e}\n{before}\n{once}")))?;
        prop_assert!(outcome.rows.is_no_change(), "{}\n{}\n{}", before, once, lines(&incoming));
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn in_a_new_file_every_token_is_as_it_was_sent(incoming in objects()) {
        let sent = tokens(&incoming);
        let (location, csv) = (Location::from_path("a.ndjson"), CsvOptions::default());
        let mut file = TextFile::create(Format::Ndjson, &csv, &sent.schema(), &location).expect("creates");
        let Ok((written, outcome, _)) = upsert(&mut file, &sent, &by_id()) else { return Ok(()) };
        if outcome.rows.duplicates == 0 {
            prop_assert_eq!(written, lines(&incoming));
        }
    }
}
