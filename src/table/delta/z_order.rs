//! All rows of a partition, sorted along a Z-order curve: they are read twice, first only the columns of the curve.

use arrow::array::{ArrayRef, RecordBatch};
use deltalake_core::kernel::Add;

use super::new_file::{Layout, NewFile, discard};
use super::optimize::{Work, check_rows};
use super::part::StoredPart;
use crate::client::session::Session;
use crate::core::schema::{find_column, type_name};
use crate::error::{Error, ErrorKind, Result};
use crate::table::sorted::Sorter;
use crate::table::spill::MEMORY_BYTES;
use crate::table::z_curve::{COLUMNS, Curve, Sample, has_order};

/// Refuses columns by which rows cannot be put along a curve, or nobody would gain by it.
///
/// # Errors
///
/// `Usage` or `InvalidInput`.
pub(super) fn check(layout: &Layout, columns: &[String]) -> Result<()> {
    if columns.is_empty() || columns.len() > COLUMNS {
        return Err(Error::new(
            ErrorKind::Usage,
            "a Z-order curve goes through at least one column, and not too many",
        )
        .with("columns", columns.len())
        .with("most", COLUMNS)
        .hint("say those by which readers look for rows most often; more than four hardly help"));
    }
    for (place, column) in columns.iter().enumerate() {
        let refused =
            |message: &'static str| Error::new(ErrorKind::InvalidInput, message).with("column", column);
        let found = find_column(&layout.schema, column, "column")?;
        let data_type = layout.schema.field(found).data_type();
        if columns[..place].contains(column) {
            return Err(refused("a column is named twice").hint("say each column once"));
        }
        if layout.partition_columns.contains(column) {
            return Err(refused("rows of one partition all have the same value in this column")
                .hint("say columns that the table is not partitioned by"));
        }
        if !has_order(data_type) {
            return Err(refused("values of this column have no order").with("type", type_name(data_type)));
        }
        if !layout.has_bounds(column) {
            return Err(refused("no bounds of this column are kept, so that no reader could skip a file by it")
                .hint("see the table properties delta.dataSkippingNumIndexedCols and delta.dataSkippingStatsColumns"));
        }
    }
    Ok(())
}

impl Work {
    /// Writes the rows of some files into new ones, along a curve through `columns`.
    pub(super) fn write_sorted(
        &self,
        session: &Session,
        parts: &[StoredPart],
        columns: &[String],
    ) -> Result<Vec<Add>> {
        let curve = self.curve(session, parts, columns)?;
        let mut sorter = Sorter::new(&self.layout.schema, MEMORY_BYTES);
        let mut ways = None;
        let expected = self.rows_of(session, parts, &self.columns(), |_, file, rows| {
            ways = ways.take().or_else(|| file.ways());
            sorter.add(&rows, &curve.places(&values(&rows, columns)?)?)
        })?;
        let files = self.files_of(parts).min(expected.max(1));
        // The row before which a file ends.
        let end = |file: usize| (expected * (file as u64 + 1)).div_ceil(files);
        let mut adds = Vec::new();
        let write = || {
            let mut written = 0;
            let mut out: Option<NewFile<'_>> = None;
            for rows in sorter.finish(session)? {
                session.check()?;
                let mut rows = rows?;
                while rows.num_rows() > 0 {
                    let mut new = match out.take() {
                        Some(new) => new,
                        None => {
                            NewFile::start(session, &self.layout, parts[0].values.clone(), ways.as_ref())?
                        }
                    };
                    let room = usize::try_from(end(adds.len()) - written).unwrap_or(usize::MAX);
                    let fitting = room.min(rows.num_rows());
                    new.write(&rows.slice(0, fitting))?;
                    written += fitting as u64;
                    rows = rows.slice(fitting, rows.num_rows() - fitting);
                    if written < end(adds.len()) {
                        out = Some(new);
                    } else {
                        adds.push(Add { data_change: false, ..new.finish()? });
                    }
                }
            }
            if let Some(new) = out {
                adds.push(Add { data_change: false, ..new.finish()? });
            }
            check_rows(written, expected)
        };
        let written = write();
        written.inspect_err(|_| discard(session, &self.snapshot.location, &adds))?;
        Ok(adds)
    }

    /// The curve, by a sample of the rows.
    fn curve(&self, session: &Session, parts: &[StoredPart], columns: &[String]) -> Result<Curve> {
        let fields = columns.iter().map(|column| find_column(&self.layout.schema, column, "column"));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let types = fields.iter().map(|place| self.layout.schema.field(*place).data_type());
        let mut sample = Sample::new(types)?;
        self.rows_of(session, parts, columns, |_, _, rows| sample.add(&values(&rows, columns)?))?;
        Ok(sample.curve())
    }
}

/// The columns of the curve.
fn values(rows: &RecordBatch, columns: &[String]) -> Result<Vec<ArrayRef>> {
    let value = |column: &String| {
        rows.column_by_name(column)
            .cloned()
            .ok_or_else(|| Error::internal("a column of the curve is missing"))
    };
    columns.iter().map(value).collect()
}
