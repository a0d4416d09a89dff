//! The types of a file's columns, told from every value in it: a guess from the first thousand rows is
//! a wrong answer waiting for row one thousand and one.

use std::io::Read;

use arrow::datatypes::DataType;

use super::json_types::JsonTypes;
use super::layout::Layout;
use super::records::Records;
use super::rows::Rows;
use super::text_types::TextTypes;
use super::{csv, ndjson};
use crate::core::format::Format;
use crate::error::Result;

/// What has been seen in one column.
#[derive(Debug, Clone)]
pub(super) enum Types {
    /// Fields of a CSV file.
    Text(TextTypes),
    /// Tokens of an NDJSON file.
    Json(JsonTypes),
}

impl Types {
    /// Nothing yet.
    pub(super) fn new(layout: &Layout) -> Self {
        match layout.format {
            Format::Ndjson => Self::Json(JsonTypes::new(layout)),
            _ => Self::Text(TextTypes::new(layout)),
        }
    }

    /// The type to read the column as.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Text(types) => types.data_type(),
            Self::Json(types) => types.data_type().unwrap_or(DataType::Utf8),
        }
    }

    /// The type to compare the column in: strings of JSON that are all timestamps are instants.
    pub(super) fn compared(&self) -> DataType {
        let instants = match self {
            Self::Text(_) => None,
            Self::Json(types) => types.instants(std::iter::empty()),
        };
        instants.unwrap_or_else(|| self.data_type())
    }

    /// Takes one more value that is not null: the text of a field, or a token.
    pub(super) fn observe(&mut self, value: &str) {
        match self {
            Self::Text(types) => types.observe(value),
            Self::Json(types) => types.observe(value),
        }
    }

    /// Joins what was seen in two files.
    pub(super) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Text(types), Self::Text(more)) => types.merge(more),
            (Self::Json(types), Self::Json(more)) => types.merge(more),
            // One layout makes one kind.
            (Self::Text(_), Self::Json(_)) | (Self::Json(_), Self::Text(_)) => {}
        }
    }
}

/// What one pass over a file tells.
#[derive(Debug)]
pub(super) struct Told {
    /// The columns in their order.
    pub(super) names: Vec<String>,
    /// What was seen in each; nothing in those that were not wanted.
    pub(super) types: Vec<Types>,
    /// How lines end.
    pub(super) line_end: &'static str,
}

/// Looks at every value of the columns that are `wanted`.
pub(super) fn tell<R: Read>(
    records: &mut Records<R>,
    layout: &Layout,
    wanted: impl Fn(&str) -> bool,
) -> Result<Told> {
    let mut told = Told { names: Vec::new(), types: Vec::new(), line_end: "\n" };
    let mut slots = ndjson::Slots::new(records.names());
    told.types.resize_with(records.names().len(), || Types::new(layout));
    let mut wants: Vec<bool> = records.names().iter().map(|name| wanted(name)).collect();
    let mut first = true;
    while records.advance()? {
        if let Some(end) = records.line_end().filter(|_| first) {
            told.line_end = end;
        }
        first = false;
        let rows = records.rows(0..records.len())?;
        if layout.format == Format::Ndjson {
            tell_objects(&rows, &mut slots, &mut told.types, &mut wants, &wanted)?;
        } else {
            tell_fields(&rows, &mut told.types, &wants);
        }
    }
    told.names = slots.names().to_vec();
    records.check_names(&told.names)?;
    Ok(told)
}

fn tell_fields(rows: &Rows<'_>, types: &mut [Types], wants: &[bool]) {
    for (slot, types) in types.iter_mut().enumerate().filter(|(slot, _)| wants[*slot]) {
        for row in 0..rows.len() {
            let value = rows.raw(row, slot).and_then(|raw| csv::value(raw, rows.layout()));
            if let Some(value) = value {
                types.observe(&value);
            }
        }
    }
}

fn tell_objects(
    rows: &Rows<'_>,
    slots: &mut ndjson::Slots,
    types: &mut Vec<Types>,
    wants: &mut Vec<bool>,
    wanted: &impl Fn(&str) -> bool,
) -> Result<()> {
    // The last of two equal keys counts, so a token is looked at when its object has ended.
    let mut tokens: Vec<Option<&str>> = Vec::new();
    for row in 0..rows.len() {
        tokens.clear();
        let resolve = |key: &str| {
            let slot = slots.find_or_add(key);
            if slot == wants.len() {
                wants.push(wanted(key));
                types.push(Types::new(rows.layout()));
            }
            Some(slot)
        };
        let take = |slot, token| {
            if slot >= tokens.len() {
                tokens.resize(slot + 1, None);
            }
            tokens[slot] = Some(token);
        };
        ndjson::entries(rows.record(row), resolve, take).map_err(|fault| rows.error(row, fault))?;
        for (slot, token) in tokens.iter().enumerate() {
            if let Some(token) = token.filter(|_| wants[slot]) {
                types[slot].observe(token);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::records::tests::records;
    use super::*;
    use crate::core::options::CsvOptions;
    use crate::core::schema::type_name;

    fn told(format: Format, text: &str) -> Vec<(String, String)> {
        let csv = CsvOptions::default();
        let layout = Layout::new(format, &csv, "t.txt").expect("a layout");
        let mut records = records(format, &csv, text.as_bytes(), &[], 8).expect("opens");
        let told = tell(&mut records, &layout, |name| name != "skipped").expect("tells");
        told.names.into_iter().zip(told.types.iter().map(|types| type_name(&types.data_type()))).collect()
    }

    fn expected(columns: &[(&str, &str)]) -> Vec<(String, String)> {
        columns.iter().map(|(name, told)| ((*name).to_owned(), (*told).to_owned())).collect()
    }

    #[test]
    fn the_last_value_counts_as_much_as_the_first() {
        let text = format!("a,b,skipped\n{}1,x,1\n", "1,2,1\n".repeat(100));
        let types = expected(&[("a", "int64"), ("b", "string"), ("skipped", "string")]);
        assert_eq!(told(Format::Csv, &text), types);
    }

    #[test]
    fn keys_that_differ_only_in_case_are_refused() {
        let csv = CsvOptions::default();
        let layout = Layout::new(Format::Ndjson, &csv, "t.txt").expect("a layout");
        let text = b"{\"a\":1}\n{\"A\":1}\n";
        let mut records = records(Format::Ndjson, &csv, text, &[], 8).expect("opens");
        let error = tell(&mut records, &layout, |_| true).expect_err("case");
        assert_eq!(error.message(), "two columns differ only in case");
    }

    #[test]
    fn columns_of_objects_come_in_the_order_they_first_appear() {
        let text = "{\"b\":1}\n{\"a\":\"x\",\"b\":0.5}\n{\"skipped\":1,\"c\":[true],\"c\":[1]}\n";
        let types =
            expected(&[("b", "float64"), ("a", "string"), ("skipped", "string"), ("c", "list<int64>")]);
        assert_eq!(told(Format::Ndjson, text), types);
    }
}
