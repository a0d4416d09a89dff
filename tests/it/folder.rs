//! Folders of Parquet files as targets and sources, for every backend and kind of storage.

use std::sync::Arc;

use keyfold::arrow::array::{ArrayRef, AsArray, DictionaryArray, Int64Array, RecordBatch, StringArray};
use keyfold::arrow::compute::cast;
use keyfold::arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use keyfold::{
    ErrorKind, Format, Frame, ReadOptions, Result, UpsertOptions, UpsertReport, WriteMode, WriteOptions,
};

use crate::doors::Doors;
use crate::tables::{everywhere, fold, numbered, row, rows, stored};

const FOLDER: &str = "orders";

/// The same, as a folder that is to be made is named.
const NEW: &str = "orders/";

/// Where the record of the folder lies.
const BESIDE: &str = ".orders.keyfold";

fn folder() -> UpsertOptions {
    UpsertOptions::default().with_format(Format::Parquet)
}

async fn upsert(doors: &Doors, batch: RecordBatch, options: UpsertOptions) -> Result<UpsertReport> {
    fold(doors, NEW, batch, options).await
}

async fn write(doors: &Doors, name: &str, batch: RecordBatch, options: WriteOptions) -> Result<u64> {
    doors.data.write_opts(Frame::from(batch), name, options).await.map(|report| report.rows)
}

