//! Random tables and batches: every backend and format ends as the judge says, whatever the values, and
//! what the rules promise of all inputs holds for them.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

use keyfold::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use keyfold::arrow::compute::{concat_batches, take_record_batch};
use keyfold::conformance::{Judgement, columns_after, judge, table_of};
use keyfold::{
    Backend, Casting, ColumnPolicy, DeleteMarks, Duplicates, ExtraColumns, Format, Frame, IncomingColumns,
    Location, Lossy, MaxDelete, MergeRule, MissingColumns, NameCase, Newest, NullIds, NullModified, Result,
    Stale, StoredDuplicates, Ties, UpsertMethod, UpsertOptions, UpsertReport, Winner, WriteOptions,
};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use tokio::runtime::Runtime;

use crate::doors::{Doors, FORMATS, batches_of};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

/// One row before it has types: small numbers from which every column's value is made.
#[derive(Debug, Clone)]
struct Seed {
    id: Option<u8>,
    part: u8,
    at: Option<u8>,
    value: u8,
}

/// What the modification column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Ints,
    Floats,
    Words,
    IsoText,
    Instants,
    LocalTimes,
}

/// Who wins, and whether versions settle the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wins {
    Incoming,
    IncomingSettled,
    Newest,
}

/// What is said instead of the defaults.
#[derive(Debug, Clone, Default)]
struct Said {
    /// Rows are only added, only updated, or mirrored, where the winner allows it.
    only: Option<UpsertMethod>,
    duplicates: Option<Duplicates>,
    ties: Ties,
    stale: Stale,
    nulls: NullModified,
    null_ids: NullIds,
    stored_duplicates: StoredDuplicates,
    extra: ExtraColumns,
    missing: MissingColumns,
    lossy: Lossy,
    case: NameCase,
    delete_where: Option<&'static str>,
    /// Whether rows that meet a delete mark stay.
    soft: bool,
    scope: Option<&'static str>,
    max_delete: Option<MaxDelete>,
    allow_empty: bool,
    policies: Vec<(&'static str, ColumnPolicy)>,
}

/// Everything that one run depends on.
#[derive(Debug, Clone)]
struct Input {
    stored: Vec<Seed>,
    incoming: Vec<Seed>,
    at: At,
    text_ids: bool,
    composite: bool,
    wins: Wins,
    said: Said,
    /// Columns of values that do not come in.
    absent: [bool; 3],
    swapped: bool,
    batch_rows: usize,
    group_rows: usize,
}

impl Input {
    fn rule(&self, format: Format) -> MergeRule {
        let ids: &[&str] = if self.composite { &["id", "part"] } else { &["id"] };
        let said = &self.said;
        let settled = || Newest::by("at").with_nulls(said.nulls);
        let newest = || settled().with_ties(said.ties).with_stale(said.stale);
        let (method, modified) = match (self.wins, said.only) {
            (Wins::Incoming, only) => (only.unwrap_or(UpsertMethod::Id), None),
            (Wins::IncomingSettled, Some(UpsertMethod::InsertOnly)) => {
                (UpsertMethod::InsertOnly, Some(settled()))
            }
            (Wins::IncomingSettled, _) => (UpsertMethod::Id, Some(settled())),
            (Wins::Newest, Some(only @ (UpsertMethod::UpdateOnly | UpsertMethod::Mirror))) => {
                (only, Some(newest()))
            }
            (Wins::Newest, _) => (UpsertMethod::Modified, Some(newest())),
        };
        let rule = MergeRule::new(method, ids.iter().copied(), modified).expect("a rule");
        let rule = rule.with_extra_columns(self.extra(format)).with_missing_columns(said.missing);
        let rule = rule.with_casting(Casting::default().with_lossy(said.lossy));
        let columns = IncomingColumns::default().with_case(said.case);
        let rule = rule.with_columns(columns).expect("a rule");
        let mut rule = match said.duplicates {
            Some(duplicates) => rule.with_duplicates(duplicates),
            None => rule,
        };
        if let Some(most) = said.max_delete {
            rule = rule.with_max_delete(most);
        }
        if let Some(scope) = said.scope {
            rule = rule.with_scope(scope.parse().expect("a condition"));
        }
        if method != UpsertMethod::InsertOnly {
            if let Some(condition) = said.delete_where {
                let condition = condition.parse().expect("a condition");
                let marks = if self.has_flag(format) {
                    DeleteMarks::soft(condition, "gone")
                } else {
                    DeleteMarks::hard(condition)
                };
                rule = rule.with_delete_marks(marks).expect("marks");
            }
            for (column, policy) in &said.policies {
                rule = rule.with_policy(*column, *policy).expect("a policy");
            }
        }
        let rule =
            rule.with_null_ids(said.null_ids).with_stored_duplicates(said.stored_duplicates).expect("a rule");
        rule.with_empty_allowed(said.allow_empty)
    }

