//! Frames one after the other, as one: sources of several formats have the same columns, but each format has
//! its own types for them.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};

use crate::core::schema::type_name;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::common::{common_type, differ, to_common};
use crate::interfaces::{BatchStream, EngineFrame, Frame};

impl Frame {
    /// One frame after the other. All must have the same columns; the order of the first stands.
    ///
    /// Where types differ, every value is brought into a common one, exactly: numbers and times into the widest,
    /// and anything into text where one of the sources has text.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no frame, if columns differ, or if two types have no common one. A value that
    /// does not survive fails when it is pulled.
    pub async fn concat(mut frames: Vec<Self>) -> Result<Self> {
        if frames.len() == 1
            && let Some(only) = frames.pop()
        {
            return Ok(only);
        }
        let mut schemas = Vec::with_capacity(frames.len());
        for frame in &frames {
            schemas.push(frame.schema().await?);
        }
        let (schema, places) = line_up(&schemas)?;
        Ok(Self::new(ChainFrame { schema, parts: places.into_iter().zip(frames).collect() }))
    }
}

/// The columns of all schemas together, and where each of them stands in each schema.
fn line_up(schemas: &[SchemaRef]) -> Result<(SchemaRef, Vec<Vec<usize>>)> {
    let first = schemas
        .first()
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "there is no source").hint("name at least one"))?;
    let places = schemas
        .iter()
        .enumerate()
        .map(|(i, own)| same_columns(first, own).map_err(|error| error.with("source", i + 1)));
    let places = places.collect::<Result<Vec<_>>>()?;
    let column = |(index, field): (usize, &FieldRef)| {
        let all: Vec<&Field> =
            schemas.iter().zip(&places).map(|(own, place)| own.field(place[index])).collect();
        common_field(field, &all)
    };
    let fields = first.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    Ok((Arc::new(Schema::new_with_metadata(fields, first.metadata().clone())), places))
}

/// Where each column of `first` stands in `own`.
fn same_columns(first: &Schema, own: &Schema) -> Result<Vec<usize>> {
    if first.fields().len() != own.fields().len() {
        let names = |s: &Schema| s.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>().join(", ");
        return Err(differ("sources differ in their columns")
            .with("first", names(first))
            .with("this", names(own)));
    }
    let place = |field: &FieldRef| {
        let found = own.column_with_name(field.name()).map(|(index, _)| index);
        found.ok_or_else(|| differ("a source lacks a column").with("column", field.name()))
    };
    first.fields().iter().map(place).collect()
}

/// A column that `all` sources fit in; name and metadata are those of the first.
fn common_field(first: &Field, all: &[&Field]) -> Result<Field> {
    let types: Vec<DataType> = all.iter().map(|field| field.data_type().clone()).collect();
    let nullable = all.iter().any(|field| field.is_nullable());
    match common_type(&types) {
        Some(common) => Ok(first.clone().with_data_type(common).with_nullable(nullable)),
        None => Err(differ("sources differ in a type")
            .with("column", first.name())
            .with("types", types.iter().map(type_name).collect::<Vec<_>>().join(", "))),
    }
}

/// Frames one after the other, each with the place of every column of the whole in it.
#[derive(Debug)]
struct ChainFrame {
    schema: SchemaRef,
    parts: Vec<(Vec<usize>, Frame)>,
}

#[async_trait]
impl EngineFrame for ChainFrame {
    fn engine(&self) -> &'static str {
        self.parts.first().map_or("arrow", |(_, frame)| frame.engine())
    }

    async fn schema(&self) -> Result<SchemaRef> {
        Ok(SchemaRef::clone(&self.schema))
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        let schema = SchemaRef::clone(&self.schema);
        let batches = stream::iter((1..).zip(self.parts).map(Ok::<_, Error>))
            .and_then(move |(source, (places, frame))| {
                let schema = SchemaRef::clone(&schema);
                async move {
                    let rows = frame.into_arrow().await?;
                    let arrange = move |batch| arrange(&schema, &places, &batch?);
                    Ok(rows.map(arrange).map_err(move |error| error.with_missing("source", source)))
                }
            })
            .try_flatten();
        Ok(BatchStream::new(self.schema, batches))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn arrange(schema: &SchemaRef, places: &[usize], batch: &RecordBatch) -> Result<RecordBatch> {
    let columns =
        schema.fields().iter().zip(places).map(|(field, place)| to_common(batch.column(*place), field));
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns.collect::<Result<_>>()?, &rows)
        .map_err(|cause| Error::internal("sources changed their schema while they were read").because(cause))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn numbers(values: Vec<Option<i64>>) -> ArrayRef {
        Arc::new(Int64Array::from(values))
    }

    fn words(values: Vec<&str>) -> ArrayRef {
        Arc::new(StringArray::from(values))
    }

    async fn concat(batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
        let frames = batches.into_iter().map(Frame::from).collect();
        Frame::concat(frames).await?.into_arrow().await?.collect().await
    }

    #[tokio::test]
    async fn columns_of_one_type_only_change_places() {
        let (a, b) = (numbers(vec![Some(1)]), words(vec!["x"]));
        let first = batch(vec![("a", Arc::clone(&a)), ("b", Arc::clone(&b))]);
        let rows = concat(vec![first.clone(), batch(vec![("b", b), ("a", a)])]).await.unwrap();
        assert_eq!(rows, [first.clone(), first]);
    }

    #[tokio::test]
    async fn types_that_differ_meet_in_one_that_holds_them_and_nulls() {
        let small: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let first = batch(vec![("n", small), ("s", numbers(vec![Some(7)]))]);
        let second = batch(vec![("s", words(vec!["007"])), ("n", numbers(vec![None]))]);
        let rows = concat(vec![first, second]).await.unwrap();
        let expected = [(Some(1), "7"), (None, "007")];
        let expected = expected.map(|(n, s)| [("n", numbers(vec![n])), ("s", words(vec![s]))]);
        for (found, expected) in rows.iter().zip(expected) {
            for (name, column) in expected {
                assert_eq!(found[name].to_data(), column.to_data());
            }
        }
        assert!(rows[0].schema().field(0).is_nullable());
    }

    #[tokio::test]
    async fn what_does_not_go_together_is_refused_by_name() {
        let list: ArrayRef = Arc::new(arrow::array::ListArray::new_null(
            Arc::new(Field::new_list_field(DataType::Int8, true)),
            1,
        ));
        let with = |name, column| batch(vec![(name, column)]);
        for (second, message, context) in [
            (with("n", list), "sources differ in a type", "column: n, types: int64, list<int8>"),
            (with("m", numbers(vec![None])), "a source lacks a column", "column: n, source: 2"),
            (
                batch(vec![("n", numbers(vec![None])), ("m", numbers(vec![None]))]),
                "sources differ in their columns",
                "first: n, this: n, m, source: 2",
            ),
        ] {
            let error = concat(vec![with("n", numbers(vec![None])), second]).await.expect_err("refused");
            assert_eq!(error.to_string(), format!("{message} ({context})"));
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        assert!(concat(Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn a_value_that_does_not_survive_is_named_with_its_source() {
        let floats: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![0.5]));
        let odd = numbers(vec![Some((1 << 53) + 1)]);
        let error = concat(vec![batch(vec![("n", floats)]), batch(vec![("n", odd)])]).await.expect_err("odd");
        assert!(error.to_string().ends_with("value: 9007199254740993, source: 2)"), "{error}");
    }
}
