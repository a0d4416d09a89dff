//! Folds the answer of a DataFusion query into a CSV file, in which only the changed lines change.
//!
//! `cargo run --example datafusion --features datafusion`

use keyfold::datafusion::prelude::{SessionContext, col, lit};
use keyfold::{DataReaderWriter, MergeRule, Upsert, UpsertOptions};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("orders.csv");
    std::fs::copy(format!("{DATA}/orders.csv"), &target)?;
    let before = std::fs::read_to_string(&target)?;

    let context = SessionContext::new();
    let data = DataReaderWriter::builder().backend("datafusion").folder(DATA).build()?;
    let changes = data.read("changes.csv").await?.into_datafusion(&context).await?;
    let moved = changes.filter(col("status").in_list(vec![lit("paid"), lit("shipped")], false))?;

    let upsert = Upsert::builder().backend("datafusion").build()?;
    let rule = MergeRule::by_modified(["order_id"], "updated_at")?;
    let options = UpsertOptions::default();
    let report = upsert.upsert_opts(moved, &target.to_string_lossy(), &rule, options).await?;
    println!("{} inserted, {} updated", report.rows.inserted, report.rows.updated);

    let after = std::fs::read_to_string(&target)?;
    for line in after.lines().filter(|line| !before.lines().any(|old| old == *line)) {
        println!("+ {line}");
    }
    Ok(())
}
