//! Folds a frame into a file: DataFusion runs the frame, the merge is keyfold's own.

use async_trait::async_trait;
use datafusion::prelude::SessionContext;

use super::NAME;
use super::frame::DataFusionFrame;
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::merge::MergeRule;
use crate::core::options::UpsertOptions;
use crate::core::report::UpsertReport;
use crate::error::Result;
use crate::interfaces::{Frame, Upserter};
use crate::table::upsert::upsert;

/// Upserts frames, its own and those of other engines.
#[derive(Debug, Clone)]
pub struct DataFusionUpserter {
    session: Session,
}

impl DataFusionUpserter {
    /// An upserter that opens files with `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }
}

#[async_trait]
impl Upserter for DataFusionUpserter {
    async fn upsert_opts(
        &self,
        rows: Frame,
        target: &Location,
        rule: &MergeRule,
        options: UpsertOptions,
    ) -> Result<UpsertReport> {
        options.validate()?;
        let rows = DataFusionFrame::from(rows.into_datafusion(&SessionContext::new()).await?);
        upsert(&self.session, rows.run().await?, target, rule, &options, NAME).await
    }
}
