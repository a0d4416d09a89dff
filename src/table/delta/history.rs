//! What the log says of each version of a table: when it was written, by what, and how much it changed.

use serde_json::{Map, Value};

use super::LOG;
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::report::TableVersion;
use crate::error::{Error, ErrorKind, Result};

/// The last versions of a table, the newest first; all that the log still has if there is no `limit`.
///
/// # Errors
///
/// `NotFound` if there is no table, `InvalidData` for a damaged log.
pub(crate) fn history(
    session: &Session,
    location: &Location,
    limit: Option<usize>,
) -> Result<Vec<TableVersion>> {
    if !super::is_table(session, location)? {
        return Err(super::missing(location));
    }
    let log = location.join(LOG)?;
    let mut versions: Vec<(u64, String)> =
        session.files_below(&log)?.into_iter().filter_map(|name| Some((number(&name)?, name))).collect();
    versions.sort_unstable();
    let newest = versions.iter().rev().take(limit.unwrap_or(usize::MAX));
    newest
        .map(|(version, name)| {
            session.check()?;
            let file = log.join(name)?;
            read(session, &file, *version).map_err(|error| error.with_missing("file", &file))
        })
        .collect()
}

/// The version that a file of the log holds, if it is the commit of one.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

fn read(session: &Session, file: &Location, version: u64) -> Result<TableVersion> {
    let (content, size) = session.open(file)?.read_version()?;
    let text = content.head(usize::try_from(size.size()).unwrap_or(usize::MAX))?;
    let damaged = |cause: serde_json::Error| {
        Error::new(ErrorKind::InvalidData, "a version in the log of the Delta table cannot be read")
            .because(cause)
    };
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let action: Map<String, Value> = serde_json::from_slice(line).map_err(damaged)?;
        if let Some(Value::Object(info)) = action.get("commitInfo") {
            return Ok(described(version, info));
        }
    }
    Ok(described(version, &Map::new()))
}

fn described(version: u64, info: &Map<String, Value>) -> TableVersion {
    let text = |name: &str| info.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = info.get("inCommitTimestamp").or_else(|| info.get("timestamp")).and_then(Value::as_i64);
    let object = |name: &str| info.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    TableVersion {
        version,
        timestamp: time.and_then(chrono::DateTime::from_timestamp_millis),
        operation: text("operation"),
        parameters: object("operationParameters"),
        metrics: object("operationMetrics"),
        engine: text("engineInfo"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commits_are_versions() {
        assert_eq!(number("00000000000000000012.json"), Some(12));
        for other in [
            "00000000000000000010.checkpoint.parquet",
            "_last_checkpoint",
            "12.json",
            "0000000000000000001x.json",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
