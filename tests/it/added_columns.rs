//! Columns that a target gets: which files and bytes stay as they were, and what is said about it.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use crate::run::{Place, Run};

const ADD: [&str; 4] = ["--id", "id", "--extra-columns", "add"];

fn upsert(place: &Place, source: &str, target: &str, more: &[&str]) -> Run {
    place.run(&[&["upsert", source, target], &ADD[..], more].concat())
}

fn read(place: &Place, target: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for backend in ["polars", "datafusion"] {
        let run = place.run(&["read", target, "--backend", backend, "--output", "csv"]);
        let mut found: Vec<String> = run.ok().out.lines().map(ToOwned::to_owned).collect();
        // Rows of several files have no order.
        found[1..].sort();
        rows.push(found);
    }
    assert_eq!(rows[0], rows[1]);
    rows.remove(0)
}

fn files(place: &Place, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(place.path(folder)).expect("listed").flatten();
    let is_data = |path: &std::path::PathBuf| path.extension().is_some_and(|found| found == "parquet");
    let paths = entries.map(|entry| entry.path()).filter(is_data);
    paths.map(|path| (path.display().to_string(), std::fs::read(&path).expect("read"))).collect()
}

/// A folder of three files with two rows each.
fn folder(place: &Place, name: &str, options: &[&str]) {
    for number in 1..4 {
        place.file("a.csv", format!("id,p,v\n{number}1,x,a\n{number}2,x,b\n"));
        place.run(&[&["write", "a.csv", name, "--mode", "append"], options].concat()).ok();
    }
}

#[test]
fn only_the_first_file_of_a_folder_and_those_with_a_changed_row_get_the_column() {
    let place = Place::new();
    folder(&place, "t", &["--target-format", "parquet", "--partition-by", "p"]);
    folder(&place, "f/", &["--target-format", "parquet"]);
    for (name, data) in [("t", "t/p=x"), ("f", "f")] {
        let before = files(&place, data);
        assert_eq!(before.len(), 3);
        place.file("c.csv", "id,p,v,more\n31,x,a,5\n");
        let dry = upsert(&place, "c.csv", name, &["--dry-run", "--output", "json"]).json();
        assert_eq!((&dry["columns_added"], &dry["files_added"]), (&json!(["more"]), &json!(2)));
        assert_eq!(files(&place, data), before);
        let report = upsert(&place, "c.csv", name, &["--output", "json"]).json();
        assert_eq!((&report["columns_added"], &report["files_added"]), (&json!(["more"]), &json!(2)));
        let after = files(&place, data);
        let is_same: Vec<bool> = before.iter().map(|(file, bytes)| after[file] == *bytes).collect();
        assert_eq!(is_same, [false, true, false], "{name}");
        let again = upsert(&place, "c.csv", name, &["--output", "json"]).json();
        assert_eq!((&again["columns_added"], &again["unchanged"]), (&json!([]), &json!(1)));
        assert_eq!(files(&place, data), after);
        let found = read(&place, name);
        assert_eq!(found.iter().filter(|row| row.ends_with(",5") || row.contains(",5,")).count(), 1);
        assert_eq!(found.len(), 7, "{name}");
        assert_eq!(place.run(&["count", name]).ok().out.trim(), "6");
    }
    assert_eq!(read(&place, "f")[..3], ["id,p,v,more", "11,x,a,", "12,x,b,"]);
}

#[test]
fn files_that_lack_a_column_may_be_put_together_and_replaced_and_others_come() {
    let place = Place::new();
    folder(&place, "f/", &["--target-format", "parquet"]);
    place.file("c.csv", "id,p,v,more\n31,x,a,5\n");
    upsert(&place, "c.csv", "f", &[]).ok();
    place.file("d.csv", "id,p,v\n21,x,A\n");
    place.run(&["upsert", "d.csv", "f", "--id", "id"]).ok();
    place.file("e.csv", "id,p,v,yet,more\n41,x,a,7,\n");
    upsert(&place, "e.csv", "f", &[]).ok();
    let expected = [
        "id,p,v,more,yet",
        "11,x,a,,",
        "12,x,b,,",
        "21,x,A,,",
        "22,x,b,,",
        "31,x,a,5,",
        "32,x,b,,",
        "41,x,a,,7",
    ];
    assert_eq!(read(&place, "f"), expected);
    place.run(&["optimize", "f"]).ok();
    assert_eq!(read(&place, "f"), expected);
    let again = upsert(&place, "e.csv", "f", &["--output", "json"]).json();
    assert_eq!((&again["unchanged"], &again["bytes_written"]), (&json!(1), &json!(0)));
    // What lacks another column than the last ones is no file of this folder.
    place.file("x.csv", "id,v,more,yet\n1,a,1,1\n");
    place.run(&["write", "x.csv", "f/zzz.parquet"]).ok();
    let error = place.run(&["read", "f"]);
    assert!(error.failed(1).contains("a file lacks a column of the first file (column: p"), "{}", error.err);
}

