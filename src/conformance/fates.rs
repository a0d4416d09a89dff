//! What became of each incoming row of a case, told by the judge, who says it of batches: each id is judged alone.

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use serde_json::Value;

use super::{Case, Choices, Data, Judgement, Rule, judge, table_of};
use crate::core::merge::reference::{Cell, Table};
use crate::core::merge::{ExtraColumns, Stale, Ties, UpsertMethod};
use crate::core::report::RowCounts;
use crate::error::{Error, Result};

/// Counts that are not about what became of an incoming row.
const OTHERS: [&str; 11] = [
    "incoming",
    "duplicates",
    "ties",
    "opened",
    "deleted",
    "soft_deleted",
    "closed",
    "repaired",
    "quarantined",
    "rows_before",
    "rows_after",
];

/// The counts that are not zero, by their names in reports.
pub(super) fn counted(counts: &RowCounts) -> Result<Vec<(String, u64)>> {
    let counts = serde_json::to_value(counts)
        .map_err(|cause| Error::internal("counts cannot be told").because(cause))?;
    let Value::Object(counts) = counts else { return Err(Error::internal("counts are no object")) };
    let counts = counts.into_iter().filter_map(|(name, count)| Some((name, count.as_u64()?)));
    Ok(counts.filter(|(_, count)| *count > 0).collect())
}

/// What became of each incoming row of a case that is not refused.
pub(super) fn fates(case: &Case) -> Result<Vec<String>> {
    let stored = case.stored.as_ref().map(Data::batch).transpose()?;
    let incoming = case.incoming.batch()?;
    let table = table_of(&incoming)?;
    let mut fates = vec!["duplicate".to_owned(); table.rows.len()];
    // To judge one id alone, others may stay: what takes them away says nothing of incoming rows.
    let method = match (case.rule.method, case.rule.modified) {
        (UpsertMethod::Mirror, None) => UpsertMethod::Id,
        (UpsertMethod::Mirror, Some(_)) => UpsertMethod::Modified,
        (method, _) => method,
    };
    let choices = Choices { max_delete: None, close_missing: false, ..case.rule.choices };
    let rule = Rule { method, choices, ..case.rule }.to_merge_rule()?;
    let taken = |group: &[usize]| {
        take_record_batch(&incoming, &UInt64Array::from_iter_values(group.iter().map(|row| *row as u64)))
            .map_err(|cause| Error::internal("rows of a case cannot be taken").because(cause))
    };
    let told = |group: &[usize]| match judge(stored.as_ref(), &taken(group)?, &rule)? {
        Judgement::Merged(_, counts) => counted(&counts),
        Judgement::Refused { .. } => Err(Error::internal("rows that are taken together are refused")),
    };
    let groups = groups(&table, case.rule);
    for (place, group) in groups.iter().enumerate() {
        let rows = taken(group)?;
        // Versions of one id are told one after the other.
        let mut before: Vec<usize> = groups[..place]
            .iter()
            .filter(|other| is_one_id(&table, case.rule, other[0], group[0]))
            .flatten()
            .copied()
            .collect();
        let earlier = if before.is_empty() { Vec::new() } else { told(&before)? };
        before.extend(group);
        before.sort_unstable();
        let counts = told(&before)?;
        let mut grown = counts.into_iter().filter(|count| !earlier.contains(count)).map(|(name, _)| name);
        let fate = grown.find(|name| !OTHERS.contains(&name.as_str()));
        let last = group.last().copied().unwrap_or_default();
        let is_history = case.rule.method == UpsertMethod::History;
        let winner = if is_history { last } else { winner(case, stored.as_ref(), &rows, &table, group)? };
        fates[winner] = fate.unwrap_or_default();
    }
    Ok(fates)
}

/// The columns that say which row is which.
fn id_places(table: &Table, rule: Rule) -> Vec<usize> {
    let case = rule.choices.case;
    let is_id = |name: &str| rule.ids.iter().any(|id| case.key(id) == case.key(name));
    (0..table.columns.len()).filter(|place| is_id(&table.columns[*place])).collect()
}

