//! Reads files into a lazy frame: Parquet by DataFusion's own scan, everything else by keyfold's.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::error::from_datafusion;
use super::exact_cast::exact_cast;
use super::lower::lower;
use super::scan::{ParquetFiles, Rescan};
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::ReadOptions;
use crate::core::predicate::Bound;
use crate::core::schema::find_column;
use crate::error::Result;
use crate::interfaces::{Frame, Reader};
use crate::table::ipc::IpcScan;
use crate::table::read_as::asked_schema;
use crate::table::source::Source;
use crate::table::table_scan::TableScan;
use crate::table::text::TextScan;

/// Reads files into frames of DataFusion.
#[derive(Debug, Clone)]
pub struct DataFusionReader {
    session: Session,
}

impl DataFusionReader {
    /// A reader that opens files with `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }
}

#[async_trait]
impl Reader for DataFusionReader {
    async fn read_opts(&self, locations: &[Location], options: ReadOptions) -> Result<Frame> {
        let locations = locations.to_vec();
        self.session.run(move |session| read(session, &locations, &options)).await.map(Frame::from)
    }
}

fn read(session: &Session, locations: &[Location], options: &ReadOptions) -> Result<DataFrame> {
    let source = Source::open(session, locations, options)?;
    if let Some(table) = &source.table {
        let scan = TableScan::new(session, table, options)?;
        return rescanned(scan.schema(), move || Ok(scan.batches()));
    }
    match source.schema.clone() {
        Some(schema) if source.format == Format::Parquet => read_parquet(&source, &schema, options),
        Some(schema) => {
            let scan = IpcScan::new(session, source.files, source.format, &schema, options)?;
            rescanned(scan.schema(), move || Ok(scan.batches()))
        }
        None => {
            let scan = TextScan::open(session, source.files, source.format, options)?;
            rescanned(scan.schema(), move || Ok(scan.batches()))
        }
    }
}

/// The session of a frame that was read: one partition. With four, tried on a file of 300,000 rows, a
/// filter gets its batches dealt out in turn, and a limit takes the rows of whoever is first.
fn context() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1))
}

