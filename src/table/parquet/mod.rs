//! Parquet files at rest: footers, key columns, pruning by statistics, and rewriting.

mod as_bytes;
mod bloom;
mod chunks;
mod columns;
mod concat;
mod encoder;
mod find;
mod folding;
mod groups;
mod in_place;
mod layout;
mod like;
mod more;
mod pages;
mod prune;
mod rewrite;
mod scan;
mod shape;
mod stored;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use crate::client::file::{Content, DataFile};
use crate::error::{Error, ErrorKind, Result};
use chunks::Chunks;

pub(crate) use concat::{Layout, concat, emptied};
pub(crate) use encoder::Encoder;
pub(crate) use in_place::Witness;
pub(crate) use layout::plain;
pub(crate) use more::{behind, readable};
pub(crate) use prune::is_decodable;
pub(crate) use rewrite::{
    Folded, PartChange, append, check_missing, lacks_required, mark_of, rewrite_part, widen,
};
pub(crate) use scan::Scan;
pub(crate) use shape::Shape;
pub(crate) use stored::ParquetFile;
pub(crate) use writer::{FileLayout, NewParquet, NewPart, Ways, unwritable, write};

/// A footer, and the file behind it.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) chunks: Chunks,
    /// The footer; dictionary columns are read as their values.
    pub(crate) metadata: ArrowReaderMetadata,
    /// The columns as the file itself says, dictionaries included.
    own: SchemaRef,
    /// The columns of what is written like it: those of [`Opened::schema`], and behind them those that it has not yet.
    written: SchemaRef,
}

impl Opened {
    /// Reads the footer.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it is not a whole Parquet file.
    pub(crate) fn new(content: Content) -> Result<Self> {
        Self::with_types(content, |own, _| layout::plain(own))
    }

    /// The same for a file of a table with the columns of `table`: old timestamps that say neither unit nor zone
    /// (INT96) are read as the table has them.
    ///
    /// # Errors
    ///
    /// As [`Opened::new`].
    pub(crate) fn of_table(content: Content, table: &SchemaRef) -> Result<Self> {
        Self::with_types(content, |own, footer| layout::with_timestamps(&layout::plain(own), footer, table))
    }

    fn with_types(
        content: Content,
        types: impl FnOnce(&SchemaRef, &ParquetMetaData) -> SchemaRef,
    ) -> Result<Self> {
        let chunks = Chunks::new(content).map_err(|cause| Error::io("cannot look at the file", cause))?;
        chunks.hold_footer()?;
        // With the offset index each page is read by its place; without it, headers are searched for.
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&chunks, options.clone()).map_err(unreadable)?;
        let own = SchemaRef::clone(metadata.schema());
        let plain = types(&own, metadata.metadata());
        if plain == own {
            return Ok(Self { chunks, metadata, written: SchemaRef::clone(&own), own });
        }
        let footer = Arc::clone(metadata.metadata());
        let metadata =
            ArrowReaderMetadata::try_new(footer, options.with_schema(plain)).map_err(unreadable)?;
        let written = SchemaRef::clone(metadata.schema());
        Ok(Self { chunks, metadata, own, written })
    }

    /// The same file; what is written like it has more columns, all of which it lacks.
    fn with_columns(mut self, columns: &[FieldRef]) -> Self {
        self.written = more::behind(&self.written, columns);
        self
    }

    /// The same file as part of a folder of such `columns`; what is written like it has those that it lacks.
    pub(super) fn in_folder(self, columns: &Schema) -> Self {
        let lacks = |field: &&FieldRef| self.schema().field_with_name(field.name()).is_err();
        let missing: Vec<FieldRef> = columns.fields().iter().filter(lacks).cloned().collect();
        self.with_columns(&missing)
    }

    /// The columns that what is written like it has, and it has not.
    fn added(&self) -> &[FieldRef] {
        &self.written.fields()[self.schema().fields().len()..]
    }

    /// The columns, dictionaries as their values.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Bytes of all row groups, as they are stored.
    fn bytes(&self) -> u64 {
        let groups = self.metadata.metadata().row_groups().iter();
        groups.map(|group| group.compressed_size().unsigned_abs()).sum()
    }

    /// Rows in all row groups, as the footer says.
    pub(crate) fn rows(&self) -> u64 {
        self.metadata.metadata().row_groups().iter().map(|group| group.num_rows().unsigned_abs()).sum()
    }
}

/// The columns of a file and its number of rows, from the footer alone.
pub(crate) fn describe(file: &DataFile) -> Result<(SchemaRef, u64)> {
    let opened = Opened::new(file.read()?).map_err(|e| e.with_missing("file", file.location()))?;
    Ok((SchemaRef::clone(&opened.own), opened.rows()))
}

fn unreadable(cause: ParquetError) -> Error {
    let cause = match own(cause.into()) {
        Ok(error) => return error,
        Err(cause) => cause,
    };
    Error::new(ErrorKind::InvalidData, "the file is not a whole Parquet file")
        .hint("it may be truncated, damaged, or of another format; restore it, or say its format")
        .because(cause)
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of keyfold's own that came through the reader: the store failed, not the file.
fn own(cause: Cause) -> Result<Error, Cause> {
    let inner = match cause.downcast::<ParquetError>() {
        Ok(cause) => match *cause {
            ParquetError::External(inner) => inner,
            other => return Err(other.into()),
        },
        Err(cause) => match cause.downcast::<ArrowError>() {
            Ok(cause) => match *cause {
                ArrowError::ExternalError(inner) => inner,
                other => return Err(other.into()),
            },
            Err(cause) => return Err(cause),
        },
    };
    inner.downcast::<Error>().map(|error| *error)
}

/// Data that its footer does not describe; says no file.
pub(crate) fn undecodable(cause: impl Into<Cause>) -> Error {
    let cause = match own(cause.into()) {
        Ok(error) => return error,
        Err(cause) => cause,
    };
    Error::new(ErrorKind::InvalidData, "the Parquet file cannot be decoded")
        .hint("the footer is whole but its data is damaged, or of a kind that is not supported")
        .because(cause)
}
