//! New Parquet files.

use std::fs::File;
use std::io::Write;

use crate::table::parquet::Encoder;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::basic::{BrotliLevel, Compression as Codec, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use crate::client::file::Sink;
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::Matcher;
use crate::core::options::{Compression, WriteOptions};
use crate::core::report::WorkCounts;
use crate::core::schema::{check_names, type_name};
use crate::error::{Error, ErrorKind, Result};
use crate::table::fit::Fit;
use crate::table::parquet::rewrite::MARK;
use crate::table::{Change, StoredFile};

/// Rows in a row group of a file that an upsert creates.
pub(crate) const GROUP_ROWS: usize = 256 * 1024;

/// Writes batches as one Parquet file; gives the number of rows.
pub(crate) fn write(
    session: &Session,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    options: &WriteOptions,
    out: &mut File,
) -> Result<u64> {
    check_names(schema)?;
    check_types(schema)?;
    let properties = properties(options.compression.unwrap_or_default())?
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .build();
    let mut writer = Encoder::create(again(out)?, schema, properties)?;
    for batch in batches {
        session.check()?;
        writer.write(&batch?)?;
    }
    writer.finish()
}

fn again(out: &File) -> Result<File> {
    out.try_clone().map_err(|cause| Error::io("cannot open the new file", cause))
}

/// A new file that is one of many.
pub(crate) struct NewPart(Encoder<File>);

impl NewPart {
    /// Starts it, with a mark that [`mark_of`](super::mark_of) finds again.
    ///
    /// # Errors
    ///
    /// `Unsupported` for columns that Parquet cannot hold, `Io`.
    pub(crate) fn start(
        schema: &SchemaRef,
        properties: WriterPropertiesBuilder,
        row_group_rows: usize,
        mark: &str,
        out: &File,
    ) -> Result<Self> {
        check_types(schema)?;
        let properties = properties
            .set_max_row_group_row_count(Some(row_group_rows))
            .set_key_value_metadata(Some(vec![KeyValue::new(MARK.to_owned(), mark.to_owned())]))
            .build();
        Encoder::create(again(out)?, schema, properties).map(Self)
    }

    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.0.write(rows)
    }

    /// Bytes so far, about.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn finish(self) -> Result<()> {
        self.0.finish().map(drop)
    }
}

/// Refuses a type at which the encoder would panic.
fn check_types(schema: &SchemaRef) -> Result<()> {
    let unions = schema.fields().iter().find(|field| has_union(field.data_type()));
    unions.map_or(Ok(()), |field| {
        Err(Error::new(ErrorKind::Unsupported, "Parquet cannot hold a column of this type")
            .with("column", field.name())
            .with("type", type_name(field.data_type()))
            .hint("leave it out with --columns, or write Arrow"))
    })
}

fn has_union(data_type: &DataType) -> bool {
    use DataType as D;
    match data_type {
        D::Union(..) => true,
        D::List(item) | D::LargeList(item) | D::ListView(item) | D::LargeListView(item) => {
            has_union(item.data_type())
        }
        D::FixedSizeList(item, _) | D::Map(item, _) => has_union(item.data_type()),
        D::Struct(fields) => fields.iter().any(|field| has_union(field.data_type())),
        D::Dictionary(_, values) => has_union(values),
        D::RunEndEncoded(_, values) => has_union(values.data_type()),
        _ => false,
    }
}

pub(crate) fn unwritable(cause: ParquetError) -> Error {
    match cause {
        ParquetError::NYI(_) | ParquetError::ArrowError(_) => {
            Error::new(ErrorKind::Unsupported, "these columns cannot be written as Parquet").because(cause)
        }
        _ => Error::new(ErrorKind::Io, "cannot write the Parquet file")
            .hint("nothing was changed; is there room on the disk?")
            .because(cause),
    }
}

pub(crate) fn properties(compression: Compression) -> Result<WriterPropertiesBuilder> {
    let wrong = |cause: ParquetError| {
        Error::new(ErrorKind::Usage, "this level of compression does not exist").because(cause)
    };
    let codec = match compression {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Snappy => Codec::SNAPPY,
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(level).map_err(wrong)?),
        Compression::Gzip(level) => Codec::GZIP(GzipLevel::try_new(level).map_err(wrong)?),
        Compression::Brotli(level) => Codec::BROTLI(BrotliLevel::try_new(level).map_err(wrong)?),
    };
    let created_by = concat!("keyfold version ", env!("CARGO_PKG_VERSION"));
    Ok(WriterProperties::builder().set_compression(codec).set_created_by(created_by.to_owned()))
}

/// A Parquet file that does not exist yet: it has the incoming columns and no rows.
#[derive(Debug)]
pub(crate) struct NewParquet {
    schema: SchemaRef,
    compression: Compression,
}

impl NewParquet {
    pub(crate) fn new(schema: SchemaRef, compression: Compression) -> Self {
        Self { schema, compression }
    }
}

impl StoredFile for NewParquet {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn fit(
        &mut self,
        schema: &SchemaRef,
        incoming: Vec<RecordBatch>,
        _: &MergeRule,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        Ok((SchemaRef::clone(schema), incoming))
    }

    fn fit_each(&self, schema: &Schema) -> Result<Option<Fit>> {
        Fit::new(&self.schema, schema).map(Some)
    }

    fn find(&mut self, _: &Session, _: &mut Matcher<'_>, _: &mut WorkCounts) -> Result<u64> {
        Ok(0)
    }

    fn rewrite(
        &mut self,
        session: &Session,
        change: &Change<'_>,
        out: &mut Sink<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        // Nothing is stored, so every settled row is inserted.
        let options = WriteOptions {
            compression: Some(self.compression),
            row_group_rows: GROUP_ROWS,
            ..WriteOptions::default()
        };
        let rows = change.outcome.inserted.chunks(change.rows.chunk()?);
        let batches = rows.map(|rows| change.rows.take(rows.iter().copied()));
        let out = out.file();
        write(session, &change.rows.schema(), batches, &options, out)?;
        out.flush().map_err(|cause| Error::io("cannot write the new file", cause))?;
        work.bytes_written = out.metadata().ok().map(|metadata| metadata.len());
        Ok(())
    }
}
