//! Names and levels of compression, as users type them.

use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// How data is compressed: the columns of Parquet by any of these, the buffers of Arrow IPC by `lz4` or `zstd`, a text
/// file as a whole by `gzip` or `zstd`.
///
/// Parsed from `name` or `name:level`: `zstd:3`, `gzip:6`, `brotli:5`, `snappy`, `lz4`, `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// LZ4: raw blocks in Parquet, frames in Arrow IPC.
    Lz4,
    /// Zstandard, level 1 to 22.
    Zstd(i32),
    /// Gzip, level 0 to 9.
    Gzip(u32),
    /// Brotli, level 0 to 11.
    Brotli(u32),
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(3)
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::Usage, "unknown compression")
                .with("compression", text)
                .hint("known: none, snappy, lz4, zstd[:1-22], gzip[:0-9], brotli[:0-11]")
        };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        match (name.to_ascii_lowercase().as_str(), level) {
            ("none" | "uncompressed", None) => Ok(Self::None),
            ("snappy", None) => Ok(Self::Snappy),
            ("lz4", None) => Ok(Self::Lz4),
            ("zstd", None) => Ok(Self::Zstd(3)),
            ("zstd", Some(level @ 1..=22)) => Ok(Self::Zstd(level.cast_signed())),
            ("gzip", None) => Ok(Self::Gzip(6)),
            ("gzip", Some(level @ 0..=9)) => Ok(Self::Gzip(level)),
            ("brotli", None) => Ok(Self::Brotli(5)),
            ("brotli", Some(level @ 0..=11)) => Ok(Self::Brotli(level)),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_takes_a_level() {
        assert_eq!("zstd:9".parse::<Compression>().ok(), Some(Compression::Zstd(9)));
        assert_eq!("none".parse::<Compression>().ok(), Some(Compression::None));
        for wrong in ["zstd:0", "zstd:23", "snappy:1", "lzo", "zstd:x"] {
            assert_eq!(wrong.parse::<Compression>().map_err(|e| e.kind()), Err(ErrorKind::Usage), "{wrong}");
        }
    }
}
