//! Incoming values meet the types of a stored text file: exactly, or by a wider look at what is stored.
//!
//! A CSV file holds text and nothing else, so any value fits it; the types are for comparing. NDJSON has
//! types of its own, and keeps them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, new_empty_array, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::columns::shown;
use super::encode::{Cells, plain};
use super::file::{TextFile, is_text};
use super::layout::Layout;
use super::tell::Types;
use crate::core::cast::{CastRefused, exact};
use crate::core::format::Format;
use crate::core::schema::type_name;
use crate::core::text::parse;
use crate::error::{Error, ErrorKind, Result};
use crate::table::StoredFile;
use crate::table::fit::check_extra;

/// An incoming column, in the type that it is compared in and as it is to be written.
struct Fitted {
    column: ArrayRef,
    sent: Cells,
}

impl TextFile {
    /// Brings incoming rows into the types of the stored columns, and keeps them as they were sent. Gives
    /// one batch, whose rows are those of all batches in order.
    pub(super) fn fit_batches(
        &mut self,
        schema: &SchemaRef,
        incoming: &[RecordBatch],
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        self.take_columns(schema);
        let slots = self.slots(schema)?;
        self.sent.iter_mut().for_each(|sent| *sent = None);
        let mut fields = Vec::with_capacity(slots.len());
        let mut columns = Vec::with_capacity(slots.len());
        for (index, slot) in slots.into_iter().enumerate() {
            let whole = whole(schema.field(index), index, incoming)?;
            let name = &self.names[slot];
            let fitted = match self.layout.format {
                Format::Ndjson => fit_json(name, &whole, &self.types[slot], &self.view[slot], &self.layout)?,
                _ => fit_text(name, &whole, &self.types[slot], &self.view[slot], &self.layout)?,
            };
            self.view[slot] = fitted.column.data_type().clone();
            fields.push(Field::new(name, self.view[slot].clone(), true));
            columns.push(fitted.column);
            self.sent[slot] = Some(fitted.sent);
        }
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|cause| Error::internal("incoming columns differ in length").because(cause))?;
        Ok((schema, vec![batch]))
    }

    /// A file without a single record has no columns to defend.
    fn take_columns(&mut self, schema: &SchemaRef) {
        if self.layout.format == Format::Ndjson && self.names.is_empty() {
            self.names = schema.fields().iter().map(|field| field.name().clone()).collect();
            self.types = self.names.iter().map(|_| Types::new(&self.layout)).collect();
            self.view = self.types.iter().map(Types::data_type).collect();
            self.sent = self.names.iter().map(|_| None).collect();
        }
    }

    /// Where each incoming column is stored.
    fn slots(&self, schema: &SchemaRef) -> Result<Vec<usize>> {
        check_extra(&self.schema(), schema)?;
        let slot = |field: &FieldRef| self.names.iter().position(|known| known == field.name());
        Ok(schema.fields().iter().filter_map(slot).collect())
    }
}

/// A column of all batches.
fn whole(field: &Field, index: usize, incoming: &[RecordBatch]) -> Result<ArrayRef> {
    let parts: Vec<&dyn Array> = incoming.iter().map(|batch| batch.column(index).as_ref()).collect();
    if parts.is_empty() {
        return Ok(new_empty_array(field.data_type()));
    }
    concat(&parts).map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "a column of incoming rows is too long to be held in memory")
            .with("column", field.name())
            .hint("upsert in several smaller parts")
            .because(cause)
    })
}

fn fit_text(
    name: &str,
    column: &ArrayRef,
    types: &Types,
    view: &DataType,
    layout: &Layout,
) -> Result<Fitted> {
    let column = plain(column)?;
    let sent = Cells::new(name, &column, layout)?;
    // Where nothing is stored, types of a frame are better than a guess from its text.
    let known = match column.data_type() {
        _ if types.seen() => Some(view),
        own if is_text(own) => None,
        own => Some(own),
    };
    let parsed = known.and_then(|known| parse(sent.texts(), known, &layout.rules).ok());
    let column = parsed.unwrap_or_else(|| widened(sent.texts(), types, layout));
    Ok(Fitted { column, sent })
}

/// The text in the narrowest type that holds it and all that is stored.
fn widened(texts: &StringArray, stored: &Types, layout: &Layout) -> ArrayRef {
    let mut both = stored.clone();
    texts.iter().flatten().for_each(|text| both.observe(text));
    parse(texts, &both.data_type(), &layout.rules).unwrap_or_else(|_| Arc::new(texts.clone()))
}

