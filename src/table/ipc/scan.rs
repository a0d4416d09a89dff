//! Reading IPC files: the columns that are wanted, in the types that are asked for, filtered and cut off, batch by batch.
//! Both backends read by this, so that both give the same answer.

use std::iter::FusedIterator;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::FileDecoder;

use super::messages::{Kind, Message, Messages};
use super::{check, guarded};
use crate::client::file::DataFile;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::options::ReadOptions;
use crate::core::predicate::Bound;
use crate::error::{Error, ErrorKind, Result};
use crate::table::read_as::{asked_schema, needed, read_as};

/// IPC files with the same columns, ready to be read as often as wanted.
#[derive(Debug, Clone)]
pub(crate) struct IpcScan(Arc<Plan>);

#[derive(Debug)]
struct Plan {
    session: Session,
    files: Vec<DataFile>,
    format: Format,
    /// The columns to read, as they are stored: those of the result, followed by those that only the filter looks at.
    stored: SchemaRef,
    /// The same in the types that are asked for.
    read: SchemaRef,
    /// The columns of the result.
    schema: SchemaRef,
    filter: Option<Bound>,
    limit: Option<usize>,
}

impl IpcScan {
    /// A scan of `files`, all with the columns of `stored` in any order.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a column that is wanted and not there.
    pub(crate) fn new(
        session: &Session,
        files: Vec<DataFile>,
        format: Format,
        stored: &SchemaRef,
        options: &ReadOptions,
    ) -> Result<Self> {
        let stored = needed(stored, options)?;
        let read = asked_schema(&stored, options);
        let wanted = options.columns.as_ref().map_or(read.fields().len(), Vec::len);
        let schema = read.project(&(0..wanted).collect::<Vec<_>>());
        let schema = schema.map_err(|cause| Error::internal("a wanted column is not read").because(cause))?;
        let filter = options.filter.as_ref().map(|filter| filter.bind(&read)).transpose()?;
        Ok(Self(Arc::new(Plan {
            session: session.clone(),
            files,
            format,
            stored,
            read,
            schema: Arc::new(schema),
            filter,
            limit: options.limit,
        })))
    }

    /// The columns of every batch.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    /// Starts reading, from the first row. Blocks when pulled.
    pub(crate) fn batches(&self) -> IpcBatches {
        IpcBatches { left: self.0.limit, plan: Arc::clone(&self.0), file: 0, open: None }
    }
}

impl Plan {
    /// The rows of a stored batch that are wanted, as they are wanted.
    fn rows_of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.stored.fields().iter().zip(self.read.fields()).map(|(stored, read)| {
            let column = batch.column_by_name(stored.name()).ok_or_else(changed)?;
            if column.data_type() == read.data_type() {
                Ok(Arc::clone(column))
            } else {
                read_as(column, read)
            }
        });
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let internal = |cause| Error::internal("rows are not of the schema they were to have").because(cause);
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(&self.read), columns, &rows).map_err(internal)?;
        let Some(filter) = &self.filter else { return Ok(batch) };
        let found = filter_record_batch(&batch, &filter.evaluate(&batch)?).map_err(internal)?;
        found.project(&(0..self.schema.fields().len()).collect::<Vec<_>>()).map_err(internal)
    }
}

fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "the file changed while it was read").hint("read it again")
}

/// Batches of the rows that a scan gives, in the order of the files.
#[derive(Debug)]
pub(crate) struct IpcBatches {
    plan: Arc<Plan>,
    /// The file to open next.
    file: usize,
    open: Option<Open>,
    /// Rows that may still be given; `None` without a limit.
    left: Option<usize>,
}

impl IpcBatches {
    fn pull(&mut self) -> Result<Option<RecordBatch>> {
        while self.left != Some(0) {
            self.plan.session.check()?;
            let Some(open) = &mut self.open else {
                let Some(file) = self.plan.files.get(self.file) else { return Ok(None) };
                self.open = Some(Open::new(&self.plan, file)?);
                continue;
            };
            let Some(batch) = open.next(&self.plan.session)? else {
                self.open = None;
                self.file += 1;
                continue;
            };
            let batch = self.plan.rows_of(&batch)?;
            let batch = batch.slice(0, self.left.map_or(batch.num_rows(), |left| left.min(batch.num_rows())));
            self.left = self.left.map(|left| left - batch.num_rows());
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

impl Iterator for IpcBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let pulled = self.pull().map_err(|error| match self.plan.files.get(self.file) {
            Some(file) => error.with_missing("file", file.location()),
            None => error,
        });
        if pulled.is_err() {
            // What failed once would fail for ever.
            self.left = Some(0);
        }
        pulled.transpose()
    }
}

impl FusedIterator for IpcBatches {}

/// A file that is being read.
#[derive(Debug)]
struct Open {
    messages: Messages,
    decoder: FileDecoder,
}

impl Open {
    fn new(plan: &Plan, file: &DataFile) -> Result<Self> {
        let messages = Messages::open(file.read()?, plan.format)?;
        plan.session.progress().start(messages.bytes.len());
        let place = |name: &str| messages.schema.index_of(name).ok();
        let same = |index: usize, of: &arrow::datatypes::Field| {
            messages.schema.field(index).data_type() == of.data_type()
        };
        let places =
            plan.stored.fields().iter().map(|field| place(field.name()).filter(|index| same(*index, field)));
        let places = places.collect::<Option<Vec<_>>>().ok_or_else(changed)?;
        let decoder =
            FileDecoder::new(Arc::clone(&messages.schema), messages.version).with_projection(places);
        Ok(Self { messages, decoder })
    }

    /// The next batch, with the columns that are read.
    fn next(&mut self, session: &Session) -> Result<Option<RecordBatch>> {
        while let Some(message) = self.messages.next()? {
            if let Some(batch) = self.decode(&message)? {
                session.progress().advance(batch_bytes(&message));
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    fn decode(&mut self, message: &Message) -> Result<Option<RecordBatch>> {
        let place = &message.place;
        let start = place.offset().unsigned_abs();
        let bytes = self.messages.bytes.get(start, check::end(place) - start)?;
        check::buffers(&bytes, place)?;
        let decoder = &mut self.decoder;
        match message.kind {
            Kind::Rows => guarded(|| decoder.read_record_batch(place, &bytes)),
            Kind::Dictionary => guarded(|| decoder.read_dictionary(place, &bytes)).map(|()| None),
            Kind::Schema => Ok(None),
        }
    }
}

fn batch_bytes(message: &Message) -> u64 {
    check::end(&message.place) - message.place.offset().unsigned_abs()
}
