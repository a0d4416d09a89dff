//! Runs that die, sleep or meet in the middle of a change to a folder.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::control::Control;
use super::draft::{Begun, Draft, Staged};
use super::names::is_folder;
use super::reader::{look_through, view};
use super::record::{Change, End, Operation, Recorded, Written, became};
use super::upsert::{FolderTarget, settled};
use crate::client::file::{DataFile, Version};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::options::{UpsertOptions, WriteOptions};
use crate::error::{ErrorKind, Result};
use crate::table::parquet::{FileLayout, NewPart, describe};
use crate::table::{Found, ParquetTable, UpsertTarget};

struct Place {
    session: Session,
    table: Location,
    control: Control,
    _held: Option<tempfile::TempDir>,
}

impl Place {
    fn all() -> [Self; 2] {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Location::from_path(folder.path().join("t"));
        std::fs::create_dir(folder.path().join("t")).expect("made");
        let memory = "memory://place/t".parse().expect("a location");
        [Self::new(disk, Some(folder)), Self::new(memory, None)]
    }

    fn new(table: Location, held: Option<tempfile::TempDir>) -> Self {
        let control = Control::of(&table).expect("named");
        control.make().expect("made");
        let place = Self { session: Session::default(), table, control, _held: held };
        place.foreign("a.parquet", 1);
        place
    }

    fn file(&self, name: &str) -> DataFile {
        self.session.open(&self.table.join(name).expect("a name")).expect("opens")
    }

    fn version(&self, name: &str) -> Option<Version> {
        self.file(name).version().expect("looks")
    }

    /// A file with so many rows, as another program writes it.
    fn foreign(&self, name: &str, rows: usize) {
        let file = self.file(name);
        let mut stage = file.stage().expect("stages");
        write(stage.file(), rows, "");
        assert!(matches!(
            stage.replace(&self.session, &file).expect("writes"),
            crate::client::file::Commit::Committed { .. }
        ));
    }

    /// The numbers of rows in all files.
    fn rows(&self) -> Vec<(String, u64)> {
        let names = self.session.files_below(&self.table).expect("lists");
        let rows = |name: &String| describe(&self.file(name)).expect("a whole file").1;
        names.iter().map(|name| (name.clone(), rows(name))).collect()
    }

    fn beside(&self) -> Vec<String> {
        self.session.files_below(self.control.folder()).expect("lists")
    }

    fn last(&self) -> Option<Recorded> {
        self.control.last(&self.session).expect("reads")
    }

    /// A change that gives `a.parquet` so many rows, and a new file in a folder below twice as many.
    fn draft(&self, last: Option<&Recorded>, rows: usize) -> Draft<'_> {
        let mut draft = self.control.draft(&self.session, Operation::Upsert, last);
        for (name, rows) in [("a.parquet", rows), (&*format!("new/{rows}.parquet"), 2 * rows)] {
            let mut fresh = draft.fresh().expect("stages");
            let mark = fresh.mark().to_owned();
            write(fresh.file(), rows, &mark);
            draft.add(name.to_owned(), self.version(name).as_ref(), fresh).expect("adds");
        }
        draft
    }

    fn begin(&self, rows: usize) -> (Recorded, Vec<Staged>) {
        let last = self.last();
        match self.draft(last.as_ref(), rows).begin(last.as_ref()).expect("records") {
            Begun::Yes(begun, staged) => (*begun, staged),
            other => panic!("somebody else was first: {other:?}"),
        }
    }

    fn settle(&self) -> Result<Option<Recorded>> {
        settled(&self.session, &self.control, false)
    }
}

