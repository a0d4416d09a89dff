//! Reports as people read them: a sentence, then only the lines that have something to say.

use std::fmt::Write;

use crate::core::report::{RowCounts, UpsertReport, WriteReport};

/// The summary of an upsert, with a line end.
pub(crate) fn upsert(report: &UpsertReport) -> String {
    let mut text = headline(report);
    for (label, line) in [
        ("rows", rows_line(&report.rows)),
        ("skipped", list(&skipped(&report.rows))),
        ("put aside", quarantine_line(report)),
        ("added", columns_line(report)),
        ("ties", ties_line(report.rows.ties)),
        ("retried", retried_line(report.conflicts)),
    ] {
        if !line.is_empty() {
            let _ = writeln!(text, "  {label:<9} {line}");
        }
    }
    let _ = writeln!(text, "  {}", work_line(report));
    text
}

/// The summary of a write, with a line end.
pub(crate) fn write(report: &WriteReport) -> String {
    if !report.written {
        return format!("{}: exists, left as it is\n", report.target);
    }
    format!(
        "{}: {} written\n  wrote     {}   in {} ({})\n",
        report.target,
        counted(report.rows, "row"),
        bytes(report.bytes_written),
        time(report.elapsed_ms),
        report.backend
    )
}

/// How many of `noun` there are: `1 row`, `1,204 rows`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

fn work_line(report: &UpsertReport) -> String {
    let moved = [("read     ", report.work.bytes_read), ("wrote", report.work.bytes_written.unwrap_or(0))];
    let moved = moved.into_iter().filter(|(_, count)| *count > 0);
    let moved: Vec<_> = moved.map(|(label, count)| format!("{label} {}   ", bytes(count))).collect();
    let copied = match report.work.bytes_copied {
        0 => String::new(),
        count => format!("(the store copied {})   ", bytes(count)),
    };
    format!("{}{copied}in {} ({})", moved.concat(), time(report.elapsed_ms), report.backend)
}

fn headline(report: &UpsertReport) -> String {
    let rows = &report.rows;
    let what = if report.dry_run { planned(report) } else { done(report) };
    format!("{}: {what} ({} incoming)\n", report.target, grouped(rows.incoming))
}

fn done(report: &UpsertReport) -> String {
    let fates = list(&[
        (report.rows.inserted, "inserted"),
        (report.rows.updated, "updated"),
        (report.rows.opened, "opened"),
        (report.rows.deleted, "deleted"),
        (report.rows.soft_deleted, "softly deleted"),
        (report.rows.closed, "closed"),
        (report.rows.repaired, "repaired"),
        (report.rows.unchanged, "unchanged"),
    ]);
    match (report.created, fates.is_empty()) {
        (true, true) => "created without rows".to_owned(),
        (true, false) => format!("created, {fates}"),
        (false, true) => "nothing changed".to_owned(),
        (false, false) => fates,
    }
}

fn planned(report: &UpsertReport) -> String {
    let rows = &report.rows;
    let mut parts = Vec::new();
    if report.created {
        parts.push("create the file".to_owned());
    }
    let verbs = [
        (rows.inserted, "insert"),
        (rows.updated, "update"),
        (rows.opened, "open"),
        (rows.deleted, "delete"),
        (rows.soft_deleted, "softly delete"),
        (rows.closed, "close"),
        (rows.repaired, "repair"),
    ];
    let changes = verbs.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(changes.map(|(count, verb)| format!("{verb} {}", grouped(count))));
    if rows.unchanged > 0 {
        parts.push(format!("leave {} unchanged", grouped(rows.unchanged)));
    }
    if parts.is_empty() {
        parts.push("change nothing".to_owned());
    }
    format!("dry run: would {}", parts.join(", "))
}

fn skipped(rows: &RowCounts) -> [(u64, &'static str); 5] {
    // Those that took a stored row out are told already. A mirror takes out others as well, and then nothing is said of them.
    let marks = rows.tombstones.saturating_sub(rows.deleted + rows.soft_deleted + rows.closed);
    [
        (rows.stale, "stale"),
        (rows.duplicates, if rows.duplicates == 1 { "duplicate" } else { "duplicates" }),
        (rows.ignored, "ignored"),
        (rows.rejected, "rejected"),
        (marks, if marks == 1 { "delete mark" } else { "delete marks" }),
    ]
}

/// Where those of the skipped rows are that went into the quarantine.
fn quarantine_line(report: &UpsertReport) -> String {
    match &report.quarantine {
        Some(place) if report.rows.quarantined > 0 => {
            format!("{} in {}", counted(report.rows.quarantined, "row"), place)
        }
        _ => String::new(),
    }
}

/// How many names of columns are shown.
const SHOWN: usize = 20;

fn columns_line(report: &UpsertReport) -> String {
    match &report.columns_added[..] {
        [] => String::new(),
        names => {
            let shown: Vec<String> =
                names.iter().take(SHOWN).map(|name| name.escape_debug().to_string()).collect();
            let more = names.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}: {}{more}", counted(names.len() as u64, "column"), shown.join(", "))
        }
    }
}

fn rows_line(rows: &RowCounts) -> String {
    match (rows.rows_before, rows.rows_after) {
        (Some(before), Some(after)) if before != after => {
            format!("{} -> {}", grouped(before), grouped(after))
        }
        _ => String::new(),
    }
}

fn ties_line(ties: u64) -> String {
    if ties == 0 {
        return String::new();
    }
    format!("{} decided by source order or by an equal modification value", counted(ties, "id"))
}

