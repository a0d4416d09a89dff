//! Writes whole frames as text: to a new file, or behind the rows of a stored one, in its columns.

use std::fs::File;
use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::compress::Compressed;
use super::encode::TextEncoder;
use super::file::TextFile;
use super::rewrite::Rewriter;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::cells::Cells;
use crate::core::merge::kernel::Fates;
use crate::core::options::CsvOptions;
use crate::core::text_codec::TextCodec;
use crate::error::{Error, Result};

/// A text file that is to be made.
#[derive(Debug)]
pub(crate) struct NewText<'a> {
    pub(crate) format: Format,
    pub(crate) csv: &'a CsvOptions,
    pub(crate) codec: TextCodec,
    /// Its name is for the delimiter, if `csv` leaves that open.
    pub(crate) location: &'a Location,
}

impl NewText<'_> {
    /// Writes the header and the rows of `batches` (all of `schema`) to an empty file; gives their number.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a type, `InvalidInput` for a value that the format cannot hold.
    pub(crate) fn write(
        &self,
        session: &Session,
        schema: &SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch>>,
        out: &mut File,
    ) -> Result<u64> {
        let csv = self.csv.clone().with_delimiter(self.csv.delimiter_for(&self.location.name()));
        let mut encoder = TextEncoder::new(self.format, schema, &csv)?;
        let mut out = Compressed::new(out, self.codec).map_err(unwritable)?;
        let mut text = Vec::new();
        encoder.header(&mut text);
        let mut rows = 0;
        for batch in batches {
            session.check()?;
            let batch = batch?;
            // Large batches are written in parts, so that their text is not held beside them as a whole.
            for start in (0..batch.num_rows()).step_by(PART) {
                encoder.encode(&batch.slice(start, PART.min(batch.num_rows() - start)), &mut text)?;
                put(&mut text, &mut out)?;
            }
            rows += batch.num_rows() as u64;
        }
        encoder.footer(&mut text);
        put(&mut text, &mut out)?;
        out.finish().map_err(unwritable)?;
        Ok(rows)
    }
}

/// Rows that are encoded at a time.
const PART: usize = 8192;

fn put(text: &mut Vec<u8>, out: &mut impl Write) -> Result<()> {
    out.write_all(text).map_err(unwritable)?;
    text.clear();
    Ok(())
}

fn unwritable(cause: io::Error) -> Error {
    Error::io("cannot write the new file", cause)
}

impl TextFile {
    /// Writes the stored bytes and then the rows of `batches` (all of `schema`) to `out`; gives the
    /// number of rows added. Columns that are missing from `schema` are null. One batch is held at a time.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a column that is not stored, or a value that does not fit its stored type.
    pub(crate) fn append(
        mut self,
        session: &Session,
        schema: &SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch>>,
        out: &mut File,
    ) -> Result<u64> {
        // Columns are refused before anything is copied, and even if no batch comes.
        self.fit_batches(schema, &[], None)?;
        let mut rewriter = Rewriter::new(&self, out);
        rewriter.copy(&self, session, Fates::default(), (&[], &Cells::default()))?;
        let mut rows = 0;
        for batch in batches {
            session.check()?;
            let batch = batch?;
            let count = batch.num_rows();
            self.fit_batches(schema, &[batch], None)?;
            rewriter.insert(&self, 0..count)?;
            self.rows_before += count;
            rows += count as u64;
        }
        rewriter.finish()?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::io::{Read, Seek};
    use std::sync::Arc;

    fn appended(name: &str, text: &str, columns: Vec<(&str, ArrayRef)>) -> Result<(u64, String)> {
        let mut stored = tempfile::tempfile().expect("a file");
        stored.write_all(text.as_bytes()).expect("written");
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let session = Session::default();
        let format = Format::from_name(name).expect("a format");
        let (location, csv) = (Location::from_path(name), CsvOptions::default());
        let mut out = tempfile::tempfile().expect("a file");
        let parts = [Ok(batch.slice(0, 1)), Ok(batch.slice(1, batch.num_rows() - 1))];
        let parts = parts.into_iter();
        let file = TextFile::open(&session, stored, &location, format, &csv)?;
        let rows = file.append(&session, &batch.schema(), parts, &mut out)?;
        let mut text = String::new();
        out.rewind().expect("rewinds");
        out.read_to_string(&mut text).expect("reads");
        Ok((rows, text))
    }

    fn numbers() -> ArrayRef {
        Arc::new(Int64Array::from(vec![7, 8]))
    }

    #[test]
    fn rows_are_added_in_the_stored_order_and_missing_columns_are_null() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x", ""]));
        let added = appended("a.csv", "a,b,c\r\n1,02,3", vec![("c", text), ("a", numbers())]);
        assert_eq!(added.expect("appends"), (2, "a,b,c\r\n1,02,3\r\n7,,x\r\n8,,\"\"\r\n".to_owned()));
    }

    #[test]
    fn json_keeps_its_types_or_refuses() {
        let added = appended("a.ndjson", "{\"a\":1, \"b\":null}\n", vec![("a", numbers())]);
        let expected = "{\"a\":1, \"b\":null}\n{\"a\":7,\"b\":null}\n{\"a\":8,\"b\":null}\n";
        assert_eq!(added.expect("appends"), (2, expected.to_owned()));
        let refused = appended("a.ndjson", "{\"a\":true}\n", vec![("a", numbers())]);
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_its_row_among_all() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["7", "x"]));
        let error = appended("a.ndjson", "{\"a\":1}\n", vec![("a", text)]).expect_err("no number");
        assert!(error.to_string().contains("row: 2, value: x"), "{error}");
    }

    #[test]
    fn a_column_that_is_not_stored_is_refused() {
        let refused = appended("a.csv", "a\n1\n", vec![("b", numbers())]);
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }

    #[test]
    fn a_new_file_has_a_header_even_without_rows() {
        let mut out = tempfile::tempfile().expect("a file");
        let batch = RecordBatch::try_from_iter([("a", numbers()), ("b", numbers())]).expect("a batch");
        let (session, csv) = (Session::default(), CsvOptions::default());
        for (batches, expected) in [(vec![], "a\tb\n"), (vec![Ok(batch.clone())], "a\tb\n7\t7\n8\t8\n")] {
            out.set_len(0).expect("empties");
            out.rewind().expect("rewinds");
            let location = Location::from_path("a.tsv");
            let new = NewText { format: Format::Csv, csv: &csv, codec: TextCodec::None, location: &location };
            new.write(&session, &batch.schema(), batches.into_iter(), &mut out).expect("writes");
            let mut text = String::new();
            out.rewind().expect("rewinds");
            out.read_to_string(&mut text).expect("reads");
            assert_eq!(text, expected);
        }
    }
}
