//! Folds a Polars frame into a Parquet file: of two versions of an order the newer one stays, and doing it
//! again changes nothing.
//!
//! `cargo run --example upsert`

use keyfold::arrow::util::pretty::pretty_format_batches;
use keyfold::polars::prelude::*;
use keyfold::{DataReaderWriter, Frame, Upsert, UpsertMethod};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("orders.parquet").display().to_string();
    let data = DataReaderWriter::builder().backend("polars").folder(DATA).build()?;
    data.write(data.read("orders.csv").await?, &target).await?;

    // Any Polars work may come between reading and folding; nothing runs before the upsert pulls it.
    let changes = data.read("changes.csv").await?.into_polars().await?;
    let changes = changes.filter(col("status").neq(lit("cancelled")));

    let upsert = Upsert::builder().backend("polars").build()?;
    for run in ["first run", "second run"] {
        let report = upsert
            .upsert(changes.clone(), &target, UpsertMethod::Modified, &["order_id"], Some("updated_at"))
            .await?;
        let rows = report.rows;
        println!(
            "{run}: {} inserted, {} updated, {} unchanged, {} stale, {} duplicates",
            rows.inserted, rows.updated, rows.unchanged, rows.stale, rows.duplicates
        );
    }

    let orders = data.read(&target).await?.into_polars().await?;
    let by_status = orders
        .group_by([col("status")])
        .agg([len().alias("orders"), col("total").max().alias("largest")])
        .sort(["status"], SortMultipleOptions::default());
    let rows = Frame::from(by_status).into_arrow().await?.collect().await?;
    println!("{}", pretty_format_batches(&rows)?);
    Ok(())
}
