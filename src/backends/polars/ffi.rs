//! Arrays between `arrow` and `polars-arrow` without a copy, over the Arrow C data interface.
//!
//! The two crates lay out memory alike but share no types. Both can hand an array out, and take one
//! in, as the C structure `ArrowArray`; all that is unsafe is to tell the compiler that the two Rust
//! definitions of it are the same. Types do not cross that way: [`super::crossing`] says them, so that
//! field metadata and extension names never reach Polars.
#![allow(
    unsafe_code,
    reason = "the C data interface is a contract between two crates that only unsafe code can assert"
)]

use std::mem::{align_of, size_of, transmute};

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ffi::{FFI_ArrowArray, from_ffi_and_data_type};
use polars::prelude as pl;
use polars::prelude::CompatLevel;
use polars_arrow::ffi as pa;

use super::{bring, crossing, failed};
use crate::error::{Error, ErrorKind, Result};

const _: () = assert!(size_of::<FFI_ArrowArray>() == size_of::<pa::ArrowArray>());
const _: () = assert!(align_of::<FFI_ArrowArray>() == align_of::<pa::ArrowArray>());

/// Makes a frame of batches that all have `schema`; buffers are shared where the table of crossings
/// says so.
///
/// # Errors
///
/// `Unsupported` that names the column that cannot cross.
pub(super) fn data_frame(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<pl::DataFrame> {
    let border = crossing::border_schema(schema)?;
    let mut frame = empty(&border)?;
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        let part = one_batch(&bring::to_border(batch, &border)?)?;
        if frame.height() == 0 {
            frame = part;
        } else {
            frame.vstack_mut_owned(part).map_err(failed)?;
        }
    }
    Ok(frame)
}

fn empty(border: &SchemaRef) -> Result<pl::DataFrame> {
    let columns: Result<Vec<_>> = border
        .fields()
        .iter()
        .map(|field| {
            let dtype = crossing::polars_type(field.data_type())?;
            Ok(pl::Series::new_empty(field.name().into(), &dtype).into())
        })
        .collect();
    pl::DataFrame::new(0, columns?).map_err(failed)
}

fn one_batch(batch: &RecordBatch) -> Result<pl::DataFrame> {
    let columns: Result<Vec<pl::Column>> = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| Ok(series(field.name(), array)?.into()))
        .collect();
    pl::DataFrame::new(batch.num_rows(), columns?).map_err(failed)
}

/// Hands an array of a border type to Polars.
///
/// # Errors
///
/// `Internal` for an array of another type.
pub(super) fn series(name: &str, array: &ArrayRef) -> Result<pl::Series> {
    let dtype = crossing::polars_type(array.data_type())?;
    // Polars and Arrow differ in what the buffers of an array of no rows are.
    if array.is_empty() {
        return Ok(pl::Series::new_empty(name.into(), &dtype));
    }
    let physical = dtype.to_physical().to_arrow(CompatLevel::newest());
    let exported = FFI_ArrowArray::new(&array.to_data());
    // SAFETY: both types are the `ArrowArray` of the C data interface, `repr(C)`, of one size and
    // alignment (asserted above). It is moved: `transmute` runs no destructor, so it is released once.
    let exported = unsafe { transmute::<FFI_ArrowArray, pa::ArrowArray>(exported) };
    // SAFETY: `exported` is a valid array that owns its buffers. `physical` has its layout: it is made
    // from the array's own type by `polars_type`, which maps each type to one of the same buffers and
    // children, and fails for any that it does not list.
    let chunk = unsafe { pa::import_array_from_c(exported, physical) }.map_err(failed)?;
    pl::Series::from_chunk_and_dtype(name.into(), chunk, &dtype).map_err(failed)
}

/// Makes batches of a frame whose Arrow schema is `schema`, one for each of its chunks; buffers are
/// shared.
///
/// # Errors
///
/// `Engine` if the frame does not have the types that were announced.
pub(super) fn record_batches(mut frame: pl::DataFrame, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    frame.align_chunks();
    let mut batches = Vec::with_capacity(frame.first_col_n_chunks());
    for chunk in frame.iter_chunks(CompatLevel::newest(), false) {
        let rows = chunk.len();
        if chunk.arrays().len() != schema.fields().len() {
            return Err(changed("the frame", &format!("{} columns", chunk.arrays().len())));
        }
        let columns: Result<Vec<_>> = chunk
            .into_arrays()
            .into_iter()
            .zip(schema.fields())
            .map(|(array, field)| arrow_array(field.name(), array, field.data_type()))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns?, &options);
        batches.push(batch.map_err(|cause| changed("the frame", "another shape").because(cause))?);
    }
    Ok(batches)
}

/// Takes an array from Polars as the border type `data_type`.
fn arrow_array(
    column: &str,
    array: Box<dyn polars_arrow::array::Array>,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let announced = crossing::polars_type(data_type)?.to_arrow(CompatLevel::newest());
    if *array.dtype() != announced {
        return Err(changed(column, &format!("{:?}", array.dtype())));
    }
    if array.is_empty() {
        return Ok(arrow::array::new_null_array(data_type, array.len()));
    }
    let exported = pa::export_array_to_c(array);
    // SAFETY: as in `series`, the other way round.
    let mut exported = unsafe { transmute::<pa::ArrowArray, FFI_ArrowArray>(exported) };
    without_null_buffers(&mut exported, data_type);
    // SAFETY: `exported` is a valid array that owns its buffers, of the Polars type that was just
    // compared; `polars_type` maps each Arrow type to one of the same layout.
    let data = unsafe { from_ffi_and_data_type(exported, data_type.clone()) }
        .map_err(|cause| changed(column, "another layout").because(cause))?;
    Ok(make_array(data))
}

/// Polars hands out arrays of nulls with one buffer that is absent; Arrow takes them with none.
fn without_null_buffers(array: &mut FFI_ArrowArray, data_type: &DataType) {
    let children: Vec<&DataType> = match data_type {
        DataType::Null => {
            array.n_buffers = 0;
            return;
        }
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => vec![item.data_type()],
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        _ => return,
    };
    for (i, data_type) in children.into_iter().take(array.num_children()).enumerate() {
        // SAFETY: `children` points to `num_children` pointers, each to an array that this one owns and
        // nobody else looks at; `i` is below that number.
        let child = unsafe { &mut **array.children.add(i) };
        without_null_buffers(child, data_type);
    }
}

fn changed(column: &str, found: &str) -> Error {
    Error::new(ErrorKind::Engine, "polars gave other types than it had announced")
        .with("column", column)
        .with("found", found)
        .hint("cast the column to the type it is to have, as the last step of the frame")
}

#[cfg(test)]
mod tests;
