//! Raw fields become Arrow columns.

use std::sync::Arc;

use arrow::array::builder::StringBuilder;
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_empty_array};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;

use super::fault::Fault;
use super::rows::Rows;
use super::tokens::is_marked;
use super::{csv, ndjson};
use crate::core::cast::exact;
use crate::core::format::Format;
use crate::core::schema::type_name;
use crate::core::text;
use crate::error::{Error, Result};
use crate::table::fit::shown;

/// The columns in `slots`, one for each field of `schema`, of the rows that `picks` names.
pub(super) fn batch(
    rows: &Rows<'_>,
    slots: &[usize],
    picks: &(impl ExactSizeIterator<Item = usize> + Clone),
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let columns = slots
        .iter()
        .zip(schema.fields())
        .map(|(slot, field)| {
            if is_marked(field) {
                return Ok(Arc::new(tokens(rows, *slot, picks)) as ArrayRef);
            }
            array(rows, *slot, picks, field.data_type())
        })
        .collect::<Result<Vec<_>>>()?;
    let counted = RecordBatchOptions::new().with_row_count(Some(picks.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &counted)
        .map_err(|cause| Error::internal("a batch does not fit its schema").because(cause))
}

/// The column in `slot`, of the rows that `picks` names, as `to`.
///
/// # Errors
///
/// `InvalidData` with file, line, column and value for a field that is no `to`.
pub(super) fn array(
    rows: &Rows<'_>,
    slot: usize,
    picks: &(impl ExactSizeIterator<Item = usize> + Clone),
    to: &DataType,
) -> Result<ArrayRef> {
    if to.is_nested() {
        return nested(rows, slot, picks, to);
    }
    let texts = texts(rows, slot, picks.clone())?;
    if *to == DataType::Utf8 {
        return Ok(Arc::new(texts));
    }
    text::parse(&texts, to, &rows.layout().rules).map_err(|bad| {
        let row = picks.clone().nth(bad.row).unwrap_or_default();
        does_not_parse(rows, row, slot, &bad.value, to)
    })
}

/// The tokens of JSON in `slot`, as they stand in the file.
fn tokens(
    rows: &Rows<'_>,
    slot: usize,
    picks: &(impl ExactSizeIterator<Item = usize> + Clone),
) -> StringArray {
    picks.clone().map(|row| rows.raw(row, slot).filter(|token| *token != "null")).collect()
}

/// The same as text, as it stands in the file.
fn texts(rows: &Rows<'_>, slot: usize, picks: impl ExactSizeIterator<Item = usize>) -> Result<StringArray> {
    const TYPICAL_FIELD: usize = 12;
    let mut texts = StringBuilder::with_capacity(picks.len(), picks.len() * TYPICAL_FIELD);
    let json = rows.layout().format == Format::Ndjson;
    for row in picks {
        let value = match rows.raw(row, slot) {
            None => None,
            Some(raw) if json => ndjson::text(raw).map_err(|cause| {
                let fault = Fault::new(0, ndjson::NO_CHARACTER).in_column(slot).hint(ndjson::ONE_CHARACTER);
                rows.error(row, fault.because(cause))
            })?,
            Some(raw) => csv::value(raw, rows.layout()),
        };
        texts.append_option(value);
    }
    Ok(texts.finish())
}

fn does_not_parse(rows: &Rows<'_>, row: usize, slot: usize, value: &str, to: &DataType) -> Error {
    let fault = Fault::new(0, "a field does not parse")
        .in_column(slot)
        .hint("correct the field, or read the column as string");
    rows.error(row, fault).with("value", shown(value)).with("type", type_name(to))
}

fn nested(
    rows: &Rows<'_>,
    slot: usize,
    picks: &(impl ExactSizeIterator<Item = usize> + Clone),
    to: &DataType,
) -> Result<ArrayRef> {
    let token = |row| rows.raw(row, slot).unwrap_or("null");
    let tokens = picks.clone().map(token);
    decode(tokens.clone(), to).or_else(|cause| from_lists(tokens, to).ok_or(cause)).map_err(|cause| {
        // Arrow does not say which row it was.
        let row = picks.clone().find(|row| decode(std::iter::once(token(*row)), to).is_err());
        let row = row.unwrap_or_default();
        does_not_parse(rows, row, slot, token(row), to).because(cause)
    })
}

/// Tokens whose maps are written as the lists of their entries, which is how they are printed.
fn from_lists<'a>(tokens: impl ExactSizeIterator<Item = &'a str>, to: &DataType) -> Option<ArrayRef> {
    let lists = text::readable(&new_empty_array(to)).ok()?;
    exact(&decode(tokens, lists.data_type()).ok()?, to).ok()
}