fn write(mut out: &std::fs::File, rows: usize, mark: &str) {
    let ids: ArrayRef = Arc::new((0..i64::try_from(rows).expect("few")).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
    let layout = FileLayout::of_write(&WriteOptions::default().with_row_group_rows(10));
    let mut part = NewPart::start(&batch.schema(), &layout, mark, out).expect("starts");
    part.write(&batch).expect("writes");
    part.finish().expect("ends");
    out.flush().expect("written");
}

fn named(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect()
}

#[test]
fn the_next_run_ends_what_one_that_died_has_begun_wherever_it_died() {
    for steps in 0..=2 {
        for place in Place::all() {
            let (begun, _) = place.begin(5);
            place.control.die_after(&place.session, &begun, steps).expect("puts");
            let done = place.settle().expect("ends").expect("a record");
            assert!(done.is_done() && done.sequence() == 1);
            assert_eq!(place.rows(), named(&[("a.parquet", 5), ("new/5.parquet", 10)]), "{steps}");
            assert_eq!(place.beside(), ["head.json"]);
        }
    }
}

#[test]
fn who_reads_sees_a_change_that_has_begun_as_a_whole() {
    for steps in 0..=2 {
        for place in Place::all() {
            let (begun, _) = place.begin(5);
            place.control.die_after(&place.session, &begun, steps).expect("goes on");
            let seen = view(&place.session, &place.table).expect("looks").expect("files");
            assert_eq!(seen.count(&place.session).expect("counts"), 15, "{steps} steps of {}", place.table);
            assert!(!place.last().expect("a change").is_done());
            // It reads on what it saw, although others go on.
            let _ = place.settle().expect("ends");
            let (begun, staged) = place.begin(7);
            assert_eq!(place.control.end(&place.session, &begun, staged).expect("ends"), End::Whole);
            if place.table.as_path().is_some() {
                assert_eq!(
                    seen.count(&place.session).expect("counts"),
                    15,
                    "{steps} steps of {}",
                    place.table
                );
            }
        }
    }
}

#[test]
fn a_change_that_somebody_ends_while_it_is_looked_at_is_looked_at_again() {
    for steps in 0..=1 {
        for place in Place::all() {
            let (begun, _) = place.begin(5);
            place.control.die_after(&place.session, &begun, steps).expect("goes on");
            let to_do = place.control.to_do(&place.session, &begun).expect("looks").expect("steps");
            assert_eq!(to_do.len(), 2 - steps);
            let _ = place.settle().expect("ends");
            let torn = look_through(&place.session, &place.control, &to_do).map(|_| ());
            assert_eq!(torn.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
            // Steps that were done before are on the list.
            let seen = look_through(&place.session, &place.control, &[]).expect("looks").expect("files");
            assert_eq!(seen.count(&place.session).expect("counts"), 15);
        }
    }
}

#[test]
fn a_folder_that_is_being_made_is_one() {
    for place in Place::all() {
        place.session.delete(&place.table.join("a.parquet").expect("a name")).expect("deletes");
        let is_there = || is_folder(&place.session, &place.table, None).expect("looks");
        assert!(!is_there());
        let _ = place.begin(5);
        assert!(is_there());
        let seen = view(&place.session, &place.table).expect("looks").expect("files");
        assert_eq!(seen.count(&place.session).expect("counts"), 15);
    }
}

#[test]
fn a_record_that_cannot_be_read_does_not_keep_anybody_from_reading_the_files() {
    for place in Place::all() {
        let record = place.control.record(&place.session).expect("opens");
        let mut stage = record.stage().expect("stages");
        stage.file().write_all(b"{").expect("written");
        let _ = stage.commit(None).expect("commits");
        let seen = view(&place.session, &place.table).expect("looks").expect("files");
        assert_eq!(seen.count(&place.session).expect("counts"), 1);
        assert!(place.settle().is_err(), "but nobody writes");
    }
}

#[test]
fn who_reads_sees_nothing_of_a_change_that_will_be_given_up() {
    for place in Place::all() {
        let _ = place.begin(5);
        place.foreign("a.parquet", 2);
        let seen = view(&place.session, &place.table).expect("looks").expect("files");
        assert_eq!(seen.count(&place.session).expect("counts"), 2);
    }
}

#[test]
fn a_folder_that_somebody_else_makes_meanwhile_is_seen_to_be_there() {
    for place in Place::all() {
        let new = place.table.to_string().trim_end_matches('t').to_owned() + "new/";
        let new: Location = new.parse().expect("a location");
        let rows = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::new(vec![
            arrow::datatypes::Field::new("id", arrow::datatypes::DataType::Int64, true),
        ])));
        let mut target = FolderTarget::new(&new, &UpsertOptions::default());
        assert!(matches!(target.open(&place.session, false).expect("looks"), Found::Nothing));
        if let Some(path) = new.as_path() {
            std::fs::create_dir(path).expect("made");
        }
        let control = Control::of(&new).expect("named");
        let other = Place { session: place.session.clone(), table: new, control, _held: None };
        let control = &other.control;
        control.make().expect("made");
        other.foreign("a.parquet", 1);
        let last = control.last(&place.session).expect("reads");
        let begun = control.draft(&place.session, Operation::Append, last.as_ref()).begin(last.as_ref());
        let Begun::Yes(begun, staged) = begun.expect("records") else { panic!("nobody else was there") };
        let _ = control.end(&place.session, &begun, staged).expect("ends");
        let created = target.create(&place.session, &rows.schema()).expect("creates");
        assert!(!created.is_current(&place.session).expect("looks"), "it would fold rows in once more");
    }
}

