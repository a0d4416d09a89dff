//! The versions of one id, in the order of their times.

use std::cmp::Ordering;

use super::{Entry, Met, Moments, Plan, Versions, When, is_ahead};
use crate::core::merge::Ties;
use crate::error::{Error, Result};

/// What an incoming row turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core::merge) enum Landing {
    /// The first version of an id that is not stored.
    First,
    /// Another version.
    Opened,
    /// It takes the place of the stored version that begins when it does.
    Updated,
    /// It is that version.
    Unchanged,
    /// That version stays.
    Kept,
    /// It differs from that version, which is refused.
    Refused,
    /// It is a delete mark before the first version.
    Stale,
    /// It is a delete mark of an id without versions.
    Unmet,
    /// It is another delete mark.
    Tombstone,
}

/// A version as it stands while others are put between.
#[derive(Debug, Clone, Copy)]
struct Version {
    from: When,
    to: When,
    /// The row that is stored, if it is.
    stored_row: Option<u64>,
    /// The row that came in, if it is to be written.
    incoming: Option<u32>,
    /// The stored row that has its values in columns that do not come in.
    base: Option<u64>,
    /// Whether it ends otherwise than before.
    has_new_end: bool,
}

#[derive(Debug)]
pub(super) struct Line<'a> {
    all: &'a Versions<'a>,
    moments: &'a Moments<'a>,
    versions: Vec<Version>,
}

impl<'a> Line<'a> {
    /// The stored versions of one id, in their order; `None` if one does not end before the next one begins.
    pub(super) fn new(all: &'a Versions<'a>, moments: &'a Moments<'a>, met: &[Met]) -> Option<Self> {
        let begin = |met: &Met| When::From(met.at);
        let end = |met: &Met| if met.holds { When::Never } else { When::To(met.at) };
        let is_later = |left, right| moments.compare(left, right).is_gt();
        let overlap = |two: &[Met]| {
            is_later(end(&two[0]), begin(&two[1])) || moments.compare(begin(&two[0]), begin(&two[1])).is_eq()
        };
        if met.windows(2).any(overlap) || met.iter().any(|met| is_later(begin(met), end(met))) {
            return None;
        }
        let version = |met: &Met| Version {
            from: begin(met),
            to: end(met),
            stored_row: Some(met.stored_row),
            incoming: None,
            base: Some(met.stored_row),
            has_new_end: false,
        };
        Some(Self { all, moments, versions: met.iter().map(version).collect() })
    }

    /// Puts `rows`, in the order of their times, between the versions.
    pub(super) fn fold(mut self, rows: &[u32], plan: &mut Plan) -> Result<()> {
        for row in rows {
            let here = When::Incoming(*row);
            let place = self.versions.partition_point(|version| !self.is_later(version.from, here));
            let last = place.checked_sub(1);
            let twin = last.filter(|last| self.moments.compare(self.versions[*last].from, here).is_eq());
            let landing = match (self.moments.incoming.is_mark(*row), twin) {
                (true, _) => self.close(last, *row, plan)?,
                (false, Some(twin)) => self.replace(twin, *row, plan),
                (false, None) => self.open(place, *row)?,
            };
            plan.landed.push((*row, landing));
        }
        self.write(rows[0], plan);
        Ok(())
    }

    fn is_later(&self, left: When, right: When) -> bool {
        self.moments.compare(left, right) == Ordering::Greater
    }

    fn is_same(&self, version: &Version, row: u32) -> bool {
        version.stored_row.is_some_and(|stored| self.all.same.contains(&(stored, row)))
    }

    /// What a rule says of a row that begins when a stored version does.
    fn tie(&self, row: u32, plan: &mut Plan) -> Option<Landing> {
        // Without a modification column there is nothing that could tie.
        self.all.history.source.as_ref()?;
        plan.tied.push(row);
        match self.all.rule.newest().map(|newest| newest.ties).unwrap_or_default() {
            Ties::Incoming => None,
            Ties::Keep => Some(Landing::Kept),
            Ties::Error => Some(Landing::Refused),
        }
    }

