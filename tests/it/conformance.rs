//! Every case of the conformance suite, for every backend and kind of target, with the judge's answer
//! expected. What cannot run somewhere says why, and a cell in which fewer cases ran than before fails.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::sync::Arc;

use keyfold::arrow::array::{Array, ArrayRef, RecordBatch};
use keyfold::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use keyfold::arrow::util::display::array_value_to_string;
use keyfold::conformance::{
    Case, Counts, Expect, FileCase, Judgement, Sent, cases, file_cases, no_memory, run_time, table_of,
};
use keyfold::{
    Backend, Format, Frame, Location, NullIds, ReadOptions, Result, Stale, UpsertOptions, UpsertReport,
    WriteOptions,
};

use crate::doors::{Doors, batches_of};
use crate::places::Kind;

/// A file that rows are folded into.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Target {
    label: &'static str,
    name: &'static str,
    format: Format,
    /// Rows of a Parquet row group.
    group_rows: Option<usize>,
    /// Whether the table is partitioned, by the first column that is no id.
    partitioned: bool,
    /// Whether replaced rows are marked in deletion vectors.
    deletion_vectors: bool,
    /// Whether no incoming row may stay in memory.
    on_disk: bool,
    /// How many cases have to run.
    required: usize,
}

const TARGETS: &[Target] = &[
    Target {
        label: "parquet",
        name: "t.parquet",
        format: Format::Parquet,
        group_rows: None,
        partitioned: false,
        deletion_vectors: false,
        on_disk: false,
        required: 448,
    },
    Target {
        label: "parquet, a row group per row",
        name: "t.parquet",
        format: Format::Parquet,
        group_rows: Some(1),
        partitioned: false,
        deletion_vectors: false,
        on_disk: false,
        required: 316,
    },
    Target {
        label: "csv",
        name: "t.csv",
        format: Format::Csv,
        group_rows: None,
        partitioned: false,
        deletion_vectors: false,
        on_disk: false,
        required: 390,
    },
    Target {
        label: "ndjson",
        name: "t.ndjson",
        format: Format::Ndjson,
        group_rows: None,
        partitioned: false,
        deletion_vectors: false,
        on_disk: false,
        required: 362,
    },
    Target {
        label: "folder",
        name: "t/",
        format: Format::Parquet,
        group_rows: None,
        partitioned: false,
        deletion_vectors: false,
        on_disk: false,
        required: 448,
    },
    Target {
        label: "folder, partitioned",
        name: "t/",
        format: Format::Parquet,
        group_rows: None,
        partitioned: true,
        deletion_vectors: false,
        on_disk: false,
        required: 393,
    },
    #[cfg(feature = "delta")]
    Target {
        label: "delta",
        name: "t",
        format: Format::Delta,
        group_rows: None,
        partitioned: false,
        deletion_vectors: false,
        on_disk: false,
        required: 424,
    },
    #[cfg(feature = "delta")]
    Target {
        label: "delta, partitioned",
        name: "t",
        format: Format::Delta,
        group_rows: None,
        partitioned: true,
        deletion_vectors: false,
        on_disk: false,
        required: 424,
    },
    #[cfg(feature = "delta")]
    Target {
        label: "delta, deletion vectors",
        name: "t",
        format: Format::Delta,
        group_rows: None,
        partitioned: false,
        deletion_vectors: true,
        on_disk: false,
        required: 424,
    },
    #[cfg(feature = "delta")]
    Target {
        label: "delta, partitioned, deletion vectors",
        name: "t",
        format: Format::Delta,
        group_rows: None,
        partitioned: true,
        deletion_vectors: true,
        on_disk: false,
        required: 424,
    },
    Target {
        label: "parquet, rows on disk",
        name: "t.parquet",
        format: Format::Parquet,
        group_rows: None,
        partitioned: false,
        deletion_vectors: false,
        on_disk: true,
        required: 448,
    },
    Target {
        label: "folder, partitioned, rows on disk",
        name: "t/",
        format: Format::Parquet,
        group_rows: None,
        partitioned: true,
        deletion_vectors: false,
        on_disk: true,
        required: 393,
    },
    #[cfg(feature = "delta")]
    Target {
        label: "delta, partitioned, rows on disk",
        name: "t",
        format: Format::Delta,
        group_rows: None,
        partitioned: true,
        deletion_vectors: false,
        on_disk: true,
        required: 424,
    },
    #[cfg(feature = "delta")]
    Target {
        label: "delta, deletion vectors, rows on disk",
        name: "t",
        format: Format::Delta,
        group_rows: None,
        partitioned: false,
        deletion_vectors: true,
        on_disk: true,
        required: 424,
    },
];

