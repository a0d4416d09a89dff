//! One attempt at a version of the target: which rows count, what becomes of each, and the change that follows.

use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};

use super::carry::Carried;
use super::marks::{columns_of, split, together};
use super::parts::{Budget, scatter};
use super::repair::{check_leaving, repaired};
use super::{Attempt, Job};
use crate::client::session::Session;
use crate::core::merge::MergeRule;
use crate::core::merge::kernel::{Incoming, Matcher, Outcome};
use crate::core::report::{WorkCounts, millis};
use crate::error::Result;
use crate::table::diff::first_changes;
use crate::table::new_rows::{NewRows, OnDisk};
use crate::table::spill::SpillFile;
use crate::table::taken::{LeftOut, Taken, TakenAs, new_columns};
use crate::table::validity::columns_of_nothing;
use crate::table::{Change, StoredTable};

/// The rows that came in, one per id, or those of them that are written.
enum Settled {
    Held(Box<Incoming>),
    OnDisk(Box<OnDisk>),
}

impl Job<'_> {
    /// Matches the incoming rows against `stored` and writes what has changed.
    pub(super) fn fold(&mut self, mut stored: Box<dyn StoredTable>, conflicts: u32) -> Result<Attempt> {
        let start = Instant::now();
        let mut work = WorkCounts::default();
        let session = self.session;
        let (rule, new) = self.with_new_columns(stored.as_mut())?;
        let how = TakenAs {
            rule: &rule,
            timestamp_format: self.options.csv.timestamp_format.as_deref(),
            now: self.now,
        };
        let (mut outcome, settled, left_out, aside);
        match self.rows.file().filter(|file| self.goes_by_parts(stored.as_ref(), file)) {
            None => {
                let (schema, batches) = self.rows.batches()?;
                let batches = batches.collect::<Result<Vec<_>>>()?;
                let incoming;
                (incoming, left_out) = settle(stored.as_mut(), &schema, batches, how)?;
                self.times.plan += millis(start.elapsed());
                let start = Instant::now();
                let schema = incoming.batch().schema();
                let repaired = repaired(session, stored.as_mut(), &schema, &rule, self.budget, &mut work)?;
                let Some(repaired) = repaired else { return Ok(Attempt::Conflict) };
                let found = matched(
                    session,
                    stored.as_mut(),
                    &incoming,
                    (&rule, &repaired.gone),
                    self.budget,
                    &mut work,
                )?;
                self.times.matching += millis(start.elapsed());
                let Some(found) = found else { return Ok(Attempt::Conflict) };
                let stale = found.stale.iter().map(|row| incoming.source_rows()[*row as usize].into());
                aside = left_out.aside(stale);
                (outcome, settled) = (repaired.joined(found, &mut work)?, Settled::Held(Box::new(incoming)));
                if let Some(carried) = Carried::new(&stored.schema(), &schema, &rule)
                    && Carried::is_needed(&outcome)
                {
                    carried.fill(session, stored.as_mut(), &mut outcome)?;
                }
            }
            Some(file) => {
                tracing::info!("the incoming rows go through the disk");
                let parts;
                (parts, left_out) = scatter(session, file, stored.as_ref(), how, self.budget)?;
                self.times.plan += millis(start.elapsed());
                let start = Instant::now();
                let schema = SchemaRef::clone(parts.schema());
                let repaired = repaired(session, stored.as_mut(), &schema, &rule, self.budget, &mut work)?;
                let Some(repaired) = repaired else { return Ok(Attempt::Conflict) };
                let found = parts.matched(session, stored.as_mut(), &rule, &repaired.gone, &mut work)?;
                self.times.matching += millis(start.elapsed());
                let Some(found) = found else { return Ok(Attempt::Conflict) };
                aside = left_out.aside(found.stale);
                outcome = repaired.joined(found.outcome, &mut work)?;
                settled = Settled::OnDisk(Box::new(found.rows));
            }
        }
        outcome.rows = outcome.rows.with_rejected(left_out.rows);
        outcome.rows.quarantined = aside.rows();
        outcome.rows.verify()?;
        if let Some(made) = &mut outcome.made {
            stored.remake(made)?;
            made.sources = (0..).take(made.sources.len()).map(Some).collect();
        }
        let rows = match settled {
            Settled::Held(ref incoming) => {
                let (batch, sources) = outcome.written(incoming);
                NewRows::Held(batch, sources)
            }
            Settled::OnDisk(rows) => NewRows::OnDisk(rows),
        };
        let change = Change { rows: &rows, outcome: &outcome };
        let shown = |most| first_changes(session, stored.as_mut(), &change, rule.ids(), most);
        let diff = self.options.diff.map(shown).transpose()?;
        let mut attempt = self.write(stored, &change, &aside, work, conflicts)?;
        if let Attempt::Done(report) = &mut attempt {
            report.diff = diff;
            if !change.outcome.rows.is_no_change() {
                report.columns_added = new.iter().map(|field| field.name().clone()).collect();
            }
        }
        Ok(attempt)
    }

    /// Tells `stored` the columns that it gets, and gives the rule in the names of all.
    fn with_new_columns(&self, stored: &mut dyn StoredTable) -> Result<(MergeRule, Vec<FieldRef>)> {
        let names = stored.schema();
        // A text file without a record names no columns: it takes those that come in.
        let names = if names.fields().is_empty() { self.rows.schema() } else { names };
        let rule = self.rule.in_names_of(&names)?;
        let incoming = columns_of(&self.rows.schema())?;
        let new = new_columns(&names, &incoming, &rule, |name| self.valued.contains(name))?;
        if new.is_empty() {
            return Ok((rule.versioned(), new));
        }
        stored.add_columns(&new)?;
        Ok((self.rule.in_names_of(&stored.schema())?.versioned(), new))
    }

    /// Whether rows that went to disk are taken in parts. What takes them in one piece gets them so, unless a limit was named:
    /// then it is told that it cannot.
    fn goes_by_parts(&self, stored: &dyn StoredTable, file: &SpillFile) -> bool {
        let columns = columns_of(&file.schema());
        self.options.memory_limit.is_some()
            || !matches!(columns.and_then(|columns| stored.fit_each(&columns)), Ok(None))
    }
}