/// A frame of what keyfold reads itself, anew each time.
fn rescanned<I>(schema: SchemaRef, open: impl Fn() -> Result<I> + Send + Sync + 'static) -> Result<DataFrame>
where
    I: Iterator<Item = Result<RecordBatch>> + Send + 'static,
{
    let rows = Rescan::new(Arc::clone(&schema), open);
    StreamingTable::try_new(schema, vec![Arc::new(rows)])
        .and_then(|table| context().read_table(Arc::new(table)))
        .map_err(from_datafusion)
}

fn read_parquet(source: &Source, stored: &SchemaRef, options: &ReadOptions) -> Result<DataFrame> {
    let schema = asked_schema(stored, options);
    let casts = casts(stored, &schema);
    let filter = options.filter.as_ref().map(|filter| filter.bind(&schema)).transpose()?;
    let columns = options.columns.as_ref();
    for column in columns.into_iter().flatten() {
        find_column(&schema, column, "column")?;
    }
    // Statistics are of stored values and leave NaN out: what they rule out a cast, or NaN as the
    // greatest number, would let in.
    let trust = casts.is_none() && !filter.as_ref().is_some_and(Bound::may_select_nan);
    let table = ParquetFiles::new(Arc::clone(stored), &source.files, trust)?;
    plan(table, casts, filter.as_ref(), options).map_err(from_datafusion)
}

/// Every column, cast where `read` says another type than `stored`; none if it never does.
fn casts(stored: &Schema, read: &Schema) -> Option<Vec<Expr>> {
    let fields = || stored.fields().iter().zip(read.fields());
    if fields().all(|(stored, read)| stored.data_type() == read.data_type()) {
        return None;
    }
    let column = |(stored, read): (&FieldRef, &FieldRef)| {
        let column = Expr::Column(Column::from_name(stored.name()));
        if stored.data_type() == read.data_type() {
            column
        } else {
            exact_cast(column, Arc::clone(read)).alias(stored.name())
        }
    };
    Some(fields().map(column).collect())
}

fn plan(
    table: ParquetFiles,
    casts: Option<Vec<Expr>>,
    filter: Option<&Bound>,
    options: &ReadOptions,
) -> Result<DataFrame, DataFusionError> {
    let mut frame = context().read_table(Arc::new(table))?;
    if let Some(casts) = casts {
        frame = frame.select(casts)?;
    }
    if let Some(filter) = filter {
        frame = frame.filter(lower(&filter.test)?)?;
    }
    if let Some(columns) = &options.columns {
        frame = frame.select(columns.iter().map(|name| Expr::Column(Column::from_name(name))))?;
    }
    match options.limit {
        Some(rows) => frame.limit(0, Some(rows)),
        None => Ok(frame),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use arrow::array::{
        ArrayRef, AsArray, Float64Array, Int64Array, StringArray, StringViewArray, TimestampMillisecondArray,
    };
    use arrow::compute::concat_batches;
    use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::file::properties::WriterProperties;

    use super::*;
    use crate::error::ErrorKind;

    fn write(path: &Path, batch: &RecordBatch, row_group: usize) {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(row_group)).build();
        let file = File::create(path).unwrap();
        let mut out = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        out.write(batch).unwrap();
        out.close().unwrap();
    }

    fn rows(range: std::ops::Range<i64>) -> RecordBatch {
        let n: Vec<i64> = range.collect();
        let words: Vec<String> = n.iter().map(|n| format!("word {n}")).collect();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let f: Vec<f64> = n.iter().map(|n| if n % 1_000 == 7 { f64::NAN } else { *n as f64 }).collect();
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(n.clone())) as ArrayRef),
            ("Word", Arc::new(StringArray::from(words.clone())) as ArrayRef),
            ("v", Arc::new(StringViewArray::from_iter_values(words)) as ArrayRef),
            ("f", Arc::new(Float64Array::from(f)) as ArrayRef),
            ("t", Arc::new(TimestampMillisecondArray::from(n).with_timezone("UTC")) as ArrayRef),
        ])
        .unwrap()
    }

    async fn read(paths: &[&Path], options: ReadOptions) -> Result<RecordBatch> {
        let locations: Vec<_> = paths.iter().map(|path| Location::from(*path)).collect();
        let reader = DataFusionReader::new(Session::default());
        let stream = reader.read_opts(&locations, options).await?.into_arrow().await?;
        let schema = stream.schema();
        Ok(concat_batches(&schema, &stream.collect().await?).unwrap())
    }

    fn numbers(batch: &RecordBatch) -> Vec<i64> {
        batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    fn filter(sql: &str) -> ReadOptions {
        ReadOptions::default().with_filter(sql.parse().unwrap())
    }

    #[tokio::test]
    async fn a_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        // Names that a URL would escape.
        for name in ["a.parquet", "100% a#b?[c] d%20e ü.parquet"] {
            let path = folder.path().join(name);
            write(&path, &rows(0..3_000), 500);
            assert_eq!(read(&[&path], ReadOptions::default()).await.unwrap(), rows(0..3_000), "{name}");
        }
    }

    #[tokio::test]
    async fn rows_and_files_keep_their_order() {
        let folder = tempfile::tempdir().unwrap();
        // Large enough that DataFusion would split them, and named against their order.
        let (first, second) = (folder.path().join("z.parquet"), folder.path().join("a.parquet"));
        write(&first, &rows(0..200_000), 10_000);
        write(&second, &rows(200_000..300_000), 10_000);
        for options in [ReadOptions::default(), filter("n >= 0 AND Word <> ''")] {
            let batch = read(&[&first, &second], options).await.unwrap();
            assert_eq!(numbers(&batch), (0..300_000).collect::<Vec<_>>());
        }
        let some = filter("n >= 150000").with_limit(60_000);
        assert_eq!(
            numbers(&read(&[&first, &second], some).await.unwrap()),
            (150_000..210_000).collect::<Vec<_>>()
        );
        let twice = read(&[&second, &first, &second], ReadOptions::default()).await.unwrap();
        assert_eq!(
            (twice.num_rows(), numbers(&twice)[0], numbers(&twice)[399_999]),
            (400_000, 200_000, 299_999)
        );
    }

    #[tokio::test]
    async fn rows_keep_their_order_in_the_hands_of_datafusion() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write(&path, &rows(0..300_000), 10_000);
        let reader = DataFusionReader::new(Session::default());
        let frame = reader.read_opts(&[Location::from(path.as_path())], filter("n >= 0")).await.unwrap();
        let frame = frame.into_datafusion(&SessionContext::new()).await.unwrap();
        let found = frame.collect().await.unwrap();
        assert_eq!(found.iter().flat_map(numbers).collect::<Vec<_>>(), (0..300_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn columns_come_back_as_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write(&path, &rows(0..10), 5);
        let options = filter("n >= 4").with_columns(["v", "Word"]).with_limit(3);
        let batch = read(&[&path], options).await.unwrap();
        assert_eq!(batch, rows(4..7).project(&[2, 1]).unwrap());
        let missing = read(&[&path], ReadOptions::default().with_columns(["word"])).await;
        let error = missing.expect_err("no such column");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.hint_text(), Some("there is a column Word: names are matched exactly"));
    }

    #[tokio::test]
    async fn a_limit_takes_the_first_rows() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
        write(&first, &rows(0..100), 30);
        write(&second, &rows(100..200), 30);
        for (options, expected) in [
            (ReadOptions::default().with_limit(130), (0..130).collect::<Vec<_>>()),
            (ReadOptions::default().with_limit(0), vec![]),
            (filter("n > 90").with_limit(20), (91..111).collect()),
        ] {
            assert_eq!(numbers(&read(&[&first, &second], options).await.unwrap()), expected);
        }
    }

    #[tokio::test]
    async fn files_whose_columns_stand_in_another_order_are_read_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
        write(&first, &rows(0..10), 5);
        write(&second, &rows(10..20).project(&[4, 3, 2, 1, 0]).unwrap(), 5);
        assert_eq!(read(&[&first, &second], ReadOptions::default()).await.unwrap(), rows(0..20));
    }

    #[tokio::test]
    async fn statistics_rule_out_nothing_that_is_selected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let batch = rows(0..5_000);
        write(&path, &batch, 500);
        for sql in [
            "f > 4998",
            "f >= 1e9",
            "NOT (f < 1e9)",
            "f <> 3",
            "f NOT IN (1, 2, 3)",
            "f < 10",
            "f = 0",
            "f <= -0.0",
            "n = 4321",
            "t >= '1970-01-01T00:00:04.9985'",
            "Word LIKE 'word 12%'",
            "v IN ('word 1', 'word 4999', 'no')",
        ] {
            let bound = sql.parse::<crate::Predicate>().unwrap().bind(&batch.schema()).unwrap();
            let expected =
                arrow::compute::filter_record_batch(&batch, &bound.evaluate(&batch).unwrap()).unwrap();
            assert!(expected.num_rows() > 0, "{sql}");
            assert_eq!(numbers(&read(&[&path], filter(sql)).await.unwrap()), numbers(&expected), "{sql}");
        }
    }

    #[tokio::test]
    async fn a_column_is_read_as_the_type_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write(&path, &rows(0..300), 100);
        let wanted = |column, data_type| {
            ReadOptions::default().with_schema(Schema::new(vec![Field::new(column, data_type, true)]))
        };
        let options =
            wanted("n", DataType::Float64).with_filter("n < 10.5".parse().unwrap()).with_columns(["n"]);
        let batch = read(&[&path], options).await.unwrap();
        assert_eq!(batch.schema().field(0).data_type(), &DataType::Float64);
        assert_eq!(batch.column(0).as_primitive::<Float64Type>().values()[8..], [8.0, 9.0, 10.0]);
        for (column, data_type) in
            [("n", DataType::Int8), ("n", DataType::Utf8), ("f", DataType::Int64), ("Word", DataType::Int64)]
        {
            let error = read(&[&path], wanted(column, data_type)).await.expect_err(column);
            assert_eq!(error.message(), "a column cannot be read as the type asked for");
        }
    }

    #[tokio::test]
    async fn nothing_is_opened_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read(&[&folder.path().join("a.parquet")], ReadOptions::default()).await;
        assert_eq!(missing.map_err(|e| e.kind()).err(), Some(ErrorKind::NotFound));
        let path = folder.path().join("b.parquet");
        std::fs::write(&path, "PAR1 is not all there is to it").unwrap();
        let broken = read(&[&path], ReadOptions::default()).await;
        assert_eq!(broken.map_err(|e| e.kind()).err(), Some(ErrorKind::InvalidData));
    }

    #[tokio::test]
    async fn text_is_read_lazily_and_more_than_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "n,s\n1,a\n2,b\n3,\n").unwrap();
        let reader = DataFusionReader::new(Session::default());
        let frame = reader.read_opts(&[Location::from(path.as_path())], filter("n > 1")).await.unwrap();
        let frame = frame.into_datafusion(&SessionContext::new()).await.unwrap();
        for _ in 0..2 {
            let rows = frame.clone().collect().await.unwrap();
            assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
        }
    }
}
