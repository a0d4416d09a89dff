//! The page of rules in the repository is the one that the cases make.

use std::path::Path;

#[test]
fn the_page_of_rules_says_what_the_cases_say() {
    let page = keyfold::conformance::page().expect("a page");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    if std::env::var_os("KEYFOLD_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/rules.md is not what the cases say; to write it anew:\n  \
         KEYFOLD_WRITE_DOCS=1 cargo test --all-features --test it rules_page"
    );
}
