//! DataFusion's dataframe as a [`Frame`], and any frame as DataFusion's.
//!
//! DataFusion speaks the Arrow that keyfold speaks, so every type crosses both ways without a copy.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::dataframe::DataFrame;
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};

use super::NAME;
use super::error::from_datafusion;
use super::scan::Rescan;
use crate::error::Result;
use crate::interfaces::{BatchStream, EngineFrame, Frame};
use crate::table::spill::{MEMORY_BYTES, Spilled};

/// A lazy dataframe of DataFusion.
///
/// Its rows come out partition after partition, so that the order of a source is kept wherever the plan
/// keeps it: through filters, projections and casts. Joins and aggregates promise no order.
pub struct DataFusionFrame(DataFrame);

impl DataFusionFrame {
    /// Runs the plan.
    pub(super) async fn run(self) -> Result<BatchStream> {
        let (mut state, plan) = self.0.into_parts();
        let options = state.config_mut().options_mut();
        // The one deals batches out to idle partitions, the other sorts a table in memory by the size of its
        // batches: after either, the order of the partitions is not that of the source.
        options.optimizer.enable_round_robin_repartition = false;
        options.optimizer.repartition_file_scans = false;
        let frame = DataFrame::new(state, plan);
        let context = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.map_err(from_datafusion)?;
        let schema = plan.schema();
        // Not `execute_stream`: it takes batches from all partitions as they come.
        let partitions = execute_stream_partitioned(plan, context).map_err(from_datafusion)?;
        let batches = stream::iter(partitions).flatten().map_err(from_datafusion);
        Ok(BatchStream::new(schema, batches))
    }
}

impl fmt::Debug for DataFusionFrame {
    /// The columns only: DataFusion prints plans with the data in them, and whole sessions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DataFusionFrame").field(&self.0.schema().field_names()).finish()
    }
}

impl From<DataFrame> for DataFusionFrame {
    fn from(frame: DataFrame) -> Self {
        Self(frame)
    }
}

impl From<DataFrame> for Frame {
    fn from(frame: DataFrame) -> Self {
        Self::new(DataFusionFrame(frame))
    }
}

