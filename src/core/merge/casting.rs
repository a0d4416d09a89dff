//! How incoming values become stored ones where an exact cast refuses them.

use std::fmt;
use std::str::FromStr;

use arrow::array::timezone::Tz;

use super::choices::{FineTimestamps, Lossy};
use crate::core::text::instant;
use crate::error::{Error, ErrorKind, Result};

/// What is done with incoming values that are none of the stored type; by default each of them is an error.
///
/// Ids and modification values never become null.
///
/// ```
/// use keyfold::{Casting, Lossy, MergeRule, NaiveTimestamps};
///
/// let casting = Casting::default()
///     .with_lossy(Lossy::Null)
///     .with_naive_timestamps(NaiveTimestamps::Assume("Europe/Berlin".parse()?));
/// let rule = MergeRule::by_id(["order_id"])?.with_casting(casting);
/// # Ok::<(), keyfold::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Casting {
    /// Values that do not fit the stored type exactly.
    pub lossy: Lossy,
    /// Timestamps without a zone where stored ones have one.
    pub naive_timestamps: NaiveTimestamps,
    /// Timestamps that are finer than the stored unit.
    pub fine_timestamps: FineTimestamps,
}

impl Casting {
    /// Says what is done with values that do not fit the stored type exactly.
    #[must_use]
    pub fn with_lossy(mut self, lossy: Lossy) -> Self {
        self.lossy = lossy;
        self
    }

    /// Says what timestamps without a zone mean where stored ones have one.
    #[must_use]
    pub fn with_naive_timestamps(mut self, naive: NaiveTimestamps) -> Self {
        self.naive_timestamps = naive;
        self
    }

    /// Says what is done with timestamps that are finer than the stored unit.
    #[must_use]
    pub fn with_fine_timestamps(mut self, fine: FineTimestamps) -> Self {
        self.fine_timestamps = fine;
        self
    }

    /// Whether every value has to survive.
    pub(crate) fn is_exact(&self) -> bool {
        *self == Self::default()
    }
}

/// What an incoming timestamp without a zone, or a date, means where stored timestamps have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NaiveTimestamps {
    /// The upsert is refused.
    #[default]
    Error,
    /// It is what clocks show in this zone. Where they never show it, or twice, the upsert is refused.
    Assume(Zone),
}

impl fmt::Display for NaiveTimestamps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error => f.write_str("error"),
            Self::Assume(zone) => write!(f, "assume={zone}"),
        }
    }
}

impl FromStr for NaiveTimestamps {
    type Err = Error;

    /// Reads `error` or `assume=ZONE`.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            None if text == "error" => Ok(Self::Error),
            Some(("assume", zone)) => zone.parse().map(Self::Assume),
            _ => Err(Error::new(ErrorKind::Usage, "not a choice for timestamps without a zone")
                .with("found", text)
                .hint("say error, or assume=ZONE, such as assume=Europe/Berlin")),
        }
    }
}

/// A time zone: a name of the IANA data base, such as `Europe/Berlin` or `UTC`, or an offset such as `+02:00`.
#[derive(Clone)]
pub struct Zone {
    name: String,
    zone: Tz,
}

impl Zone {
    /// The zone itself.
    pub(crate) fn tz(&self) -> Tz {
        self.zone
    }
}

impl FromStr for Zone {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        // Arrow takes offsets of 99 minutes.
        let is_offset = name.starts_with(['+', '-']);
        let is_sound = !is_offset || instant(&format!("1970-01-01T00:00:00{name}")).is_some();
        match name.parse() {
            Ok(zone) if is_sound => Ok(Self { name: name.to_owned(), zone }),
            _ => Err(Error::new(ErrorKind::Usage, "not a time zone").with("found", name).hint(
                "name one of the IANA data base, such as Europe/Berlin or UTC, or an offset such as +02:00",
            )),
        }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_or_offsets() {
        for name in ["UTC", "Europe/Berlin", "+02:00", "-0930"] {
            assert_eq!(name.parse::<Zone>().map(|zone| zone.to_string()).ok().as_deref(), Some(name));
        }
        for name in ["", "Berlin", "europe/berlin", "+25:00", "+02:75", "02:00", "+2"] {
            assert_eq!(name.parse::<Zone>().map_err(|e| e.kind()), Err(ErrorKind::Usage), "{name}");
        }
    }

    #[test]
    fn naive_timestamps_are_refused_or_of_a_zone() {
        assert_eq!("error".parse::<NaiveTimestamps>().ok(), Some(NaiveTimestamps::Error));
        let berlin = NaiveTimestamps::Assume("Europe/Berlin".parse().expect("a zone"));
        assert_eq!("assume=Europe/Berlin".parse::<NaiveTimestamps>().ok(), Some(berlin));
        for text in ["", "assume", "assume=", "UTC", "error=UTC"] {
            assert_eq!(
                text.parse::<NaiveTimestamps>().map_err(|e| e.kind()),
                Err(ErrorKind::Usage),
                "{text}"
            );
        }
    }
}
