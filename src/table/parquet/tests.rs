//! Files as other producers write them: what an upsert reads of them, it can write again or refuses.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal128Array, DictionaryArray, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int8Type, Int32Type, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::stored::{BATCH_ROWS, read_group};
use super::{Opened, ParquetFile};
use crate::client::file::Content;
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher};
use crate::core::report::WorkCounts;
use crate::error::{ErrorKind, Result};
use crate::table::StoredFile;

/// Folds rows into the file at `path` by column `id` and gives the rows of the new file.
fn fold(path: &Path, incoming: RecordBatch) -> Result<(RecordBatch, WorkCounts, Opened)> {
    let (session, rule, mut work) = (Session::default(), MergeRule::by_id(["id"])?, WorkCounts::default());
    let mut stored = ParquetFile::open(Content::Local(File::open(path).expect("opened")))?;
    let (schema, batches) = stored.fit(&incoming.schema(), vec![incoming], &rule)?;
    let incoming = Incoming::settle(&schema, &batches, &rule)?;
    let mut matcher = Matcher::new(&incoming, &stored.schema(), &rule)?;
    let rows = stored.find(&session, &mut matcher, &mut work)?;
    let outcome = matcher.finish(Some(rows))?;
    let mut out = tempfile::tempfile().expect("a file");
    stored.rewrite(&session, &incoming, &outcome, &mut out, &mut work)?;
    let opened = Opened::new(Content::Local(out))?;
    Ok((read_all(&opened), work, opened))
}

fn read_all(opened: &Opened) -> RecordBatch {
    let groups = 0..opened.metadata.metadata().num_row_groups();
    let batches: Vec<RecordBatch> = groups
        .flat_map(|group| read_group(opened, group, BATCH_ROWS).expect("a reader"))
        .map(|batch| batch.expect("decoded"))
        .collect();
    concat_batches(opened.schema(), &batches).expect("one batch")
}

/// Writes a file with one row group, `write` giving each column's writer its values.
fn raw(schema: &str, write: impl Fn(usize, &mut ColumnWriter<'_>)) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file.as_file(), schema, properties).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    let mut index = 0;
    while let Some(mut column) = group.next_column().expect("a column") {
        write(index, column.untyped());
        column.close().expect("closed");
        index += 1;
    }
    group.close().expect("closed");
    writer.close().expect("closed");
    file
}

fn ids(column: &mut ColumnWriter<'_>, ids: &[i64]) {
    let ColumnWriter::Int64ColumnWriter(writer) = column else { panic!("not integers") };
    writer.write_batch(ids, None, None).expect("written");
}

fn decimals(ids: &[i64], values: &[i128]) -> RecordBatch {
    let values = Decimal128Array::from(values.to_vec()).with_precision_and_scale(20, 2).expect("decimals");
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    RecordBatch::try_from_iter([("id", ids), ("d", Arc::new(values) as ArrayRef)]).expect("a batch")
}

fn check_decimals(file: &tempfile::NamedTempFile) {
    let (rows, ..) = fold(file.path(), decimals(&[2, 3], &[-7, 10_i128.pow(19)])).expect("folds");
    let values: Vec<i128> =
        rows.column(1).as_primitive::<arrow::datatypes::Decimal128Type>().values().to_vec();
    assert_eq!(values, [150, -7, 10_i128.pow(19)]);
    assert_eq!(rows.schema().field(1).data_type(), &DataType::Decimal128(20, 2));
}

#[test]
fn decimals_stored_wider_than_they_need_to_be_keep_their_values() {
    // As DuckDB writes them: sixteen bytes where nine would do.
    let schema = "message m { required int64 id; optional fixed_len_byte_array(16) d (DECIMAL(20,2)); }";
    check_decimals(&raw(schema, |index, column| match column {
        ColumnWriter::FixedLenByteArrayColumnWriter(writer) if index == 1 => {
            let bytes = |v: i128| ByteArray::from(v.to_be_bytes().to_vec()).into();
            writer.write_batch(&[bytes(150), bytes(-150)], Some(&[1, 1]), None).expect("written");
        }
        column => ids(column, &[1, 2]),
    }));
}

#[test]
fn decimals_stored_as_bytes_keep_their_values() {
    let schema = "message m { required int64 id; optional binary d (DECIMAL(20,2)); }";
    check_decimals(&raw(schema, |index, column| match column {
        ColumnWriter::ByteArrayColumnWriter(writer) if index == 1 => {
            let bytes = [ByteArray::from(vec![0, 150]), ByteArray::from(vec![0xff, 0x6a])];
            writer.write_batch(&bytes, Some(&[1, 1]), None).expect("written");
        }
        column => ids(column, &[1, 2]),
    }));
}

#[test]
fn intervals_and_old_timestamps_are_refused_before_anything_is_written() {
    let interval = raw(
        "message m { required int64 id; required fixed_len_byte_array(12) v (INTERVAL); }",
        |_, c| match c {
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
                let months = ByteArray::from(vec![7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]).into();
                writer.write_batch(&[months], None, None).expect("written");
            }
            column => ids(column, &[1]),
        },
    );
    let int96 = raw("message m { required int64 id; required int96 v; }", |_, column| match column {
        ColumnWriter::Int96ColumnWriter(writer) => {
            writer.write_batch(&[parquet::data_type::Int96::new()], None, None).expect("written");
        }
        column => ids(column, &[1]),
    });
    for file in [interval, int96] {
        let id: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let refused = fold(file.path(), RecordBatch::try_from_iter([("id", id)]).expect("a batch"));
        let error = refused.map(|_| ()).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("(column: v)"), "{error}");
    }
}