#[async_trait]
impl EngineFrame for DataFusionFrame {
    fn engine(&self) -> &'static str {
        NAME
    }

    async fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(self.0.schema().inner()))
    }

    async fn into_stream(self: Box<Self>) -> Result<BatchStream> {
        self.run().await
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Frame {
    /// The frame as one of DataFusion.
    ///
    /// One that is DataFusion's already is given back as it is, in the session that made it. Any other runs
    /// in its own engine and becomes a table of `ctx` that can be scanned again: up to 64 MiB of Arrow
    /// batches without a copy, more as a temporary Arrow IPC file that lives as long as the dataframe.
    ///
    /// # Errors
    ///
    /// What the frame's own engine fails with, and `Io` if the temporary file cannot be written.
    pub async fn into_datafusion(self, ctx: &SessionContext) -> Result<DataFrame> {
        match self.downcast::<DataFusionFrame>() {
            Ok(own) => Ok(own.0),
            Err(other) => from_stream(other.into_arrow().await?, ctx, MEMORY_BYTES).await,
        }
    }
}

async fn from_stream(stream: BatchStream, ctx: &SessionContext, limit_bytes: usize) -> Result<DataFrame> {
    let table: Arc<dyn TableProvider> = match Spilled::write(stream, limit_bytes).await? {
        Spilled::Memory(schema, batches) => {
            Arc::new(MemTable::try_new(schema, vec![batches]).map_err(from_datafusion)?)
        }
        Spilled::File(file) => {
            let schema = file.schema();
            let scan = Rescan::new(Arc::clone(&schema), move || file.batches());
            Arc::new(StreamingTable::try_new(schema, vec![Arc::new(scan)]).map_err(from_datafusion)?)
        }
    };
    ctx.read_table(table).map_err(from_datafusion)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeListArray, Int32Array, Int64Array,
        LargeListArray, ListArray, MapArray, NullArray, RecordBatch, StringArray, StructArray,
        new_empty_array, new_null_array,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Field, Fields, Int64Type, IntervalUnit, Schema, TimeUnit};
    use datafusion::prelude::{SessionConfig, col, lit};

    use super::*;
    use crate::error::{Error, ErrorKind};

    /// Columns of the type with a null among the values, where it can have one.
    fn samples() -> Vec<ArrayRef> {
        let numbers = Int64Array::from(vec![Some(1), None, Some(3)]);
        let words = StringArray::from(vec![Some("a"), None, Some("a text that is too long to be inlined")]);
        let bytes = BinaryArray::from_opt_vec(vec![Some(b"abcd"), None, Some(b"efgh")]);
        let mut all: Vec<ArrayRef> = vec![
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(NullArray::new(3)),
        ];
        let from = |values: &dyn Array, types: &[DataType]| -> Vec<ArrayRef> {
            types.iter().map(|t| cast(values, t).unwrap_or_else(|e| panic!("{t}: {e}"))).collect()
        };
        all.extend(from(&numbers, &plain_types()));
        let small = Int32Array::from(vec![Some(1), None, Some(3)]);
        all.extend(from(
            &small,
            &[
                DataType::Date32,
                DataType::Time32(TimeUnit::Second),
                DataType::Time32(TimeUnit::Millisecond),
                DataType::Interval(IntervalUnit::YearMonth),
            ],
        ));
        let dictionary =
            |key: DataType, value: DataType| DataType::Dictionary(Box::new(key), Box::new(value));
        all.extend(from(
            &words,
            &[
                DataType::Utf8,
                DataType::LargeUtf8,
                DataType::Utf8View,
                dictionary(DataType::Int8, DataType::Utf8),
                dictionary(DataType::UInt32, DataType::LargeUtf8),
                dictionary(DataType::Int32, DataType::Utf8View),
            ],
        ));
        all.extend(from(
            &bytes,
            &[DataType::Binary, DataType::LargeBinary, DataType::BinaryView, DataType::FixedSizeBinary(4)],
        ));
        all.extend(nested());
        all
    }

    fn plain_types() -> Vec<DataType> {
        use DataType as D;
        let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        let mut types = vec![
            D::Int8,
            D::Int16,
            D::Int32,
            D::Int64,
            D::UInt8,
            D::UInt16,
            D::UInt32,
            D::UInt64,
            D::Float16,
            D::Float32,
            D::Float64,
            D::Decimal32(9, 2),
            D::Decimal64(18, 2),
            D::Decimal128(38, 2),
            D::Decimal256(76, 2),
            D::Date64,
            D::Time64(TimeUnit::Microsecond),
            D::Time64(TimeUnit::Nanosecond),
        ];
        for unit in units {
            types.push(D::Timestamp(unit, None));
            types.push(D::Timestamp(unit, Some("UTC".into())));
            types.push(D::Timestamp(unit, Some("Europe/Paris".into())));
            types.push(D::Duration(unit));
        }
        types
    }

    fn nested() -> Vec<ArrayRef> {
        let lists = || vec![Some(vec![Some(1), None]), None, Some(vec![])];
        let pairs = vec![Some(vec![Some(1), None]), None, Some(vec![Some(3), Some(4)])];
        let fields: Fields =
            vec![Field::new("n", DataType::Int64, true), Field::new("s", DataType::Utf8, true)].into();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(StringArray::from(vec![Some("a"), Some("b"), None])),
        ];
        let keys: Fields =
            vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)].into();
        let entries = StructArray::new(
            keys.clone(),
            vec![Arc::new(StringArray::from(vec!["a", "b", "c"])), Arc::clone(&columns[0])],
            None,
        );
        let entry = Arc::new(Field::new("entries", DataType::Struct(keys), false));
        vec![
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists())),
            Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists())),
            Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(pairs, 2)),
            Arc::new(StructArray::new(fields, columns, Some(vec![true, false, true].into()))),
            Arc::new(MapArray::new(entry, OffsetBuffer::new(vec![0, 2, 2, 3].into()), entries, None, false)),
        ]
    }

    fn buffers(array: &dyn Array) -> Vec<*const u8> {
        fn visit(data: &arrow::array::ArrayData, found: &mut Vec<*const u8>) {
            found.extend(data.buffers().iter().map(arrow::buffer::Buffer::as_ptr));
            found.extend(data.nulls().map(|nulls| nulls.buffer().as_ptr()));
            data.child_data().iter().for_each(|child| visit(child, found));
        }
        let mut found = Vec::new();
        visit(&array.to_data(), &mut found);
        found
    }

    async fn cross(frame: Frame) -> Result<Vec<RecordBatch>> {
        let frame = frame.into_datafusion(&SessionContext::new()).await?;
        Frame::from(frame).into_arrow().await?.collect().await
    }

    #[tokio::test]
    async fn every_type_crosses_both_ways_without_a_copy() {
        for array in samples() {
            let name = array.data_type().to_string();
            let field = Field::new("Column One", array.data_type().clone(), true);
            let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap();
            let back = cross(Frame::from(batch.clone())).await.expect(&name);
            assert_eq!(back, std::slice::from_ref(&batch), "{name}");
            assert_eq!(buffers(back[0].column(0)), buffers(batch.column(0)), "{name}");
        }
    }

    #[tokio::test]
    async fn every_type_crosses_without_rows_and_with_nulls_only() {
        for array in samples() {
            let name = array.data_type().to_string();
            let field = Field::new("x", array.data_type().clone(), true);
            let schema: SchemaRef = Arc::new(Schema::new(vec![field]));
            for column in [new_empty_array(array.data_type()), new_null_array(array.data_type(), 3)] {
                let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
                let frame = Frame::from(batch.clone()).into_datafusion(&SessionContext::new()).await.unwrap();
                let stream = Frame::from(frame).into_arrow().await.unwrap();
                assert_eq!(stream.schema(), schema, "{name}");
                let rows: usize = stream.collect().await.unwrap().iter().map(RecordBatch::num_rows).sum();
                assert_eq!(rows, batch.num_rows(), "{name}");
            }
        }
    }

    fn numbers(range: std::ops::Range<i64>) -> RecordBatch {
        let values = Int64Array::from_iter_values(range);
        RecordBatch::try_from_iter([("n", Arc::new(values) as ArrayRef)]).unwrap()
    }

    fn values(batches: &[RecordBatch]) -> Vec<i64> {
        batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect()
    }

    #[tokio::test]
    async fn many_chunks_keep_their_order() {
        let chunks: Vec<_> = (0..300).map(|i| numbers(i * 10..i * 10 + 10)).collect();
        let frame = Frame::from_batches(chunks[0].schema(), chunks);
        assert_eq!(values(&cross(frame).await.unwrap()), (0..3_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_frame_without_batches_keeps_its_columns() {
        let frame = Frame::from_batches(numbers(0..1).schema(), Vec::new());
        let frame = Frame::from(frame.into_datafusion(&SessionContext::new()).await.unwrap());
        assert_eq!(frame.schema().await.unwrap(), numbers(0..1).schema());
        assert_eq!(frame.into_arrow().await.unwrap().collect().await.unwrap(), []);
    }

    #[tokio::test]
    async fn partitions_of_a_users_frame_follow_each_other() {
        let partitions =
            (0..8).map(|p| (0..50).map(|i| numbers(p * 500 + i * 10..p * 500 + i * 10 + 10)).collect());
        let table = MemTable::try_new(numbers(0..1).schema(), partitions.collect()).unwrap();
        let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4));
        let frame = ctx.read_table(Arc::new(table)).unwrap();
        let frame = frame.filter(col("n").gt_eq(lit(0))).unwrap();
        let frame = frame.select(vec![(col("n") + lit(1)).alias("n")]).unwrap();
        let rows = Frame::from(frame).into_arrow().await.unwrap().collect().await.unwrap();
        assert_eq!(values(&rows), (1..=4_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn one_partition_is_not_dealt_out_to_several() {
        // Batches of different sizes, and many: DataFusion would spread them by size.
        let starts = [0, 5_000, 5_010, 90_000, 90_001, 300_000, 400_000];
        let chunks = starts.windows(2).map(|ends| numbers(ends[0]..ends[1])).collect();
        let table = MemTable::try_new(numbers(0..1).schema(), vec![chunks]).unwrap();
        let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4));
        let frame = ctx.read_table(Arc::new(table)).unwrap().filter(col("n").gt_eq(lit(500))).unwrap();
        let rows = Frame::from(frame).into_arrow().await.unwrap().collect().await.unwrap();
        assert_eq!(values(&rows), (500..400_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn files_that_a_user_reads_keep_their_order() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..6 {
            let file = std::fs::File::create(folder.path().join(format!("{i}.parquet"))).unwrap();
            let batch = numbers(i * 100_000..(i + 1) * 100_000);
            let mut out =
                datafusion::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            out.write(&batch).unwrap();
            out.close().unwrap();
        }
        let mut config = SessionConfig::new().with_target_partitions(4);
        config.options_mut().optimizer.repartition_file_min_size = 1;
        let ctx = SessionContext::new_with_config(config);
        let folder = folder.path().to_string_lossy().into_owned();
        let frame =
            ctx.read_parquet(folder, datafusion::prelude::ParquetReadOptions::default()).await.unwrap();
        let frame = frame.filter(col("n").gt_eq(lit(500))).unwrap();
        let rows = Frame::from(frame).into_arrow().await.unwrap().collect().await.unwrap();
        assert_eq!(values(&rows), (500..600_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_frame_of_datafusion_comes_back_as_it_is() {
        let ctx = SessionContext::new();
        let frame = ctx.read_batch(numbers(0..3)).unwrap().filter(col("n").gt(lit(0))).unwrap();
        let plan = frame.logical_plan().clone();
        let back = Frame::from(frame).into_datafusion(&SessionContext::new()).await.unwrap();
        assert_eq!(*back.logical_plan(), plan);
    }

    #[tokio::test]
    async fn a_spilled_stream_can_be_scanned_twice_and_goes_with_its_last_frame() {
        let chunks: Vec<_> = (0..20).map(|i| numbers(i * 10..i * 10 + 10)).collect();
        let stream = BatchStream::from_iter(chunks[0].schema(), chunks.into_iter().map(Ok));
        let frame = from_stream(stream, &SessionContext::new(), 100).await.unwrap();
        assert_eq!(frame.clone().count().await.unwrap(), 200);
        let frame = frame.filter(col("n").gt_eq(lit(150))).unwrap();
        let rows = Frame::from(frame).into_arrow().await.unwrap().collect().await.unwrap();
        assert_eq!(values(&rows), (150..200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_fails_in_a_frame_fails_with_our_kinds() {
        let ctx = SessionContext::new();
        let words = StringArray::from(vec!["1", "x"]);
        let batch = RecordBatch::try_from_iter([("s", Arc::new(words) as ArrayRef)]).unwrap();
        let frame = ctx.read_batch(batch).unwrap();
        let frame = frame.select(vec![datafusion::logical_expr::cast(col("s"), DataType::Int64)]).unwrap();
        let failed = match Frame::from(frame).into_arrow().await {
            Ok(stream) => stream.collect().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert_eq!(failed.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
        let broken = [Ok(numbers(0..1)), Err(Error::new(ErrorKind::Cancelled, "cancelled"))];
        let stream = BatchStream::from_iter(numbers(0..1).schema(), broken);
        assert_eq!(cross(Frame::from(stream)).await.map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
    }
}
