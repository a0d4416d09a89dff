//! Files as other producers write them: what an upsert reads of them, it can write again or refuses.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, DictionaryArray, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampSecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Field, FieldRef, Int8Type, Int32Type, Int64Type, SchemaRef, TimeUnit, TimestampSecondType,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::metadata::{FileMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::columns::Fold;
use super::groups::Copying;
use super::stored::{BATCH_ROWS, read_group};
use super::verify::verify;
use super::{Opened, ParquetFile};
use crate::client::file::{Content, Sink};
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher};
use crate::core::report::WorkCounts;
use crate::error::{ErrorKind, Result};
use crate::table::new_rows::NewRows;
use crate::table::{Change, StoredFile};

/// Folds rows into the file at `path` by column `id` and gives the rows of the new file.
fn fold(path: &Path, incoming: RecordBatch) -> Result<(RecordBatch, WorkCounts, Opened)> {
    fold_wider(path, incoming, 0)
}

/// The same, where the last `added` columns are added to those of the file.
fn fold_wider(path: &Path, incoming: RecordBatch, added: usize) -> Result<(RecordBatch, WorkCounts, Opened)> {
    let (session, rule, mut work) = (Session::default(), MergeRule::by_id(["id"])?, WorkCounts::default());
    let mut stored = ParquetFile::open(Content::Local(File::open(path).expect("opened")))?;
    let own = incoming.num_columns() - added;
    let nullable = |field: &FieldRef| Arc::new(Field::clone(field).with_nullable(true));
    let added: Vec<FieldRef> = incoming.schema().fields()[own..].iter().map(nullable).collect();
    stored.add_columns(&added)?;
    let (schema, batches) = stored.fit(&incoming.schema(), vec![incoming], &rule)?;
    let incoming = Incoming::settle(&schema, &batches, None, &rule)?;
    let mut matcher = Matcher::new(&incoming, &stored.schema(), &rule)?;
    let rows = stored.find(&session, &mut matcher, &mut work)?;
    let outcome = matcher.finish(Some(rows))?;
    let mut out = tempfile::tempfile().expect("a file");
    let change =
        Change { rows: &NewRows::Held(incoming.batch(), incoming.source_rows().into()), outcome: &outcome };
    stored.rewrite(&session, &change, &mut Sink::plain(&mut out), &mut work)?;
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
    let rows: Vec<i64> = after.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(rows, [100, 100, 60], "inserts join the last row group");
    let kept = |m: &parquet::file::metadata::ParquetMetaData| m.file_metadata().key_value_metadata().cloned();
    assert!(kept(after).expect("metadata").iter().any(|pair| pair.key == "owner"));
    assert_eq!(kept(before).map(|kept| kept.len()), kept(after).map(|kept| kept.len()));
    let schema: SchemaRef = numbers(0..0, 0).schema();
    assert_eq!(schema.fields().len(), after.file_metadata().schema_descr().num_columns());
}

#[test]
fn a_file_that_gets_columns_says_so_to_all_readers() {
    let said = |key: &str| KeyValue::new(key.to_owned(), "said".to_owned());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(100))
        .set_key_value_metadata(Some(vec![said(super::more::SPARK), said("owner")]))
        .build();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    // As others write files: without the columns in the words of Arrow.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let rows = numbers(0..250, 0);
    let mut writer = ArrowWriter::try_new_with_options(file.as_file_mut(), rows.schema(), options);
    writer.as_mut().expect("a writer").write(&rows).expect("written");
    writer.expect("a writer").close().expect("closed");
    let words: DictionaryArray<Int8Type> = [Some("x"), None].into_iter().collect();
    let times = TimestampSecondArray::from(vec![None, Some(7)]);
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from(vec![120, 999]))),
        ("v", Arc::new(Int64Array::from(vec![0, 1]))),
        ("word", Arc::new(words)),
        ("time", Arc::new(times)),
    ];
    let incoming = RecordBatch::try_from_iter(columns).expect("a batch");
    let (rows, work, opened) = fold_wider(file.path(), incoming, 2).expect("folds");
    assert_eq!(work.row_groups_rewritten, 3);
    let types: Vec<&DataType> = opened.own.fields().iter().map(|field| field.data_type()).collect();
    let time = DataType::Timestamp(TimeUnit::Second, None);
    assert_eq!(types, [&DataType::Int64, &DataType::Int64, &DataType::Utf8, &time]);
    let text =
        |row: usize| rows.column(2).is_valid(row).then(|| rows.column(2).as_string::<i32>().value(row));
    assert_eq!([text(0), text(120), text(250)], [None, Some("x"), None]);
    assert_eq!(rows.column(3).null_count(), 250);
    assert_eq!(rows.column(3).as_primitive::<TimestampSecondType>().value(250), 7);
    let footer = opened.metadata.metadata();
    let keys = footer.file_metadata().key_value_metadata().into_iter().flatten();
    let keys: Vec<&str> = keys.map(|pair| pair.key.as_str()).collect();
    assert_eq!(keys, ["owner", "ARROW:schema"], "Spark would see no other column");
    for group in footer.row_groups() {
        assert!(group.columns().iter().all(|column| column.compression() == Compression::SNAPPY));
    }
    let before = Opened::new(Content::Local(file.reopen().expect("opened"))).expect("opened");
    for (group, leaf) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        assert_eq!(chunk_bytes(&opened, group, leaf), chunk_bytes(&before, group, leaf));
    }
}

