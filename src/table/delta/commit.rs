//! Commits a version: one file of the log, created only if nobody else created it. A new single file is created the
//! same way, so that it is safe on disk, and that an answer which was lost is looked for.
//!
//! Not by the commit of `deltalake-core`: after a conflict it may commit on top of versions that nobody looked at, an
//! error of what it does after the commit looks like one of the commit, and without `DataFusion` it refuses tables that
//! merely list features.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use chrono::Utc;
use deltalake_core::kernel::{Action, CommitInfo, IsolationLevel};
use deltalake_core::protocol::DeltaOperation;
use serde_json::{Value, json};

use super::features::Demands;
use super::{Snapshot, new_file, version_file};
use crate::client::file::{Commit, Stage};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::error::{Error, ErrorKind, Result};

/// How many versions apart checkpoints are, if the table does not say.
const CHECKPOINTS: u64 = 10;

/// Names the commit in what it says of itself.
const COMMIT_ID: &str = "keyfoldCommitId";

/// A version that is to be written.
#[derive(Debug)]
pub(super) struct NewVersion<'a> {
    pub(super) location: &'a Location,
    /// The version that was read; `None` for a new table.
    pub(super) read: Option<u64>,
    pub(super) operation: DeltaOperation,
    /// What else is said of the operation, under the names that Spark gives it.
    pub(super) parameters: BTreeMap<&'static str, Value>,
    /// Under the names that Spark gives them.
    pub(super) metrics: BTreeMap<&'static str, u64>,
    /// Whether nothing of what is there was looked at.
    pub(super) is_blind: bool,
}

impl NewVersion<'_> {
    /// The number of the version.
    pub(super) fn version(&self) -> u64 {
        self.read.map_or(0, |read| read + 1)
    }

    /// Writes the version aside; nobody sees it yet.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Io` or `Cancelled`.
    pub(super) fn stage(self, session: &Session, actions: &[Action]) -> Result<StagedVersion> {
        let id = uuid::Uuid::now_v7().to_string();
        let text = self.text(&id, actions)?;
        let location = version_file(self.location, self.version())?;
        if let Some(path) = location.as_path() {
            new_file::make_parent(path)?;
        }
        let mut stage = session.open(&location)?.stage()?;
        stage
            .file()
            .write_all(text.as_bytes())
            .map_err(|cause| Error::io("cannot write the new version", cause).with("file", &location))?;
        session.check()?;
        Ok(StagedVersion { number: self.version(), location, id, stage })
    }

    fn text(&self, id: &str, actions: &[Action]) -> Result<String> {
        let mut lines = vec![line(&Action::CommitInfo(self.info(id)))?];
        for action in actions {
            lines.push(line(action)?);
        }
        Ok(lines.join("\n") + "\n")
    }

    fn info(&self, id: &str) -> CommitInfo {
        let metrics: BTreeMap<&str, String> =
            self.metrics.iter().map(|(name, value)| (*name, value.to_string())).collect();
        let info = HashMap::from([
            ("operationMetrics".to_owned(), json!(metrics)),
            (COMMIT_ID.to_owned(), Value::String(id.to_owned())),
        ]);
        let told = self.operation.get_commit_info();
        let own = self.parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        CommitInfo {
            operation_parameters: Some(told.operation_parameters.into_iter().flatten().chain(own).collect()),
            timestamp: Some(Utc::now().timestamp_millis()),
            read_version: self.read,
            isolation_level: Some(IsolationLevel::Serializable),
            is_blind_append: Some(self.is_blind),
            engine_info: Some(concat!("keyfold/", env!("CARGO_PKG_VERSION")).to_owned()),
            info,
            ..told
        }
    }
}

/// A version that only has to be put in its place.
#[derive(Debug)]
pub(super) struct StagedVersion {
    pub(super) number: u64,
    location: Location,
    id: String,
    stage: Stage,
}

impl StagedVersion {
    /// Puts it in its place; whether nobody else was first.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` or `Io`; whether it is there is not known then.
    pub(super) fn commit(self, session: &Session) -> Result<bool> {
        match self.stage.commit(None) {
            Ok(Commit::Committed { .. }) => Ok(true),
            Ok(Commit::Conflict) => Ok(false),
            Ok(Commit::Unknown) => is_ours(session, &self.location, &self.id),
            // What is not known from the answer, the log itself tells.
            Err(error) => match is_ours(session, &self.location, &self.id) {
                Ok(ours) => Ok(ours),
                Err(_) => Err(error),
            },
        }
    }
}

fn line(action: &Action) -> Result<String> {
    serde_json::to_string(action)
        .map_err(|cause| Error::internal("a line of the log cannot be written").because(cause))
}

/// Whether a version that is there is the one that we wrote.
///
/// # Errors
///
/// `NotFound` if there is none, and what reading it fails with.
fn is_ours(session: &Session, location: &Location, id: &str) -> Result<bool> {
    let file = session.open(location)?;
    let size =
        file.version()?.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such version"))?.size();
    let text = file.read()?.head(usize::try_from(size).unwrap_or(usize::MAX))?;
    Ok(String::from_utf8_lossy(&text).contains(id))
}

/// Writes a checkpoint if one is due. A version that is committed stays so, whatever becomes of this.
pub(super) fn checkpoint(session: &Session, location: &Location, version: u64, demands: Option<&Demands>) {
    let interval = demands.and_then(|demands| demands.property("delta.checkpointInterval")?.parse().ok());
    let interval = interval.unwrap_or(CHECKPOINTS).max(1);
    if version == 0 || !version.is_multiple_of(interval) {
        return;
    }
    if let Err(error) = Snapshot::checkpoint(session, location, version) {
        tracing::warn!(table = %location, version, %error, "the version is committed, its checkpoint was not written");
    }
}
