//! A text file as the target of an upsert: its columns, in types told from all of its values, and which
//! of its rows the incoming ones meet.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::columns;
use super::encode::{RecordWriter, check_type};
use super::fit::Fitted;
use super::layout::{Layout, nameless};
use super::records::Records;
use super::rewrite::Rewriter;
use super::rows::Rows;
use super::tell::{Types, tell};
use super::tokens::marked;
use super::window::Pass;
use crate::client::file::Sink;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Made, Matcher};
use crate::core::options::CsvOptions;
use crate::core::report::WorkCounts;
use crate::core::schema::{check_names, find_column};
use crate::error::{Error, ErrorKind, Result};
use crate::table::fit::Fit;
use crate::table::{Change, StoredFile};

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
    /// What came in, by stored column.
    pub(super) sent: Vec<Option<Fitted>>,
    /// Rows that came in before those: messages count all of them.
    pub(super) rows_before: usize,
    /// How many of the last columns are new.
    added: usize,
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
    ///
    /// # Errors
    ///
    /// `Unsupported` for a type that the format cannot hold, `InvalidInput` for names that collide.
    pub(crate) fn create(
        format: Format,
        csv: &CsvOptions,
        schema: &SchemaRef,
        location: &Location,
    ) -> Result<Self> {
        let layout = Arc::new(Layout::new(format, csv, &location.name())?);
        check_names(schema)?;
        for field in schema.fields() {
            check_type(field, &layout)?;
        }
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let types = names.iter().map(|_| Types::new(&layout)).collect();
        Ok(Self::empty(location, layout, names, types))
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
            rows_before: 0,
            added: 0,
        }
    }

    /// The types that a text source is to be parsed in before [`StoredFile::fit`]: raw text for a CSV
    /// file, so that it is written just as it was sent, and for numbers of NDJSON, which are written as they
    /// were sent, too; else the stored types. A column in which nothing is stored, or values of several
    /// kinds, is not named: its own type is the best there is.
    pub(crate) fn source_schema(&self) -> SchemaRef {
        let field = |(name, types): (&String, &Types)| {
            let read_as = match types {
                Types::Text(_) => DataType::Utf8,
                Types::Json(types) if !types.seen() => return None,
                Types::Json(types) if types.are_numbers() => DataType::Utf8,
                Types::Json(types) => types.data_type()?,
            };
            Some(Field::new(name, read_as, true))
        };
        let named = self.names.iter().zip(&self.types).filter_map(field);
        Arc::new(Schema::new(named.collect::<Vec<_>>()))
    }

    /// Starts a pass over the stored records; `None` if there are none.
    pub(super) fn records(&self, session: &Session, wanted: &[String]) -> Result<Option<Records<Pass>>> {
        let open =
            |file| Records::open(session, &self.location, &self.layout, Pass::start(session, file), wanted);
        self.source.as_ref().map(open).transpose()
    }

    /// Where the values of a column are in `records`, if these were opened for it. Behind the last field nothing is found.
    pub(super) fn place<R: Read>(&self, records: &Records<R>, column: usize) -> Option<usize> {
        let is_behind = column >= self.names.len() - self.fields_to_add();
        records.slot(&self.names[column]).or_else(|| is_behind.then_some(column))
    }

    /// Whether a column is new.
    pub(super) fn is_added(&self, column: usize) -> bool {
        column >= self.names.len() - self.added
    }

    /// How many fields the records of a CSV file lack at their end. What an object lacks is null anyway.
    pub(super) fn fields_to_add(&self) -> usize {
        if self.layout.format == Format::Csv { self.added } else { 0 }
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

    fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()> {
        for field in columns {
            let name = nameless(self.names.len());
            if !self.layout.has_names() && *field.name() != name {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    "a file without a header cannot say the name of a new column",
                )
                .with("column", field.name())
                .with("next", name)
                .hint("give the file a header first, or let the column come in by the name that counts on (--rename)"));
            }
            let types = Types::new(&self.layout);
            self.names.push(field.name().clone());
            self.view.push(types.compared());
            self.types.push(types);
            self.sent.push(None);
        }
        self.added += columns.len();
        Ok(())
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        rule: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        self.fit_batches(schema, &incoming, Some(rule))
    }

    fn fit_each(&self, _: &Schema) -> Result<Option<Fit>> {
        Ok(None)
    }

    fn find(&mut self, session: &Session, matcher: &mut Matcher<'_>, work: &mut WorkCounts) -> Result<u64> {
        // The modification column is a key and a value; a column is looked up once.
        let keys = matcher.key_columns().iter().filter(|key| !matcher.value_columns().contains(key));
        let wanted: Vec<String> = keys.chain(matcher.value_columns()).cloned().collect();
        let Some(mut records) = self.records(session, &wanted)? else { return Ok(0) };
        let schema = self.schema();
        let keys = Picked::new(self, &records, &schema, matcher.key_columns())?;
        let values = Picked::new(self, &records, &schema, matcher.value_columns())?;
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

    fn rows_at(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        self.rows_as(session, rows, &self.schema())
    }

    fn rows_as_sent(&mut self, session: &Session, rows: &[u64]) -> Result<Vec<RecordBatch>> {
        let field = |name: &String| {
            let field = Field::new(name, DataType::Utf8, true);
            if self.layout.format == Format::Csv { field } else { marked(field) }
        };
        let schema = Arc::new(Schema::new(self.names.iter().map(field).collect::<Vec<_>>()));
        self.rows_as(session, rows, &schema)
    }

    fn remake(&mut self, made: &mut Made) -> Result<()> {
        self.remade(made)
    }

    fn rewrite(
        &mut self,
        session: &Session,
        change: &Change<'_>,
        out: &mut Sink<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        let mut rewriter = Rewriter::new(self, out.file());
        let (sources, outcome) = (change.rows.source_rows()?, change.outcome);
        rewriter.copy(self, session, outcome.fates(&(0..u64::MAX)), (sources, &outcome.cells))?;
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

impl TextFile {
    /// Those of some numbers, ascending, with all columns as `schema` has them.
    fn rows_as(&self, session: &Session, rows: &[u64], schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
        let mut found = Vec::new();
        let Some(mut records) = self.records(session, &self.names)? else { return Ok(found) };
        let all = Picked::new(self, &records, schema, &self.names)?;
        let (mut first, mut left) = (0, rows);
        while !left.is_empty() && records.advance()? {
            let block = records.rows(0..records.len())?;
            let end = first + block.len() as u64;
            let (own, rest) = left.split_at(left.partition_point(|row| *row < end));
            if !own.is_empty() {
                let picks: Vec<usize> = own.iter().map(|row| within(row - first)).collect();
                found.push(all.batch(&block, &picks.iter().copied())?);
            }
            (first, left) = (end, rest);
        }
        Ok(found)
    }
}

/// Whether values of this type are text already.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
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
    let picks: Vec<usize> = pairs.iter().map(|pair| within(pair.stored_row - first)).collect();
    matcher.decide(&pairs, &values.batch(rows, &picks.iter().copied())?)
}

/// A place in a block.
fn within(row: u64) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

/// Some columns of a file in their types, and their slots.
struct Picked {
    slots: Vec<usize>,
    schema: SchemaRef,
}

impl Picked {
    fn new<R: Read>(
        file: &TextFile,
        records: &Records<R>,
        schema: &SchemaRef,
        names: &[String],
    ) -> Result<Self> {
        let mut slots = Vec::with_capacity(names.len());
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let field = find_column(schema, name, "column")?;
            fields.push(Arc::clone(&schema.fields()[field]));
            slots.push(file.place(records, field).ok_or_else(|| {
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
mod tests;
