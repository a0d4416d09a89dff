//! The columns of a file that is written anew: as the old footer describes them, as far as they can be
//! written that way.
//!
//! Parquet's writer trusts the description it is given: a decimal stored wider than it needs to be would
//! be written with values of another length than the column says, and a reader would see garbage. So
//! each leaf is compared with the one the writer itself would choose; a decimal takes on that one's
//! physical type (to readers it is the same decimal), and anything else that differs is refused.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor, Type, TypePtr};

use crate::error::{Error, ErrorKind, Result};
use crate::table::parquet::undecodable;

/// The description to write a file with whose footer says `stored` and whose rows have the Arrow types of
/// `schema`.
///
/// # Errors
///
/// `Unsupported` that names a column which could be read but not written again with the same type.
pub(super) fn writable(stored: &SchemaDescriptor, schema: &Schema) -> Result<SchemaDescriptor> {
    for column in stored.columns() {
        check_readable(column)?;
    }
    let own = ArrowSchemaConverter::new().convert(schema).map_err(undecodable)?;
    if own.num_columns() != stored.num_columns() {
        return Err(refused("the file has columns of a kind that cannot be written again", "", ""));
    }
    let mut leaves = stored.columns().iter().zip(own.columns());
    let root = rebuild(stored.root_schema_ptr().as_ref(), &mut |_| {
        let (stored, own) = leaves.next()?;
        Some(leaf(stored, own))
    })?;
    Ok(SchemaDescriptor::new(root))
}

/// Refuses leaves that already lose something when they are read.
fn check_readable(column: &ColumnDescriptor) -> Result<()> {
    let path = column.path().string();
    if column.physical_type() == Physical::INT96 {
        let hint = "write the file anew with timestamps in microseconds, then upsert";
        return Err(refused("the file has INT96 timestamps, a deprecated type", &path, hint));
    }
    if column.converted_type() == ConvertedType::INTERVAL {
        let hint = "write the file anew with the interval as integers, then upsert";
        return Err(refused("the file has intervals, which cannot be written again exactly", &path, hint));
    }
    Ok(())
}

fn refused(message: &'static str, column: &str, hint: &'static str) -> Error {
    let error = Error::new(ErrorKind::Unsupported, message);
    if column.is_empty() { error } else { error.with("column", column).hint(hint) }
}

/// The type to write a leaf with.
fn leaf(stored: &ColumnDescriptor, own: &ColumnDescriptor) -> Result<TypePtr> {
    let same = (stored.physical_type(), stored.max_def_level(), stored.max_rep_level())
        == (own.physical_type(), own.max_def_level(), own.max_rep_level())
        && (stored.physical_type() != Physical::FIXED_LEN_BYTE_ARRAY
            || stored.type_length() == own.type_length());
    if same {
        return Ok(stored.self_type_ptr());
    }
    let levels =
        (stored.max_def_level(), stored.max_rep_level()) == (own.max_def_level(), own.max_rep_level());
    let decimal = matches!(own.logical_type_ref(), Some(LogicalType::Decimal { .. }));
    if !levels || !decimal {
        let hint = "write the file anew with another type for this column, then upsert";
        return Err(refused(
            "a column cannot be written again as it is stored",
            &stored.path().string(),
            hint,
        ));
    }
    let (old, new) = (stored.self_type(), own.self_type());
    let info = old.get_basic_info();
    let length = if own.physical_type() == Physical::FIXED_LEN_BYTE_ARRAY { own.type_length() } else { -1 };
    let built = Type::primitive_type_builder(info.name(), own.physical_type())
        .with_repetition(info.repetition())
        .with_logical_type(new.get_basic_info().logical_type_ref().cloned())
        .with_converted_type(ConvertedType::DECIMAL)
        .with_length(length)
        .with_precision(own.type_precision())
        .with_scale(own.type_scale())
        .with_id(info.has_id().then(|| info.id()))
        .build();
    Ok(Arc::new(built.map_err(undecodable)?))
}

/// `node` with each leaf replaced by the next one that `leaf` gives.
fn rebuild(node: &Type, leaf: &mut dyn FnMut(&Type) -> Option<Result<TypePtr>>) -> Result<TypePtr> {
    let Type::GroupType { basic_info: info, fields } = node else {
        return leaf(node).unwrap_or_else(|| Err(Error::internal("a schema has more leaves than columns")));
    };
    let fields = fields.iter().map(|field| rebuild(field, leaf)).collect::<Result<Vec<_>>>()?;
    let mut builder = Type::group_type_builder(info.name()).with_fields(fields);
    if info.has_repetition() {
        builder = builder.with_repetition(info.repetition());
    }
    let built = builder
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_id(info.has_id().then(|| info.id()))
        .build();
    Ok(Arc::new(built.map_err(undecodable)?))
}

/// The schema with every dictionary as its values. A dictionary's key type limits how many values it
/// holds, and new rows bring new values.
pub(crate) fn plain(schema: &Schema) -> SchemaRef {
    map_dictionaries(schema, &|_, values| values.clone())
}

/// The schema with keys that hold any number of values: what the written file says it came from.
pub(super) fn widened(schema: &Schema) -> SchemaRef {
    map_dictionaries(schema, &|keys, values| {
        let keys = match keys {
            DataType::Int64 | DataType::UInt64 => keys.clone(),
            _ => DataType::Int32,
        };
        DataType::Dictionary(Box::new(keys), Box::new(values.clone()))
    })
}

/// The schema with INT96 columns as the timestamps that `table` has in their place.
pub(super) fn with_timestamps(schema: &SchemaRef, footer: &ParquetMetaData, table: &Schema) -> SchemaRef {
    let roots = footer.file_metadata().schema_descr().root_schema().get_fields();
    let field = |(field, root): (&FieldRef, &TypePtr)| {
        let old = root.is_primitive() && root.get_physical_type() == Physical::INT96;
        match table.field_with_name(field.name()).map(Field::data_type) {
            Ok(timestamp @ DataType::Timestamp(..)) if old => {
                Arc::new(Field::clone(field).with_data_type(timestamp.clone()))
            }
            _ => FieldRef::clone(field),
        }
    };
    let fields: Vec<FieldRef> = schema.fields().iter().zip(roots).map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

type Change<'a> = &'a dyn Fn(&DataType, &DataType) -> DataType;

fn map_dictionaries(schema: &Schema, change: Change<'_>) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(|field| map_field(field, change)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn map_field(field: &FieldRef, change: Change<'_>) -> FieldRef {
    let inner = |field: &FieldRef| map_field(field, change);
    let data_type = match field.data_type() {
        DataType::Dictionary(keys, values) => change(keys, values),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(inner(field), *size),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        _ => return FieldRef::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}
