//! Arrow columns become text: whole batches for a new file, single records for one that is rewritten.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_empty_array};
use arrow::datatypes::{Field, SchemaRef};

use super::cells::Cells;
use super::layout::Layout;
use super::tokens::is_marked;
use super::{csv, ndjson};
use crate::core::format::Format;
use crate::core::options::CsvOptions;
use crate::core::text::print;
use crate::error::Result;

/// Writes batches of one schema as text.
#[derive(Debug)]
pub(crate) struct TextEncoder {
    schema: SchemaRef,
    records: RecordWriter,
    /// Whether there is a record already.
    begun: bool,
}

impl TextEncoder {
    /// An encoder for batches of `schema`; `csv.delimiter` is a comma if it is not set.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a column of a type that the format cannot hold.
    pub(crate) fn new(format: Format, schema: &SchemaRef, csv: &CsvOptions) -> Result<Self> {
        let layout = Arc::new(Layout::new(format, csv, "")?);
        for field in schema.fields() {
            check_type(field, &layout)?;
        }
        let names = schema.fields().iter().map(|field| field.name().as_str());
        Ok(Self { schema: Arc::clone(schema), records: RecordWriter::new(&layout, names), begun: false })
    }

    /// Writes what stands before the first record.
    pub(crate) fn header(&self, out: &mut Vec<u8>) {
        if self.records.layout.array {
            out.extend_from_slice(b"[\n");
        }
        self.records.header("\n", out);
    }

    /// Writes what stands behind the last record.
    pub(crate) fn footer(&self, out: &mut Vec<u8>) {
        if self.records.layout.array {
            out.extend_from_slice(if self.begun { b"\n]\n" } else { b"]\n" });
        }
    }

    /// Writes the rows of `batch`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a value that the format cannot hold: NaN in JSON, bytes that are not UTF-8.
    pub(crate) fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let cells = self
            .schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| match self.records.layout.format {
                Format::Ndjson if is_marked(field) => print(column.as_ref()).map(Cells::Token),
                _ => Cells::new(field.name(), column, &self.records.layout),
            })
            .collect::<Result<Vec<_>>>()?;
        let array = self.records.layout.array;
        for row in 0..batch.num_rows() {
            if array && self.begun {
                out.extend_from_slice(b",\n");
            }
            self.records.record(cells.iter().map(Some), row, if array { "" } else { "\n" }, out);
            self.begun = true;
        }
        Ok(())
    }
}

/// Refuses a column whose type the format cannot hold.
pub(super) fn check_type(field: &Field, layout: &Layout) -> Result<()> {
    Cells::new(field.name(), &new_empty_array(field.data_type()), layout).map(drop)
}

/// Writes records of some columns.
#[derive(Debug)]
pub(super) struct RecordWriter {
    layout: Arc<Layout>,
    /// What stands before each value: a delimiter, or a key.
    leads: Vec<Vec<u8>>,
    names: Vec<String>,
}