    /// Ends the version in which a delete mark falls, which is the `last` that begins before it.
    fn close(&mut self, last: Option<usize>, row: u32, plan: &mut Plan) -> Result<Landing> {
        let here = When::Incoming(row);
        let Some(last) = last else {
            return match self.versions.is_empty() {
                true => Ok(Landing::Unmet),
                false if self.all.history.source.is_none() => Err(self.is_ahead(row)),
                false => Ok(Landing::Stale),
            };
        };
        // Nothing can end at a time that is none.
        if self.moments.is_nothing(row) {
            return Ok(Landing::Stale);
        }
        if self.all.history.source.is_none() && last + 1 < self.versions.len() {
            return Err(self.is_ahead(row));
        }
        let version = self.versions[last];
        if !self.is_later(version.to, here) {
            return Ok(Landing::Tombstone);
        }
        if self.moments.compare(version.from, here).is_eq()
            && let Some(landing) = self.tie(row, plan)
        {
            return Ok(landing);
        }
        self.versions[last] = Version { to: here, has_new_end: true, ..version };
        Ok(Landing::Tombstone)
    }

    /// Lets a row take the place of the stored version that begins when it does.
    fn replace(&mut self, at: usize, row: u32, plan: &mut Plan) -> Landing {
        let version = self.versions[at];
        let is_same = self.is_same(&version, row);
        // Of a source without times, what comes in is what holds.
        let has_ended = self.all.history.source.is_none() && version.to != When::Never;
        if is_same && !has_ended {
            return Landing::Unchanged;
        }
        if let Some(landing) = self.tie(row, plan) {
            return landing;
        }
        let to = if has_ended { self.end_before(at + 1) } else { version.to };
        self.versions[at] = Version { to, incoming: Some(row), ..version };
        Landing::Updated
    }

    /// Puts a row between the versions, before the one at `place`.
    fn open(&mut self, place: usize, row: u32) -> Result<Landing> {
        let here = When::Incoming(row);
        if self.all.history.source.is_none() {
            if self.versions.iter().any(|version| version.to == When::Never && self.is_same(version, row)) {
                return Ok(Landing::Unchanged);
            }
            if place < self.versions.len() {
                return Err(self.is_ahead(row));
            }
        }
        let landing = if self.versions.is_empty() { Landing::First } else { Landing::Opened };
        let (mut to, mut base) = (self.end_before(place), None);
        if let Some(last) = place.checked_sub(1)
            && self.is_later(self.versions[last].to, here)
        {
            let version = self.versions[last];
            (to, base) = (version.to, version.base);
            self.versions[last] = Version { to: here, has_new_end: true, ..version };
        }
        let incoming = Some(row);
        let version = Version { from: here, to, stored_row: None, incoming, base, has_new_end: false };
        self.versions.insert(place, version);
        Ok(landing)
    }

    /// When a version ends behind which the one at `place` comes.
    fn end_before(&self, place: usize) -> When {
        self.versions.get(place).map_or(When::Never, |next| next.from)
    }

    fn is_ahead(&self, row: u32) -> Error {
        let error = is_ahead();
        match self.moments.incoming.name_ids([row], self.all.rule) {
            Ok(id) => error.with("id", id),
            Err(_) => error,
        }
    }

    /// What is to be written; `row` is any that came in.
    fn write(self, row: u32, plan: &mut Plan) {
        let incoming = self.moments.incoming;
        for version in self.versions {
            let Version { to, stored_row, base, has_new_end, .. } = version;
            let is_marked = matches!(to, When::Incoming(end) if incoming.is_mark(end));
            plan.closed += u64::from(stored_row.is_some() && has_new_end && is_marked);
            match (stored_row, version.incoming) {
                (None, incoming @ Some(_)) => {
                    plan.added.push(Entry { stored_row, incoming, base, is_stamp: false, to });
                }
                (Some(_), incoming @ Some(_)) => {
                    plan.changed.push(Entry { stored_row, incoming, base, is_stamp: false, to });
                }
                (Some(_), None) if has_new_end => {
                    let incoming = Some(row);
                    plan.changed.push(Entry { stored_row, incoming, base: None, is_stamp: true, to });
                }
                _ => {}
            }
        }
    }
}
