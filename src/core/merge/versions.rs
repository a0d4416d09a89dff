//! What becomes of versions where a table keeps history: incoming ones are put between those that are stored, and say when the
//! ones before them end.
//!
//! All stored versions of the ids that come in are gathered first, for they are shown in any order; memory grows with these.

mod line;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::row::{Row, Rows};

use super::MergeRule;
use super::history::History;
use super::outcome::{Made, Pair};
use super::settle::Incoming;
use crate::core::cast::exact;
use crate::core::schema::{find_column, type_name};
use crate::core::text::print;
use crate::error::{Error, ErrorKind, Result};
pub(super) use line::Landing;
use line::Line;

/// The stored versions of ids that came in.
#[derive(Debug)]
pub(super) struct Versions<'a> {
    rule: &'a MergeRule,
    history: &'a History,
    met: Vec<Met>,
    /// Stored versions that hold and whose id did not come in.
    left: Vec<u64>,
    /// Since when, and until when, those of each batch hold.
    times: Vec<Times>,
    /// Stored rows and incoming ones that are equal in all other columns.
    same: HashSet<(u64, u32)>,
}

/// A stored version, and an incoming row with its id.
#[derive(Debug, Clone, Copy)]
struct Met {
    id: u32,
    stored_row: u64,
    /// Where its times are.
    at: Place,
    /// Whether it has no end.
    holds: bool,
}

/// A batch, and a row of it.
type Place = (usize, usize);

#[derive(Debug)]
struct Times {
    from: ArrayRef,
    to: ArrayRef,
    from_ranks: Rows,
    to_ranks: Rows,
}

/// A moment that is written somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// When an incoming row begins.
    Incoming(u32),
    /// When a stored version begins.
    From(Place),
    /// When a stored version ends.
    To(Place),
    /// The greatest time that came in.
    Latest,
    Never,
}

/// A row to be written.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The row whose place it takes, if it takes one.
    stored_row: Option<u64>,
    /// The row that came in, unless it just ends a stored version.
    incoming: Option<u32>,
    /// The stored row that has its values in columns that do not come in.
    base: Option<u64>,
    is_stamp: bool,
    to: When,
}

/// What becomes of all versions.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Incoming rows, and what they are; of others there is nothing to say.
    pub(super) landed: Vec<(u32, Landing)>,
    /// Incoming rows that begin when a stored version does that differs.
    pub(super) tied: Vec<u32>,
    /// Incoming rows whose id has stored versions that overlap.
    pub(super) doubled: Vec<u32>,
    /// Stored versions that end because of a delete mark, or because their id did not come in.
    pub(super) closed: u64,
    /// Rows that take the place of others.
    changed: Vec<Entry>,
    /// Rows that are added.
    added: Vec<Entry>,
}

impl Plan {
    /// Whether versions end whose id did not come in.
    pub(super) fn ends_missing(&self) -> bool {
        self.changed.iter().any(|entry| entry.incoming.is_none())
    }
}

impl<'a> Versions<'a> {
    /// The versions of a table with the columns of `stored`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a version cannot be without an end there.
    pub(super) fn new(history: &'a History, stored: &Schema, rule: &'a MergeRule) -> Result<Self> {
        let [valid_to, is_current] = history.columns.ends();
        let to = stored.field(find_column(stored, valid_to, "column of the history")?);
        find_column(stored, is_current, "column of the history")?;
        if !to.is_nullable() {
            return Err(Error::new(ErrorKind::InvalidInput, "the stored column takes no nulls")
                .with("column", valid_to)
                .hint("versions that hold have no end: let the column take nulls"));
        }
        let (met, left, times, same) = Default::default();
        Ok(Self { rule, history, met, left, times, same })
    }

    /// Takes in stored rows, each with an incoming one of its id: `times` are their columns of the history. Gives the pairs of which
    /// the other columns are to be compared.
    pub(super) fn meet(
        &mut self,
        incoming: &Incoming,
        times: &RecordBatch,
        met: &[(u64, u32)],
        is_rejected: impl Fn(u32) -> bool,
    ) -> Result<Vec<Pair>> {
        let (order, ranks) = incoming.ordered()?;
        self.check_ends(times)?;
        let from = ArrayRef::clone(times.column(0));
        let to = self.time_as(times.column(1), from.data_type())?;
        let (from_ranks, to_ranks) = (order.ranks(&from)?, order.ranks(&to)?);
        let chunk = self.times.len();
        let mut open = Vec::new();
        for (place, (stored_row, id)) in met.iter().enumerate() {
            let holds = to.is_null(place);
            self.met.push(Met { id: *id, stored_row: *stored_row, at: (chunk, place), holds });
            let (rows, begins) = (incoming.versions(id), from_ranks.row(place));
            let first = rows.partition_point(|row| ranks.row(incoming.source_row(*row)) < begins);
            let is_same_time = |row: &&u32| ranks.row(incoming.source_row(**row)) == begins;
            // Without a modification column there is one row of an id, and what holds may be it.
            let is_what_holds = holds && self.history.source.is_none();
            let row = rows.get(first).filter(is_same_time).or_else(|| rows.first().filter(|_| is_what_holds));
            let row = row.filter(|row| !incoming.is_mark(**row) && !is_rejected(**row));
            open.extend(row.map(|row| Pair { stored_row: *stored_row, incoming: *row, is_stamp: false }));
        }
        self.times.push(Times { from, to, from_ranks, to_ranks });
        Ok(open)
    }

