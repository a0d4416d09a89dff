//! Incoming rows that are left out, and kept in another place. They are added there before the target changes: where the
//! target has a batch, no row of it is lost. A run that ends in between has added rows that the next one adds again.

mod apart;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::marks::{columns_of, split};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::options::{UpsertOptions, WriteMode, WriteOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::spill::{Spilled, plain_schema, with_schema};
use crate::table::taken::LeftOut;
use crate::table::target::Kind;
use crate::table::write::{Target, kind_written, write_stream};
use apart::check_apart;

/// Columns that stand behind those that came in: why a row is there, which run brought it, and which row of its sources it was.
const REASON: &str = "_keyfold_reason";
const RUN_ID: &str = "_keyfold_run_id";
const SOURCE_ROW: &str = "_keyfold_source_row";

/// Why a row is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    NullId,
    Stale,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::NullId => "null id",
            Self::Stale => "stale",
        }
    }
}

/// Rows that go into the quarantine, ascending, by their places among all that came in.
#[derive(Debug, Default)]
pub(super) struct Aside(Vec<(u64, Reason)>);

impl Aside {
    /// Those of `left_out`, which have no id and ascend, and the older ones at these places among all others.
    pub(super) fn new(left_out: &[u64], stale: impl IntoIterator<Item = u64>) -> Self {
        // How many of the others come before each that is left out, ascending.
        let others = |index: usize| left_out[index] - index as u64;
        let indices: Vec<usize> = (0..left_out.len()).collect();
        let place = |other: u64| other + indices.partition_point(|index| others(*index) <= other) as u64;
        let stale = stale.into_iter().map(|other| (place(other), Reason::Stale));
        let nameless = left_out.iter().map(|place| (*place, Reason::NullId));
        let mut all: Vec<_> = nameless.chain(stale).collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        Self(all)
    }

    /// How many there are.
    pub(super) fn rows(&self) -> u64 {
        self.0.len() as u64
    }
}

impl LeftOut {
    /// What goes into the quarantine: those without an id, if they do, and the older ones at these places among all others.
    pub(super) fn aside(&self, stale: impl IntoIterator<Item = u64>) -> Aside {
        Aside::new(self.places.as_deref().unwrap_or_default(), stale)
    }
}

/// The place for such rows.
#[derive(Debug)]
pub(super) struct Quarantine {
    location: Location,
    options: WriteOptions,
    backend: &'static str,
    /// The places of the rows that this run has added, ascending: what is done again after a conflict does not add them again.
    added: Vec<u64>,
}

impl Quarantine {
    /// The one that `options` name, if they do. Whether rows can be added there is looked at, but nothing is made.
    ///
    /// # Errors
    ///
    /// `Usage` if the rule puts no rows there, if it has no place for them, if that is the target, or if its format cannot be
    /// told; `Unsupported` if no rows can be added there, `NotFound` if the folder for it is missing.
    pub(super) async fn of(
        session: &Session,
        target: &Location,
        rule: &MergeRule,
        options: &UpsertOptions,
        backend: &'static str,
    ) -> Result<Option<Self>> {
        options.check_rule(rule)?;
        let Some(location) = options.quarantine.clone() else { return Ok(None) };
        let options =
            WriteOptions { mode: WriteMode::Append, mkdir: options.mkdir, ..WriteOptions::default() };
        let own = Self { location, options, backend, added: Vec::new() };
        let (target, place) = (target.clone(), own.location.clone());
        session.run(move |_| check_apart(&target, &place)).await?;
        own.check(session).await.map_err(|error| error.with_missing("quarantine", &own.location))?;
        Ok(Some(own))
    }

    async fn check(&self, session: &Session) -> Result<()> {
        if kind_written(session, &self.location, &self.options).await? != Kind::File {
            return Ok(());
        }
        let (location, options, backend) = (self.location.clone(), self.options.clone(), self.backend);
        let look = move |session: &Session| match Target::open(session, &location, &options, backend)? {
            Some(file) => file.check_changeable(),
            None => Ok(()),
        };
        session.run(look).await
    }

