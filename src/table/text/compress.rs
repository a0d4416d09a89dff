//! Text on its way into a file, compressed as its name says.

use std::fs::File;
use std::io::{self, Write};

use flate2::write::GzEncoder;
use zstd::Encoder as ZstdEncoder;

use crate::core::text_codec::TextCodec;

/// A file that compresses what is written to it.
pub(super) enum Compressed<'a> {
    Plain(&'a mut File),
    Gzip(GzEncoder<&'a mut File>),
    Zstd(ZstdEncoder<'static, &'a mut File>),
}

impl<'a> Compressed<'a> {
    /// Starts at the place where `out` is.
    ///
    /// # Errors
    ///
    /// If the encoder cannot be made.
    pub(super) fn new(out: &'a mut File, codec: TextCodec) -> io::Result<Self> {
        Ok(match codec {
            TextCodec::None => Self::Plain(out),
            TextCodec::Gzip(level) => Self::Gzip(GzEncoder::new(out, flate2::Compression::new(level))),
            TextCodec::Zstd(level) => {
                let mut encoder = ZstdEncoder::new(out, level)?;
                // Gzip has a checksum always; without one, damage could read as other values.
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Writes what stands behind the last byte of text.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(encoder) => encoder.finish().map(drop),
            Self::Zstd(encoder) => encoder.finish().map(drop),
        }
    }
}

impl Write for Compressed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
            Self::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
            Self::Zstd(out) => out.flush(),
        }
    }
}
