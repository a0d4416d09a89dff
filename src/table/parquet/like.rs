//! How a file is written anew that is like a stored one.

use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::basic::{Compression as Codec, Encoding, EncodingMask};
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::SchemaDescriptor;

use crate::core::options::Compression;
use crate::error::Result;
use crate::table::parquet::rewrite::MARK;
use crate::table::parquet::writer::properties;
use crate::table::parquet::{Opened, layout, more};

/// The properties to write a file like the one that was read, which has such `columns`.
pub(super) fn like(
    opened: &Opened,
    columns: &SchemaDescriptor,
    limit: u64,
    mark: Option<&str>,
) -> Result<WriterProperties> {
    let metadata = opened.metadata.metadata();
    let mut builder = properties(Compression::default())?
        .set_max_row_group_row_count(usize::try_from(limit).ok())
        .set_key_value_metadata(kept(metadata.file_metadata().key_value_metadata(), opened, mark));
    if let Some(group) = metadata.row_groups().first() {
        for column in group.columns() {
            let path = column.column_path().clone();
            builder = builder
                .set_column_compression(path.clone(), rewritable(column.compression()))
                .set_column_bloom_filter_enabled(path.clone(), column.bloom_filter_offset().is_some())
                .set_column_dictionary_enabled(path.clone(), has_dictionary(column));
            if let Some(encoding) = chosen_encoding(column) {
                builder = builder.set_column_encoding(path, encoding);
            }
        }
        // Columns that the file has not yet are compressed as its first one is.
        if let Some(first) = group.columns().first() {
            for column in columns.columns().iter().skip(group.columns().len()) {
                let codec = rewritable(first.compression());
                builder = builder.set_column_compression(column.path().clone(), codec);
            }
        }
    }
    Ok(builder.build())
}

/// Whether a dictionary holds the values of a column: not if the writer began one and gave it up.
fn has_dictionary(column: &ColumnChunkMetaData) -> bool {
    let is_whole = |pages: &EncodingMask| {
        pages.is_only(Encoding::RLE_DICTIONARY) || pages.is_only(Encoding::PLAIN_DICTIONARY)
    };
    column.dictionary_page_offset().is_some() && column.page_encoding_stats_mask().is_none_or(is_whole)
}

/// The encoding of a column's values, if it is one that somebody chose: neither the plain one nor a
/// dictionary.
fn chosen_encoding(column: &ColumnChunkMetaData) -> Option<Encoding> {
    column.encodings().find(|encoding| {
        matches!(
            encoding,
            Encoding::DELTA_BINARY_PACKED
                | Encoding::DELTA_LENGTH_BYTE_ARRAY
                | Encoding::DELTA_BYTE_ARRAY
                | Encoding::BYTE_STREAM_SPLIT
        )
    })
}

/// Codecs that are only read are written as their successor.
pub(super) fn rewritable(codec: Codec) -> Codec {
    match codec {
        Codec::LZ4 => Codec::LZ4_RAW,
        Codec::LZO => Codec::SNAPPY,
        other => other,
    }
}

/// The file's own key-value metadata, as it is: other readers find things in the Arrow schema that ours does
/// not. Only dictionaries are given room for new values, and a new `mark` takes the place of an older one. Where there are
/// more columns, what says which there are is said anew.
fn kept(metadata: Option<&Vec<KeyValue>>, opened: &Opened, mark: Option<&str>) -> Option<Vec<KeyValue>> {
    let schema = more::behind(&layout::widened(&opened.own), opened.added());
    let is_same = schema == opened.own;
    let has_more = !opened.added().is_empty();
    if metadata.is_none() && mark.is_none() && !has_more {
        return None;
    }
    let is_kept = |pair: &&KeyValue| match pair.key.as_str() {
        MARK => mark.is_none(),
        ARROW_SCHEMA_META_KEY => is_same,
        more::SPARK => !has_more,
        _ => true,
    };
    let own = || metadata.into_iter().flatten();
    let says = own().any(|pair| pair.key == ARROW_SCHEMA_META_KEY);
    let said = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let schema =
        (has_more || says && !is_same).then(|| said(ARROW_SCHEMA_META_KEY, encode_arrow_schema(&schema)));
    let mark = mark.map(|mark| said(MARK, mark.to_owned()));
    Some(own().filter(is_kept).cloned().chain(schema).chain(mark).collect())
}
