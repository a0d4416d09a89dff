//! One stored record with new values in it. Only what differs is written: a cell that is equal by value
//! keeps its bytes, so that an id stays as it was stored whatever its spelling in the source.

use std::ops::Range;

use arrow::array::{Array, AsArray, BooleanArray, UInt32Array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{or, take};
use arrow::error::ArrowError;

use super::file::TextFile;
use super::fit::Fitted;
use super::rows::Rows;
use super::{columns, ndjson};
use crate::core::merge::canonical::canonical;
use crate::core::merge::cells::Cells;
use crate::core::merge::kernel::Pair;
use crate::error::{Error, Result};

/// For each stored column, which of some records to be replaced keep their field; `None` for all.
pub(super) type Kept = Vec<Option<BooleanArray>>;

/// Records to be replaced: where they stand among some, and by which rows of what was sent.
pub(super) struct Replaced<'a> {
    pub(super) pairs: &'a [Pair],
    pub(super) picks: &'a [usize],
    pub(super) sources: &'a [u32],
}

/// Compares those of `rows` that are to be replaced with what was sent, in the stored columns that have a place in the records.
pub(super) fn kept(
    file: &TextFile,
    cells: &Cells,
    rows: &Rows<'_>,
    places: &[Option<usize>],
    Replaced { pairs, picks, sources }: &Replaced<'_>,
) -> Result<Kept> {
    let broken = |cause: ArrowError| Error::internal("fields could not be compared").because(cause);
    let sources = UInt32Array::from(sources.to_vec());
    let column = |(slot, sent): (usize, &Option<Fitted>)| {
        let (Some(sent), Some(place)) = (sent, places[slot]) else {
            return Ok(cells.stays(&file.names[slot], pairs));
        };
        let stored = columns::array(rows, place, &picks.iter().copied(), sent.column.data_type())?;
        let sent = take(&sent.column, &sources, None).map_err(broken)?;
        let keeps = cells.keeps(&file.names[slot], &stored, &sent, pairs)?;
        if stored.data_type().is_nested() {
            return Ok(keeps);
        }
        let is_same = not_distinct(&canonical(&stored)?, &canonical(&sent)?).map_err(broken)?;
        Ok(Some(match keeps {
            Some(keeps) => or(&is_same, &keeps).map_err(broken)?,
            None => is_same,
        }))
    };
    file.sent.iter().enumerate().map(column).collect()
}

/// Writes the only record of `rows` with the values of row `source` of what was sent, but for those that
/// `keeps` says stay as they are.
pub(super) fn replace_record(
    file: &TextFile,
    rows: &Rows<'_>,
    source: usize,
    keeps: impl Fn(usize) -> bool,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    for (slot, sent) in file.sent.iter().enumerate() {
        if slot > 0 {
            out.push(file.layout.delimiter);
        }
        match sent {
            Some(sent) if !keeps(slot) => sent.cells.write(source, &file.layout, out),
            _ => out.extend_from_slice(rows.raw(0, slot).unwrap_or_default().as_bytes()),
        }
    }
    let line_end = rows.line_end(0);
    // A null alone in the last record would leave no record at all.
    let vanished = out.len() == start && line_end.is_empty();
    out.extend_from_slice(if vanished { file.line_end } else { line_end }.as_bytes());
}

/// Puts new tokens in the place of old ones, but for columns of which `keeps` says that they stay; keys that the object lacks
/// come last, those of stored columns if they have a value.
pub(super) fn replace_object(
    file: &TextFile,
    slots: &ndjson::Slots,
    rows: &Rows<'_>,
    source: usize,
    keeps: impl Fn(usize) -> bool,
    out: &mut Vec<u8>,
) -> Result<()> {
    let line = rows.record(0);
    let (edits, keys) = sent_tokens(file, slots, rows)?;
    let mut at = 0;
    for (place, slot) in &edits {
        let Some(sent) = &file.sent[*slot] else { continue };
        if keeps(*slot) || is_equal_text(&line[place.clone()], sent, source) {
            continue;
        }
        out.extend_from_slice(&line.as_bytes()[at..place.start]);
        at = place.end;
        sent.cells.write(source, &file.layout, out);
    }
    let inner = line[at..].rfind('}').map_or(line, |brace| &line[at..at + brace]).trim_ascii_end();
    out.extend_from_slice(inner.as_bytes());
    let mut first = keys == 0;
    for (slot, sent) in file.sent.iter().enumerate() {
        // A new column without a value is said as well: of some files it may be the only word.
        let says = |sent: &&Fitted| !sent.cells.is_null(source) || file.is_added(slot);
        let Some(sent) = sent.as_ref().filter(says) else { continue };
        if keeps(slot) || edits.iter().any(|(_, edited)| *edited == slot) {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        ndjson::write_string(&file.names[slot], out);
        out.push(b':');
        sent.cells.write(source, &file.layout, out);
    }
    out.extend_from_slice(&line.as_bytes()[at + inner.len()..]);
    Ok(())
}

/// Whether a token says the text that it is compared with: the number 1 is equal to the string "1" in a column of
/// both, and stays what it is.
fn is_equal_text(token: &str, sent: &Fitted, source: usize) -> bool {
    let texts = sent.column.as_string_opt::<i32>().filter(|texts| texts.is_valid(source));
    texts.is_some_and(|texts| {
        ndjson::text(token).is_ok_and(|text| text.as_deref() == Some(texts.value(source)))
    })
}

/// A range of bytes in a record, and the stored column whose sent value takes its place.
type Edit = (Range<usize>, usize);

/// Where the tokens of sent columns stand in an object, in its order, and how many keys it has.
fn sent_tokens(file: &TextFile, slots: &ndjson::Slots, rows: &Rows<'_>) -> Result<(Vec<Edit>, usize)> {
    let line = rows.record(0);
    let mut keys = 0;
    let mut places: Vec<Edit> = Vec::new();
    let resolve = |key: &str| {
        keys += 1;
        slots.get(key).filter(|slot| file.sent[*slot].is_some())
    };
    let take = |slot, token: &str| {
        let start = token.as_ptr().addr() - line.as_ptr().addr();
        // Of two equal keys the last one counts.
        places.retain(|(_, earlier)| *earlier != slot);
        places.push((start..start + token.len(), slot));
    };
    ndjson::entries(line, resolve, take).map_err(|fault| rows.error(0, fault))?;
    Ok((places, keys))
}
