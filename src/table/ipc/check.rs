//! What a message says of itself, compared with the bytes that are there: Arrow's decoder trusts it.

use arrow::buffer::Buffer;
use arrow::ipc::{Block, Message, RecordBatch, root_as_message};

use super::damaged;
use crate::error::Result;

/// The highest ratio by which a whole buffer can shrink: a block of Zstandard, 128 KiB, takes 4 bytes at least.
const RATIO: u64 = 1 << 15;

/// Stands for the length of a buffer that is not compressed.
const NOT_COMPRESSED: i64 = -1;

/// Refuses a message that does not end before `end`.
pub(super) fn place(place: &Block, end: u64) -> Result<()> {
    let parts = [place.offset(), i64::from(place.metaDataLength()), place.bodyLength()];
    let message_end = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(u64::try_from(*part).ok()?));
    match message_end {
        Some(message_end) if message_end <= end && place.metaDataLength() >= 8 => Ok(()),
        _ => Err(damaged("a message is not within the file")),
    }
}

/// Where a message ends that was found in its place.
pub(super) fn end(place: &Block) -> u64 {
    [place.offset(), i64::from(place.metaDataLength()), place.bodyLength()]
        .iter()
        .map(|part| part.unsigned_abs())
        .sum()
}

/// What the head of a message says.
pub(super) fn parsed(head: &Buffer) -> Result<Message<'_>> {
    let lead = if head.starts_with(&[0xff; 4]) { 8 } else { 4 };
    let said = head.get(lead..).ok_or_else(|| damaged("a message is too short"))?;
    root_as_message(said).map_err(|cause| damaged(cause.to_string()))
}

/// Refuses a message, head and body, whose buffers are not within its body, or would grow beyond measure.
pub(super) fn buffers(message: &Buffer, place: &Block) -> Result<()> {
    let head = parsed(message)?;
    let body = usize::try_from(place.metaDataLength()).ok().and_then(|length| message.get(length..));
    let body = body.ok_or_else(|| damaged("a message is too short"))?;
    let rows = head.header_as_record_batch();
    match rows.or_else(|| head.header_as_dictionary_batch().and_then(|values| values.data())) {
        Some(batch) => batch_buffers(&batch, body),
        None => Err(damaged("a message holds no rows")),
    }
}

fn batch_buffers(batch: &RecordBatch<'_>, body: &[u8]) -> Result<()> {
    for buffer in batch.buffers().into_iter().flatten() {
        let within = || {
            let start = usize::try_from(buffer.offset()).ok()?;
            body.get(start..start.checked_add(usize::try_from(buffer.length()).ok()?)?)
        };
        let bytes = within().ok_or_else(|| damaged("a buffer is not within its message"))?;
        if batch.compression().is_some() && !bytes.is_empty() && !grows_within_reason(bytes) {
            return Err(damaged("a compressed buffer has an impossible length"));
        }
    }
    Ok(())
}

/// A compressed buffer begins with the length that it has when it is not.
fn grows_within_reason(bytes: &[u8]) -> bool {
    let Some((length, compressed)) = bytes.split_first_chunk::<8>() else { return false };
    match i64::from_le_bytes(*length) {
        NOT_COMPRESSED => true,
        length => u64::try_from(length).is_ok_and(|length| length <= (compressed.len() as u64 + 1) * RATIO),
    }
}
