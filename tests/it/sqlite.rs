//! A judge from outside: histories of upserts end with the rows that `SQLite` has after the same history of
//! `INSERT … ON CONFLICT … DO UPDATE`.

use std::sync::Arc;

use keyfold::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use keyfold::arrow::datatypes::{Float64Type, Int64Type};
use keyfold::{
    Backend, ColumnPolicy, DeleteMarks, Frame, MergeRule, Newest, UpsertMethod, UpsertOptions, UpsertReport,
};
use rusqlite::{Connection, params};

use crate::doors::{Doors, own_frame};

const HISTORIES: u64 = 100;

/// What holds for delete marks.
const MARK: &str = "share = 0.1";

/// An id, a modification value, a word and a share.
type Row = (i64, Option<i64>, Option<String>, Option<f64>);

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: i64) -> i64 {
        self.roll().rem_euclid(limit.unsigned_abs()).cast_signed()
    }

    pub(crate) fn one_in(&mut self, many: i64) -> bool {
        self.below(many) == 0
    }
}

/// One upsert: rows, by newest version or by id alone, and whether the words come in at all.
#[derive(Debug)]
struct Step {
    rows: Vec<Row>,
    newest: bool,
    words: bool,
    /// Rows are only added, only updated, or mirrored.
    only: Option<UpsertMethod>,
    more: More,
}

/// What else is said.
#[derive(Debug, Clone, Copy, PartialEq)]
enum More {
    Nothing,
    /// Rows whose share is 0.1 are delete marks.
    Marks,
    /// The greater share stays, and a null does not overwrite a word.
    Policies,
}

impl Step {
    fn new(dice: &mut Dice) -> Self {
        let newest = !dice.one_in(3);
        let only = [UpsertMethod::InsertOnly, UpsertMethod::UpdateOnly, UpsertMethod::Mirror];
        let only = dice.one_in(2).then(|| only[usize::try_from(dice.below(3)).expect("small")]);
        let changes = only != Some(UpsertMethod::InsertOnly);
        let more = match dice.below(4) {
            0 if changes => More::Marks,
            1 if changes => More::Policies,
            _ => More::Nothing,
        };
        // To SQLite the first of several new rows is the one that counts, and no newer one changes it.
        let newest = newest && only != Some(UpsertMethod::InsertOnly);
        let mut rows: Vec<Row> = (0..dice.below(30)).map(|_| row(dice)).collect();
        if !newest || more != More::Nothing {
            // Without a version, twins are refused: SQLite would take the last. And it would see all of them, one by one.
            let mut seen = std::collections::HashSet::new();
            rows.retain(|row| seen.insert(row.0));
        }
        Self { rows, newest, words: !dice.one_in(4), only, more }
    }

    fn rule(&self) -> MergeRule {
        let newest = self.newest.then(|| Newest::by("at"));
        let method = if self.newest { UpsertMethod::Modified } else { UpsertMethod::Id };
        let rule = MergeRule::new(self.only.unwrap_or(method), ["id"], newest).expect("a rule");
        let mut rule = rule.with_empty_allowed(true);
        if self.more == More::Marks {
            let marks = DeleteMarks::hard(MARK.parse().expect("a condition"));
            rule = rule.with_delete_marks(marks).expect("marks");
        }
        if self.more == More::Policies {
            let policies = [("share", ColumnPolicy::Max), ("word", ColumnPolicy::KeepIfNull)];
            rule = policies
                .into_iter()
                .try_fold(rule, |rule, (column, policy)| rule.with_policy(column, policy))
                .expect("policies");
        }
        rule
    }

    fn batch(&self) -> RecordBatch {
        let ids: ArrayRef = Arc::new(self.rows.iter().map(|row| Some(row.0)).collect::<Int64Array>());
        let at: ArrayRef = Arc::new(self.rows.iter().map(|row| row.1).collect::<Int64Array>());
        let words: ArrayRef = Arc::new(self.rows.iter().map(|row| row.2.as_deref()).collect::<StringArray>());
        let shares: ArrayRef = Arc::new(self.rows.iter().map(|row| row.3).collect::<Float64Array>());
        let mut columns = vec![("id", ids, true), ("at", at, true), ("share", shares, true)];
        if self.words {
            columns.insert(2, ("word", words, true));
        }
        RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
    }

