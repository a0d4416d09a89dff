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
use crate::table::target::check_target;
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
        check_target(&self.session, target, &options).await?;
        let rows = DataFusionFrame::from(rows.into_datafusion(&SessionContext::new()).await?);
        upsert(&self.session, rows.run().await?, target, rule, &options, NAME).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use arrow::compute::concat_batches;
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::backends::datafusion::{DataFusionReader, DataFusionWriter};
    use crate::core::options::{ReadOptions, WriteOptions};
    use crate::interfaces::{Reader, Writer};

    fn batch(id: &[i64], value: &[i64]) -> RecordBatch {
        let column = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        RecordBatch::try_from_iter([("id", column(id)), ("value", column(value))]).unwrap()
    }

    #[tokio::test]
    async fn what_is_written_is_upserted_into_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (session, ctx) = (Session::default(), SessionContext::new());
        let rule = MergeRule::by_id(["id"]).unwrap();
        for name in ["a.parquet", "a.csv", "a.ndjson"] {
            let target = Location::from_path(folder.path().join(name));
            let writer = DataFusionWriter::new(session.clone());
            let stored = ctx.read_batch(batch(&[1, 2, 3], &[10, 20, 30])).unwrap();
            writer.write_opts(stored.into(), &target, WriteOptions::default()).await.unwrap();
            let changes = ctx.read_batch(batch(&[9, 4, 2], &[0, 40, 21])).unwrap();
            let changes = changes.filter(col("id").lt(lit(9))).unwrap();
            let upserter = DataFusionUpserter::new(session.clone());
            let options = UpsertOptions::default();
            let report = upserter.upsert_opts(changes.into(), &target, &rule, options).await.unwrap();
            assert_eq!(
                (report.rows.inserted, report.rows.updated, report.rows.unchanged),
                (1, 1, 0),
                "{name}"
            );
            let reader = DataFusionReader::new(session.clone());
            let frame = reader.read_opts(&[target], ReadOptions::default()).await.unwrap();
            let stream = frame.into_arrow().await.unwrap();
            let schema = stream.schema();
            let found = concat_batches(&schema, &stream.collect().await.unwrap()).unwrap();
            let expected = batch(&[1, 2, 3, 4], &[10, 21, 30, 40]);
            assert_eq!(found.columns(), expected.columns(), "{name}");
        }
    }
}
