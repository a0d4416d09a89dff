//! The values of each incoming id column in their order, by which parts of a table are ruled out: sorted once, asked often.

use std::sync::OnceLock;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};

use super::canonical::canonical;
use super::order::nan_to_null;

/// The id columns of which parts of a table were ruled out.
#[derive(Debug)]
pub(super) struct SortedColumns(Vec<(String, OnceLock<Option<SortedIds>>)>);

impl SortedColumns {
    pub(super) fn new(ids: &[String]) -> Self {
        Self(ids.iter().map(|id| (id.clone(), OnceLock::new())).collect())
    }

    /// The values of a column, sorted at the first time; `None` if it is no id column, or its values have no order.
    pub(super) fn of(&self, id: &str, values: &ArrayRef) -> Option<&SortedIds> {
        let (_, sorted) = self.0.iter().find(|(name, _)| name == id)?;
        sorted.get_or_init(|| SortedIds::new(values)).as_ref()
    }
}

/// The values of one column in their order.
#[derive(Debug)]
pub(crate) struct SortedIds {
    data_type: DataType,
    converter: RowConverter,
    rows: Rows,
    order: Vec<u32>,
    has_nan: bool,
}

impl SortedIds {
    fn new(values: &ArrayRef) -> Option<Self> {
        let values = canonical(values).ok()?;
        let data_type = values.data_type().clone();
        let has_nan = nan_to_null(&values).ok()?.null_count() > values.null_count();
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())]).ok()?;
        let rows = converter.convert_columns(&[values]).ok()?;
        let mut order: Vec<u32> = (0..u32::try_from(rows.num_rows()).ok()?).collect();
        order.sort_unstable_by(|left, right| rows.row(*left as usize).cmp(&rows.row(*right as usize)));
        Some(Self { data_type, converter, rows, order, has_nan })
    }

    /// Whether one of the values is NaN, which is between no bounds.
    pub(crate) fn has_nan(&self) -> bool {
        self.has_nan
    }

    /// Bounds in the form of the values; `None` if they cannot be compared with them.
    pub(crate) fn encode(&self, bounds: &ArrayRef) -> Option<Rows> {
        let bounds = canonical(bounds).ok()?;
        if bounds.data_type() != &self.data_type {
            return None;
        }
        self.converter.convert_columns(&[bounds]).ok()
    }

    /// Whether one of the values is between two bounds.
    pub(crate) fn has_between(&self, lower: &[u8], upper: &[u8]) -> bool {
        let value = |row: u32| self.rows.row(row as usize).data();
        let first = self.order.partition_point(|row| value(*row) < lower);
        self.order.get(first).is_some_and(|row| value(*row) <= upper)
    }
}
