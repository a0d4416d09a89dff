//! Reading files into Polars: Parquet by Polars' own scan, so that columns, filter and limit are pushed
//! into it; everything else by keyfold's readers, so that a value means the same in every backend.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use polars::prelude as pl;
use polars::prelude::{Expr, LazyFrame};

use super::frame::PolarsFrame;
use super::{crossing, ffi, frame, lower, run, scan, spool, through};
use crate::client::file::DataFile;
use crate::client::session::Session;
use crate::core::format::Format;
use crate::core::location::Location;
use crate::core::options::ReadOptions;
use crate::error::{Error, Result};
use crate::interfaces::{Frame, Reader};
use crate::table::ipc::IpcScan;
use crate::table::read_as::{Asked, asked_schema, needed, read_as};
use crate::table::source::Source;
use crate::table::table_scan::TableScan;
use crate::table::text::TextScan;

/// Reads files into lazy frames of Polars.
///
/// A Parquet file is opened when [`Reader::read_opts`] is called, and scanned when the frame runs: its rows are those that were there
/// then, unless there are more than 256 files on disk. Text, Arrow IPC, Delta tables, and Parquet columns of types that Polars' own reader
/// does not know, are read when [`Reader::read_opts`] is called, with columns, filter and limit applied:
/// Polars can scan a frame more than once, and knows no source of ours that it could scan again. Up to 64
/// MiB of rows wait in memory, more in a temporary file.
#[derive(Debug, Clone)]
pub struct PolarsReader {
    session: Session,
}

impl PolarsReader {
    /// A reader that opens files by `session`.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// Reads text files; columns, filter and limit are applied while they are parsed.
    async fn text(&self, source: Source, options: ReadOptions) -> Result<LazyFrame> {
        let scan = self
            .session
            .run(move |session| TextScan::open(session, source.files, source.format, &options))
            .await?;
        spool::lazy(spool::blocking(scan.schema(), scan.batches())).await
    }

    /// Reads IPC files; columns, filter and limit are applied before anything is kept.
    async fn ipc(&self, source: Source, schema: &SchemaRef, options: &ReadOptions) -> Result<LazyFrame> {
        let scan = IpcScan::new(&self.session, source.files, source.format, schema, options)?;
        spool::lazy(spool::blocking(scan.schema(), scan.batches())).await
    }

    async fn parquet(
        &self,
        files: Vec<DataFile>,
        schema: &SchemaRef,
        options: &ReadOptions,
    ) -> Result<LazyFrame> {
        if !scan::is_sound(&files, schema).await {
            let asked = Asked::new(schema, options)?;
            return spool::lazy(spool::parquet(files, asked, options.limit)).await;
        }
        let (plan, needed, options) = (scan::scan(&files)?, needed(schema, options)?, options.clone());
        run(move || asked(plan, &needed, &options)).await
    }
}

#[async_trait]
impl Reader for PolarsReader {
    async fn read_opts(&self, locations: &[Location], options: ReadOptions) -> Result<Frame> {
        let locations = locations.to_vec();
        let (source, options) = self
            .session
            .run(move |session| Ok((Source::open(session, &locations, &options)?, options)))
            .await?;
        if let Some(table) = &source.table {
            let scan = TableScan::new(&self.session, table, &options)?;
            return spool::lazy(spool::blocking(scan.schema(), scan.batches())).await.map(Frame::from);
        }
        match source.schema.clone() {
            Some(schema) if source.format != Format::Parquet => {
                self.ipc(source, &schema, &options).await.map(Frame::from)
            }
            Some(schema) => {
                let plan = self.parquet(source.files.clone(), &schema, &options).await?;
                Ok(Frame::new(PolarsFrame::over(source.files, plan)))
            }
            None => self.text(source, options).await.map(Frame::from),
        }
    }
}

