//! A text file as the target of an upsert: its columns, in types told from all of its values, and which
//! of its rows the incoming ones meet.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::columns;
use super::encode::{Cells, RecordWriter, check_type};
use super::layout::Layout;
use super::records::Records;
use super::rewrite::Rewriter;
use super::rows::Rows;
use super::tell::{Types, tell};
use super::window::Pass;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::kernel::{Incoming, Matcher, Outcome};
use crate::core::options::CsvOptions;
use crate::core::report::WorkCounts;
use crate::core::schema::{check_names, find_column};
use crate::core::text::print;
use crate::error::{Error, Result};
use crate::table::StoredFile;

/// A stored text file, or one that is to be created. Columns have the names and order of the file.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// The content; none if the file is to be created.
    pub(super) source: Option<Arc<File>>,
    pub(super) location: Location,
    pub(super) layout: Arc<Layout>,
    pub(super) names: Vec<String>,
    /// What was seen in each stored column.
    pub(super) types: Vec<Types>,
    /// The type each column is compared in.
    pub(super) view: Vec<DataType>,
    pub(super) line_end: &'static str,
    /// The incoming values as they are to be written, by stored column.
    pub(super) sent: Vec<Option<Cells>>,
}

impl TextFile {
    /// Looks at all values of a stored file to tell its types. Blocks. `location` is for messages, and
    /// for the delimiter if `csv` leaves it open.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a file that is not of this format.
    pub(crate) fn open(
        session: &Session,
        file: File,
        location: &Location,
        format: Format,
        csv: &CsvOptions,
    ) -> Result<Self> {
        let layout = Arc::new(Layout::new(format, csv, &location.name())?);
        let file = Arc::new(file);
        let mut records = Records::open(session, location, &layout, Pass::start(session, &file), &[])?;
        let told = tell(&mut records, &layout, |_| true)?;
        let mut stored = Self::empty(location, layout, told.names, told.types);
        stored.source = Some(file);
        stored.line_end = told.line_end;
        Ok(stored)
    }

    /// A file that does not exist yet and will have the columns of `schema`, in which nothing is found.
    /// Columns of raw text that go into a CSV file are compared in types told from all of `batches`.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a type that the format cannot hold, `InvalidInput` for names that collide.
    pub(crate) fn create(
        format: Format,
        csv: &CsvOptions,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        location: &Location,
    ) -> Result<Self> {
        let layout = Arc::new(Layout::new(format, csv, &location.name())?);
        check_names(schema)?;
        for field in schema.fields() {
            check_type(field, &layout)?;
        }
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let types = names.iter().map(|_| Types::new(&layout)).collect();
        let mut file = Self::empty(location, layout, names, types);
        for (index, field) in schema.fields().iter().enumerate() {
            if format == Format::Csv && is_text(field.data_type()) {
                file.types[index] = told_from(&file.layout, batches.iter().map(|batch| batch.column(index)))?;
                file.view[index] = file.types[index].data_type();
            } else {
                file.view[index] = field.data_type().clone();
            }
        }
        Ok(file)
    }

    fn empty(location: &Location, layout: Arc<Layout>, names: Vec<String>, types: Vec<Types>) -> Self {
        Self {
            source: None,
            location: location.clone(),
            layout,
            view: types.iter().map(Types::compared).collect(),
            sent: names.iter().map(|_| None).collect(),
            names,
            types,
            line_end: "\n",
        }
    }

    /// The types that a text source is to be parsed in before [`StoredFile::fit`]: raw text for a CSV
    /// file, so that it is written just as it was sent; the stored types for NDJSON. A column in which
    /// nothing is stored is not named: its own type is the best there is.
    pub(crate) fn source_schema(&self) -> SchemaRef {
        let csv = self.layout.format == Format::Csv;
        let columns = self.names.iter().zip(&self.types);
        let named = columns.filter(|(_, types)| csv || types.seen()).map(|(name, types)| {
            Field::new(name, if csv { DataType::Utf8 } else { types.data_type() }, true)
        });
        Arc::new(Schema::new(named.collect::<Vec<_>>()))
    }

    /// Starts a pass over the stored records; `None` if there are none.
    pub(super) fn records(&self, session: &Session, wanted: &[String]) -> Result<Option<Records<Pass>>> {
        let open =
            |file| Records::open(session, &self.location, &self.layout, Pass::start(session, file), wanted);
        self.source.as_ref().map(open).transpose()
    }

    pub(super) fn writer(&self) -> RecordWriter {
        RecordWriter::new(&self.layout, self.names.iter().map(String::as_str))
    }
}

