//! Files of a folder in which no row has been for long: whoever had them on a list of files has read them by now. And
//! what runs that died have left beside the folder.

use std::collections::HashMap;
use std::time::Instant;

use super::control::Control;
use super::files::Folder;
use crate::client::session::Session;
use crate::client::store::Listed;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::VacuumOptions;
use crate::core::report::{VacuumReport, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::table::partition::Values;
use crate::table::upkeep::{RETENTION, cutoff};

/// Deletes files that keyfold has left without rows, or names them. One file of each partition stays: its folder says what
/// values there are.
///
/// # Errors
///
/// `Usage` if files are to go earlier than seven days after they were left, which was not allowed.
pub(crate) fn vacuum(
    session: &Session,
    location: &Location,
    options: &VacuumOptions,
) -> Result<VacuumReport> {
    let started = Instant::now();
    let cutoff = cutoff(options, RETENTION)?;
    let folder = Folder::load(session, location)?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the folder has no files").with("folder", location))?;
    let is_old = |file: &Listed| file.modified.is_some_and(|modified| modified < cutoff);
    let old: HashMap<String, u64> = session
        .listed_below(location)?
        .into_iter()
        .filter(is_old)
        .map(|file| (file.name, file.size))
        .collect();
    let mut left: HashMap<&Values, usize> = HashMap::new();
    for part in &folder.parts {
        *left.entry(&part.values).or_default() += 1;
    }
    let (mut files, mut bytes) = (Vec::new(), 0);
    for (place, part) in folder.parts.iter().enumerate() {
        session.check()?;
        let Some(size) = old.get(&part.path) else { continue };
        let in_partition = left.entry(&part.values).or_default();
        // Nobody but us has emptied it, and nobody of us ever fills it again.
        if *in_partition > 1 && folder.is_emptied(session, place)? {
            *in_partition -= 1;
            bytes += size;
            files.push(location.join(&part.path)?);
        }
    }
    let control = Control::of(location)?;
    for probe in session.listed_below(control.folder())?.into_iter().filter(is_old) {
        if probe.name.starts_with(".keyfold-probe-") {
            bytes += probe.size;
            files.push(control.folder().join(&probe.name)?);
        }
    }
    if !options.dry_run {
        for file in &files {
            session.check()?;
            session.delete(file)?;
        }
    }
    Ok(VacuumReport {
        target: location.to_string(),
        format: Format::Parquet,
        older_than: cutoff,
        bytes,
        files: files.iter().map(|file| below(location, file)).collect(),
        dry_run: options.dry_run,
        elapsed_ms: millis(started.elapsed()),
    })
}

/// The name of a file below the folder, or as a whole if it is beside it.
fn below(folder: &Location, file: &Location) -> String {
    let (folder, file) = (folder.to_string(), file.to_string());
    let below = file.strip_prefix(folder.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    below.map_or_else(|| file.clone(), str::to_owned)
}
