//! Incoming rows that are left out, and kept in another place. They are added there before the target changes: where the
//! target has a batch, no row of it is lost. A run that ends in between has added rows that the next one adds again.

mod apart;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::marks::{columns_of, split};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::options::{UpsertOptions, WriteMode, WriteOptions};
use crate::core::text::print;
use crate::error::{Error, ErrorKind, Result};
use crate::interfaces::BatchStream;
use crate::table::spill::{MEMORY_BYTES, Spilled, plain_schema};
use crate::table::taken::LeftOut;
use crate::table::target::Kind;
use crate::table::text::{is_marked, marked, said};
use crate::table::write::{Target, kind_written, write_within};
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
    /// Bytes of rows that may be held.
    held: usize,
    /// Whether tokens of JSON go there as they are.
    takes_tokens: bool,
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
        (backend, held): (&'static str, usize),
    ) -> Result<Option<Self>> {
        options.check_rule(rule)?;
        let Some(location) = options.quarantine.clone() else { return Ok(None) };
        let options =
            WriteOptions { mode: WriteMode::Append, mkdir: options.mkdir, ..WriteOptions::default() };
        let held = held.min(MEMORY_BYTES);
        let (takes_tokens, added) = (false, Vec::new());
        let mut own = Self { location, options, backend, held, takes_tokens, added };
        let (target, place) = (target.clone(), own.location.clone());
        session.run(move |_| check_apart(&target, &place)).await?;
        let format = own.format(session).await;
        let format = format.map_err(|error| error.with_missing("quarantine", &own.location))?;
        own.takes_tokens = format == Some(Format::Ndjson);
        Ok(Some(own))
    }

    /// The format if it is one file, or will be, to which rows can be added.
    async fn format(&self, session: &Session) -> Result<Option<Format>> {
        if kind_written(session, &self.location, &self.options).await? != Kind::File {
            return Ok(None);
        }
        let (location, options, backend) = (self.location.clone(), self.options.clone(), self.backend);
        let look = move |session: &Session| match Target::open(session, &location, &options, backend)? {
            Some(file) => file.check_changeable().map(|()| Some(file.format())),
            None => Ok(None),
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
        let stream = picked(rows, new, session.run_id(), self.takes_tokens)?;
        let (own, location, options) = (session.clone(), self.location.clone(), self.options.clone());
        let (backend, held) = (self.backend, self.held);
        let work = async move { write_within(&own, stream, &location, &options, backend, held).await };
        let written = session.wait(work);
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

/// The rows at these places, with the columns that say why. Columns of tokens are text unless they are taken as they are.
fn picked(
    rows: &Spilled,
    places: Vec<(u64, Reason)>,
    run_id: &str,
    takes_tokens: bool,
) -> Result<BatchStream> {
    let (schema, batches) = rows.batches()?;
    let own = stored_as(&*columns_of(&schema)?, takes_tokens);
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
            let rows = UInt64Array::from_iter_values(own_places.iter().map(|(place, _)| place - first));
            let batch = take_record_batch(&split(batch)?.0, &rows).map_err(failed)?;
            let columns = batch.columns().iter().zip(batch.schema_ref().fields()).zip(own.fields());
            let columns = columns.map(|((values, field), own)| brought(values, field, own));
            reasoned(columns.collect::<Result<_>>()?, &own_places, &run_id, &all).map(Some)
        });
        picked.transpose()
    });
    Ok(BatchStream::from_iter(schema, picked))
}

/// The columns so that each batch fits what others have made: any may be null, and one without a type is one of text.
fn stored_as(incoming: &Schema, takes_tokens: bool) -> SchemaRef {
    let plain = plain_schema(incoming);
    let field = |field: &FieldRef| {
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8,
            _ if is_marked(field) => DataType::Utf8,
            other => other.clone(),
        };
        let own = Field::new(field.name(), data_type, true);
        if takes_tokens && is_marked(field) { marked(own) } else { own }
    };
    Arc::new(Schema::new(plain.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The values of `field` in the type of `own`.
fn brought(values: &ArrayRef, field: &Field, own: &Field) -> Result<ArrayRef> {
    if is_marked(field) && !is_marked(own) {
        return Ok(Arc::new(said(&print(values.as_ref())?, field.name(), 0)?));
    }
    if values.data_type() == own.data_type() {
        Ok(Arc::clone(values))
    } else {
        cast(values, own.data_type()).map_err(failed)
    }
}

fn with_reasons(own: &Schema) -> SchemaRef {
    let reasons = [(REASON, DataType::Utf8), (RUN_ID, DataType::Utf8), (SOURCE_ROW, DataType::Int64)];
    let reasons = reasons.map(|(name, data_type)| Arc::new(Field::new(name, data_type, true)));
    Arc::new(Schema::new(own.fields().iter().cloned().chain(reasons).collect::<Vec<_>>()))
}

/// Rows of these columns with the reasons behind them.
fn reasoned(
    mut columns: Vec<ArrayRef>,
    places: &[(u64, Reason)],
    run_id: &str,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let number = |place: u64| i64::try_from(place + 1).unwrap_or(i64::MAX);
    let reasons: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter_values(places.iter().map(|(_, reason)| reason.text()))),
        Arc::new(StringArray::from_iter_values(places.iter().map(|_| run_id))),
        Arc::new(Int64Array::from_iter_values(places.iter().map(|(place, _)| number(*place)))),
    ];
    columns.extend(reasons);
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(failed)
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
        let found =
            futures::executor::block_on(picked(&rows, places, "run", false).expect("a stream").collect());
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
