//! A rule in the words of the command line.

use super::{Casting, Fate, IncomingColumns, MergeRule, UpsertMethod};
use crate::core::merge::FineTimestamps;
use crate::core::merge::HistoryColumns;

/// The flags that name the columns of a history.
const HISTORY_FLAGS: [&str; 3] = ["--valid-from", "--valid-to", "--is-current"];

impl MergeRule {
    /// The flags that say this rule, each with what follows it, if something does. What is so by default is left out.
    pub(crate) fn flags(&self) -> Vec<(&'static str, String)> {
        // Names all parts, so that a new one cannot be forgotten here. Fates follow from the method, as does the winner.
        let Self {
            ids,
            winner: _,
            settle,
            matched: _,
            only_incoming: _,
            only_stored,
            cells,
            marks,
            scope,
            allows_empty,
            max_delete,
            stable_partitions,
            float_ids,
            duplicates,
            null_ids,
            stored_duplicates,
            extra,
            missing,
            casting: Casting { lossy, naive_timestamps, fine_timestamps },
            columns: IncomingColumns { case, renames, sets },
            history,
            method,
        } = self;
        let mut flags = vec![("--id", ids.join(","))];
        let mut say = |flag, value: Option<String>| flags.extend(value.map(|value| (flag, value)));
        let newest = settle.as_ref();
        let usual = if newest.is_some() { UpsertMethod::Modified } else { UpsertMethod::Id };
        say("--modified", newest.map(|newest| newest.column.clone()));
        say("--method", (*method != usual).then(|| method.to_string()));
        say("--policy", cells.columns().next().map(|_| cells.to_string()));
        say("--delete-where", marks.as_ref().map(|marks| marks.condition().to_string()));
        say("--soft-delete", self.soft_column().map(ToOwned::to_owned));
        let closes = history.is_some() && *only_stored == Fate::Delete;
        say("--close-missing", closes.then(String::new));
        let usual = HistoryColumns::default();
        let named = history.as_ref().map(|history| history.columns.all()).into_iter().flatten();
        for ((flag, named), usual) in HISTORY_FLAGS.iter().zip(named).zip(usual.all()) {
            say(flag, (named != usual).then(|| named.to_owned()));
        }
        say("--scope", scope.as_ref().map(ToString::to_string));
        say("--max-delete", max_delete.map(|most| most.to_string()));
        say("--allow-empty", allows_empty.then(String::new));
        say("--partition-is-stable", stable_partitions.then(String::new));
        say("--allow-float-ids", float_ids.then(String::new));
        say("--duplicates", duplicates.map(|duplicates| duplicates.to_string()));
        say("--ties", newest.and_then(|newest| choice(&newest.ties)));
        say("--stale", newest.and_then(|newest| choice(&newest.stale)));
        say("--null-modified", newest.and_then(|newest| choice(&newest.nulls)));
        say("--null-ids", choice(null_ids));
        say("--stored-duplicates", choice(stored_duplicates));
        say("--extra-columns", choice(extra));
        say("--missing-columns", choice(missing));
        say("--lossy", choice(lossy));
        say("--naive-timestamps", choice(naive_timestamps));
        say("--truncate-timestamps", (*fine_timestamps == FineTimestamps::Truncate).then(String::new));
        say("--case", choice(case));
        let renames: Vec<String> = renames.iter().map(|(old, new)| format!("{old}={new}")).collect();
        say("--rename", (!renames.is_empty()).then(|| renames.join(",")));
        for set in sets {
            say("--set", Some(set.to_string()));
        }
        flags
    }
}

/// The word of a choice, unless it is the default.
fn choice<T: Default + PartialEq + ToString>(choice: &T) -> Option<String> {
    (*choice != T::default()).then(|| choice.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::merge::{Duplicates, Newest, Ties};

    #[test]
    fn what_is_so_by_default_is_not_said() {
        let said = |rule: MergeRule| -> String {
            let flags: Vec<_> = rule.flags().iter().map(|(flag, value)| format!("{flag} {value}")).collect();
            flags.join(" ")
        };
        let newest = || Newest::by("at").with_ties(Ties::Keep);
        assert_eq!(said(MergeRule::by_id(["a", "b"]).expect("a rule")), "--id a,b");
        let rule = MergeRule::by_modified(["id"], newest()).expect("a rule");
        assert_eq!(said(rule.clone()), "--id id --modified at --ties keep");
        assert_eq!(
            said(rule.with_duplicates(Duplicates::Last)),
            "--id id --modified at --duplicates last --ties keep"
        );
        let settled = MergeRule::new(UpsertMethod::Id, ["id"], Some("at".into())).expect("a rule");
        assert_eq!(said(settled), "--id id --modified at --method id");
    }
}
