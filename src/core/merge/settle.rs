//! Settles the incoming rows among themselves: afterwards there is one row per id.
//!
//! This is done over the whole batch before any stored row is looked at, so that rows which only
//! insert cannot bring duplicates in.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::Rows;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::core::merge::canonical::{RowEncoder, columns_of};
use crate::core::merge::ids::IdIndex;
use crate::core::merge::order::{Order, lowest};
use crate::core::merge::share::Share;
use crate::core::merge::sorted_ids::{SortedColumns, SortedIds};
use crate::core::merge::{Duplicates, MergeRule, NullIds, NullModified};
use crate::core::schema::{check_names, find_column, type_name};
use crate::error::{Error, ErrorKind, Result};

/// How many ids an error names.
const SAMPLE: usize = 10;

/// The incoming rows, settled: one row per id, in source order, in the types of the stored columns.
#[derive(Debug)]
pub(crate) struct Incoming {
    batch: RecordBatch,
    source_rows: Vec<u32>,
    /// Ids of all rows that came in, and where each settled one is found among them.
    ids: IdIndex,
    sorted: SortedColumns,
    /// The order of modification values, and the value of every row that came in.
    pub(super) order: Option<(Order, Rows)>,
    /// Settled rows that won by source order against one that differs.
    pub(super) tied: Vec<u32>,
    pub(super) total: u64,
    /// For each settled row whether it is a delete mark; none is if this is not there.
    marks: Option<BooleanArray>,
    /// Of ids that have several settled rows, all of them in the order of their times, by the last one.
    chains: BTreeMap<u32, Vec<u32>>,
    /// The ids of which these rows are all that came in; all ids if this is not there.
    pub(super) share: Option<Share>,
    /// The greatest modification value of all that came in, where these are not all.
    pub(super) latest: Option<RecordBatch>,
}

impl Incoming {
    /// Settles `batches`, all of `schema` and already in the types of the stored columns. `marks` says of each row whether it
    /// is a delete mark.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a missing, null or unfit id column, a missing modification column, or several
    /// rows with one id between which the rule does not decide.
    pub(crate) fn settle(
        schema: &SchemaRef,
        batches: &[RecordBatch],
        marks: Option<BooleanArray>,
        rule: &MergeRule,
    ) -> Result<Self> {
        check_names(schema)?;
        let ids = rule.ids().iter().map(|id| check_id(schema, id, rule)).collect::<Result<Vec<_>>>()?;
        let all = concat_batches(schema, batches).map_err(|cause| too_much(&cause))?;
        if u32::try_from(all.num_rows()).is_err() {
            return Err(Error::new(ErrorKind::Unsupported, "too many rows in one upsert")
                .with("rows", all.num_rows())
                .hint("split the source: at most 4,294,967,295 rows at a time"));
        }
        for (name, index) in rule.ids().iter().zip(&ids).filter(|_| rule.null_ids() != NullIds::Match) {
            check_nulls(&all, name, *index)?;
        }
        let order = rule.modified().map(|column| Order::of(&all, column)).transpose()?;
        if let Some(newest) = rule.newest().filter(|newest| newest.nulls == NullModified::Error) {
            let values = all.column(find_column(&all.schema(), &newest.column, "modification column")?);
            check_modified(&newest.column, lowest(values)?)?;
        }
        let types = ids.iter().map(|i| (schema.field(*i).name().as_str(), schema.field(*i).data_type()));
        let encoder = RowEncoder::new(types)?;
        let columns: Vec<ArrayRef> = ids.iter().map(|i| all.column(*i).clone()).collect();
        let (index, twins) = IdIndex::build(encoder, &columns, rule.null_ids() == NullIds::Match)?;
        if twins.is_empty() {
            let source_rows = (0..row_number(all.num_rows())).collect();
            let total = all.num_rows() as u64;
            let sorted = SortedColumns::new(rule.ids());
            let (tied, chains, share) = Default::default();
            let latest = match &order {
                Some((order, ranks)) if rule.closes_missing() => Some(order.latest(&all, ranks)?),
                _ => None,
            };
            return Ok(Self {
                batch: all,
                source_rows,
                ids: index,
                sorted,
                order,
                tied,
                total,
                marks,
                chains,
                share,
                latest,
            });
        }
        Self::settle_twins(&all, marks.as_ref(), index, order, &twins, rule)
    }

