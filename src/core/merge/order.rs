//! How two modification values compare: which version of a row is the newer one.
//!
//! Nulls are lowest, and a NaN counts as null. Text that holds ISO 8601 timestamps is compared as the
//! instants it names, text that holds numbers as those: `…:15.100Z` is after `…:15Z` and `10` after `9`,
//! though the text sorts before it.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch, StringArray};
use arrow::compute::{cast, nullif};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type, Schema};
use arrow::row::Rows;

use crate::core::merge::canonical::RowEncoder;
use crate::core::schema::{find_column, type_name};
use crate::core::text::{instant, number};
use crate::error::{Error, ErrorKind, Result};

/// Orders the values of one modification column; stored and incoming values get comparable rows.
#[derive(Debug)]
pub(crate) struct Order {
    column: String,
    reading: Reading,
    encoder: RowEncoder,
}

/// What a value of the column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The value itself; for text only if there was none to tell by.
    Value,
    /// Text, all of one kind.
    Text(Kind),
}

/// What a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A timestamp; with a zone, or without.
    Instant { zoned: bool },
    /// A number.
    Number,
    /// Something else, compared letter by letter.
    Words,
}

impl Kind {
    /// The kind of a text, and what it names in a form that has an order; 0 for words.
    fn of(text: &str) -> (Self, i128) {
        if let Some((at, zoned)) = instant(text) {
            return (Self::Instant { zoned }, at);
        }
        number(text).map_or((Self::Words, 0), |value| (Self::Number, value))
    }
}

/// Two texts in their order: that of what they name if both name an instant, or a number, else letter by letter.
pub(super) fn compare_texts(left: &str, right: &str) -> Ordering {
    match (Kind::of(left), Kind::of(right)) {
        ((own, left), (other, right)) if own == other && own != Kind::Words => left.cmp(&right),
        _ => left.cmp(right),
    }
}

/// The same of texts that have to be of one kind.
///
/// # Errors
///
/// `InvalidInput` if one of them names an instant, or a number, and the other does not.
pub(super) fn compare_alike(left: &str, right: &str) -> Result<Ordering> {
    match (Kind::of(left), Kind::of(right)) {
        ((Kind::Words, _), (Kind::Words, _)) => Ok(left.cmp(right)),
        ((own, left), (other, right)) if own == other => Ok(left.cmp(&right)),
        _ => Err(mixed(left)),
    }
}

impl Order {
    /// Learns from the incoming values how they are to be read, and orders them.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the column is missing, has no order, or mixes timestamps with other text.
    pub(crate) fn of(incoming: &RecordBatch, column: &str) -> Result<(Self, Rows)> {
        let index = find_column(&incoming.schema(), column, "modification column")?;
        let values = incoming.column(index);
        let reading = Reading::of(values).map_err(|e| e.with_missing("column", column))?;
        let data_type = match reading {
            Reading::Value | Reading::Text(Kind::Words) => values.data_type().clone(),
            Reading::Text(_) => NAMED,
        };
        if data_type.is_nested() {
            return Err(no_order(column).with("type", type_name(&data_type)));
        }
        let encoder = RowEncoder::new([(column, &data_type)])?;
        let order = Self { column: column.to_owned(), reading, encoder };
        let rows = order.rows(incoming)?;
        Ok((order, rows))
    }

    /// The column it orders by.
    pub(crate) fn column(&self) -> &str {
        &self.column
    }

    /// Comparable rows for the column's values in `batch`.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        let index = find_column(&batch.schema(), &self.column, "modification column")?;
        self.ranks(batch.column(index))
    }

    /// Comparable rows for these values.
    pub(crate) fn ranks(&self, values: &ArrayRef) -> Result<Rows> {
        let values = match self.reading {
            Reading::Value => nan_to_null(values)?,
            Reading::Text(kind) => named(values, kind).map_err(|e| e.with_missing("column", &self.column))?,
        };
        self.encoder.encode(&[values])
    }

    /// The row of `batch`, of which these are the ranks, that has the greatest value, with no other column; none if it has no rows.
    pub(crate) fn latest(&self, batch: &RecordBatch, ranks: &Rows) -> Result<RecordBatch> {
        let index = find_column(&batch.schema(), &self.column, "modification column")?;
        let row = (0..batch.num_rows()).max_by(|a, b| ranks.row(*a).cmp(&ranks.row(*b)));
        let one =
            batch.project(&[index]).map(|column| column.slice(row.unwrap_or(0), usize::from(row.is_some())));
        one.map_err(|cause| {
            Error::internal("the greatest modification value could not be told").because(cause)
        })
    }

    /// Checks that a stored table has the column.
    pub(crate) fn check_stored(&self, stored: &Schema) -> Result<()> {
        find_column(stored, &self.column, "modification column").map(|_| ())
    }
}

/// How many values are lower than all others: nulls, and what counts as one.
///
/// # Errors
///
/// `Internal` if they cannot be told.
pub(crate) fn lowest(values: &ArrayRef) -> Result<usize> {
    nan_to_null(values).map(|values| values.logical_null_count())
}

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// Nanoseconds or scaled numbers, in a type that holds every year and every digit.
const NAMED: DataType = DataType::Decimal128(38, 0);

impl Reading {
    fn of(values: &ArrayRef) -> Result<Self> {
        let Some(texts) = as_text(values)? else { return Ok(Self::Value) };
        let mut reading = None;
        for text in texts.iter().flatten() {
            let (kind, _) = Kind::of(text);
            if *reading.get_or_insert(kind) != kind {
                return Err(mixed(text));
            }
        }
        Ok(reading.map_or(Self::Value, Self::Text))
    }
}