#[test]
fn a_new_file_is_there_before_an_old_one_changes() {
    for place in Place::all() {
        let (begun, _) = place.begin(5);
        place.control.die_after(&place.session, &begun, 1).expect("puts");
        assert_eq!(place.rows(), named(&[("a.parquet", 1), ("new/5.parquet", 10)]));
    }
}

#[test]
fn a_writer_that_wakes_up_after_others_went_on_does_no_harm() {
    for steps in 0..=2 {
        for place in Place::all() {
            let (begun, staged) = place.begin(5);
            place.control.die_after(&place.session, &begun, steps).expect("puts");
            place.settle().expect("ends");
            let (second, own) = place.begin(6);
            assert_eq!(place.control.end(&place.session, &second, own).expect("ends"), End::Whole);
            let after = named(&[("a.parquet", 6), ("new/5.parquet", 10), ("new/6.parquet", 12)]);
            assert_eq!(place.rows(), after);
            assert_eq!(
                place.control.end(&place.session, &begun, staged).expect("sees that it is done"),
                End::Whole
            );
            assert_eq!((place.rows(), place.beside()), (after, vec!["head.json".to_owned()]));
            assert_eq!(place.last().map(|last| last.sequence()), Some(2));
        }
    }
}

#[test]
fn two_who_end_one_change_at_once_both_succeed() {
    for place in Place::all() {
        let (begun, staged) = place.begin(5);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| place.control.end(&place.session, &begun, staged));
            let others: Vec<_> = (0..4).map(|_| scope.spawn(|| place.settle())).collect();
            assert_eq!(first.join().expect("a writer").expect("ends"), End::Whole);
            for other in others {
                assert!(other.join().expect("a writer").expect("ends").is_some_and(|last| last.is_done()));
            }
        });
        assert_eq!(place.rows(), named(&[("a.parquet", 5), ("new/5.parquet", 10)]));
        assert_eq!(place.beside(), ["head.json"]);
    }
}

#[test]
fn of_two_changes_after_one_the_second_is_not_recorded_and_leaves_nothing() {
    for place in Place::all() {
        let late = place.draft(None, 9);
        let (begun, staged) = place.begin(5);
        assert!(matches!(late.begin(None).expect("asks"), Begun::No));
        assert_eq!(place.control.end(&place.session, &begun, staged).expect("ends"), End::Whole);
        assert_eq!(place.rows(), named(&[("a.parquet", 5), ("new/5.parquet", 10)]));
        assert_eq!(place.beside(), ["head.json"]);
        drop(place.draft(place.last().as_ref(), 9));
        assert_eq!(place.beside(), ["head.json"]);
    }
}

#[test]
fn what_a_writer_left_that_died_before_it_began_is_cleaned_by_the_next_change() {
    for place in Place::all() {
        std::mem::forget(place.draft(None, 9));
        assert_eq!(place.beside().len(), 2);
        let (begun, staged) = place.begin(5);
        assert_eq!(place.control.end(&place.session, &begun, staged).expect("ends"), End::Whole);
        assert_eq!(place.beside(), ["head.json"]);
    }
}

#[test]
fn a_file_that_somebody_else_changes_meanwhile_stays_as_he_left_it_and_the_writer_hears_of_it() {
    for place in Place::all() {
        let (begun, staged) = place.begin(5);
        place.foreign("a.parquet", 7);
        assert_ne!(place.control.end(&place.session, &begun, staged).expect("ends"), End::Whole);
        assert_eq!(place.rows(), named(&[("a.parquet", 7), ("new/5.parquet", 10)]));
        assert!(place.last().is_some_and(|last| last.is_done()));
        // It does not matter who of two ends it.
        let (begun, staged) = place.begin(6);
        place.foreign("a.parquet", 8);
        place.settle().expect("ends");
        assert_ne!(place.control.end(&place.session, &begun, staged).expect("ends"), End::Whole);
        assert_eq!(place.rows()[0], ("a.parquet".to_owned(), 8));
    }
}

#[test]
fn a_change_whose_files_are_gone_is_told_and_nothing_is_touched() {
    for place in Place::all() {
        let (_begun, _) = place.begin(5);
        for name in place.beside().iter().filter(|name| *name != "head.json") {
            place.session.delete(&place.control.folder().join(name).expect("a name")).expect("deletes");
        }
        let error = place.settle().map(drop).expect_err("cannot end it");
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert_eq!(place.rows(), named(&[("a.parquet", 1)]));
    }
}