fn retried_line(conflicts: u32) -> String {
    if conflicts == 0 {
        return String::new();
    }
    format!("{}: someone else changed the target meanwhile", counted(conflicts.into(), "time"))
}

/// What is not zero: `2 stale, 1 duplicate`.
fn list(counts: &[(u64, &str)]) -> String {
    let parts = counts.iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, what)| format!("{} {what}", grouped(*count))).collect::<Vec<_>>().join(", ")
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in the largest binary unit that leaves at least one of it.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut shown = format!("{count} B");
    let mut scale = 1024_u64;
    for unit in UNITS {
        if count < scale {
            break;
        }
        // Tenths in whole numbers, rounded down: a float would turn 1023.99 KiB into 1024.0.
        let tenths = u128::from(count) * 10 / u128::from(scale);
        shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
        scale = scale.saturating_mul(1024);
    }
    shown
}

fn time(milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
    match seconds {
        0 => format!("{rest} ms"),
        1..60 => format!("{seconds}.{} s", rest / 100),
        _ => format!("{} min {} s", grouped(seconds / 60), seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::format::Format;
    use crate::core::report::{PhaseTimes, WorkCounts};

    fn report(rows: RowCounts) -> UpsertReport {
        UpsertReport {
            target: "orders.csv".into(),
            format: Format::Csv,
            backend: "polars".into(),
            method: "modified".into(),
            run_id: "run".into(),
            dry_run: false,
            created: false,
            rows,
            work: WorkCounts { bytes_read: 14_541, bytes_written: Some(15_360), ..WorkCounts::default() },
            columns_added: Vec::new(),
            spilled_bytes: 0,
            quarantine: None,
            conflicts: 0,
            version_before: None,
            version_after: None,
            elapsed_ms: 12,
            phases_ms: PhaseTimes::default(),
            peak_memory_bytes: None,
            diff: None,
            changed_rows: 0,
        }
    }

    fn busy() -> RowCounts {
        RowCounts {
            incoming: 1_058,
            inserted: 1_012,
            updated: 3,
            unchanged: 40,
            stale: 2,
            duplicates: 1,
            rows_before: Some(120),
            rows_after: Some(1_132),
            ..RowCounts::default()
        }
    }

    #[test]
    fn an_upsert_is_told_in_four_lines() {
        let expected = "\
orders.csv: 1,012 inserted, 3 updated, 40 unchanged (1,058 incoming)
  rows      120 -> 1,132
  skipped   2 stale, 1 duplicate
  read      14.2 KiB   wrote 15.0 KiB   in 12 ms (polars)
";
        assert_eq!(upsert(&report(busy())), expected);
    }

    #[test]
    fn lines_with_nothing_to_say_are_left_out() {
        let rows = RowCounts { rows_before: Some(5), rows_after: Some(5), ..RowCounts::default() };
        let mut nothing = report(rows);
        nothing.work.bytes_written = Some(0);
        let expected = "orders.csv: nothing changed (0 incoming)\n  read      14.2 KiB   in 12 ms (polars)\n";
        assert_eq!(upsert(&nothing), expected);
    }

    #[test]
    fn a_dry_run_says_what_would_be() {
        let mut dry = report(busy());
        dry.dry_run = true;
        dry.work.bytes_written = None;
        let text = upsert(&dry);
        let first =
            "orders.csv: dry run: would insert 1,012, update 3, leave 40 unchanged (1,058 incoming)\n";
        assert!(text.starts_with(first), "{text}");
        assert!(!text.contains("wrote"), "{text}");
        dry.created = true;
        assert!(upsert(&dry).contains("would create the file, insert 1,012"), "{}", upsert(&dry));
        dry = UpsertReport { rows: RowCounts::default(), created: false, ..dry };
        assert!(upsert(&dry).contains("dry run: would change nothing"), "{}", upsert(&dry));
    }

    #[test]
    fn a_new_target_and_a_fight_for_it_are_told() {
        let mut created = report(busy());
        created.created = true;
        created.conflicts = 2;
        created.work.bytes_read = 0;
        created.rows.ties = 1;
        let text = upsert(&created);
        assert!(text.starts_with("orders.csv: created, 1,012 inserted"), "{text}");
        assert!(text.contains("\n  retried   2 times: someone else"), "{text}");
        assert!(text.contains("\n  ties      1 id decided by"), "{text}");
        assert!(text.ends_with("\n  wrote 15.0 KiB   in 12 ms (polars)\n"), "{text}");
    }

    #[test]
    fn a_write_is_told_whether_it_happened() {
        let mut report = WriteReport {
            target: "a.parquet".into(),
            format: Format::Parquet,
            backend: "polars".into(),
            written: true,
            rows: 1,
            bytes_written: 100,
            elapsed_ms: 1_250,
        };
        assert_eq!(write(&report), "a.parquet: 1 row written\n  wrote     100 B   in 1.2 s (polars)\n");
        report.written = false;
        assert_eq!(write(&report), "a.parquet: exists, left as it is\n");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown: Vec<_> = [0, 999, 1_000, 12_345, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn sizes_have_the_largest_unit_that_fits() {
        let shown: Vec<_> =
            [0, 1_023, 1_024, 1_048_575, 1_048_576, u64::MAX].into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1023.9 KiB", "1.0 MiB", "15.9 EiB"]);
    }

    #[test]
    fn long_times_are_told_in_minutes() {
        let shown: Vec<_> = [0, 999, 1_000, 59_999, 61_000].into_iter().map(time).collect();
        assert_eq!(shown, ["0 ms", "999 ms", "1.0 s", "59.9 s", "1 min 1 s"]);
    }
}
