//! What can be chosen for a read, a write and an upsert. Every default is the safe one.

use std::str::FromStr;

use arrow::datatypes::{DataType, SchemaRef};

use crate::core::format::Format;
use crate::core::predicate::Predicate;
use crate::error::{Error, ErrorKind, Result};

/// How delimited text is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CsvOptions {
    /// The byte between fields; `None` is a comma, or a tab for a `.tsv` file.
    pub delimiter: Option<u8>,
    /// Whether the first record names the columns; without it they are `column_1`, `column_2`, ….
    pub header: bool,
    /// The byte around fields that hold a delimiter, a quote or a line end.
    pub quote: u8,
    /// Unquoted fields that mean null, beside the empty one.
    pub null_values: Vec<String>,
    /// A `strftime` pattern for timestamps and dates that are not in ISO 8601.
    pub timestamp_format: Option<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: None, header: true, quote: b'"', null_values: Vec::new(), timestamp_format: None }
    }
}

impl CsvOptions {
    /// Sets the byte between fields.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// Says whether the first record names the columns.
    #[must_use]
    pub fn with_header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// Sets the quoting byte.
    #[must_use]
    pub fn with_quote(mut self, quote: u8) -> Self {
        self.quote = quote;
        self
    }

    /// Adds unquoted fields that mean null.
    #[must_use]
    pub fn with_null_values(mut self, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.null_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a `strftime` pattern for timestamps and dates.
    #[must_use]
    pub fn with_timestamp_format(mut self, pattern: impl Into<String>) -> Self {
        self.timestamp_format = Some(pattern.into());
        self
    }

    /// The delimiter for a file of this name.
    #[must_use]
    pub fn delimiter_for(&self, name: &str) -> u8 {
        let tabs = name.to_ascii_lowercase().ends_with(".tsv");
        self.delimiter.unwrap_or(if tabs { b'\t' } else { b',' })
    }

    /// Checks that the choices fit together.
    ///
    /// # Errors
    ///
    /// `Usage` if delimiter and quote are the same or a line end.
    pub fn validate(&self) -> Result<()> {
        let line_end = |byte| matches!(byte, b'\n' | b'\r');
        if Some(self.quote) == self.delimiter || line_end(self.quote) || self.delimiter.is_some_and(line_end)
        {
            return Err(Error::new(ErrorKind::Usage, "delimiter and quote must differ and be no line end"));
        }
        Ok(())
    }
}

/// What to read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The format; told from name and content if not said.
    pub format: Option<Format>,
    /// The columns wanted, in this order; all if not said.
    pub columns: Option<Vec<String>>,
    /// Only rows for which this holds.
    pub filter: Option<Predicate>,
    /// At most this many rows, the first ones.
    pub limit: Option<usize>,
    /// Types to read columns as, by name. Columns it does not name keep their own type; columns that
    /// it names and the file has not are left out.
    pub schema: Option<SchemaRef>,
    /// The layout of delimited text.
    pub csv: CsvOptions,
    /// Whether text stays text where no type is said, to go into a file that holds text itself.
    pub(crate) raw_text: bool,
}