    /// Takes in stored rows whose id did not come in: `rows` of `keys`, of which `first_row` is the number of the first. Those that
    /// hold, and began before the latest of what came in, end with that.
    pub(super) fn leave(
        &mut self,
        incoming: &Incoming,
        keys: &RecordBatch,
        rows: &[u32],
        first_row: u64,
    ) -> Result<()> {
        let (order, _) = incoming.ordered()?;
        let ids = self.rule.ids().len();
        let to = keys.column(ids + 1).logical_nulls();
        let holds = |row: &&u32| to.as_ref().is_some_and(|to| to.is_null(**row as usize));
        let rows: Vec<u32> = rows.iter().filter(holds).copied().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let Some(latest) = incoming.latest.as_ref().filter(|latest| latest.num_rows() > 0) else {
            return Err(Error::new(ErrorKind::InvalidInput, "nothing came in that says when versions end")
                .hint("versions that are missing end with the time of the rows that come in: let delete marks end them, which have one"));
        };
        let end = order.rows(latest)?;
        let from = take(keys.column(ids), &UInt32Array::from(rows.clone()), None).map_err(unmade)?;
        let from = order.ranks(&from)?;
        let ahead = (0..rows.len()).filter(|place| from.row(*place) > end.row(0)).count();
        if self.history.source.is_none() && ahead > 0 {
            return Err(is_ahead().with("rows", ahead));
        }
        let ending = rows.iter().enumerate().filter(|(place, _)| from.row(*place) < end.row(0));
        self.left.extend(ending.map(|(_, row)| first_row + u64::from(*row)));
        Ok(())
    }

    /// Says that the rows of a pair are equal.
    pub(super) fn is_same(&mut self, pair: &Pair) {
        self.same.insert((pair.stored_row, pair.incoming));
    }

    /// Refuses versions that hold and have an end.
    fn check_ends(&self, times: &RecordBatch) -> Result<()> {
        let Some(is_current) = times.column(2).as_boolean_opt() else { return Ok(()) };
        let is_wrong =
            |(row, holds): &(usize, Option<bool>)| *holds == Some(true) && times.column(1).is_valid(*row);
        let wrong = is_current.iter().enumerate().filter(is_wrong).count();
        if wrong == 0 {
            return Ok(());
        }
        let [valid_to, is_current] = self.history.columns.ends();
        Err(Error::new(ErrorKind::InvalidInput, "stored versions are current and have an end")
            .with("rows", wrong)
            .with("current", is_current)
            .with("end", valid_to)
            .hint("a version that holds has a null there, not a day far ahead"))
    }

    fn time_as(&self, times: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        exact(times, to).map_err(|_| {
            let [valid_from, valid_to, _] = self.history.columns.all();
            Error::new(ErrorKind::InvalidInput, "versions do not end in the type in which they begin")
                .with("columns", format!("{valid_from}, {valid_to}"))
                .with("types", format!("{}, {}", type_name(to), type_name(times.data_type())))
                .hint("give both columns one type, and values of one form")
        })
    }

    /// Puts the incoming versions between those that are stored.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a stored version begins after the time of this run, which is that of incoming ones.
    pub(super) fn plan(&mut self, incoming: &Incoming, is_rejected: impl Fn(u32) -> bool) -> Result<Plan> {
        let mut met = std::mem::take(&mut self.met);
        let (order, ranks) = incoming.ordered()?;
        let begin = find_column(&incoming.batch().schema(), order.column(), "column of the history")?;
        let nothing = new_null_array(incoming.batch().column(begin).data_type(), 1);
        let moments = Moments { incoming, ranks, nothing: order.ranks(&nothing)?, times: &self.times };
        met.sort_unstable_by(|a, b| {
            let begin = || moments.compare(When::From(a.at), When::From(b.at));
            a.id.cmp(&b.id).then_with(begin).then(a.stored_row.cmp(&b.stored_row))
        });
        let mut plan = Plan::default();
        let mut left = &met[..];
        for id in incoming.heads() {
            let (own, rest) = left.split_at(left.partition_point(|met| met.id <= id));
            left = rest;
            let rows: Vec<u32> =
                incoming.versions(&id).iter().copied().filter(|row| !is_rejected(*row)).collect();
            if let Some(row) = rows.first() {
                match Line::new(self, &moments, own) {
                    Some(line) => line.fold(&rows, &mut plan)?,
                    None => plan.doubled.push(*row),
                }
            }
        }
        plan.closed += self.left.len() as u64;
        let end = |row| Entry {
            stored_row: Some(row),
            incoming: None,
            base: None,
            is_stamp: true,
            to: When::Latest,
        };
        plan.changed.extend(std::mem::take(&mut self.left).into_iter().map(end));
        plan.changed.sort_unstable_by_key(|entry| entry.stored_row);
        plan.added.sort_unstable_by_key(|entry| entry.incoming);
        Ok(plan)
    }

