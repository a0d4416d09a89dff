//! Changed rows as people read them: a sign in front of each, and of what an update changes the old value beside the new one.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use crate::cli::output::one_line;
use crate::cli::rows;
use crate::cli::summary::counted;
use crate::core::row_change::{ChangeKind, RowChange, RowValues};
use crate::error::{Error, Result};

/// Letters of a value that are shown.
const VALUE: usize = 32;

/// Letters of a line, about, beyond which columns are left out in which nothing changes.
const LINE: usize = 120;

/// The table of changed rows, of which there are so many in `all`; what it leaves out is said below it. With line ends.
pub(crate) fn table(changes: &[RowChange], all: u64) -> Result<String> {
    if changes.is_empty() {
        return Ok(String::new());
    }
    let signs = changes.iter().map(|change| sign(change.kind).to_owned()).collect();
    let mut columns = vec![Column { name: String::new(), cells: signs, is_needed: true }];
    columns.extend(columns_of(changes));
    let (shown, left_out) = fitting(columns);
    let mut text = drawn(&shown)?;
    text.push('\n');
    let more = all.saturating_sub(changes.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "  and {}", counted(more, "more changed row"));
    }
    if !left_out.is_empty() {
        let _ = writeln!(text, "  columns not shown: {}", left_out.join(", "));
    }
    Ok(text)
}

struct Column {
    name: String,
    cells: Vec<String>,
    /// Whether it names the rows, or an update changes it.
    is_needed: bool,
}

impl Column {
    fn width(&self) -> usize {
        let widths = self.cells.iter().chain([&self.name]).map(|text| text.chars().count());
        widths.max().unwrap_or(0) + " | ".len()
    }
}

fn sign(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Insert => "+",
        ChangeKind::Update => "~",
        ChangeKind::Delete => "-",
    }
}

/// The ids, then the other columns as they are stored.
fn columns_of(changes: &[RowChange]) -> Vec<Column> {
    let Some(first) = changes.first() else { return Vec::new() };
    let names = |row: Option<&RowValues>| -> Vec<String> {
        row.into_iter().flat_map(RowValues::iter).map(|(name, _)| name.to_owned()).collect()
    };
    let ids = names(Some(&first.id));
    let all = names(first.after.as_ref().or(first.before.as_ref()));
    let others = all.into_iter().filter(|name| !ids.contains(name));
    let column = |name: String, is_id: bool| {
        let is_needed = is_id || changes.iter().any(|change| differs(change, &name));
        let cells = changes.iter().map(|change| cell(change, &name)).collect();
        Column { name: one_line(&name), cells, is_needed }
    };
    let ids = ids.iter().map(|id| column(id.clone(), true)).collect::<Vec<_>>();
    ids.into_iter().chain(others.map(|name| column(name, false))).collect()
}

fn differs(change: &RowChange, name: &str) -> bool {
    let both = change.before.as_ref().zip(change.after.as_ref());
    both.is_some_and(|(before, after)| before.get(name) != after.get(name))
}

fn cell(change: &RowChange, name: &str) -> String {
    let value = |row: Option<&RowValues>| row.and_then(|row| row.get(name)).map(text).unwrap_or_default();
    if differs(change, name) {
        return format!("{} → {}", value(change.before.as_ref()), value(change.after.as_ref()));
    }
    value(change.after.as_ref().or(change.before.as_ref()))
}

/// A value without its quotes, on one line, cut where it is long.
fn text(token: &str) -> String {
    let text = one_line(&serde_json::from_str::<String>(token).unwrap_or_else(|_| token.to_owned()));
    match text.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The columns that fit on a line, and the names of the others.
fn fitting(columns: Vec<Column>) -> (Vec<Column>, Vec<String>) {
    let needed = columns.iter().filter(|column| column.is_needed).map(Column::width).sum();
    let mut room = LINE.saturating_sub(needed);
    let (mut shown, mut left_out) = (Vec::new(), Vec::new());
    for column in columns {
        let width = if column.is_needed { 0 } else { column.width() };
        if width <= room {
            room -= width;
            shown.push(column);
        } else {
            left_out.push(column.name);
        }
    }
    (shown, left_out)
}

fn drawn(columns: &[Column]) -> Result<String> {
    let array = |column: &Column| Arc::new(StringArray::from(column.cells.clone())) as ArrayRef;
    let named = columns.iter().map(|column| (column.name.as_str(), array(column)));
    let batch = RecordBatch::try_from_iter(named)
        .map_err(|cause| Error::internal("changed rows cannot be drawn").because(cause))?;
    rows::table(batch.schema(), vec![batch])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[(&str, &str)]) -> RowValues {
        RowValues::new(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn change(kind: ChangeKind, id: &str, before: Option<&str>, after: Option<&str>) -> RowChange {
        let row = |note: &str| values(&[("note", note), ("n", "1.50"), ("id", id)]);
        RowChange { kind, id: values(&[("id", id)]), before: before.map(row), after: after.map(row) }
    }

    #[test]
    fn each_row_has_a_sign_and_ids_come_first() {
        let changes = [
            change(ChangeKind::Update, "2", Some("\"b\""), Some("null")),
            change(ChangeKind::Delete, "4", Some("\"d\\ne\""), None),
            change(ChangeKind::Insert, "7", None, Some("\"z\"")),
        ];
        assert_eq!(
            table(&changes, 7).expect("a table"),
            "\
+---+----+----------+------+
|   | id | note     | n    |
+---+----+----------+------+
| ~ | 2  | b → null | 1.50 |
| - | 4  | d\\ne     | 1.50 |
| + | 7  | z        | 1.50 |
+---+----+----------+------+
  and 4 more changed rows
"
        );
        assert_eq!(table(&[], 7).expect("nothing"), "");
    }

    #[test]
    fn long_values_are_cut_and_columns_beyond_the_line_left_out() {
        let long = format!("\"{}\"", "x".repeat(100));
        let names: Vec<String> = (0..9).map(|place| format!("c{place}")).collect();
        let row = |last: &str| {
            let mut all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), &*long)).collect();
            all.push(("last", last));
            all.insert(0, ("id", "1"));
            values(&all)
        };
        let change = RowChange {
            kind: ChangeKind::Update,
            id: values(&[("id", "1")]),
            before: Some(row("1")),
            after: Some(row("2")),
        };
        let text = table(&[change], 1).expect("a table");
        assert!(text.contains("1 → 2") && text.contains(&format!("{}…", "x".repeat(VALUE))), "{text}");
        assert!(text.ends_with("  columns not shown: c2, c3, c4, c5, c6, c7, c8\n"), "{text}");
    }
}