/// How many of the cases about bytes have to run.
const REQUIRED_FILES: [(Format, usize); 2] = [(Format::Csv, 17), (Format::Ndjson, 15)];

/// How incoming rows are handed over.
#[derive(Debug, Clone, Copy)]
enum Feed {
    /// As a frame of the backend's own engine.
    Own,
    /// As Arrow batches of one row.
    RowByRow,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_ends_as_the_judge_says() {
    let places = Kind::ALL.iter().flat_map(|kind| TARGETS.iter().map(|target| (*kind, *target)));
    // What partitions change is what is written, not where: the slowest store need not see it again.
    let places = places.filter(|(kind, target)| target.is_plain() || *kind == Kind::Disk);
    // Where a backend is built alone, that is not another store.
    let only_disk = std::env::var_os("KEYFOLD_ONLY_DISK").is_some();
    let places = places.filter(|(kind, _)| !only_disk || *kind == Kind::Disk);
    let cells = Backend::names()
        .iter()
        .flat_map(|backend| places.clone().map(|(kind, target)| (*backend, kind, target)));
    let running: Vec<_> =
        cells.map(|(backend, kind, target)| tokio::spawn(run_cell(backend, kind, target))).collect();
    let mut faults = Vec::new();
    for cell in running {
        let cell = cell.await.expect("a cell");
        say(&cell.line());
        faults.extend(cell.faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What became of one backend and target.
struct Cell {
    name: String,
    ran: usize,
    ignored: BTreeMap<&'static str, usize>,
    faults: Vec<String>,
}

impl Cell {
    fn new(backend: &str, label: &str) -> Self {
        Self { name: format!("{backend}, {label}"), ran: 0, ignored: BTreeMap::new(), faults: Vec::new() }
    }

    fn line(&self) -> String {
        let ignored = self.ignored.iter().map(|(why, count)| format!("\n{:44}{count:>4} ignored: {why}", ""));
        format!("conformance: {:40}{:>5} ran{}", self.name, self.ran, ignored.collect::<String>())
    }

    fn check(&mut self, required: usize) {
        if self.ran < required {
            self.faults.push(format!("{}: {} cases ran, {required} have to", self.name, self.ran));
        }
    }
}

/// Prints where it is seen: the test harness keeps what is printed by macros to itself.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is open");
}

async fn run_cell(backend: &'static str, kind: Kind, target: Target) -> Cell {
    let mut cell = Cell::new(backend, &format!("{}, {}", kind.label(), target.label));
    // While one writes a case: only those whose names have this in them, or one of several with bars between.
    let asked = std::env::var("KEYFOLD_CASES").unwrap_or_default();
    let is_asked = |case: &Case| asked.split('|').any(|word| case.name.contains(word));
    for case in cases().into_iter().filter(is_asked) {
        if let Err(why) = target.takes(&case) {
            *cell.ignored.entry(why).or_default() += 1;
            continue;
        }
        cell.ran += 1;
        // In what form rows come in is nothing that a store sees, nor a partition: each case is tried in both where the target is plain
        // and on a disk, elsewhere every other one.
        let ways = [(Feed::Own, Feed::RowByRow), (Feed::RowByRow, Feed::Own)];
        let both = kind == Kind::Disk && target.is_plain();
        let ways = if both { &ways[..] } else { &ways[cell.ran % 2..=cell.ran % 2] };
        for (first, second) in ways.iter().copied() {
            if let Err(fault) = run_case(&case, Doors::at(backend, kind), target, first, second).await {
                cell.faults.push(format!("{}, {first:?}: {}: {fault}", cell.name, case.name));
            }
        }
    }
    if asked.is_empty() {
        cell.check(target.required);
    }
    cell
}

impl Target {
    fn is_plain(&self) -> bool {
        !self.partitioned && !self.deletion_vectors && !self.on_disk
    }

    fn takes(&self, case: &Case) -> Result<(), &'static str> {
        let format = if self.format == Format::Delta { Format::Parquet } else { self.format };
        if !case.scope.formats.contains(&format) {
            return Err(case.scope.why);
        }
        let kept = case.stored.as_ref().unwrap_or(&case.incoming).batch().expect("a batch");
        if self.format == Format::Delta && !kept.schema().fields().iter().all(|f| is_of_delta(f.data_type()))
        {
            return Err("Delta has no such type");
        }
        if self.partitioned && self.partition(case).is_none() {
            return Err("there is no column to partition by");
        }
        if self.is_folder()
            && self.partitioned
            && case.stored.as_ref().is_some_and(|s| s.batch().expect("a batch").num_rows() == 0)
        {
            return Err("a partitioned folder without rows has no files");
        }
        let stored = case.stored.as_ref().map_or(0, |stored| stored.batch().expect("a batch").num_rows());
        if self.group_rows.is_some_and(|rows| rows >= stored) {
            return Err("what is stored is one row group anyway");
        }
        Ok(())
    }

    fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }

    /// What is there, to be compared with itself: the bytes of a file, the names in the log of a table, the record of
    /// the last change to a folder.
    fn state(&self, doors: &Doors) -> Option<Vec<u8>> {
        if self.is_folder() {
            return doors.bytes(&format!(".{}.keyfold/head.json", self.name.trim_end_matches('/')));
        }
        if self.format != Format::Delta {
            return doors.bytes(self.name);
        }
        let log = doors.names_in(&format!("{}/_delta_log", self.name));
        (!log.is_empty()).then(|| log.join(" ").into_bytes())
    }

    /// The column by which the table is partitioned.
    fn partition(&self, case: &Case) -> Option<String> {
        let batches = [case.stored.as_ref(), Some(&case.incoming)].into_iter().flatten();
        let batches: Vec<_> = batches.map(|data| data.batch().expect("a batch")).collect();
        let fits = |name: &str, values: &ArrayRef| {
            let data_type = values.data_type();
            let is_empty = |row| array_value_to_string(values, row).is_ok_and(|text| text.is_empty());
            let plain = !data_type.is_nested() && !data_type.is_binary();
            plain
                && (!self.is_folder() || is_told_by_name(values))
                && !case.rule.ids.contains(&name)
                && (0..values.len()).all(|row| values.is_null(row) || !is_empty(row))
        };
        let can_be =
            |batch: &RecordBatch, name: &str| batch.column_by_name(name).is_none_or(|v| fits(name, v));
        let schema = batches[0].schema();
        // The name of a folder may always say that there is no value.
        let fields = schema.fields().iter().filter(|field| !self.is_folder() || field.is_nullable());
        let names = fields.map(|field| field.name().as_str());
        let found = names.into_iter().find(|name| batches.iter().all(|batch| can_be(batch, name)));
        found.filter(|_| self.partitioned).map(str::to_owned)
    }

    /// The types of the columns that are stored, where a file or a table says them.
    async fn types(&self, case: &Case, doors: &Doors) -> Option<Vec<(String, DataType)>> {
        let says = ["parquet", "delta"].contains(&self.label);
        if case.stored.is_none() || !says || !doors.is_on_disk() {
            return None;
        }
        let found = doors.read(&[self.name], ReadOptions::default()).await.expect("reads");
        let fields = found.schema().fields().clone();
        Some(fields.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect())
    }

    /// Where rows go that are left out and kept.
    fn quarantine(&self) -> &'static str {
        match self.format {
            Format::Csv => "q.csv",
            Format::Ndjson => "q.ndjson",
            Format::Parquet => "q.parquet",
            _ => "q",
        }
    }

