//! Incoming rows that are more than memory may hold: they are put into parts by their ids, each part is matched by itself, and
//! the rows that are to be written are put in the order in which they are, on disk. One commit makes all of it visible.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;

use super::carry::Carried;
use super::fold::matched;
use super::marks::{columns_of, split, together};
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::cells::Cells;
use crate::core::merge::kernel::{Incoming, Outcome, Pair};
use crate::core::merge::rule::Fate;
use crate::core::merge::scatter::{Scatter, Shares};
use crate::core::options::MemoryLimit;
use crate::core::report::{RowCounts, WorkCounts};
use crate::error::{Error, ErrorKind, Result};
use crate::table::StoredTable;
use crate::table::new_rows::{OnDisk, chunk_of};
use crate::table::sorted::Sorter;
use crate::table::spill::{SpillFile, size_of_rows};
use crate::table::taken::{LeftOut, Taken, TakenAs};

/// How incoming rows share the memory they may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn new(limit: MemoryLimit) -> Self {
        Self(limit.for_rows())
    }

    /// The bytes of rows that are held as they are: settled, they are there twice, with an index of their ids.
    pub(super) fn held(self) -> usize {
        usize::try_from(self.0 / 4).unwrap_or(usize::MAX)
    }

    /// The bytes of the table that tells which ids could be stored more than once. In less, too many would share a place.
    pub(super) fn doubles(self) -> usize {
        usize::try_from(self.0 / 8).unwrap_or(usize::MAX).clamp(16 << 20, 256 << 20)
    }

    /// The bytes of a part, and those that are sorted at a time.
    fn part(self) -> u64 {
        self.0 / 8
    }

    pub(super) fn sorted(self) -> usize {
        usize::try_from(self.0 / 8).unwrap_or(usize::MAX)
    }
}

/// Rows in parts.
pub(super) struct Parts<R> {
    /// The columns, in the stored types.
    schema: SchemaRef,
    /// Whether it stands behind the columns which rows are delete marks.
    has_marks: bool,
    /// The rows, a part after the other, each in the order in which they came in. Behind their columns, and their marks, they
    /// have the number of their part, and their place among all that came in.
    rows: R,
    shares: Shares,
    budget: Budget,
}

/// What matching parts ends with.
pub(super) struct FoundInParts {
    pub(super) outcome: Outcome,
    /// The rows that are written.
    pub(super) rows: OnDisk,
    /// The places of older rows that go into the quarantine, among all that have a part, ascending.
    pub(super) stale: Vec<u64>,
}

/// Puts all rows of `file` into parts, in the types of `stored`, but for those that are left out.
///
/// # Errors
///
/// `InvalidInput` for rows that do not fit, `Unsupported` if `stored` takes its rows in one piece, `Io`, `Cancelled`.
pub(super) fn scatter(
    session: &Session,
    file: &SpillFile,
    stored: &dyn StoredTable,
    how: TakenAs<'_>,
    budget: Budget,
) -> Result<(Parts<impl Iterator<Item = Result<RecordBatch>> + use<>>, LeftOut)> {
    let incoming = columns_of(&file.schema())?;
    let mut taken = Taken::new(stored, &incoming, how)?;
    let Some(mut fit) = stored.fit_each(taken.schema())? else {
        return Err(Error::new(ErrorKind::Unsupported, "the incoming rows take more memory than the limit allows")
            .with("format", stored.format())
            .hint("a text file takes them in one piece: allow more with --memory-limit, or upsert in several smaller parts"));
    };
    let schema = SchemaRef::clone(fit.schema());
    let has_marks = incoming.fields().len() < file.schema().fields().len();
    let numbered = with_numbers(&schema, has_marks);
    let mut scatter = Scatter::new(&schema, how.rule, file.bytes()?.div_ceil(budget.part()))?;
    let mut sorter = Sorter::new(&numbered, budget.sorted());
    let mut next = 0_u64;
    for batch in file.batches()? {
        session.check()?;
        let (batch, marks) = split(batch?)?;
        let (batch, marks) = taken.batch(&batch, marks)?;
        let batch = fit.batch(&batch)?;
        let parts = scatter.parts(&batch)?;
        let places: Vec<u128> =
            parts.iter().zip(next..).map(|(part, row)| u128::from(*part) << 64 | u128::from(row)).collect();
        let end = next + batch.num_rows() as u64;
        let numbers: [ArrayRef; 2] =
            [Arc::new(UInt64Array::from(parts)), Arc::new(UInt64Array::from_iter_values(next..end))];
        let marks = marks.map(|marks| Arc::new(marks) as ArrayRef);
        let columns = batch.columns().iter().cloned().chain(marks).chain(numbers).collect();
        let batch = RecordBatch::try_new(Arc::clone(&numbered), columns).map_err(failed)?;
        sorter.add(&batch, &places)?;
        next = end;
    }
    let left_out = taken.finish();
    let shares = scatter.finish(&schema)?;
    Ok((Parts { schema, has_marks, rows: sorter.finish(session)?, shares, budget }, left_out))
}