/// A file of the folder, as another program puts it there.
async fn file(doors: &Doors, name: &str, batch: RecordBatch) {
    let path = format!("{FOLDER}/{name}");
    if let Some(parent) = std::path::Path::new(&path).parent().filter(|_| doors.is_on_disk()) {
        std::fs::create_dir_all(doors.path(&parent.display().to_string())).expect("a folder");
    }
    write(doors, &path, batch, WriteOptions::default()).await.expect("writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn dictionaries_are_as_good_as_their_values() {
    for doors in everywhere() {
        let coded = |ids: &[i64], places: &[&str]| {
            let places: DictionaryArray<Int32Type> = places.iter().copied().collect();
            let ids = Int64Array::from(ids.to_vec());
            let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(ids)), ("place", Arc::new(places))];
            RecordBatch::try_from_iter(columns).expect("rows")
        };
        file(&doors, "a.parquet", coded(&[1, 2], &["x", "y"])).await;
        upsert(&doors, coded(&[2, 3], &["z", "x"]), UpsertOptions::default()).await.expect("folds");
        let plain = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("place", DataType::Utf8, true),
        ]);
        let found = doors.rows(FOLDER, Arc::new(plain)).await.expect("reads");
        let ids = found.column(0).as_primitive::<Int64Type>().values().iter().copied();
        // Each engine has a type of its own for text.
        let places = cast(found.column(1), &DataType::Utf8).expect("text");
        let places = places.as_string::<i32>().iter().flatten();
        let mut pairs: Vec<(i64, &str)> = ids.zip(places).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, [(1, "x"), (2, "z"), (3, "x")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_folder_is_made_where_parquet_is_said_and_takes_updates() {
    for doors in everywhere() {
        let first = upsert(&doors, rows(&[1, 2], &["a", "b"], &[1, 2]), folder()).await.expect("creates");
        assert_eq!(
            (first.created, first.format, first.version_after.as_deref()),
            (true, Format::Parquet, Some("1"))
        );
        // From now on it is known for what it is.
        let change = || rows(&[2, 3], &["b", "c"], &[20, 30]);
        let second = upsert(&doors, change(), UpsertOptions::default()).await.expect("folds");
        assert_eq!((second.rows.updated, second.rows.inserted, second.rows.rows_after), (1, 1, Some(3)));
        assert_eq!((second.work.files_removed, second.work.files_added), (1, 2));
        assert_eq!(
            (second.version_before.as_deref(), second.version_after.as_deref()),
            (Some("1"), Some("2"))
        );
        let again = upsert(&doors, change(), UpsertOptions::default()).await.expect("folds");
        assert_eq!((again.rows.unchanged, again.work.bytes_written), (2, Some(0)));
        assert_eq!(again.version_after.as_deref(), Some("2"));
        assert_eq!(
            stored(&doors, FOLDER, ReadOptions::default()).await,
            [row(1, "a", 1), row(2, "b", 20), row(3, "c", 30)]
        );
        assert_eq!(doors.data.count(&[FOLDER], ReadOptions::default()).await.expect("counts"), 3);
        // Readers of the folder see Parquet files and nothing else; what a change needed is cleaned up.
        let names = doors.names_in(FOLDER);
        assert!(names.len() == 2 && names.iter().all(|name| name.ends_with(".parquet")), "{names:?}");
        assert_eq!(doors.names_in(BESIDE), ["head.json"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_are_changed_in_place_and_only_those_with_a_changed_row() {
    for doors in everywhere() {
        file(&doors, "a.parquet", numbered(0..10)).await;
        file(&doors, "b.parquet", numbered(10..20)).await;
        let before = doors.bytes("orders/a.parquet");
        let change = rows(&[15, 100], &["b", "b"], &[1, 1]);
        let report = upsert(&doors, change, UpsertOptions::default()).await.expect("folds");
        assert_eq!((report.rows.updated, report.rows.inserted, report.rows.rows_before), (1, 1, Some(20)));
        assert_eq!(
            (report.version_before.as_deref(), report.version_after.as_deref()),
            (Some("0"), Some("1"))
        );
        let names = doors.names_in(FOLDER);
        assert_eq!((names.len(), &names[..2]), (3, &["a.parquet".to_owned(), "b.parquet".to_owned()][..]));
        assert_eq!(doors.bytes("orders/a.parquet"), before);
        let found = stored(&doors, FOLDER, ReadOptions::default()).await;
        assert_eq!((found.len(), &found[15], &found[20]), (21, &row(15, "b", 1), &row(100, "b", 1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_changes_its_partition_is_stored_once() {
    for doors in everywhere() {
        let options = folder().with_partition_by(["place"]);
        upsert(&doors, rows(&[1, 2, 3], &["a b", "a b", "c/d=é%"], &[1, 2, 3]), options)
            .await
            .expect("creates");
        let moved = rows(&[2, 3, 4], &["c/d=é%", "c/d=é%", "e"], &[20, 3, 40]);
        let report = upsert(&doors, moved, UpsertOptions::default()).await.expect("folds");
        assert_eq!((report.rows.updated, report.rows.unchanged, report.rows.inserted), (1, 1, 1));
        assert_eq!((report.work.files_removed, report.work.files_added), (1, 3));
        let expected = [row(1, "a b", 1), row(2, "c/d=é%", 20), row(3, "c/d=é%", 3), row(4, "e", 40)];
        assert_eq!(stored(&doors, FOLDER, ReadOptions::default()).await, expected);
        // A file that is left by its last row stays, and has none.
        upsert(&doors, rows(&[1], &["e"], &[1]), UpsertOptions::default()).await.expect("folds");
        assert_eq!(stored(&doors, FOLDER, ReadOptions::default()).await[0], row(1, "e", 1));
        assert_eq!(doors.names_in("orders/place=a%20b").len(), 1);
        // Without the column a row stays where it is.
        let batch = rows(&[4], &["?"], &[41]).project(&[0, 2]).expect("two columns");
        upsert(&doors, batch, UpsertOptions::default()).await.expect("folds");
        assert_eq!(stored(&doors, FOLDER, ReadOptions::default()).await[3], row(4, "e", 41));
        assert_eq!(doors.data.count(&[FOLDER], ReadOptions::default()).await.expect("counts"), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_named_by_others_say_columns_and_their_types() {
    for doors in everywhere() {
        let part = |ids: &[i64]| rows(ids, &vec!["x"; ids.len()], ids);
        file(&doors, "day=2021-05-01/hour=07/a.parquet", part(&[1, 2])).await;
        file(&doors, "day=2021-05-02/hour=__HIVE_DEFAULT_PARTITION__/a.parquet", part(&[3])).await;
        let schema = doors.data.schema(&[FOLDER], ReadOptions::default()).await.expect("a schema");
        let types: Vec<_> = schema.fields().iter().skip(3).map(|field| field.data_type().clone()).collect();
        assert_eq!(types[0], DataType::Date32);
        assert!(matches!(types[1], DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8), "{types:?}");
        let late =
            ReadOptions::default().with_filter("day > DATE '2021-05-01'".parse().expect("a condition"));
        assert_eq!(doors.data.count(&[FOLDER], ReadOptions::default()).await.expect("counts"), 3);
        assert_eq!(doors.read(&[FOLDER], late).await.expect("reads").num_rows(), 1);
        // A row that goes into a partition that is there goes into its folder, however that is spelled.
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from(vec![3, 4])) as ArrayRef, true),
            ("day", Arc::new(StringArray::from(vec!["2021-05-01", "2021-05-01"])) as ArrayRef, true),
            ("hour", Arc::new(StringArray::from(vec!["07", "07"])) as ArrayRef, true),
        ]);
        let report = upsert(&doors, batch.expect("rows"), UpsertOptions::default()).await.expect("folds");
        assert_eq!((report.rows.updated, report.rows.inserted), (1, 1));
        assert_eq!(doors.names_in("orders/day=2021-05-01/hour=07").len(), 2);
        assert_eq!(stored_ids(&doors).await, [1, 2, 3, 4]);
    }
}

async fn stored_ids(doors: &Doors) -> Vec<i64> {
    let batch = doors.read(&[FOLDER], ReadOptions::default().with_columns(["id"])).await.expect("reads");
    let mut ids = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_at_once_end_as_if_one_after_the_other() {
    const WRITERS: i64 = 4;
    for doors in everywhere() {
        let doors = Arc::new(doors);
        file(&doors, "a.parquet", rows(&[1_000], &["a"], &[-1])).await;
        let one = |writer: i64| {
            let doors = Arc::clone(&doors);
            async move {
                let mut conflicts = 0;
                for round in 0..3 {
                    let own = 10 * writer + round;
                    let batch = rows(&[own, 1_000], &["a", "a"], &[own, own]);
                    let options = UpsertOptions::default().with_max_retries(100);
                    conflicts += upsert(&doors, batch, options).await?.conflicts;
                }
                Ok::<_, keyfold::Error>(conflicts)
            }
        };
        let running: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(one(writer))).collect();
        let mut conflicts = 0;
        for writer in running {
            conflicts += writer.await.expect("a writer").expect("folds");
        }
        let found = stored(&doors, FOLDER, ReadOptions::default()).await;
        let ids: Vec<i64> = found.iter().map(|row| row.0).collect();
        let expected: Vec<i64> =
            (0..WRITERS).flat_map(|w| (0..3).map(move |r| 10 * w + r)).chain([1_000]).collect();
        assert_eq!(ids, expected, "{}", doors.backend);
        // The shared row is as the last writer of all left it.
        assert_eq!(found[12].2 % 10, 2, "{found:?}");
        assert!(conflicts > 0, "they met");
        assert!(doors.names_in(BESIDE).contains(&"head.json".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_modes_are_kept() {
    for doors in everywhere() {
        let mode = |mode| WriteOptions::default().with_mode(mode);
        let first = mode(WriteMode::Error).with_format(Format::Parquet);
        assert_eq!(write(&doors, NEW, numbered(0..3), first).await.expect("creates"), 3);
        let refused = write(&doors, FOLDER, numbered(0..3), mode(WriteMode::Error)).await;
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::AlreadyExists));
        let refused = write(&doors, FOLDER, numbered(0..3), mode(WriteMode::Overwrite)).await;
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
        assert_eq!(write(&doors, FOLDER, numbered(0..3), mode(WriteMode::Ignore)).await.expect("leaves"), 0);
        assert_eq!(write(&doors, FOLDER, numbered(3..5), mode(WriteMode::Append)).await.expect("adds"), 2);
        assert_eq!(stored_ids(&doors).await, [0, 1, 2, 3, 4]);
        let other = mode(WriteMode::Append).with_partition_by(["place"]);
        let refused = write(&doors, FOLDER, numbered(0..1), other).await;
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
        assert_eq!((doors.names_in(FOLDER).len(), doors.names_in(BESIDE)), (2, vec!["head.json".to_owned()]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_writes_nothing() {
    for doors in everywhere() {
        let dry = || folder().with_dry_run(true);
        let first = upsert(&doors, numbered(0..2), dry()).await.expect("plans");
        assert!(first.created && doors.names().is_empty(), "{:?}", doors.names());
        file(&doors, "place=a/x.parquet", numbered(0..3).project(&[0, 2]).expect("two columns")).await;
        let change = rows(&[1, 2, 9], &["a", "b", "c"], &[1, 1, 1]);
        let report = upsert(&doors, change.clone(), dry()).await.expect("plans");
        let counts = |report: &UpsertReport| (report.work.files_removed, report.work.files_added);
        assert_eq!((counts(&report), report.work.bytes_written), ((1, 3), None));
        assert_eq!((doors.names_in(FOLDER).len(), doors.names_in(BESIDE).len()), (1, 0));
        let done = upsert(&doors, change, UpsertOptions::default()).await.expect("folds");
        assert_eq!(counts(&done), counts(&report));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_folder_of_rows_is_refused_by_name() {
    for doors in everywhere() {
        file(&doors, "a.parquet", numbered(0..2)).await;
        doors.file("orders/b.csv", "id\n1\n");
        let error = upsert(&doors, numbered(0..1), UpsertOptions::default()).await.expect_err("a CSV file");
        assert!(error.to_string().contains("b.csv"), "{error}");
        let doors = Doors::at(doors.backend, doors.kind());
        file(&doors, "a.parquet", numbered(0..2)).await;
        // What came last may be missing, for it may have been added later; nothing else may.
        file(&doors, "b.parquet", numbered(2..4).project(&[0, 2]).expect("two columns")).await;
        doors.file("orders/_SUCCESS", "");
        let error =
            upsert(&doors, numbered(0..1), UpsertOptions::default()).await.expect_err("no such column");
        assert!(
            error.to_string().contains("column: place") && error.to_string().contains("b.parquet"),
            "{error}"
        );
        let doors = Doors::at(doors.backend, doors.kind());
        file(&doors, "p=1/a.parquet", numbered(0..2)).await;
        file(&doors, "b.parquet", numbered(2..4)).await;
        let error = upsert(&doors, numbered(0..1), UpsertOptions::default()).await.expect_err("no partition");
        assert_eq!(error.message(), "folders are named after different columns");
        assert_eq!(doors.names_in(BESIDE), Vec::<String>::new());
    }
}