    fn write_options(&self, case: &Case) -> WriteOptions {
        let options = match self.partition(case) {
            Some(column) => WriteOptions::default().with_partition_by([column]),
            None => WriteOptions::default(),
        };
        let options = if self.is_folder() { options.with_format(self.format) } else { options };
        let options = options.with_deletion_vectors(self.deletion_vectors);
        self.group_rows.into_iter().fold(options, WriteOptions::with_row_group_rows)
    }
}

/// Whether names of folders alone say the type of a column with these values, whichever of them are there.
fn is_told_by_name(values: &ArrayRef) -> bool {
    let is_word =
        |row| array_value_to_string(values, row).is_ok_and(|text| text.starts_with(char::is_alphabetic));
    match values.data_type() {
        DataType::Int64 | DataType::Date32 => values.null_count() == 0,
        DataType::Utf8 => (0..values.len()).all(|row| values.is_null(row) || is_word(row)),
        _ => false,
    }
}

/// Whether a column of this type comes back from a Delta table as it was.
fn is_of_delta(data_type: &DataType) -> bool {
    use DataType as D;
    match data_type {
        D::Boolean
        | D::Int8
        | D::Int16
        | D::Int32
        | D::Int64
        | D::Float32
        | D::Float64
        | D::Utf8
        | D::Binary
        | D::Date32
        | D::Decimal128(..) => true,
        D::Timestamp(TimeUnit::Microsecond, zone) => zone.as_deref().is_none_or(|zone| zone == "UTC"),
        _ => false,
    }
}