/// The columns, marks if there are some, and two numbers.
fn with_numbers(schema: &Schema, has_marks: bool) -> SchemaRef {
    let more = |data_type| Arc::new(Field::new("", data_type, false));
    let marks = has_marks.then(|| more(DataType::Boolean));
    let numbers = (0..2).map(|_| more(DataType::UInt64));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain(marks).chain(numbers).collect::<Vec<_>>()))
}

impl<R: Iterator<Item = Result<RecordBatch>>> Parts<R> {
    /// The columns, in the stored types.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Matches one part after the other with all stored rows but the `repaired` ones; gives what becomes of all rows. None if the
    /// table has changed meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Incoming::settle`] and [`StoredTable::find`].
    pub(super) fn matched(
        mut self,
        session: &Session,
        stored: &mut dyn StoredTable,
        rule: &MergeRule,
        repaired: &[u64],
        work: &mut WorkCounts,
    ) -> Result<Option<FoundInParts>> {
        let carried = Carried::new(&stored.schema(), &self.schema, rule);
        let schema = match &carried {
            Some(carried) => carried.with(&self.schema, &stored.schema())?,
            None => Arc::clone(&self.schema),
        };
        let mut written = Written::new(&schema, carried, self.budget);
        let mut rest = None;
        let mut next = 0;
        // A part into which nothing was put has stored rows, of which a mirror has to know.
        let is_mirror = rule.only_stored() == Fate::Delete;
        let all = if is_mirror { self.shares.count() } else { 1 };
        loop {
            session.check()?;
            let part = self.next_part(&mut rest)?;
            let number = part.as_ref().map_or(all, |part| part.number);
            let missing = if is_mirror || part.is_none() { next..number } else { 0..0 };
            for number in missing {
                let part = Part { number, ..Part::default() };
                if !self.match_part(session, stored, &part, (rule, repaired), work, &mut written)? {
                    return Ok(None);
                }
            }
            let Some(part) = part else { return written.finish(session).map(Some) };
            next = number + 1;
            if !self.match_part(session, stored, &part, (rule, repaired), work, &mut written)? {
                return Ok(None);
            }
        }
    }

    /// Says whether the table is still the same.
    fn match_part(
        &self,
        session: &Session,
        stored: &mut dyn StoredTable,
        part: &Part,
        (rule, repaired): (&MergeRule, &[u64]),
        work: &mut WorkCounts,
        written: &mut Written,
    ) -> Result<bool> {
        let incoming = Incoming::settle(&self.schema, &part.rows, together(&part.marks), rule)?;
        let incoming = incoming.of_share(self.shares.part(part.number), self.shares.latest())?;
        let Some(mut outcome) = matched(session, stored, &incoming, (rule, repaired), self.budget, work)?
        else {
            return Ok(false);
        };
        if let Some(carried) = &written.carried {
            carried.fill(session, stored, &mut outcome)?;
        }
        written.add(&incoming, &part.places, &outcome)?;
        Ok(true)
    }

    /// The next part; `rest` is what was read of the one behind it.
    fn next_part(&mut self, rest: &mut Option<RecordBatch>) -> Result<Option<Part>> {
        let mut part = Part::default();
        let mut number = None;
        let marks = usize::from(self.has_marks);
        while let Some(batch) = rest.take().map_or_else(|| self.rows.next(), |rest| Some(Ok(rest))) {
            let batch = batch?;
            let columns = batch.num_columns() - 2 - marks;
            let parts = batch.column(columns + marks).as_primitive::<UInt64Type>().values();
            let number = *number.get_or_insert(parts[0]);
            part.number = number;
            let own = parts.partition_point(|part| *part <= number);
            if own < batch.num_rows() {
                *rest = Some(batch.slice(own, batch.num_rows() - own));
            }
            if own > 0 {
                let own = batch.slice(0, own);
                part.places.extend(own.column(columns + marks + 1).as_primitive::<UInt64Type>().values());
                part.marks.extend((marks > 0).then(|| own.column(columns).as_boolean().clone()));
                let places: Vec<usize> = (0..columns).collect();
                let rows = own.project(&places).and_then(|rows| rows.with_schema(Arc::clone(&self.schema)));
                part.rows.push(rows.map_err(failed)?);
            }
            if rest.is_some() {
                break;
            }
        }
        Ok((!part.rows.is_empty()).then_some(part))
    }
}

