//! A judge from outside for rows that a key constraint would not take: ids that are stored more than once, or null, and rows
//! that say that they are deleted. `SQLite` does to a table without a key what an upsert is said to do.

use std::collections::HashSet;
use std::sync::Arc;

use keyfold::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use keyfold::arrow::compute::cast;
use keyfold::arrow::datatypes::{DataType, Int64Type};
use keyfold::{
    Backend, DeleteMarks, Frame, MergeRule, NullIds, StoredDuplicates, UpsertOptions, WriteOptions,
};
use rusqlite::{Connection, params};

use crate::doors::{Doors, own_frame};
use crate::sqlite::Dice;

const TABLES: u64 = 150;

/// What holds for delete marks.
const MARK: &str = "word = 'w0'";

/// An id, a modification value, a word, and whether it is deleted.
type Row = (Option<i64>, Option<i64>, Option<String>, Option<bool>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Marks {
    None,
    Hard,
    Soft,
}

/// What is stored, and what is done to it.
#[derive(Debug)]
struct Upsert {
    stored: Vec<Row>,
    incoming: Vec<Row>,
    null_ids: NullIds,
    duplicates: StoredDuplicates,
    marks: Marks,
}

impl Upsert {
    fn new(dice: &mut Dice) -> Self {
        let null_ids = if dice.one_in(2) { NullIds::Match } else { NullIds::Skip };
        let duplicates = if dice.one_in(2) { StoredDuplicates::All } else { StoredDuplicates::Repair };
        let marks = [Marks::None, Marks::Hard, Marks::Soft];
        let marks = marks[usize::try_from(dice.below(3)).expect("small")];
        let stored = (0..dice.below(40)).map(|_| row(dice)).collect();
        let mut seen = HashSet::new();
        let mut incoming: Vec<Row> = (0..dice.below(15)).map(|_| row(dice)).collect();
        incoming.retain(|row| seen.insert(row.0) || row.0.is_none() && null_ids == NullIds::Skip);
        Self { stored, incoming, null_ids, duplicates, marks }
    }

    fn rule(&self) -> MergeRule {
        let rule = MergeRule::by_modified(["id"], "at").expect("a rule").with_null_ids(self.null_ids);
        let rule = rule.with_stored_duplicates(self.duplicates).expect("a rule");
        let condition = MARK.parse().expect("a condition");
        let marks = match self.marks {
            Marks::None => return rule,
            Marks::Hard => DeleteMarks::hard(condition),
            Marks::Soft => DeleteMarks::soft(condition, "gone"),
        };
        rule.with_delete_marks(marks).expect("marks")
    }

    /// The same in SQL; gives how many rows were duplicates.
    fn run(&self, sqlite: &Connection) -> usize {
        let mut insert = sqlite.prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4)").expect("SQL");
        for (id, at, word, gone) in &self.stored {
            insert.execute(params![id, at, word, gone]).expect("inserts");
        }
        let is_id = if self.null_ids == NullIds::Match { "true" } else { "id IS NOT NULL" };
        let best = "row_number() OVER (PARTITION BY id ORDER BY at DESC NULLS LAST, rowid DESC)";
        let others = format!(
            "SELECT r FROM (SELECT rowid AS r, {best} AS place FROM t WHERE {is_id}) WHERE place > 1"
        );
        let repaired = match self.duplicates {
            StoredDuplicates::Repair => {
                sqlite.execute(&format!("DELETE FROM t WHERE rowid IN ({others})"), []).expect("deletes")
            }
            _ => 0,
        };
        let older = "id IS ?1 AND (?2 >= at OR at IS NULL)";
        let revived = if self.marks == Marks::Soft { ", gone = iif(gone, false, gone)" } else { "" };
        let update = format!("UPDATE t SET at = ?2, word = ?3{revived} WHERE {older}");
        let new = "INSERT INTO t SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM t WHERE id IS ?1)";
        let is_there = (self.marks == Marks::Soft).then_some(false);
        for (id, at, word, _) in self.incoming.iter().filter(|row| row.0.is_some() || is_id == "true") {
            match (self.marks, word.as_deref()) {
                (Marks::Hard, Some("w0")) => {
                    sqlite
                        .execute(&format!("DELETE FROM t WHERE {older}"), params![id, at])
                        .expect("deletes");
                }
                (Marks::Soft, Some("w0")) => {
                    let stamp = format!("UPDATE t SET at = ?2, gone = iif(gone, gone, true) WHERE {older}");
                    sqlite.execute(&stamp, params![id, at]).expect("stamps");
                }
                _ => {
                    sqlite.execute(&update, params![id, at, word]).expect("updates");
                    sqlite.execute(new, params![id, at, word, is_there]).expect("inserts");
                }
            }
        }
        repaired
    }
}