/// A file of ten row groups, with ten pages in each column of each.
fn paged() -> tempfile::NamedTempFile {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .set_write_batch_size(10)
        .set_data_page_row_count_limit(10)
        .set_column_bloom_filter_enabled("id".into(), true);
    written(&numbers(0..1000, 0), properties.build())
}

/// The footer with all indexes of pages.
fn indexed(opened: &Opened) -> Arc<ParquetMetaData> {
    let options = ArrowReaderOptions::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .with_encoding_stats_as_mask(false);
    Arc::clone(ArrowReaderMetadata::load(&opened.chunks, options).expect("loads").metadata())
}

/// How many pages the values of a row group have: one where they were encoded anew.
fn pages(opened: &Opened, group: usize) -> usize {
    indexed(opened).offset_index().expect("an index")[group][1].page_locations().len()
}

fn chunk_bytes(opened: &Opened, group: usize, leaf: usize) -> bytes::Bytes {
    let (start, len) = opened.metadata.metadata().row_group(group).column(leaf).byte_range();
    opened.chunks.get_bytes(start, usize::try_from(len).expect("small")).expect("read")
}

#[test]
fn a_row_group_without_a_changed_row_is_copied_as_its_bytes() {
    let file = paged();
    let before = Opened::new(Content::Local(file.reopen().expect("opened"))).expect("opened");
    let (rows, work, after) = fold(file.path(), numbers(250..251, 1)).expect("folds");
    assert_eq!((rows.num_rows(), work.row_groups_rewritten), (1000, 1));
    let values = rows.column(1).as_primitive::<arrow::datatypes::Int64Type>();
    assert_eq!(values.iter().flatten().sum::<i64>(), 1);
    assert_eq!((pages(&before, 2), pages(&after, 2)), (10, 1), "this one is encoded anew");
    let (old, new) = (indexed(&before), indexed(&after));
    for group in (0..10).filter(|group| *group != 2) {
        for leaf in 0..2 {
            let (own, copied) = (old.row_group(group).column(leaf), new.row_group(group).column(leaf));
            assert_eq!(chunk_bytes(&before, group, leaf), chunk_bytes(&after, group, leaf));
            assert_eq!(own.statistics(), copied.statistics());
            assert_eq!(own.page_encoding_stats(), copied.page_encoding_stats());
            let index =
                |metadata: &ParquetMetaData| metadata.column_index().expect("an index")[group][leaf].clone();
            assert_eq!(index(&old), index(&new));
            // Each page is where the index says: a reader who skips pages finds the rows.
            let sizes = |metadata: &ParquetMetaData| -> Vec<i32> {
                let places = metadata.offset_index().expect("an index")[group][leaf].page_locations();
                places.iter().map(|page| page.compressed_page_size).collect()
            };
            assert_eq!(sizes(&old), sizes(&new));
        }
        let bloom = Sbbf::read_from_column_chunk(new.row_group(group).column(0), &after.chunks);
        let bloom = bloom.expect("reads").expect("a bloom filter");
        let id = i64::try_from(group).expect("small") * 100;
        assert!(
            (id..id + 100).all(|id| bloom.check(&id)) && !(id + 100..id + 200).all(|id| bloom.check(&id))
        );
    }
}

