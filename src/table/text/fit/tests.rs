//! What incoming columns are compared as and written as.

use super::*;
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::options::CsvOptions;
use crate::core::schema::type_name;
use crate::table::text::tokens::marked;
use arrow::array::{Float64Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
use std::io::Write;

fn stored(name: &str, text: &str) -> TextFile {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let location = Location::from_path(name);
    let format = Format::from_name(name).expect("a format");
    TextFile::open(&Session::default(), file, &location, format, &CsvOptions::default()).expect("opens")
}

fn fit(file: &mut TextFile, columns: Vec<(&str, ArrayRef)>) -> Result<String> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    fit_as(file, &batch.schema(), &batch)
}

/// The same for columns of tokens.
fn fit_tokens(file: &mut TextFile, columns: Vec<(&str, ArrayRef)>) -> Result<String> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| marked(Field::clone(field)));
    fit_as(file, &Arc::new(Schema::new(fields.collect::<Vec<_>>())), &batch)
}

fn fit_as(file: &mut TextFile, schema: &SchemaRef, batch: &RecordBatch) -> Result<String> {
    let parts = [batch.slice(0, 1), batch.slice(1, 1)];
    let (schema, batches) = file.fit_batches(schema, &parts, None)?;
    assert_eq!(batches[0].schema(), schema);
    assert_eq!(batches[0].num_rows(), 2);
    Ok(schema
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), type_name(field.data_type())))
        .collect::<Vec<_>>()
        .join(", "))
}

