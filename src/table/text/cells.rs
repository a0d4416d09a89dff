//! The values of a column, printed and ready to be written into records.

use std::sync::Arc;

use arrow::array::builder::StringBuilder;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray, UInt32Array, make_array,
    new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};

use super::layout::Layout;
use super::{csv, ndjson};
use crate::core::format::Format;
use crate::core::schema::type_name;
use crate::core::text::{print, readable};
use crate::error::{Error, ErrorKind, Result};

/// A column whose values are ready to be written.
#[derive(Debug)]
pub(super) enum Cells {
    /// Fields of a CSV record.
    Field(StringArray),
    /// JSON strings, not escaped yet.
    String(StringArray),
    /// Other JSON tokens.
    Token(StringArray),
}

impl Cells {
    /// Prints `column`.
    pub(super) fn new(name: &str, column: &ArrayRef, layout: &Layout) -> Result<Self> {
        let column = &plain(column)?;
        let nested = column.data_type().is_nested();
        match (layout.format, nested) {
            (Format::Ndjson, true) => {
                check_finite(name, column)?;
                tokens(name, column).map(Self::Token)
            }
            (_, true) => Err(Error::new(ErrorKind::Unsupported, "CSV cannot hold nested values")
                .with("column", name)
                .with("type", type_name(column.data_type()))
                .hint("leave the column out, or choose ndjson or parquet")),
            (Format::Ndjson, false) => {
                check_finite(name, column)?;
                let texts = print(column).map_err(|error| error.with_missing("column", name))?;
                let bare = column.data_type().is_numeric() || *column.data_type() == DataType::Boolean;
                Ok(if bare { Self::Token(texts) } else { Self::String(texts) })
            }
            (_, false) => print(column).map(Self::Field).map_err(|error| error.with_missing("column", name)),
        }
    }

    /// The text of all values.
    pub(super) fn texts(&self) -> &StringArray {
        match self {
            Self::Field(texts) | Self::String(texts) | Self::Token(texts) => texts,
        }
    }

    /// The values of these rows.
    pub(super) fn take(&self, rows: &UInt32Array) -> Result<Self> {
        let texts = take(self.texts(), rows, None)
            .map_err(|cause| Error::internal("values could not be gathered").because(cause))?;
        let texts = texts.as_string().clone();
        Ok(match self {
            Self::Field(_) => Self::Field(texts),
            Self::String(_) => Self::String(texts),
            Self::Token(_) => Self::Token(texts),
        })
    }

    /// Whether the value at `row` is null.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.texts().is_null(row)
    }

    /// Writes the value at `row`.
    pub(super) fn write(&self, row: usize, layout: &Layout, out: &mut Vec<u8>) {
        let texts = self.texts();
        let value = texts.is_valid(row).then(|| texts.value(row));
        match (self, value) {
            (Self::Field(_), value) => csv::write(value, layout, out),
            (_, None) => out.extend_from_slice(b"null"),
            (Self::String(_), Some(text)) => ndjson::write_string(text, out),
            (Self::Token(_), Some(token)) => out.extend_from_slice(token.as_bytes()),
        }
    }
}

/// The values without a dictionary around them; a column without any type is text.
pub(super) fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Dictionary(_, values) => cast(column, values)
            .map_err(|cause| Error::internal("a dictionary could not be unpacked").because(cause)),
        DataType::Null => Ok(new_null_array(&DataType::Utf8, column.len())),
        _ => Ok(Arc::clone(column)),
    }
}

/// Nested values as JSON tokens.
pub(super) fn tokens(name: &str, column: &ArrayRef) -> Result<StringArray> {
    let refused = |cause: ArrowError| {
        Error::new(ErrorKind::Unsupported, "values of this type cannot be written as JSON")
            .with("column", name)
            .with("type", type_name(column.data_type()))
            .hint("leave the column out, or choose parquet")
            .because(cause)
    };
    let column = &readable(column)?;
    let field = Arc::new(Field::new(name, column.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, column.as_ref(), &options).map_err(refused)?;
    let (mut tokens, mut token) = (StringBuilder::new(), Vec::new());
    for row in 0..column.len() {
        token.clear();
        encoder.encode(row, &mut token);
        let text = std::str::from_utf8(&token).map_err(|cause| {
            Error::internal("a JSON value is not text").with("column", name).because(cause)
        })?;
        tokens.append_option(column.is_valid(row).then_some(text));
    }
    Ok(tokens.finish())
}

/// Refuses NaN and infinities at any depth: JSON has no word for them, and null is another value.
fn check_finite(name: &str, column: &ArrayRef) -> Result<()> {
    let found = match column.data_type() {
        DataType::Float16 => not_finite(column.as_primitive::<Float16Type>()),
        DataType::Float32 => not_finite(column.as_primitive::<Float32Type>()),
        DataType::Float64 => not_finite(column.as_primitive::<Float64Type>()),
        data_type if data_type.is_nested() => {
            let parts = column.to_data();
            return parts
                .child_data()
                .iter()
                .try_for_each(|part| check_finite(name, &make_array(part.clone())));
        }
        _ => None,
    };
    match found {
        None => Ok(()),
        Some(value) => {
            let word = if value.is_nan() { "NaN" } else { "infinity" };
            Err(Error::new(ErrorKind::InvalidInput, format!("{word} cannot be written as JSON"))
                .with("column", name)
                .hint("replace it by null, or choose csv or parquet"))
        }
    }
}

fn not_finite<T: ArrowPrimitiveType<Native: Into<f64>>>(values: &PrimitiveArray<T>) -> Option<f64> {
    values.iter().flatten().map(Into::into).find(|value: &f64| !value.is_finite())
}