    /// The rows that a plan writes: first those that take the places of others, then those that are added; and which stored
    /// ones they replace.
    pub(super) fn made(&self, incoming: &Incoming, plan: &Plan) -> Result<(Made, Vec<Pair>)> {
        let entries: Vec<Entry> = plan.changed.iter().chain(&plan.added).copied().collect();
        let rows: UInt32Array = entries.iter().map(|entry| entry.incoming).collect();
        // What just ends a stored version says nothing else.
        let schema = incoming.batch().schema();
        let optional = |field: &FieldRef| Arc::new(Field::clone(field).with_nullable(true));
        let schema = Arc::new(Schema::new(schema.fields().iter().map(optional).collect::<Vec<_>>()));
        let picked = |column: &ArrayRef| take(column, &rows, None).map_err(unmade);
        let mut columns = incoming.batch().columns().iter().map(picked).collect::<Result<Vec<_>>>()?;
        let [valid_from, valid_to, is_current] = self.history.columns.all();
        let place = |name| find_column(&schema, name, "column of the history");
        let (from, to, current) = (place(valid_from)?, place(valid_to)?, place(is_current)?);
        columns[to] = self.ends(incoming, incoming.batch().column(from), &entries)?;
        columns[to] = self.time_as(&columns[to], schema.field(to).data_type())?;
        let holds: BooleanArray = entries.iter().map(|entry| Some(entry.to == When::Never)).collect();
        let holds: ArrayRef = Arc::new(holds);
        let told = schema.field(current).data_type();
        let is_text = matches!(told, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let holds = if is_text { Arc::new(print(holds.as_ref())?) } else { holds };
        columns[current] = exact(&holds, told).map_err(|_| {
            Error::new(ErrorKind::InvalidInput, "this type does not say whether a version holds")
                .with("column", is_current)
                .with("type", type_name(told))
                .hint("the column holds booleans, or the words true and false")
        })?;
        let batch = RecordBatch::try_new(schema, columns).map_err(unmade)?;
        let source = |entry: &Entry| entry.incoming.map(|row| incoming.source_rows()[row as usize]);
        let sources = entries.iter().map(source).collect();
        let computed = [valid_to, is_current].map(ToOwned::to_owned).to_vec();
        let pairs = (0..).zip(&plan.changed).filter_map(|(row, entry)| {
            Some(Pair { stored_row: entry.stored_row?, incoming: row, is_stamp: entry.is_stamp })
        });
        let bases = entries.iter().map(|entry| entry.base).collect();
        Ok((Made { batch, sources, bases, computed }, pairs.collect()))
    }

    /// When versions end, in the type in which they begin.
    fn ends(&self, incoming: &Incoming, own: &ArrayRef, entries: &[Entry]) -> Result<ArrayRef> {
        let never = new_null_array(own.data_type(), 1);
        let latest = incoming.latest.as_ref().map_or(own, |latest| latest.column(0));
        let stored = self.times.iter().flat_map(|times| [&times.from, &times.to]);
        let all = [own, &never, latest].into_iter().chain(stored);
        let all: Vec<&dyn Array> = all.map(|times| times.as_ref() as &dyn Array).collect();
        let place = |entry: &Entry| match entry.to {
            When::Incoming(row) => (0, row as usize),
            When::Never => (1, 0),
            When::Latest => (2, 0),
            When::From((chunk, row)) => (3 + 2 * chunk, row),
            When::To((chunk, row)) => (4 + 2 * chunk, row),
        };
        interleave(&all, &entries.iter().map(place).collect::<Vec<_>>()).map_err(unmade)
    }
}

/// Compares moments.
#[derive(Debug)]
struct Moments<'a> {
    incoming: &'a Incoming,
    ranks: &'a Rows,
    /// The rank of a null.
    nothing: Rows,
    times: &'a [Times],
}

impl Moments<'_> {
    fn rank(&self, when: When) -> Option<Row<'_>> {
        match when {
            When::Incoming(row) => Some(self.ranks.row(self.incoming.source_row(row))),
            When::From((chunk, row)) => Some(self.times[chunk].from_ranks.row(row)),
            When::To((chunk, row)) => Some(self.times[chunk].to_ranks.row(row)),
            When::Never | When::Latest => None,
        }
    }

    /// Whether an incoming row says no time.
    fn is_nothing(&self, row: u32) -> bool {
        self.ranks.row(self.incoming.source_row(row)) == self.nothing.row(0)
    }

    /// Never is later than every moment.
    fn compare(&self, left: When, right: When) -> Ordering {
        match (self.rank(left), self.rank(right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            (left, right) => left.is_none().cmp(&right.is_none()),
        }
    }
}

/// The refusal of versions that are told by the time of the run, which is before that of stored ones.
fn is_ahead() -> Error {
    Error::new(ErrorKind::InvalidInput, "a stored version begins after the time of this run").hint(
        "look at the clock of this machine, or name the column that says when rows changed (--modified)",
    )
}

fn unmade(cause: ArrowError) -> Error {
    Error::internal("versions could not be put together").because(cause)
}