fn fit_json(
    name: &str,
    column: &ArrayRef,
    types: &Types,
    view: &DataType,
    layout: &Layout,
) -> Result<Fitted> {
    let column = plain(column)?;
    if !types.seen() {
        return Ok(Fitted { sent: Cells::new(name, &column, layout)?, column });
    }
    if types.instants(std::iter::empty()).is_some() {
        return fit_instants(name, &column, types, layout);
    }
    if types.mixed()
        || (*view == DataType::Utf8 && !is_text(column.data_type()) && !column.data_type().is_nested())
    {
        let sent = Cells::new(name, &column, layout)?;
        let texts: ArrayRef = Arc::new(sent.texts().clone());
        // Among values of many kinds a number stays a number; a column of strings gets strings.
        let sent = if types.mixed() { sent } else { Cells::new(name, &texts, layout)? };
        return Ok(Fitted { column: texts, sent });
    }
    let fitted = match exact(&column, view) {
        _ if column.null_count() == column.len() => new_null_array(view, column.len()),
        Ok(fitted) => fitted,
        Err(refused) => as_float(&column, types, view, layout)
            .ok_or_else(|| does_not_fit(name, &column, view, &refused))?,
    };
    Ok(Fitted { sent: Cells::new(name, &fitted, layout)?, column: fitted })
}

/// Strings where the stored ones are timestamps: compared as instants as long as all of them are, written as sent.
fn fit_instants(name: &str, column: &ArrayRef, types: &Types, layout: &Layout) -> Result<Fitted> {
    let texts: ArrayRef = Arc::new(Cells::new(name, column, layout)?.texts().clone());
    let sent = Cells::new(name, &texts, layout)?;
    let told = types.instants(sent.texts().iter().flatten());
    let instants = told.and_then(|told| parse(sent.texts(), &told, &layout.rules).ok());
    Ok(Fitted { column: instants.unwrap_or(texts), sent })
}

/// Numbers as floats, where integers are stored that are all floats as well.
fn as_float(column: &ArrayRef, stored: &Types, view: &DataType, layout: &Layout) -> Option<ArrayRef> {
    if *view != DataType::Int64 || !column.data_type().is_numeric() {
        return None;
    }
    let mut both = stored.clone();
    let tokens = Cells::new("", column, layout).ok()?;
    tokens.texts().iter().flatten().for_each(|token| both.observe(token));
    let fits = !both.mixed() && both.data_type() == DataType::Float64;
    if fits { exact(column, &DataType::Float64).ok() } else { None }
}

fn does_not_fit(name: &str, column: &ArrayRef, view: &DataType, refused: &CastRefused) -> Error {
    let error = Error::new(ErrorKind::InvalidInput, "the type of a column does not fit")
        .with("column", name)
        .with("stored", type_name(view))
        .with("incoming", type_name(column.data_type()));
    match refused {
        CastRefused::Lossy(cell) => error
            .with("value", shown(&cell.value))
            .hint("round or correct the value, or cast the column first"),
        CastRefused::Zone => error.hint("give both sides a time zone, or neither"),
        CastRefused::Types => error.hint("cast the column first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::Session;
    use crate::core::location::Location;
    use crate::core::options::CsvOptions;
    use arrow::array::{Float64Array, Int32Array, Int64Array, TimestampMillisecondArray};
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
        let (schema, batches) = file.fit(&batch.schema(), vec![batch.slice(0, 1), batch.slice(1, 1)])?;
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
        let texts = file.sent[slot].as_ref().expect("sent").texts();
        texts.iter().map(|text| text.unwrap_or("null").to_owned()).collect()
    }

    #[test]
    fn raw_text_is_compared_in_the_stored_type_and_kept_as_it_was_sent() {
        let mut file = stored("a.csv", "id,x\n1,1.5\n2,x\n");
        let fitted = fit(&mut file, vec![("x", strings(["1", "2"])), ("id", strings(["007", "8"]))]);
        assert_eq!(fitted.expect("fits"), "x string, id int64");
        assert_eq!(sent(&file, 0), ["007", "8"]);
    }

    #[test]
    fn a_value_that_does_not_fit_widens_the_view_of_a_csv_file() {
        let mut file = stored("a.csv", "a,b,c\n1,1,2026-01-01\n");
        let columns = vec![
            ("a", strings(["2.5", "3"])),
            ("b", strings(["x", "1"])),
            ("c", strings(["2026-01-02", "x"])),
        ];
        assert_eq!(fit(&mut file, columns).expect("fits"), "a float64, b string, c string");
        let view: Vec<String> =
            file.schema().fields().iter().map(|field| type_name(field.data_type())).collect();
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
        assert!(matches!(file.sent[0], Some(Cells::Token(_))));
    }

    #[test]
    fn columns_that_are_not_stored_are_listed() {
        let mut file = stored("a.csv", "id,x\n1,1\n");
        let error = fit(&mut file, vec![("id", strings(["1", "2"])), ("y", strings(["1", "2"]))]);
        let error = error.expect_err("an extra column");
        assert_eq!(error.to_string(), "the target has no such columns (columns: y)");
    }
}
