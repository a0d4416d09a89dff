//! Cases about text files as they stand: what an upsert writes, byte for byte, and which bytes it leaves
//! alone. No judge knows bytes, so here the file afterwards is written down.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, TimestampMillisecondArray};

use super::cases::{
    BY_ID, HISTORY, INSERTED, NEWEST, NONE, STALE, TIED, UNCHANGED, UPDATED, ints, refused, texts,
};
use super::{Choices, Counts, Data, Expect, Rule};
use crate::core::format::Format;
use crate::core::merge::ExtraColumns;

/// The incoming row wins, and columns that are not stored are added.
const ADDING: Rule = Rule { choices: Choices { extra: ExtraColumns::Add, ..BY_ID.choices }, ..BY_ID };

/// One upsert into a text file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FileCase {
    /// The sentence that the case proves.
    pub name: &'static str,
    /// The format of the file, and of the one that is sent.
    pub format: Format,
    /// The file.
    pub stored: &'static str,
    /// What comes in.
    pub sent: Sent,
    /// By which columns.
    pub rule: Rule,
    /// How it ends.
    pub expect: Expect,
    /// The file afterwards.
    pub after: &'static str,
}

/// What comes in.
#[derive(Debug, Clone)]
pub enum Sent {
    /// Rows with types.
    Rows(Data),
    /// A file of the same format.
    File(&'static str),
}

impl From<Data> for Sent {
    fn from(rows: Data) -> Self {
        Self::Rows(rows)
    }
}

impl From<&'static str> for Sent {
    fn from(file: &'static str) -> Self {
        Self::File(file)
    }
}

/// All cases.
#[must_use]
pub fn file_cases() -> Vec<FileCase> {
    [widening(), bytes_of_csv(), fields_of_csv(), json(), dates_in_json(), versions()].concat()
}

