//! Which partitions of a table an upsert looks into, where the user vouches that no row goes from one to another.

use std::collections::{HashMap, HashSet};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use crate::core::merge::canonical::RowEncoder;
use crate::core::merge::kernel::Matcher;
use crate::error::Result;
use crate::table::partition::{self, Values};

/// The partitions that could hold a stored row which an incoming one meets. In doubt one could.
#[derive(Debug)]
pub(super) struct Reach {
    /// Those that come in; none if no partition is ruled out.
    incoming: Option<Partitions>,
    /// What was told of the values of files: many have the same.
    told: HashMap<Values, bool>,
}

#[derive(Debug)]
struct Partitions {
    /// The partition columns that come in: their places among all of them, names and types.
    columns: Vec<(usize, String, DataType)>,
    encoder: RowEncoder,
    rows: HashSet<Box<[u8]>>,
}

impl Reach {
    /// That of the incoming rows, in the stored types, in a table with these partition columns.
    ///
    /// # Errors
    ///
    /// `Unsupported` for values that cannot be compared.
    pub(super) fn new(matcher: &Matcher<'_>, partition_columns: &[String]) -> Result<Self> {
        let incoming = if matcher.stays_in_partitions() {
            // When a version holds is not where its id is.
            Partitions::of(matcher.incoming().batch(), partition_columns, |name| matcher.is_time(name))?
        } else {
            None
        };
        Ok(Self { incoming, told: HashMap::new() })
    }

    /// Whether a file with these values, as text, could hold such a row.
    pub(super) fn holds(&mut self, values: &Values) -> bool {
        let Some(incoming) = &self.incoming else { return true };
        if let Some(told) = self.told.get(values) {
            return *told;
        }
        let holds = incoming.has(values).unwrap_or(true);
        self.told.insert(values.clone(), holds);
        holds
    }
}

impl Partitions {
    fn of(
        rows: &RecordBatch,
        partition_columns: &[String],
        is_time: impl Fn(&str) -> bool,
    ) -> Result<Option<Self>> {
        let schema = rows.schema();
        let column = |(place, name): (usize, &String)| {
            let (_, field) = schema.column_with_name(name).filter(|_| !is_time(name))?;
            Some((place, name.clone(), field.data_type().clone()))
        };
        let columns: Vec<_> = partition_columns.iter().enumerate().filter_map(column).collect();
        if columns.is_empty() {
            return Ok(None);
        }
        let encoder = RowEncoder::new(columns.iter().map(|(_, name, data_type)| (name.as_str(), data_type)))?;
        let values: Vec<ArrayRef> =
            columns.iter().filter_map(|(_, name, _)| rows.column_by_name(name).cloned()).collect();
        let rows = encoder.encode(&values)?.iter().map(|row| row.data().into()).collect();
        Ok(Some(Self { columns, encoder, rows }))
    }

    fn has(&self, values: &Values) -> Result<bool> {
        let parsed = self
            .columns
            .iter()
            .map(|(place, name, data_type)| partition::parse(name, values[*place].as_deref(), data_type));
        let row = self.encoder.encode(&parsed.collect::<Result<Vec<_>>>()?)?;
        Ok(self.rows.contains(row.row(0).data()))
    }
}