    /// Adds those of `rows` that are put aside and are not there yet.
    ///
    /// # Errors
    ///
    /// What writing fails with; the target is not changed then.
    pub(super) fn add(&mut self, session: &Session, rows: &Spilled, aside: &Aside) -> Result<()> {
        let is_new = |(place, _): &&(u64, Reason)| self.added.binary_search(place).is_err();
        let new: Vec<_> = aside.0.iter().filter(is_new).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        let count = new.len();
        let stream = picked(rows, new, session.run_id())?;
        let (own, location, options) = (session.clone(), self.location.clone(), self.options.clone());
        let backend = self.backend;
        let written =
            session.wait(async move { write_stream(&own, stream, &location, &options, backend).await });
        written.map_err(|error| self.refused(error, count))?;
        self.added = aside.0.iter().map(|(place, _)| *place).chain(self.added.drain(..)).collect();
        self.added.sort_unstable();
        self.added.dedup();
        Ok(())
    }

    fn refused(&self, error: Error, rows: usize) -> Error {
        let message = match error.kind() {
            ErrorKind::Cancelled => "cancelled while rows went into the quarantine; the target is as it was",
            _ => "rows cannot be added to the quarantine, and so the target is left as it was",
        };
        let hint = match error.kind() {
            ErrorKind::InvalidInput => {
                "what is there has other columns or types: name another place with --quarantine"
            }
            ErrorKind::Cancelled => "some of these rows may be there already",
            _ => error.hint_text().unwrap_or("name another place for them with --quarantine"),
        };
        Error::new(error.kind(), message)
            .hint(hint.to_owned())
            .with("quarantine", &self.location)
            .with("rows", rows)
            .because(error)
    }

    /// An error of the upsert, with what stands in the quarantine although it failed.
    pub(super) fn told(&self, error: Error) -> Error {
        match self.added.len() {
            0 => error,
            rows => error.with("quarantined", format!("{rows} in {}", self.location)),
        }
    }

    /// Its name in reports.
    pub(super) fn name(&self) -> String {
        self.location.to_string()
    }
}

/// Refuses incoming columns that have the names of those that rows get there.
///
/// # Errors
///
/// `InvalidInput`.
pub(super) fn check_columns(incoming: &Schema) -> Result<()> {
    let is_taken = |name: &str| [REASON, RUN_ID, SOURCE_ROW].iter().any(|own| own.eq_ignore_ascii_case(name));
    match incoming.fields().iter().find(|field| is_taken(field.name())) {
        None => Ok(()),
        Some(field) => {
            Err(Error::new(ErrorKind::InvalidInput, "the quarantine has a column of this name itself")
                .with("column", field.name())
                .hint(
                    "rows that come from a quarantine: leave its columns out of the source, or rename them",
                ))
        }
    }
}

/// The rows at these places, with the columns that say why.
fn picked(rows: &Spilled, places: Vec<(u64, Reason)>, run_id: &str) -> Result<BatchStream> {
    let (schema, batches) = rows.batches()?;
    let own = stored_as(&*columns_of(&schema)?);
    let schema = with_reasons(&own);
    let (run_id, all) = (run_id.to_owned(), Arc::clone(&schema));
    let (mut places, mut end) = (places.into_iter().peekable(), 0);
    let picked = batches.filter_map(move |batch| {
        let picked = batch.and_then(|batch| {
            let first = end;
            end += batch.num_rows() as u64;
            let own_places: Vec<_> =
                std::iter::from_fn(|| places.next_if(|(place, _)| *place < end)).collect();
            if own_places.is_empty() {
                return Ok(None);
            }
            let (batch, _) = split(batch)?;
            let batch = with_schema(&batch, &own).map_err(failed)?;
            reasoned(&batch, first, &own_places, &run_id, &all).map(Some).map_err(failed)
        });
        picked.transpose()
    });
    Ok(BatchStream::from_iter(schema, picked))
}