    /// The same rows, as all that came in of some ids; `latest` has the greatest modification value of all.
    ///
    /// # Errors
    ///
    /// `Internal` if that cannot be compared.
    pub(crate) fn of_share(mut self, share: Share, latest: Option<RecordBatch>) -> Result<Self> {
        self.share = Some(share);
        // Where nothing came in, it tells how values are to be read.
        if let (0, Some(latest), Some((order, _))) = (self.total, &latest, &self.order) {
            let (order, _) = Order::of(latest, order.column())?;
            let none = order.rows(&latest.slice(0, 0))?;
            self.order = Some((order, none));
        }
        self.latest = latest;
        Ok(self)
    }

    fn settle_twins(
        all: &RecordBatch,
        marks: Option<&BooleanArray>,
        mut index: IdIndex,
        order: Option<(Order, Rows)>,
        twins: &Twins,
        rule: &MergeRule,
    ) -> Result<Self> {
        let ranks = order.as_ref().map(|(_, ranks)| ranks);
        let rivals = |first, others: &[u32]| match rule.kept_history() {
            Some(_) => by_time(first, others, ranks),
            None => vec![newest(first, others, ranks)],
        };
        let groups: Vec<Vec<Vec<u32>>> = twins.iter().map(|(first, others)| rivals(*first, others)).collect();
        let mut verdicts = judge(all, marks, &groups.concat(), rule)?.into_iter();
        let mut dropped = vec![false; all.num_rows()];
        let (mut tied_rows, mut winners) = (Vec::new(), Vec::new());
        for ((first, others), groups) in twins.iter().zip(&groups) {
            for row in std::iter::once(first).chain(others) {
                dropped[*row as usize] = true;
            }
            let own: Vec<Verdict> = verdicts.by_ref().take(groups.len()).collect();
            for verdict in &own {
                dropped[verdict.winner as usize] = false;
                tied_rows.extend(verdict.tied.then_some(verdict.winner));
            }
            if let Some(last) = own.last() {
                index.rename(*first, last.winner);
            }
            winners.push(own);
        }
        let source_rows: Vec<u32> =
            (0..row_number(all.num_rows())).filter(|row| !dropped[*row as usize]).collect();
        index.settle(&source_rows);
        let settled = |row: &u32| source_rows.binary_search(row).ok().map(row_number);
        let tied = tied_rows.iter().filter_map(settled).collect();
        let chain = |own: Vec<Verdict>| -> Option<(u32, Vec<u32>)> {
            let rows: Vec<u32> = own.iter().filter_map(|verdict| settled(&verdict.winner)).collect();
            Some((*rows.last()?, rows)).filter(|(_, rows)| rows.len() > 1)
        };
        let chains = winners.into_iter().filter_map(chain).collect();
        let batch = take_record_batch(all, &UInt32Array::from(source_rows.clone()))
            .map_err(|cause| Error::internal("the settled rows could not be gathered").because(cause))?;
        let is_mark = |marks: &BooleanArray| -> BooleanArray {
            source_rows.iter().map(|row| Some(marks.value(*row as usize))).collect()
        };
        let marks = marks.map(is_mark);
        let (sorted, total) = (SortedColumns::new(rule.ids()), all.num_rows() as u64);
        let latest = match &order {
            Some((order, ranks)) if rule.closes_missing() => Some(order.latest(all, ranks)?),
            _ => None,
        };
        let share = None;
        Ok(Self { batch, source_rows, ids: index, sorted, order, tied, total, marks, chains, share, latest })
    }

