//! Reads files into a lazy frame: Parquet by DataFusion's own scan, text by keyfold's codec.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, cast};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::error::from_datafusion;
use super::lower::lower;
use super::scan::{ParquetFiles, Rescan};
use crate::client::session::Session;
use crate::core::location::Location;
use crate::core::options::{ReadOptions, override_for};
use crate::core::predicate::Bound;
use crate::core::schema::find_column;
use crate::error::Result;
use crate::interfaces::{Frame, Reader};
use crate::table::source::Source;
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
    match source.schema.clone() {
        Some(schema) => read_parquet(&source, &schema, options),
        None => read_text(session, source, options),
    }
}

/// The session of a frame that was read: one partition, because with more of them DataFusion hands row
/// groups to whoever is idle, and the rows of a file come out in another order.
fn context() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1))
}

fn read_text(session: &Session, source: Source, options: &ReadOptions) -> Result<DataFrame> {
    let scan = TextScan::open(session, source.files, source.format, options)?;
    let schema = scan.schema();
    let rows = Rescan::new(Arc::clone(&schema), move || Ok(scan.batches()));
    StreamingTable::try_new(schema, vec![Arc::new(rows)])
        .and_then(|table| context().read_table(Arc::new(table)))
        .map_err(from_datafusion)
}

fn read_parquet(source: &Source, stored: &SchemaRef, options: &ReadOptions) -> Result<DataFrame> {
    let schema = cast_schema(stored, options);
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

/// The columns as they are read, if `options` give any of them another type.
fn cast_schema(stored: &SchemaRef, options: &ReadOptions) -> SchemaRef {
    let read = |field: &FieldRef| match override_for(options.schema.as_ref(), field.name()) {
        Some(wanted) => Arc::new(Field::clone(field).with_data_type(wanted.data_type().clone())),
        None => Arc::clone(field),
    };
    Arc::new(Schema::new(stored.fields().iter().map(read).collect::<Vec<_>>()))
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
            cast(column, read.data_type().clone()).alias(stored.name())
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