/// Rows with columns of several kinds, of which the last is one value in all rows.
fn mixed(
    rows: std::ops::Range<i64>,
    late: impl Fn(i64) -> Option<f64>,
    last: impl Fn(i64) -> i64,
) -> RecordBatch {
    let text: ArrayRef =
        Arc::new(rows.clone().map(|n| (n % 3 > 0).then(|| n.to_string())).collect::<StringArray>());
    let number: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|n| n * 7)));
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("text", DataType::Utf8, true)), Arc::clone(&text)),
        (Arc::new(Field::new("number", DataType::Int64, true)), number),
    ]);
    let lists = rows.clone().map(|n| (n % 5 > 0).then(|| (0..n % 4).map(Some).collect::<Vec<_>>()));
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(rows.clone()))),
        ("text", text),
        ("pair", Arc::new(pair)),
        ("list", Arc::new(lists)),
        ("late", Arc::new(rows.clone().map(late).collect::<Float64Array>())),
        ("last", Arc::new(Int64Array::from_iter_values(rows.map(last)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)))
        .expect("rows")
}

#[test]
fn of_a_row_group_with_a_changed_row_columns_without_one_are_copied_as_their_bytes() {
    let paged = WriterProperties::builder().set_max_row_group_row_count(Some(100));
    let paged = paged.set_write_batch_size(10).set_data_page_row_count_limit(10);
    let before = mixed(0..300, |_| Some(0.0), |_| 0);
    let file = written(&before, paged.build());
    let old = Opened::new(Content::Local(file.reopen().expect("opened"))).expect("opened");
    let is_in = |n: i64| i64::from((100..200).contains(&n));
    let same = |new: &Opened| -> Vec<usize> {
        (0..7).filter(|leaf| chunk_bytes(&old, 1, *leaf) == chunk_bytes(new, 1, *leaf)).collect()
    };
    let (rows, _, new) = fold(file.path(), mixed(100..200, |_| Some(0.0), |_| 1)).expect("folds");
    assert_eq!((rows, same(&new)), (mixed(0..300, |_| Some(0.0), is_in), vec![0, 1, 2, 3, 4, 5]));
    // Of many rows, one has another value: what is equal but not the same, a NaN, null.
    for (changed, value) in [(105, Some(-0.0)), (130, Some(f64::NAN)), (199, None)] {
        let late = |n: i64| if n == changed { value } else { Some(0.0) };
        let (rows, work, new) = fold(file.path(), mixed(100..200, late, |_| 1)).expect("folds");
        assert_eq!((work.row_groups_rewritten, same(&new)), (1, vec![0, 1, 2, 3, 4]));
        assert_eq!(format!("{rows:?}"), format!("{:?}", mixed(0..300, late, is_in)));
        let (was, is) = (indexed(&old), indexed(&new));
        let index = |metadata: &ParquetMetaData| metadata.column_index().expect("an index")[1][..5].to_vec();
        assert_eq!(index(&was), index(&is));
        for leaf in 0..5 {
            let chunk = |metadata: &ParquetMetaData| metadata.row_group(1).column(leaf).statistics().cloned();
            assert_eq!(chunk(&was), chunk(&is));
        }
    }
    // A column that does not come in stays as well.
    let two_columns = mixed(100..200, |_| None, |_| 1).project(&[0, 5]).expect("columns");
    let (rows, _, new) = fold(file.path(), two_columns).expect("folds");
    assert_eq!((rows, same(&new)), (mixed(0..300, |_| Some(0.0), is_in), vec![0, 1, 2, 3, 4, 5]));
}