fn row(dice: &mut Dice) -> Row {
    let id = (!dice.one_in(10)).then(|| dice.below(15));
    let at = (!dice.one_in(8)).then(|| dice.below(12) - 5);
    let word = (!dice.one_in(6)).then(|| format!("w{}", dice.below(4)));
    let gone = (!dice.one_in(4)).then(|| dice.one_in(2));
    (id, at, word, gone)
}

fn batch(rows: &[Row], has_flag: bool) -> RecordBatch {
    let ids: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>());
    let at: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
    let words: ArrayRef = Arc::new(rows.iter().map(|row| row.2.as_deref()).collect::<StringArray>());
    let flags: ArrayRef = Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>());
    let columns = [("id", ids, true), ("at", at, true), ("word", words, true)].into_iter();
    let columns = columns.chain(has_flag.then_some(("gone", flags, true)));
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

fn rows_of_sqlite(sqlite: &Connection) -> Vec<Row> {
    let mut statement = sqlite.prepare("SELECT id, at, word, gone FROM t ORDER BY rowid").expect("SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.expect("runs").map(|row| row.expect("a row")).collect()
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let number = |column: usize, row: usize| {
        let values = batch.column(column).as_primitive::<Int64Type>();
        values.is_valid(row).then(|| values.value(row))
    };
    let words = cast(batch.column(2), &DataType::Utf8).expect("text");
    let (words, flags) = (words.as_string::<i32>(), batch.column(3).as_boolean());
    let row = |row: usize| {
        let word = words.is_valid(row).then(|| words.value(row).to_owned());
        (number(0, row), number(1, row), word, flags.is_valid(row).then(|| flags.value(row)))
    };
    (0..batch.num_rows()).map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_a_key_end_as_in_sqlite() {
    let mut repaired_at_all = 0;
    for seed in 0..TABLES {
        let upsert = Upsert::new(&mut Dice(seed));
        let sqlite = Connection::open_in_memory().expect("opens");
        sqlite
            .execute_batch("CREATE TABLE t (id INTEGER, at INTEGER, word TEXT, gone BOOLEAN)")
            .expect("SQL");
        let repaired = upsert.run(&sqlite) as u64;
        repaired_at_all += repaired;
        let backend = Backend::names()[usize::try_from(seed).expect("small") % Backend::names().len()];
        let doors = Doors::new(backend);
        let stored = batch(&upsert.stored, true);
        let options = WriteOptions::default().with_row_group_rows(7);
        doors.data.write_opts(Frame::from(stored.clone()), "t.parquet", options).await.expect("written");
        let incoming = own_frame(backend, Frame::from(batch(&upsert.incoming, false))).await;
        let options = UpsertOptions::default();
        let report = doors.upsert.upsert_opts(incoming, "t.parquet", &upsert.rule(), options).await;
        let report = report.unwrap_or_else(|error| panic!("seed {seed}: {upsert:?}: {error:?}"));
        let found = doors.rows("t.parquet", stored.schema()).await.expect("read");
        assert_eq!(rows_of(&found), rows_of_sqlite(&sqlite), "seed {seed}: {upsert:?}");
        assert_eq!(report.rows.repaired, repaired, "seed {seed}: {upsert:?}");
    }
    assert!(repaired_at_all > 500, "{repaired_at_all}");
}