/// The refusal of a modification column whose values are lists or objects.
pub(crate) fn no_order(column: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, "the modification column has no order")
        .with("column", column)
        .hint("name a column of numbers, text, dates or timestamps")
}

/// The refusal of modification values of which `text` is of another kind than those before.
pub(crate) fn mixed(text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, "modification values are not all of one kind")
        .with("value", text)
        .hint(
            "all must be timestamps with a zone, all timestamps without one, all numbers, or all other text",
        )
}

/// The column as text, if that is what it is (dictionaries of text included).
pub(super) fn as_text(values: &ArrayRef) -> Result<Option<StringArray>> {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let text = match values.data_type() {
        DataType::Dictionary(_, inner) => is_text(inner),
        other => is_text(other),
    };
    if !text {
        return Ok(None);
    }
    let texts = cast(values, &DataType::Utf8)
        .map_err(|cause| Error::internal("text could not be read as text").because(cause))?;
    Ok(Some(texts.as_string::<i32>().clone()))
}

/// What the texts name, which must all be of one kind; words as they are.
fn named(values: &ArrayRef, kind: Kind) -> Result<ArrayRef> {
    let Some(texts) = as_text(values)? else {
        return Err(Error::internal("a modification column changed its type"));
    };
    let mut names = Vec::with_capacity(texts.len());
    for text in &texts {
        let name = text.map(|text| (text, Kind::of(text)));
        match name {
            Some((text, (this, _))) if this != kind => return Err(mixed(text)),
            name => names.push(name.map(|(_, (_, value))| value)),
        }
    }
    if kind == Kind::Words {
        return Ok(ArrayRef::clone(values));
    }
    let array = Decimal128Array::from(names)
        .with_precision_and_scale(38, 0)
        .map_err(|cause| Error::internal("values could not be held").because(cause))?;
    Ok(Arc::new(array))
}

/// The values with nulls in the place of NaN.
pub(crate) fn nan_to_null(values: &ArrayRef) -> Result<ArrayRef> {
    let is_nan = match values.data_type() {
        DataType::Float16 => {
            values.as_primitive::<Float16Type>().iter().map(|v| v.map(Half::is_nan)).collect()
        }
        DataType::Float32 => {
            values.as_primitive::<Float32Type>().iter().map(|v| v.map(f32::is_nan)).collect()
        }
        DataType::Float64 => {
            values.as_primitive::<Float64Type>().iter().map(|v| v.map(f64::is_nan)).collect()
        }
        _ => return Ok(ArrayRef::clone(values)),
    };
    nullif(values, &is_nan).map_err(|cause| Error::internal("NaN could not be set to null").because(cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Float64Array;

    fn batch(values: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("at", values)]).expect("a batch")
    }

    fn texts(values: &[Option<&str>]) -> RecordBatch {
        batch(Arc::new(StringArray::from(values.to_vec())))
    }

    #[test]
    fn instants_in_text_compare_as_instants() {
        let values = texts(&[
            Some("2021-05-22T02:51:15Z"),
            Some("2021-05-22T02:51:15.100Z"),
            Some("2021-05-22T04:51:15.050+02:00"),
            None,
        ]);
        let (_, rows) = Order::of(&values, "at").expect("ordered");
        assert!(rows.row(0) < rows.row(2) && rows.row(2) < rows.row(1));
        assert!(rows.row(3) < rows.row(0));
    }

    #[test]
    fn numbers_in_text_compare_as_numbers_and_other_text_as_text() {
        let numbers = ["10", "9", "-1.5", "99999999999999999999", "100000000000000000000"].map(Some);
        let (_, rows) = Order::of(&texts(&numbers), "at").expect("ordered");
        assert!(rows.row(2) < rows.row(1) && rows.row(1) < rows.row(0));
        assert!(rows.row(0) < rows.row(3) && rows.row(3) < rows.row(4));
        let (_, rows) = Order::of(&texts(&[Some("v10"), Some("v9")]), "at").expect("ordered");
        assert!(rows.row(0) < rows.row(1));
        assert!(Order::of(&texts(&[Some("10"), Some("N/A")]), "at").is_err());
        let (order, _) = Order::of(&texts(&[Some("10")]), "at").expect("ordered");
        assert!(order.rows(&texts(&[Some("N/A")])).is_err());
    }

    #[test]
    fn a_mix_of_timestamps_and_other_text_is_refused() {
        let error =
            Order::of(&texts(&[Some("2021-05-22T02:51:15Z"), Some("yesterday")]), "at").expect_err("mixed");
        assert!(error.to_string().contains("yesterday"), "{error}");
        let zones = texts(&[Some("2021-05-22T02:51:15Z"), Some("2021-05-22T02:51:15")]);
        assert!(Order::of(&zones, "at").is_err());
        let (order, _) = Order::of(&texts(&[Some("2021-05-22T02:51:15Z")]), "at").expect("ordered");
        assert!(order.rows(&texts(&[Some("yesterday")])).is_err());
        let (order, _) = Order::of(&texts(&[Some("yesterday")]), "at").expect("ordered");
        assert!(order.rows(&texts(&[Some("2021-05-22T02:51:15Z")])).is_err());
        let (order, _) = Order::of(&texts(&[None]), "at").expect("ordered");
        assert!(order.rows(&texts(&[Some("2021-05-22T02:51:15Z")])).is_ok());
    }

    #[test]
    fn nan_counts_as_null() {
        let values = batch(Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(f64::NEG_INFINITY)])));
        let (_, rows) = Order::of(&values, "at").expect("ordered");
        assert_eq!(rows.row(0), rows.row(1));
        assert!(rows.row(0) < rows.row(2));
    }
}
