//! The cases as a page for people: what is stored, what comes in, and the table afterwards. The judge computes it, so that the
//! page says what is tested.

use std::fmt::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use chrono::{DateTime, SecondsFormat};

use super::cases::topics;
use super::fates::{counted, fates};
use super::{Case, Data, Judgement, table_of};
use crate::core::merge::reference::{Cell, Table};
use crate::core::report::RowCounts;
use crate::error::Result;

/// Tables with more than this many rows, more columns, or longer values are not for reading side by side.
const ROWS: usize = 8;
const COLUMNS: usize = 5;
const WIDTH: usize = 30;

const INTRODUCTION: &str = "\
# The rules, case by case

What an upsert does with a few rows: the table before, the rows that come in, and the table after. Each case is one that every
backend, format and store must pass (`src/conformance/cases`); the tables are computed by the merge that judges them, and this
page is made of both by a test, not by hand. Changed rows are **bold**. A refusal changes nothing.
[merge.md](merge.md) explains the rules and the words.
";

/// The page, in Markdown.
///
/// # Errors
///
/// `Internal` if a case is wrong.
pub fn page() -> Result<String> {
    let mut page = INTRODUCTION.to_owned();
    page.push('\n');
    for (topic, _) in topics() {
        let anchor = topic.to_lowercase().replace(',', "").replace(' ', "-");
        let _ = writeln!(page, "- [{topic}](#{anchor})");
    }
    for (topic, cases) in topics() {
        let _ = write!(page, "\n## {topic}\n");
        let (small, others): (Vec<_>, Vec<_>) = cases.iter().partition(|case| is_small(case));
        for case in &small {
            page.push_str(&shown(case)?);
        }
        if !others.is_empty() {
            let also = if small.is_empty() { "" } else { "And:\n\n" };
            let _ = write!(page, "\n{also}");
        }
        for case in others {
            let (sentence, flags) = (sentence(case), flags(case)?);
            let _ = writeln!(page, "- {sentence} (`{flags}`): {}", outcome(&case.judge()?)?);
        }
    }
    Ok(page)
}

/// Whether the tables of a case say what it is about: they are small, and of types that are seen in their values.
fn is_small(case: &Case) -> bool {
    let is_small = |data: &Data| data.batch().is_ok_and(|batch| is_readable(&batch));
    case.stored.as_ref().is_none_or(is_small) && is_small(&case.incoming)
}

fn is_readable(batch: &RecordBatch) -> bool {
    use DataType as D;
    let is_plain = |data_type: &DataType| matches!(data_type, D::Int64 | D::Float64 | D::Utf8 | D::Boolean);
    batch.num_rows() <= ROWS
        && batch.num_columns() <= COLUMNS
        && batch.columns().iter().all(|column| is_plain(column.data_type()))
        && table_of(batch)
            .is_ok_and(|table| table.rows.iter().flatten().all(|cell| text(cell).chars().count() <= WIDTH))
}

/// A case with its tables.
fn shown(case: &Case) -> Result<String> {
    let judgement = case.judge()?;
    let before = case.stored.as_ref().map(|stored| table_of(&stored.batch()?)).transpose()?;
    let incoming = table_of(&case.incoming.batch()?)?;
    let is_gone = |row: &[Cell]| match (&judgement, &before) {
        (Judgement::Merged(after, _), Some(before)) => is_gone(case, row, before, after),
        _ => false,
    };
    let stored = |table| grid(table, |row| if is_gone(row) { "~~" } else { "" }, &[]);
    let mut tables = vec![("before", before.as_ref().map_or("no target\n".to_owned(), stored))];
    match &judgement {
        Judgement::Refused { .. } => tables.push(("incoming", grid(&incoming, |_| "", &[]))),
        Judgement::Merged(after, _) => {
            tables.push(("incoming", grid(&incoming, |_| "", &fates(case)?)));
            // A row that just has no value in a new column is the stored one.
            let is_row = |stored: &[Cell], row: &[Cell]| {
                let (own, new) = row.split_at(stored.len());
                stored == own && new.iter().all(|cell| *cell == Cell::Null)
            };
            let is_stored =
                |row: &[Cell]| before.iter().flat_map(|table| &table.rows).any(|stored| is_row(stored, row));
            tables.push((
                "after",
                match &before {
                    Some(before) if before == after => "as before\n".to_owned(),
                    None if after.rows.is_empty() => "no target\n".to_owned(),
                    _ => grid(after, |row| if is_stored(row) { "" } else { "**" }, &[]),
                },
            ));
        }
    }
    let head = |name: &str| format!("<th>{name}</th>");
    let body = |table: &str| format!("<td>\n\n{table}\n</td>");
    let heads: String = tables.iter().map(|(name, _)| head(name)).collect();
    let bodies: String = tables.iter().map(|(_, table)| body(table)).collect();
    Ok(format!(
        "\n### {}\n\n`{}`: {}\n\n<table>\n<tr>{heads}</tr>\n<tr valign=\"top\">{bodies}</tr>\n</table>\n",
        sentence(case),
        flags(case)?,
        outcome(&judgement)?
    ))
}

