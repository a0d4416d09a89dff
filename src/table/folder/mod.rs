//! Folders of Parquet files, flat or with partitions in the names of folders below: rows are folded into their files in
//! place, one file at a time, and a record beside the folder says what is still to be done if a run dies half-way.

mod control;
mod draft;
mod files;
mod names;
mod new_parts;
mod optimize;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod upsert;
mod write;

pub(crate) use files::Folder;
pub(crate) use names::is_folder;
pub(crate) use optimize::optimize;
pub(crate) use reader::view;
pub(super) use upsert::FolderTarget;
pub(super) use write::write_stream;
