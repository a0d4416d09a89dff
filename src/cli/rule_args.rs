//! What an upsert means, as it is typed: the columns, the method, and the answers to hard cases. A file of a rule has the same
//! words, made from this definition.

use clap::Args;
use strum::VariantNames;

use crate::cli::args::{one_of, parsed};
use crate::cli::column_args::{COLUMNS, ColumnArgs};
use crate::cli::history_args::HistoryArgs;
use crate::core::merge::{
    Casting, ColumnPolicy, DeleteMarks, Duplicates, ExtraColumns, FineTimestamps, Lossy, MaxDelete,
    MergeRule, MissingColumns, NaiveTimestamps, Newest, NullIds, NullModified, Stale, StoredDuplicates, Ties,
    UpsertMethod,
};
use crate::core::options::IfMissing;
use crate::core::predicate::Predicate;
use crate::error::{Error, ErrorKind, Result};

pub(super) const HARD_CASES: &str = "Hard cases";
const DELETING: &str = "Deleting";

/// What one flag needs of another is asked by [`RuleArgs::rule`], not by clap: the other one may stand in a file.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct RuleArgs {
    /// Columns that say which row is which; needed, here or in the file of the rule
    #[arg(long, value_name = "COL,…", value_delimiter = ',')]
    id: Vec<String>,

    /// Column that says which version of a row is newer
    #[arg(long, value_name = "COL")]
    modified: Option<String>,

    /// Who wins: the incoming row, or the newer one; or whether rows are only added, or only updated, or those that do not come
    /// in are deleted (mirror), or all versions are kept (history) [default: modified with --modified, else id]
    #[arg(long, value_name = "METHOD", value_parser = one_of::<UpsertMethod>(UpsertMethod::VARIANTS))]
    method: Option<UpsertMethod>,

    /// Columns that do not just take the incoming value when a row is updated: `created_at=insert-only,total=max`
    #[arg(long, value_name = "COL=POLICY,…", value_delimiter = ',', help_heading = COLUMNS, value_parser = policy)]
    policy: Vec<(String, ColumnPolicy)>,

    /// Incoming rows that delete the stored row: `op = 'D'`
    #[arg(long, value_name = "SQL", help_heading = DELETING, value_parser = parsed::<Predicate>)]
    delete_where: Option<Predicate>,

    /// Column that then says that the stored row is deleted, so that the row stays: true, or when it was
    #[arg(long, value_name = "COL", help_heading = DELETING)]
    soft_delete: Option<String>,

    /// Rows that this is about: others are neither met nor deleted, and do not come in
    #[arg(long, value_name = "SQL", help_heading = DELETING, value_parser = parsed::<Predicate>)]
    scope: Option<Predicate>,

    /// Stored rows that may be deleted at most, such as 1000 or 30%
    #[arg(long, value_name = "ROWS", help_heading = DELETING, value_parser = parsed::<MaxDelete>)]
    max_delete: Option<MaxDelete>,

    /// Let a mirror of no rows delete all of them
    #[arg(long, help_heading = DELETING)]
    allow_empty: bool,

    /// Several incoming rows with one id that differ, of which none is newer [default: last with --modified, else error]
    #[arg(long, value_name = "WHICH", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<Duplicates>(Duplicates::VARIANTS))]
    duplicates: Option<Duplicates>,

    /// An incoming and a stored row that are equally new and differ: who wins [default: incoming]
    #[arg(long, value_name = "WHO", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<Ties>(Ties::VARIANTS))]
    ties: Option<Ties>,

    /// Incoming rows that are older than the stored ones: left out, and kept elsewhere (quarantine), or an error [default:
    /// ignore]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<Stale>(Stale::VARIANTS))]
    stale: Option<Stale>,

    /// Incoming rows without a modification value: older than all others, or an error [default: lowest]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<NullModified>(NullModified::VARIANTS))]
    null_modified: Option<NullModified>,

    /// Incoming rows without an id: an error, an id like any other (match), or left out (skip), and kept elsewhere (quarantine)
    /// [default: error]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<NullIds>(NullIds::VARIANTS))]
    null_ids: Option<NullIds>,

    /// Stored rows that have one id: an error if it comes in, or only the newest of them stays, whether it comes in or not
    /// (repair), or each of them is met (all) [default: error]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<StoredDuplicates>(StoredDuplicates::VARIANTS))]
    stored_duplicates: Option<StoredDuplicates>,

    /// Incoming columns that are not stored: an error, or they are added to the target in the same commit, or left out (ignore)
    /// [default: error]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<ExtraColumns>(ExtraColumns::VARIANTS))]
    extra_columns: Option<ExtraColumns>,

    /// Stored columns that do not come in: they keep their values, become null, or are an error [default: keep]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<MissingColumns>(MissingColumns::VARIANTS))]
    missing_columns: Option<MissingColumns>,

    /// What is done if there is no target yet [default: create]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<IfMissing>(IfMissing::VARIANTS))]
    if_missing: Option<IfMissing>,

    /// Incoming values that do not fit the stored type exactly: an error, or null (never in ids and the modification column)
    /// [default: error]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES)]
    #[arg(value_parser = one_of::<Lossy>(Lossy::VARIANTS))]
    lossy: Option<Lossy>,

    /// Incoming timestamps without a zone where the stored ones have one: `error`, or `assume=ZONE`, such as
    /// assume=Europe/Berlin or assume=+02:00 [default: error]
    #[arg(long, value_name = "WHAT", help_heading = HARD_CASES, value_parser = parsed::<NaiveTimestamps>)]
    naive_timestamps: Option<NaiveTimestamps>,

    /// Cut incoming timestamps that are finer than the stored ones, toward the past
    #[arg(long, help_heading = HARD_CASES)]
    truncate_timestamps: bool,

    /// Take floats as ids: NaN equals NaN, -0.0 equals 0.0, and 1.50 in CSV is 1.5
    #[arg(long, help_heading = HARD_CASES)]
    allow_float_ids: bool,

    /// No id ever goes from one partition to another: only partitions that come in are looked into
    #[arg(long, help_heading = HARD_CASES)]
    partition_is_stable: bool,

    #[command(flatten)]
    history: HistoryArgs,

    #[command(flatten)]
    columns: ColumnArgs,
}