/// What `options` ask for of a frame that has at least the `needed` columns.
fn asked(plan: LazyFrame, needed: &SchemaRef, options: &ReadOptions) -> Result<LazyFrame> {
    let names = |count: usize| -> Vec<Expr> {
        needed.fields().iter().take(count).map(|f| Expr::Column(f.name().as_str().into())).collect()
    };
    let (mut plan, own) = frame::settled(plan.select(names(needed.fields().len())))?;
    let read = asked_schema(&own, options);
    let casts: Result<Vec<_>> = own
        .fields()
        .iter()
        .zip(read.fields())
        .filter(|(own, read)| own.data_type() != read.data_type())
        .map(|(own, read)| cast_exactly(own, read))
        .collect();
    plan = plan.with_columns(casts?);
    if let Some(filter) = &options.filter {
        let border = crossing::border_schema(&read)?;
        plan = plan.filter(lower::lower(&filter.bind(&border)?)?);
    }
    if let Some(limit) = options.limit {
        plan = plan.limit(pl::IdxSize::try_from(limit).unwrap_or(pl::IdxSize::MAX));
    }
    let wanted = options.columns.as_ref().map_or(needed.fields().len(), Vec::len);
    Ok(if wanted < needed.fields().len() { plan.select(names(wanted)) } else { plan })
}

/// Casts a column so that every value survives or the run fails; Polars' own casts cut off fractions.
fn cast_exactly(from: &Arc<Field>, to: &Arc<Field>) -> Result<Expr> {
    let name = pl::PlSmallStr::from_str(to.name());
    let dtype = crossing::polars_type(&crossing::border_type(to.name(), to.data_type())?)?;
    let (from, to) = (Arc::new(Schema::new([Arc::clone(from)])), Arc::new(Schema::new([Arc::clone(to)])));
    let cast = move |column: pl::Column| {
        let frame = pl::DataFrame::new_infer_height(vec![column])?;
        let cast = cast_batches(frame, &from, &to).map_err(through)?;
        Ok(cast.columns()[0].clone())
    };
    Ok(Expr::Column(name).map(cast, move |_, field| Ok(pl::Field::new(field.name().clone(), dtype.clone()))))
}