    /// The same in SQL, row by row.
    fn run(&self, sqlite: &Connection) {
        let word =
            if self.more == More::Policies { "coalesce(excluded.word, t.word)" } else { "excluded.word" };
        let set = format!(", word = {word}");
        let (column, value, set) = if self.words { (", word", ", ?3", set.as_str()) } else { ("", "", "") };
        let greater = "coalesce(max(excluded.share, t.share), excluded.share, t.share)";
        let share = if self.more == More::Policies { greater } else { "excluded.share" };
        // A null version is lower than every other, and equal to itself.
        let newer = if self.newest { "WHERE excluded.at >= t.at OR t.at IS NULL" } else { "" };
        let values = format!("SELECT ?1 AS id, ?2 AS at, ?4 AS share{}", value.replace("?3", "?3 AS word"));
        let update = format!("DO UPDATE SET at = excluded.at, share = {share}{set} {newer}");
        let (stored, action) = match self.only {
            Some(UpsertMethod::InsertOnly) => ("", "DO NOTHING".to_owned()),
            Some(UpsertMethod::UpdateOnly) => ("AND id IN (SELECT id FROM t)", update),
            _ => ("", update),
        };
        let sql = format!(
            "INSERT INTO t (id, at, share{column}) \
             SELECT id, at, share{column} FROM ({values}) WHERE true {stored} ON CONFLICT (id) {action}"
        );
        // An unused parameter is an error to rusqlite.
        let sql = if self.words { sql } else { sql.replace("?4", "?3") };
        let mut statement = sqlite.prepare(&sql).expect("SQL");
        let newer = if self.newest { "AND (?2 >= at OR at IS NULL)" } else { "AND ?2 IS ?2" };
        let delete = format!("DELETE FROM t WHERE id = ?1 {newer}");
        for (id, at, word, share) in &self.rows {
            if self.more == More::Marks && *share == Some(0.1) {
                sqlite.execute(&delete, params![id, at]).expect("deletes");
                continue;
            }
            let done = if self.words {
                statement.execute(params![id, at, word, share])
            } else {
                statement.execute(params![id, at, share])
            };
            done.expect("runs");
        }
        if self.only == Some(UpsertMethod::Mirror) {
            let ids: Vec<String> = self.rows.iter().map(|row| row.0.to_string()).collect();
            let delete = format!("DELETE FROM t WHERE id NOT IN ({})", ids.join(", "));
            sqlite.execute(&delete, []).expect("deletes");
        }
    }
}

fn row(dice: &mut Dice) -> Row {
    let at = (!dice.one_in(8)).then(|| dice.below(20) - 5);
    let word = (!dice.one_in(6)).then(|| format!("w{}", dice.below(5)));
    let share =
        (!dice.one_in(6)).then(|| [0.5, -1.25, 1e200, 0.1][usize::try_from(dice.below(4)).expect("small")]);
    (dice.below(40) - 10, at, word, share)
}

fn rows_of_sqlite(sqlite: &Connection) -> Vec<Row> {
    let mut statement = sqlite.prepare("SELECT id, at, word, share FROM t ORDER BY id").expect("SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.expect("runs").map(|row| row.expect("a row")).collect()
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| batch.column_by_name(name).expect("a column");
    let (ids, at) = (column("id").as_primitive::<Int64Type>(), column("at").as_primitive::<Int64Type>());
    let words = keyfold::arrow::compute::cast(column("word"), &keyfold::arrow::datatypes::DataType::Utf8);
    let (words, shares) = (words.expect("text"), column("share").as_primitive::<Float64Type>());
    let words = words.as_string::<i32>();
    let mut rows: Vec<Row> = (0..batch.num_rows())
        .map(|i| {
            let word = words.is_valid(i).then(|| words.value(i).to_owned());
            (
                ids.value(i),
                at.is_valid(i).then(|| at.value(i)),
                word,
                shares.is_valid(i).then(|| shares.value(i)),
            )
        })
        .collect();
    rows.sort_by_key(|row| row.0);
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_of_upserts_end_as_in_sqlite() {
    for seed in 0..HISTORIES {
        history(seed).await;
    }
}

async fn history(seed: u64) {
    let mut dice = Dice(seed);
    let sqlite = Connection::open_in_memory().expect("opens");
    sqlite
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER, word TEXT, share REAL)")
        .expect("SQL");
    let doors = Doors::new(Backend::names()[0]);
    // The first upsert makes the file, so it has every column and a row.
    let first =
        Step { rows: vec![row(&mut dice)], newest: true, words: true, only: None, more: More::Nothing };
    let rest = (0..=dice.below(6)).map(|_| Step::new(&mut dice)).collect::<Vec<_>>();
    for (number, step) in std::iter::once(first).chain(rest).enumerate() {
        let backend = Backend::names()[number % Backend::names().len()];
        step.run(&sqlite);
        let report = fold(&doors, backend, &step).await;
        let expected = rows_of_sqlite(&sqlite);
        let schema =
            doors.data.schema(&["t.parquet"], keyfold::ReadOptions::default()).await.expect("a schema");
        let found = doors.rows("t.parquet", schema).await.expect("read");
        let what = format!("seed {seed}, upsert {number} by {backend}: {step:?}");
        assert_eq!(rows_of(&found), expected, "{what}");
        assert_eq!(report.rows.rows_after, Some(expected.len() as u64), "{what}");
    }
}

async fn fold(doors: &Doors, backend: &str, step: &Step) -> UpsertReport {
    let path = doors.path("t.parquet").display().to_string();
    let upsert = keyfold::Upsert::builder().backend(backend).build().expect("a door");
    let rows = own_frame(backend, Frame::from(step.batch())).await;
    upsert.upsert_opts(rows, &path, &step.rule(), UpsertOptions::default()).await.expect("folded")
}