#[test]
fn rows_leave_a_file_and_an_empty_row_group_goes_with_them() {
    let file = paged();
    let opened = Opened::new(Content::Local(file.reopen().expect("opened"))).expect("opened");
    let leaving: Vec<u64> = (215..430).collect();
    let (session, mut out) = (Session::default(), tempfile::tempfile().expect("a file"));
    let mut sink = Sink::plain(&mut out);
    let mut copying = Copying::new(&session, &opened, None, &mut sink).expect("starts");
    copying.expect(5);
    copying.fold(0..10, &Fold { leaving: &leaving, ..Fold::NONE }).expect("folds");
    copying.append(&numbers(1000..1005, 1)).expect("appends");
    let written = copying.finish().expect("ends");
    verify(&opened, &out, &written).expect("is whole");
    let written = Opened::new(Content::Local(out)).expect("opened");
    let groups = written.metadata.metadata().row_groups();
    let sizes: Vec<i64> = groups.iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(sizes, [100, 100, 15, 70, 100, 100, 100, 100, 105]);
    let ids = read_all(&written);
    assert!(ids.column(0).as_primitive::<Int64Type>().iter().flatten().eq((0..215).chain(430..1005)));
    assert_eq!((pages(&written, 1), pages(&written, 2)), (10, 1), "what is whole is copied");
}

#[test]
fn what_has_no_index_of_pages_is_not_put_beside_what_has_one() {
    // No row group can be copied as a whole, for the decimals are stored in another way than they are written.
    let file = tempfile::NamedTempFile::new().expect("a file");
    let schema = "message m { required int64 id; optional fixed_len_byte_array(16) d (DECIMAL(20,2)); }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let plain = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    let mut writer =
        SerializedFileWriter::new(file.as_file(), schema, Arc::new(plain.build())).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    while let Some(mut column) = group.next_column().expect("a column") {
        match column.untyped() {
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
                let bytes = |v: i128| ByteArray::from(v.to_be_bytes().to_vec()).into();
                writer.write_batch(&[bytes(150), bytes(-150)], Some(&[1, 1]), None).expect("written");
            }
            column => ids(column, &[1, 2]),
        }
        column.close().expect("closed");
    }
    group.close().expect("closed");
    writer.close().expect("closed");
    let (rows, ..) = fold(file.path(), decimals(&[2], &[-7])).expect("folds");
    assert_eq!(rows.columns(), decimals(&[1, 2], &[150, -7]).columns());
}

#[test]
fn inserts_have_the_last_row_group_encoded_anew_and_no_other() {
    let (_, work, after) = fold(paged().path(), numbers(1000..1001, 1)).expect("folds");
    assert_eq!(work.row_groups_rewritten, 0);
    assert_eq!((pages(&after, 8), pages(&after, 9)), (10, 1));
    assert_eq!(after.metadata.metadata().row_group(9).num_rows(), 101);
}

#[test]
fn bytes_are_not_taken_over_where_the_new_footer_would_say_more_than_the_old_one() {
    let file = paged();
    let opened = || Opened::new(Content::Local(file.reopen().expect("opened"))).expect("opened");
    let passed = |change: &dyn Fn(&ParquetMetaData) -> ParquetMetaData| {
        let mut opened = opened();
        let footer = Arc::new(change(opened.metadata.metadata()));
        opened.metadata = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new()).expect("a footer");
        let mut out = tempfile::tempfile().expect("a file");
        let session = Session::default();
        let mut sink = Sink::plain(&mut out);
        let mut copying = Copying::new(&session, &opened, None, &mut sink).expect("starts");
        (0..10).for_each(|group| copying.pass(group).expect("passes"));
        assert_eq!(copying.finish().expect("ends").rows, 1000);
        let written = Opened::new(Content::Local(out)).expect("opened");
        assert_eq!(read_all(&written), read_all(&opened));
        pages(&written, 0)
    };
    assert_eq!(passed(&ParquetMetaData::clone), 10);
    let unordered = |footer: &ParquetMetaData| {
        let own = footer.file_metadata();
        let own = FileMetaData::new(own.version(), own.num_rows(), None, None, own.schema_descr_ptr(), None);
        let mut builder = footer.clone().into_builder();
        let groups = builder.take_row_groups();
        parquet::file::metadata::ParquetMetaDataBuilder::new(own).set_row_groups(groups).build()
    };
    assert_eq!(passed(&unordered), 1, "nobody says how minima and maxima were compared");
    let deprecated = |footer: &ParquetMetaData| {
        let mut builder = footer.clone().into_builder();
        let groups = builder.take_row_groups().into_iter().map(|group| {
            let mut builder = group.into_builder();
            let old = Statistics::int64(Some(0), Some(9), None, Some(0), true);
            let columns = builder.take_columns().into_iter();
            let columns = columns
                .map(|column| column.into_builder().set_statistics(old.clone()).build().expect("a column"));
            builder.set_column_metadata(columns.collect()).build().expect("a group")
        });
        builder.set_row_groups(groups.collect()).build()
    };
    assert_eq!(passed(&deprecated), 1, "minima and maxima of an old writer were compared as it liked");
}

