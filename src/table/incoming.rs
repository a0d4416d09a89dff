//! Incoming rows before anything else is done with them: their columns are renamed and set as the rule says.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, NullArray, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use futures::StreamExt;

use crate::core::merge::IncomingColumns;
use crate::core::predicate::{Assigned, Assignment, Literal};
use crate::core::schema::check_names;
use crate::core::text::{TextRules, float_keeps, instant, parse};
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;

/// The rows of `stream`, their columns renamed, then set. `now` is the time of the run.
///
/// # Errors
///
/// `InvalidInput` for a column that does not come in, and for two columns that would have one name; `Usage` for a number that
/// no type holds.
pub(super) fn renamed_and_set(
    stream: BatchStream,
    columns: &IncomingColumns,
    now: DateTime<Utc>,
) -> Result<BatchStream> {
    let own = stream.schema();
    // A text file without a single record names no columns.
    if columns.are_plain() || own.fields().is_empty() {
        return Ok(stream);
    }
    for (old, _) in &columns.renames {
        place_of(&own, old, columns, "the column to rename")?;
    }
    let shape = Shape { sets: Vec::new(), columns: columns.clone() };
    let renamed = Schema::new_with_metadata(shape.renamed(own.fields()), own.metadata().clone());
    check_names(&renamed)?;
    let set = |set: &Assignment| {
        let place = columns.case.find(&renamed, set.column());
        let name = place.map_or(set.column(), |place| renamed.field(place).name().as_str());
        let value = match set.value() {
            Assigned::Column(other) => {
                Value::Column(place_of(&renamed, other, columns, "the column to copy")?)
            }
            Assigned::Null => Value::Constant(Arc::new(NullArray::new(1))),
            Assigned::Now => {
                let now = TimestampMicrosecondArray::from(vec![now.timestamp_micros()]);
                Value::Constant(Arc::new(now.with_timezone("UTC")))
            }
            Assigned::Literal(literal) => Value::Constant(constant(literal, set.column())?),
        };
        Ok(Set { place, name: name.to_owned(), value })
    };
    let sets = columns.sets.iter().map(set).collect::<Result<_>>()?;
    let shape = Shape { sets, ..shape };
    let schema = shape.schema(&own);
    check_names(&schema)?;
    let batches = stream.map(move |batch| shape.batch(&batch?));
    Ok(BatchStream::new(schema, batches))
}

fn place_of(schema: &Schema, name: &str, columns: &IncomingColumns, role: &'static str) -> Result<usize> {
    columns.case.find(schema, name).ok_or_else(|| {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::new(ErrorKind::InvalidInput, format!("{role} does not come in"))
            .with("column", name)
            .hint(format!("incoming columns: {}", names.join(", ")))
    })
}

/// What incoming columns become.
#[derive(Debug)]
struct Shape {
    columns: IncomingColumns,
    sets: Vec<Set>,
}

/// A column that is set.
#[derive(Debug)]
struct Set {
    /// Where it stands, if it comes in.
    place: Option<usize>,
    name: String,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// The one value of every row.
    Constant(ArrayRef),
    /// Those of the column at this place.
    Column(usize),
}

impl Shape {
    fn renamed(&self, fields: &Fields) -> Vec<FieldRef> {
        let renamed = |field: &FieldRef| match self.columns.renamed(field.name()) {
            name if name == field.name() => Arc::clone(field),
            name => Arc::new(Field::clone(field).with_name(name)),
        };
        fields.iter().map(renamed).collect()
    }

    fn schema(&self, own: &Schema) -> SchemaRef {
        let renamed = self.renamed(own.fields());
        let mut fields = renamed.clone();
        for set in &self.sets {
            let field = match &set.value {
                Value::Column(from) => Field::clone(&renamed[*from]).with_name(&set.name),
                Value::Constant(value) => Field::new(&set.name, value.data_type().clone(), true),
            };
            match set.place {
                Some(place) => fields[place] = Arc::new(field),
                None => fields.push(Arc::new(field)),
            }
        }
        Arc::new(Schema::new_with_metadata(fields, own.metadata().clone()))
    }

    fn batch(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns = batch.columns().to_vec();
        for set in &self.sets {
            let values = match &set.value {
                Value::Column(from) => Arc::clone(batch.column(*from)),
                Value::Constant(value) if value.is_null(0) || value.data_type() == &DataType::Null => {
                    new_null_array(value.data_type(), rows)
                }
                Value::Constant(value) => {
                    take(value, &UInt32Array::from(vec![0; rows]), None).map_err(unset)?
                }
            };
            match set.place {
                Some(place) => columns[place] = values,
                None => columns.push(values),
            }
        }
        let counted = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema(&batch.schema()), columns, &counted).map_err(unset)
    }
}

fn unset(cause: ArrowError) -> Error {
    Error::internal("incoming columns could not be renamed and set").because(cause)
}