type Written = (&'static str, &'static str, Sent, Rule, Expect, &'static str);

fn of(format: Format, cases: Vec<Written>) -> Vec<FileCase> {
    let case = |(name, stored, sent, rule, expect, after)| FileCase {
        name,
        format,
        stored,
        sent,
        rule,
        expect,
        after,
    };
    cases.into_iter().map(case).collect()
}

fn number(id: i64, value: f64) -> Sent {
    Data::default().with("id", ints([id])).with("n", floats(&[value])).into()
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

/// A CSV file holds text: what does not fit the types told from it widens them.
fn widening() -> Vec<FileCase> {
    let whole = "id,n\n1,5\n2,6\n";
    let both = Data::default().with("id", ints([1, 2])).with("n", floats(&[5.0, 6.5]));
    let words = Data::default().with("id", ints([2])).with("n", texts(["n/a"]));
    of(
        Format::Csv,
        vec![
            (
                "a_float_widens_a_column_of_integers",
                whole,
                number(2, 6.5),
                BY_ID,
                UPDATED,
                "id,n\n1,5\n2,6.5\n",
            ),
            ("a_word_widens_a_column_of_numbers", whole, words.into(), BY_ID, UPDATED, "id,n\n1,5\n2,n/a\n"),
            (
                "a_word_of_a_file_widens_a_column_of_numbers",
                whole,
                "id,n\n2,n/a\n".into(),
                BY_ID,
                UPDATED,
                "id,n\n1,5\n2,n/a\n",
            ),
            (
                "numbers_are_equal_in_the_wider_type",
                whole,
                both.into(),
                BY_ID,
                Expect::Counts(Counts { unchanged: 1, updated: 1, ..NONE }),
                "id,n\n1,5\n2,6.5\n",
            ),
            (
                "versions_compare_in_the_wider_type",
                "id,at\n1,5\n2,10\n",
                "id,at\n1,5.5\n2,9.5\n".into(),
                NEWEST,
                Expect::Counts(Counts { updated: 1, stale: 1, ..NONE }),
                "id,at\n1,5.5\n2,10\n",
            ),
            (
                "an_id_that_is_a_word_widens_a_column_of_numbers",
                "id,n\n1,5\n02,6\n",
                "id,n\nx,7\n".into(),
                BY_ID,
                INSERTED,
                "id,n\n1,5\n02,6\nx,7\n",
            ),
        ],
    )
}

fn bytes_of_csv() -> Vec<FileCase> {
    let odd = "id,zip,x\r\n1,02139,1.50\r\n2, x ,1e3\r\n\"3\",\"a\"\"b\",\r\n";
    let equal = Data::default().with("id", ints([1])).with("n", floats(&[1.5]));
    of(
        Format::Csv,
        vec![
            (
                "untouched_records_keep_their_bytes",
                odd,
                "id,zip\n2,00501\n".into(),
                BY_ID,
                UPDATED,
                "id,zip,x\r\n1,02139,1.50\r\n2,00501,1e3\r\n\"3\",\"a\"\"b\",\r\n",
            ),
            (
                "new_records_end_as_the_others_do",
                odd,
                "id,zip,x\n4,z,\n".into(),
                BY_ID,
                INSERTED,
                "id,zip,x\r\n1,02139,1.50\r\n2, x ,1e3\r\n\"3\",\"a\"\"b\",\r\n4,z,\r\n",
            ),
            (
                "values_are_written_as_they_were_sent",
                "id,n\n1,1.5\n",
                "id,n\n1,7.50\n2,1e3\n".into(),
                BY_ID,
                Expect::Counts(Counts { updated: 1, inserted: 1, ..NONE }),
                "id,n\n1,7.50\n2,1e3\n",
            ),
            (
                "a_number_that_is_equal_is_unchanged_however_it_is_written",
                "id,n\n1,1.50\n2,2.25\n",
                equal.into(),
                BY_ID,
                UNCHANGED,
                "id,n\n1,1.50\n2,2.25\n",
            ),
            (
                "a_quoted_empty_field_is_text_and_an_empty_one_null",
                "id,v\n1,\n2,\"\"\n",
                "id,v\n1,\"\"\n2,\n".into(),
                BY_ID,
                Expect::Counts(Counts { updated: 2, ..NONE }),
                "id,v\n1,\"\"\n2,\n",
            ),
            (
                "a_last_record_without_a_line_end_gets_one_before_the_next",
                "id,v\n1,a",
                "id,v\n2,b\n".into(),
                BY_ID,
                INSERTED,
                "id,v\n1,a\n2,b\n",
            ),
        ],
    )
}

fn versions() -> Vec<FileCase> {
    let changed = Expect::Counts(Counts { updated: 2, opened: 2, ..NONE });
    let numbers = of(
        Format::Ndjson,
        vec![
            (
                "a_version_has_the_tokens_that_it_lacks_as_they_stand_in_the_one_before_it",
                "{\"id\":1,\"n\":1.50,\"x\":[1, 2],\"s\":\"\\u0041\",\"v\":\"a\",\"valid_from\":9,\"valid_to\":null,\"is_current\":true}\n",
                "{\"id\":1,\"v\":\"b\",\"at\":10}\n{\"id\":1,\"v\":\"c\",\"at\":8}\n".into(),
                HISTORY,
                changed,
                "{\"id\":1,\"n\":1.50,\"x\":[1, 2],\"s\":\"\\u0041\",\"v\":\"a\",\"valid_from\":9,\"valid_to\":10,\"is_current\":false}\n\
                 {\"id\":1,\"n\":1.50,\"x\":[1, 2],\"s\":\"A\",\"v\":\"b\",\"valid_from\":10,\"valid_to\":null,\"is_current\":true}\n\
                 {\"id\":1,\"n\":null,\"x\":null,\"s\":null,\"v\":\"c\",\"valid_from\":8,\"valid_to\":9,\"is_current\":false}\n",
            ),
            (
                "versions_in_json_begin_and_end_in_the_numbers_that_were_sent",
                "{\"id\":1, \"v\":\"a\", \"valid_from\":9,\"valid_to\":null,\"is_current\":true}\n",
                "{\"id\":1,\"v\":\"b\",\"at\":10}\n{\"id\":1,\"v\":\"c\",\"at\":8}\n".into(),
                HISTORY,
                changed,
                "{\"id\":1, \"v\":\"a\", \"valid_from\":9,\"valid_to\":10,\"is_current\":false}\n\
                 {\"id\":1,\"v\":\"b\",\"valid_from\":10,\"valid_to\":null,\"is_current\":true}\n\
                 {\"id\":1,\"v\":\"c\",\"valid_from\":8,\"valid_to\":9,\"is_current\":false}\n",
            ),
            (
                "versions_in_json_are_in_the_order_of_the_instants_that_they_name",
                "{\"id\":1,\"v\":\"a\",\"valid_from\":\"2024-01-01T00:00:00Z\",\"valid_to\":null,\"is_current\":true}\n",
                "{\"id\":1,\"v\":\"b\",\"at\":\"2024-01-01T23:00:00Z\"}\n\
                 {\"id\":1,\"v\":\"c\",\"at\":\"2024-01-02T00:30:00+02:00\"}\n"
                    .into(),
                HISTORY,
                changed,
                "{\"id\":1,\"v\":\"a\",\"valid_from\":\"2024-01-01T00:00:00Z\",\"valid_to\":\"2024-01-02T00:30:00+02:00\",\"is_current\":false}\n\
                 {\"id\":1,\"v\":\"b\",\"valid_from\":\"2024-01-01T23:00:00Z\",\"valid_to\":null,\"is_current\":true}\n\
                 {\"id\":1,\"v\":\"c\",\"valid_from\":\"2024-01-02T00:30:00+02:00\",\"valid_to\":\"2024-01-01T23:00:00Z\",\"is_current\":false}\n",
            ),
        ],
    );
    let fields = of(
        Format::Csv,
        vec![
            (
                "a_version_has_the_fields_that_it_lacks_as_they_stand_in_the_one_before_it",
                "id,v,valid_from,valid_to,is_current,zip,n\n1,a,1,,true,02139,1.50\n2,x,1,,true,\"\",\n",
                "id,v,at\n1,b,2\n2,y,2\n".into(),
                HISTORY,
                changed,
                "id,v,valid_from,valid_to,is_current,zip,n\n1,a,1,2,false,02139,1.50\n2,x,1,2,false,\"\",\n\
             1,b,2,,true,02139,1.50\n2,y,2,,true,\"\",\n",
            ),
            (
                "the_end_of_a_version_is_all_that_changes_of_its_record",
                "id,v,valid_from,valid_to,is_current\r\n1,\"a\",2024-01-01,,true\r\n2,x,2024-01-01,,true\r\n",
                "id,v,at\n1,b,2024-01-03\n1,c,2024-01-02\n".into(),
                HISTORY,
                changed,
                "id,v,valid_from,valid_to,is_current\r\n1,\"a\",2024-01-01,2024-01-02,false\r\n2,x,2024-01-01,,true\r\n\
             1,b,2024-01-03,,true\r\n1,c,2024-01-02,2024-01-03,false\r\n",
            ),
        ],
    );
    [numbers, fields].concat()
}

/// Records get fields for columns that are added.
fn fields_of_csv() -> Vec<FileCase> {
    let both = || Expect::Counts(Counts { updated: 1, inserted: 1, ..NONE });
    of(
        Format::Csv,
        vec![
            (
                "each_record_gets_an_empty_field_at_its_end",
                "\u{feff}id,\"zip\"\r\n1,02139\r\n2,a\r\n3,\"0\n1\"\r\n\r\n",
                "id,zip,\"a,b\",more\n2,7,,x\n4,y,9,\n".into(),
                ADDING,
                both(),
                "\u{feff}id,\"zip\",\"a,b\",more\r\n1,02139,,\r\n2,7,,x\r\n3,\"0\n1\",,\r\n4,y,9,\r\n\r\n",
            ),
            (
                "a_record_without_a_value_gets_a_second_one",
                "id\n1\n2",
                "id,n\n2,5\n".into(),
                ADDING,
                UPDATED,
                "id,n\n1,\n2,5",
            ),
            ("a_header_alone_gets_a_name", "id", "id,n\n1,5\n".into(), ADDING, INSERTED, "id,n\n1,5\n"),
        ],
    )
}

fn json() -> Vec<FileCase> {
    let odd = "{\"id\": 1, \"n\": 1.50 , \"x\": [1, 2]}\n{\"n\":2e0,\"id\":2}\n";
    let text = Data::default().with("id", ints([2])).with("n", texts(["x"]));
    of(
        Format::Ndjson,
        vec![
            (
                "untouched_lines_keep_their_bytes",
                odd,
                "{\"id\":2,\"n\":3.5}\n".into(),
                BY_ID,
                UPDATED,
                "{\"id\": 1, \"n\": 1.50 , \"x\": [1, 2]}\n{\"n\":3.5,\"id\":2}\n",
            ),
            (
                "a_float_goes_among_integers_that_are_floats_as_well",
                "{\"id\":1,\"n\":5}\n{\"id\":2,\"n\":6}\n",
                number(2, 6.5),
                BY_ID,
                UPDATED,
                "{\"id\":1,\"n\":5}\n{\"id\":2,\"n\":6.5}\n",
            ),
            (
                "a_word_is_refused_among_numbers",
                "{\"id\":1,\"n\":5}\n{\"id\":2,\"n\":6}\n",
                text.into(),
                BY_ID,
                refused("a value does not fit the stored type exactly"),
                "{\"id\":1,\"n\":5}\n{\"id\":2,\"n\":6}\n",
            ),
            (
                "only_lines_that_are_written_get_a_key_that_is_added",
                "{\"id\": 1}\n{\"id\":2,\"v\":\"b\"}\n{\"id\":3, \"v\":\"c\"}\n",
                "{\"id\":2,\"v\":\"b\",\"n\":1.50}\n{\"id\":3,\"v\":\"C\",\"n\":null}\n{\"id\":4}\n".into(),
                ADDING,
                Expect::Counts(Counts { updated: 2, inserted: 1, ..NONE }),
                "{\"id\": 1}\n{\"id\":2,\"v\":\"b\",\"n\":1.50}\n{\"id\":3, \"v\":\"C\",\"n\":null}\n\
                 {\"id\":4,\"v\":null,\"n\":null}\n",
            ),
            (
                "a_null_and_an_absent_key_are_equal",
                "{\"id\":1,\"n\":5}\n{\"id\":2}\n",
                "{\"id\":2,\"n\":null}\n".into(),
                BY_ID,
                UNCHANGED,
                "{\"id\":1,\"n\":5}\n{\"id\":2}\n",
            ),
        ],
    )
}

fn dates_in_json() -> Vec<FileCase> {
    /// 2021-05-22T02:51:15Z in milliseconds.
    const QUAKE: i64 = 1_621_651_875_000;
    let at = |at: ArrayRef| Sent::from(Data::default().with("id", ints([1])).with("at", at));
    let millis = |value: i64| TimestampMillisecondArray::from(vec![value]);
    let utc = |value: i64| at(Arc::new(millis(value).with_timezone("UTC")));
    let stored = "{\"id\":1,\"at\":\"2021-05-22T02:51:15Z\"}\n";
    let berlin = "{\"id\":1,\"at\":\"2021-05-22T04:51:15+02:00\"}\n";
    let padded = "{\"id\":1,\"at\":\"2021-05-22T02:51:15.000Z\"}\n";
    let dated = "{\"id\":1,\"at\":\"2021-05-22\"}\n";
    let day = |days: i32| at(Arc::new(Date32Array::from(vec![days])));
    let mixed = refused("modification values are not all of one kind");
    of(
        Format::Ndjson,
        vec![
            (
                "a_later_timestamp_is_written_in_iso",
                stored,
                utc(QUAKE + 1),
                NEWEST,
                UPDATED,
                "{\"id\":1,\"at\":\"2021-05-22T02:51:15.001Z\"}\n",
            ),
            ("an_earlier_timestamp_is_stale_in_json", stored, utc(QUAKE - 1), NEWEST, STALE, stored),
            ("one_instant_with_zeros_behind_it_is_unchanged", padded, utc(QUAKE), BY_ID, UNCHANGED, padded),
            ("one_instant_in_another_offset_is_a_tie", berlin, utc(QUAKE), NEWEST, TIED, stored),
            (
                "a_timestamp_without_a_zone_is_refused_among_zoned_ones",
                stored,
                at(Arc::new(millis(QUAKE))),
                NEWEST,
                mixed,
                stored,
            ),
            (
                "a_date_is_written_as_one",
                dated,
                day(18_770),
                NEWEST,
                UPDATED,
                "{\"id\":1,\"at\":\"2021-05-23\"}\n",
            ),
            ("a_date_that_is_equal_is_unchanged_in_json", dated, day(18_769), NEWEST, UNCHANGED, dated),
        ],
    )
}