#[test]
fn a_record_that_cannot_be_read_is_told() {
    for (text, kind) in [
        ("{", ErrorKind::InvalidData),
        ("", ErrorKind::InvalidData),
        ("{\"keyfold\":1}", ErrorKind::InvalidData),
        ("{\"keyfold\":2}", ErrorKind::Unsupported),
    ] {
        for place in Place::all() {
            let head = place.control.folder().join("head.json").expect("a name");
            let mut stage = place.session.open(&head).expect("opens").stage().expect("stages");
            stage.file().write_all(text.as_bytes()).expect("written");
            let committed = stage.commit(None).expect("writes");
            assert!(matches!(committed, crate::client::file::Commit::Committed { .. }));
            let error = place.settle().map(drop).expect_err("unreadable");
            assert!(error.kind() == kind && error.to_string().contains("head.json"), "{error}");
        }
    }
}

#[test]
fn a_writer_whose_answer_was_lost_knows_his_change_even_if_somebody_else_has_ended_it() {
    for place in Place::all() {
        let lost = place.draft(None, 9);
        let (begun, staged) = place.begin(5);
        place.settle().expect("ends");
        let Written::Made(found) = became(&begun.change, place.last()) else { panic!("it is his") };
        assert!(found.is_done());
        let record = place.last();
        assert_eq!(place.control.end(&place.session, &found, staged).expect("is ended"), End::Whole);
        assert_eq!(place.last().map(|last| last.change), record.map(|record| record.change));
        // Another one of the same number did not happen; of one that others went on from, nobody can tell.
        let other = Change::new(&place.session, Operation::Append, 1, "another", 0, Vec::new());
        assert!(matches!(became(&other, place.last()), Written::Lost));
        drop(lost);
        place.begin(6);
        for change in [&begun.change, &other] {
            assert!(matches!(became(change, place.last()), Written::Unknown));
        }
        assert!(matches!(became(&other, None), Written::Unknown));
    }
}

#[test]
fn a_change_of_which_nothing_is_done_is_given_up_if_a_file_has_changed_since_it_began() {
    for place in Place::all() {
        let (_begun, _) = place.begin(5);
        place.foreign("a.parquet", 7);
        let done = place.settle().expect("ends").expect("a record");
        assert!(done.is_done() && done.end() == End::GivenUp);
        assert_eq!(place.rows(), named(&[("a.parquet", 7)]));
        assert_eq!(place.beside(), ["head.json"]);
        // Once a part of it is done, the rest follows as far as it can.
        let (begun, _) = place.begin(6);
        place.control.die_after(&place.session, &begun, 1).expect("puts");
        place.foreign("a.parquet", 8);
        assert!(place.settle().expect("ends").is_some_and(|done| done.end() == End::Partly));
        assert_eq!(place.rows(), named(&[("a.parquet", 8), ("new/6.parquet", 12)]));
    }
}

#[test]
fn a_new_file_that_others_have_long_put_in_place_does_not_come_back() {
    for place in Place::all() {
        let (begun, staged) = place.begin(5);
        place.settle().expect("ends");
        let moved = place.table.join("new/5.parquet").expect("a name");
        place.session.delete(&moved).expect("deletes");
        assert_eq!(
            place.control.end(&place.session, &begun, staged).expect("sees that it is done"),
            End::Whole
        );
        assert_eq!(place.rows(), named(&[("a.parquet", 5)]));
    }
}

#[test]
fn a_change_goes_on_in_a_copy_of_the_folder() {
    for place in Place::all().into_iter().filter(|place| place.table.as_path().is_some()) {
        let (begun, _) = place.begin(5);
        place.control.die_after(&place.session, &begun, 1).expect("puts");
        // As a backup does that keeps times: another file, of the same content.
        let file = place.file("a.parquet").path().expect("on disk").to_owned();
        let modified = std::fs::metadata(&file).and_then(|data| data.modified()).expect("a time");
        std::fs::copy(&file, file.with_extension("copy")).expect("copied");
        std::fs::rename(file.with_extension("copy"), &file).expect("renamed");
        let copy = std::fs::File::options().write(true).open(&file).expect("opens");
        copy.set_modified(modified).expect("set");
        assert!(place.settle().expect("ends").is_some_and(|done| done.end() == End::Whole));
        assert_eq!(place.rows(), named(&[("a.parquet", 5), ("new/5.parquet", 10)]));
    }
}
