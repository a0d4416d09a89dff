//! The file formats keyfold knows, and how one is told from a name or from the first bytes.

use std::str::FromStr;

use strum::VariantNames;

use crate::core::text_codec::TextCodec;
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
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Delimited text with a header line, RFC 4180; `.tsv` is the same with tabs.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Json,
    /// An Arrow IPC file, which is Feather version 2 as well.
    Arrow,
    /// An Arrow IPC stream.
    ArrowStream,
    /// A Delta table: a folder of Parquet files, and a log that says which of them are the table.
    Delta,
}

/// What some programs put before UTF-8 text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How a file of Arrow IPC begins.
const ARROW_FILE: &[u8] = b"ARROW1";
/// How a stream of Arrow IPC begins: the mark of a message.
const ARROW_STREAM: &[u8] = b"\xff\xff\xff\xff";
/// How the first version of Feather begins, which is no Arrow IPC.
const FEATHER_1: &[u8] = b"FEA1";

impl Format {
    /// Tells the format from a file name, whether or not it ends in `.gz` or `.zst`; `None` if the extension
    /// says nothing.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (_, extension) = TextCodec::plain_name(name).rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" | "tsv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "json" => Some(Self::Json),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            "arrows" => Some(Self::ArrowStream),
            _ => None,
        }
    }

    /// Tells the format from the first bytes of a file, decompressed if it is compressed text.
    ///
    /// # Errors
    ///
    /// `InvalidData` if there are none, `Unsupported` for version 1 of Feather.
    pub fn from_content(head: &[u8]) -> Result<Self> {
        if let Some(format) = Self::of_arrow(head)? {
            return Ok(format);
        }
        match start_of_text(head) {
            [] => Err(Error::new(ErrorKind::InvalidData, "the file is empty, so its format cannot be told")
                .hint("say it with --source-format or --target-format, or give the file an extension")),
            [b'P', b'A', b'R', b'1', ..] => Ok(Self::Parquet),
            [b'{', ..] => Ok(Self::Ndjson),
            [b'[', ..] => Ok(Self::Json),
            _ => Ok(Self::Csv),
        }
    }

    /// Whether there is another format that goes by the same names, so that only the content tells.
    pub(crate) fn has_twin(self) -> bool {
        matches!(self, Self::Json | Self::Arrow | Self::ArrowStream)
    }

    /// This format, or its twin if the first bytes say so: NDJSON is often called `.json`, and streams `.arrow`.
    ///
    /// # Errors
    ///
    /// `Unsupported` for version 1 of Feather.
    pub(crate) fn or_twin(self, head: &[u8]) -> Result<Self> {
        Ok(match self {
            // An empty file has no lines; it is no array.
            Self::Json if matches!(start_of_text(head).first(), Some(b'{') | None) => Self::Ndjson,
            // The mark of a stream is younger than streams are.
            Self::Arrow | Self::ArrowStream => Self::of_arrow(head)?.unwrap_or(Self::ArrowStream),
            other => other,
        })
    }

    fn of_arrow(head: &[u8]) -> Result<Option<Self>> {
        if head.starts_with(FEATHER_1) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "version 1 of Feather is not a format that keyfold reads",
            )
            .hint("write it again as version 2: pyarrow.feather.write_feather(table, path)"));
        }
        let stream = head.starts_with(ARROW_STREAM).then_some(Self::ArrowStream);
        Ok(if head.starts_with(ARROW_FILE) { Some(Self::Arrow) } else { stream })
    }

    /// Whether the format is text, so that its types are not stored with it.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson | Self::Json)
    }

    /// Refuses a format whose files can be read and written, but not changed.
    ///
    /// # Errors
    ///
    /// `Unsupported`.
    pub(crate) fn check_changeable(self) -> Result<()> {
        match self {
            Self::Parquet | Self::Csv | Self::Ndjson | Self::Delta => Ok(()),
            Self::Json | Self::Arrow | Self::ArrowStream => Err(unchangeable().with("format", self)),
        }
    }
}

/// A format whose rows do not stand in one file.
pub(crate) fn no_file() -> Error {
    Error::new(ErrorKind::Unsupported, "a Delta table is not one file")
        .with("format", Format::Delta)
        .hint("name the folder of the table, in a build of keyfold with the feature delta")
}

/// A file to which no rows can be added.
pub(crate) fn unchangeable() -> Error {
    Error::new(ErrorKind::Unsupported, "a file of this format can be read and written, but not changed")
        .hint("write it as Parquet, CSV or NDJSON first: keyfold write SOURCE TARGET")
}

/// What stands behind a byte-order mark and blanks.
fn start_of_text(head: &[u8]) -> &[u8] {
    head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start()
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "parquet" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "ndjson" | "jsonl" => Ok(Self::Ndjson),
            "json" => Ok(Self::Json),
            "arrow" => Ok(Self::Arrow),
            "arrow-stream" => Ok(Self::ArrowStream),
            "delta" => Ok(Self::Delta),
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
        assert_eq!(Format::from_name("a.JSON"), Some(Format::Json));
        assert_eq!(Format::from_name("a.feather"), Some(Format::Arrow));
        assert_eq!(Format::from_name("a.arrows"), Some(Format::ArrowStream));
        assert_eq!(Format::from_name("a.tsv.gz"), Some(Format::Csv));
        assert_eq!(Format::from_name("a.gz"), None);
    }

    #[test]
    fn content_tells_the_format_where_the_name_does_not() {
        assert_eq!(Format::from_content(b"PAR1..").ok(), Some(Format::Parquet));
        assert_eq!(Format::from_content(b"\xef\xbb\xbf {\"a\":1}").ok(), Some(Format::Ndjson));
        assert_eq!(Format::from_content(b"a,b\n1,2").ok(), Some(Format::Csv));
        assert_eq!(Format::from_content(b" [{\"a\":1}]").ok(), Some(Format::Json));
        assert_eq!(Format::from_content(b"ARROW1\0\0").ok(), Some(Format::Arrow));
        assert_eq!(Format::from_content(b"\xff\xff\xff\xff\x10").ok(), Some(Format::ArrowStream));
        assert_eq!(Format::from_content(b"FEA1").map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
        assert_eq!(Format::from_content(b"").map_err(|e| e.kind()), Err(ErrorKind::InvalidData));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "xls".parse::<Format>().expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(
            error.hint_text(),
            Some("known formats: parquet, csv, ndjson, json, arrow, arrow-stream, delta")
        );
    }

    #[test]
    fn every_format_is_known_by_the_name_it_prints() {
        for name in Format::VARIANTS {
            assert_eq!(name.parse::<Format>().expect("known").to_string(), *name);
        }
    }

    #[test]
    fn content_decides_between_formats_that_share_a_name() {
        let told = |format: Format, head: &[u8]| format.or_twin(head).map_err(|e| e.kind());
        assert_eq!(told(Format::Json, b"\n{\"a\":1}"), Ok(Format::Ndjson));
        assert_eq!(told(Format::Json, b"[]"), Ok(Format::Json));
        assert_eq!(told(Format::Arrow, b"\xff\xff\xff\xff"), Ok(Format::ArrowStream));
        assert_eq!(told(Format::ArrowStream, b"ARROW1"), Ok(Format::Arrow));
        assert_eq!(told(Format::Json, b" "), Ok(Format::Ndjson));
        assert_eq!(told(Format::Arrow, b"\x10\0\0\0"), Ok(Format::ArrowStream));
        assert_eq!(told(Format::Arrow, b"FEA1"), Err(ErrorKind::Unsupported));
        assert_eq!(told(Format::Csv, b"{"), Ok(Format::Csv));
    }
}
