//! Where the messages of an IPC file are: listed in the footer of a file, one behind the other in a stream.

use std::sync::Arc;
use std::vec;

use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::read_footer_length;
use arrow::ipc::{Block, MessageHeader, root_as_footer};

use super::bytes::{Bytes, Part};
use super::{check, damaged, guarded, types};
use crate::client::file::Content;
use crate::core::format::Format;
use crate::core::schema::check_names;
use crate::error::{Error, ErrorKind, Result};

/// The end of a file: the length of its footer, and the mark.
const TRAILER: u64 = 10;

/// What comes before a message today; before 2019 the length came alone.
const MARK: [u8; 4] = [0xff; 4];

/// The messages of one file, in the order in which they are read.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) bytes: Bytes,
    pub(super) schema: SchemaRef,
    places: Places,
}

#[derive(Debug)]
enum Places {
    Listed(vec::IntoIter<Message>),
    /// The next one starts here.
    From(u64),
    Done,
}

/// A message, and what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) place: Block,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Schema,
    Dictionary,
    Rows,
}

impl Messages {
    /// Looks at the schema.
    ///
    /// # Errors
    ///
    /// `InvalidData` for what is not `format`, or not whole.
    pub(super) fn open(content: Content, format: Format) -> Result<Self> {
        if format == Format::ArrowStream {
            // A stream has to be walked through: message by message, that would be a request each.
            return Self::of_stream(Bytes::new(Content::Local(content.into_file()?))?);
        }
        Self::of_file(Bytes::new(content)?)
    }

    /// The columns alone.
    ///
    /// # Errors
    ///
    /// As [`Messages::open`].
    pub(super) fn describe(content: Content, format: Format) -> Result<SchemaRef> {
        let bytes = Bytes::new(content)?;
        let opened =
            if format == Format::ArrowStream { Self::of_stream(bytes) } else { Self::of_file(bytes) };
        opened.map(|messages| messages.schema)
    }

    fn of_file(bytes: Bytes) -> Result<Self> {
        bytes.hold(Part::End)?;
        let end = bytes.len().checked_sub(TRAILER).ok_or_else(|| damaged("it is too short"))?;
        let trailer = bytes.get(end, TRAILER)?;
        let trailer = trailer.as_slice().try_into().map_err(damaged)?;
        let length = guarded(|| read_footer_length(trailer))? as u64;
        let start = end.checked_sub(length).ok_or_else(|| damaged("the footer is longer than the file"))?;
        let footer = bytes.get(start, length)?;
        let footer = root_as_footer(&footer).map_err(|cause| damaged(cause.to_string()))?;
        let schema = footer.schema().ok_or_else(|| damaged("the footer has no schema"))?;
        let schema = columns(schema)?;
        let listed = |kind| move |place: &Block| Message { kind, place: *place };
        let dictionaries = footer.dictionaries().into_iter().flatten().map(listed(Kind::Dictionary));
        let rows = footer.recordBatches().into_iter().flatten().map(listed(Kind::Rows));
        let messages: Vec<Message> = dictionaries.chain(rows).collect();
        messages.iter().try_for_each(|message| check::place(&message.place, start))?;
        Ok(Self { bytes, schema, places: Places::Listed(messages.into_iter()) })
    }

    fn of_stream(bytes: Bytes) -> Result<Self> {
        bytes.hold(Part::Start)?;
        let (head, message) = message_at(&bytes, 0)?.ok_or_else(|| damaged("the stream has no schema"))?;
        if message.kind != Kind::Schema {
            return Err(damaged("the stream does not begin with its schema"));
        }
        let head = check::parsed(&head)?;
        let schema = head.header_as_schema().ok_or_else(|| damaged("the stream has no schema"))?;
        let schema = columns(schema)?;
        Ok(Self { bytes, schema, places: Places::From(check::end(&message.place)) })
    }

    /// The next dictionary, or the next rows; `None` behind the last.
    ///
    /// # Errors
    ///
    /// `InvalidData` if there is something else.
    pub(super) fn next(&mut self) -> Result<Option<Message>> {
        match &mut self.places {
            Places::Listed(messages) => Ok(messages.next()),
            Places::Done => Ok(None),
            Places::From(at) => {
                let Some((_, message)) = message_at(&self.bytes, *at)? else {
                    self.places = Places::Done;
                    return Ok(None);
                };
                *at = check::end(&message.place);
                match message.kind {
                    Kind::Schema => Err(damaged("there is a second schema, as if two streams were joined")),
                    Kind::Dictionary | Kind::Rows => Ok(Some(message)),
                }
            }
        }
    }

    /// How many rows a message brings.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it does not say.
    pub(super) fn rows(&self, message: &Message) -> Result<u64> {
        if message.kind != Kind::Rows {
            return Ok(0);
        }
        let length = u64::try_from(message.place.metaDataLength()).map_err(damaged)?;
        let head = self.bytes.get(message.place.offset().unsigned_abs(), length)?;
        let rows = check::parsed(&head)?.header_as_record_batch().map(|rows| rows.length());
        rows.and_then(|rows| u64::try_from(rows).ok()).ok_or_else(|| damaged("a batch has no length"))
    }
}

/// The head of the message that starts at `at`; `None` at the end.
fn message_at(bytes: &Bytes, at: u64) -> Result<Option<(Buffer, Message)>> {
    // A stream may end without a mark, says the format.
    if at == bytes.len() {
        return Ok(None);
    }
    let first = bytes.get(at, 4)?;
    let (lead, length) = if *first == MARK { (8, bytes.get(at + 4, 4)?) } else { (4, first) };
    let length = i32::from_le_bytes(length.as_slice().try_into().map_err(damaged)?);
    if length == 0 {
        return if at + lead == bytes.len() {
            Ok(None)
        } else {
            Err(damaged("there is more behind the end"))
        };
    }
    let length = lead + u64::try_from(length).map_err(damaged)?;
    let head = bytes.get(at, length)?;
    let message = check::parsed(&head)?;
    let kind = match message.header_type() {
        MessageHeader::Schema => Kind::Schema,
        MessageHeader::DictionaryBatch => Kind::Dictionary,
        MessageHeader::RecordBatch => Kind::Rows,
        _ => {
            return Err(Error::new(ErrorKind::Unsupported, "the stream holds something else than rows")
                .hint("tensors are not read"));
        }
    };
    let offset = i64::try_from(at).map_err(damaged)?;
    let place = Block::new(offset, i32::try_from(length).map_err(damaged)?, message.bodyLength());
    check::place(&place, bytes.len())?;
    Ok(Some((head, Message { kind, place })))
}

fn columns(schema: arrow::ipc::Schema<'_>) -> Result<SchemaRef> {
    if !schema.endianness().equals_to_target_endianness() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the file was written by a machine of another byte order",
        )
        .hint("write it again on a machine like this one"));
    }
    types::check(&schema)?;
    let schema: Schema = guarded(|| Ok(fb_to_schema(schema)))?;
    check_names(&schema)?;
    Ok(Arc::new(schema))
}