impl StoredFile for TextFile {
    fn schema(&self) -> SchemaRef {
        let columns = self.names.iter().zip(&self.view);
        let fields = columns.map(|(name, view)| Field::new(name, view.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        self.fit_batches(schema, &incoming)
    }

    fn find(&mut self, session: &Session, matcher: &mut Matcher<'_>, work: &mut WorkCounts) -> Result<u64> {
        // The modification column is a key and a value; a column is looked up once.
        let keys = matcher.key_columns().iter().filter(|key| !matcher.value_columns().contains(key));
        let wanted: Vec<String> = keys.chain(matcher.value_columns()).cloned().collect();
        let Some(mut records) = self.records(session, &wanted)? else { return Ok(0) };
        let schema = self.schema();
        let keys = Picked::new(&records, &schema, matcher.key_columns())?;
        let values = Picked::new(&records, &schema, matcher.value_columns())?;
        let mut stored = 0;
        work.files_read += 1;
        while records.advance()? {
            let bytes = records.bytes().len() as u64;
            work.bytes_read += bytes;
            work.key_bytes_read += bytes;
            let rows = records.rows(0..records.len())?;
            if rows.len() > 0 {
                show(&rows, stored, matcher, &keys, &values)?;
            }
            stored += rows.len() as u64;
        }
        Ok(stored)
    }

    fn rewrite(
        &mut self,
        session: &Session,
        incoming: &Incoming,
        outcome: &Outcome,
        out: &mut File,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let mut rewriter = Rewriter::new(self, out);
        let sources = incoming.source_rows();
        rewriter.copy(self, session, &outcome.replaced, sources)?;
        rewriter.insert(self, outcome.inserted.iter().map(|row| sources[*row as usize] as usize))?;
        let (rows, bytes) = rewriter.finish()?;
        if outcome.rows.rows_after.is_some_and(|expected| expected != rows) {
            return Err(Error::internal("the new file has not as many rows as it should")
                .with("file", &self.location)
                .with("rows", rows));
        }
        work.bytes_written = Some(bytes);
        Ok(())
    }
}

/// Whether values of this type are text already.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn told_from<'a>(layout: &Layout, parts: impl Iterator<Item = &'a ArrayRef>) -> Result<Types> {
    let mut types = Types::new(layout);
    for part in parts {
        print(part)?.iter().flatten().for_each(|text| types.observe(text));
    }
    Ok(types)
}

/// Shows the stored rows of a block to the matcher; only those it asks for are looked at in full.
fn show(
    rows: &Rows<'_>,
    first: u64,
    matcher: &mut Matcher<'_>,
    keys: &Picked,
    values: &Picked,
) -> Result<()> {
    let pairs = matcher.probe(&keys.batch(rows, &(0..rows.len()))?, first)?;
    if pairs.is_empty() {
        return Ok(());
    }
    let within = |row: u64| usize::try_from(row - first).unwrap_or(usize::MAX);
    let picks: Vec<usize> = pairs.iter().map(|pair| within(pair.stored_row)).collect();
    matcher.decide(&pairs, &values.batch(rows, &picks.iter().copied())?)
}

/// Some columns of a file in their types, and their slots.
struct Picked {
    slots: Vec<usize>,
    schema: SchemaRef,
}

impl Picked {
    fn new<R: Read>(records: &Records<R>, schema: &SchemaRef, names: &[String]) -> Result<Self> {
        let mut slots = Vec::with_capacity(names.len());
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let field = find_column(schema, name, "column")?;
            fields.push(Arc::clone(&schema.fields()[field]));
            slots.push(records.slot(name).ok_or_else(|| {
                Error::internal("the columns of the file changed while it was locked").with("column", name)
            })?);
        }
        Ok(Self { slots, schema: Arc::new(Schema::new(fields)) })
    }

    fn batch(
        &self,
        rows: &Rows<'_>,
        picks: &(impl ExactSizeIterator<Item = usize> + Clone),
    ) -> Result<RecordBatch> {
        columns::batch(rows, &self.slots, picks, &self.schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::merge::MergeRule;
    use arrow::array::{Int64Array, StringArray};
    use std::io::{Seek, Write};

    fn stored(name: &str, text: &str) -> TextFile {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let location = Location::from_path(name);
        let format = Format::from_name(name).expect("a format");
        TextFile::open(&Session::default(), file, &location, format, &CsvOptions::default()).expect("opens")
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
        let (schema, batches) = file.fit(&rows.schema(), vec![rows.clone()])?;
        let incoming = Incoming::settle(&schema, &batches, rule)?;
        let mut matcher = Matcher::new(&incoming, &file.schema(), rule)?;
        let stored = file.find(&session, &mut matcher, &mut work)?;
        let outcome = matcher.finish(Some(stored))?;
        let mut out = tempfile::tempfile().expect("a file");
        file.rewrite(&session, &incoming, &outcome, &mut out, &mut work)?;
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
        let expected =
            text.replace("1,02139,2026-01-01\r\n", "01,02139,2026-01-03\r\n") + "4,,2026-01-04\r\n";
        assert_eq!(written, expected);
        let counts =
            (outcome.rows.updated, outcome.rows.stale, outcome.rows.unchanged, outcome.rows.inserted);
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
        for (name, text) in [
            ("a.csv", "id,x,y\n1,a,b\n2,c,d"),
            ("a.ndjson", "{\"id\":1,\"x\":\"a\",\"y\":\"b\"}\n{\"id\":2}"),
        ] {
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
        let batches = [incoming.clone()];
        let mut file =
            TextFile::create(Format::Csv, &csv, &incoming.schema(), &batches, &location).expect("creates");
        let (written, outcome, _) = upsert(&mut file, &incoming, &rule).expect("upserts");
        assert_eq!(written, "id,version\n007,1.50\na,10\n");
        assert_eq!((outcome.rows.rows_before, outcome.rows.duplicates), (Some(0), 1));
    }

    #[test]
    fn text_sources_are_read_raw_for_csv_and_typed_for_json() {
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
        let json = stored("a.ndjson", "{\"a\":1,\"b\":null}\n");
        assert_eq!(columns(&json), [("a".to_owned(), DataType::Int64)]);
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
        let error =
            upsert(&mut file, &rows(vec![("id", strings(&[Some("1")]))]), &rule).expect_err("no integer");
        assert!(error.to_string().contains("line: 2, column: id, value: x"), "{error}");
    }
}