/// A literal as an array of one value, of a type that holds it exactly.
fn constant(literal: &Literal, column: &str) -> Result<ArrayRef> {
    let as_type = |text: &str, to: &DataType| {
        let texts = StringArray::from(vec![text]);
        parse(&texts, to, &TextRules::default()).map_err(|bad| {
            Error::new(ErrorKind::Usage, "no type holds this value")
                .with("column", column)
                .with("value", bad.value)
                .hint("write it as a text in single quotes: it is read as the stored type")
        })
    };
    match literal {
        Literal::Bool(value) => Ok(Arc::new(BooleanArray::from(vec![*value]))),
        Literal::Text(text) => Ok(Arc::new(StringArray::from(vec![text.as_str()]))),
        Literal::Number(digits) => match digits.parse::<i64>() {
            Ok(value) => Ok(Arc::new(Int64Array::from(vec![value]))),
            Err(_) if float_keeps(digits) => as_type(digits, &DataType::Float64),
            Err(_) => as_type(digits, &DataType::Decimal256(76, 0)),
        },
        Literal::Date(text) => as_type(text, &DataType::Date32),
        Literal::Timestamp(text) => {
            let zone = instant(text).is_some_and(|(_, zoned)| zoned).then(|| "UTC".into());
            let micros = as_type(text, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()));
            micros.or_else(|_| as_type(text, &DataType::Timestamp(TimeUnit::Nanosecond, zone)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::text::print;

    fn taken(columns: &IncomingColumns) -> Result<Vec<String>> {
        let names: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("a", names), ("B", numbers)]).expect("a batch");
        let stream = BatchStream::from_iter(batch.schema(), [Ok(batch)]);
        let now = DateTime::from_timestamp_micros(1_500_000).expect("a time");
        let stream = renamed_and_set(stream, columns, now)?;
        let schema = stream.schema();
        let batches = futures::executor::block_on(stream.collect())?;
        assert_eq!(batches[0].schema(), schema);
        let column = |(field, values): (&FieldRef, &ArrayRef)| {
            let texts = print(values.as_ref()).expect("prints");
            let texts: Vec<&str> = texts.iter().map(|text| text.unwrap_or("null")).collect();
            format!("{} {}", field.name(), texts.join(" "))
        };
        Ok(schema.fields().iter().zip(batches[0].columns()).map(column).collect())
    }

    fn set(text: &str) -> Assignment {
        text.parse().expect("an assignment")
    }

    #[test]
    fn names_are_changed_at_once_and_then_columns_are_set() {
        let plain = IncomingColumns::default;
        assert_eq!(
            taken(&plain().with_rename("a", "B").with_rename("B", "a")).expect("renamed"),
            ["B x y", "a 1 2"]
        );
        let columns = plain().with_rename("a", "c").with_set(set("B = c")).with_set(set("c = B"));
        assert_eq!(taken(&columns).expect("set"), ["c 1 2", "B x y"]);
        let literals = [
            "n = -7",
            "f = 1.5",
            "t = 'it''s'",
            "yes = TRUE",
            "e = NULL",
            "d = DATE '2021-05-22'",
            "z = TIMESTAMP '2021-05-22T02:00:00+02:00'",
            "l = TIMESTAMP '2021-05-22T02:00:00.000000001'",
            "now = now()",
        ];
        let columns = literals.iter().fold(plain(), |columns, text| columns.with_set(set(text)));
        assert_eq!(
            taken(&columns).expect("set")[2..],
            [
                "n -7 -7",
                "f 1.5 1.5",
                "t it's it's",
                "yes true true",
                "e null null",
                "d 2021-05-22 2021-05-22",
                "z 2021-05-22T00:00:00Z 2021-05-22T00:00:00Z",
                "l 2021-05-22T02:00:00.000000001 2021-05-22T02:00:00.000000001",
                "now 1970-01-01T00:00:01.500Z 1970-01-01T00:00:01.500Z",
            ]
        );
    }

    #[test]
    fn names_mean_what_they_are_like_where_case_is_folded() {
        let columns = IncomingColumns::default()
            .with_case(crate::core::merge::NameCase::Fold)
            .with_rename("A", "c")
            .with_set(set("b = C"));
        assert_eq!(taken(&columns).expect("set"), ["c x y", "B x y"]);
    }

    #[test]
    fn what_does_not_come_in_and_what_no_type_holds_is_refused() {
        let plain = IncomingColumns::default;
        for (columns, message) in [
            (plain().with_rename("A", "c"), "the column to rename does not come in"),
            (plain().with_set(set("c = b")), "the column to copy does not come in"),
            (plain().with_rename("a", "B"), "two columns have the same name"),
            (plain().with_set(set("A = 1")), "two columns differ only in case"),
            (plain().with_set(set("n = 0.12345678901234567891")), "no type holds this value"),
        ] {
            assert_eq!(taken(&columns).expect_err("refused").message(), message);
        }
    }
}
