//! How delimited text is laid out, on either side.

use crate::core::text_codec::TextCodec;
use crate::error::{Error, ErrorKind, Result};

/// How delimited text is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CsvOptions {
    /// The byte between fields; `None` is a comma, or a tab for a `.tsv` file, compressed or not.
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
        let tabs = TextCodec::plain_name(name).to_ascii_lowercase().ends_with(".tsv");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tsv_file_has_tabs_unless_told_otherwise() {
        assert_eq!(CsvOptions::default().delimiter_for("a.TSV"), b'\t');
        assert_eq!(CsvOptions::default().delimiter_for("a.tsv.gz"), b'\t');
        assert_eq!(CsvOptions::default().with_delimiter(b';').delimiter_for("a.tsv"), b';');
    }
}
