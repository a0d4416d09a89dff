//! The judge of tables that keep history: each version of an id is a span of time, and a row that comes in cuts the span in which it
//! falls.

use std::cmp::Ordering;

use super::{Cell, Conditions, Reading, Refusal, Settled, Table, cell, id_of};
use crate::core::merge::history::History;
use crate::core::merge::{MergeRule, NullIds, Ties};
use crate::core::report::RowCounts;

/// A time as it is stored, and as it is compared.
#[derive(Clone, Default)]
struct Time {
    stored: Cell,
    at: Cell,
}

/// A version: since when, until when, and all that is stored of it.
struct Span {
    from: Cell,
    to: Time,
    row: Vec<Cell>,
    /// Its place among the stored rows, or among those that came in.
    stored: Option<usize>,
    incoming: Option<usize>,
}

impl Span {
    fn holds(&self) -> bool {
        self.to.at == Cell::Null
    }

    /// What holds has no end, and so one later than any time.
    fn ends_after(&self, time: &Cell) -> bool {
        self.holds() || self.to.at.compare(time) == Ordering::Greater
    }
}

/// All that is known of the table and the rows that come in.
struct Tables<'a> {
    stored: &'a Table,
    incoming: &'a Table,
    rule: &'a MergeRule,
    history: &'a History,
    reading: Reading,
    conditions: &'a Conditions,
}

/// Puts the settled rows of `incoming` between the stored versions.
pub(super) fn fold(
    (stored, incoming): (&Table, &Table),
    settled: Vec<Settled<'_>>,
    (rule, reading): (&MergeRule, Reading),
    conditions: &Conditions,
    mut counts: RowCounts,
) -> Result<(Table, RowCounts), Refusal> {
    let Some(history) = rule.kept_history() else { return Err(Refusal::Empty) };
    let tables = Tables { stored, incoming, rule, history, reading, conditions };
    let mut ids: Vec<Vec<&Cell>> = Vec::new();
    let mut groups: Vec<Vec<Settled<'_>>> = Vec::new();
    for row in settled {
        counts.ties += u64::from(row.tied);
        if conditions.outside.get(row.place).copied().unwrap_or(false) && !conditions.is_mark(row.place) {
            counts.rejected += 1;
            continue;
        }
        let id = id_of(incoming, row.row, rule);
        let place = ids.iter().position(|other| *other == id).unwrap_or(ids.len());
        if place == ids.len() {
            ids.push(id);
            groups.push(Vec::new());
        }
        groups[place].push(row);
    }
    let mut rows: Vec<Vec<Cell>> = stored.rows.clone();
    let mut added: Vec<(usize, Vec<Cell>)> = Vec::new();
    let (mut doubled, mut refused) = (0, 0);
    for group in groups {
        match tables.fold_one(group, &mut counts, &mut refused)? {
            None => doubled += 1,
            Some(spans) => {
                for span in spans {
                    let row = tables.row_of(&span)?;
                    match (span.stored, span.incoming) {
                        (Some(place), _) => rows[place] = row,
                        (None, Some(place)) => added.push((place, row)),
                        (None, None) => {}
                    }
                }
            }
        }
    }
    if doubled > 0 {
        return Err(Refusal::SeveralVersions(doubled));
    }
    if rule.closes_missing() {
        tables.close_missing(&mut rows, &mut counts)?;
    }
    if refused > 0 {
        return Err(Refusal::Tied(refused));
    }
    if rule.closes_missing() {
        let live = counts.inserted + counts.updated + counts.unchanged;
        if live == 0 && counts.closed > 0 && !rule.allows_empty() {
            return Err(Refusal::Empty);
        }
    }
    added.sort_by_key(|(place, _)| *place);
    rows.extend(added.into_iter().map(|(_, row)| row));
    super::check_gone(counts.closed, stored, rule)?;
    counts.rows_before = Some(stored.rows.len() as u64);
    counts.rows_after = Some(rows.len() as u64);
    Ok((Table { columns: stored.columns.clone(), rows }, counts))
}