fn strings(values: [&str; 2]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn sent(file: &TextFile, slot: usize) -> Vec<String> {
    let texts = file.sent[slot].as_ref().expect("sent").cells.texts();
    texts.iter().map(|text| text.unwrap_or("null").to_owned()).collect()
}

#[test]
fn raw_text_is_compared_in_the_stored_type_and_kept_as_it_was_sent() {
    let mut file = stored("a.csv", "id,x,y\n1,1.5,1.50\n2,x,2\n");
    let columns =
        vec![("x", strings(["1", "02"])), ("id", strings(["7", "8"])), ("y", strings(["1e3", "2.50"]))];
    assert_eq!(fit(&mut file, columns).expect("fits"), "x string, id int64, y float64");
    let all = [sent(&file, 0), sent(&file, 1), sent(&file, 2)];
    assert_eq!(all, [["7", "8"], ["1", "02"], ["1e3", "2.50"]]);
}

#[test]
fn only_text_that_would_change_the_type_of_a_csv_column_is_written_in_the_form_of_that_type() {
    let text = "i,f,d,t\n1,1.5,2026-01-01,2026-01-01T00:00:00\n";
    let mut file = stored("a.csv", text);
    let columns = vec![
        ("i", strings(["007", "-0"])),
        ("f", strings(["01.5", "1.50"])),
        ("d", strings(["2026-01-03T00:00:00", "2026-01-04"])),
        ("t", strings(["2026-01-03", "2026-01-03 12:00"])),
    ];
    assert_eq!(fit(&mut file, columns).expect("fits"), "i int64, f float64, d date, t timestamp(ms)");
    let all = [sent(&file, 0), sent(&file, 1), sent(&file, 2), sent(&file, 3)];
    let expected = [
        ["7", "0"],
        ["1.5", "1.50"],
        ["2026-01-03", "2026-01-04"],
        ["2026-01-03T00:00:00", "2026-01-03 12:00"],
    ];
    assert_eq!(all, expected);
}

#[test]
fn text_that_no_form_of_the_type_keeps_is_written_as_sent_and_compared_as_text() {
    let mut file = stored("a.csv", "f,d\n1.5,2026-01-01\n");
    let digits = "0.12345678901234567890";
    let columns = vec![("f", strings([digits, "1"])), ("d", strings(["+12026-01-01", "2026-01-02"]))];
    assert_eq!(fit(&mut file, columns).expect("fits"), "f string, d string");
    assert_eq!([sent(&file, 0), sent(&file, 1)], [[digits, "1"], ["+12026-01-01", "2026-01-02"]]);
}

#[test]
fn whole_floats_of_a_frame_are_integers_where_integers_are_stored() {
    let mut file = stored("a.csv", "i\n1\n");
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    assert_eq!(fit(&mut file, vec![("i", floats)]).expect("fits"), "i int64");
    assert_eq!(sent(&file, 0), ["1", "2"]);
}

#[test]
fn text_of_numbers_is_numbers_where_json_numbers_are_stored() {
    let mut file = stored("a.ndjson", "{\"i\":1,\"j\":1,\"k\":1}\n");
    let columns = vec![
        ("i", strings(["2.5", "3"])),
        ("j", strings(["2.0", "007"])),
        ("k", strings(["9007199254740993", "4"])),
    ];
    assert_eq!(fit(&mut file, columns).expect("fits"), "i float64, j int64, k int64");
    assert_eq!([sent(&file, 0), sent(&file, 1)], [["2.5", "3"], ["2", "7"]]);
    for (values, refused) in [
        (["2.5", "x"], "row: 2, value: x"),
        (["9007199254740993", "2.5"], "row: 2, value: 2.5"),
        (["NaN", "1"], "row: 1, value: NaN"),
        (["1", "1e999"], "row: 2, value: 1e999"),
    ] {
        let error = fit(&mut file_of_integers(), vec![("i", strings(values))]).expect_err("no number");
        assert!(error.to_string().contains(refused), "{error}");
    }
}

fn file_of_integers() -> TextFile {
    stored("a.ndjson", "{\"i\":1}\n")
}

#[test]
fn a_value_that_does_not_fit_widens_the_view_of_a_csv_file() {
    let mut file = stored("a.csv", "a,b,c\n1,1,2026-01-01\n");
    let columns =
        vec![("a", strings(["2.5", "3"])), ("b", strings(["x", "1"])), ("c", strings(["2026-01-02", "x"]))];
    assert_eq!(fit(&mut file, columns).expect("fits"), "a float64, b string, c string");
    let view: Vec<String> = file.schema().fields().iter().map(|field| type_name(field.data_type())).collect();
    assert_eq!(view, ["float64", "string", "string"]);
}

#[test]
fn integers_that_are_no_floats_widen_to_strings() {
    let mut file = stored("a.csv", "a\n9007199254740993\n");
    assert_eq!(fit(&mut file, vec![("a", strings(["0.5", "1"]))]).expect("fits"), "a string");
}

#[test]
fn where_nothing_is_stored_the_incoming_type_counts() {
    let mut file = stored("a.csv", "a,b\n");
    let columns: Vec<(&str, ArrayRef)> =
        vec![("a", Arc::new(Int32Array::from(vec![1, 2]))), ("b", strings(["10", "9"]))];
    assert_eq!(fit(&mut file, columns).expect("fits"), "a int32, b int64");
    let mut file = stored("a.ndjson", "");
    assert_eq!(fit(&mut file, vec![("a", strings(["10", "9"]))]).expect("fits"), "a string");
}

#[test]
fn json_types_stay_and_integers_widen_to_floats() {
    let mut file = stored("a.ndjson", "{\"i\":1,\"j\":1,\"s\":\"x\"}\n");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Float64Array::from(vec![1.0, 2.0]))),
        ("j", Arc::new(Float64Array::from(vec![1.5, 2.0]))),
        ("s", Arc::new(TimestampMillisecondArray::from(vec![0, 1]))),
    ];
    assert_eq!(fit(&mut file, columns).expect("fits"), "i int64, j float64, s string");
    assert_eq!(sent(&file, 0), ["1", "2"]);
    assert_eq!(sent(&file, 2)[0], "1970-01-01T00:00:00");
}

#[test]
fn a_json_type_that_does_not_fit_is_refused_with_a_value() {
    let mut file = stored("a.ndjson", "{\"i\":1}\n");
    let error = fit(&mut file, vec![("i", strings(["1", "x"]))]).expect_err("a string");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("column: i, stored: int64, incoming: string"), "{error}");
}

#[test]
fn nulls_of_no_type_fit_every_column() {
    let nulls: ArrayRef = Arc::new(arrow::array::NullArray::new(2));
    let mut file = stored("a.ndjson", "{\"a\":1,\"b\":null}\n");
    let columns = vec![("a", Arc::clone(&nulls)), ("b", Arc::clone(&nulls))];
    assert_eq!(fit(&mut file, columns).expect("fits"), "a int64, b string");
    let mut file = stored("a.csv", "a,b\n1,\n");
    let columns = vec![("a", Arc::clone(&nulls)), ("b", nulls)];
    assert_eq!(fit(&mut file, columns).expect("fits"), "a int64, b string");
}