/// The incoming rows in the stored types, one per id, and those that were left out.
fn settle(
    stored: &mut dyn StoredTable,
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    how: TakenAs<'_>,
) -> Result<(Incoming, LeftOut)> {
    // A text file without a single record names no columns; as a batch it is as good as any empty one.
    let is_empty = schema.fields().is_empty();
    let schema = if is_empty { columns_of_nothing(&stored.schema(), how.rule) } else { columns_of(schema)? };
    let batches = if is_empty { Vec::new() } else { batches };
    let mut taken = Taken::new(stored, &schema, how)?;
    let (mut own, mut marks) = (Vec::with_capacity(batches.len()), Vec::new());
    for batch in batches {
        let (batch, is_mark) = split(batch)?;
        let (batch, is_mark) = taken.batch(&batch, is_mark)?;
        own.push(batch);
        marks.extend(is_mark);
    }
    let (schema, left_out) = (SchemaRef::clone(taken.schema()), taken.finish());
    let (schema, batches) = stored.fit(&schema, own, how.rule)?;
    Ok((Incoming::settle(&schema, &batches, together(&marks), how.rule)?, left_out))
}

/// What becomes of settled rows among all stored ones but the `repaired`; none if the table has changed meanwhile.
pub(super) fn matched(
    session: &Session,
    stored: &mut dyn StoredTable,
    incoming: &Incoming,
    (rule, repaired): (&MergeRule, &[u64]),
    budget: Budget,
    work: &mut WorkCounts,
) -> Result<Option<Outcome>> {
    let mut matcher = Matcher::new(incoming, &stored.schema(), rule)?.without(repaired);
    let found = stored.find(session, &mut matcher, work).and_then(|rows| matcher.finish(rows));
    let found = found.and_then(|outcome| {
        check_leaving(session, stored, &incoming.batch().schema(), rule, budget, &outcome.alike)?;
        Ok(outcome)
    });
    match found {
        // An id that goes from one file to another just then is found twice.
        Err(_) if stored.is_current(session).is_ok_and(|is_current| !is_current) => Ok(None),
        found => found.map(Some),
    }
}
