//! How much memory an upsert may take.

use std::str::FromStr;

use bytesize::ByteSize;

use crate::error::{Error, ErrorKind, Result};

/// How much memory an upsert may take, in bytes.
///
/// [`MemoryLimit::FLOOR`] of it are for the program, the engine and the row groups that are being decoded and encoded; the
/// rest is for the incoming rows. Where these need more, they go to disk, and are merged part by part under one commit.
///
/// Parsed from a number with a unit: `512MiB`, `2GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit(u64);

impl MemoryLimit {
    /// What is not for incoming rows: 256 MiB.
    pub const FLOOR: u64 = 256 << 20;

    /// The least limit: 320 MiB.
    pub const LEAST: u64 = Self::FLOOR + (64 << 20);

    /// A limit of so many bytes.
    ///
    /// # Errors
    ///
    /// `Usage` for less than [`MemoryLimit::LEAST`].
    pub fn new(bytes: u64) -> Result<Self> {
        if bytes < Self::LEAST {
            return Err(Error::new(ErrorKind::Usage, "the memory limit is too small")
                .with("limit", ByteSize(bytes))
                .with("least", ByteSize(Self::LEAST))
                .hint("program and engine need most of that; the incoming rows get what is above it"));
        }
        Ok(Self(bytes))
    }

    /// The limit in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// A limit under which all incoming rows go to disk, for tests.
    pub(crate) fn tight() -> Self {
        Self(Self::FLOOR + 16)
    }

    /// What incoming rows may take.
    pub(crate) fn for_rows(self) -> u64 {
        self.0 - Self::FLOOR
    }
}

impl Default for MemoryLimit {
    /// A quarter of the memory of the machine, or of the control group if that has less; at least
    /// [`MemoryLimit::LEAST`].
    fn default() -> Self {
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        let group = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
        Self((system.total_memory().min(group) / 4).max(Self::LEAST))
    }
}

impl FromStr for MemoryLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = text.parse::<ByteSize>().map_err(|_| {
            Error::new(ErrorKind::Usage, "that is no size")
                .with("size", text)
                .hint("write a number with a unit, such as 512MiB or 2GB")
        })?;
        Self::new(bytes.as_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_with_a_unit_and_not_too_small() {
        let limit = |text: &str| text.parse::<MemoryLimit>().map(MemoryLimit::bytes);
        assert_eq!(limit("512MiB").ok(), Some(512 << 20));
        assert_eq!(limit("2GB").ok(), Some(2_000_000_000));
        assert_eq!(limit("335544320").ok(), Some(MemoryLimit::LEAST));
        for wrong in ["319MiB", "", "much", "-1GB"] {
            assert_eq!(limit(wrong).map_err(|error| error.kind()), Err(ErrorKind::Usage), "{wrong}");
        }
        assert!(MemoryLimit::default().bytes() >= MemoryLimit::LEAST);
    }
}