#[test]
fn a_folder_whose_first_file_goes_has_the_columns_of_the_others() {
    let place = Place::new();
    place.file("a.csv", "id,p,v\n1,x,a\n2,y,b\n3,z,c\n");
    place.run(&["write", "a.csv", "t", "--target-format", "parquet", "--partition-by", "p"]).ok();
    place.file("c.csv", "id,p,v,more\n3,z,c,5\n");
    upsert(&place, "c.csv", "t", &[]).ok();
    std::fs::remove_dir_all(place.path("t/p=x")).expect("removed");
    assert_eq!(read(&place, "t"), ["id,v,more,p", "2,b,,y", "3,c,5,z"]);
    place.file("d.csv", "id,p,v\n2,y,B\n");
    let again = place.run(&["upsert", "d.csv", "t", "--id", "id", "--output", "json"]).json();
    assert_eq!((&again["updated"], &again["columns_added"]), (&json!(1), &json!([])));
    assert_eq!(place.run(&["count", "t"]).ok().out.trim(), "2");
    // Of a flat folder, too.
    place.file("a.csv", "id,v\n1,1\n3,3\n");
    place.run(&["write", "a.csv", "f/", "--target-format", "parquet"]).ok();
    place.file("c.csv", "id,v,more\n3,3,5\n");
    upsert(&place, "c.csv", "f", &[]).ok();
    place.file("e.csv", "id,v\n9,9\n");
    place.run(&["write", "e.csv", "f/aaa.parquet"]).ok();
    assert_eq!(read(&place, "f"), ["id,v,more", "1,1,", "3,3,5", "9,9,"]);
    place.file("d.csv", "id,v\n3,4\n");
    place.run(&["upsert", "d.csv", "f", "--id", "id"]).ok();
    assert_eq!(read(&place, "f")[2], "3,4,5");
    assert_eq!(place.run(&["count", "f"]).ok().out.trim(), "3");
}

#[test]
fn of_a_parquet_file_the_other_columns_stay_the_bytes_they_are() {
    let place = Place::new();
    let rows: Vec<String> = (0..200).map(|id| format!("{id},v{id},{}", id * 7)).collect();
    place.file("a.csv", format!("id,v,n\n{}\n", rows.join("\n")));
    place.run(&["write", "a.csv", "t.parquet", "--row-group-rows", "50"]).ok();
    let chunk = |group: usize, column: usize| {
        let file = File::open(place.path("t.parquet")).expect("opened");
        let reader = SerializedFileReader::new(file).expect("a file");
        let (start, length) = reader.metadata().row_group(group).column(column).byte_range();
        let from = usize::try_from(start).expect("small");
        let bytes = place.bytes("t.parquet");
        bytes[from..from + usize::try_from(length).expect("small")].to_vec()
    };
    let chunks =
        || [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 1)].map(|(group, column)| chunk(group, column));
    let before = chunks();
    place.file("c.csv", "more,id,v\nx,60,new\ny,190,v190\n");
    let report = upsert(&place, "c.csv", "t.parquet", &["--output", "json"]).json();
    assert_eq!((&report["updated"], &report["row_groups_rewritten"]), (&json!(2), &json!(4)));
    assert_eq!(chunks(), before);
    let found = read(&place, "t.parquet");
    assert_eq!((found.len(), found[0].as_str()), (201, "id,v,n,more"));
    assert!(
        ["60,new,420,x", "190,v190,1330,y", "0,v0,0,"].iter().all(|row| found.contains(&(*row).to_owned()))
    );
}