impl ReadOptions {
    /// Says the format.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Reads these columns only, in this order.
    #[must_use]
    pub fn with_columns(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Reads only rows for which `filter` holds.
    #[must_use]
    pub fn with_filter(mut self, filter: Predicate) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Reads at most `rows` rows.
    #[must_use]
    pub fn with_limit(mut self, rows: usize) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Reads the named columns as the types of `schema`.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<SchemaRef>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Sets the layout of delimited text.
    #[must_use]
    pub fn with_csv(mut self, csv: CsvOptions) -> Self {
        self.csv = csv;
        self
    }

    /// The type that a column is to be read as, if that was said.
    pub(crate) fn type_of(&self, column: &str) -> Option<DataType> {
        let named = self.schema.as_ref().and_then(|schema| schema.field_with_name(column).ok());
        named.map(|field| field.data_type().clone())
    }

    /// The same for a column of a text file.
    pub(crate) fn text_type_of(&self, column: &str) -> Option<DataType> {
        self.type_of(column).or_else(|| self.raw_text.then_some(DataType::Utf8))
    }

    /// Checks that the choices fit together.
    ///
    /// # Errors
    ///
    /// `Usage` for a column named twice, or what [`CsvOptions::validate`] finds.
    pub fn validate(&self) -> Result<()> {
        if let Some(columns) = &self.columns {
            for (i, column) in columns.iter().enumerate() {
                if columns[..i].contains(column) {
                    return Err(
                        Error::new(ErrorKind::Usage, "a column is named twice").with("column", column)
                    );
                }
            }
        }
        self.csv.validate()
    }
}

/// What to do when the target of a write exists.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
#[non_exhaustive]
pub enum WriteMode {
    /// Fail, and leave it as it is.
    #[default]
    Error,
    /// Replace it, atomically.
    Overwrite,
    /// Keep its rows and add the new ones after them, atomically.
    Append,
    /// Leave it as it is, and succeed.
    Ignore,
}

/// How Parquet columns are compressed.
///
/// Parsed from `name` or `name:level`: `zstd:3`, `gzip:6`, `brotli:5`, `snappy`, `lz4`, `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// LZ4, raw blocks.
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

/// How to write.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WriteOptions {
    /// The format; told from the name if not said.
    pub format: Option<Format>,
    /// What to do when the target exists.
    pub mode: WriteMode,
    /// How Parquet columns are compressed.
    pub compression: Compression,
    /// How many rows a Parquet row group holds at most.
    pub row_group_rows: usize,
    /// The layout of delimited text.
    pub csv: CsvOptions,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            format: None,
            mode: WriteMode::default(),
            compression: Compression::default(),
            // Small enough that an upsert of a few rows rewrites little, large enough to scan well.
            row_group_rows: 256 * 1024,
            csv: CsvOptions::default(),
        }
    }
}

impl WriteOptions {
    /// Says the format.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Says what to do when the target exists.
    #[must_use]
    pub fn with_mode(mut self, mode: WriteMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the compression of Parquet columns.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets how many rows a Parquet row group holds at most.
    #[must_use]
    pub fn with_row_group_rows(mut self, rows: usize) -> Self {
        self.row_group_rows = rows;
        self
    }

    /// Sets the layout of delimited text.
    #[must_use]
    pub fn with_csv(mut self, csv: CsvOptions) -> Self {
        self.csv = csv;
        self
    }

    /// Checks that the choices fit together.
    ///
    /// # Errors
    ///
    /// `Usage` for row groups of no rows, or what [`CsvOptions::validate`] finds.
    pub fn validate(&self) -> Result<()> {
        if self.row_group_rows == 0 {
            return Err(Error::new(ErrorKind::Usage, "a row group must hold at least one row"));
        }
        self.csv.validate()
    }
}

/// How an upsert goes about its work; what it means is said by the merge rule.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UpsertOptions {
    /// The format of the target; told from name and content if not said.
    pub format: Option<Format>,
    /// Plan and count, but write nothing.
    pub dry_run: bool,
    /// How often the work is done again because someone else changed the target meanwhile.
    pub max_retries: u32,
    /// The layout of a delimited target.
    pub csv: CsvOptions,
    /// How the columns of a new Parquet target are compressed; an existing one keeps its own way.
    pub compression: Compression,
}

impl Default for UpsertOptions {
    fn default() -> Self {
        Self {
            format: None,
            dry_run: false,
            max_retries: 10,
            csv: CsvOptions::default(),
            compression: Compression::default(),
        }
    }
}

impl UpsertOptions {
    /// Says the format of the target.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Plans and counts only.
    #[must_use]
    pub fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how often the work is done again after a conflict.
    #[must_use]
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Sets the layout of a delimited target.
    #[must_use]
    pub fn with_csv(mut self, csv: CsvOptions) -> Self {
        self.csv = csv;
        self
    }

    /// Sets the compression of a new Parquet target.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Checks that the choices fit together.
    ///
    /// # Errors
    ///
    /// What [`CsvOptions::validate`] finds.
    pub fn validate(&self) -> Result<()> {
        self.csv.validate()
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

    #[test]
    fn a_column_named_twice_is_refused() {
        let options = ReadOptions::default().with_columns(["a", "b", "a"]);
        assert_eq!(options.validate().map_err(|e| e.kind()), Err(ErrorKind::Usage));
    }

    #[test]
    fn a_tsv_file_has_tabs_unless_told_otherwise() {
        assert_eq!(CsvOptions::default().delimiter_for("a.TSV"), b'\t');
        assert_eq!(CsvOptions::default().with_delimiter(b';').delimiter_for("a.tsv"), b';');
    }
}
