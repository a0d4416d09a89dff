//! Values of partition columns: as text in the log of a Delta table, as names of folders, and as columns of rows.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, take_record_batch};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::core::merge::ColumnPolicy;
use crate::core::merge::kernel::Pair;
use crate::core::schema::{find_column, type_name};
use crate::error::{Error, ErrorKind, Result};
use crate::table::Change;

/// The folder of rows without a value.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// The values of the partition columns, in their order, as the log has them.
pub(crate) type Values = Vec<Option<String>>;

/// Refuses a type whose values have no text in the log that everybody reads alike.
///
/// # Errors
///
/// `Unsupported` that names the column.
pub(crate) fn check_type(column: &str, data_type: &DataType) -> Result<()> {
    if !data_type.is_nested() && !data_type.is_binary() && *data_type != DataType::Null {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "a table cannot be partitioned by this column")
        .with("column", column)
        .with("type", type_name(data_type))
        .hint("partition by numbers, text, booleans, dates or timestamps"))
}

/// The value of a file as one row of the column; text that is empty stands for null.
///
/// # Errors
///
/// `InvalidData` if it is none of the column's type.
pub(crate) fn parse(column: &str, text: Option<&str>, data_type: &DataType) -> Result<ArrayRef> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(new_null_array(data_type, 1)) };
    check_type(column, data_type)?;
    let values: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&values, data_type, &options).map_err(|cause| {
        Error::new(ErrorKind::InvalidData, "a partition of the table has a value of another type")
            .with("column", column)
            .with("value", text)
            .because(cause)
    })
}

/// The texts of the values of a column.
///
/// # Errors
///
/// `InvalidInput` for empty text, which would come back as null.
pub(crate) fn texts(column: &str, values: &ArrayRef) -> Result<Values> {
    let options = FormatOptions::default()
        .with_date_format(Some("%Y-%m-%d"))
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"));
    let unprintable = |cause| Error::internal("a partition value has no text").because(cause);
    let formatter = ArrayFormatter::try_new(values, &options).map_err(unprintable)?;
    let text = |row: usize| {
        if values.is_null(row) {
            return Ok(None);
        }
        let text = formatter.value(row).try_to_string().map_err(unprintable)?;
        if text.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "a partition column cannot hold empty text")
                .with("column", column)
                .hint("it would be read back as null; use null, or another text"));
        }
        Ok(Some(text))
    };
    (0..values.len()).map(text).collect()
}

/// The folder of a partition, with a slash at its end; empty for a table without partitions.
pub(crate) fn folder(columns: &[String], values: &Values) -> String {
    let mut folder = String::new();
    for (column, value) in columns.iter().zip(values) {
        folder.push_str(&escaped(column));
        folder.push('=');
        folder.push_str(&value.as_deref().map_or_else(|| NULL_FOLDER.to_owned(), escaped));
        folder.push('/');
    }
    folder
}

/// Text as the name of a folder, as Hive escapes it, and whatever a store or a URL would treat in its own way.
fn escaped(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (place, letter) in text.char_indices() {
        let plain = letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '~') || !letter.is_ascii();
        // Two dots would be the folder above.
        if plain && !letter.is_control() || letter == '.' && place > 0 {
            name.push(letter);
        } else {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                // Writing to a string does not fail.
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    name
}

/// The rows of one partition.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) values: Values,
    pub(crate) rows: RecordBatch,
}

/// The values of the partition columns of every row; `otherwise` has those of columns that `rows` lacks.
///
/// # Errors
///
/// As [`texts`].
pub(crate) fn values_of_rows(
    rows: &RecordBatch,
    columns: &[String],
    otherwise: Option<&Values>,
) -> Result<Vec<Values>> {
    let mut values = vec![Vec::with_capacity(columns.len()); rows.num_rows()];
    for (place, column) in columns.iter().enumerate() {
        let found = match (rows.column_by_name(column), otherwise) {
            (Some(array), _) => texts(column, array)?,
            (None, Some(otherwise)) => vec![otherwise[place].clone(); rows.num_rows()],
            (None, None) => vec![None; rows.num_rows()],
        };
        for (row, value) in values.iter_mut().zip(found) {
            row.push(value);
        }
    }
    Ok(values)
}

/// The values of a file in the words that we use ourselves: others write `01` where we write `1`.
///
/// # Errors
///
/// `InvalidData` for a value that is none of its column's type.
pub(crate) fn normal(schema: &Schema, columns: &[String], values: &Values) -> Result<Values> {
    let value = |(column, value): (&String, &Option<String>)| {
        let place = find_column(schema, column, "partition column")?;
        let one = parse(column, value.as_deref(), schema.field(place).data_type())?;
        Ok(texts(column, &one)?.into_iter().next().flatten())
    };
    columns.iter().zip(values).map(value).collect()
}

