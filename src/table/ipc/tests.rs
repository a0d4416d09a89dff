//! Files and streams: what is written is read back, in pieces and as asked for, and damage is an error.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, StringViewArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use arrow::ipc::writer::StreamWriter;
use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::core::location::Location;
use crate::core::options::{Compression, ReadOptions};

const FORMATS: [Format; 2] = [Format::Arrow, Format::ArrowStream];

fn batch(ids: std::ops::Range<i64>) -> RecordBatch {
    let words: Vec<String> =
        ids.clone().map(|id| format!("a word that no view holds inline {}", id % 7)).collect();
    let kinds: DictionaryArray<Int32Type> = words.iter().map(|word| Some(word.as_str())).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids))),
        ("word", Arc::new(StringViewArray::from_iter_values(&words))),
        ("kind", Arc::new(kinds)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

struct Place {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("a"), _folder: folder }
    }

    fn file(&self) -> DataFile {
        Session::default().open(&Location::from(self.path.as_path())).unwrap()
    }

    fn write(&self, format: Format, batches: &[RecordBatch], compression: Option<&str>) -> DataFile {
        let mut out = File::create(&self.path).unwrap();
        let schema = batches[0].schema();
        let compression = compression.map(|codec| codec.parse().unwrap());
        let rows = write(format, &schema, batches.iter().cloned().map(Ok), compression, &mut out).unwrap();
        assert_eq!(rows, batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
        self.file()
    }
}

fn read(file: &DataFile, format: Format, options: &ReadOptions) -> Result<RecordBatch> {
    let schema = describe(file, format)?;
    let scan = IpcScan::new(&Session::default(), vec![file.clone()], format, &schema, options)?;
    let batches = scan.batches().collect::<Result<Vec<_>>>()?;
    Ok(concat_batches(&scan.schema(), &batches).unwrap())
}

#[test]
fn what_is_written_comes_back_whatever_the_compression() {
    let parts = [batch(0..1_000), batch(1_000..1_003), batch(0..0), batch(1_003..1_010)];
    for format in FORMATS {
        for compression in [None, Some("none"), Some("lz4"), Some("zstd:7")] {
            let place = Place::new();
            let file = place.write(format, &parts, compression);
            let found = read(&file, format, &ReadOptions::default()).unwrap();
            let expected = concat_batches(&parts[0].schema(), &parts).unwrap();
            assert_eq!(found.num_rows(), 1_010);
            for (found, expected) in found.columns().iter().zip(expected.columns()) {
                let plain = |column: &ArrayRef| arrow::compute::cast(column, &DataType::Utf8).unwrap();
                assert_eq!(&plain(found), &plain(expected), "{format} {compression:?}");
            }
            assert_eq!(count(&Session::default(), &file, format).unwrap(), 1_010);
            let small = std::fs::metadata(&place.path).unwrap().len() < 40_000;
            assert_eq!(small, compression.is_some_and(|codec| codec != "none"), "{format} {compression:?}");
        }
    }
}

#[test]
fn a_stream_keeps_dictionaries_and_a_file_has_their_values() {
    // Each batch brings a dictionary of its own.
    let parts = [batch(0..3), batch(5..9)];
    for (format, expected) in [
        (Format::ArrowStream, parts[0].schema().field(2).data_type().clone()),
        (Format::Arrow, DataType::Utf8),
    ] {
        let place = Place::new();
        let found = read(&place.write(format, &parts, None), format, &ReadOptions::default()).unwrap();
        assert_eq!(found.schema().field(2).data_type(), &expected, "{format}");
    }
}

#[test]
fn a_frame_without_rows_keeps_its_columns() {
    for format in FORMATS {
        let place = Place::new();
        let file = place.write(format, &[batch(0..0)], None);
        assert_eq!(describe(&file, format).unwrap().fields().len(), 3);
        assert_eq!(count(&Session::default(), &file, format).unwrap(), 0);
    }
}

