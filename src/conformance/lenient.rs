//! What becomes of one incoming value by what the rule says of casts: through its text, value by value, for the judge.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{NaiveDateTime, TimeZone};

use crate::core::cast::{CastRefused, exact};
use crate::core::merge::{Casting, FineTimestamps, Lossy, NaiveTimestamps};
use crate::core::text::print;
use crate::error::{Error, Result};

/// `values` as `to`, or why not; `is_key` says that none may become null.
pub(super) fn cast_each(
    values: &ArrayRef,
    to: &DataType,
    casting: &Casting,
    is_key: bool,
) -> Result<Result<ArrayRef, &'static str>> {
    let mut cast = Vec::new();
    for row in 0..values.len() {
        match one(&values.slice(row, 1), to, casting) {
            Ok(value) => cast.push(value),
            Err(LOSSY) if casting.lossy == Lossy::Null && !is_key => cast.push(new_null_array(to, 1)),
            Err(message) => return Ok(Err(message)),
        }
    }
    if cast.is_empty() {
        return Ok(Ok(new_null_array(to, 0)));
    }
    let cast: Vec<&dyn Array> = cast.iter().map(AsRef::as_ref).collect();
    concat(&cast)
        .map(Ok)
        .map_err(|cause| Error::internal("the values of a case do not fit together").because(cause))
}

const LOSSY: &str = "a value does not fit the stored type exactly";

fn one(value: &ArrayRef, to: &DataType, casting: &Casting) -> Result<ArrayRef, &'static str> {
    let refused = match exact(value, to) {
        Ok(value) => return Ok(value),
        Err(refused) => refused,
    };
    if let (DataType::Timestamp(unit, _), Ok(texts)) = (to, print(value.as_ref()))
        && !matches!(refused, CastRefused::Types)
    {
        let mut text = texts.value(0).to_owned();
        if let (NaiveTimestamps::Assume(zone), CastRefused::Zone) = (&casting.naive_timestamps, &refused) {
            let whole = if text.len() == 10 { format!("{text}T00:00:00") } else { text.replace(' ', "T") };
            if let Ok(local) = whole.parse::<NaiveDateTime>() {
                let instant = zone.tz().from_local_datetime(&local).single();
                text = instant.ok_or("a local time does not exist in its zone, or twice")?.to_rfc3339();
            }
        }
        if casting.fine_timestamps == FineTimestamps::Truncate {
            text = cut(&text, *unit);
        }
        if text == texts.value(0) {
            return Err(message(&refused));
        }
        let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
        return exact(&text, to).map_err(|refused| message(&refused));
    }
    Err(message(&refused))
}

/// A timestamp without the digits that are finer than `unit`.
fn cut(text: &str, unit: TimeUnit) -> String {
    let Some((whole, rest)) = text.split_once('.') else { return text.to_owned() };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let digits = match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    match &rest[..end.min(digits)] {
        "" => format!("{whole}{}", &rest[end..]),
        digits => format!("{whole}.{digits}{}", &rest[end..]),
    }
}

fn message(refused: &CastRefused) -> &'static str {
    match refused {
        CastRefused::Lossy(_) => LOSSY,
        CastRefused::Local(_) => "a local time does not exist in its zone, or twice",
        CastRefused::Zone => "one side has timestamps with a zone, the other without",
        CastRefused::Types => "no value of the incoming type is one of the stored type",
    }
}
