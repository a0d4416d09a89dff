//! The layout of a text file with every choice made, so that nothing below asks for a default again.

use crate::core::format::Format;
use crate::core::options::CsvOptions;
use crate::core::text::TextRules;
use crate::error::{Error, ErrorKind, Result};

/// How the bytes of a file are to be understood.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// CSV or NDJSON: a JSON array is read as lines, and written as lines with a frame around them.
    pub(super) format: Format,
    /// Whether the records are the elements of a JSON array.
    pub(super) array: bool,
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) header: bool,
    pub(super) nulls: Vec<String>,
    pub(super) rules: TextRules,
}

impl Layout {
    /// The layout of a file called `name`.
    ///
    /// # Errors
    ///
    /// `Usage` for a delimiter or quote that cannot be told from the rest of the text.
    pub(super) fn new(format: Format, csv: &CsvOptions, name: &str) -> Result<Self> {
        if !format.is_text() {
            return Err(Error::internal("a format that is not text was given to the text codec")
                .with("format", format));
        }
        csv.validate()?;
        let delimiter = csv.delimiter_for(name);
        // A byte of a longer character would cut characters in two.
        if !delimiter.is_ascii() || !csv.quote.is_ascii() || delimiter == csv.quote {
            return Err(Error::new(ErrorKind::Usage, "delimiter and quote must be two different characters")
                .hint("choose ASCII characters"));
        }
        let array = format == Format::Json;
        Ok(Self {
            format: if array { Format::Ndjson } else { format },
            array,
            delimiter,
            quote: csv.quote,
            header: csv.header,
            nulls: csv.null_values.clone(),
            rules: TextRules { timestamp_format: csv.timestamp_format.clone(), ..TextRules::default() },
        })
    }

    /// What is counted to say where a record stands.
    pub(super) fn unit(&self) -> &'static str {
        if self.array { "element" } else { "line" }
    }

    /// Whether columns have names of their own.
    pub(super) fn has_names(&self) -> bool {
        self.format == Format::Ndjson || self.header
    }

    /// Whether an unquoted field is null.
    pub(super) fn is_null(&self, field: &str) -> bool {
        field.is_empty() || self.nulls.iter().any(|null| null == field)
    }
}

/// What the column behind `before` others is called where columns have no names of their own.
pub(super) fn nameless(before: usize) -> String {
    format!("column_{}", before + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_no_delimiter() {
        let csv = CsvOptions::default().with_delimiter(0xa7);
        let error = Layout::new(Format::Csv, &csv, "a.csv").expect_err("not ASCII");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }

    #[test]
    fn the_name_decides_what_the_options_leave_open() {
        let layout = Layout::new(Format::Csv, &CsvOptions::default(), "a.tsv").expect("a layout");
        assert_eq!(layout.delimiter, b'\t');
        let tabs = CsvOptions::default().with_quote(b'\t');
        assert!(Layout::new(Format::Csv, &tabs, "a.tsv").is_err());
    }
}
