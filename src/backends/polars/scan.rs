//! Polars' own scan of Parquet files, and for which files it can be trusted.
//!
//! Polars takes the Arrow schema that writers leave in the metadata for what the pages hold. pyarrow leaves
//! seconds there and stores milliseconds, so that times become null and filters miss. And it compares
//! pages with a literal before it has brought them to its own unit. Where either can happen, where it would
//! panic, or where it has another type, Arrow reads the file instead.

use arrow::datatypes::{DataType, Fields, SchemaRef, TimeUnit};
use polars::prelude as pl;
use polars::prelude::{LazyFrame, SerReader};
use polars_arrow::datatypes::{ArrowDataType, Field, TimeUnit as PolarsUnit};

use super::{failed, run};
use crate::client::file::{DataFile, most_open};
use crate::error::Result;

/// A lazy scan of files that have the same columns.
pub(super) fn scan(files: &[DataFile]) -> Result<LazyFrame> {
    let sources = if files.len() > most_open() {
        let path = |path| pl::PlRefPath::try_from_path(path).map_err(failed);
        let paths: Vec<_> = files.iter().filter_map(DataFile::path).map(path).collect::<Result<_>>()?;
        pl::ScanSources::Paths(paths.into())
    } else {
        // Polars opens a path more than once, and another file may have taken it in between.
        let open = |file: &DataFile| file.read()?.into_file();
        pl::ScanSources::Files(files.iter().map(open).collect::<Result<Vec<_>>>()?.into())
    };
    let args = pl::ScanArgsParquet {
        // The names are those of files, and their folders are no columns.
        glob: false,
        hive_options: pl::HiveOptions::new_disabled(),
        cache: false,
        ..pl::ScanArgsParquet::default()
    };
    LazyFrame::scan_parquet_sources(sources, args).map_err(failed)
}

/// Whether Polars can open the files, and reads every column, which are those of `schema`, as what it is.
pub(super) async fn is_sound(files: &[DataFile], schema: &SchemaRef) -> bool {
    // Polars does not even read a schema that has one: it panics.
    if schema.fields().iter().any(|field| has_list_view(field.data_type())) {
        return false;
    }
    // It knows nothing of our stores.
    if files.iter().any(|file| file.path().is_none()) {
        return false;
    }
    let (files, schema) = (files.to_vec(), SchemaRef::clone(schema));
    let sound = move || Ok(files.iter().all(|file| reads(file, schema.fields()).unwrap_or(false)));
    // What ails a file that Polars cannot open is said by whoever reads it instead.
    run(sound).await.unwrap_or(false)
}

fn has_list_view(data_type: &DataType) -> bool {
    use DataType as D;
    match data_type {
        D::ListView(_) | D::LargeListView(_) => true,
        D::List(item) | D::LargeList(item) | D::FixedSizeList(item, _) | D::Map(item, _) => {
            has_list_view(item.data_type())
        }
        D::Struct(fields) => fields.iter().any(|field| has_list_view(field.data_type())),
        _ => false,
    }
}

fn reads(file: &DataFile, fields: &Fields) -> Result<bool> {
    let theirs = pl::ParquetReader::new(file.read()?.into_file()?).schema().map_err(failed)?;
    let read = |name: &str, own: &DataType| theirs.get(name).is_some_and(|field| same(own, field.dtype()));
    Ok(fields.iter().all(|field| read(field.name(), field.data_type())))
}

/// Whether a column that Polars takes for `theirs` is the one that Arrow takes for `own`, and of a type
/// that has been tried.
fn same(own: &DataType, theirs: &ArrowDataType) -> bool {
    use ArrowDataType as T;
    use DataType as D;
    match (own, theirs) {
        (D::Null, T::Null)
        | (D::Boolean, T::Boolean)
        | (D::Int8, T::Int8)
        | (D::Int16, T::Int16)
        | (D::Int32, T::Int32)
        | (D::Int64, T::Int64)
        | (D::UInt8, T::UInt8)
        | (D::UInt16, T::UInt16)
        | (D::UInt32, T::UInt32)
        | (D::UInt64, T::UInt64)
        | (D::Float32, T::Float32)
        | (D::Float64, T::Float64)
        | (D::Date32, T::Date32)
        // Of the other units, values come out right and filters do not.
        | (D::Time64(TimeUnit::Nanosecond), T::Time64(PolarsUnit::Nanosecond))
        | (D::Utf8 | D::LargeUtf8 | D::Utf8View, T::Utf8 | T::LargeUtf8 | T::Utf8View)
        | (D::Binary | D::LargeBinary | D::BinaryView, T::Binary | T::LargeBinary | T::BinaryView) => true,
        (D::FixedSizeBinary(own), T::FixedSizeBinary(theirs)) => same_length(*own, *theirs),
        (D::Duration(own), T::Duration(theirs)) => same_unit(*own, *theirs),
        (D::Timestamp(own, zone), T::Timestamp(theirs, other)) => {
            same_unit(*own, *theirs) && same_zone(zone.as_deref(), other.as_deref())
        }
        (D::Dictionary(_, own), T::Dictionary(_, theirs, _)) => own.is_string() && same(own, theirs),
        _ => same_decimal(own, theirs) || same_nested(own, theirs),
    }
}