/// Tokens as values of a nested type.
pub(super) fn decode<'a>(
    tokens: impl ExactSizeIterator<Item = &'a str>,
    to: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let count = tokens.len();
    let field = Field::new("item", to.clone(), true);
    let mut decoder = ReaderBuilder::new_with_field(field).with_batch_size(count.max(1)).build_decoder()?;
    for token in tokens {
        decoder.decode(token.as_bytes())?;
        decoder.decode(b"\n")?;
    }
    let batch = decoder.flush()?;
    match batch.and_then(|batch| batch.columns().first().cloned()) {
        Some(column) if column.len() == count => Ok(column),
        None if count == 0 => Ok(arrow::array::new_empty_array(to)),
        _ => Err(ArrowError::JsonError("values were lost".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::tests::records;
    use super::*;
    use crate::core::options::CsvOptions;
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    fn column(format: Format, text: &str, wanted: &[&str], slot: usize, to: &DataType) -> Result<ArrayRef> {
        let csv = CsvOptions::default();
        let mut records = records(format, &csv, text.as_bytes(), wanted, 1 << 10)?;
        assert!(records.advance()?);
        let rows = records.rows(0..records.len())?;
        array(&rows, slot, &(0..rows.len()), to)
    }

    #[test]
    fn fields_become_values_and_empty_ones_null() {
        let parsed = column(Format::Csv, "a,b\nx,1\ny,\n", &[], 1, &DataType::Int64).expect("parses");
        let parsed: Vec<_> = parsed.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(parsed, [Some(1), None]);
    }

    #[test]
    fn a_field_that_does_not_parse_is_named_with_its_line() {
        let error = column(Format::Csv, "a,b\n\"x\ny\",1\nz,two\n", &[], 1, &DataType::Int64);
        assert_eq!(
            error.expect_err("a text").to_string(),
            "a field does not parse (file: t.txt, line: 4, column: b, value: two, type: int64)"
        );
    }

    #[test]
    fn tokens_of_mixed_kinds_read_as_text() {
        let text = "{\"a\":1.50}\n{\"a\":\"x\"}\n{\"a\":[1, 2]}\n{}\n{\"a\":null}\n";
        let read = column(Format::Ndjson, text, &["a"], 0, &DataType::Utf8).expect("reads");
        let read: Vec<_> = read.as_string::<i32>().iter().collect();
        assert_eq!(read, [Some("1.50"), Some("x"), Some("[1, 2]"), None, None]);
    }

    #[test]
    fn half_a_character_is_named_with_what_to_do() {
        let error = column(Format::Ndjson, "{}\n{\"a\":\"\\ud800\"}\n", &["a"], 0, &DataType::Utf8);
        let error = error.expect_err("half a pair");
        assert_eq!(error.message(), "a string has an escape that is no character");
        assert!(error.to_string().contains("line: 2, column: a"), "{error}");
        assert_eq!(error.hint_text(), Some(ndjson::ONE_CHARACTER));
    }

    #[test]
    fn nested_tokens_become_nested_values_and_missing_ones_null() {
        let to = DataType::new_list(DataType::Int64, true);
        let read =
            column(Format::Ndjson, "{\"a\":[1,null]}\n{}\n{\"a\":[]}\n", &["a"], 0, &to).expect("reads");
        let list = read.as_list::<i32>();
        assert_eq!((list.value_length(0), list.is_null(1), list.value_length(2)), (2, true, 0));
        let error = column(Format::Ndjson, "{}\n{\"a\":[\"x\"]}\n", &["a"], 0, &to).expect_err("a string");
        assert!(error.to_string().contains("line: 2, column: a, value: [\"x\"]"), "{error}");
    }
}
