//! What to read of a file, and as what.

use arrow::datatypes::{DataType, Schema, SchemaRef};
use chrono::{DateTime, Utc};

use crate::core::format::Format;
use crate::core::merge::NameCase;
use crate::core::options::CsvOptions;
use crate::core::predicate::Predicate;
use crate::core::schema::find_column;
use crate::error::{Error, ErrorKind, Result};

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
    /// Types to read columns as, by name. Columns it does not name keep their own type; one that it
    /// names and no file has is an error.
    pub schema: Option<SchemaRef>,
    /// The layout of delimited text.
    pub csv: CsvOptions,
    /// Which version of a table to read; the last one if neither this nor a time is said.
    pub version: Option<u64>,
    /// Reads the version of a table that was the last one at this time.
    pub timestamp: Option<DateTime<Utc>>,
    /// Types of the columns that the rows will go into, for what `schema` does not name. The files need not
    /// have them all.
    pub(crate) stored: Option<SchemaRef>,
    /// How the names of columns meet those in `stored`.
    pub(crate) case: NameCase,
    /// What text becomes where no type is said.
    pub(crate) text_as: TextAs,
}

/// What the fields of a text file become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TextAs {
    /// Values of the type that all of them have.
    #[default]
    Values,
    /// Text, to go into a file that holds text itself.
    Text,
    /// JSON tokens, to go into a file of such: there each value keeps its kind.
    Tokens,
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

    /// Reads this version of a table.
    #[must_use]
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Reads the version of a table that was the last one at this time.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: DateTime<Utc>) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The type that a column is to be read as, if that was said or is given by where it goes.
    pub(crate) fn type_of(&self, column: &str) -> Option<DataType> {
        let named = |schema: &SchemaRef, case: NameCase| {
            Some(schema.field(case.find(schema, column)?).data_type().clone())
        };
        let asked = self.schema.as_ref().and_then(|schema| named(schema, NameCase::Exact));
        asked.or_else(|| named(self.stored.as_ref()?, self.case))
    }

    /// The same for a column of a text file.
    pub(crate) fn text_type_of(&self, column: &str) -> Option<DataType> {
        let text = || (self.text_as != TextAs::Values && !self.is_filtered(column)).then_some(DataType::Utf8);
        self.type_of(column).or_else(text)
    }

    /// Whether a column of JSON is to be read as its tokens.
    pub(crate) fn reads_tokens(&self, column: &str) -> bool {
        self.text_as == TextAs::Tokens && self.type_of(column).is_none() && !self.is_filtered(column)
    }

    /// Whether the filter looks at a column; it needs its type then.
    pub(crate) fn is_filtered(&self, column: &str) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.columns().contains(&column))
    }

    /// Checks that the columns that are read have every one of which a type was said.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names the column.
    pub(crate) fn check_named(&self, columns: &Schema) -> Result<()> {
        let mut named = self.schema.iter().flat_map(|schema| schema.fields());
        named.try_for_each(|field| find_column(columns, field.name(), "column of the schema").map(drop))
    }

    /// Checks that the choices fit together.
    ///
    /// # Errors
    ///
    /// `Usage` for a column named twice, for both a version and a time, or what [`CsvOptions::validate`] finds.
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
        if self.version.is_some() && self.timestamp.is_some() {
            return Err(Error::new(ErrorKind::Usage, "a version and a time exclude each other")
                .hint("say one of them"));
        }
        self.csv.validate()
    }

    /// Whether an older version is asked for.
    pub(crate) fn asks_for_version(&self) -> bool {
        self.version.is_some() || self.timestamp.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_named_twice_is_refused() {
        let options = ReadOptions::default().with_columns(["a", "b", "a"]);
        assert_eq!(options.validate().map_err(|e| e.kind()), Err(ErrorKind::Usage));
    }
}