async fn run_case(
    case: &Case,
    doors: Doors,
    target: Target,
    first: Feed,
    second: Feed,
) -> Result<(), String> {
    if let Some(stored) = &case.stored {
        let rows = Frame::from(stored.batch().expect("a batch"));
        let written = doors.data.write_opts(rows, target.name, target.write_options(case)).await;
        written.map_err(|e| format!("the stored rows: {e:?}"))?;
    }
    let before = target.state(&doors);
    let types = target.types(case, &doors).await;
    let report = match (fold(case, &doors, target, first).await, case.expect) {
        (Err(error), Expect::Refused { kind, message }) => {
            same("refusal", &(error.kind(), error.message()), &(kind, message))?;
            same("a quarantine", &has_quarantine(&doors, target), &false)?;
            return unchanged(&doors, target, before.as_ref());
        }
        (result, Expect::Refused { message, .. }) => {
            return Err(format!("not refused: {message}: {result:?}"));
        }
        (result, Expect::Counts(_)) => result.map_err(|e| format!("{e:?}"))?,
    };
    let Judgement::Merged(table, counts) = case.judge().expect("a judgement") else {
        return Err("the judge refuses".to_owned());
    };
    same("counts", &report.rows, counts.as_ref())?;
    check_quarantine(case, &doors, target, &report, 1).await?;
    let changes = !counts.is_no_change();
    same("created", &report.created, &(changes && before.is_none()))?;
    if !changes {
        same("bytes written", &report.work.bytes_written, &Some(0))?;
        unchanged(&doors, target, before.as_ref())?;
    }
    if target.state(&doors).is_none() {
        same("rows without a file", &table.rows.len(), &0)?;
        return twice(case, &doors, target, second).await;
    }
    if let (Some(types), Some(after)) = (types, target.types(case, &doors).await) {
        same("stored types", &after[..types.len()], &types[..])?;
    }
    let schema = case.columns_after().expect("columns");
    // Columns that only names of folders say come last.
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let options = ReadOptions::default().with_schema(schema).with_columns(columns);
    let found = doors.read(&[target.name], options).await.map_err(|e| format!("reading back: {e:?}"))?;
    let (mut found, mut table) = (table_of(&found).expect("a table"), table);
    if target.partitioned || target.deletion_vectors {
        // Rows of several files have no order.
        found.rows.sort_by_cached_key(|row| format!("{row:?}"));
        table.rows.sort_by_cached_key(|row| format!("{row:?}"));
    }
    same("rows", &found, &table)?;
    twice(case, &doors, target, second).await
}

