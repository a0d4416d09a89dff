//! The rings of ARCHITECTURE.md: a file uses its own ring or lower ones.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of `src` from the inside out; those of one line are one ring.
const RINGS: &[&[&str]] = &[
    &["error"],
    &["core"],
    &["interfaces"],
    &["client"],
    &["table"],
    &["backends"],
    &["factory", "ops"],
    &["cli", "conformance"],
];

fn ring_of(module: &str) -> Option<usize> {
    RINGS.iter().position(|ring| ring.contains(&module))
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The modules of the crate that a line names: what follows each `crate::`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !c.is_alphanumeric() && c != '_';
    line.split("crate::").skip(1).map(move |rest| rest.split(ends).next().unwrap_or_default())
}

/// Lines that name an outer ring, as `file: module`.
fn violations(file: &Path, own: usize, text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(named)
        .filter(|module| ring_of(module).is_some_and(|ring| ring > own))
        .map(|module| format!("{}: {module}", file.display()))
        .collect()
}

#[test]
fn no_file_uses_an_outer_ring() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut found = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&src).expect("below src");
        let top = relative.iter().next().and_then(|part| part.to_str()).expect("a name");
        if matches!(top, "lib.rs" | "main.rs") {
            continue;
        }
        let own = ring_of(top).unwrap_or_else(|| panic!("{top} is in no ring"));
        found.extend(violations(relative, own, &fs::read_to_string(file).expect("read")));
    }
    assert!(files.len() > 30, "the sources were not found");
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn backends_do_not_know_each_other() {
    let backends = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backends");
    for (own, other) in [("polars", "datafusion"), ("datafusion", "polars")] {
        let mut files = Vec::new();
        sources(&backends.join(own), &mut files);
        assert!(!files.is_empty());
        for file in files {
            let text = fs::read_to_string(&file).expect("read");
            let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            assert!(!code.contains(&format!("{other}::")), "{} uses {other}", file.display());
        }
    }
}

#[test]
fn an_upward_use_is_found() {
    let text = "//! crate::cli in prose\nuse crate::ops::Upsert;\nuse crate::error::Error;";
    let found = violations(Path::new("core/x.rs"), ring_of("core").expect("a ring"), text);
    assert_eq!(found, ["core/x.rs: ops"]);
}
