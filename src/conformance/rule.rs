//! The rule of a case, as a literal.

use crate::core::merge::{
    Casting, ColumnPolicy, DeleteMarks, Duplicates, ExtraColumns, FineTimestamps, HistoryColumns,
    IncomingColumns, Lossy, MaxDelete, MergeRule, MissingColumns, NaiveTimestamps, NameCase, Newest, NullIds,
    NullModified, Stale, StoredDuplicates, Ties, UpsertMethod,
};
use crate::error::Result;

/// The columns of a merge rule, as a literal.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Rule {
    /// The method.
    pub method: UpsertMethod,
    /// The id columns.
    pub ids: &'static [&'static str],
    /// The modification column.
    pub modified: Option<&'static str>,
    /// What is said of hard cases.
    pub choices: Choices,
}

/// What is said of hard cases; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is said or not")]
pub struct Choices {
    /// Incoming rows without a modification value.
    pub nulls: NullModified,
    /// Equal modification values.
    pub ties: Ties,
    /// Older rows.
    pub stale: Stale,
    /// Whether no id goes from one partition to another.
    pub stable_partitions: bool,
    /// Whether floats may be ids.
    pub float_ids: bool,
    /// Several incoming rows with one id.
    pub duplicates: Option<Duplicates>,
    /// Incoming rows without an id.
    pub null_ids: NullIds,
    /// Stored rows with one id.
    pub stored_duplicates: StoredDuplicates,
    /// Columns that are not stored.
    pub extra: ExtraColumns,
    /// Columns that do not come in.
    pub missing: MissingColumns,
    /// Columns and which of their values counts.
    pub policies: &'static [(&'static str, ColumnPolicy)],
    /// What holds for delete marks.
    pub delete_where: Option<&'static str>,
    /// The column that says that rows are deleted.
    pub soft_delete: Option<&'static str>,
    /// The part of the table that the upsert is for.
    pub scope: Option<&'static str>,
    /// Whether a mirror may be of nothing.
    pub allow_empty: bool,
    /// How many stored rows may go.
    pub max_delete: Option<MaxDelete>,
    /// Values that do not fit.
    pub lossy: Lossy,
    /// The zone of timestamps that have none.
    pub zone: Option<&'static str>,
    /// Timestamps that are too fine.
    pub fine: FineTimestamps,
    /// Names that differ in their case alone.
    pub case: NameCase,
    /// Since when a version holds, until when, and whether it does.
    pub history: Option<[&'static str; 3]>,
    /// Whether versions end whose id does not come in.
    pub close_missing: bool,
}

impl Rule {
    /// The rule itself.
    ///
    /// # Errors
    ///
    /// As [`MergeRule::new`].
    pub fn to_merge_rule(self) -> Result<MergeRule> {
        let Choices { nulls, ties, stale, duplicates, extra, missing, null_ids, .. } = self.choices;
        let Choices { delete_where, scope, allow_empty, max_delete, policies, .. } = self.choices;
        let Choices { lossy, zone, fine, case, soft_delete, .. } = self.choices;
        let naive = match zone {
            Some(zone) => NaiveTimestamps::Assume(zone.parse()?),
            None => NaiveTimestamps::Error,
        };
        let casting = Casting::default().with_lossy(lossy).with_fine_timestamps(fine);
        let newest = |column| Newest::by(column).with_nulls(nulls).with_ties(ties).with_stale(stale);
        let rule = MergeRule::new(self.method, self.ids.iter().copied(), self.modified.map(newest))?
            .with_null_ids(null_ids)
            .with_extra_columns(extra)
            .with_missing_columns(missing)
            .with_empty_allowed(allow_empty)
            .with_float_ids(self.choices.float_ids)
            .with_casting(casting.with_naive_timestamps(naive))
            .with_columns(IncomingColumns::default().with_case(case))?
            .with_stored_duplicates(self.choices.stored_duplicates)?
            .with_stable_partitions(self.choices.stable_partitions)?;
        let rule = match duplicates {
            Some(duplicates) => rule.with_duplicates(duplicates),
            None => rule,
        };
        let said = policies.iter();
        let rule = said.copied().try_fold(rule, |rule, (column, policy)| rule.with_policy(column, policy))?;
        let rule = match (delete_where, soft_delete) {
            (Some(condition), Some(column)) => {
                rule.with_delete_marks(DeleteMarks::soft(condition.parse()?, column))?
            }
            (Some(condition), None) => rule.with_delete_marks(DeleteMarks::hard(condition.parse()?))?,
            (None, _) => rule,
        };
        let rule = match scope {
            Some(scope) => rule.with_scope(scope.parse()?),
            None => rule,
        };
        let rule = rule.with_missing_closed(self.choices.close_missing)?;
        let rule = match self.choices.history {
            Some([valid_from, valid_to, is_current]) => rule.with_history_columns(
                HistoryColumns::default()
                    .with_valid_from(valid_from)
                    .with_valid_to(valid_to)
                    .with_is_current(is_current),
            )?,
            None => rule,
        };
        Ok(match max_delete {
            Some(most) => rule.with_max_delete(most),
            None => rule,
        })
    }
}
