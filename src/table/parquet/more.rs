//! Columns that a file gets when it is written anew: behind its own, and without a value in the rows that stay.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use parquet::arrow::{
    ARROW_SCHEMA_META_KEY, ArrowSchemaConverter, encode_arrow_schema, parquet_to_arrow_schema,
};
use parquet::file::metadata::KeyValue;
use parquet::schema::types::{SchemaDescriptor, Type};

use super::writer::{check_types, unwritable};
use super::{layout, undecodable};
use crate::error::Result;

/// What Spark leaves in a file about its columns: of those that it does not name, Spark sees none.
pub(super) const SPARK: &str = "org.apache.spark.sql.parquet.row.metadata";

/// The columns as they will be read of a file that has them.
///
/// # Errors
///
/// `Unsupported` for a type that Parquet cannot hold.
pub(crate) fn readable(columns: &[FieldRef]) -> Result<Vec<FieldRef>> {
    let wanted = layout::plain(&Schema::new(columns.to_vec()));
    check_types(&wanted)?;
    let own = ArrowSchemaConverter::new().convert(&wanted).map_err(unwritable)?;
    let said = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&wanted));
    let read = parquet_to_arrow_schema(&own, Some(&vec![said])).map_err(unwritable)?;
    Ok(layout::plain(&read).fields().to_vec())
}

/// `schema` with more columns behind.
pub(crate) fn behind(schema: &SchemaRef, columns: &[FieldRef]) -> SchemaRef {
    if columns.is_empty() {
        return SchemaRef::clone(schema);
    }
    let fields: Vec<FieldRef> = schema.fields().iter().chain(columns).cloned().collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The same of a description in a footer.
pub(super) fn described(own: SchemaDescriptor, columns: &[FieldRef]) -> Result<SchemaDescriptor> {
    if columns.is_empty() {
        return Ok(own);
    }
    let more = ArrowSchemaConverter::new().convert(&Schema::new(columns.to_vec())).map_err(unwritable)?;
    let (own, more) = (own.root_schema(), more.root_schema());
    let fields = own.get_fields().iter().chain(more.get_fields()).cloned().collect();
    let root = Type::group_type_builder(own.name()).with_fields(fields).build().map_err(undecodable)?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}
