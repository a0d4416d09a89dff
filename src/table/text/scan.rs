//! Reading text files: which columns there are, which types they have, and what is to be read of them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::batches::TextBatches;
use super::layout::Layout;
use super::records::Records;
use super::sources::{Columns, Source, tell_all};
use super::tell::Types;
use super::tokens::marked;
use super::window::Pass;
use crate::client::file::DataFile;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::options::{CsvOptions, ReadOptions};
use crate::core::predicate::{Bound, Predicate};
use crate::core::schema::{check_names, find_column, type_name};
use crate::error::{Error, ErrorKind, Result};

/// Text files of one layout, ready to be read as often as wanted.
#[derive(Debug, Clone)]
pub(crate) struct TextScan(Arc<Plan>);

/// What is to be read.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) session: Session,
    pub(super) layout: Arc<Layout>,
    pub(super) sources: Vec<Source>,
    /// The columns of the result.
    pub(super) schema: SchemaRef,
    /// The same, followed by those that only the filter looks at.
    pub(super) read: SchemaRef,
    pub(super) filter: Option<Bound>,
    pub(super) limit: Option<usize>,
}

impl TextScan {
    /// Looks at all values of `files` (at least one) to tell the types of the columns that are wanted,
    /// unless `options.schema` names them all. Blocks.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a file that is not of this format, `InvalidInput` for CSV files with different
    /// columns and for a column that is wanted, or has a type, and is not there.
    pub(crate) fn open(
        session: &Session,
        files: Vec<DataFile>,
        format: Format,
        options: &ReadOptions,
    ) -> Result<Self> {
        options.validate()?;
        let Some(first) = files.first() else {
            return Err(Error::new(ErrorKind::InvalidInput, "there is no file to read").hint("name one"));
        };
        let layout = Arc::new(Layout::new(format, &options.csv, &first.location().name())?);
        let (sources, columns) = tell_all(session, files, &layout, options)?;
        let (schema, read) = schemas(&columns, &layout, options)?;
        let filter = options.filter.as_ref().map(|filter| filter.bind(&read)).transpose()?;
        Ok(Self(Arc::new(Plan {
            session: session.clone(),
            layout,
            sources,
            schema,
            read,
            filter,
            limit: options.limit,
        })))
    }

    /// The columns of every batch.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    /// Starts reading, from the first row. Blocks when pulled.
    pub(crate) fn batches(&self) -> TextBatches {
        TextBatches::new(Arc::clone(&self.0))
    }
}

/// Counts the records of a file without looking into them.
///
/// # Errors
///
/// `InvalidData` for a file that cannot be split into records.
pub(crate) fn count(session: &Session, file: &DataFile, format: Format, csv: &CsvOptions) -> Result<u64> {
    let layout = Arc::new(Layout::new(format, csv, &file.location().name())?);
    let pass = Pass::start(session, &Arc::new(file.read()?.into_file()?));
    let mut records = Records::open(session, file.location(), &layout, pass, &[])?;
    let mut count = 0;
    while records.advance()? {
        count += records.len() as u64;
    }
    Ok(count)
}

