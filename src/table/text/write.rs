//! New text files.

use std::fs::File;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::options::CsvOptions;
use crate::core::schema::check_names;
use crate::error::{Error, Result};
use crate::table::text::TextEncoder;

/// Bytes that are gathered before they are written.
const CHUNK: usize = 1 << 20;

/// Writes batches as one text file; gives the number of rows. `csv` has its delimiter resolved.
pub(crate) fn write(
    session: &Session,
    format: Format,
    csv: &CsvOptions,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    out: &mut File,
) -> Result<u64> {
    check_names(schema)?;
    let mut encoder = TextEncoder::new(format, schema, csv)?;
    let mut text = Vec::with_capacity(CHUNK);
    let failed = |cause| Error::io("cannot write the new file", cause);
    encoder.header(&mut text);
    let mut rows = 0;
    for batch in batches {
        session.check()?;
        let batch = batch?;
        encoder.encode(&batch, &mut text)?;
        rows += batch.num_rows() as u64;
        if text.len() >= CHUNK {
            out.write_all(&text).map_err(failed)?;
            text.clear();
        }
    }
    out.write_all(&text).map_err(failed)?;
    Ok(rows)
}