/// Whether no row afterwards has the id of a stored one.
fn is_gone(case: &Case, row: &[Cell], before: &Table, after: &Table) -> bool {
    let ids = |table: &Table, row: &[Cell]| -> Vec<Option<Cell>> {
        let place = |id: &&str| table.columns.iter().position(|column| column == id);
        case.rule.ids.iter().map(|id| place(id).map(|place| row[place].clone())).collect()
    };
    let id = ids(before, row);
    !after.rows.iter().any(|other| ids(after, other) == id)
}

/// The name of a case as people write.
fn sentence(case: &Case) -> String {
    let words = case.name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn flags(case: &Case) -> Result<String> {
    let flags = case.rule.to_merge_rule()?.flags();
    let typed = |(flag, value): &(&str, String)| match value {
        value if value.is_empty() => (*flag).to_owned(),
        value if value.contains('"') => format!("{flag} '{}'", value.replace('\'', "'\\''")),
        value if value.contains([' ', '\'']) => format!("{flag} \"{value}\""),
        value => format!("{flag} {value}"),
    };
    Ok(flags.iter().map(typed).collect::<Vec<_>>().join(" "))
}

/// What the report says, or the error.
fn outcome(judgement: &Judgement) -> Result<String> {
    match judgement {
        Judgement::Merged(_, counts) => told(counts),
        Judgement::Refused { message, .. } => Ok(format!("refused, {message}")),
    }
}

/// The counts that are not zero, but for those that the tables show.
fn told(counts: &RowCounts) -> Result<String> {
    let mut told = Vec::new();
    for (name, count) in counted(counts)? {
        match (name.as_str(), count) {
            ("incoming" | "rows_before" | "rows_after", _) => {}
            (name, 1) => told.push(format!("1 {}", name.strip_suffix('s').unwrap_or(name))),
            (name, count) => told.push(format!("{count} {name}")),
        }
    }
    Ok(if told.is_empty() { "nothing to do".to_owned() } else { told.join(", ") })
}

/// A table in Markdown, with what became of each row where that is known.
fn grid(table: &Table, around: impl Fn(&[Cell]) -> &'static str, fates: &[String]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut heads: Vec<String> = table.columns.iter().map(|name| escaped(name)).collect();
    if !fates.is_empty() {
        heads.push(String::new());
    }
    let mut grid = line(&heads) + &line(&vec!["---".to_owned(); heads.len()]);
    for (index, row) in table.rows.iter().enumerate() {
        let around = around(row);
        let mut cells: Vec<String> =
            row.iter().map(|cell| format!("{around}{}{around}", text(cell))).collect();
        let fate = |fate: &String| if fate == "tombstones" { "delete mark".to_owned() } else { fate.clone() };
        cells.extend(fates.get(index).map(fate));
        grid += &line(&cells);
    }
    grid
}

/// A value, so that a null is none of the texts, and white space is seen.
fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "*null*".to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Int(value) => value.to_string(),
        Cell::Float(value) => format!("{value:?}"),
        Cell::Text(text) if text.is_empty() || text.trim() != text || text.contains(char::is_control) => {
            format!("`{}`", format!("{text:?}").replace('|', "\\|"))
        }
        Cell::Text(text) => escaped(text),
        Cell::Instant(nanos) => instant(*nanos),
        other => format!("{other:?}"),
    }
}

/// A moment as people write it.
fn instant(nanos: i128) -> String {
    let parts = i64::try_from(nanos.div_euclid(1_000_000_000)).ok();
    let nanos = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default();
    let time = parts.and_then(|seconds| DateTime::from_timestamp(seconds, nanos));
    time.map_or_else(|| nanos.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Text that means nothing in Markdown.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| "\\`*_<>|[]".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::cases;

    #[test]
    fn every_case_is_on_the_page() {
        let page = page().expect("a page");
        for case in cases() {
            assert!(page.contains(&sentence(&case)), "{}", case.name);
        }
        let shown = page.matches("\n### ").count();
        assert!(shown > cases().len() / 2, "{shown}");
    }

    #[test]
    fn counts_are_told_if_there_is_something_to_count() {
        let counts =
            RowCounts { incoming: 3, updated: 2, ties: 1, rows_after: Some(9), ..RowCounts::default() };
        assert_eq!(told(&counts).expect("told"), "2 updated, 1 tie");
        assert_eq!(told(&RowCounts::default()).expect("told"), "nothing to do");
    }

    #[test]
    fn a_value_is_never_taken_for_another() {
        let text = |value: &str| text(&Cell::Text(value.to_owned()));
        assert_eq!(
            [text(""), text("null"), text(" a\n"), text("a|b_c")],
            ["`\"\"`", "null", "`\" a\\n\"`", "a\\|b\\_c"]
        );
        assert_eq!(super::text(&Cell::Null), "*null*");
        assert_eq!(super::text(&Cell::Float(-0.0)), "-0.0");
    }

    #[test]
    fn changed_rows_are_bold_and_fates_stand_beside_rows() {
        let row = |id| vec![Cell::Int(id), Cell::Null];
        let table = Table { columns: vec!["id".into(), "x".into()], rows: vec![row(1), row(2)] };
        let told = grid(
            &table,
            |cells| if cells[0] == Cell::Int(2) { "**" } else { "" },
            &["stale".to_owned(), "updated".to_owned()],
        );
        let expected =
            "| id | x |  |\n| --- | --- | --- |\n| 1 | *null* | stale |\n| **2** | ***null*** | updated |\n";
        assert_eq!(told, expected);
    }
}