/// The rows of one part.
#[derive(Debug, Default)]
struct Part {
    number: u64,
    rows: Vec<RecordBatch>,
    marks: Vec<BooleanArray>,
    /// The place of each among all that came in.
    places: Vec<u64>,
}

/// The rows that are to be written.
struct Written {
    sorter: Sorter,
    /// The stored rows that are replaced, each with whether it just says that it is deleted, and those that go.
    replaced: Vec<(u64, bool)>,
    deleted: Vec<u64>,
    stale: Vec<u64>,
    ids: Vec<String>,
    cells: Cells,
    schema: SchemaRef,
    carried: Option<Carried>,
    counts: Option<RowCounts>,
}

impl Written {
    fn new(schema: &SchemaRef, carried: Option<Carried>, budget: Budget) -> Self {
        let sorter = Sorter::new(schema, budget.sorted());
        let (replaced, deleted, stale, ids, cells, counts) = Default::default();
        let schema = Arc::clone(schema);
        Self { sorter, replaced, deleted, stale, ids, cells, schema, carried, counts }
    }

    /// Takes the rows of one part that are written: those that replace stored ones in the order of these, then the inserts
    /// as they came in.
    fn add(&mut self, incoming: &Incoming, places: &[u64], outcome: &Outcome) -> Result<()> {
        self.ids.clone_from(&outcome.ids);
        self.cells.join(&outcome.cells);
        self.replaced.extend(outcome.replaced.iter().map(|pair| (pair.stored_row, pair.is_stamp)));
        self.deleted.extend(&outcome.deleted);
        let incoming_place = |row: u32| places[incoming.source_rows()[row as usize] as usize];
        self.stale.extend(outcome.stale.iter().map(|row| incoming_place(*row)));
        let (batch, sources) = outcome.written(incoming);
        // Only of rows that are added: what just ends a stored version is made of none.
        let place = |row: u32| places[sources[row as usize] as usize];
        let replaced = outcome.replaced.iter().map(|pair| (pair.incoming, u128::from(pair.stored_row)));
        let inserted = outcome.inserted.iter().map(|row| (*row, 1 << 64 | u128::from(place(*row))));
        let (rows, numbers): (Vec<u32>, Vec<u128>) = replaced.chain(inserted).unzip();
        let chunk = chunk_of(batch.num_rows(), size_of_rows(batch) as u64);
        for (rows, numbers) in rows.chunks(chunk).zip(numbers.chunks(chunk)) {
            let rows = take_record_batch(batch, &UInt32Array::from(rows.to_vec())).map_err(failed)?;
            self.sorter.add(&rows, numbers)?;
        }
        self.counts = Some(match self.counts.take() {
            Some(counts) => counts.and(&outcome.rows)?,
            None => outcome.rows.clone(),
        });
        Ok(())
    }

    fn finish(mut self, session: &Session) -> Result<FoundInParts> {
        let mut batches = Vec::new();
        let rows = self.sorter.finish(session)?.map(|rows| {
            session.check()?;
            let rows = rows?;
            batches.push(rows.num_rows());
            rows.with_schema(Arc::clone(&self.schema)).map_err(failed)
        });
        let file = SpillFile::of(&self.schema, rows)?;
        let rows = OnDisk::new(file, &batches)?;
        self.replaced.sort_unstable();
        self.deleted.sort_unstable();
        self.stale.sort_unstable();
        let pair = |((stored_row, is_stamp), incoming)| Pair { stored_row, incoming, is_stamp };
        let replaced: Vec<Pair> = self.replaced.into_iter().zip(0..).map(pair).collect();
        let inserted = (0..rows.len()).skip(replaced.len()).collect();
        let counts = self.counts.unwrap_or_default();
        let (deleted, ids, cells) = (self.deleted, self.ids, self.cells);
        let outcome = Outcome { replaced, deleted, inserted, ids, cells, rows: counts, ..Outcome::default() };
        Ok(FoundInParts { outcome, rows, stale: self.stale })
    }
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("the incoming rows could not be put into parts").because(cause)
}