/// Writes batches as one file with row groups of `group_rows`.
fn written(batch: &RecordBatch, properties: WriterProperties) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let mut writer =
        ArrowWriter::try_new(file.as_file_mut(), batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
    file.flush().expect("flushed");
    file
}

#[test]
fn a_dictionary_takes_more_values_than_its_keys_had_room_for() {
    let words = |range: std::ops::Range<i64>| range.map(|n| format!("word {n}")).collect::<Vec<_>>();
    let stored: DictionaryArray<Int8Type> = words(0..120).iter().map(|w| Some(w.as_str())).collect();
    let id = |range: std::ops::Range<i64>| Arc::new(Int64Array::from_iter_values(range)) as ArrayRef;
    let stored = RecordBatch::try_from_iter([("id", id(0..120)), ("w", Arc::new(stored) as ArrayRef)])
        .expect("a batch");
    let file = written(&stored, WriterProperties::builder().build());
    let new = Arc::new(StringArray::from(words(120..400))) as ArrayRef;
    let new = RecordBatch::try_from_iter([("id", id(120..400)), ("w", new)]).expect("a batch");
    let (rows, _, opened) = fold(file.path(), new).expect("folds");
    assert_eq!(rows.column(1).as_string::<i32>().value(399), "word 399");
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    assert_eq!(opened.own.field(1).data_type(), &dictionary, "readers still see a dictionary");
    assert!(rows.column(1).as_dictionary_opt::<Int32Type>().is_none());
}

fn numbers(range: std::ops::Range<i64>, value: i64) -> RecordBatch {
    let values = Int64Array::from_iter_values(range.clone().map(|_| value));
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(range));
    RecordBatch::try_from_iter([("id", id), ("v", Arc::new(values) as ArrayRef)]).expect("a batch")
}

#[test]
fn row_groups_that_cannot_hold_an_id_are_not_read() {
    let groups = WriterProperties::builder().set_max_row_group_row_count(Some(100));
    let file = written(&numbers(0..1000, 0), groups.build());
    let (rows, work, _) = fold(file.path(), numbers(250..251, 1)).expect("folds");
    assert_eq!((work.row_groups_read, work.row_groups_skipped, work.row_groups_rewritten), (1, 9, 1));
    assert_eq!(rows.num_rows(), 1000);
    assert_eq!(rows.column(1).as_primitive::<arrow::datatypes::Int64Type>().value(250), 1);
}

#[test]
fn the_new_file_has_the_ways_of_the_old_one() {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).expect("a level"));
    let properties = WriterProperties::builder()
        .set_compression(zstd)
        .set_max_row_group_row_count(Some(100))
        .set_key_value_metadata(Some(vec![KeyValue::new("owner".to_owned(), "us".to_owned())]))
        .build();
    let file = written(&numbers(0..250, 0), properties);
    let before = Opened::new(Content::Local(file.reopen().expect("opened"))).expect("opened");
    let (_, _, after) = fold(file.path(), numbers(249..260, 1)).expect("folds");
    let (before, after) = (before.metadata.metadata(), after.metadata.metadata());
    assert_eq!(after.row_group(0).column(0).compression(), zstd);
    let rows: Vec<i64> =
        after.row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).collect();
    assert_eq!(rows, [100, 100, 60], "inserts join the last row group");
    let kept = |m: &parquet::file::metadata::ParquetMetaData| m.file_metadata().key_value_metadata().cloned();
    assert!(kept(after).expect("metadata").iter().any(|pair| pair.key == "owner"));
    assert_eq!(kept(before).map(|kept| kept.len()), kept(after).map(|kept| kept.len()));
    let schema: SchemaRef = numbers(0..0, 0).schema();
    assert_eq!(schema.fields().len(), after.file_metadata().schema_descr().num_columns());
}