impl RuleArgs {
    /// What is done if there is no target yet.
    pub(super) fn if_missing(&self) -> IfMissing {
        self.if_missing.unwrap_or_default()
    }

    /// The rule.
    ///
    /// # Errors
    ///
    /// `Usage` for choices that do not fit together.
    pub(super) fn rule(self) -> Result<MergeRule> {
        if self.id.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "no id column is named")
                .hint("name the columns that say which row is which: with --id COL,…, or as id in the file of --rule"));
        }
        let said = [
            ("--ties", self.ties.is_some()),
            ("--stale", self.stale.is_some()),
            ("--null-modified", self.null_modified.is_some()),
        ];
        if let (None, Some((flag, _))) = (&self.modified, said.iter().find(|(_, is_said)| *is_said)) {
            return Err(Error::new(ErrorKind::Usage, "there is no modification column to compare")
                .with("flag", flag)
                .hint("name it with --modified COL, or leave the flag out"));
        }
        let newest = self.modified.map(|column| {
            Newest::by(column)
                .with_nulls(self.null_modified.unwrap_or_default())
                .with_ties(self.ties.unwrap_or_default())
                .with_stale(self.stale.unwrap_or_default())
        });
        let method = self.method.unwrap_or(match newest {
            Some(_) => UpsertMethod::Modified,
            None => UpsertMethod::Id,
        });
        if self.allow_empty && method != UpsertMethod::Mirror && !self.history.closes_missing() {
            return Err(Error::new(ErrorKind::Usage, "only a mirror deletes rows because nothing comes in")
                .with("flag", "--allow-empty")
                .hint("choose --method mirror, or leave the flag out"));
        }
        let fine =
            if self.truncate_timestamps { FineTimestamps::Truncate } else { FineTimestamps::default() };
        let casting = Casting::default()
            .with_lossy(self.lossy.unwrap_or_default())
            .with_naive_timestamps(self.naive_timestamps.unwrap_or_default())
            .with_fine_timestamps(fine);
        let rule = MergeRule::new(method, self.id, newest)?
            .with_empty_allowed(self.allow_empty)
            .with_float_ids(self.allow_float_ids)
            .with_null_ids(self.null_ids.unwrap_or_default())
            .with_extra_columns(self.extra_columns.unwrap_or_default())
            .with_missing_columns(self.missing_columns.unwrap_or_default())
            .with_casting(casting)
            .with_columns(self.columns.columns())?
            .with_stored_duplicates(self.stored_duplicates.unwrap_or_default())?
            .with_stable_partitions(self.partition_is_stable)?;
        let rule = self.history.applied(rule)?;
        let rule = match self.duplicates {
            Some(duplicates) => rule.with_duplicates(duplicates),
            None => rule,
        };
        let rule = match self.max_delete {
            Some(most) => rule.with_max_delete(most),
            None => rule,
        };
        let rule = match self.scope {
            Some(scope) => rule.with_scope(scope),
            None => rule,
        };
        let rule = self
            .policy
            .into_iter()
            .try_fold(rule, |rule, (column, policy)| rule.with_policy(column, policy))?;
        match (self.delete_where, self.soft_delete) {
            (Some(condition), None) => rule.with_delete_marks(DeleteMarks::hard(condition)),
            (Some(condition), Some(column)) => rule.with_delete_marks(DeleteMarks::soft(condition, column)),
            (None, Some(_)) => Err(Error::new(ErrorKind::Usage, "nothing says which rows are deleted")
                .with("flag", "--soft-delete")
                .hint(
                    "say which incoming rows are delete marks with --delete-where SQL, or leave the flag out",
                )),
            (None, None) => Ok(rule),
        }
    }
}

/// A column and what is said of it.
fn policy(text: &str) -> std::result::Result<(String, ColumnPolicy), String> {
    let known = || format!("name a column and one of {}", ColumnPolicy::VARIANTS.join(", "));
    let (column, policy) = text.rsplit_once('=').ok_or_else(known)?;
    Ok((column.to_owned(), policy.parse().map_err(|_| known())?))
}