#[test]
fn a_new_file_that_is_not_what_it_should_be_is_found_out() {
    let (file, session) = (paged(), Session::default());
    let opened = Opened::new(Content::Local(file.reopen().expect("opened"))).expect("opened");
    let mut out = tempfile::tempfile().expect("a file");
    let mut sink = Sink::plain(&mut out);
    let mut copying = Copying::new(&session, &opened, None, &mut sink).expect("starts");
    (0..9).for_each(|group| copying.pass(group).expect("passes"));
    copying.expect(1);
    copying.pass(9).expect("encodes");
    let written = copying.finish().expect("ends");
    verify(&opened, &out, &written).expect("is whole");
    let groups = Opened::new(Content::Local(out.try_clone().expect("a file"))).expect("opened");
    let groups = groups.metadata.metadata().row_groups();
    let first_bytes = |group: usize| groups[group].column(0).byte_range().0;
    let last_byte =
        |group: usize| groups[group].column(0).byte_range().0 + groups[group].column(0).byte_range().1 - 1;
    for (place, told) in [
        (first_bytes(4), "columns that were copied are not what they were"),
        (last_byte(0), "columns that were copied are not what they were"),
        (first_bytes(9), "the new file cannot be read back"),
    ] {
        let mut byte = [0];
        out.read_exact_at(&mut byte, place).expect("reads");
        out.write_all_at(&[byte[0] ^ 0xFF], place).expect("writes");
        assert_eq!(
            verify(&opened, &out, &written).map_err(|error| error.message().to_owned()),
            Err(told.to_owned())
        );
        out.write_all_at(&byte, place).expect("writes");
    }
    verify(&opened, &out, &written).expect("is whole again");
}

#[test]
fn decimals_stored_in_another_way_are_decoded_although_none_changes() {
    let schema = "message m { required int64 id; optional fixed_len_byte_array(16) d (DECIMAL(20,2)); }";
    let file = raw(schema, |index, column| match column {
        ColumnWriter::FixedLenByteArrayColumnWriter(writer) if index == 1 => {
            let bytes = |v: i128| ByteArray::from(v.to_be_bytes().to_vec()).into();
            writer.write_batch(&[bytes(150), bytes(-150)], Some(&[1, 1]), None).expect("written");
        }
        column => ids(column, &[1, 2]),
    });
    let opened = Opened::new(Content::Local(file.reopen().expect("opened"))).expect("opened");
    let (session, mut out) = (Session::default(), tempfile::tempfile().expect("a file"));
    let mut sink = Sink::plain(&mut out);
    let mut copying = Copying::new(&session, &opened, None, &mut sink).expect("starts");
    copying.pass(0).expect("passes");
    copying.finish().expect("ends");
    let rows = read_all(&Opened::new(Content::Local(out)).expect("opened"));
    assert_eq!(rows.columns(), decimals(&[1, 2], &[150, -150]).columns());
}

#[test]
fn a_file_without_indexes_of_pages_stays_one_where_bytes_are_copied() {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    let file = written(&numbers(0..1000, 0), properties.build());
    for (change, rows, rewritten) in [(numbers(250..251, 1), 1000, 1), (numbers(1000..1001, 1), 1001, 0)] {
        let (found, work, after) = fold(file.path(), change).expect("folds");
        assert_eq!((found.num_rows(), work.row_groups_rewritten), (rows, rewritten));
        let metadata = after.metadata.metadata();
        assert!(metadata.offset_index().is_none());
        assert!(metadata.row_groups().iter().all(|group| group.column(0).statistics().is_some()));
    }
}
