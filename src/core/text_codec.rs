//! Compression of a text file as a whole: a layer around CSV, NDJSON and JSON, told from a name's last extension or
//! from the first bytes.

use std::fmt;

use crate::core::format::Format;
use crate::core::options::Compression;
use crate::error::{Error, ErrorKind, Result};

/// How the bytes of a text file are compressed, with the level at which new ones are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextCodec {
    /// Not at all.
    None,
    /// Gzip, level 0 to 9.
    Gzip(u32),
    /// Zstandard, level 1 to 22.
    Zstd(i32),
}

impl TextCodec {
    const GZIP: Self = Self::Gzip(6);
    const ZSTD: Self = Self::Zstd(3);

    /// As many bytes tell a codec.
    pub(crate) const MAGIC: usize = 4;

    /// What the last extension says, at the level that is usual.
    pub(crate) fn from_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
            Some("gz") => Self::GZIP,
            Some("zst") => Self::ZSTD,
            _ => Self::None,
        }
    }

    /// The name of the file inside.
    pub(crate) fn plain_name(name: &str) -> &str {
        match (Self::from_name(name), name.rsplit_once('.')) {
            (Self::Gzip(_) | Self::Zstd(_), Some((plain, _))) => plain,
            _ => name,
        }
    }

    /// What the first bytes say. None of these is how UTF-8 text can start, but for that of a frame which decoders
    /// skip, and that has a control character.
    pub(crate) fn from_content(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::GZIP,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::ZSTD,
            _ => Self::None,
        }
    }

    /// How a new file is compressed: as its name says, at the level that is `said`; where the name says nothing, as is
    /// `said`. A format that is not text has a compression of its own, and is never compressed as a whole.
    ///
    /// # Errors
    ///
    /// `Usage` if the two contradict each other, or for a codec that the format does not know.
    pub(crate) fn for_target(name: &str, format: Format, said: Option<Compression>) -> Result<Self> {
        let named = Self::from_name(name);
        if !format.is_text() {
            return if named == Self::None { Ok(named) } else { Err(twice(named, format)) };
        }
        let said = match said {
            None => return Ok(named),
            Some(Compression::None) => Self::None,
            Some(Compression::Gzip(level)) => Self::Gzip(level),
            Some(Compression::Zstd(level)) => Self::Zstd(level),
            Some(_) => {
                return Err(Error::new(ErrorKind::Usage, "text is not compressed by this codec")
                    .with("format", format)
                    .hint("text takes gzip, zstd or none"));
            }
        };
        match (named, said) {
            (Self::None, _) | (Self::Gzip(_), Self::Gzip(_)) | (Self::Zstd(_), Self::Zstd(_)) => Ok(said),
            _ => Err(Error::new(ErrorKind::Usage, "the compression is not the one that the name says")
                .with("name", named)
                .with("compression", said)
                .hint("leave the compression out, or change the extension: .gz or .zst")),
        }
    }
}

fn twice(codec: TextCodec, format: Format) -> Error {
    Error::new(ErrorKind::Usage, "only text is compressed as a whole")
        .with("format", format)
        .with("name", codec)
        .hint("leave the last extension out; --compression compresses what is inside")
}

impl fmt::Display for TextCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_codec_and_the_name_inside() {
        for (name, codec, plain) in [
            ("a.csv.gz", TextCodec::GZIP, "a.csv"),
            ("a.NDJSON.ZST", TextCodec::ZSTD, "a.NDJSON"),
            ("a.csv", TextCodec::None, "a.csv"),
            ("gz", TextCodec::None, "gz"),
        ] {
            assert_eq!((TextCodec::from_name(name), TextCodec::plain_name(name)), (codec, plain));
        }
    }

    #[test]
    fn the_first_bytes_tell_the_codec() {
        assert_eq!(TextCodec::from_content(&[0x1f, 0x8b, 8]), TextCodec::GZIP);
        assert_eq!(TextCodec::from_content(&[0x28, 0xb5, 0x2f, 0xfd, 4]), TextCodec::ZSTD);
        assert_eq!(TextCodec::from_content(&[0x50, 0x2a, 0x4d, 0x18]), TextCodec::ZSTD);
        assert_eq!(TextCodec::from_content(b"(a)"), TextCodec::None);
    }

    #[test]
    fn a_name_decides_and_the_option_gives_the_level() {
        let told = |name, said: Option<&str>| {
            let said = said.map(|said| said.parse().expect("a compression"));
            TextCodec::for_target(name, Format::Csv, said).map_err(|error| error.kind())
        };
        assert_eq!(told("a.csv", None), Ok(TextCodec::None));
        assert_eq!(told("a.csv.zst", None), Ok(TextCodec::Zstd(3)));
        assert_eq!(told("a.csv.gz", Some("gzip:9")), Ok(TextCodec::Gzip(9)));
        assert_eq!(told("a.csv", Some("zstd:7")), Ok(TextCodec::Zstd(7)));
        assert_eq!(told("a.csv", Some("none")), Ok(TextCodec::None));
        for (name, said) in [("a.csv.gz", "zstd"), ("a.csv.zst", "none"), ("a.csv", "snappy")] {
            assert_eq!(told(name, Some(said)), Err(ErrorKind::Usage), "{name} {said}");
        }
    }

    #[test]
    fn what_is_not_text_is_not_compressed_as_a_whole() {
        let told = |name| TextCodec::for_target(name, Format::Parquet, Some(Compression::Zstd(3)));
        assert_eq!(told("a.parquet").ok(), Some(TextCodec::None));
        assert_eq!(told("a.parquet.gz").map_err(|error| error.kind()), Err(ErrorKind::Usage));
    }
}
