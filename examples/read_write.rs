//! Reads CSV with types, columns and a condition, writes it as Parquet and reads it back as Arrow.
//!
//! `cargo run --example read_write`

use std::sync::Arc;

use keyfold::arrow::datatypes::{DataType, Field, Schema};
use keyfold::arrow::util::pretty::pretty_format_batches;
use keyfold::{Compression, DataReaderWriter, ReadOptions, WriteMode, WriteOptions};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("large.parquet").display().to_string();
    let data = DataReaderWriter::builder().folder(DATA).build()?;

    // Money is better read as a decimal than as the float that its digits look like.
    let money = Schema::new(vec![Field::new("total", DataType::Decimal128(10, 2), true)]);
    let options = ReadOptions::default()
        .with_schema(Arc::new(money))
        .with_columns(["order_id", "customer", "total"])
        .with_filter("total >= 300 AND status <> 'cancelled'".parse()?);
    let large = data.read_opts(&["orders.csv"], options).await?;

    let options =
        WriteOptions::default().with_mode(WriteMode::Overwrite).with_compression(Compression::Zstd(9));
    let report = data.write_opts(large, &target, options).await?;
    println!("{} rows, {} bytes of {}", report.rows, report.bytes_written, report.format);

    for column in data.schema(&[&target], ReadOptions::default()).await?.fields() {
        println!("{}: {}", column.name(), column.data_type());
    }
    let rows = data.read(&target).await?.into_arrow().await?.collect().await?;
    println!("{}", pretty_format_batches(&rows)?);
    Ok(())
}
