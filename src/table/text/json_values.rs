//! Values of any type as JSON that is looked at, not stored: nothing is refused for want of a word.

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::cells::{plain, tokens};
use super::ndjson;
use crate::core::text::print;
use crate::error::{Error, Result};

/// The values as JSON: null for NaN and infinities, a string for what has no form of its own.
///
/// # Errors
///
/// `Internal` for a type whose values cannot be shown.
pub(crate) fn json_tokens(column: &ArrayRef) -> Result<Vec<String>> {
    let column = &plain(column)?;
    let data_type = column.data_type();
    let token = |row: usize, texts: &StringArray, is_bare: bool| match texts.is_valid(row) {
        false => "null".to_owned(),
        true if is_bare => texts.value(row).to_owned(),
        true => quoted(texts.value(row)),
    };
    let all =
        |texts: &StringArray, is_bare| (0..column.len()).map(|row| token(row, texts, is_bare)).collect();
    if data_type.is_nested() {
        return tokens("", column).map_or_else(|_| shown(column), |texts| Ok(all(&texts, true)));
    }
    let is_bare = data_type.is_numeric() || *data_type == DataType::Boolean;
    let Ok(texts) = print(column) else { return shown(column) };
    let mut values: Vec<String> = all(&texts, is_bare);
    if data_type.is_floating() {
        let is_finite = |value: &str| value.parse().is_ok_and(f64::is_finite);
        values.iter_mut().filter(|value| !is_finite(value)).for_each(|value| "null".clone_into(value));
    }
    Ok(values)
}

/// As a table shows them.
fn shown(column: &ArrayRef) -> Result<Vec<String>> {
    let unprintable = |cause| Error::internal("a value has no text").because(cause);
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(unprintable)?;
    let value = |row: usize| {
        if column.is_null(row) {
            return Ok("null".to_owned());
        }
        formatter.value(row).try_to_string().map(|text| quoted(&text)).map_err(unprintable)
    };
    (0..column.len()).map(value).collect()
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    ndjson::write_string(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Date32Array, Decimal128Array, Float64Array, Int64Array};

    use super::*;

    #[test]
    fn every_value_has_a_form() {
        let decimals = Decimal128Array::from(vec![Some(150), None]).with_precision_and_scale(30, 2);
        for (column, expected) in [
            (Arc::new(Int64Array::from(vec![Some(7), None])) as ArrayRef, ["7", "null"]),
            (Arc::new(Float64Array::from(vec![f64::NAN, 1.5])), ["null", "1.5"]),
            (Arc::new(decimals.expect("decimals")), ["1.50", "null"]),
            (Arc::new(StringArray::from(vec!["a\n\"", ""])), ["\"a\\n\\\"\"", "\"\""]),
            (Arc::new(Date32Array::from(vec![0, 1])), ["\"1970-01-01\"", "\"1970-01-02\""]),
            (Arc::new(BinaryArray::from_vec(vec![b"a", b"\xff"])), ["\"61\"", "\"ff\""]),
        ] {
            assert_eq!(json_tokens(&column).expect("values"), expected, "{column:?}");
        }
    }
}
