//! Tables are kept in shape: small files become larger ones, and files that nobody needs go, without a row changing.

use std::time::Duration;

use keyfold::{
    Backend, ErrorKind, Format, Frame, OptimizeOptions, ReadOptions, UpsertOptions, VacuumOptions,
    VacuumReport, WriteOptions,
};

use crate::doors::Doors;
use crate::places::Kind;
use crate::tables::{fold, row, rows, stored};

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Table {
    Folder,
    #[cfg(feature = "delta")]
    Delta,
}

impl Table {
    const ALL: &[Self] = &[
        Self::Folder,
        #[cfg(feature = "delta")]
        Self::Delta,
    ];

    fn options(self) -> UpsertOptions {
        match self {
            Self::Folder => UpsertOptions::default().with_format(Format::Parquet),
            #[cfg(feature = "delta")]
            Self::Delta => UpsertOptions::default(),
        }
    }

    fn is_folder(self) -> bool {
        self == Self::Folder
    }
}

/// The name by which a table is made, and found.
const TABLE: &str = "orders/";

/// Names that nobody would choose, and that every kind of storage writes in its own way.
const PLACES: [&str; 4] = ["a b", "ü", "50%25", "x/y=z"];

/// Every kind of storage; no backend has a part in this.
fn everywhere() -> impl Iterator<Item = Doors> {
    Kind::ALL.iter().map(|kind| Doors::at(Backend::names()[0], *kind))
}

/// Places, each with an empty table of each kind to be.
fn tables() -> impl Iterator<Item = (Table, Doors)> {
    Table::ALL.iter().flat_map(|table| everywhere().map(|doors| (*table, doors)))
}

/// Makes a table of four partitions with four files in each.
async fn many_files(table: Table, doors: &Doors) -> Vec<(i64, String, i64)> {
    let mut expected = Vec::new();
    for round in 0..4 {
        let ids: Vec<i64> = (0..4).map(|place| 10 * round + place).collect();
        let options = table.options().with_partition_by(["place"]);
        fold(doors, TABLE, rows(&ids, &PLACES, &ids), options).await.expect("folds");
        expected.extend(ids.iter().zip(PLACES).map(|(id, place)| row(*id, place, *id)));
    }
    expected
}

async fn is_as(doors: &Doors, expected: &[(i64, String, i64)]) {
    assert_eq!(stored(doors, TABLE, ReadOptions::default()).await, expected);
    let counted = doors.data.count(&[TABLE], ReadOptions::default()).await.expect("counts");
    assert_eq!(counted, expected.len() as u64);
}

/// Data files of the table.
fn files(doors: &Doors) -> usize {
    let names = doors.names_below("orders");
    names.iter().filter(|name| name.ends_with(".parquet") && !name.contains("_delta_log")).count()
}

fn at_once() -> VacuumOptions {
    VacuumOptions::default().with_retention(Duration::ZERO).with_allow_early(true)
}

