//! Folding frames into stored data: the frame runs in Polars, what becomes of its rows is decided in
//! keyfold's one kernel.

use async_trait::async_trait;

use super::NAME;
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::options::UpsertOptions;
use crate::core::report::UpsertReport;
use crate::error::Result;
use crate::interfaces::{Frame, Upserter};
use crate::table::upsert::upsert;

/// Folds frames into stored data, with Polars where Polars made them.
#[derive(Debug, Clone)]
pub struct PolarsUpserter {
    session: Session,
}

impl PolarsUpserter {
    /// An upserter that opens files by `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }
}

#[async_trait]
impl Upserter for PolarsUpserter {
    async fn upsert_opts(
        &self,
        rows: Frame,
        target: &Location,
        rule: &MergeRule,
        options: UpsertOptions,
    ) -> Result<UpsertReport> {
        // A Polars frame runs in Polars. Another one has nothing to run there, and would lose the types
        // that Polars lacks on the way.
        let rows = rows.into_arrow().await?;
        upsert(&self.session, rows, target, rule, &options, NAME).await
    }
}
