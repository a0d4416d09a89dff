//! Records as they are split, whatever the size of a block.

use super::*;
use crate::core::options::CsvOptions;

pub(crate) fn records<'a>(
    format: Format,
    csv: &CsvOptions,
    text: &'a [u8],
    wanted: &[&str],
    block: usize,
) -> Result<Records<&'a [u8]>> {
    let location = Location::from_path("t.txt");
    let layout = Arc::new(Layout::new(format, csv, "t.txt").expect("a layout"));
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    Records::with_block(&Session::default(), &location, &layout, text, &wanted, block)
}

type Table = Vec<Vec<Option<String>>>;

fn all(mut records: Records<&[u8]>) -> Result<Table> {
    let mut table = Vec::new();
    while records.advance()? {
        let rows = records.rows(0..records.len())?;
        for row in 0..rows.len() {
            table.push((0..rows.width).map(|slot| rows.raw(row, slot).map(str::to_owned)).collect());
        }
    }
    Ok(table)
}

fn read(text: &str, block: usize) -> Result<Table> {
    all(records(Format::Csv, &CsvOptions::default(), text.as_bytes(), &[], block)?)
}

fn failure(text: &[u8], block: usize) -> String {
    let read = records(Format::Csv, &CsvOptions::default(), text, &[], block).and_then(all);
    read.expect_err("an error").to_string()
}

#[test]
fn records_are_the_same_whatever_the_block() {
    let text = "\u{feff}a,\"b\nb\"\r\n1,\"x\r\ny\"\r\n,\"\"\r\nlong long long,é\r\n\r\n";
    let whole = read(text, 1 << 20).expect("reads");
    assert_eq!(whole.len(), 3);
    for block in 1..40 {
        assert_eq!(read(text, block).expect("reads"), whole, "{block}");
    }
}

#[test]
fn every_byte_of_a_file_is_in_one_block() {
    let text = "\u{feff}a,b\r\n1,2\n3,4\r\n\r\n\n";
    for block in 1..24 {
        let mut records =
            records(Format::Csv, &CsvOptions::default(), text.as_bytes(), &[], block).expect("opens");
        let mut bytes = Vec::new();
        while records.advance().expect("advances") {
            bytes.extend_from_slice(records.bytes());
        }
        assert_eq!(bytes, text.as_bytes(), "{block}");
    }
}

#[test]
fn objects_give_the_wanted_tokens_only_and_the_last_of_two() {
    let text = b"{\"b\":1,\"a\":{\"x\":[1]}}\n\n{\"c\":2}\r\n{\"a\":1,\"a\":\"2\"}";
    for block in [1, 5, 1000] {
        let found = records(Format::Ndjson, &CsvOptions::default(), text, &["a", "c"], block).and_then(all);
        let some = |text: &str| Some(text.to_owned());
        let expected =
            vec![vec![some("{\"x\":[1]}"), None], vec![None, some("2")], vec![some("\"2\""), None]];
        assert_eq!(found.expect("reads"), expected, "{block}");
    }
}

#[test]
fn an_error_names_file_line_and_column() {
    for block in [1, 7, 1000] {
        assert_eq!(
            failure(b"a,b\n\"1\n2\",3\n4\n", block),
            "expected 2 fields, found 1 (file: t.txt, line: 4)"
        );
        assert_eq!(
            failure(b"a,b\n1,2\n3,\"4\n", block),
            "a quote is not closed (file: t.txt, line: 3, column: b)"
        );
        assert_eq!(
            failure(b"a,b\n1,2\n3,\xff\n", block),
            "the file is not UTF-8 text (file: t.txt, line: 3, column: b)"
        );
        assert_eq!(
            failure(b"a,b\n1,2\n\n3,4\n", block),
            "there is a blank line between records (file: t.txt, line: 3)"
        );
    }
}

#[test]
fn a_line_that_is_no_object_is_named() {
    let text = b"{\"a\":1}\n\n[1]\n";
    let error = records(Format::Ndjson, &CsvOptions::default(), text, &["a"], 4).and_then(all);
    assert_eq!(
        error.expect_err("an error").to_string(),
        "a line is not a JSON object (file: t.txt, line: 3)"
    );
}

#[test]
fn a_file_without_bytes_has_no_header_and_one_with_a_header_has_no_rows() {
    assert_eq!(failure(b"", 10), "the file is empty and has no header (file: t.txt)");
    assert_eq!(failure(BYTE_ORDER_MARK, 10), "the file is empty and has no header (file: t.txt)");
    assert!(failure(b"a,b\r1,2\r", 10).starts_with("lines end with a carriage return alone (file: t.txt)"));
    assert!(read("a,b", 10).expect("reads").is_empty());
    assert!(read("a,b\r\n", 3).expect("reads").is_empty());
}

#[test]
fn names_that_differ_only_in_case_are_refused() {
    assert_eq!(failure(b"a,A\n", 10), "two columns differ only in case (columns: A, a, file: t.txt)");
}

#[test]
fn without_a_header_columns_are_numbered() {
    let csv = CsvOptions::default().with_header(false);
    let records = records(Format::Csv, &csv, b"1,2\n3,4\n", &[], 3).expect("opens");
    assert_eq!(records.names(), ["column_1", "column_2"]);
    assert_eq!(all(records).expect("reads").len(), 2);
}

#[test]
fn a_cancelled_session_stops_the_pass() {
    let session = Session::default();
    session.cancel();
    let layout = Arc::new(Layout::new(Format::Ndjson, &CsvOptions::default(), "a").expect("a layout"));
    let opened = Records::open(&session, &Location::from_path("a"), &layout, &b"{}"[..], &[]);
    assert_eq!(opened.map(drop).map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
}
