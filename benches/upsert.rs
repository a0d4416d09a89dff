//! Read, write and upsert of a million rows of Parquet, both backends: `cargo bench --all-features`.

#![allow(
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a benchmark that cannot run says so"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, SamplingMode, criterion_group, criterion_main};
use futures::StreamExt;
use keyfold::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use keyfold::{Backend, DataReaderWriter, Frame, ReadOptions, Upsert, UpsertMethod, UpsertReport};
use tokio::runtime::Runtime;

const ROWS: i64 = 1_000_000;
const INCOMING: i64 = ROWS / 100;

/// Orders with eight columns; `step` scatters the ids, `version` dates them.
fn orders(count: i64, step: i64, version: i64) -> RecordBatch {
    let ids: Vec<i64> = (0..count).map(|n| n * step).collect();
    // A cheap, fixed scramble, so that text does not compress to nothing.
    let mix = |n: i64| n.wrapping_mul(0x5851_F42D_4C95_7F2D).rotate_left(17) ^ version;
    let text = |of: fn(i64) -> String| StringArray::from_iter_values(ids.iter().map(|n| of(*n)));
    #[expect(clippy::cast_precision_loss, reason = "prices need no more")]
    let total = Float64Array::from_iter_values(ids.iter().map(|n| (mix(*n) % 100_000) as f64 / 100.0));
    let columns: [(&str, ArrayRef); 8] = [
        ("order_id", Arc::new(Int64Array::from(ids.clone()))),
        ("customer", Arc::new(text(|n| format!("customer {}", n % 50_000)))),
        (
            "status",
            Arc::new(text(|n| ["new", "paid", "shipped", "returned"][n.unsigned_abs() as usize % 4].into())),
        ),
        ("total", Arc::new(total)),
        ("quantity", Arc::new(Int64Array::from_iter_values(ids.iter().map(|n| n % 7)))),
        ("note", Arc::new(StringArray::from_iter_values(ids.iter().map(|n| format!("{:016x}", mix(*n)))))),
        ("created_at", Arc::new(TimestampMillisecondArray::from_iter_values(ids.iter().map(|n| n * 1_000)))),
        (
            "updated_at",
            Arc::new(TimestampMillisecondArray::from_iter_values(ids.iter().map(|n| n * 1_000 + version))),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

/// Half updates scattered over the table, half new rows behind it.
fn changes() -> RecordBatch {
    let updates = orders(INCOMING / 2, ROWS / (INCOMING / 2), 1);
    let inserts = orders(ROWS + INCOMING / 2, 1, 1).slice(ROWS as usize, INCOMING as usize / 2);
    keyfold::arrow::compute::concat_batches(&updates.schema(), [&updates, &inserts]).expect("one batch")
}

struct Bench {
    folder: tempfile::TempDir,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), runtime: Runtime::new().expect("a runtime") }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, backend: &str, rows: RecordBatch, name: &str) {
        let data = DataReaderWriter::builder().backend(backend).build().expect("a front door");
        self.runtime.block_on(data.write(rows, &self.path(name))).expect("written");
    }

    fn read(&self, backend: &str, name: &str) -> usize {
        let data = DataReaderWriter::builder().backend(backend).build().expect("a front door");
        self.runtime.block_on(async {
            let frame = data.read_opts(&[self.path(name)], ReadOptions::default()).await.expect("read");
            let mut rows = 0;
            let mut batches = frame.into_arrow().await.expect("run");
            while let Some(batch) = batches.next().await {
                rows += batch.expect("a batch").num_rows();
            }
            rows
        })
    }

    fn upsert(&self, backend: &str, rows: impl Into<Frame>, name: &str) -> UpsertReport {
        let upsert = Upsert::builder().backend(backend).build().expect("a front door");
        let (path, modified) = (self.path(name), Some("updated_at"));
        let done = upsert.upsert(rows, &path, UpsertMethod::Modified, &["order_id"], modified);
        self.runtime.block_on(done).expect("upserted")
    }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} x {}", cores, model.trim_start_matches([' ', '\t', ':']))
}

fn bench(criterion: &mut Criterion) {
    let bench = Bench::new();
    let (all, some) = (orders(ROWS, 1, 0), changes());
    for backend in Backend::names() {
        let stored = format!("{backend}.parquet");
        bench.write(backend, all.clone(), &stored);
        let size = std::fs::metadata(bench.path(&stored)).expect("there").len();
        println!(
            "{backend}: {ROWS} rows x {} columns, {} MiB, on {}",
            all.num_columns(),
            size >> 20,
            machine()
        );
        let mut group = criterion.benchmark_group(*backend);
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.bench_function("write 1M rows", |b| {
            b.iter_batched(
                || drop(std::fs::remove_file(bench.path("new.parquet"))),
                |()| bench.write(backend, all.clone(), "new.parquet"),
                BatchSize::PerIteration,
            );
        });
        group.bench_function("read 1M rows", |b| b.iter(|| black_box(bench.read(backend, &stored))));
        group.bench_function("upsert 1% into 1M rows, half new", |b| {
            b.iter_batched(
                || std::fs::copy(bench.path(&stored), bench.path("target.parquet")).expect("copied"),
                |_| bench.upsert(backend, some.clone(), "target.parquet"),
                BatchSize::PerIteration,
            );
        });
        bench.upsert(backend, some.clone(), "target.parquet");
        group.bench_function("the same upsert again", |b| {
            b.iter(|| assert!(bench.upsert(backend, some.clone(), "target.parquet").rows.is_no_change()));
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
