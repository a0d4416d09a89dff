//! Statistics of a file that is written anew in place, for the log: of what is copied as bytes from the footer, as far as that tells
//! them, else from the values.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;

use super::known::Bounds;
use super::new_file::is_name;
use super::part::StoredPart;
use super::stats::{Statistics, is_finite, is_ordered};
use crate::table::parquet::{Opened, ParquetFile, Witness, is_decodable};

/// Collects the statistics of a file of which the log had some before.
pub(super) struct Rewritten<'a> {
    statistics: Mutex<&'a mut Statistics>,
    /// The places of its columns, ascending.
    places: Vec<usize>,
    /// What the log says of the columns of the file in whose place the new one comes, if that is our word: we give no
    /// bounds to a column of floats with a NaN, which a footer leaves out.
    before: Option<Vec<Bounds>>,
}

impl<'a> Rewritten<'a> {
    pub(super) fn new(statistics: &'a mut Statistics, part: &'a StoredPart, file: &ParquetFile) -> Self {
        let is_ours = file.is_ours() && is_name(&part.path);
        let columns: Vec<&str> = statistics.names().map(|(_, name)| name).collect();
        let before = is_ours.then(|| part.known(&columns).bounds);
        Self::with(statistics, before)
    }

    fn with(statistics: &'a mut Statistics, before: Option<Vec<Bounds>>) -> Self {
        let places = statistics.names().map(|(place, _)| place).collect();
        Self { statistics: Mutex::new(statistics), places, before }
    }

    fn statistics(&self) -> MutexGuard<'_, &'a mut Statistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log may say between which values a column lies of which it says nothing now. What we said nothing of before has
    /// a NaN.
    fn may_have_bounds(&self, at: usize, opened: &Opened) -> bool {
        self.before.is_none() && is_ordered(opened.schema().field(self.places[at]).data_type())
    }

    /// What the footer says of the column at the place `at` of ours.
    fn known(&self, at: usize, group: &RowGroupMetaData, opened: &Opened) -> Option<GroupColumn> {
        let unknown = Bounds::default();
        let before = self.before.as_ref().map_or(&unknown, |before| &before[at]);
        known(group, opened, self.places[at], before)
    }
}

impl Witness for Rewritten<'_> {
    fn rows(&self, rows: u64) {
        self.statistics().add_rows(rows);
    }

    fn values(&self, column: usize, values: &ArrayRef) {
        if self.places.contains(&column) {
            let known = GroupColumn::of(values);
            self.statistics().add_known(column, known);
        }
    }

    fn column(&self, column: usize, group: &RowGroupMetaData, opened: &Opened) -> bool {
        let Some(at) = self.places.iter().position(|place| *place == column) else { return true };
        match self.known(at, group, opened) {
            // Its values tell bounds where the footer does not, and are at hand.
            Some(GroupColumn { bounds: GroupBounds::None, .. }) if self.may_have_bounds(at, opened) => false,
            Some(known) => {
                self.statistics().add_known(column, known);
                true
            }
            None => false,
        }
    }

    fn group(&self, group: &RowGroupMetaData, opened: &Opened) -> bool {
        let columns = (0..self.places.len()).map(|at| self.known(at, group, opened));
        let Some(columns) = columns.collect::<Option<Vec<_>>>() else { return false };
        let mut statistics = self.statistics();
        statistics.add_rows(group.num_rows().unsigned_abs());
        for (place, known) in self.places.iter().zip(columns) {
            statistics.add_known(*place, known);
        }
        true
    }
}

/// What is known of some values of one column.
#[derive(Debug)]
pub(super) struct GroupColumn {
    pub(super) nulls: u64,
    /// The least value and the greatest one, one row each, if there is one that counts.
    pub(super) bounds: GroupBounds,
}

#[derive(Debug)]
pub(super) enum GroupBounds {
    /// All are null.
    Empty,
    /// All others are between these.
    Of(ArrayRef, ArrayRef),
    /// There are none that readers may rely on.
    None,
}

