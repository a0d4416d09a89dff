//! What an upsert sees of others who write the same target.

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::*;
use crate::core::format::Format;

fn batch(id: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![id]));
    RecordBatch::try_from_iter([("id", ids)]).expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_is_told_before_he_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = Session::default();
    let rule = MergeRule::by_id(["id"]).expect("a rule");
    for (name, format) in [("t.parquet", None), ("folder/", Some(Format::Parquet)), ("table", None)] {
        if name == "table" && !crate::table::delta::IS_KNOWN {
            continue;
        }
        for root in [format!("{}/", folder.path().display()), "memory://place/".to_owned()] {
            let is_locked = name == "t.parquet" && !root.starts_with("memory:");
            let target: Location = format!("{root}{name}").parse().expect("a location");
            let options = format.into_iter().fold(UpsertOptions::default(), UpsertOptions::with_format);
            let fold = async |id: i64| {
                let rows = BatchStream::from_iter(batch(id).schema(), [Ok(batch(id))]);
                upsert(&session, rows, &target, &rule, &options, "test").await.expect("folds")
            };
            fold(1).await;
            let stands = async || {
                let (target, options) = (target.clone(), options.clone());
                let look = move |session: &Session| {
                    let found = place_of(session, &target, &options)?.open(session, false)?;
                    let Found::Table(table) = found else { panic!("it is there") };
                    Ok(table)
                };
                session.run(look).await.expect("opens")
            };
            let table = stands().await;
            let is_outrun = async |table: Box<dyn StoredTable>| {
                session.run(move |session| table.is_outrun(session)).await.expect("looks")
            };
            assert!(!is_outrun(table).await, "{target}: nobody else was there");
            if is_locked {
                continue;
            }
            let table = stands().await;
            fold(2).await;
            assert!(is_outrun(table).await, "{target}: somebody has come first");
        }
    }
}
