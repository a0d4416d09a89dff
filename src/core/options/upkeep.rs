//! How tables are kept in shape.

use std::time::Duration;

/// How small files of a table become larger ones.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OptimizeOptions {
    /// Bytes up to which files are put together; what the table says (`delta.targetFileSize`), or 128 MiB, if not said.
    pub target_bytes: Option<u64>,
    /// Columns by which all rows of each partition are put along a Z-order curve, so that readers who ask for values of any of
    /// them skip files; for Delta tables.
    pub z_order: Option<Vec<String>>,
    /// Count what would change, and write nothing.
    pub dry_run: bool,
    /// How often the work is done again because someone else changed the same files meanwhile.
    pub max_retries: u32,
}

impl Default for OptimizeOptions {
    fn default() -> Self {
        Self { target_bytes: None, z_order: None, dry_run: false, max_retries: 10 }
    }
}

impl OptimizeOptions {
    /// Sets the bytes up to which files are put together.
    #[must_use]
    pub fn with_target_bytes(mut self, bytes: u64) -> Self {
        self.target_bytes = Some(bytes);
        self
    }

    /// Puts rows along a Z-order curve through these columns.
    #[must_use]
    pub fn with_z_order<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.z_order = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Counts only.
    #[must_use]
    pub fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how often the work is done again after a conflict.
    #[must_use]
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }
}

/// Which files are deleted that no version of a Delta table needs any more.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VacuumOptions {
    /// For how long such a file stays; what the table says (`delta.deletedFileRetentionDuration`), or seven days, if not
    /// said.
    pub retention: Option<Duration>,
    /// Whether files may go earlier than the table says: somebody may be about to read or commit them.
    pub allow_early: bool,
    /// Name the files, and delete none. So it is unless something else is said.
    pub dry_run: bool,
}

impl Default for VacuumOptions {
    fn default() -> Self {
        Self { retention: None, allow_early: false, dry_run: true }
    }
}

impl VacuumOptions {
    /// Sets for how long files stay.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Allows that files go earlier than the table says.
    #[must_use]
    pub fn with_allow_early(mut self, allow: bool) -> Self {
        self.allow_early = allow;
        self
    }

    /// Says whether files are only named.
    #[must_use]
    pub fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}