fn is_one_id(table: &Table, rule: Rule, left: usize, right: usize) -> bool {
    let mut places = id_places(table, rule).into_iter();
    rule.method == UpsertMethod::History
        && places.all(|place| table.rows[left][place] == table.rows[right][place])
}

/// The rows of each id, in order; where history is kept, those of each time.
fn groups(table: &Table, rule: Rule) -> Vec<Vec<usize>> {
    let mut places = id_places(table, rule);
    if rule.method == UpsertMethod::History {
        places.extend(rule.modified.and_then(|modified| table.column(modified)));
    }
    let id = |row: usize| places.iter().map(|place| &table.rows[row][*place]).collect::<Vec<&Cell>>();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for row in 0..table.rows.len() {
        let is_left_out = rule.choices.null_ids.leaves_out() && id(row).contains(&&Cell::Null);
        match groups.iter_mut().find(|group| !is_left_out && id(group[0]) == id(row)) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups
}

/// Which row of a group counts: the one that would be added to a table without rows.
fn winner(
    case: &Case,
    stored: Option<&RecordBatch>,
    rows: &RecordBatch,
    table: &Table,
    group: &[usize],
) -> Result<usize> {
    let is_wider = case.rule.choices.extra == ExtraColumns::Add;
    let choices = Choices {
        ties: Ties::default(),
        stale: Stale::default(),
        delete_where: None,
        soft_delete: None,
        extra: if is_wider { ExtraColumns::Add } else { ExtraColumns::Ignore },
        ..case.rule.choices
    };
    let rule = Rule { method: UpsertMethod::Id, choices, ..case.rule }.to_merge_rule()?;
    let nothing = stored.map(|stored| stored.slice(0, 0));
    let last = group.last().copied().unwrap_or_default();
    let Judgement::Merged(added, _) = judge(nothing.as_ref(), rows, &rule)? else { return Ok(last) };
    let Some(added_row) = added.rows.first() else { return Ok(last) };
    let is_added = |row: &usize| {
        let cells = table.columns.iter().zip(&table.rows[*row]);
        cells.into_iter().all(|(name, cell)| {
            added.columns.iter().position(|other| other == name).is_none_or(|place| &added_row[place] == cell)
        })
    };
    Ok(group.iter().copied().rfind(is_added).unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Expect, cases};

    #[test]
    fn fates_of_rows_add_up_to_the_counts_of_each_case() {
        for case in cases() {
            let Expect::Counts(_) = case.expect else { continue };
            let Judgement::Merged(_, counts) = case.judge().expect("a judgement") else { continue };
            let fates = fates(&case).expect("fates");
            let mut expected: Vec<String> = Vec::new();
            for (name, count) in counted(&counts).expect("counts") {
                let name = if name == "duplicates" { "duplicate".to_owned() } else { name };
                if !OTHERS.contains(&name.as_str()) {
                    expected.extend(std::iter::repeat_n(name, usize::try_from(count).expect("few")));
                }
            }
            let mut sorted = fates.clone();
            sorted.sort();
            expected.sort();
            assert_eq!(sorted, expected, "{}", case.name);
        }
    }

    #[test]
    fn a_row_that_lost_to_a_twin_is_a_duplicate() {
        let told = |name: &str| {
            fates(cases().iter().find(|case| case.name == name).expect("a case")).expect("fates")
        };
        assert_eq!(told("the_newest_row_settles_three_of_a_kind"), ["duplicate", "updated", "duplicate"]);
        assert_eq!(
            told("of_twins_that_differ_the_first_counts"),
            ["updated", "inserted", "duplicate", "duplicate", "duplicate"]
        );
        assert_eq!(told("a_tie_in_the_batch_counts_though_the_stored_row_is_newer"), ["duplicate", "stale"]);
    }
}