fn same_nested(own: &DataType, theirs: &ArrowDataType) -> bool {
    use ArrowDataType as T;
    use DataType as D;
    match (own, theirs) {
        (D::List(own) | D::LargeList(own), T::List(theirs) | T::LargeList(theirs))
        | (D::Map(own, _), T::Map(theirs, _)) => same(own.data_type(), theirs.dtype()),
        (D::FixedSizeList(own, length), T::FixedSizeList(theirs, other)) => {
            same_length(*length, *other) && same(own.data_type(), theirs.dtype())
        }
        (D::Struct(own), T::Struct(theirs)) => same_fields(own, theirs),
        _ => false,
    }
}

fn same_fields(own: &Fields, theirs: &[Field]) -> bool {
    let mut pairs = own.iter().zip(theirs);
    own.len() == theirs.len()
        && pairs.all(|(own, field)| *own.name() == *field.name && same(own.data_type(), field.dtype()))
}

fn same_decimal(own: &DataType, theirs: &ArrowDataType) -> bool {
    use ArrowDataType as T;
    use DataType as D;
    let (D::Decimal32(precision, scale)
    | D::Decimal64(precision, scale)
    | D::Decimal128(precision, scale)
    | D::Decimal256(precision, scale)) = own
    else {
        return false;
    };
    let (T::Decimal(digits, places)
    | T::Decimal32(digits, places)
    | T::Decimal64(digits, places)
    | T::Decimal256(digits, places)) = theirs
    else {
        return false;
    };
    usize::from(*precision) == *digits && usize::try_from(*scale) == Ok(*places) && *digits <= 38
}

fn same_length(own: i32, theirs: usize) -> bool {
    usize::try_from(own) == Ok(theirs)
}

fn same_unit(own: TimeUnit, theirs: PolarsUnit) -> bool {
    // Not seconds: Polars takes statistics for milliseconds then.
    matches!(
        (own, theirs),
        (TimeUnit::Millisecond, PolarsUnit::Millisecond)
            | (TimeUnit::Microsecond, PolarsUnit::Microsecond)
            | (TimeUnit::Nanosecond, PolarsUnit::Nanosecond)
    )
}

/// Whether two zones are one to Polars, which panics in its scan if it does not know one.
fn same_zone(own: Option<&str>, theirs: Option<&str>) -> bool {
    match (pl::TimeZone::opt_try_new(own), pl::TimeZone::opt_try_new(theirs)) {
        (Ok(known), Ok(other)) => known == other && own.is_some() == theirs.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::*;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_writer::ArrowWriterOptions;
    use std::sync::Arc;

    async fn trusted(column: impl Array + 'static, with_schema: bool) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let batch =
            RecordBatch::try_from_iter_with_nullable([("v", Arc::new(column) as ArrayRef, true)]).unwrap();
        let options = ArrowWriterOptions::new().with_skip_arrow_metadata(!with_schema);
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let session = crate::client::session::Session::default();
        let file = session.open_all(&[path.into()]).unwrap().pop().unwrap();
        let (schema, _) = crate::table::parquet::describe(&file).unwrap();
        is_sound(&[file], &schema).await
    }

    #[tokio::test]
    async fn what_polars_reads_as_it_is_it_scans_with_and_without_an_arrow_schema() {
        for with_schema in [true, false] {
            assert!(trusted(Int64Array::from(vec![1]), with_schema).await);
            assert!(trusted(StringArray::from(vec!["a"]), with_schema).await);
            assert!(trusted(Decimal128Array::from(vec![1]), with_schema).await);
            let instants = TimestampMicrosecondArray::from(vec![1]);
            assert!(trusted(instants.clone().with_timezone("UTC"), with_schema).await);
            assert!(trusted(instants, with_schema).await);
            let lists = ListArray::from_iter_primitive::<arrow::datatypes::Int8Type, _, _>([Some([Some(1)])]);
            assert!(trusted(lists, with_schema).await);
        }
        let berlin = TimestampMillisecondArray::from(vec![1]).with_timezone("Europe/Berlin");
        assert!(trusted(berlin, true).await);
    }

    #[tokio::test]
    async fn what_polars_misreads_it_does_not_scan() {
        assert!(!trusted(Time32MillisecondArray::from(vec![1]), true).await);
        assert!(!trusted(Time64MicrosecondArray::from(vec![1]), false).await);
        assert!(!trusted(TimestampSecondArray::from(vec![1]), true).await);
        assert!(!trusted(DurationSecondArray::from(vec![1]), true).await);
        let offset = TimestampMillisecondArray::from(vec![1]).with_timezone("+05:30");
        assert!(!trusted(offset.clone(), true).await);
        let field = Arc::new(arrow::datatypes::Field::new("a", offset.data_type().clone(), true));
        assert!(!trusted(StructArray::from(vec![(field, Arc::new(offset) as ArrayRef)]), true).await);
    }

    #[test]
    fn two_beliefs_about_one_column_are_not_the_same() {
        let seconds = ArrowDataType::Time32(PolarsUnit::Second);
        assert!(!same(&DataType::Time32(TimeUnit::Millisecond), &seconds));
        let seconds = ArrowDataType::Timestamp(PolarsUnit::Second, None);
        assert!(!same(&DataType::Timestamp(TimeUnit::Millisecond, None), &seconds));
        let dictionary =
            ArrowDataType::Dictionary(polars_arrow::datatypes::IntegerType::Int32, Box::new(seconds), false);
        assert!(!same(&DataType::Timestamp(TimeUnit::Millisecond, None), &dictionary));
    }
}