impl Tables<'_> {
    fn place(&self, column: &str) -> Result<usize, Refusal> {
        self.stored.column(column).ok_or_else(|| Refusal::MissingHistory(vec![column.to_owned()]))
    }

    /// Since when an incoming row holds, as it is stored and as it is compared.
    fn begin(&self, row: &[Cell]) -> Result<Time, Refusal> {
        let Some(source) = &self.history.source else {
            return Ok(Time { stored: self.conditions.now.clone(), at: self.conditions.now.clone() });
        };
        let stored = cell(self.incoming, row, source).cloned().unwrap_or(Cell::Null);
        Ok(Time { stored, at: self.reading.value(self.incoming, row, source)? })
    }

    /// The versions of one id; `None` if those that are stored are not one after the other.
    fn fold_one(
        &self,
        mut group: Vec<Settled<'_>>,
        counts: &mut RowCounts,
        refused: &mut usize,
    ) -> Result<Option<Vec<Span>>, Refusal> {
        let [from, to, is_current] = self.history.columns.all();
        let (from, to, is_current) = (self.place(from)?, self.place(to)?, self.place(is_current)?);
        let id = id_of(self.incoming, group[0].row, self.rule);
        let mut spans = Vec::new();
        for (place, row) in self.stored.rows.iter().enumerate() {
            if id_of(self.stored, row, self.rule) != id
                || self.conditions.stored_outside.get(place).copied().unwrap_or(false)
            {
                continue;
            }
            if row[to] != Cell::Null && row[is_current] == Cell::Bool(true) {
                return Err(Refusal::CurrentWithEnd);
            }
            spans.push(Span {
                from: self.reading.value(self.stored, row, &self.stored.columns[from])?,
                to: Time {
                    stored: row[to].clone(),
                    at: self.reading.value(self.stored, row, &self.stored.columns[to])?,
                },
                row: row.clone(),
                stored: Some(place),
                incoming: None,
            });
        }
        let overlap = |a: &Span, b: &Span| {
            let begins = a.from.compare(&b.from);
            begins == Ordering::Equal || begins == Ordering::Less && a.ends_after(&b.from)
        };
        let twisted = |(place, span): (usize, &Span)| {
            let ends_first = !span.holds() && span.to.at.compare(&span.from) == Ordering::Less;
            ends_first || (0..spans.len()).any(|other| other != place && overlap(span, &spans[other]))
        };
        if spans.iter().enumerate().any(twisted) {
            return Ok(None);
        }
        let mut begins = Vec::new();
        for row in &group {
            begins.push(self.begin(row.row)?);
        }
        let mut order: Vec<usize> = (0..group.len()).collect();
        order.sort_by(|a, b| begins[*a].at.compare(&begins[*b].at));
        for place in order {
            let row = &mut group[place];
            if self.conditions.is_mark(row.place) {
                self.mark(&mut spans, row, &begins[place], counts, refused)?;
            } else {
                self.version(&mut spans, row, &begins[place], counts, refused)?;
            }
        }
        Ok(Some(spans))
    }

    /// Ends the versions that hold and whose id is that of no incoming row, with the greatest time of these.
    fn close_missing(&self, rows: &mut [Vec<Cell>], counts: &mut RowCounts) -> Result<(), Refusal> {
        let mut times = Vec::new();
        for row in &self.incoming.rows {
            times.push(self.begin(row)?);
        }
        let latest = times.into_iter().max_by(|a, b| a.at.compare(&b.at));
        let [from, to, is_current] = self.history.columns.all();
        let (from, to, is_current) = (self.place(from)?, self.place(to)?, self.place(is_current)?);
        let comes_in = |id: &Vec<&Cell>| {
            self.incoming.rows.iter().any(|row| id_of(self.incoming, row, self.rule) == *id)
        };
        let mut nameless = 0;
        for (place, row) in self.stored.rows.iter().enumerate() {
            let id = id_of(self.stored, row, self.rule);
            if self.conditions.stored_outside.get(place).copied().unwrap_or(false) || comes_in(&id) {
                continue;
            }
            if id.contains(&&Cell::Null) && self.rule.null_ids() != NullIds::Match {
                nameless += 1;
                continue;
            }
            if row[to] != Cell::Null {
                continue;
            }
            let Some(latest) = &latest else { return Err(Refusal::NoTime) };
            let begin = self.reading.value(self.stored, row, &self.stored.columns[from])?;
            if self.history.source.is_none() && begin.compare(&latest.at) == Ordering::Greater {
                return Err(Refusal::ClockIsBehind);
            }
            if begin.compare(&latest.at) == Ordering::Less {
                rows[place][to] = latest.stored.clone();
                rows[place][is_current] = Cell::Bool(false);
                counts.closed += 1;
            }
        }
        if nameless > 0 { Err(Refusal::Nameless(nameless)) } else { Ok(()) }
    }

    fn mark(
        &self,
        spans: &mut [Span],
        row: &mut Settled<'_>,
        time: &Time,
        counts: &mut RowCounts,
        refused: &mut usize,
    ) -> Result<(), Refusal> {
        let has_begun = |span: &Span| span.from.compare(&time.at) != Ordering::Greater;
        if self.history.source.is_none() && !spans.iter().all(has_begun) {
            return Err(Refusal::ClockIsBehind);
        }
        if !spans.is_empty() && (time.at.is_lowest() || !spans.iter().any(has_begun)) {
            counts.stale += 1;
            return Ok(());
        }
        let Some(cut) = spans.iter_mut().find(|span| has_begun(span) && span.ends_after(&time.at)) else {
            counts.tombstones += 1;
            return Ok(());
        };
        if cut.from.compare(&time.at) == Ordering::Equal && !self.wins_tie(row, counts, refused) {
            return Ok(());
        }
        counts.tombstones += 1;
        counts.closed += u64::from(cut.stored.is_some());
        cut.to = time.clone();
        Ok(())
    }

    /// What is done with rows that begin when a stored version does, and differ.
    fn wins_tie(&self, row: &mut Settled<'_>, counts: &mut RowCounts, refused: &mut usize) -> bool {
        if self.history.source.is_none() {
            return true;
        }
        counts.ties += u64::from(!row.tied);
        row.tied = true;
        match self.rule.newest().map(|newest| newest.ties).unwrap_or_default() {
            Ties::Incoming => true,
            Ties::Keep => {
                counts.stale += 1;
                false
            }
            Ties::Error => {
                *refused += 1;
                false
            }
        }
    }

    fn version(
        &self,
        spans: &mut Vec<Span>,
        row: &mut Settled<'_>,
        time: &Time,
        counts: &mut RowCounts,
        refused: &mut usize,
    ) -> Result<(), Refusal> {
        let has_source = self.history.source.is_some();
        let begin = self.place(&self.history.columns.valid_from)?;
        if let Some(twin) = spans.iter_mut().find(|span| span.from.compare(&time.at) == Ordering::Equal) {
            let new = self.overlaid(twin.row.clone(), row.row);
            let comes_back = !has_source && !twin.holds();
            if new == twin.row && !comes_back {
                counts.unchanged += 1;
            } else if self.wins_tie(row, counts, refused) {
                counts.updated += 1;
                twin.row = new;
                if comes_back {
                    twin.to = Time::default();
                }
            }
            return Ok(());
        }
        let holds = spans.iter().find(|span| span.holds());
        if !has_source && holds.is_some_and(|span| self.overlaid(span.row.clone(), row.row) == span.row) {
            counts.unchanged += 1;
            return Ok(());
        }
        let is_later = |span: &&Span| span.from.compare(&time.at) == Ordering::Greater;
        if !has_source && spans.iter().any(|span| is_later(&span)) {
            return Err(Refusal::ClockIsBehind);
        }
        if spans.is_empty() {
            counts.inserted += 1;
        } else {
            counts.updated += 1;
            counts.opened += 1;
        }
        let cut = spans
            .iter_mut()
            .find(|span| span.from.compare(&time.at) == Ordering::Less && span.ends_after(&time.at));
        // A version has the columns that do not come in of the one in which it falls.
        let mut before = vec![Cell::Null; self.stored.columns.len()];
        let to = if let Some(span) = cut {
            before.clone_from(&span.row);
            std::mem::replace(&mut span.to, time.clone())
        } else {
            let mut later: Vec<&Span> = spans.iter().filter(is_later).collect();
            later.sort_by(|a, b| a.from.compare(&b.from));
            let begin = |span: &&Span| Time { stored: span.row[begin].clone(), at: span.from.clone() };
            later.first().map(begin).unwrap_or_default()
        };
        let mut new = self.overlaid(before, row.row);
        new[begin] = time.stored.clone();
        spans.push(Span { from: time.at.clone(), to, row: new, stored: None, incoming: Some(row.place) });
        Ok(())
    }

    /// A row with the incoming cells on top, but not those of the history.
    fn overlaid(&self, row: Vec<Cell>, new: &[Cell]) -> Vec<Cell> {
        super::overlay(self.stored, row, self.incoming, new)
    }

    /// A version as it is stored: with its end, and whether it has one.
    fn row_of(&self, span: &Span) -> Result<Vec<Cell>, Refusal> {
        let mut row = span.row.clone();
        let [_, to, is_current] = self.history.columns.all();
        row[self.place(to)?] = span.to.stored.clone();
        row[self.place(is_current)?] = Cell::Bool(span.holds());
        Ok(row)
    }
}