async fn fold(case: &Case, doors: &Doors, target: Target, feed: Feed) -> Result<UpsertReport> {
    let batch = case.incoming.batch().expect("a batch");
    let rows = match feed {
        Feed::Own => doors.own_frame(batch).await,
        Feed::RowByRow => Frame::from_batches(batch.schema(), batches_of(1, &batch)),
    };
    let rule = case.rule.to_merge_rule().expect("a rule");
    let options = UpsertOptions::default().with_run_time(run_time());
    let options = match target.partition(case) {
        Some(column) => options.with_partition_by([column]),
        None => options,
    };
    let options = if target.is_folder() { options.with_format(target.format) } else { options };
    let options = if target.on_disk { options.with_memory_limit(no_memory()) } else { options };
    let options = if puts_aside(case) {
        options.with_quarantine(target.quarantine().parse::<Location>().expect("a location"))
    } else {
        options
    };
    let report = doors.upsert.upsert_opts(rows, target.name, &rule, options).await?;
    let is_spilled = report.spilled_bytes > 0;
    assert_eq!(is_spilled, target.on_disk && report.rows.incoming > 0, "{}: {}", target.label, case.name);
    Ok(report)
}

/// Twice is once: no row changes, nothing is written.
async fn twice(case: &Case, doors: &Doors, target: Target, feed: Feed) -> Result<(), String> {
    let before = target.state(doors);
    let again = fold(case, doors, target, feed).await.map_err(|e| format!("the second time: {e:?}"))?;
    let seen = (again.rows.inserted, again.rows.updated, again.work.bytes_written, again.work.files_added);
    same("the second time", &seen, &(0, 0, Some(0), 0))?;
    check_quarantine(case, doors, target, &again, 2).await?;
    unchanged(doors, target, before.as_ref())
}

fn puts_aside(case: &Case) -> bool {
    let choices = case.rule.choices;
    choices.null_ids == NullIds::Quarantine || choices.stale == Stale::Quarantine
}

fn has_quarantine(doors: &Doors, target: Target) -> bool {
    let name = target.quarantine();
    doors.bytes(name).is_some() || !doors.names_in(&format!("{name}/_delta_log")).is_empty()
}

/// The rows that are left out stand in the quarantine as they came in, once for each run, and say why.
async fn check_quarantine(
    case: &Case,
    doors: &Doors,
    target: Target,
    report: &UpsertReport,
    runs: usize,
) -> Result<(), String> {
    let expected = case.quarantined().expect("a judgement");
    let name = puts_aside(case).then(|| doors.place(target.quarantine()).to_string());
    same("the quarantine", &report.quarantine, &name)?;
    same("rows in quarantine", &report.rows.quarantined, &(expected.len() as u64))?;
    if expected.is_empty() {
        return same("a quarantine", &has_quarantine(doors, target), &false);
    }
    let incoming = case.incoming.batch().expect("a batch");
    let reasons = ["reason", "run_id", "source_row"].map(|name| format!("_keyfold_{name}"));
    let types = [DataType::Utf8, DataType::Utf8, DataType::Int64];
    let more = reasons.iter().zip(types).map(|(name, own)| Field::new(name, own, true));
    let own = incoming.schema();
    let fields = own.fields().iter().map(|field| field.as_ref().clone()).chain(more);
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let found = doors.rows(target.quarantine(), schema).await;
    let found = table_of(&found.map_err(|e| format!("the quarantine: {e:?}"))?).expect("a table");
    let came_in = table_of(&incoming).expect("a table");
    let row = |(number, reason): &(usize, &str)| {
        let run = &report.run_id;
        format!("{:?} {reason:?} {run:?} {number}", came_in.rows[number - 1])
    };
    let once: Vec<String> = expected.iter().map(row).collect();
    let seen = |row: &Vec<_>| {
        let (own, more) = row.split_at(row.len() - 3);
        let text =
            |cell: &_| format!("{cell:?}").trim_start_matches("Text(").trim_end_matches(')').to_owned();
        let number = format!("{:?}", more[2]);
        let number = number.trim_start_matches("Int(").trim_end_matches(')');
        format!("{own:?} {} {} {number}", text(&more[0]), text(&more[1]))
    };
    let mut seen: Vec<String> = found.rows.iter().map(seen).collect();
    let mut expected: Vec<String> = (0..runs).flat_map(|_| once.clone()).collect();
    if target.format == Format::Delta {
        // Rows of several files have no order.
        seen.sort();
        expected.sort();
    }
    same("columns of the quarantine", &found.columns[own.fields().len()..], &reasons[..])?;
    same("the quarantine", &seen, &expected)
}