/// The stored rows of a file, of which all have the values `own`, that an update takes to another partition, and the
/// values of that; in the order of `pairs`.
///
/// # Errors
///
/// As [`texts`].
pub(crate) fn leaving(
    columns: &[String],
    own: &Values,
    change: &Change<'_>,
    pairs: &[Pair],
) -> Result<Vec<(u64, Values)>> {
    let Change { rows: incoming, outcome } = change;
    let schema = incoming.schema();
    let mut leaving = Vec::new();
    for column in columns {
        if outcome.cells.is_flag(column) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a partition column cannot say that rows are deleted",
            )
            .with("column", column)
            .hint("name another column for soft deletes"));
        }
        if let policy @ (ColumnPolicy::Max | ColumnPolicy::Min) = outcome.cells.policy(column) {
            return Err(Error::new(ErrorKind::Unsupported, "a partition column cannot have this policy")
                .with("column", column)
                .with("policy", policy)
                .hint("let the incoming value count, or the stored one with insert-only or keep-if-null"));
        }
    }
    if !columns.iter().any(|column| schema.column_with_name(column).is_some()) {
        return Ok(leaving);
    }
    for pairs in pairs.chunks(incoming.chunk()?) {
        let rows = incoming.take(pairs.iter().map(|pair| pair.incoming))?;
        let mut values = values_of_rows(&rows, columns, Some(own))?;
        for (place, column) in columns.iter().enumerate() {
            let policy = outcome.cells.policy(column);
            let is_stamped = outcome.cells.is_stamped(column);
            for (pair, values) in pairs.iter().zip(values.iter_mut().map(|values| &mut values[place])) {
                if policy == ColumnPolicy::InsertOnly
                    || pair.is_stamp && !is_stamped
                    || policy == ColumnPolicy::KeepIfNull && values.is_none()
                {
                    values.clone_from(&own[place]);
                }
            }
        }
        let rows = pairs.iter().zip(values);
        let others = rows.filter(|(_, values)| values != own);
        leaving.extend(others.map(|(pair, values)| (pair.stored_row, values)));
    }
    Ok(leaving)
}

/// Rows by partition, in the order in which each is first seen; within one they keep theirs.
///
/// # Errors
///
/// As [`texts`].
pub(crate) fn split(rows: &RecordBatch, columns: &[String]) -> Result<Vec<Part>> {
    if columns.is_empty() {
        return Ok(vec![Part { values: Vec::new(), rows: rows.clone() }]);
    }
    for column in columns {
        find_column(rows.schema_ref(), column, "partition column")?;
    }
    let mut places: HashMap<Values, usize> = HashMap::new();
    let mut found: Vec<(Values, Vec<u32>)> = Vec::new();
    for (row, values) in (0..).zip(values_of_rows(rows, columns, None)?) {
        let place = *places.entry(values).or_insert_with_key(|values| {
            found.push((values.clone(), Vec::new()));
            found.len() - 1
        });
        found[place].1.push(row);
    }
    let part = |(values, rows_of_it): (Values, Vec<u32>)| {
        let rows = take_record_batch(rows, &UInt32Array::from(rows_of_it)).map_err(|cause| {
            Error::internal("the rows of a partition could not be gathered").because(cause)
        })?;
        Ok(Part { values, rows })
    };
    found.into_iter().map(part).collect()
}

/// Whether the text of a timestamp says its zone; without one, writers mean different things.
pub(crate) fn says_zone(text: &str) -> bool {
    text.ends_with('Z') || text.get(10..).is_some_and(|time| time.contains(['+', '-']))
}

/// Whether values of a type are instants in UTC.
pub(crate) fn is_instant(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(_)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Int32Array, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn values_come_back_from_their_text() {
        let decimal =
            Decimal128Array::from(vec![Some(-1_050), None]).with_precision_and_scale(10, 2).expect("fits");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![Some(-7), None])),
            Arc::new(StringArray::from(vec![Some("a b/ü=%"), None])),
            Arc::new(BooleanArray::from(vec![Some(true), None])),
            Arc::new(Date32Array::from(vec![Some(19_000), None])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None]).with_timezone("UTC")),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_600_000_000_123_456), None])),
            Arc::new(decimal),
        ];
        for column in columns {
            for (row, text) in texts("a", &column).expect("texts").iter().enumerate() {
                let value = parse("a", text.as_deref(), column.data_type()).expect("parses");
                assert_eq!(value.as_ref(), column.slice(row, 1).as_ref(), "{text:?}");
            }
        }
    }

    #[test]
    fn empty_text_is_refused() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![""]));
        assert_eq!(texts("a", &column).map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }

    #[test]
    fn folders_have_names_that_every_store_keeps() {
        let columns = ["a".to_owned(), "b".to_owned()];
        let values = vec![Some("x y/..%".to_owned()), None];
        assert_eq!(folder(&columns, &values), "a=x%20y%2F..%25/b=__HIVE_DEFAULT_PARTITION__/");
        assert_eq!(folder(&columns[..1], &vec![Some("..".to_owned())]), "a=%2E./");
        assert_eq!(folder(&[], &Vec::new()), "");
    }

    #[test]
    fn rows_are_split_by_value_and_keep_their_order() {
        let p: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(1), Some(2)]));
        let n: ArrayRef = Arc::new(Int32Array::from(vec![10, 11, 12, 13]));
        let rows = RecordBatch::try_from_iter_with_nullable([("p", p, true), ("n", n, true)]).expect("rows");
        let parts = split(&rows, &["p".to_owned()]).expect("splits");
        let found: Vec<_> = parts.iter().map(|part| (part.values[0].clone(), part.rows.num_rows())).collect();
        assert_eq!(found, [(Some("1".to_owned()), 2), (None, 1), (Some("2".to_owned()), 1)]);
    }
}