#[test]
fn columns_filter_types_and_limit_are_as_asked() {
    let parts = [batch(0..100), batch(100..200)];
    let types = Schema::new(vec![Field::new("id", DataType::Float64, true)]);
    let options = ReadOptions::default()
        .with_columns(["word"])
        .with_filter("id >= 98.5 AND kind <> 'a word that no view holds inline 1'".parse().unwrap())
        .with_schema(types)
        .with_limit(3);
    for format in FORMATS {
        let place = Place::new();
        let file = place.write(format, &parts, Some("zstd"));
        let found = read(&file, format, &options).unwrap();
        let words: Vec<_> = found.column(0).as_string_view().iter().flatten().collect();
        let expected = [100, 101, 102].map(|id| format!("a word that no view holds inline {}", id % 7));
        assert_eq!(
            (found.num_columns(), words),
            (1, expected.iter().map(String::as_str).collect()),
            "{format}"
        );
        let missing =
            read(&file, format, &ReadOptions::default().with_columns(["ID"])).expect_err("no such column");
        assert_eq!(missing.to_string(), "column is missing (column: ID)");
        let none = read(&file, format, &ReadOptions::default().with_columns(Vec::<String>::new()));
        assert_eq!(none.map(|rows| rows.num_rows()).ok(), Some(200));
        let lossy = Schema::new(vec![Field::new("id", DataType::Int8, true)]);
        let error = read(&file, format, &ReadOptions::default().with_schema(lossy)).expect_err("200");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_limit_ends_the_reading() {
    for format in FORMATS {
        let place = Place::new();
        place.write(format, &[batch(0..10), batch(10..20)], None);
        let mut bytes = std::fs::read(&place.path).unwrap();
        // The head of the last message that is not the end.
        let is_head = |window: &[u8]| window[..4] == [0xff; 4] && window[4..] != [0; 4];
        let last = bytes.windows(8).rposition(is_head).unwrap();
        bytes[last + 8..last + 24].fill(0xff);
        std::fs::write(&place.path, &bytes).unwrap();
        assert!(read(&place.file(), format, &ReadOptions::default()).is_err());
        let found = read(&place.file(), format, &ReadOptions::default().with_limit(10)).unwrap();
        assert_eq!(found.column(0).as_primitive::<Int64Type>().values().last(), Some(&9));
    }
}

#[test]
fn files_may_have_their_columns_in_another_order() {
    let places = [Place::new(), Place::new()];
    let first = places[0].write(Format::Arrow, &[batch(0..2)], None);
    let second = places[1].write(Format::Arrow, &[batch(2..4).project(&[2, 1, 0]).unwrap()], None);
    let schema = describe(&first, Format::Arrow).unwrap();
    let options = ReadOptions::default();
    let scan =
        IpcScan::new(&Session::default(), vec![first, second], Format::Arrow, &schema, &options).unwrap();
    let ids = scan
        .batches()
        .flat_map(|batch| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec());
    assert_eq!(ids.collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_file_that_changes_its_columns_between_looking_and_reading_is_a_conflict() {
    let place = Place::new();
    let file = place.write(Format::Arrow, &[batch(0..2)], None);
    let schema = describe(&file, Format::Arrow).unwrap();
    let options = ReadOptions::default();
    let scan = IpcScan::new(&Session::default(), vec![file], Format::Arrow, &schema, &options).unwrap();
    place.write(Format::Arrow, &[batch(0..2).project(&[0]).unwrap()], None);
    let error = scan.batches().next().unwrap().expect_err("other columns");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

fn shown(rows: &RecordBatch) -> String {
    pretty_format_batches(std::slice::from_ref(rows)).unwrap().to_string()
}

#[test]
fn every_cut_is_an_error_or_a_whole_part_and_damage_is_told_as_such() {
    let expected = batch(0..20);
    for (format, compression) in
        FORMATS.iter().flat_map(|format| [None, Some("lz4"), Some("zstd")].map(|codec| (*format, codec)))
    {
        let place = Place::new();
        place.write(format, &[expected.slice(0, 10), expected.slice(10, 10)], compression);
        let whole = std::fs::read(&place.path).unwrap();
        let rows = |bytes: &[u8]| {
            std::fs::write(&place.path, bytes).unwrap();
            let file = place.file();
            let counted = count(&Session::default(), &file, format);
            (read(&file, format, &ReadOptions::default()), counted)
        };
        assert_eq!(rows(&whole).0.unwrap().num_rows(), 20);
        for keep in (0..whole.len()).step_by(7) {
            let (read, counted) = rows(&whole[..keep]);
            // The format allows a stream to end without a mark, so behind a whole message nothing is missing.
            let what = format!("{format} {compression:?} {keep}");
            match read {
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{what}"),
                Ok(rows) => {
                    assert_eq!(format, Format::ArrowStream, "{what}");
                    assert_eq!(shown(&rows), shown(&expected.slice(0, rows.num_rows())), "{what}");
                    assert_eq!(counted.ok(), Some(rows.num_rows() as u64), "{what}");
                }
            }
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            // What is not compressed has nothing by which another value could be told.
            if let Err(error) = rows(&damaged).0 {
                let known = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::Unsupported);
                assert!(known, "{format} {compression:?} {at}: {error:?}");
            }
        }
    }
}

#[test]
fn two_streams_in_one_file_are_refused() {
    let place = Place::new();
    place.write(Format::ArrowStream, &[batch(0..2)], None);
    let one = std::fs::read(&place.path).unwrap();
    let open_end = &one[..one.len() - 8];
    for joined in [[&one[..], &one].concat(), [open_end, &one].concat()] {
        std::fs::write(&place.path, joined).unwrap();
        let error = count(&Session::default(), &place.file(), Format::ArrowStream).expect_err("two");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    std::fs::write(&place.path, open_end).unwrap();
    assert_eq!(
        count(&Session::default(), &place.file(), Format::ArrowStream).ok(),
        Some(2),
        "no mark is no damage"
    );
}

#[test]
fn a_dictionary_that_grows_in_a_stream_is_read() {
    use arrow::ipc::writer::{DictionaryHandling, IpcWriteOptions};
    let place = Place::new();
    let values = |words: &[&str]| Arc::new(StringArray::from(words.to_vec())) as ArrayRef;
    let part = |keys: Vec<i32>, words: &[&str]| {
        let column = DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), values(words)).unwrap();
        RecordBatch::try_from_iter([("k", Arc::new(column) as ArrayRef)]).unwrap()
    };
    let parts = [part(vec![0, 1], &["a", "b"]), part(vec![2, 0], &["a", "b", "c"])];
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let out = File::create(&place.path).unwrap();
    let mut writer = StreamWriter::try_new_with_options(out, &parts[0].schema(), options).unwrap();
    for part in &parts {
        writer.write(part).unwrap();
    }
    writer.finish().unwrap();
    let options =
        ReadOptions::default().with_schema(Schema::new(vec![Field::new("k", DataType::Utf8, true)]));
    let found = read(&place.file(), Format::ArrowStream, &options).unwrap();
    assert_eq!(found.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b", "c", "a"]);
}

#[test]
fn only_what_arrow_knows_compresses_it() {
    assert!(check_compression(Some(Compression::Zstd(22))).is_ok());
    for codec in ["snappy", "gzip", "brotli"] {
        let refused = check_compression(Some(codec.parse().unwrap()));
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Usage), "{codec}");
    }
}