fn unchanged(doors: &Doors, target: Target, before: Option<&Vec<u8>>) -> Result<(), String> {
    if target.state(doors).as_ref() != before {
        return Err("the file changed".to_owned());
    }
    if target.format == Format::Delta || target.is_folder() {
        // Its files are those that its log names; a folder of a store is seen by what is below it.
        return Ok(());
    }
    let names: Vec<String> = before.map(|_| target.name.to_owned()).into_iter().collect();
    let mut found = doors.names();
    found.retain(|name| name != target.quarantine());
    same("files", &found, &names)
}

fn same<T: PartialEq + Debug + ?Sized>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_file_has_the_bytes_it_should() {
    let mut faults = Vec::new();
    let kinds =
        Kind::ALL.iter().flat_map(|kind| REQUIRED_FILES.map(|(format, required)| (*kind, format, required)));
    let cells = Backend::names().iter().flat_map(|backend| kinds.clone().map(move |kind| (*backend, kind)));
    for (backend, (kind, format, required)) in cells {
        let mut cell = Cell::new(backend, &format!("{}, bytes of {format}", kind.label()));
        for case in file_cases().iter().filter(|case| case.format == format) {
            cell.ran += 1;
            if let Err(fault) = run_file_case(case, &Doors::at(backend, kind)).await {
                cell.faults.push(format!("{}: {}: {fault}", cell.name, case.name));
            }
        }
        cell.check(required);
        say(&cell.line());
        faults.extend(cell.faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn run_file_case(case: &FileCase, doors: &Doors) -> Result<(), String> {
    let name = format!("t.{}", case.format);
    doors.file(&name, case.stored);
    // Once, and twice is once.
    for round in 0..2 {
        let seen = match fold_sent(case, doors, &name).await {
            Ok(report) if round == 1 => {
                same("the second time", &report.work.bytes_written, &Some(0))?;
                case.expect
            }
            Ok(report) => Expect::Counts(Counts::from(&report.rows)),
            Err(error) => match case.expect {
                Expect::Refused { kind, message } if (kind, message) == (error.kind(), error.message()) => {
                    case.expect
                }
                _ => return Err(format!("{error:?}")),
            },
        };
        same("counts", &seen, &case.expect)?;
        let found = String::from_utf8(doors.bytes(&name).expect("a file")).expect("text");
        same("the file", &found.as_str(), &case.after)?;
    }
    Ok(())
}

async fn fold_sent(case: &FileCase, doors: &Doors, target: &str) -> Result<UpsertReport> {
    let rule = case.rule.to_merge_rule().expect("a rule");
    let options = UpsertOptions::default();
    match &case.sent {
        Sent::Rows(rows) => {
            let rows = doors.own_frame(rows.batch().expect("a batch")).await;
            doors.upsert.upsert_opts(rows, target, &rule, options).await
        }
        Sent::File(text) => {
            let name = format!("in.{}", case.format);
            doors.file(&name, text);
            doors.upsert.upsert_files(&[name], ReadOptions::default(), target, &rule, options).await
        }
    }
}