    /// The settled rows.
    pub(crate) fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Whether a settled row is a delete mark.
    pub(super) fn is_mark(&self, row: u32) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.value(row as usize))
    }

    /// The stored rows, of which these are the id columns, that have the id of a settled one, each with that one.
    ///
    /// # Errors
    ///
    /// `Internal` if the ids cannot be compared.
    pub(crate) fn meet(&self, ids: &[ArrayRef]) -> Result<Vec<(u32, u32)>> {
        self.ids.find(ids)
    }

    /// The values of an id column in their order; `None` if they have none, or one of them is null: it lies between no bounds.
    pub(crate) fn sorted(&self, id: &str) -> Option<&SortedIds> {
        let values = self.batch.column_by_name(id).filter(|values| values.logical_null_count() == 0)?;
        self.sorted.of(id, values)
    }

    /// For each settled row, its index in the concatenation of the batches that were settled.
    pub(crate) fn source_rows(&self) -> &[u32] {
        &self.source_rows
    }

    /// Of one settled row, its index among all that came in.
    pub(super) fn source_row(&self, row: u32) -> usize {
        self.source_rows[row as usize] as usize
    }

    /// The settled rows with the id of the one that [`Incoming::meet`] gives, in the order of their times.
    pub(super) fn versions<'a>(&'a self, row: &'a u32) -> &'a [u32] {
        self.chains.get(row).map_or(std::slice::from_ref(row), Vec::as_slice)
    }

    /// For each id the settled row that [`Incoming::meet`] gives, ascending.
    pub(super) fn heads(&self) -> impl Iterator<Item = u32> {
        let mut others: Vec<u32> = Vec::new();
        for (head, rows) in &self.chains {
            others.extend(rows.iter().filter(|row| *row != head));
        }
        others.sort_unstable();
        (0..row_number(self.source_rows.len())).filter(move |row| others.binary_search(row).is_err())
    }

    /// The order of modification values, and the value of every row that came in.
    pub(super) fn ordered(&self) -> Result<(&Order, &Rows)> {
        let ordered = self.order.as_ref().map(|(order, ranks)| (order, ranks));
        ordered.ok_or_else(|| Error::internal("incoming rows have no order"))
    }

    /// People's names for the ids of some settled rows.
    pub(super) fn name_ids(&self, rows: impl IntoIterator<Item = u32>, rule: &MergeRule) -> Result<String> {
        name_ids(&self.batch, rows, rule)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "more rows than u32 holds are refused at the door")]
pub(super) fn row_number(row: usize) -> u32 {
    row as u32
}

/// Offsets of text and lists have 32 bits in Arrow's smaller types.
fn too_much(cause: &ArrowError) -> Error {
    Error::new(ErrorKind::Unsupported, "the incoming rows are too many to be held in one piece")
        .hint("upsert in several smaller parts")
        .because(cause.to_string())
}

pub(super) fn check_id(schema: &Schema, id: &str, rule: &MergeRule) -> Result<usize> {
    let index = find_column(schema, id, "id column")?;
    let data_type = schema.field(index).data_type();
    let refused = |message: &'static str, hint: &'static str| {
        Err(Error::new(ErrorKind::InvalidInput, message)
            .with("column", id)
            .with("type", type_name(data_type))
            .hint(hint))
    };
    match data_type {
        _ if data_type.is_floating() && !rule.allows_float_ids() => refused(
            "an id column must not hold floats",
            "floats that print the same may differ; cast the column to an integer, a decimal or a string, or allow them with --allow-float-ids",
        ),
        _ if data_type.is_nested() => {
            refused("an id column must hold plain values", "name its parts as columns of their own")
        }
        _ => Ok(index),
    }
}

fn check_nulls(all: &RecordBatch, name: &str, index: usize) -> Result<()> {
    let column = all.column(index);
    let nulls = column.logical_null_count();
    if nulls == 0 {
        return Ok(());
    }
    Err(null_ids(name, nulls))
}

/// So many rows have no id.
pub(super) fn null_ids(column: &str, rows: usize) -> Error {
    Error::new(ErrorKind::InvalidInput, "id column has nulls")
        .with("column", column)
        .with("rows", rows)
        .hint("fill the column, leave these rows out (--null-ids skip, or quarantine), or let a null be an id like any other (match)")
}

/// Refuses rows without a modification value, of which there are so many.
pub(super) fn check_modified(column: &str, nulls: usize) -> Result<()> {
    if nulls == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, "the modification column has nulls")
        .with("column", column)
        .with("rows", nulls)
        .hint("fill the column, or let a null be lower than every value"))
}

/// The ids of rows up to [`SAMPLE`], as people read them.
pub(crate) fn name_ids(
    batch: &RecordBatch,
    rows: impl IntoIterator<Item = u32>,
    rule: &MergeRule,
) -> Result<String> {
    let options = FormatOptions::default().with_null("null");
    let columns = columns_of(batch, rule.ids())?;
    let broken = |cause| Error::internal("an id could not be printed").because(cause);
    let printers = columns
        .iter()
        .map(|c| ArrayFormatter::try_new(c, &options).map_err(broken))
        .collect::<Result<Vec<_>>>()?;
    let one = |row: u32| {
        let parts: Vec<_> = printers.iter().map(|p| p.value(row as usize).to_string()).collect();
        if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(", ")) }
    };
    Ok(rows.into_iter().take(SAMPLE).map(one).collect::<Vec<_>>().join(", "))
}

