//! New Parquet files.

use std::fs::File;
use std::io::Write;

use crate::table::parquet::Encoder;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use parquet::basic::{BrotliLevel, Compression as Codec, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{BloomFilterPosition, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::client::file::Sink;
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::Matcher;
use crate::core::options::{Compression, UpsertOptions, WriteOptions};
use crate::core::report::WorkCounts;
use crate::core::schema::{check_names, find_column, type_name};
use crate::error::{Error, ErrorKind, Result};
use crate::table::fit::Fit;
use crate::table::parquet::more::behind;
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
    write_as(session, schema, batches, &FileLayout::of_write(options), out)
}

fn write_as(
    session: &Session,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    layout: &FileLayout,
    out: &mut File,
) -> Result<u64> {
    check_names(schema)?;
    check_types(schema)?;
    let properties = layout.properties(schema)?;
    let mut writer = Encoder::create(again(out)?, schema, properties.build())?;
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
    pub(crate) fn start(schema: &SchemaRef, layout: &FileLayout, mark: &str, out: &File) -> Result<Self> {
        check_types(schema)?;
        let properties = layout
            .properties(schema)?
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
pub(super) fn check_types(schema: &SchemaRef) -> Result<()> {
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
    let cause = match cause {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => return *error,
            Err(inner) => ParquetError::External(inner),
        },
        other => other,
    };
    match cause {
        ParquetError::NYI(_) | ParquetError::ArrowError(_) => {
            Error::new(ErrorKind::Unsupported, "these columns cannot be written as Parquet").because(cause)
        }
        _ => Error::new(ErrorKind::Io, "cannot write the Parquet file")
            .hint("nothing was changed; is there room on the disk?")
            .because(cause),
    }
}

pub(super) fn properties(compression: Compression) -> Result<WriterPropertiesBuilder> {
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
    // Behind all row groups, so that what is copied of them can be copied in one piece.
    Ok(WriterProperties::builder()
        .set_compression(codec)
        .set_created_by(created_by.to_owned())
        .set_bloom_filter_position(BloomFilterPosition::End))
}

/// How a stored file was written.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    /// Of its first column.
    pub(super) codec: Codec,
    /// Columns with a bloom filter.
    pub(super) bloom_filter: Vec<String>,
}

/// How new Parquet files are written.
#[derive(Debug, Clone)]
pub(crate) struct FileLayout {
    compression: Compression,
    row_group_rows: usize,
    /// Columns with a bloom filter for each row group.
    bloom_filter: Vec<String>,
}

impl FileLayout {
    /// As a write asks for.
    pub(crate) fn of_write(options: &WriteOptions) -> Self {
        Self {
            compression: options.compression.unwrap_or_default(),
            row_group_rows: options.row_group_rows,
            bloom_filter: options.bloom_filter.clone(),
        }
    }

    /// As an upsert asks for.
    pub(crate) fn of_upsert(options: &UpsertOptions) -> Self {
        Self {
            compression: options.compression,
            row_group_rows: GROUP_ROWS,
            bloom_filter: options.bloom_filter.clone(),
        }
    }

    /// Refuses bloom filters of columns that cannot have them.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a column that is not there, `Unsupported` for one of lists or structs.
    pub(crate) fn check(&self, schema: &Schema) -> Result<()> {
        for name in &self.bloom_filter {
            let field = schema.field(find_column(schema, name, "bloom filter column")?);
            if field.data_type().is_nested() {
                return Err(Error::new(ErrorKind::Unsupported, "a column of this type has no bloom filter")
                    .with("column", name)
                    .with("type", type_name(field.data_type()))
                    .hint("name columns of plain values, such as ids"));
            }
        }
        Ok(())
    }

    /// The same for rows of a file that was written so: its codec, and its bloom filters too.
    ///
    /// # Errors
    ///
    /// As [`FileLayout::properties`].
    pub(crate) fn properties_like(&self, schema: &Schema, ways: &Ways) -> Result<WriterPropertiesBuilder> {
        let is_there =
            |name: &&String| schema.field_with_name(name).is_ok_and(|field| !field.data_type().is_nested());
        let kept = ways.bloom_filter.iter().filter(is_there).cloned();
        let bloom_filter = self.bloom_filter.iter().cloned().chain(kept).collect();
        let layout = Self { bloom_filter, ..self.clone() };
        Ok(layout.properties(schema)?.set_compression(ways.codec))
    }

    /// The properties of a file with the columns of `schema`.
    ///
    /// # Errors
    ///
    /// As [`FileLayout::check`], and `Usage` for a level of compression that there is not.
    pub(crate) fn properties(&self, schema: &Schema) -> Result<WriterPropertiesBuilder> {
        self.check(schema)?;
        let properties = properties(self.compression)?.set_max_row_group_row_count(Some(self.row_group_rows));
        Ok(self.bloom_filter.iter().fold(properties, |properties, name| {
            let column = ColumnPath::new(vec![name.clone()]);
            properties
                .set_column_bloom_filter_enabled(column.clone(), true)
                .set_column_bloom_filter_max_ndv(column, self.row_group_rows as u64)
        }))
    }
}

impl Default for FileLayout {
    fn default() -> Self {
        Self::of_write(&WriteOptions::default())
    }
}

/// A Parquet file that does not exist yet: it has the incoming columns and no rows.
#[derive(Debug)]
pub(crate) struct NewParquet {
    schema: SchemaRef,
    layout: FileLayout,
}

impl NewParquet {
    /// # Errors
    ///
    /// As [`FileLayout::check`].
    pub(crate) fn new(schema: SchemaRef, layout: FileLayout) -> Result<Self> {
        layout.check(&schema)?;
        Ok(Self { schema, layout })
    }
}

impl StoredFile for NewParquet {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn add_columns(&mut self, columns: &[FieldRef]) -> Result<()> {
        self.schema = behind(&self.schema, columns);
        Ok(())
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

    fn rows_at(&mut self, _: &Session, _: &[u64]) -> Result<Vec<RecordBatch>> {
        Ok(Vec::new())
    }

    fn rewrite(
        &mut self,
        session: &Session,
        change: &Change<'_>,
        out: &mut Sink<'_>,
        work: &mut WorkCounts,
    ) -> Result<()> {
        // Nothing is stored, so every settled row is inserted.
        let rows = change.outcome.inserted.chunks(change.rows.chunk()?);
        let batches = rows.map(|rows| change.rows.take(rows.iter().copied()));
        let out = out.file();
        write_as(session, &change.rows.schema(), batches, &self.layout, out)?;
        out.flush().map_err(|cause| Error::io("cannot write the new file", cause))?;
        work.bytes_written = out.metadata().ok().map(|metadata| metadata.len());
        Ok(())
    }
}