/// The columns so that each batch fits what others have made: any may be null, and one without a type is one of text.
fn stored_as(incoming: &Schema) -> SchemaRef {
    let plain = plain_schema(incoming);
    let field = |field: &FieldRef| {
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    };
    Arc::new(Schema::new(plain.fields().iter().map(field).collect::<Vec<_>>()))
}

fn with_reasons(own: &Schema) -> SchemaRef {
    let reasons = [(REASON, DataType::Utf8), (RUN_ID, DataType::Utf8), (SOURCE_ROW, DataType::Int64)];
    let reasons = reasons.map(|(name, data_type)| Arc::new(Field::new(name, data_type, true)));
    Arc::new(Schema::new(own.fields().iter().cloned().chain(reasons).collect::<Vec<_>>()))
}

/// Those of the rows of `batch`, of which the first has the place `first`, with the reasons behind their columns.
fn reasoned(
    batch: &RecordBatch,
    first: u64,
    places: &[(u64, Reason)],
    run_id: &str,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let rows = UInt64Array::from_iter_values(places.iter().map(|(place, _)| place - first));
    let own = take_record_batch(batch, &rows)?;
    let number = |place: u64| i64::try_from(place + 1).unwrap_or(i64::MAX);
    let reasons: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter_values(places.iter().map(|(_, reason)| reason.text()))),
        Arc::new(StringArray::from_iter_values(places.iter().map(|_| run_id))),
        Arc::new(Int64Array::from_iter_values(places.iter().map(|(place, _)| number(*place)))),
    ];
    RecordBatch::try_new(Arc::clone(schema), own.columns().iter().cloned().chain(reasons).collect())
}

fn failed(cause: ArrowError) -> Error {
    Error::internal("rows for the quarantine could not be gathered").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_the_rows_without_an_id() {
        let places = |left_out: &[u64], stale: &[u64]| -> Vec<(u64, &str)> {
            let aside = Aside::new(left_out, stale.iter().copied());
            aside.0.iter().map(|(place, reason)| (*place, reason.text())).collect()
        };
        assert_eq!(places(&[], &[0, 3]), [(0, "stale"), (3, "stale")]);
        assert_eq!(
            places(&[0, 1, 4], &[0, 1, 2]),
            [(0, "null id"), (1, "null id"), (2, "stale"), (3, "stale"), (4, "null id"), (5, "stale")]
        );
        assert_eq!(places(&[2], &[1, 2]), [(1, "stale"), (2, "null id"), (3, "stale")]);
    }

    #[test]
    fn rows_are_picked_from_all_batches_with_their_numbers() {
        let batch = |ids: &[Option<i64>]| {
            let ids: ArrayRef = Arc::new(ids.iter().copied().collect::<Int64Array>());
            RecordBatch::try_from_iter_with_nullable([("id", ids, true)]).expect("a batch")
        };
        let batches = vec![batch(&[Some(1), None]), batch(&[]), batch(&[Some(3)]), batch(&[None, Some(5)])];
        let rows = Spilled::Memory(batches[0].schema(), batches);
        let places = vec![(1, Reason::NullId), (3, Reason::NullId), (4, Reason::Stale)];
        let found = futures::executor::block_on(picked(&rows, places, "run").expect("a stream").collect());
        let line = |batch: &RecordBatch, row: usize| -> String {
            let texts = batch
                .columns()
                .iter()
                .map(|column| arrow::util::display::array_value_to_string(column, row).expect("a text"));
            texts.collect::<Vec<_>>().join("|")
        };
        let found = found.expect("rows");
        let lines: Vec<String> =
            found.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| line(batch, row))).collect();
        assert_eq!(lines, ["|null id|run|2", "|null id|run|4", "5|stale|run|5"]);
    }
}