/// The rows after the first that have the first's id.
pub(super) type Twins = BTreeMap<u32, Vec<u32>>;

/// Which of several rows with one id stays.
struct Verdict {
    winner: u32,
    tied: bool,
}

/// Judges every group of rows that are equally new, by source order.
fn judge(
    all: &RecordBatch,
    marks: Option<&BooleanArray>,
    groups: &[Vec<u32>],
    rule: &MergeRule,
) -> Result<Vec<Verdict>> {
    let identical = all_identical(all, marks, groups, rule)?;
    let undecided: Vec<u32> =
        groups.iter().zip(&identical).filter(|(_, same)| !**same).map(|(group, _)| group[0]).collect();
    if rule.duplicates() == Duplicates::Error && !undecided.is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, "several incoming rows have one id and differ")
            .with("ids", undecided.len())
            .with("sample", name_ids(all, undecided, rule)?)
            .hint("name a modification column to keep the newest, say which one counts, or make the source unique"));
    }
    let winner = |group: &Vec<u32>| match rule.duplicates() {
        Duplicates::First => group[0],
        Duplicates::Last | Duplicates::Error => group[group.len() - 1],
    };
    Ok(groups
        .iter()
        .zip(identical)
        .map(|(group, same)| Verdict { winner: winner(group), tied: !same })
        .collect())
}

/// The rows of one id that no other row of it outranks, in source order; at least one.
fn newest(first: u32, others: &[u32], ranks: Option<&Rows>) -> Vec<u32> {
    let mut best = vec![first];
    for row in others {
        let order =
            ranks.map_or(std::cmp::Ordering::Equal, |r| r.row(*row as usize).cmp(&r.row(best[0] as usize)));
        match order {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => best.push(*row),
            std::cmp::Ordering::Greater => best = vec![*row],
        }
    }
    best
}

/// The rows of one id by their times, those of one time in source order.
fn by_time(first: u32, others: &[u32], ranks: Option<&Rows>) -> Vec<Vec<u32>> {
    let Some(ranks) = ranks else { return vec![[&[first], others].concat()] };
    let mut rows = [&[first], others].concat();
    rows.sort_by(|a, b| ranks.row(*a as usize).cmp(&ranks.row(*b as usize)));
    let is_one_time = |a: &u32, b: &u32| ranks.row(*a as usize) == ranks.row(*b as usize);
    rows.chunk_by(is_one_time).map(<[u32]>::to_vec).collect()
}

/// For each group, whether its rows say the same: all are delete marks, or none is and they are equal in every column.
fn all_identical(
    all: &RecordBatch,
    marks: Option<&BooleanArray>,
    groups: &[Vec<u32>],
    rule: &MergeRule,
) -> Result<Vec<bool>> {
    let is_mark = |row: u32| marks.is_some_and(|marks| marks.value(row as usize));
    let marked = |group: &[u32]| group.iter().filter(|row| is_mark(**row)).count();
    let schema = all.schema();
    let values: Vec<usize> =
        (0..all.num_columns()).filter(|i| !rule.ids().contains(schema.field(*i).name())).collect();
    if values.is_empty() {
        return Ok(groups
            .iter()
            .map(|group| matches!(marked(group), 0) || marked(group) == group.len())
            .collect());
    }
    let compared = all
        .project(&values)
        .and_then(|batch| take_record_batch(&batch, &UInt32Array::from(groups.concat())))
        .map_err(|cause| Error::internal("rows with one id could not be gathered").because(cause))?;
    let schema = compared.schema();
    let encoder = RowEncoder::new(schema.fields().iter().map(|f| (f.name().as_str(), f.data_type())))?;
    let rows = encoder.encode(compared.columns())?;
    let mut start = 0;
    Ok(groups
        .iter()
        .map(|group| {
            let own = start..start + group.len();
            start = own.end;
            let marked = marked(group);
            let is_one = own.clone().all(|row| rows.row(row) == rows.row(own.start));
            marked == group.len() || marked == 0 && is_one
        })
        .collect())
}

/// The types a stored table must have so that its ids can be compared.
pub(super) fn id_types<'a>(schema: &'a Schema, rule: &'a MergeRule) -> Result<Vec<&'a DataType>> {
    rule.ids().iter().map(|id| Ok(schema.field(find_column(schema, id, "id column")?).data_type())).collect()
}