async fn vacuum(doors: &Doors, options: VacuumOptions) -> VacuumReport {
    // A log tells times in milliseconds, some services in whole seconds.
    let tick = if matches!(doors.kind(), Kind::Disk | Kind::Memory) { 5 } else { 1_100 };
    tokio::time::sleep(Duration::from_millis(tick)).await;
    doors.data.vacuum(TABLE, options).await.expect("vacuums")
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_one_in_each_partition_and_no_row_changes() {
    for (table, doors) in tables() {
        let expected = many_files(table, &doors).await;
        let dry = OptimizeOptions::default().with_dry_run(true);
        let planned = doors.data.optimize(TABLE, dry).await.expect("plans");
        assert_eq!((planned.files_before, planned.files_removed, planned.files_added), (16, 16, 4));
        assert_eq!((planned.bytes_added, files(&doors)), (None, 16));
        let done = doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("optimizes");
        assert_eq!((done.files_removed, done.files_added, done.conflicts), (16, 4, 0));
        assert!(done.bytes_added > Some(0) && done.bytes_removed > 0);
        assert_ne!(done.version_before, done.version_after);
        assert_eq!(files(&doors), 20);
        is_as(&doors, &expected).await;
        // Twice is once.
        let again = doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("optimizes");
        assert_eq!((again.files_removed, again.bytes_added), (0, Some(0)));
        assert_eq!(again.version_after, done.version_after);
        // Rows are found where they are now.
        let change = rows(&[0, 99], &[PLACES[0], PLACES[1]], &[-1, 99]);
        let report = fold(&doors, TABLE, change, UpsertOptions::default()).await.expect("folds");
        assert_eq!((report.rows.updated, report.rows.inserted), (1, 1));
        // A new row of a folder takes the place of a file without rows.
        let removed = if table.is_folder() { 2 } else { 1 };
        assert_eq!((report.work.files_removed, report.work.files_added), (removed, 2));
        if table.is_folder() {
            assert_eq!(doors.names_in(".orders.keyfold"), ["head.json"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_asked_size_are_left_alone() {
    for (table, doors) in tables() {
        let expected = many_files(table, &doors).await;
        let one = OptimizeOptions::default().with_target_bytes(1);
        let report = doors.data.optimize(TABLE, one).await.expect("optimizes");
        assert_eq!((report.files_removed, files(&doors)), (0, 16));
        let none = OptimizeOptions::default().with_target_bytes(0);
        let refused = doors.data.optimize(TABLE, none).await;
        assert_eq!(refused.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::Usage));
        is_as(&doors, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rows_of_a_folder_go_into_files_without_rows() {
    for doors in everywhere() {
        let mut expected = many_files(Table::Folder, &doors).await;
        doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("optimizes");
        let before = files(&doors);
        for id in 100..104 {
            let report =
                fold(&doors, TABLE, rows(&[id], &[PLACES[2]], &[id]), UpsertOptions::default()).await;
            let work = report.expect("folds").work;
            assert_eq!((work.files_added, work.files_removed), (1, 1));
            expected.push(row(id, PLACES[2], id));
        }
        // Rows that move are in the file they go to before they leave the one they were in.
        fold(&doors, TABLE, rows(&[0], &[PLACES[1]], &[0]), UpsertOptions::default()).await.expect("folds");
        expected[0] = row(0, PLACES[1], 0);
        assert_eq!(files(&doors), before);
        is_as(&doors, &expected).await;
        let work = fold(&doors, TABLE, rows(&[104], &[PLACES[2]], &[104]), UpsertOptions::default()).await;
        let work = work.expect("folds").work;
        assert_eq!((work.files_added, work.files_removed, files(&doors)), (1, 0, before + 1));
        let refused = doors.data.vacuum(TABLE, VacuumOptions::default()).await;
        assert_eq!(refused.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_put_together_only_with_those_of_their_folder_and_kind() {
    for doors in everywhere().filter(Doors::is_on_disk) {
        std::fs::create_dir_all(doors.path("orders/2023")).expect("a folder");
        std::fs::create_dir_all(doors.path("orders/2024")).expect("a folder");
        let mut expected = Vec::new();
        for (id, name) in (0..).zip(["2023/a", "2023/b", "2024/a", "2024/b", "c"]) {
            let batch = Frame::from(rows(&[id], &["a"], &[id]));
            let options = WriteOptions::default();
            doors.data.write_opts(batch, &format!("orders/{name}.parquet"), options).await.expect("writes");
            expected.push(row(id, "a", id));
        }
        // Another file by its link, which is not ours to empty.
        std::fs::rename(doors.path("orders/2024/b.parquet"), doors.path("b.parquet")).expect("moved");
        std::os::unix::fs::symlink(doors.path("b.parquet"), doors.path("orders/2024/b.parquet"))
            .expect("linked");
        let linked = doors.bytes("b.parquet");
        let report = doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("optimizes");
        assert_eq!((report.files_before, report.files_removed, report.files_added), (5, 2, 1));
        is_as(&doors, &expected).await;
        assert_eq!(doors.bytes("b.parquet"), linked);
        let in_2023 = doors.data.count(&["orders/2023"], ReadOptions::default()).await.expect("counts");
        assert_eq!(in_2023, 2);
    }
}

#[cfg(feature = "delta")]
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_or_above_a_delta_table_is_no_folder_of_files() {
    for doors in everywhere() {
        let expected = many_files(Table::Delta, &doors).await;
        for folder in ["orders/place=a%20b/".to_owned(), doors.root()] {
            let optimized = doors.data.optimize(&folder, OptimizeOptions::default()).await.map(|_| ());
            let folded =
                fold(&doors, &folder, rows(&[1], &["a"], &[1]), Table::Folder.options()).await.map(|_| ());
            assert!(optimized.is_err(), "{folder}");
            let folded = folded.expect_err("refused");
            assert!(
                folded.kind() == ErrorKind::Unsupported && folded.to_string().contains("log"),
                "{folded}"
            );
        }
        is_as(&doors, &expected).await;
    }
}

#[cfg(feature = "delta")]
#[tokio::test(flavor = "multi_thread")]
async fn files_that_nobody_needs_go_and_all_others_stay() {
    for doors in everywhere() {
        let mut expected = many_files(Table::Delta, &doors).await;
        let kept = vacuum(&doors, at_once().with_dry_run(false)).await;
        assert_eq!(kept.files, Vec::<String>::new());
        let change = rows(&[0], &[PLACES[3]], &[-1]);
        fold(&doors, TABLE, change, UpsertOptions::default()).await.expect("folds");
        expected[0] = row(0, PLACES[3], -1);
        doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("optimizes");
        let before = files(&doors);
        // Whoever reads for a week still finds them, unless somebody knows that nobody does.
        let early = VacuumOptions::default().with_retention(Duration::ZERO);
        let refused = doors.data.vacuum(TABLE, early).await;
        assert_eq!(refused.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::Usage));
        assert_eq!(vacuum(&doors, VacuumOptions::default().with_dry_run(false)).await.files.len(), 0);
        let named = vacuum(&doors, at_once()).await;
        assert!(named.dry_run && named.bytes > 0 && files(&doors) == before);
        let gone = vacuum(&doors, at_once().with_dry_run(false)).await;
        assert_eq!((&gone.files, gone.dry_run, gone.bytes), (&named.files, false, named.bytes));
        assert_eq!((before - gone.files.len(), files(&doors)), (4, 4));
        is_as(&doors, &expected).await;
        assert_eq!(vacuum(&doors, at_once().with_dry_run(false)).await.files.len(), 0);
        let report = fold(&doors, TABLE, rows(&[1], &[PLACES[1]], &[-1]), UpsertOptions::default()).await;
        assert_eq!(report.expect("folds").rows.updated, 1);
    }
}

#[cfg(feature = "delta")]
#[tokio::test(flavor = "multi_thread")]
async fn a_vacuum_leaves_other_tables_below_and_behind_links_alone() {
    for doors in everywhere().filter(Doors::is_on_disk) {
        many_files(Table::Delta, &doors).await;
        let make =
            |name: &'static str| fold(&doors, name, rows(&[1], &["a"], &[1]), UpsertOptions::default());
        make("orders/archive").await.expect("makes");
        make("other").await.expect("makes");
        std::os::unix::fs::symlink(doors.path("other"), doors.path("orders/ab")).expect("linked");
        doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("optimizes");
        let gone = vacuum(&doors, at_once().with_dry_run(false)).await;
        assert_eq!(gone.files.len(), 16, "{:?}", gone.files);
        for table in ["orders/archive", "other"] {
            assert_eq!(doors.data.count(&[table], ReadOptions::default()).await.expect("counts"), 1);
            assert_eq!(stored(&doors, table, ReadOptions::default()).await, [row(1, "a", 1)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_table_is_told() {
    for doors in everywhere() {
        let batch = Frame::from(rows(&[1], &["a"], &[1]));
        doors.data.write_opts(batch, "a.parquet", WriteOptions::default()).await.expect("writes");
        for (name, kind) in [("a.parquet", ErrorKind::Usage), ("missing", ErrorKind::NotFound)] {
            let optimized = doors.data.optimize(name, OptimizeOptions::default()).await.map(|_| ());
            assert_eq!(optimized.map_err(|e| e.kind()), Err(kind), "{name}");
            let vacuumed = doors.data.vacuum(name, VacuumOptions::default()).await.map(|_| ());
            assert_eq!(vacuumed.map_err(|e| e.kind()), Err(kind), "{name}");
        }
    }
}

#[cfg(feature = "delta")]
#[tokio::test(flavor = "multi_thread")]
async fn a_delta_table_says_what_was_done_and_can_go_back_until_files_are_gone() {
    for doors in everywhere() {
        let expected = many_files(Table::Delta, &doors).await;
        doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("optimizes");
        let last = doors.data.history(TABLE, Some(1)).await.expect("a history").remove(0);
        assert_eq!((last.version, last.operation.as_deref()), (4, Some("OPTIMIZE")));
        assert_eq!(
            (&last.metrics["numRemovedFiles"], &last.metrics["numAddedFiles"]),
            (&"16".into(), &"4".into())
        );
        let log = doors.bytes("orders/_delta_log/00000000000000000004.json").expect("a version");
        let log = String::from_utf8(log).expect("text");
        assert!(log.matches("\"dataChange\":false").count() == 20 && !log.contains("\"dataChange\":true"));
        let at = |version| ReadOptions::default().with_version(version);
        doors.data.restore(TABLE, at(3), false).await.expect("restores");
        is_as(&doors, &expected).await;
        // The files that were put together are the table again, and what they became is not.
        let gone = vacuum(&doors, at_once().with_dry_run(false)).await;
        assert_eq!((gone.files.len(), files(&doors)), (4, 16));
        let refused = doors.data.restore(TABLE, at(4), false).await;
        assert_eq!(refused.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::NotFound));
        is_as(&doors, &expected).await;
    }
}

#[cfg(feature = "delta")]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_from_a_table_of_which_a_file_is_missing() {
    for doors in everywhere().filter(Doors::is_on_disk) {
        many_files(Table::Delta, &doors).await;
        doors.data.optimize(TABLE, OptimizeOptions::default()).await.expect("optimizes");
        let live = doors.data.vacuum(TABLE, at_once()).await.expect("names").files;
        let names = doors.names_below("orders");
        let mut data = names.iter().filter(|name| !name.contains("_delta_log"));
        let lost = data.find(|name| !live.contains(name)).expect("a file of the table");
        std::fs::remove_file(doors.path(&format!("orders/{lost}"))).expect("removed");
        let before = files(&doors);
        let error = doors.data.vacuum(TABLE, at_once().with_dry_run(false)).await.expect_err("refused");
        assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("missing"), "{error}");
        assert_eq!(files(&doors), before);
    }
}
