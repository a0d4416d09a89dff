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
use crate::table::target::check_target;
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
        options.validate()?;
        check_target(&self.session, target, &options).await?;
        // A Polars frame runs in Polars. Another one has nothing to run there, and would lose the types
        // that Polars lacks on the way.
        let rows = rows.into_arrow().await?;
        upsert(&self.session, rows, target, rule, &options, NAME).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude as pl;
    use polars::prelude::{IntoLazy, col, lit};

    fn frame(ids: std::ops::Range<i64>) -> pl::DataFrame {
        let column = pl::Column::new("id".into(), ids.collect::<Vec<_>>());
        pl::DataFrame::new_infer_height(vec![column]).unwrap()
    }

    #[tokio::test]
    async fn a_lazy_frame_is_run_and_folded_in_and_twice_is_once() {
        let folder = tempfile::tempdir().unwrap();
        let target = Location::from_path(folder.path().join("a.parquet"));
        let rule = MergeRule::by_id(["id"]).unwrap();
        let upserter = PolarsUpserter::new(Session::default());
        let upsert =
            |rows: pl::LazyFrame| upserter.upsert_opts(rows.into(), &target, &rule, UpsertOptions::default());
        let plan =
            |ids| frame(ids).lazy().with_column((col("id") * lit(2)).cast(pl::DataType::String).alias("v"));
        let first = upsert(plan(0..3)).await.unwrap();
        assert_eq!((first.created, first.rows.inserted, first.backend.as_str()), (true, 3, "polars"));
        let second = upsert(plan(2..5)).await.unwrap();
        assert_eq!((second.rows.inserted, second.rows.unchanged), (2, 1));
        let third = upsert(plan(2..5)).await.unwrap();
        assert_eq!((third.rows.unchanged, &third.version_after), (3, &third.version_before));
    }
}
