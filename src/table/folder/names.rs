//! The names of files and folders in a folder of Parquet files: which of them count, which say that it is no such folder, and
//! what they say of the rows below.

use arrow::datatypes::DataType;

use super::reader::is_begun;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::text::Guess;
use crate::error::{Error, ErrorKind, Result};
use crate::table::partition::Values;

/// What stands for no value in the name of a folder.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The names of Parquet files below `location`. Names that begin with a dot or an underscore are hidden, as they are to
/// other readers.
///
/// # Errors
///
/// `InvalidInput` for a file that is no Parquet file: nobody could say whether its rows count. `Unsupported` if a table that
/// has a log of its own stands there.
pub(super) fn list(session: &Session, location: &Location) -> Result<Vec<String>> {
    let names = session.files_below(location)?;
    if let Some(log) = names.iter().find(|name| name.split('/').any(|step| LOGS.contains(&step))) {
        return Err(of_table(location).with("log", log).hint("name the folder of the table itself"));
    }
    let names: Vec<String> = names.into_iter().filter(|name| !is_hidden(name)).collect();
    match names.iter().find(|name| Format::from_name(name) != Some(Format::Parquet)) {
        None => Ok(names),
        Some(other) => Err(Error::new(ErrorKind::InvalidInput, "a file of the folder is no Parquet file")
            .with("folder", location)
            .with("file", other)
            .hint("read single files with a pattern; rows go into folders of Parquet files only")),
    }
}

/// By these a folder is known as one whose files are not what they seem: a log says which of them count.
const LOGS: [&str; 2] = ["_delta_log", ".hoodie"];

fn of_table(location: &Location) -> Error {
    Error::new(ErrorKind::Unsupported, "the files of the folder belong to a table with a log of its own")
        .with("folder", location)
}

/// Refuses a folder inside of a table with a log of its own, such as one of its partitions. In a store, where each look is
/// a request, only folders above those are looked at that are named as partitions are.
///
/// # Errors
///
/// `Unsupported`.
pub(super) fn check_not_in_table(session: &Session, location: &Location) -> Result<()> {
    if let Some(path) = location.as_path() {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let has_log = |folder: &&std::path::Path| LOGS.iter().any(|log| folder.join(log).is_dir());
        return match path.ancestors().skip(1).find(has_log) {
            Some(table) => {
                Err(of_table(location).with("table", table.display()).hint("name the table instead"))
            }
            None => Ok(()),
        };
    }
    let Some((_, key)) = location.as_object() else { return Ok(()) };
    let key = key.trim_end_matches('/');
    let steps: Vec<&str> = key.split('/').collect();
    let partitions = steps.iter().rev().take_while(|step| step.contains('=')).count();
    if partitions == 0 || partitions == steps.len() {
        return Ok(());
    }
    let table = location.with_key(&steps[..steps.len() - partitions].join("/"));
    for log in LOGS {
        if session.has_any(&table.join(log)?)? {
            return Err(of_table(location).with("table", &table).hint("name the table instead"));
        }
    }
    Ok(())
}

/// Whether Parquet files stand below `location`, or a run has begun to put the first ones there. Those of a Delta table that is being made count only if it is `said`
/// that they are Parquet.
///
/// # Errors
///
/// `PermissionDenied` or `Io`.
pub(crate) fn is_folder(session: &Session, location: &Location, said: Option<Format>) -> Result<bool> {
    let names = session.files_below(location)?;
    let counts = |name: &String| {
        Format::from_name(name) == Some(Format::Parquet)
            && !is_hidden(name)
            && (said.is_some() || !is_of_new_table(name))
    };
    Ok(names.iter().any(counts) || names.iter().all(|name| is_hidden(name)) && is_begun(session, location)?)
}

fn is_hidden(name: &str) -> bool {
    name.split('/').any(|step| step.starts_with(['.', '_']) && !step.contains('='))
}

/// Whether a file may be one of a Delta table that has no version yet.
fn is_of_new_table(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let id = file.strip_prefix("part-").and_then(|rest| rest.get(..36));
    id.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok())
}

/// The columns that the folders of a path are named after, and their values.
pub(super) fn steps(path: &str) -> (Vec<String>, Values) {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pair = |step: &str| {
        let (column, value) = step.split_once('=')?;
        let value = unescaped(value);
        Some((unescaped(column), (value != NULL).then_some(value)))
    };
    folders.split('/').filter_map(pair).unzip()
}

/// The text that the name of a folder stands for; one that is not escaped as names are stands for itself.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

/// The type of a column of which only names of folders tell: integers, dates, or else text.
pub(super) fn told<'a>(values: impl Iterator<Item = &'a str>) -> DataType {
    let mut guess = Guess::default();
    values.for_each(|value| guess.observe(value));
    match guess.data_type() {
        told @ (DataType::Int64 | DataType::Date32) => told,
        _ => DataType::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_say_columns_and_values() {
        let (columns, values) = steps("day=2021-05-22/place=a%20b%2Fc/part.parquet");
        assert_eq!(columns, ["day", "place"]);
        assert_eq!(values, [Some("2021-05-22".to_owned()), Some("a b/c".to_owned())]);
        assert_eq!(steps("p=__HIVE_DEFAULT_PARTITION__/x.parquet").1, [None]);
        assert_eq!(steps("x=1.parquet").0, Vec::<String>::new());
        assert_eq!(steps("a/b.parquet").0, Vec::<String>::new());
    }

    #[test]
    fn names_that_are_not_escaped_stand_for_themselves() {
        for name in ["100%", "%zz", "%e4", "ü"] {
            assert_eq!(unescaped(name), name);
        }
        assert_eq!(unescaped("%C3%BC%"), "ü%");
    }

    #[test]
    fn names_of_folders_tell_integers_dates_and_text() {
        let told = |values: &[&str]| told(values.iter().copied());
        assert_eq!(told(&["1", "-20"]), DataType::Int64);
        assert_eq!(told(&["2021-05-22"]), DataType::Date32);
        for other in [&["01"][..], &["1.5"], &["true"], &["1", "a"], &["2021-05-22T00:00:00Z"], &[]] {
            assert_eq!(told(other), DataType::Utf8, "{other:?}");
        }
    }
}