impl RecordWriter {
    pub(super) fn new<'a>(layout: &Arc<Layout>, names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let lead = |(i, name)| {
            let mut lead = Vec::new();
            if layout.format == Format::Ndjson {
                lead.push(if i == 0 { b'{' } else { b',' });
                ndjson::write_string(name, &mut lead);
                lead.push(b':');
            } else if i > 0 {
                lead.push(layout.delimiter);
            }
            lead
        };
        Self {
            layout: Arc::clone(layout),
            leads: names.clone().enumerate().map(lead).collect(),
            names: names.map(ToOwned::to_owned).collect(),
        }
    }

    /// Writes the header, where the layout has one.
    pub(super) fn header(&self, line_end: &str, out: &mut Vec<u8>) {
        if self.layout.format == Format::Ndjson || !self.layout.header {
            return;
        }
        self.more_names(self.names.len(), out);
        out.extend_from_slice(line_end.as_bytes());
    }

    /// Writes the names of the last columns behind a header that has the others, where the layout has one.
    pub(super) fn more_names(&self, last: usize, out: &mut Vec<u8>) {
        if !self.layout.has_names() || self.layout.format == Format::Ndjson {
            return;
        }
        // A name is never null, whatever it is called.
        let plain = Layout { nulls: Vec::new(), ..Layout::clone(&self.layout) };
        for (lead, name) in self.leads.iter().zip(&self.names).skip(self.names.len() - last) {
            out.extend_from_slice(lead);
            csv::write(Some(name), &plain, out);
        }
    }

    /// Writes one row of `cells`; a column without cells is null.
    pub(super) fn record<'a>(
        &self,
        cells: impl Iterator<Item = Option<&'a Cells>>,
        row: usize,
        line_end: &str,
        out: &mut Vec<u8>,
    ) {
        for (lead, cells) in self.leads.iter().zip(cells) {
            out.extend_from_slice(lead);
            match cells {
                Some(cells) => cells.write(row, &self.layout, out),
                None if self.layout.format == Format::Ndjson => out.extend_from_slice(b"null"),
                None => {}
            }
        }
        if self.layout.format == Format::Ndjson {
            out.extend_from_slice(if self.leads.is_empty() { b"{}" } else { b"}" });
        }
        out.extend_from_slice(line_end.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::batch;
    use super::super::records::tests::records;
    use super::*;
    use crate::error::ErrorKind;
    use arrow::array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, Float64Array,
        Int64Array, ListArray, StringArray, StructArray, TimestampMillisecondArray,
    };
    use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema};

    fn encoded(format: Format, csv: &CsvOptions, columns: Vec<(&str, ArrayRef)>) -> Result<String> {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .expect("a batch");
        let mut encoder = TextEncoder::new(format, &batch.schema(), csv)?;
        let mut out = Vec::new();
        encoder.header(&mut out);
        encoder.encode(&batch, &mut out)?;
        encoder.footer(&mut out);
        Ok(String::from_utf8(out).expect("text"))
    }

    fn strings(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn csv_tells_null_from_empty_and_quotes_what_needs_it() {
        let csv = CsvOptions::default().with_null_values(["NA"]);
        let text = strings(&[None, Some(""), Some("NA"), Some("a,\"b\"\n")]);
        let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(-3), Some(4)]));
        let columns = vec![("a,b", text), ("NA", number)];
        let expected = "\"a,b\",NA\n,1\n\"\",\n\"NA\",-3\n\"a,\"\"b\"\"\n\",4\n";
        assert_eq!(encoded(Format::Csv, &csv, columns).expect("encodes"), expected);
    }

    #[test]
    fn json_has_every_key_in_order_and_its_own_types() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
            ("b\"", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("s", strings(&[Some("a\n"), None])),
            ("t", Arc::new(TimestampMillisecondArray::from(vec![Some(0), None]).with_timezone("UTC"))),
            (
                "d",
                Arc::new(
                    Decimal128Array::from(vec![Some(150), None])
                        .with_precision_and_scale(5, 2)
                        .expect("fits"),
                ),
            ),
        ];
        let expected = "{\"n\":1.5,\"b\\\"\":true,\"s\":\"a\\n\",\"t\":\"1970-01-01T00:00:00Z\",\"d\":1.50}\n\
                        {\"n\":null,\"b\\\"\":null,\"s\":null,\"t\":null,\"d\":null}\n";
        assert_eq!(encoded(Format::Ndjson, &CsvOptions::default(), columns).expect("encodes"), expected);
    }

    #[test]
    fn an_array_has_its_objects_line_by_line_and_may_be_empty() {
        let csv = CsvOptions::default();
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let text = encoded(Format::Json, &csv, vec![("a", Arc::clone(&column))]).expect("encodes");
        assert_eq!(text, "[\n{\"a\":1},\n{\"a\":null},\n{\"a\":3}\n]\n");
        assert_eq!(encoded(Format::Json, &csv, vec![("a", column.slice(0, 0))]).expect("encodes"), "[\n]\n");
    }

    #[test]
    fn nested_values_are_json_and_refused_in_csv() {
        let list: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]));
        let field = Arc::new(Field::new("x", list.data_type().clone(), true));
        let nested: ArrayRef = Arc::new(StructArray::from(vec![(field, Arc::clone(&list))]));
        let columns = || vec![("l", Arc::clone(&list)), ("s", Arc::clone(&nested))];
        let expected = "{\"l\":[1,null],\"s\":{\"x\":[1,null]}}\n{\"l\":null,\"s\":{\"x\":null}}\n";
        assert_eq!(encoded(Format::Ndjson, &CsvOptions::default(), columns()).expect("encodes"), expected);
        let error = encoded(Format::Csv, &CsvOptions::default(), columns()).expect_err("nested");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("column: l, type: list<int64>"), "{error}");
    }

    #[test]
    fn what_json_has_no_word_for_is_refused_at_any_depth() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NAN)]));
        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let nested: ArrayRef = Arc::new(StructArray::from(vec![(field, Arc::clone(&floats))]));
        for column in [floats, nested] {
            let error =
                encoded(Format::Ndjson, &CsvOptions::default(), vec![("a", column)]).expect_err("NaN");
            assert_eq!(error.to_string(), "NaN cannot be written as JSON (column: a)");
        }
    }

    #[test]
    fn bytes_are_written_if_they_are_text_and_dictionaries_as_their_values() {
        let bytes = |value: &[u8]| -> ArrayRef { Arc::new(BinaryArray::from(vec![value])) };
        let csv = CsvOptions::default();
        assert_eq!(encoded(Format::Csv, &csv, vec![("a", bytes(b"x"))]).expect("encodes"), "a\nx\n");
        let error = encoded(Format::Csv, &csv, vec![("a", bytes(b"\xff"))]).expect_err("not text");
        assert!(error.to_string().ends_with("(column: a)"), "{error}");
        let dictionary: DictionaryArray<Int32Type> = ["x", "y", "x"].into_iter().collect();
        let text = encoded(Format::Ndjson, &csv, vec![("a", Arc::new(dictionary))]).expect("encodes");
        assert_eq!(text, "{\"a\":\"x\"}\n{\"a\":\"y\"}\n{\"a\":\"x\"}\n");
    }

    #[test]
    fn a_null_alone_in_its_record_is_a_blank_line() {
        let text = encoded(Format::Csv, &CsvOptions::default(), vec![("a", strings(&[None, Some("")]))]);
        assert_eq!(text.expect("encodes"), "a\n\n\"\"\n");
    }

    proptest::proptest! {
        #[test]
        fn any_table_of_text_reads_back_whatever_the_block(
            table in proptest::collection::vec(proptest::collection::vec(
                proptest::option::of("[a,\"\n\r \u{e9}\u{feff}NA]{0,4}"), 3), 0..12),
            block in 1_usize..40,
        ) {
            let csv = CsvOptions::default().with_null_values(["NA"]);
            for format in [Format::Csv, Format::Ndjson] {
                for width in [1, 3] {
                    let names = &["a", "b", "c"][..width];
                    let column = |at: usize| -> ArrayRef {
                        Arc::new(table.iter().map(|row| row[at].as_deref()).collect::<StringArray>())
                    };
                    let columns = names.iter().enumerate().map(|(at, name)| (*name, column(at))).collect();
                    let text = encoded(format, &csv, columns).expect("encodes");
                    let mut records = records(format, &csv, text.as_bytes(), names, block).expect("opens");
                    let schema = Arc::new(Schema::new(
                        names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>(),
                    ));
                    let slots: Vec<usize> = (0..width).collect();
                    let mut read = Vec::new();
                    while records.advance().expect("advances") {
                        let rows = records.rows(0..records.len()).expect("rows");
                        let batch = batch(&rows, &slots, &(0..rows.len()), &schema).expect("reads");
                        for row in 0..batch.num_rows() {
                            let value = |at: usize| {
                                let texts = batch.column(at).as_string::<i32>();
                                texts.is_valid(row).then(|| texts.value(row).to_owned())
                            };
                            read.push((0..width).map(value).collect::<Vec<_>>());
                        }
                    }
                    let expected: Vec<_> = table.iter().map(|row| row[..width].to_vec()).collect();
                    proptest::prop_assert_eq!(read, expected, "{}", text);
                }
            }
        }
    }
}