#[test]
fn among_mixed_values_numbers_stay_numbers() {
    let mut file = stored("a.ndjson", "{\"m\":1}\n{\"m\":\"x\"}\n");
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    assert_eq!(fit(&mut file, vec![("m", number)]).expect("fits"), "m string");
    assert!(matches!(&file.sent[0], Some(Fitted { cells: Cells::Token(_), .. })));
}

#[test]
fn tokens_are_written_as_they_were_sent_where_nothing_of_one_type_is_stored() {
    let mut file = stored("a.ndjson", "{\"mixed\":1,\"long\":1e400,\"new\":null}\n{\"mixed\":\"x\"}\n");
    let columns = vec![
        ("mixed", strings(["1.50", "\"1\""])),
        ("long", strings(["1.50", "18446744073709551616"])),
        ("new", strings(["1e3", "2"])),
    ];
    assert_eq!(fit_tokens(&mut file, columns).expect("fits"), "mixed string, long string, new float64");
    let all = [sent(&file, 0), sent(&file, 1), sent(&file, 2)];
    assert_eq!(all, [["1.50", "\"1\""], ["1.50", "18446744073709551616"], ["1e3", "2"]]);
    assert!(file.sent.iter().flatten().all(|sent| matches!(sent.cells, Cells::Token(_))));
}

#[test]
fn tokens_of_stored_types_keep_their_digits_unless_they_change_the_type() {
    let text = "{\"i\":1,\"f\":0.5,\"b\":true,\"s\":\"x\",\"l\":[1]}\n";
    let columns = vec![
        ("i", strings(["2.0", "-3"])),
        ("f", strings(["1.50", "2"])),
        ("b", strings(["true", "false"])),
        ("s", strings(["7", "\"\\u00e9\""])),
        ("l", strings(["[ 2, 2.5]", "null"])),
    ];
    let mut file = stored("a.ndjson", text);
    let types = "i int64, f float64, b bool, s string, l list<float64>";
    assert_eq!(fit_tokens(&mut file, columns).expect("fits"), types);
    let all = [0, 1, 2, 3, 4].map(|slot| sent(&file, slot));
    let expected = [["2", "-3"], ["1.50", "2"], ["true", "false"], ["7", "é"], ["[ 2, 2.5]", "null"]];
    assert_eq!(all, expected);
    for (name, tokens, message) in [
        ("i", ["1", "\"x\""], "row: 2, value: x"),
        ("f", ["0.5", "9007199254740993"], "row: 2, value: 9007199254740993"),
        ("l", ["[1]", "2"], "stored: list<int64>"),
        ("s", ["\"\"", "\"\\ud800\""], "column: s, row: 2"),
    ] {
        let error = fit_tokens(&mut stored("a.ndjson", text), vec![(name, strings(tokens))]);
        let error = error.expect_err("does not fit");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn text_among_numbers_too_long_for_a_type_is_numbers_too() {
    let stored_long = || stored("a.ndjson", "{\"n\":18446744073709551616}\n");
    let mut file = stored_long();
    assert_eq!(fit(&mut file, vec![("n", strings(["007", "1e400"]))]).expect("fits"), "n string");
    assert_eq!(sent(&file, 0), ["7", "1e400"]);
    assert!(matches!(&file.sent[0], Some(Fitted { cells: Cells::Token(_), .. })));
    let error = fit(&mut stored_long(), vec![("n", strings(["1", "x"]))]).expect_err("no number");
    assert!(error.to_string().contains("row: 2, value: x"), "{error}");
    let flags: ArrayRef = Arc::new(arrow::array::BooleanArray::from(vec![true, false]));
    assert!(fit(&mut stored_long(), vec![("n", flags)]).is_err());
}

#[test]
fn tokens_do_not_go_into_a_file_that_is_no_json() {
    let error = fit_tokens(&mut stored("a.csv", "a\n1\n"), vec![("a", strings(["1", "2"]))]);
    assert_eq!(error.map_err(|e| e.kind()), Err(ErrorKind::Conflict));
}

#[test]
fn columns_that_are_not_stored_are_listed() {
    let mut file = stored("a.csv", "id,x\n1,1\n");
    let error = fit(&mut file, vec![("id", strings(["1", "2"])), ("y", strings(["1", "2"]))]);
    let error = error.expect_err("an extra column");
    assert_eq!(error.to_string(), "the target has no such columns (columns: y)");
}
