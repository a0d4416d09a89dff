//! Arrow batches of another engine as a lazy frame that Polars can scan as often as it likes.

use std::fs::File;

use futures::StreamExt;
use polars::prelude as pl;
use polars::prelude::{IntoLazy, LazyFrame};

use super::{crossing, failed, ffi, run};
use crate::error::{Error, Result};
use crate::interfaces::BatchStream;
use crate::table::spill::{MEMORY_BYTES, SpillFile, Spilled};

/// Pulls a stream and makes a lazy frame of it.
///
/// # Errors
///
/// `Unsupported` for a column that cannot cross, before anything is pulled; whatever the stream fails
/// with; `Io` if it cannot be spilled.
pub(super) async fn lazy(stream: BatchStream) -> Result<LazyFrame> {
    let border = crossing::border_schema(&stream.schema())?;
    let own = border.clone();
    // Brought into border types before they are spilled: Polars' reader of IPC files has other rules.
    let batches = stream.map(move |batch| crossing::to_border(&batch?, &own));
    match Spilled::write(BatchStream::new(border, batches), MEMORY_BYTES).await? {
        Spilled::Memory(schema, batches) => run(move || Ok(ffi::data_frame(&schema, &batches)?.lazy())).await,
        Spilled::File(file) => run(move || scan(&file)).await,
    }
}

/// Scans a spilled file by an open handle. The plan holds the handle, so the file may lose its name at
/// once, and its space is free when the last plan is gone, whatever became of the process.
fn scan(file: &SpillFile) -> Result<LazyFrame> {
    let opened = File::open(file.path()).map_err(|cause| Error::io("cannot open a spilled file", cause))?;
    let sources = pl::ScanSources::Files([opened].into());
    LazyFrame::scan_ipc_sources(sources, pl::IpcScanOptions::default(), pl::UnifiedScanArgs::default())
        .map_err(failed)
}
