//! The file formats keyfold knows, and how one is told from a name or from the first bytes.

use std::str::FromStr;

use strum::VariantNames;

use crate::error::{Error, ErrorKind, Result};

/// A file format.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::VariantNames,
    strum::IntoStaticStr,
    strum::EnumIter,
    serde::Serialize,
)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Delimited text with a header line, RFC 4180; `.tsv` is the same with tabs.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// Tells the format from a file name; `None` if the extension says nothing.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" | "tsv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }

    /// Tells the format from the first bytes of a file.
    ///
    /// # Errors
    ///
    /// `InvalidData` if there are none, `Unsupported` for a JSON array or a compressed file.
    pub fn from_content(head: &[u8]) -> Result<Self> {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let unsupported = |what: &'static str| {
            Err(Error::new(ErrorKind::Unsupported, format!("{what} is not a format that keyfold reads"))
                .hint(format!("known formats: {}", Self::VARIANTS.join(", "))))
        };
        match text.trim_ascii_start() {
            [] => Err(Error::new(ErrorKind::InvalidData, "the file is empty, so its format cannot be told")
                .hint("say it with --source-format or --target-format, or give the file an extension")),
            [b'P', b'A', b'R', b'1', ..] => Ok(Self::Parquet),
            [0x1f, 0x8b, ..] => unsupported("gzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => unsupported("zstd"),
            [b'{', ..] => Ok(Self::Ndjson),
            [b'[', ..] => unsupported("a JSON array"),
            _ => Ok(Self::Csv),
        }
    }

    /// Whether the format is text, so that its types are not stored with it.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson)
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "parquet" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "ndjson" | "jsonl" => Ok(Self::Ndjson),
            _ => Err(Error::new(ErrorKind::Usage, "unknown format")
                .with("format", name)
                .hint(format!("known formats: {}", Self::VARIANTS.join(", ")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_format_whatever_its_case() {
        assert_eq!(Format::from_name("a.b.CSV"), Some(Format::Csv));
        assert_eq!(Format::from_name("x.jsonl"), Some(Format::Ndjson));
        assert_eq!(Format::from_name("parquet"), None);
    }

    #[test]
    fn content_tells_the_format_where_the_name_does_not() {
        assert_eq!(Format::from_content(b"PAR1..").ok(), Some(Format::Parquet));
        assert_eq!(Format::from_content(b"\xef\xbb\xbf {\"a\":1}").ok(), Some(Format::Ndjson));
        assert_eq!(Format::from_content(b"a,b\n1,2").ok(), Some(Format::Csv));
        assert_eq!(Format::from_content(b"[1]").map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
        assert_eq!(Format::from_content(b"").map_err(|e| e.kind()), Err(ErrorKind::InvalidData));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "xls".parse::<Format>().expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.hint_text(), Some("known formats: parquet, csv, ndjson"));
    }
}
