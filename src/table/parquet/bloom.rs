//! Row groups without an incoming id, told by bloom filters: ids that are scattered, as UUIDs are, lie between the bounds of
//! every row group.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::basic::Type as Physical;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;

use crate::core::merge::kernel::Incoming;
use crate::error::Result;
use crate::table::parquet::{Opened, own};

/// Of more ids one is in any filter by chance.
const MOST_IDS: usize = 256;

/// The id columns of incoming rows, as filters know values.
pub(super) struct Probes {
    rows: usize,
    columns: Vec<Column>,
}

struct Column {
    /// Its place among the columns of the file.
    leaf: usize,
    /// None for a null, which no filter knows.
    values: Vec<Option<Vec<u8>>>,
}

impl Probes {
    /// `None` if filters cannot tell.
    pub(super) fn new(opened: &Opened, incoming: &Incoming, ids: &[&String]) -> Option<Self> {
        let rows = incoming.batch().num_rows();
        if rows > MOST_IDS {
            return None;
        }
        let schema = opened.metadata.metadata().file_metadata().schema_descr();
        let groups = opened.metadata.metadata().row_groups();
        let column = |id: &&String| {
            let leaf = schema.columns().iter().position(|leaf| leaf.path().parts() == [id.as_str()])?;
            groups.iter().find(|group| is_worth_reading(group.column(leaf)))?;
            let stored = opened.schema().field_with_name(id).ok()?.data_type();
            let values = incoming.batch().column_by_name(id)?;
            let values = values_of(values, stored, schema.column(leaf).physical_type())?;
            Some(Column { leaf, values })
        };
        let columns: Vec<Column> = ids.iter().filter_map(column).collect();
        (!columns.is_empty()).then_some(Self { rows, columns })
    }

    /// Whether a row group could hold one of the rows.
    ///
    /// # Errors
    ///
    /// What the store fails with; a filter that cannot be read tells nothing.
    pub(super) fn may_be_in(&self, opened: &Opened, group: usize) -> Result<bool> {
        let mut possible = vec![true; self.rows];
        for Column { leaf, values } in &self.columns {
            let chunk = opened.metadata.metadata().row_group(group).column(*leaf);
            if let Some(filter) = filter(opened, chunk)? {
                for (possible, value) in possible.iter_mut().zip(values) {
                    *possible &= value.as_ref().is_none_or(|value| filter.check(value.as_slice()));
                }
            }
        }
        Ok(possible.contains(&true))
    }
}

/// Whether there is a filter that is smaller than what it may save.
fn is_worth_reading(chunk: &ColumnChunkMetaData) -> bool {
    let len = i64::from(chunk.bloom_filter_length().unwrap_or(0));
    chunk.bloom_filter_offset().is_some() && (0..chunk.compressed_size()).contains(&len)
}

fn filter(opened: &Opened, chunk: &ColumnChunkMetaData) -> Result<Option<Sbbf>> {
    if !is_worth_reading(chunk) {
        return Ok(None);
    }
    match Sbbf::read_from_column_chunk(chunk, &opened.chunks) {
        Ok(filter) => Ok(filter.filter(|filter| filter.num_blocks() > 0)),
        Err(cause) => match own(cause.into()) {
            Ok(error) => Err(error),
            Err(cause) => {
                tracing::debug!(%cause, "a bloom filter cannot be read");
                Ok(None)
            }
        },
    }
}

/// Values as the file stores them; `None` if it is not sure that a filter of the column knows them so.
fn values_of(values: &ArrayRef, stored: &DataType, physical: Physical) -> Option<Vec<Option<Vec<u8>>>> {
    use DataType as D;
    let kind = values.data_type();
    let all = 0..values.len();
    let bytes = |value: &dyn Fn(usize) -> Vec<u8>| {
        Some(all.map(|row| values.is_valid(row).then(|| value(row))).collect())
    };
    match (physical, kind) {
        (Physical::BYTE_ARRAY, D::Utf8) => {
            bytes(&|row| values.as_string::<i32>().value(row).as_bytes().to_vec())
        }
        (Physical::BYTE_ARRAY, D::LargeUtf8) => {
            bytes(&|row| values.as_string::<i64>().value(row).as_bytes().to_vec())
        }
        (Physical::BYTE_ARRAY, D::Utf8View) => {
            bytes(&|row| values.as_string_view().value(row).as_bytes().to_vec())
        }
        (Physical::BYTE_ARRAY, D::Binary) => bytes(&|row| values.as_binary::<i32>().value(row).to_vec()),
        (Physical::BYTE_ARRAY, D::LargeBinary) => bytes(&|row| values.as_binary::<i64>().value(row).to_vec()),
        (Physical::BYTE_ARRAY, D::BinaryView) => bytes(&|row| values.as_binary_view().value(row).to_vec()),
        (Physical::FIXED_LEN_BYTE_ARRAY, D::FixedSizeBinary(_)) if stored == kind => {
            bytes(&|row| values.as_fixed_size_binary().value(row).to_vec())
        }
        (Physical::INT32 | Physical::INT64, _) if stored == kind => numbers(values, physical),
        _ => None,
    }
}

/// Whole numbers, days and instants, as the number that stands for each.
fn numbers(values: &ArrayRef, physical: Physical) -> Option<Vec<Option<Vec<u8>>>> {
    use DataType as D;
    let is_short = match values.data_type() {
        D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 | D::Date32 => true,
        D::Int64 | D::Timestamp(..) => false,
        _ => return None,
    };
    match (physical, is_short) {
        (Physical::INT32, true) => {
            let numbers = cast(values, &D::Int32).ok()?;
            let bytes = |number: i32| number.to_le_bytes().to_vec();
            Some(numbers.as_primitive::<Int32Type>().iter().map(|number| number.map(bytes)).collect())
        }
        (Physical::INT64, false) => {
            let numbers = cast(values, &D::Int64).ok()?;
            let bytes = |number: i64| number.to_le_bytes().to_vec();
            Some(numbers.as_primitive::<Int64Type>().iter().map(|number| number.map(bytes)).collect())
        }
        _ => None,
    }
}
