//! What is done to a table as a whole: its history, going back in it, and keeping it in shape.

use crate::core::options::{OptimizeOptions, ReadOptions, VacuumOptions};
use crate::core::report::{OptimizeReport, RestoreReport, TableVersion, VacuumReport};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::DataReaderWriter;
use crate::table::delta::{self, At};
use crate::table::upkeep;

impl DataReaderWriter {
    /// The last versions of a Delta table, the newest first; all that its log still has if there is no `limit`.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such table, `InvalidData` for a damaged log.
    pub async fn history(&self, path: &str, limit: Option<usize>) -> Result<Vec<TableVersion>> {
        let location = self.0.locate(path)?;
        self.0.session.run(move |session| delta::history(session, &location, limit)).await
    }

    /// Makes a Delta table as it was at the version, or at the time, that `options` name; counts what that would take if
    /// `dry_run`. What was written since stays in the log, and can be restored as well.
    ///
    /// # Errors
    ///
    /// `Usage` if no version is named, `NotFound` if there is none such or files of it are gone, `Unsupported` if the table
    /// had other columns then.
    pub async fn restore(&self, path: &str, options: ReadOptions, dry_run: bool) -> Result<RestoreReport> {
        options.validate()?;
        let at = match (options.version, options.timestamp) {
            (Some(version), _) => At::Version(version),
            (None, Some(time)) => At::Time(time),
            (None, None) => {
                return Err(Error::new(ErrorKind::Usage, "no version is named")
                    .hint("name a version or a time; the history of the table lists them"));
            }
        };
        let location = self.0.locate(path)?;
        self.0.session.run(move |session| delta::restore(session, &location, at, dry_run)).await
    }

    /// Puts small files of a Delta table or of a folder of Parquet files together, partition by partition. No row changes.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such table, `Usage` for a single file, `Unsupported` for a table that asks for what is
    /// not honoured, `Conflict` if others kept changing the same files.
    pub async fn optimize(&self, path: &str, options: OptimizeOptions) -> Result<OptimizeReport> {
        let location = self.0.locate(path)?;
        self.0.session.run(move |session| upkeep::optimize(session, &location, &options)).await
    }

    /// Deletes files that no version of a Delta table has needed for some time; names them only, unless `options` say
    /// otherwise. Versions that had them can no longer be read.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such table, `Usage` for a single file, or if files are to go earlier than the table says,
    /// `Unsupported` for a folder of files, from which nothing is ever deleted, `InvalidData` if a file of the table is missing.
    pub async fn vacuum(&self, path: &str, options: VacuumOptions) -> Result<VacuumReport> {
        let location = self.0.locate(path)?;
        self.0.session.run(move |session| upkeep::vacuum(session, &location, &options)).await
    }
}