/// None if the footer does not tell enough.
fn known(group: &RowGroupMetaData, opened: &Opened, place: usize, before: &Bounds) -> Option<GroupColumn> {
    let field = opened.schema().field(place);
    let footer = opened.metadata.metadata().file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(field.name(), opened.schema(), footer).ok()?;
    let converter = converter.with_missing_null_counts_as_zero(false);
    let leaf = converter.parquet_column_index()?;
    if field.data_type().is_decimal() && !is_decodable(group, leaf) {
        return None;
    }
    let groups = || std::iter::once(group);
    let nulls = converter.row_group_null_counts(groups()).ok()?;
    let nulls = (!nulls.is_null(0)).then(|| nulls.value(0))?;
    let is_float = matches!(field.data_type(), DataType::Float32 | DataType::Float64);
    let bounds = if !is_ordered(field.data_type()) {
        GroupBounds::None
    } else if nulls == group.num_rows().unsigned_abs() {
        GroupBounds::Empty
    } else if is_float && (before.least.is_none() || before.greatest.is_none()) {
        GroupBounds::None
    } else {
        let (least, greatest) =
            (converter.row_group_mins(groups()).ok()?, converter.row_group_maxes(groups()).ok()?);
        if least.is_null(0) || greatest.is_null(0) {
            return None;
        }
        if is_finite(&least) && is_finite(&greatest) {
            GroupBounds::Of(least, greatest)
        } else {
            GroupBounds::None
        }
    };
    Some(GroupColumn { nulls, bounds })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use arrow::array::{Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
    use serde_json::Value;

    use super::super::known::Known;
    use super::*;
    use crate::client::file::{Content, Sink};
    use crate::client::session::Session;
    use crate::core::merge::MergeRule;
    use crate::core::merge::kernel::{Incoming, Matcher};
    use crate::core::report::WorkCounts;
    use crate::table::new_rows::NewRows;
    use crate::table::parquet::ParquetFile;
    use crate::table::{Change, StoredFile};

    /// Twelve rows of which the first have a NaN, the last a number, and all a text that is longer than a bound.
    fn rows() -> RecordBatch {
        let all = 0..12_i32;
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(all.clone().map(i64::from)))),
            (
                "text",
                Arc::new(StringArray::from_iter_values(
                    all.clone().map(|n| format!("{n:02}{}", "é".repeat(60))),
                )),
            ),
            (
                "odd",
                Arc::new(Float64Array::from_iter_values(
                    all.clone().map(|n| if n == 0 { f64::NAN } else { 1.5 }),
                )),
            ),
            ("even", Arc::new(Float64Array::from_iter_values(all.clone().map(f64::from)))),
            ("day", Arc::new(all.clone().map(|n| (n % 3 > 0).then_some(n)).collect::<Date32Array>())),
            ("last", Arc::new(all.map(|n| (n > 7).then_some(i64::from(n))).collect::<Int64Array>())),
        ];
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, values)| (name, values, true)),
        )
        .expect("rows")
    }

    fn of_rows(rows: &RecordBatch) -> Statistics {
        let mut statistics = Statistics::new(&rows.schema(), &[0, 1, 2, 3, 4, 5]);
        statistics.add(rows);
        statistics
    }

    fn json(statistics: &Statistics) -> Value {
        serde_json::from_str(&statistics.to_json().expect("text")).expect("JSON")
    }

    /// Folds one row into the second of three row groups; gives the statistics of the new file, those that its rows have, and
    /// the pages of each row group.
    fn rewritten(properties: WriterPropertiesBuilder, before: Option<&str>) -> (Value, Value, Vec<usize>) {
        rewritten_by(properties, before, true, 4)
    }

    fn rewritten_by(
        properties: WriterPropertiesBuilder,
        before: Option<&str>,
        is_ours: bool,
        group_rows: usize,
    ) -> (Value, Value, Vec<usize>) {
        let rows = rows();
        let file = tempfile::tempfile().expect("a file");
        let properties = properties
            .set_max_row_group_row_count(Some(group_rows))
            .set_data_page_row_count_limit(1)
            .set_write_batch_size(1)
            .build();
        let out = file.try_clone().expect("a file");
        let mut writer = ArrowWriter::try_new(out, rows.schema(), Some(properties)).expect("a writer");
        writer.write(&rows).expect("written");
        writer.close().expect("closed");
        let rule = MergeRule::by_id(["id"]).expect("a rule");
        let mut stored = ParquetFile::open(Content::Local(file)).expect("opened");
        let change = rows.slice(5, 1);
        let even: ArrayRef = Arc::new(Float64Array::from(vec![-7.25]));
        let columns =
            (0..6).map(|at| if at == 3 { Arc::clone(&even) } else { Arc::clone(change.column(at)) });
        let change = RecordBatch::try_new(rows.schema(), columns.collect()).expect("a row");
        let incoming = Incoming::settle(&rows.schema(), &[change], None, &rule).expect("settles");
        let mut matcher = Matcher::new(&incoming, &rows.schema(), &rule).expect("matches");
        let (session, mut work) = (Session::default(), WorkCounts::default());
        let found = stored.find(&session, &mut matcher, &mut work).expect("finds");
        let outcome = matcher.finish(Some(found)).expect("ends");
        let mut out = tempfile::tempfile().expect("a file");
        let mut statistics = Statistics::new(&rows.schema(), &[0, 1, 2, 3, 4, 5]);
        let names: Vec<&str> = statistics.names().map(|(_, name)| name).collect();
        let before = is_ours.then(|| Known::read(before, &names).bounds);
        let witness = super::Rewritten::with(&mut statistics, before);
        let change = Change {
            rows: &NewRows::Held(incoming.batch(), incoming.source_rows().into()),
            outcome: &outcome,
        };
        assert!(stored.is_plainly(&rows.schema()));
        stored
            .rewrite_in_place(
                &session,
                &change,
                outcome.fates(&(0..u64::MAX)),
                &witness,
                &mut Sink::plain(&mut out),
                &mut work,
            )
            .expect("writes");
        let (pages, all) = read_back(out);
        (json(&statistics), json(&of_rows(&all)), pages)
    }

    fn read_back(file: File) -> (Vec<usize>, RecordBatch) {
        let opened = Opened::new(Content::Local(file.try_clone().expect("a file"))).expect("opened");
        let index = opened.metadata.metadata().offset_index().expect("an index");
        let pages = index.iter().map(|group| group[3].page_locations().len()).collect();
        let reader =
            parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 100).expect("a reader");
        let all: Vec<RecordBatch> = reader.map(|rows| rows.expect("rows")).collect();
        (pages, arrow::compute::concat_batches(opened.schema(), &all).expect("one batch"))
    }

    #[test]
    fn of_row_groups_that_are_copied_the_log_says_what_it_would_say_of_their_rows() {
        let before = of_rows(&rows()).to_json().expect("text");
        let (said, expected, pages) = rewritten(WriterProperties::builder(), Some(&before));
        assert_eq!(said, expected);
        assert_eq!(said["minValues"]["even"], -7.25);
        assert!(said["minValues"].get("odd").is_none(), "there is a NaN");
        assert_eq!(pages, [4, 1, 4], "only the one with a changed row is encoded anew");
    }

    #[test]
    fn floats_that_the_log_knew_nothing_of_have_no_bounds_for_nan_is_in_no_footer() {
        let (said, expected, pages) = rewritten(WriterProperties::builder(), None);
        assert_eq!((said["minValues"].get("odd"), said["minValues"].get("even")), (None, None));
        assert_eq!(
            (&said["maxValues"]["id"], &said["nullCount"]),
            (&expected["maxValues"]["id"], &expected["nullCount"])
        );
        assert_eq!(pages, [4, 1, 4]);
    }

    #[test]
    fn floats_of_which_all_values_were_seen_have_bounds_though_they_are_copied() {
        let (said, expected, pages) = rewritten_by(WriterProperties::builder(), None, false, 12);
        assert_eq!(said, expected);
        assert!(said["minValues"]["even"].is_number() && said["maxValues"]["even"].is_number(), "{said}");
        assert_eq!(pages, [1]);
    }

    #[test]
    fn what_others_say_of_floats_is_not_believed() {
        // As Python's deltalake has it, from the footer.
        let before = r#"{"minValues":{"odd":1.5,"even":0.0},"maxValues":{"odd":1.5,"even":11.0}}"#;
        let (said, expected, pages) = rewritten_by(WriterProperties::builder(), Some(before), false, 4);
        assert_eq!((said["minValues"].get("odd"), said["minValues"].get("even")), (None, None));
        assert_eq!(said["maxValues"]["id"], expected["maxValues"]["id"]);
        assert_eq!(pages, [4, 1, 4]);
    }

    #[test]
    fn where_the_footer_says_too_little_rows_are_looked_at() {
        let before = of_rows(&rows()).to_json().expect("text");
        let silent = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None);
        let (said, expected, pages) = rewritten(silent, Some(&before));
        assert_eq!(said, expected);
        assert_eq!(pages, [4, 1, 4], "and bytes are copied all the same");
    }
}
