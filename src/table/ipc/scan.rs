//! Reading IPC files: the columns that are wanted, in the types that are asked for, filtered and cut off, batch by batch.
//! Both backends read by this, so that both give the same answer.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::FileDecoder;

use super::messages::{Kind, Message, Messages};
use super::{check, guarded};
use crate::client::file::DataFile;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::options::ReadOptions;
use crate::error::Result;
use crate::table::read_as::{Asked, Limited, changed, limited};

/// IPC files with the same columns, ready to be read as often as wanted.
#[derive(Debug, Clone)]
pub(crate) struct IpcScan {
    plan: Arc<Plan>,
    limit: Option<usize>,
}

#[derive(Debug)]
struct Plan {
    session: Session,
    files: Vec<DataFile>,
    format: Format,
    asked: Asked,
}

impl IpcScan {
    /// A scan of `files`, all with the columns of `stored` in any order.
    ///
    /// # Errors
    ///
    /// As [`Asked::new`].
    pub(crate) fn new(
        session: &Session,
        files: Vec<DataFile>,
        format: Format,
        stored: &SchemaRef,
        options: &ReadOptions,
    ) -> Result<Self> {
        let asked = Asked::new(stored, options)?;
        let plan = Arc::new(Plan { session: session.clone(), files, format, asked });
        Ok(Self { plan, limit: options.limit })
    }

    /// The columns of every batch.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.plan.asked.schema()
    }

    /// Starts reading, from the first row. Blocks when pulled.
    pub(crate) fn batches(&self) -> Limited<IpcBatches> {
        limited(IpcBatches { plan: Arc::clone(&self.plan), file: 0, open: None }, self.limit)
    }
}

/// Batches of the rows that a scan gives, in the order of the files.
#[derive(Debug)]
pub(crate) struct IpcBatches {
    plan: Arc<Plan>,
    /// The file that is read, or to open next.
    file: usize,
    open: Option<Open>,
}

impl IpcBatches {
    fn pull(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.plan.session.check()?;
            let Some(open) = &mut self.open else {
                let Some(file) = self.plan.files.get(self.file) else { return Ok(None) };
                self.open = Some(Open::new(&self.plan, file)?);
                continue;
            };
            if let Some(batch) = open.next(&self.plan.session)? {
                return self.plan.asked.of(&batch).map(Some);
            }
            self.open = None;
            self.file += 1;
        }
    }
}

impl Iterator for IpcBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let pulled = self.pull().map_err(|error| match self.plan.files.get(self.file) {
            Some(file) => error.with_missing("file", file.location()),
            None => error,
        });
        pulled.transpose()
    }
}

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
        let places = plan
            .asked
            .stored()
            .fields()
            .iter()
            .map(|field| place(field.name()).filter(|index| same(*index, field)));
        let places = places.collect::<Option<Vec<_>>>().ok_or_else(changed)?;
        // Each message says its own version, and by this one the decoder believes it: a footer may say another.
        let decoder =
            FileDecoder::new(Arc::clone(&messages.schema), MetadataVersion::V1).with_projection(places);
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