    /// What becomes of a column that is not stored. Of an NDJSON file no record may say it, if rows just go.
    fn extra(&self, format: Format) -> ExtraColumns {
        match self.said.extra {
            ExtraColumns::Add if format == Format::Ndjson => ExtraColumns::Ignore,
            extra => extra,
        }
    }

    /// Whether a column says of stored rows that they are deleted: in text, what it holds would be told from its values.
    fn has_flag(&self, format: Format) -> bool {
        self.said.soft && format == Format::Parquet
    }

    /// `None` for a table without rows where the format cannot hold one.
    fn stored(&self, format: Format) -> Option<RecordBatch> {
        let exists = format != Format::Ndjson || !self.stored.is_empty();
        let stored = exists.then(|| table(&self.stored, self.at, self.text_ids, format))?;
        if !self.has_flag(format) {
            return Some(stored);
        }
        let gone = self.stored.iter().map(|seed| (seed.value % 7 > 0).then_some(seed.value % 3 == 0));
        Some(with_column(&stored, "gone", Arc::new(gone.collect::<BooleanArray>())))
    }

    /// The shares as text, of which some is no number.
    fn with_misfits(&self, whole: &RecordBatch) -> RecordBatch {
        let share = |seed: &Seed| match share(seed.value / 3, Format::Parquet) {
            _ if seed.value.is_multiple_of(4) => Some("half".to_owned()),
            share => share.map(|share| share.to_string()),
        };
        let shares: ArrayRef = Arc::new(self.incoming.iter().map(share).collect::<StringArray>());
        let schema = whole.schema();
        let columns = schema.fields().iter().zip(whole.columns()).map(|(field, values)| {
            let values = if field.name() == "share" { Arc::clone(&shares) } else { Arc::clone(values) };
            (field.name(), values, true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
    }

    fn incoming(&self, format: Format) -> RecordBatch {
        let mut whole = table(&self.incoming, self.at, self.text_ids, format);
        if self.extra(format) != ExtraColumns::Error {
            let more = (0_i64..).map(|row| (row % 3 > 0).then_some(row));
            let more = more.take(whole.num_rows()).collect::<Int64Array>();
            whole = with_column(&whole, "more", Arc::new(more));
        }
        if self.said.lossy == Lossy::Null && format == Format::Parquet {
            whole = self.with_misfits(&whole);
        }
        let absent = |name: &str| match name {
            "word" => self.absent[0],
            "share" => self.absent[1],
            "done" => self.absent[2],
            _ => false,
        };
        let schema = whole.schema();
        let mut kept: Vec<usize> =
            (0..whole.num_columns()).filter(|i| !absent(schema.field(*i).name())).collect();
        if self.swapped {
            kept.reverse();
        }
        let kept = whole.project(&kept).expect("columns");
        if self.said.case == NameCase::Exact || format != Format::Parquet || self.stored.is_empty() {
            return kept;
        }
        let schema = kept.schema();
        let loud = |name: &str| if name == "share" { "SHARE".to_owned() } else { name.to_owned() };
        let columns = schema.fields().iter().map(|field| loud(field.name())).zip(kept.columns());
        let columns = columns.map(|(name, values)| (name, Arc::clone(values), true));
        RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
    }
}

/// A batch with one more column.
fn with_column(batch: &RecordBatch, name: &str, values: ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns =
        schema.fields().iter().map(|field| field.name().as_str()).zip(batch.columns().iter().cloned());
    let columns = columns.chain([(name, values)]).map(|(name, values)| (name, values, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

const WORDS: [Option<&str>; 12] = [
    None,
    Some(""),
    Some("a"),
    Some("b"),
    Some("Ä"),
    Some("a,b"),
    Some("\"q\""),
    Some("line\nend"),
    Some(" padded "),
    Some("null"),
    Some("x\ty\r\n"),
    Some("long enough that no view holds it inline"),
];

const SHARES: [Option<f64>; 8] =
    [None, Some(0.0), Some(-0.0), Some(1.5), Some(-2.25), Some(1e300), Some(0.1), Some(f64::NAN)];

/// A float that `format` can hold: JSON has no NaN, and a CSV column of nothing else holds words.
fn share(seed: u8, format: Format) -> Option<f64> {
    SHARES[usize::from(seed) % SHARES.len()].filter(|share| format == Format::Parquet || !share.is_nan())
}

/// The rows of `seeds`; columns id, part, at, word, share, done.
fn table(seeds: &[Seed], at: At, text_ids: bool, format: Format) -> RecordBatch {
    let ids: ArrayRef = if text_ids {
        let id = |seed: &Seed| seed.id.map(|id| format!("k{id}"));
        Arc::new(seeds.iter().map(id).collect::<StringArray>())
    } else {
        Arc::new(seeds.iter().map(|seed| seed.id.map(i64::from)).collect::<Int64Array>())
    };
    let parts = seeds.iter().map(|seed| Some(if seed.part == 0 { "p" } else { "q" }));
    let words = seeds.iter().map(|seed| WORDS[usize::from(seed.value) % WORDS.len()]);
    let shares = seeds.iter().map(|seed| share(seed.value / 3, format));
    let done = seeds.iter().map(|seed| (seed.value % 5 > 0).then_some(seed.value % 2 == 0));
    let columns: [(&str, ArrayRef); 6] = [
        ("id", ids),
        ("part", Arc::new(parts.collect::<StringArray>())),
        ("at", versions(seeds, at, format)),
        ("word", Arc::new(words.collect::<StringArray>())),
        ("share", Arc::new(shares.collect::<Float64Array>())),
        ("done", Arc::new(done.collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)))
        .expect("a batch")
}

fn versions(seeds: &[Seed], at: At, format: Format) -> ArrayRef {
    let numbers = || seeds.iter().map(|seed| seed.at);
    let millis = || numbers().map(|at| at.map(|at| i64::from(at) * 250 - 1_000)).collect();
    match at {
        At::Ints => Arc::new(numbers().map(|at| at.map(i64::from)).collect::<Int64Array>()),
        At::Floats => {
            Arc::new(numbers().map(|at| at.and_then(|at| share(at, format))).collect::<Float64Array>())
        }
        At::Words => Arc::new(numbers().map(|at| at.map(|at| format!("v{at}"))).collect::<StringArray>()),
        At::IsoText => Arc::new(numbers().map(|at| at.map(|at| iso(at, format))).collect::<StringArray>()),
        At::Instants => {
            let millis: TimestampMillisecondArray = millis();
            Arc::new(millis.with_timezone("UTC"))
        }
        At::LocalTimes => {
            let millis: TimestampMillisecondArray = millis();
            Arc::new(millis)
        }
    }
}

/// Instants in text whose order is not that of the text: offsets, and fractions of several lengths. In CSV a column
/// of such text is one of timestamps, which keeps its zone; there are no offsets then, which would be lost.
fn iso(at: u8, format: Format) -> String {
    match at % 4 {
        0 => format!("2021-05-22T02:51:{:02}Z", at / 4),
        1 => format!("2021-05-22T02:51:{:02}.5Z", at / 4),
        2 if format == Format::Csv => format!("2021-05-22T02:51:{:02}.75Z", at / 4),
        2 => format!("2021-05-22T04:51:{:02}+02:00", at / 4),
        _ if format == Format::Csv => format!("2021-05-22T02:51:{:02}.125Z", at / 4),
        _ => format!("2021-05-21T22:51:{:02}.250-04:00", at / 4),
    }
}

/// Rows of few ids, so that they meet; now and then one without an id.
fn seeds(most: usize, ids: u8) -> impl Strategy<Value = Vec<Seed>> {
    let id = prop_oneof![400 => (0..ids).prop_map(Some), 1 => Just(None)];
    let at = prop_oneof![9 => (0_u8..12).prop_map(Some), 1 => Just(None)];
    let seed = (id, 0_u8..2, at, 0_u8..24).prop_map(|(id, part, at, value)| Seed { id, part, at, value });
    proptest::collection::vec(seed, 0..=most)
}

/// Mostly nothing is said of a case.
fn said() -> impl Strategy<Value = Said> {
    use UpsertMethod::{InsertOnly, Mirror, UpdateOnly};
    let only = prop_oneof![
        4 => Just(None),
        1 => Just(Some(InsertOnly)),
        1 => Just(Some(UpdateOnly)),
        2 => Just(Some(Mirror)),
    ];
    let duplicates = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Duplicates::First)),
        1 => Just(Some(Duplicates::Last)),
        1 => Just(Some(Duplicates::Error)),
    ];
    let ties = prop_oneof![4 => Just(Ties::Incoming), 2 => Just(Ties::Keep), 1 => Just(Ties::Error)];
    let stale = prop_oneof![6 => Just(Stale::Ignore), 1 => Just(Stale::Error), 3 => Just(Stale::Quarantine)];
    let nulls = prop_oneof![9 => Just(NullModified::Lowest), 1 => Just(NullModified::Error)];
    let extra = prop_oneof![
        3 => Just(ExtraColumns::Error),
        1 => Just(ExtraColumns::Ignore),
        2 => Just(ExtraColumns::Add),
    ];
    let missing = prop_oneof![
        8 => Just(MissingColumns::Keep),
        1 => Just(MissingColumns::Error),
        2 => Just(MissingColumns::Null),
    ];
    let lossy = prop_oneof![2 => Just(Lossy::Error), 1 => Just(Lossy::Null)];
    let case = prop_oneof![3 => Just(NameCase::Exact), 1 => Just(NameCase::Fold)];
    let stored = prop_oneof![
        5 => Just(StoredDuplicates::Error),
        2 => Just(StoredDuplicates::Repair),
        2 => Just(StoredDuplicates::All),
    ];
    let null_ids = prop_oneof![
        6 => Just(NullIds::Error),
        1 => Just(NullIds::Match),
        1 => Just(NullIds::Skip),
        2 => Just(NullIds::Quarantine),
    ];
    let rules = (only, duplicates, ties, stale, nulls, extra, missing, (lossy, case));
    (rules, (stored, null_ids), deletes(), policies()).prop_map(
        |((only, duplicates, ties, stale, nulls, extra, missing, cells), ids, deletes, policies)| {
            let ((lossy, case), (stored_duplicates, null_ids)) = (cells, ids);
            let (delete_where, soft, scope, max_delete, allow_empty) = deletes;
            Said {
                only,
                duplicates,
                ties,
                stale,
                nulls,
                null_ids,
                stored_duplicates,
                extra,
                missing,
                lossy,
                case,
                delete_where,
                soft,
                scope,
                max_delete,
                allow_empty,
                policies,
            }
        },
    )
}

type Deletes = (Option<&'static str>, bool, Option<&'static str>, Option<MaxDelete>, bool);

/// By columns that always come in, and are text in every format.
fn deletes() -> impl Strategy<Value = Deletes> {
    let delete_where = prop_oneof![3 => Just(None), 1 => Just(Some("part = 'q'"))];
    let scope = prop_oneof![
        5 => Just(None),
        1 => Just(Some("part = 'p'")),
        1 => Just(Some("part <> 'p' OR part IS NULL")),
        1 => Just(Some("part IN ('p', 'q')")),
    ];
    let most = prop_oneof![
        8 => Just(None),
        1 => Just(Some(MaxDelete::Rows(5))),
        1 => Just(Some(MaxDelete::Percent(50))),
    ];
    (delete_where, any::<bool>(), scope, most, any::<bool>())
}

fn policies() -> impl Strategy<Value = Vec<(&'static str, ColumnPolicy)>> {
    use ColumnPolicy::{InsertOnly, KeepIfNull, Max, Min, Newest};
    let policy = || {
        prop_oneof![
            4 => Just(Newest),
            1 => Just(InsertOnly),
            1 => Just(KeepIfNull),
            1 => Just(Max),
            1 => Just(Min),
        ]
    };
    (policy(), policy(), policy())
        .prop_map(|(word, share, done)| vec![("word", word), ("share", share), ("done", done)])
}

/// Rows in which each id occurs once, as a stored table should be; a null is no id.
fn unique(seeds: Vec<Seed>, composite: bool) -> Vec<Seed> {
    let mut seen = std::collections::HashSet::new();
    seeds.into_iter().filter(|s| s.id.is_none() || seen.insert((s.id, composite.then_some(s.part)))).collect()
}

/// The same rows, of which some have no id where that is no error.
fn with_null_ids(mut seeds: Vec<Seed>, null_ids: NullIds) -> Vec<Seed> {
    for seed in seeds.iter_mut().filter(|seed| null_ids != NullIds::Error && seed.value == 7) {
        seed.id = None;
    }
    seeds
}

fn inputs() -> impl Strategy<Value = Input> {
    let at = prop_oneof![
        Just(At::Ints),
        Just(At::Floats),
        Just(At::Words),
        Just(At::IsoText),
        Just(At::Instants),
        Just(At::LocalTimes),
    ];
    let wins =
        prop_oneof![5 => Just(Wins::Newest), 2 => Just(Wins::IncomingSettled), 3 => Just(Wins::Incoming)];
    let rarely = || proptest::bool::weighted(0.1);
    let rows = (seeds(60, 60), seeds(60, 90), rarely(), rarely());
    let shape = (at, wins, any::<bool>(), any::<bool>(), any::<bool>());
    let sizes = (1_usize..30, 1_usize..30);
    (rows, shape, [rarely(), rarely(), rarely()], sizes, said()).prop_map(
        |(rows, shape, absent, sizes, said)| {
            let (stored, incoming, doubled, twins) = rows;
            let (at, wins, text_ids, composite, swapped) = shape;
            let (batch_rows, group_rows) = sizes;
            // Twins that nothing settles are refused, as a rule also what is stored twice: now and then is enough.
            let doubled = doubled || said.stored_duplicates != StoredDuplicates::Error;
            let loose = wins != Wins::Incoming || twins;
            let stored = if doubled { stored } else { unique(stored, composite) };
            let incoming = if loose { incoming } else { unique(incoming, composite) };
            let [stored, incoming] = [stored, incoming].map(|seeds| with_null_ids(seeds, said.null_ids));
            Input {
                stored,
                incoming,
                at,
                text_ids,
                composite,
                wins,
                said,
                absent,
                swapped,
                batch_rows,
                group_rows,
            }
        },
    )
}

/// Every backend with every format.
fn cells() -> impl Iterator<Item = (&'static str, Format, String)> {
    let backends = Backend::names().iter();
    backends.flat_map(|backend| FORMATS.map(|(format, ext)| (*backend, format, format!("t.{ext}"))))
}

fn same<T: PartialEq + Debug>(found: &T, expected: &T, what: &str) -> TestCaseResult {
    if found == expected {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{what}:\n   found {found:?}\nexpected {expected:?}")))
}

async fn store(doors: &Doors, name: &str, batch: RecordBatch, group_rows: usize) {
    let options = WriteOptions::default().with_row_group_rows(group_rows);
    let rows = doors.own_frame(batch).await;
    doors.data.write_opts(rows, name, options).await.expect("stored");
}

async fn fold(doors: &Doors, name: &str, rows: impl Into<Frame>, rule: &MergeRule) -> Result<UpsertReport> {
    let stale = |newest: &Newest| newest.stale == Stale::Quarantine;
    let is_kept = matches!(rule.winner(), Winner::Newest(newest) if stale(newest))
        || rule.to_owned().with_null_ids(NullIds::Quarantine) == *rule;
    let kept = is_kept.then(|| "q.parquet".parse::<Location>().expect("a location"));
    let options = kept.into_iter().fold(UpsertOptions::default(), UpsertOptions::with_quarantine);
    doors.upsert.upsert_opts(rows, name, rule, options).await
}

async fn equals_the_judge(
    input: &Input,
    backend: &'static str,
    format: Format,
    name: &str,
) -> TestCaseResult {
    let (doors, rule) = (Doors::new(backend), input.rule(format));
    let (stored, incoming) = (input.stored(format), input.incoming(format));
    if let Some(stored) = &stored {
        store(&doors, name, stored.clone(), input.group_rows).await;
    }
    let before = doors.bytes(name);
    let rows = Frame::from_batches(incoming.schema(), batches_of(input.batch_rows, &incoming));
    let rows = if input.swapped { crate::doors::own_frame(backend, rows).await } else { rows };
    let what = format!("{backend}, {name}");
    let result = fold(&doors, name, rows, &rule).await;
    let (table, counts) = match judge(stored.as_ref(), &incoming, &rule).expect("a judgement") {
        Judgement::Refused { kind, message } => {
            let found = result.as_ref().map_err(|e| (e.kind(), e.message())).map(|report| &report.rows);
            same(&found, &Err((kind, message)), &what)?;
            return same(&doors.bytes(name), &before, &what);
        }
        Judgement::Merged(table, counts) => (table, counts),
    };
    let report = result.map_err(|e| TestCaseError::fail(format!("{what}: {e:?}")))?;
    same(&report.rows, counts.as_ref(), &what)?;
    let after = doors.bytes(name);
    if after.is_some() {
        let schema = match &stored {
            Some(stored) => columns_after(stored, &incoming, &rule).expect("columns"),
            None => incoming.schema(),
        };
        let found =
            doors.rows(name, schema).await.map_err(|e| TestCaseError::fail(format!("{what}: {e:?}")))?;
        let found = table_of(&found).expect("a table");
        // Without a row, NDJSON has no columns either.
        same(&found.rows, &table.rows, &what)?;
        same(&found.columns, if found.rows.is_empty() { &found.columns } else { &table.columns }, &what)?;
    }
    let again = fold(&doors, name, doors.own_frame(incoming).await, &rule).await.expect("twice");
    same(&(again.rows.is_no_change(), again.work.bytes_written), &(true, Some(0)), &what)?;
    same(&doors.bytes(name), &after, &what)
}

async fn reads_back(input: &Input, backend: &'static str, format: Format, name: &str) -> TestCaseResult {
    let Some(stored) = input.stored(format) else { return Ok(()) };
    let doors = Doors::new(backend);
    store(&doors, name, stored.clone(), input.group_rows).await;
    for reader in Backend::names() {
        let data = keyfold::DataReaderWriter::builder().backend(*reader).build().expect("a door");
        let path = doors.path(name).display().to_string();
        let options = keyfold::ReadOptions::default().with_schema(stored.schema());
        let frame = data.read_opts(&[path], options).await.expect("read");
        let found = crate::doors::collected(frame).await.expect("rows");
        let [found, expected] = [&found, &stored].map(|rows| table_of(rows).expect("a table"));
        same(&found, &expected, &format!("{backend} to {reader}, {name}"))?;
    }
    Ok(())
}

/// The rows of a file, ordered by id: what comes first in two halves may come last in the whole.
async fn by_id(doors: &Doors, name: &str, batch: &RecordBatch) -> Option<RecordBatch> {
    doors.bytes(name)?;
    let rows = doors.rows(name, batch.schema()).await.expect("read");
    let keys = table_of(&rows.project(&[0, 1]).expect("columns")).expect("a table").rows;
    let mut order: Vec<usize> = (0..rows.num_rows()).collect();
    order.sort_by_key(|row| format!("{:?}", keys[*row]));
    let order = keyfold::arrow::array::UInt32Array::from_iter_values(
        order.iter().map(|row| u32::try_from(*row).expect("few")),
    );
    Some(take_record_batch(&rows, &order).expect("rows"))
}

async fn halves_equal_the_whole(
    input: &Input,
    backend: &'static str,
    format: Format,
    name: &str,
) -> TestCaseResult {
    let rule = input.rule(format);
    let whole = table(&input.incoming, input.at, input.text_ids, format);
    let middle = whole.num_rows() / 2;
    let halves = vec![whole.slice(0, middle), whole.slice(middle, whole.num_rows() - middle)];
    let mut ends = Vec::new();
    for parts in [vec![concat_batches(&whole.schema(), &halves).expect("rows")], halves] {
        let doors = Doors::new(backend);
        if let Some(stored) = input.stored(format) {
            store(&doors, name, stored, input.group_rows).await;
        }
        for part in parts {
            let folded = fold(&doors, name, part, &rule).await;
            folded.map_err(|e| TestCaseError::fail(format!("{backend}, {name}: {e:?}")))?;
        }
        let rows = by_id(&doors, name, &whole).await;
        ends.push(rows.map(|rows| table_of(&rows).expect("a table")));
    }
    same(&ends[1], &ends[0], &format!("{backend}, {name}"))
}

fn for_every_cell<'a, F>(run: impl Fn(&'static str, Format, String) -> F + 'a) -> TestCaseResult
where
    F: Future<Output = TestCaseResult> + 'a,
{
    cells().try_for_each(|(backend, format, name)| RUNTIME.block_on(run(backend, format, name)))
}

/// 48 cases each, unless `PROPTEST_CASES` says otherwise.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48);
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_backend_and_format_equals_the_judge_and_twice_is_once(input in inputs()) {
        for_every_cell(|backend, format, name| {
            let input = &input;
            async move { equals_the_judge(input, backend, format, &name).await }
        })?;
    }

    #[test]
    fn what_is_written_is_what_every_backend_reads(input in inputs()) {
        for_every_cell(|backend, format, name| {
            let input = &input;
            async move { reads_back(input, backend, format, &name).await }
        })?;
    }

    #[test]
    fn two_halves_of_a_batch_equal_the_whole(mut input in inputs()) {
        // Both hold for batches that are not refused, and where versions decide.
        (input.wins, input.said) = (Wins::Newest, Said::default());
        input.stored = unique(input.stored, input.composite);
        input.incoming.retain(|seed| seed.id.is_some());
        for_every_cell(|backend, format, name| {
            let input = &input;
            async move { halves_equal_the_whole(input, backend, format, &name).await }
        })?;
    }
}