#[test]
fn what_the_log_of_a_table_says_stays_word_by_word() {
    let place = Place::new();
    place.file("a.csv", "id,v\n1,a\n2,b\n");
    place.run(&["write", "a.csv", "t"]).ok();
    place.file("b.csv", "id,v\n3,c\n");
    place.run(&["write", "b.csv", "t", "--mode", "append"]).ok();
    let first = place.path("t/_delta_log/00000000000000000000.json");
    let log = std::fs::read_to_string(&first).expect("a log");
    let said = r#"\"metadata\":{\"comment\":\"who\",\"nested\":{\"b\":1.50,\"a\":[]}}"#;
    std::fs::write(&first, log.replacen(r#"\"metadata\":{}"#, said, 1)).expect("written");
    place.file("c.csv", "id,v,more,day\n3,C,x,2021-05-22\n");
    upsert(&place, "c.csv", "t", &[]).ok();
    let lines = |version: u32| -> Vec<Value> {
        let text = place.text(&format!("t/_delta_log/{version:020}.json"));
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let metadata = |version: u32| lines(version).into_iter().find_map(|line| line.get("metaData").cloned());
    let (before, after) = (metadata(0).expect("metadata"), metadata(2).expect("metadata"));
    for key in ["id", "createdTime", "configuration", "partitionColumns", "format"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    let text = |metadata: &Value| metadata["schemaString"].as_str().expect("a schema").to_owned();
    let fields = |metadata: &Value| -> Vec<Value> {
        let schema: Value = serde_json::from_str(&text(metadata)).expect("JSON");
        schema["fields"].as_array().expect("fields").clone()
    };
    assert_eq!(fields(&after)[..2], fields(&before)[..]);
    let new = |name: &str, data_type: &str| json!({ "name": name, "type": data_type, "nullable": true, "metadata": {} });
    assert_eq!(fields(&after)[2..], [new("more", "string"), new("day", "date")]);
    let count = |key: &str| lines(2).iter().filter(|line| line.get(key).is_some()).count();
    assert_eq!((count("protocol"), count("add"), count("remove")), (0, 1, 1), "one file stays");
    assert_eq!(read(&place, "t"), ["id,v,more,day", "1,a,,", "2,b,,", "3,C,x,2021-05-22"]);
    assert_eq!(place.run(&["read", "t", "--version", "1", "--output", "csv"]).ok().out.lines().count(), 4);
    place.file("d.csv", "id,at\n3,2021-05-22T02:51:15\n");
    let naive = upsert(&place, "d.csv", "t", &[]);
    assert!(naive.failed(1).contains("takes no timestamps without a zone"), "{}", naive.err);
}

#[test]
fn columns_without_a_name_or_a_value_are_not_added_and_a_slip_is_told() {
    let place = Place::new();
    place.file("t.csv", "id,v\n1,a\n");
    for (source, message) in [
        (",id,v\n0,1,b\n", "a new column has no name"),
        ("id,V\n1,b\n", "V differs from v in its case alone"),
    ] {
        place.file("c.csv", source);
        let error = upsert(&place, "c.csv", "t.csv", &[]);
        assert!(error.failed(1).contains(message), "{}", error.err);
    }
    place.file("s.csv", "v\na\n");
    place.file("c.csv", "id,v\n1,b\n");
    let error = upsert(&place, "c.csv", "s.csv", &[]);
    assert!(error.failed(1).contains("an id column is not added"), "{}", error.err);
    // A guess at the type of nothing could not be taken back.
    place.run(&["write", "t.csv", "t.parquet"]).ok();
    place.file("c.csv", "id,v,amount\n1,b,\n");
    let report = upsert(&place, "c.csv", "t.parquet", &["--output", "json"]).json();
    assert_eq!((&report["updated"], &report["columns_added"]), (&json!(1), &json!([])));
    place.file("c.csv", "id,amount\n1,12\n");
    upsert(&place, "c.csv", "t.parquet", &[]).ok();
    let found = place.run(&["read", "t.parquet", "--where", "amount > 5", "--output", "csv"]);
    assert_eq!(found.ok().out, "id,v,amount\n1,b,12\n");
}

#[test]
fn a_file_without_a_header_takes_the_name_that_counts_on() {
    let place = Place::new();
    place.file("t.csv", "1,a\n2,b\n");
    place.file("c.csv", "2,b,z\n");
    let by = ["--no-header", "--id", "column_1", "--extra-columns", "add"];
    let run = |more: &[&str]| place.run(&[&["upsert", "c.csv", "t.csv"], &by[..], more].concat());
    let error = run(&["--rename", "column_3=more"]);
    assert!(error.failed(1).contains("cannot say the name of a new column"), "{}", error.err);
    assert!(error.err.contains("next: column_3"), "{}", error.err);
    run(&[]).ok();
    assert_eq!(place.text("t.csv"), "1,a,\n2,b,z\n");
}

#[test]
fn two_who_add_columns_at_once_end_as_one_after_the_other() {
    let place = Place::new();
    place.file("a.csv", "id,v\n0,a\n");
    place.run(&["write", "a.csv", "t"]).ok();
    place.run(&["write", "a.csv", "f/", "--target-format", "parquet"]).ok();
    for target in ["t", "f"] {
        let runs: Vec<_> = (1..5)
            .map(|number| {
                let source = format!("s{number}.csv");
                place.file(&source, format!("id,v,c{}\n{number},b,{number}\n", number % 2));
                place
                    .command()
                    .args(["upsert", &source, target])
                    .stdout(Stdio::null())
                    .args(ADD)
                    .spawn()
                    .expect("started")
            })
            .collect();
        for mut run in runs {
            assert!(run.wait().expect("ended").success(), "{target}");
        }
        let found = read(&place, target);
        assert_eq!(found.len(), 6, "{target}");
        let (first, second) = if found[0] == "id,v,c0,c1" { (0, 1) } else { (1, 0) };
        assert_eq!(found[0], format!("id,v,c{first},c{second}"));
        for number in 1..5 {
            let value = |column: usize| if number % 2 == column { number.to_string() } else { String::new() };
            let row = format!("{number},b,{},{}", value(first), value(second));
            assert!(found.contains(&row), "{target}: {row} in {found:?}");
        }
    }
}
