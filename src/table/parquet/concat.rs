//! Files of one layout put together: a file with the rows of all of them, as the first one is written, and one like it
//! without rows.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::datatypes::Schema;
use parquet::file::metadata::KeyValue;

use super::groups::Copying;
use super::rewrite::{MARK, widen};
use super::stored::{BATCH_ROWS, read_group};
use super::verify::verify;
use super::{Opened, layout, undecodable};
use crate::client::file::{Content, Sink};
use crate::client::session::Session;
use crate::error::{Error, Result};

/// What pandas leaves in a file about its index, which may differ with the number of rows.
const PANDAS: &str = "pandas";

/// Tells files that can be put together from others: all columns are described alike, and they have the same key-value
/// metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout(u64);

impl Layout {
    /// # Errors
    ///
    /// `Unsupported` for columns that can be read but not written again with the same type.
    pub(super) fn of(opened: &Opened) -> Result<Self> {
        let file = opened.metadata.metadata().file_metadata();
        layout::writable(file.schema_descr(), opened.schema())?;
        let pairs = file.key_value_metadata().into_iter().flatten();
        let counts =
            |pair: &&KeyValue| ![MARK, PANDAS, parquet::arrow::ARROW_SCHEMA_META_KEY].contains(&&*pair.key);
        let pairs: Vec<&KeyValue> = pairs.filter(counts).collect();
        let mut hasher = DefaultHasher::new();
        format!("{:?} {:?} {pairs:?}", file.schema_descr().root_schema(), opened.own.fields())
            .hash(&mut hasher);
        Ok(Self(hasher.finish()))
    }
}

/// Writes the rows of some files, of which there is one at least and which have one layout, into one with all `columns` of the
/// folder; gives their number.
///
/// # Errors
///
/// `InvalidData` if one cannot be decoded, `Io` if the new one cannot be written.
pub(crate) fn concat(
    session: &Session,
    mut files: impl Iterator<Item = Result<Content>>,
    columns: &Schema,
    mark: &str,
    out: &mut File,
) -> Result<u64> {
    let first = files.next().ok_or_else(|| Error::internal("no files are to be put together"))?;
    let first = Opened::new(first?)?.in_folder(columns);
    let layout = Layout::of(&first)?;
    let mut expected = first.rows();
    let mut sink = Sink::plain(out);
    session.progress().start(first.bytes());
    let mut writer = Copying::new(session, &first, Some(mark), &mut sink)?;
    writer.expect(1);
    for group in 0..first.metadata.metadata().num_row_groups() {
        writer.pass(group)?;
    }
    for file in files {
        let file = Opened::new(file?)?;
        if Layout::of(&file)? != layout {
            return Err(Error::internal("files of several layouts are to be put together"));
        }
        expected += file.rows();
        for group in 0..file.metadata.metadata().num_row_groups() {
            for batch in read_group(&file, group, BATCH_ROWS)? {
                session.check()?;
                writer.append(&widen(&first.written, &batch.map_err(undecodable)?)?)?;
            }
        }
    }
    let written = writer.finish()?;
    if written.rows != expected {
        return Err(Error::internal("files that were put together have another number of rows"));
    }
    verify(&first, out, &written)?;
    Ok(written.rows)
}

/// Writes a file like another one with all `columns` of the folder, without its rows.
///
/// # Errors
///
/// As [`concat`].
pub(crate) fn emptied(
    session: &Session,
    file: Content,
    columns: &Schema,
    mark: &str,
    out: &mut File,
) -> Result<()> {
    let opened = Opened::new(file)?.in_folder(columns);
    let written = Copying::new(session, &opened, Some(mark), &mut Sink::plain(out))?.finish()?;
    verify(&opened, out, &written)
}