/// The columns of the result, and those to be read.
fn schemas(columns: &Columns, layout: &Layout, options: &ReadOptions) -> Result<(SchemaRef, SchemaRef)> {
    let json = layout.format == Format::Ndjson;
    let typed = |(name, types): &(String, Types)| match options.text_type_of(name) {
        Some(data_type) if json && options.reads_tokens(name) => marked(Field::new(name, data_type, true)),
        Some(data_type) => Field::new(name, data_type, true),
        None => Field::new(name, types.data_type(), true),
    };
    let all = Schema::new(columns.iter().map(typed).collect::<Vec<_>>());
    check_names(&all)?;
    // Files of JSON without a record say nothing about their columns.
    if !json || !columns.is_empty() {
        options.check_named(&all)?;
    }
    let pick = |name: &str, role| find_column(&all, name, role).map(|index| Arc::clone(&all.fields()[index]));
    let mut fields = match &options.columns {
        Some(columns) => columns.iter().map(|name| pick(name, "column")).collect::<Result<Vec<_>>>()?,
        None => all.fields().to_vec(),
    };
    let schema = Arc::new(Schema::new(fields.clone()));
    for name in filter_columns(options.filter.as_ref()) {
        let field = pick(name, "column of the filter")?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    for field in &fields {
        check_override(field, layout)?;
    }
    Ok((schema, Arc::new(Schema::new(fields))))
}

fn check_override(field: &Field, layout: &Layout) -> Result<()> {
    if layout.format == Format::Csv && field.data_type().is_nested() {
        return Err(Error::new(ErrorKind::Unsupported, "CSV cannot be read as a nested type")
            .with("column", field.name())
            .with("type", type_name(field.data_type()))
            .hint("read the column as string"));
    }
    Ok(())
}

/// The columns that the filter looks at.
fn filter_columns(filter: Option<&Predicate>) -> Vec<&str> {
    filter.map(Predicate::columns).unwrap_or_default()
}

/// Keeps the rows for which the filter holds.
pub(super) fn select(filter: &Bound, batch: &RecordBatch) -> Result<RecordBatch> {
    filter_record_batch(batch, &filter.evaluate(batch)?)
        .map_err(|cause| Error::internal("rows could not be filtered").because(cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::location::Location;
    use crate::core::options::TextAs;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Int64Type};
    use std::path::Path;

    fn file(folder: &Path, name: &str, text: &str) -> DataFile {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        Session::default().open(&Location::from(path.as_path())).expect("opens")
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn open(files: Vec<DataFile>, options: &ReadOptions) -> Result<TextScan> {
        let format = Format::from_name(&files[0].location().name()).expect("a format");
        TextScan::open(&Session::default(), files, format, options)
    }

    fn columns(schema: &Schema) -> String {
        let column = |field: &Arc<Field>| format!("{} {}", field.name(), type_name(field.data_type()));
        schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
    }

    fn integers(scan: &TextScan, column: usize) -> Vec<i64> {
        let batches = scan.batches().collect::<Result<Vec<_>>>().expect("reads");
        let values = batches.iter().flat_map(|batch| {
            assert_eq!(batch.schema(), scan.schema());
            batch.column(column).as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>()
        });
        values.collect()
    }

    #[test]
    fn types_hold_for_all_files_and_columns_may_change_places() {
        let folder = folder();
        let files =
            vec![file(folder.path(), "a.csv", "a,b\n1,2\n"), file(folder.path(), "b.csv", "b,a\nx,3\n4,5\n")];
        let scan = open(files, &ReadOptions::default()).expect("opens");
        assert_eq!(columns(&scan.schema()), "a int64, b string");
        assert_eq!(integers(&scan, 0), [1, 3, 5]);
        assert_eq!(integers(&scan, 0), [1, 3, 5], "a scan can be read again");
    }

    #[test]
    fn files_with_other_columns_are_refused_by_name() {
        let folder = folder();
        let first = file(folder.path(), "a.csv", "a,b\n");
        for (text, message) in [
            ("a,c\n", "a file has a column that the first file lacks (column: c, file: "),
            ("a\n", "a file lacks a column of the first file (column: b, file: "),
        ] {
            let files = vec![first.clone(), file(folder.path(), "b.csv", text)];
            let error = open(files, &ReadOptions::default()).expect_err("differs");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    #[test]
    fn files_of_objects_have_the_keys_of_all_of_them_in_the_order_they_first_appear() {
        let folder = folder();
        let files = vec![
            file(folder.path(), "a.ndjson", "{\"b\":1,\"a\":1}\n"),
            file(folder.path(), "b.ndjson", ""),
            file(folder.path(), "c.ndjson", "{\"c\":true,\"a\":0.5}\n{\"a\":2}\n"),
        ];
        let scan = open(files.clone(), &ReadOptions::default()).expect("opens");
        assert_eq!(columns(&scan.schema()), "b int64, a float64, c bool");
        assert_eq!(integers(&scan, 0), [1]);
        let nulls = scan.batches().map(|batch| batch.expect("reads").column(2).null_count());
        assert_eq!(nulls.collect::<Vec<_>>(), [1, 1]);
        let scan = open(files.clone(), &ReadOptions::default().with_columns(["c"])).expect("opens");
        assert_eq!(columns(&scan.schema()), "c bool");
        let other = [&files[..1], &[file(folder.path(), "d.ndjson", "{\"B\":1}\n")]].concat();
        let error = open(other, &ReadOptions::default()).expect_err("case");
        assert_eq!(error.message(), "two columns differ only in case");
    }

    #[test]
    fn a_type_of_a_column_that_no_file_has_is_refused_by_name() {
        let folder = folder();
        let types = Schema::new(vec![Field::new("gone", DataType::Utf8, true)]);
        let options = ReadOptions::default().with_schema(types);
        for (name, text) in [("a.csv", "a\n1\n"), ("a.ndjson", "{\"a\":1}\n")] {
            let error = open(vec![file(folder.path(), name, text)], &options).expect_err("missing");
            assert_eq!(error.to_string(), "column of the schema is missing (column: gone)");
        }
        assert!(open(vec![file(folder.path(), "b.ndjson", "")], &options).is_ok(), "there are no columns");
    }

    #[test]
    fn a_filter_needs_types_even_where_text_stays_text() {
        let folder = folder();
        let filter = "n > 9".parse().expect("a filter");
        let options = ReadOptions { text_as: TextAs::Text, ..ReadOptions::default().with_filter(filter) };
        let scan = open(vec![file(folder.path(), "a.csv", "n,x\n8,1\n10,2\n")], &options).expect("opens");
        assert_eq!(columns(&scan.schema()), "n int64, x string");
        assert_eq!(integers(&scan, 0), [10]);
    }

    #[test]
    fn columns_come_as_they_were_named_and_unwanted_ones_are_not_parsed() {
        let folder = folder();
        let bad = file(folder.path(), "a.ndjson", "{\"a\":1,\"b\":\"\\ud800\",\"c\":true}\n");
        let scan = open(vec![bad.clone()], &ReadOptions::default().with_columns(["c", "a"])).expect("opens");
        assert_eq!(columns(&scan.schema()), "c bool, a int64");
        assert_eq!(integers(&scan, 1), [1]);
        let all = open(vec![bad.clone()], &ReadOptions::default()).expect("opens");
        assert!(all.batches().any(|batch| batch.is_err()));
        let error = open(vec![bad], &ReadOptions::default().with_columns(["A"])).expect_err("missing");
        assert_eq!(error.to_string(), "column is missing (column: A)");
    }

    #[test]
    fn a_schema_decides_types_and_leaves_the_rest_alone() {
        let folder = folder();
        let text = "id,zip,n\n007,02139,1\n";
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int32, true),
            Field::new("zip", DataType::Utf8, true),
        ]);
        let options = ReadOptions::default().with_schema(schema);
        let scan = open(vec![file(folder.path(), "a.csv", text)], &options).expect("opens");
        assert_eq!(columns(&scan.schema()), "id int32, zip string, n int64");
        let batch = scan.batches().next().expect("a batch").expect("reads");
        assert_eq!(batch.column(1).as_string::<i32>().value(0), "02139");
    }

    #[test]
    fn a_filter_sees_columns_that_are_not_wanted_and_comes_before_the_limit() {
        let folder = folder();
        let text: String = std::iter::once("a,b\n".to_owned())
            .chain((0..20_000).map(|i| format!("{i},{}\n", i % 2)))
            .collect();
        let options = ReadOptions::default()
            .with_columns(["a"])
            .with_filter("b = 1 AND a > 9000".parse().expect("a filter"))
            .with_limit(3);
        let scan = open(vec![file(folder.path(), "a.csv", &text)], &options).expect("opens");
        assert_eq!(columns(&scan.schema()), "a int64");
        assert_eq!(integers(&scan, 0), [9001, 9003, 9005]);
    }

    #[test]
    fn a_limit_stops_before_later_files_are_looked_at() {
        let folder = folder();
        let first = file(folder.path(), "a.csv", "a\n1\n2\n3\n");
        let options = ReadOptions::default().with_limit(2).with_schema(Schema::new(vec![Field::new(
            "a",
            DataType::Int64,
            true,
        )]));
        let scan = open(vec![first, file(folder.path(), "b.csv", "a\nx\n")], &options).expect("opens");
        assert_eq!(integers(&scan, 0), [1, 2]);
    }

    #[test]
    fn no_columns_still_count_rows() {
        let folder = folder();
        let options = ReadOptions::default().with_columns(Vec::<String>::new());
        let scan = open(vec![file(folder.path(), "a.csv", "a\n1\n2\n")], &options).expect("opens");
        let rows: usize = scan.batches().map(|batch| batch.expect("reads").num_rows()).sum();
        assert_eq!(rows, 2);
    }

    #[test]
    fn a_scan_reads_the_content_whose_types_it_told() {
        let folder = folder();
        let source = file(folder.path(), "a.csv", "a\n1\n");
        let scan = open(vec![source.clone()], &ReadOptions::default()).expect("opens");
        let new = folder.path().join("new");
        std::fs::write(&new, "b\nx\n").expect("written");
        std::fs::rename(new, source.path().expect("a path")).expect("renamed");
        assert_eq!(integers(&scan, 0), [1]);
    }

    #[test]
    fn records_are_counted_in_both_formats() {
        let folder = folder();
        let session = Session::default();
        let csv = CsvOptions::default();
        let quoted = file(folder.path(), "a.csv", "a\n\"1\n2\"\n\n3");
        assert_eq!(count(&session, &quoted, Format::Csv, &csv).expect("counts"), 3);
        let objects = file(folder.path(), "a.ndjson", "{}\n\n{}\n");
        assert_eq!(count(&session, &objects, Format::Ndjson, &csv).expect("counts"), 2);
        let empty = file(folder.path(), "b.ndjson", "");
        assert_eq!(count(&session, &empty, Format::Ndjson, &csv).expect("counts"), 0);
    }

    #[test]
    fn a_file_without_objects_has_no_columns() {
        let folder = folder();
        let scan = open(vec![file(folder.path(), "a.ndjson", "")], &ReadOptions::default()).expect("opens");
        assert!(scan.schema().fields().is_empty());
        assert_eq!(scan.batches().count(), 0);
    }

    #[test]
    fn nested_columns_keep_their_nulls() {
        let folder = folder();
        let text = "{\"a\":{\"x\":[1,2]}}\n{\"a\":null}\n{}\n";
        let scan = open(vec![file(folder.path(), "a.ndjson", text)], &ReadOptions::default()).expect("opens");
        assert_eq!(columns(&scan.schema()), "a struct<x: list<int64>>");
        let batch = scan.batches().next().expect("a batch").expect("reads");
        assert_eq!(batch.column(0).null_count(), 2);
    }
}