fn cast_batches(frame: pl::DataFrame, from: &SchemaRef, to: &SchemaRef) -> Result<pl::DataFrame> {
    let mut cast = Vec::new();
    for batch in ffi::record_batches(frame, from)? {
        let array = read_as(batch.column(0), to.field(0))?;
        let batch = arrow::array::RecordBatch::try_new(SchemaRef::clone(to), vec![array]);
        cast.push(batch.map_err(|cause| Error::internal("a cast gave another type").because(cause))?);
    }
    ffi::data_frame(to, &cast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::arrow::ArrowWriter;
    use ::parquet::file::properties::WriterProperties;
    use arrow::array::*;
    use arrow::datatypes::{DataType, Float16Type, Int8Type};

    use crate::error::ErrorKind;

    fn write(folder: &tempfile::TempDir, name: &str, batch: &RecordBatch) -> Location {
        let path = folder.path().join(name);
        let two_rows = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(two_rows)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        path.into()
    }

    async fn read(locations: &[Location], options: ReadOptions) -> Result<RecordBatch> {
        let frame = PolarsReader::new(Session::default()).read_opts(locations, options).await?;
        let schema = frame.schema().await?;
        let batches = frame.into_arrow().await?.collect().await?;
        Ok(arrow::compute::concat_batches(&schema, &batches).unwrap())
    }

    fn names(batch: &RecordBatch) -> Vec<String> {
        batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn batch(ids: std::ops::Range<i64>) -> RecordBatch {
        let floats: Float64Array = ids
            .clone()
            .map(|id| if id == 3 { Some(f64::NAN) } else { Some(f64::from(i32::try_from(id).unwrap())) })
            .collect();
        let words: StringArray = ids.clone().map(|id| Some(format!("word {id}"))).collect();
        RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from_iter_values(ids)) as ArrayRef),
            ("*", Arc::new(words) as ArrayRef),
            ("f", Arc::new(floats) as ArrayRef),
        ])
        .unwrap()
    }

    fn ids(batch: &RecordBatch) -> Vec<i64> {
        batch["id"].as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
    }

    #[tokio::test]
    async fn columns_filter_and_limit_are_as_asked_and_rows_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            [write(&folder, "b=1.parquet", &batch(0..5)), write(&folder, "[a].parquet", &batch(5..9))];
        let all = read(&files, ReadOptions::default()).await.unwrap();
        assert_eq!((ids(&all), names(&all)), ((0..9).collect(), vec!["id".into(), "*".into(), "f".into()]));
        let options = ReadOptions::default()
            .with_columns(["*", "id"])
            .with_filter("f >= 2".parse().unwrap())
            .with_limit(4);
        let some = read(&files, options).await.unwrap();
        assert_eq!((ids(&some), names(&some)), (vec![2, 3, 4, 5], vec!["*".into(), "id".into()]));
    }

    #[tokio::test]
    async fn nan_is_found_although_statistics_leave_it_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(&folder, "a.parquet", &batch(0..6));
        let options = ReadOptions::default().with_filter("f > 1000".parse().unwrap());
        assert_eq!(ids(&read(&[file], options).await.unwrap()), [3]);
    }

    #[tokio::test]
    async fn columns_in_another_order_take_that_of_the_first_file() {
        let folder = tempfile::tempdir().unwrap();
        let turned = batch(5..7).project(&[2, 0, 1]).unwrap();
        let files = [write(&folder, "a.parquet", &batch(0..2)), write(&folder, "b.parquet", &turned)];
        let all = read(&files, ReadOptions::default()).await.unwrap();
        assert_eq!((ids(&all), names(&all)), (vec![0, 1, 5, 6], vec!["id".into(), "*".into(), "f".into()]));
    }

    #[tokio::test]
    async fn a_column_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(&folder, "a.parquet", &batch(0..2));
        let error = read(&[file], ReadOptions::default().with_columns(["ID"])).await.expect_err("missing");
        assert_eq!(error.to_string(), "column is missing (column: ID)");
    }

    #[tokio::test]
    async fn types_that_polars_cannot_scan_are_read_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let halves = Float16Array::from(vec![<Float16Type as ArrowPrimitiveType>::Native::from_f32(0.5); 3]);
        let kinds: DictionaryArray<Int8Type> = ["a", "b", "a"].into_iter().collect();
        let batch = RecordBatch::try_from_iter([
            ("h", Arc::new(halves) as ArrayRef),
            ("d", Arc::new(Date64Array::from(vec![0, 86_400_000, 0])) as ArrayRef),
            ("k", Arc::new(kinds) as ArrayRef),
        ])
        .unwrap();
        let file = write(&folder, "a.parquet", &batch);
        let options = ReadOptions::default().with_filter("k = 'b'".parse().unwrap()).with_columns(["d", "h"]);
        let found = read(&[file], options).await.unwrap();
        let expected = RecordBatch::try_from_iter_with_nullable([
            ("d", Arc::new(Date32Array::from(vec![1])) as ArrayRef, true),
            ("h", Arc::new(Float32Array::from(vec![0.5])) as ArrayRef, true),
        ]);
        assert_eq!(found, expected.unwrap());
    }

    #[tokio::test]
    async fn a_type_asked_for_is_exact_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(&folder, "a.parquet", &batch(0..3));
        let asked = |data_type| {
            ReadOptions::default().with_schema(Schema::new(vec![Field::new("f", data_type, true)]))
        };
        let found = read(std::slice::from_ref(&file), asked(DataType::Int32)).await.unwrap();
        assert_eq!(found["f"].as_ref(), &Int32Array::from(vec![0, 1, 2]));
        let file = write(&folder, "b.parquet", &batch(3..4));
        let error = read(&[file], asked(DataType::Int32)).await.expect_err("NaN is no integer");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("column: f"), "{error}");
    }

    #[tokio::test]
    async fn text_is_parsed_by_keyfold_and_scanned_by_polars() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "id,name\n1,a\n2,\n3,c\n").unwrap();
        let options = ReadOptions::default().with_filter("id > 1".parse().unwrap());
        let found = read(&[path.into()], options).await.unwrap();
        assert_eq!(ids(&found), [2, 3]);
        assert!(found["name"].is_null(0));
    }
}
